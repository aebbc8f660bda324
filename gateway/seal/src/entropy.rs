/// Randomness as an argument. The daemon gives the system's; a test gives a seeded one and can replay a failure.
pub trait Entropy: Send {
    /// Fills all of `bytes` with secret, uniform randomness, or none of it is used.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no randomness")]
pub struct EntropyFailed;
