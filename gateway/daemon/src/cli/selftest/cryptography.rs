use lingate_model::Clock;
use lingate_seal::{Entropy, known_answers};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::Finding;
use crate::cli::exit::Code;
use crate::entropy::SystemEntropy;

const AREA: &str = "cryptography";
/// As much as one message holds at most, and often enough to measure.
const PIECE: usize = 64 * 1024;
const PIECES: u32 = 64;
/// Bits that are looked at, and how far their ones may be from the half: six standard deviations, once in 500 million.
const BITS: usize = 32_768;
const SPREAD: usize = 543;

pub(super) fn look(clock: &dyn Clock) -> Vec<Finding> {
    let answers = known_answers();
    let mut findings: Vec<Finding> = answers.iter().filter(|answer| !answer.is_right).map(wrong).collect();
    if findings.is_empty() {
        let names: Vec<_> = answers.iter().map(|answer| answer.primitive).collect();
        findings.push(Finding::good(AREA, format!("as published: {}", names.join("; "))));
    }
    findings.push(speed(clock));
    findings.push(randomness(&mut SystemEntropy::new()));
    findings
}

fn wrong(answer: &lingate_seal::KnownAnswer) -> Finding {
    let what = format!("{} does not give the answer of {}", answer.primitive, answer.source);
    let hint =
        "this CPU, its memory or this build computes wrongly: do not use it, and take a package for this machine";
    Finding::bad(AREA, Code::Internal, what, hint)
}

#[allow(clippy::cast_precision_loss, reason = "shown without places")]
fn speed(clock: &dyn Clock) -> Finding {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).expect("an AES-256 key has 32 bytes"));
    let mut piece = vec![0_u8; PIECE];
    let begin = clock.now().monotonic;
    for number in 0..PIECES {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&number.to_be_bytes());
        let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut piece);
        let _ = tag.expect("a piece is far below the 64 GiB that AES-GCM can take");
    }
    let seconds = clock.now().monotonic.saturating_sub(begin).as_secs_f64().max(1e-9);
    let mebibytes = PIECE as f64 * f64::from(PIECES) / (1024.0 * 1024.0);
    Finding::good(AREA, format!("AES-256-GCM seals {:.0} MiB/s on one core", mebibytes / seconds))
}

/// A source that is stuck or heavily biased is seen; whether it can be guessed cannot be seen from outside.
fn randomness(entropy: &mut dyn Entropy) -> Finding {
    let bad = |what: &str| {
        let hint = "keys would be guessable: check the kernel's random source, or the hypervisor's virtio-rng";
        Finding::bad("randomness", Code::Internal, what, hint)
    };
    let (mut one, mut two) = (vec![0_u8; BITS / 8], vec![0_u8; BITS / 8]);
    if entropy.fill(&mut one).and_then(|()| entropy.fill(&mut two)).is_err() {
        return bad("the kernel gave none");
    }
    let ones: usize = one.iter().map(|byte| byte.count_ones() as usize).sum();
    match (one == two, ones.abs_diff(BITS / 2) > SPREAD) {
        (true, _) => bad("the kernel gave the same bytes twice"),
        (_, true) => bad(&format!("{ones} of {BITS} bits are ones")),
        _ => Finding::good("randomness", format!("the kernel gives it at once; {ones} of {BITS} bits are ones")),
    }
}

#[cfg(test)]
mod tests {
    use lingate_seal::EntropyFailed;

    use super::super::Grade;
    use super::*;

    struct Stuck(Option<u8>);

    impl Entropy for Stuck {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
            bytes.fill(self.0.ok_or(EntropyFailed)?);
            // The second filling differs.
            self.0 = self.0.map(|byte| byte.wrapping_add(1));
            Ok(())
        }
    }

    #[test]
    fn randomness_that_is_missing_stuck_or_biased_is_found() {
        assert_eq!(randomness(&mut SystemEntropy::new()).grade, Grade::Good);
        for mut source in [Stuck(None), Stuck(Some(0)), Stuck(Some(0xfe))] {
            let found = randomness(&mut source);
            assert_eq!(found.grade, Grade::Bad(Code::Internal), "{found:?}");
        }
    }

    #[test]
    fn this_machine_computes_as_published() {
        let found = look(&crate::clock::SystemClock::start());
        assert!(found.iter().all(|finding| finding.grade == Grade::Good), "{found:?}");
        assert!(found[0].what.contains("X-Wing"), "{found:?}");
    }
}
