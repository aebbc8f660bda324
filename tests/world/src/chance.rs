use lingate_seal::{Entropy, EntropyFailed};

/// The world's only randomness: SplitMix64 of a seed.
#[derive(Clone)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In `0..end`; `end` is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }

    /// True once in so many times on average.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// Another sequence that does not disturb this one.
    pub fn fork(&mut self) -> Chance {
        Chance(self.draw())
    }
}

impl Entropy for Chance {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.draw().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// Fails so many times before it gives anything.
pub(crate) struct Failing {
    pub(crate) times: u64,
    pub(crate) chance: Chance,
}

impl Entropy for Failing {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
        if self.times > 0 {
            self.times -= 1;
            return Err(EntropyFailed);
        }
        self.chance.fill(bytes)
    }
}
