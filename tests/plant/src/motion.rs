use std::f64::consts::TAU;

/// How a quantity moves: always a pure function of its seed and the serve counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Motion {
    /// Around a level, with a slow wave and the short memory of an instrument (AR(1) with 0.8 per serve).
    Level { at: f64, swing: f64, period: u32, noise: f64 },
    /// Rises by `rate` per serve, as meters do.
    Total { rate: f64 },
    /// Counts 0 to `count - 1`, each for `serves` serves: steps of a recipe.
    Steps { count: u32, serves: u32 },
    /// On for the first `on` of every `period` serves, with a phase of its own.
    Switch { on: u32, period: u32 },
    /// The serve counter itself.
    Counter,
}

impl Motion {
    pub(crate) fn at(self, seed: u64, n: u32) -> f64 {
        match self {
            Motion::Level { at, swing, period, noise } => {
                let phase = TAU * unit(seed) + TAU * f64::from(n % period) / f64::from(period);
                at + swing * phase.sin() + noise * noise_at(seed, n)
            }
            Motion::Total { rate } => (f64::from(n) * rate).floor(),
            Motion::Steps { count, serves } => f64::from(n / serves % count),
            Motion::Switch { on, period } => {
                let phase = n.wrapping_add(seed as u32 % period) % period;
                f64::from(u8::from(phase < on))
            }
            Motion::Counter => f64::from(n),
        }
    }
}

/// The last 24 shocks of an AR(1) process, about one in standard deviation; what is older weighs less than 0.5 %.
fn noise_at(seed: u64, n: u32) -> f64 {
    let shock = |n: u32| unit(mix(seed ^ u64::from(n))) * 2.0 - 1.0;
    let (sum, _) =
        (0..24).fold((0.0, 1.0), |(sum, weight), age| (sum + weight * shock(n.wrapping_sub(age)), weight * 0.8));
    sum
}

/// 0 to 1, uniform.
fn unit(bits: u64) -> f64 {
    (mix(bits) >> 11) as f64 / (1_u64 << 53) as f64
}

/// The finaliser of SplitMix64.
pub(crate) fn mix(bits: u64) -> u64 {
    let bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

/// Of a tag of a device: FNV-1a, mixed.
pub(crate) fn seed(device: &str, tag: &str) -> u64 {
    let bytes = device.bytes().chain([0]).chain(tag.bytes());
    mix(bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_moves_in_small_steps_around_its_setpoint() {
        let level = Motion::Level { at: 200.0, swing: 3.0, period: 600, noise: 0.5 };
        let values: Vec<f64> = (0..5000).map(|n| level.at(seed("extruder-7", "zone"), n)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!((mean - 200.0).abs() < 0.5, "{mean}");
        assert!(values.iter().all(|value| (value - 200.0).abs() < 3.0 + 0.5 * 5.0));
        assert!(values.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 1.5), "it jumps");
        assert!(values.windows(2).filter(|pair| pair[0] == pair[1]).count() < 5, "it stands still");
    }

    #[test]
    fn two_tags_do_not_move_alike() {
        let level = Motion::Level { at: 0.0, swing: 0.0, period: 600, noise: 1.0 };
        let of = |tag| (0..1000).map(|n| level.at(seed("d", tag), n)).collect::<Vec<_>>();
        let (a, b) = (of("a"), of("b"));
        let product: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>() / 1000.0;
        assert!(product.abs() < 0.3, "{product}");
    }

    #[test]
    fn a_switch_is_on_for_its_share() {
        let switch = Motion::Switch { on: 30, period: 100 };
        assert_eq!((0..1000).map(|n| switch.at(7, n)).sum::<f64>(), 300.0);
    }
}
