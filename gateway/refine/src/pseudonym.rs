use std::fmt;

use lingate_model::Value;
use ring::hmac;

use crate::number::integer;

/// A dataset's key for M11, made and kept in the plant. Without it nobody can tell what a pseudonym stands for; with another
/// one, pseudonyms of two datasets cannot be joined.
#[derive(Clone)]
pub struct PseudonymKey(hmac::Key);

/// Hexadecimal digits of a pseudonym: 128 bits.
const DIGITS: usize = 32;

impl PseudonymKey {
    pub fn new(secret: &[u8; 32]) -> PseudonymKey {
        PseudonymKey(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Of an identifier: a text, a byte string, a Guid or an integer, which counts as its decimal text, so that one number
    /// has one pseudonym in whatever type a machine tells it. `None` of anything else.
    pub(crate) fn pseudonym(&self, value: &Value) -> Option<Value> {
        let text = match value {
            Value::String(text) | Value::Text { text, .. } | Value::LocalizedText { text: Some(text), .. } => {
                self.of(text.as_bytes())
            }
            Value::ByteString(bytes) => self.of(bytes),
            Value::Guid(bytes) => self.of(bytes),
            value => self.of(integer(value)?.to_string().as_bytes()),
        };
        Some(Value::String(text.into()))
    }

    fn of(&self, identifier: &[u8]) -> String {
        let tag = hmac::sign(&self.0, identifier);
        let nibbles = tag.as_ref()[..DIGITS / 2].iter().flat_map(|byte| [byte >> 4, byte & 15]);
        nibbles.map(|nibble| char::from_digit(nibble.into(), 16).expect("a nibble is a digit")).collect()
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: Option<Value>) -> String {
        match value {
            Some(Value::String(text)) => text.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pseudonym_is_the_beginning_of_hmac_sha_256() {
        // RFC 4231, test case 2, has the key "Jefe"; a key of 32 bytes is that one with zeros behind it.
        let mut secret = [0; 32];
        secret[..4].copy_from_slice(b"Jefe");
        let key = PseudonymKey::new(&secret);
        let told = key.pseudonym(&Value::String("what do ya want for nothing?".into()));
        assert_eq!(text(told), "5bdcc146bf60754e6a042426089575c7");
    }

    #[test]
    fn one_identifier_has_one_pseudonym_per_key_in_every_type() {
        let (key, other) = (PseudonymKey::new(&[7; 32]), PseudonymKey::new(&[8; 32]));
        let four = [
            Value::String("4711".into()),
            Value::UInt32(4711),
            Value::Int64(4711),
            Value::ByteString((*b"4711").into()),
        ];
        let told: Vec<String> = four.iter().map(|value| text(key.pseudonym(value))).collect();
        assert!(told.iter().all(|name| *name == told[0] && name.len() == DIGITS));
        assert_ne!(text(other.pseudonym(&four[0])), told[0]);
        assert_ne!(text(key.pseudonym(&Value::UInt32(4712))), told[0]);
    }

    #[test]
    fn what_identifies_nothing_has_no_pseudonym_and_no_key_is_shown() {
        let key = PseudonymKey::new(&[7; 32]);
        assert!(key.pseudonym(&Value::Double(1.0)).is_none());
        assert!(key.pseudonym(&Value::Boolean(true)).is_none());
        assert_eq!(format!("{key:?}"), "PseudonymKey(..)");
    }
}
