//! What a gateway sends to its witness: the request body of C2SP tlog-witness's add-checkpoint, carried by MQTT.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::{CHECKPOINT_MAX, Hash, Note};

/// Hashes of a consistency proof at most.
pub const PROOF_MAX: usize = 63;

/// A checkpoint, and the proof that it continues the one of `old` lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Lines of the checkpoint that the witness cosigned last; 0: none that the gateway knows of.
    pub old: u64,
    pub proof: Vec<Hash>,
    pub note: Note,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a checkpoint with a consistency proof")]
pub struct SubmissionRefused;

impl Submission {
    pub fn encode(&self) -> String {
        let proof: String = self.proof.iter().map(|hash| BASE64_STANDARD.encode(hash) + "\n").collect();
        format!("old {}\n{proof}\n{}", self.old, self.note)
    }

    pub fn parse(bytes: &[u8]) -> Result<Submission, SubmissionRefused> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= CHECKPOINT_MAX);
        Submission::read(text.ok_or(SubmissionRefused)?).ok_or(SubmissionRefused)
    }

    fn read(text: &str) -> Option<Submission> {
        let (head, note) = text.split_once("\n\n")?;
        let mut lines = head.split('\n');
        let old = lines.next()?.strip_prefix("old ")?.parse().ok()?;
        let hash = |line: &str| BASE64_STANDARD.decode(line).ok()?.try_into().ok();
        let proof: Vec<Hash> = lines.map(hash).collect::<Option<_>>()?;
        let note = Note::parse(note.as_bytes()).ok()?;
        (proof.len() <= PROOF_MAX).then_some(Submission { old, proof, note })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;
    use crate::checkpoint::tests::pkcs8;
    use crate::{Checkpoint, Signer};

    #[test]
    fn a_submission_arrives_as_it_was_sent() {
        let log = Signer::log("l", &pkcs8(1)).unwrap();
        let note = Checkpoint { origin: "l".to_owned(), size: 9, root: [1; 32] }.sign(&log);
        for proof in [vec![], vec![[4; 32], [5; 32]]] {
            let sent = Submission { old: 4, proof, note: note.clone() };
            assert_eq!(Submission::parse(sent.encode().as_bytes()), Ok(sent));
        }
        for bad in [
            "",
            "old 1\n",
            "old x\n\nl\n9\n",
            "new 1\n\nt\n\n\u{2014} n AAAAAAA=\n",
            "old 1\n!!\n\nt\n\n\u{2014} n AAAAAAA=\n",
        ] {
            assert_eq!(Submission::parse(bad.as_bytes()), Err(SubmissionRefused), "{bad:?}");
        }
    }
}
