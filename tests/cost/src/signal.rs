use lingate_model::{PointId, Reading, UtcMicros, Value};
use lingate_seal::{Entropy, EntropyFailed};

/// 2026-03-01T08:00:00Z.
pub const BEGIN: i64 = 1_772_352_000_000_000;

/// What an instrument shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A float32 in steps of 0.1: three of ten move by one step from poll to poll.
    Walk,
    /// A slow process, coefficient 0.995, in steps of 0.1: about one of two moves.
    Process,
    /// A float32 of which every bit is noise.
    Noise,
}

impl Signal {
    /// Bits that a reading tells to somebody who knows the one before, as the signal is made.
    pub fn entropy_bits(self) -> f64 {
        match self {
            Signal::Walk => entropy(&[0.15, 0.15, 0.70]),
            // Steps of 0.08 standard deviation on a grid of 0.1.
            Signal::Process => entropy(&[0.31, 0.31, 0.35, 0.015, 0.015]),
            Signal::Noise => 23.0,
        }
    }
}

fn entropy(shares: &[f64]) -> f64 {
    shares.iter().map(|share| -share * share.log2()).sum()
}

/// So many points, polled together.
pub struct Signals {
    signal: Signal,
    noise: Noise,
    levels: Vec<f64>,
    means: Vec<f64>,
}

impl Signals {
    pub fn new(signal: Signal, points: usize) -> Signals {
        let mut noise = Noise(42);
        let means: Vec<f64> = (0..points).map(|_| (100.0 + noise.uniform() * 9_000.0).round() / 10.0).collect();
        Signals { signal, noise, levels: means.clone(), means }
    }

    /// One poll; its readings share their time.
    pub fn poll(&mut self, time: UtcMicros) -> Vec<Reading> {
        let points = 0..self.levels.len();
        points.map(|point| Reading::good(PointId(point as u32), Value::Float(self.next(point)), time)).collect()
    }

    fn next(&mut self, point: usize) -> f32 {
        let (level, mean) = (&mut self.levels[point], self.means[point]);
        match self.signal {
            Signal::Walk => {
                let draw = self.noise.uniform();
                *level += if draw < 0.15 {
                    0.1
                } else if draw < 0.3 {
                    -0.1
                } else {
                    0.0
                };
                *level = (*level * 10.0).round() / 10.0;
            }
            Signal::Process => *level = mean + 0.995 * (*level - mean) + 0.08 * self.noise.normal(),
            Signal::Noise => *level = mean * (1.0 + 0.1 * self.noise.normal()),
        }
        match self.signal {
            Signal::Noise => *level as f32,
            _ => ((*level * 10.0).round() / 10.0) as f32,
        }
    }
}

/// SplitMix64.
pub struct Noise(pub u64);

impl Noise {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn uniform(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal, as the sum of twelve uniform numbers.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

impl Entropy for Noise {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.draw().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
