use crate::motion::{Motion, mix};

/// Counts that the clock starts at large n must not lose digits or wrap: meters restart every million ticks.
const PERIOD: u32 = 1_000_000;

/// The number that moves; n counts ticks since the epoch and is large, motions count serves from 0.
pub(super) fn at(motion: Motion, seed: u64, n: u32) -> f64 {
    match motion {
        Motion::Counter => f64::from(n),
        _ => motion.at(seed, n % PERIOD),
    }
}

/// 64 bits that look random and depend on both.
pub(super) fn hash(seed: u64, n: u32) -> u64 {
    mix(seed ^ (u64::from(n) << 20 | 0x5EED))
}
