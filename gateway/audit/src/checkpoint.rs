//! C2SP tlog-checkpoint and tlog-cosignature/v1.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::note::{Note, NoteRefused, Signer, Verifier};
use crate::{Hash, clean};

/// A checkpoint with a few cosignatures has about 400 bytes.
pub const CHECKPOINT_MAX: usize = 8 * 1024;

/// Number of lines and root of a log at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// `lingate/{tenant}/{gateway}/audit`
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

/// A witness's word that it saw no other history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    pub witness: String,
    /// Seconds since 1970, by the witness's clock.
    pub time: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointRefused {
    #[error(transparent)]
    Note(#[from] NoteRefused),
    #[error("it is not a checkpoint: origin, number of lines, root in base64")]
    Form,
}

impl Checkpoint {
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64_STANDARD.encode(self.root))
    }

    pub fn sign(&self, signer: &Signer) -> Note {
        let text = self.text();
        let signature = signer.signature(signer.sign(text.as_bytes()));
        Note { text, signatures: vec![signature] }
    }

    /// What a note says, whoever signed it.
    pub fn of(note: &Note) -> Result<Checkpoint, CheckpointRefused> {
        let mut lines = note.text.lines();
        let (origin, size, root) = match (lines.next(), lines.next(), lines.next()) {
            (Some(origin), Some(size), Some(root)) if !origin.is_empty() => (origin, size, root),
            _ => return Err(CheckpointRefused::Form),
        };
        let is_plain = size == "0" || (!size.starts_with('0') && size.bytes().all(|digit| digit.is_ascii_digit()));
        let size = size.parse().ok().filter(|_| is_plain).ok_or(CheckpointRefused::Form)?;
        let root = BASE64_STANDARD.decode(root).ok().and_then(|root| root.try_into().ok());
        Ok(Checkpoint { origin: clean(origin), size, root: root.ok_or(CheckpointRefused::Form)? })
    }

    /// What a note says that the log signed.
    pub fn verify(note: &Note, log: &Verifier) -> Result<Checkpoint, CheckpointRefused> {
        note.verify(log)?;
        let checkpoint = Checkpoint::of(note)?;
        (checkpoint.origin == log.name()).then_some(checkpoint).ok_or(CheckpointRefused::Form)
    }
}

impl Cosignature {
    /// Adds a witness's signature with this time (seconds since 1970).
    pub fn add(note: &mut Note, witness: &Signer, time: u64) {
        let signature = witness.sign(message(time, &note.text).as_bytes());
        note.add(witness.signature([&time.to_be_bytes(), &signature[..]].concat()));
    }

    pub fn verify(note: &Note, witness: &Verifier) -> Result<Cosignature, NoteRefused> {
        let bytes = &note.of(witness).ok_or(NoteRefused::Unsigned)?.bytes;
        let (time, signature) = bytes.split_first_chunk::<8>().ok_or(NoteRefused::Signature)?;
        let time = u64::from_be_bytes(*time);
        let holds = i64::try_from(time).is_ok() && witness.check(message(time, &note.text).as_bytes(), signature);
        holds.then(|| Cosignature { witness: witness.name().to_owned(), time }).ok_or(NoteRefused::Signature)
    }
}

fn message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
pub(crate) mod tests {
    use super::*;

    /// RFC 8410, 10.3: the head of an Ed25519 key.
    pub(crate) fn pkcs8(seed: u8) -> Vec<u8> {
        const HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        [&HEAD[..], &[seed; 32]].concat()
    }

    #[test]
    fn the_key_of_the_go_checksum_database_is_read() {
        let text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        let key: Verifier = text.parse().unwrap();
        assert_eq!((key.name(), key.is_witness(), key.to_string().as_str()), ("sum.golang.org", false, text));
    }

    #[test]
    fn only_the_text_that_was_signed_passes() {
        let (log, witness) = (Signer::log("l/a", &pkcs8(1)).unwrap(), Signer::witness("w", &pkcs8(2)).unwrap());
        let checkpoint = Checkpoint { origin: "l/a".to_owned(), size: 12, root: [3; 32] };
        let mut note = checkpoint.sign(&log);
        Cosignature::add(&mut note, &witness, 1_700_000_000);
        let note = Note::parse(note.to_string().as_bytes()).unwrap();
        assert_eq!(Checkpoint::verify(&note, log.verifier()), Ok(checkpoint));
        let cosigned = Cosignature { witness: "w".to_owned(), time: 1_700_000_000 };
        assert_eq!(Cosignature::verify(&note, witness.verifier()), Ok(cosigned));

        let changed = Note::parse(note.to_string().replace("\n12\n", "\n13\n").as_bytes()).unwrap();
        assert_eq!(Checkpoint::verify(&changed, log.verifier()), Err(NoteRefused::Signature.into()));
        assert_eq!(Cosignature::verify(&changed, witness.verifier()), Err(NoteRefused::Signature));
        let stranger = Signer::log("l/a", &pkcs8(9)).unwrap();
        assert_eq!(note.verify(stranger.verifier()), Err(NoteRefused::Unsigned));
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        let log = Signer::log("l", &pkcs8(1)).unwrap();
        let good = Checkpoint { origin: "l".to_owned(), size: 1, root: [0; 32] }.sign(&log).to_string();
        for bad in [good.replace("\n1\n", "\n01\n"), good.replace("\n1\n", "\n-1\n"), good.replace("AAAA", "A")] {
            assert_eq!(Checkpoint::of(&Note::parse(bad.as_bytes()).unwrap()), Err(CheckpointRefused::Form), "{bad}");
        }
        for bad in
            ["", "\n\n", "text\n", "text\n\nno dash\n", "text\n\n\u{2014} name !\n", "te\rxt\n\n\u{2014} n AAAAAAA=\n"]
        {
            assert_eq!(Note::parse(bad.as_bytes()), Err(NoteRefused::Form), "{bad:?}");
        }
    }
}
