use std::sync::Arc;

use lingate_model::{StatusCode, Value};

use super::order::ByteOrder;

/// How the bytes of a text stand for letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    Ascii,
    Utf8,
    /// ISO 8859-1: every byte is the Unicode letter of its number.
    Latin1,
    /// GB 18030, which holds GBK and GB 2312: what devices with a Chinese display write.
    Gb18030,
}

impl Charset {
    pub(crate) const NAMES: [(&'static str, Charset); 5] = [
        ("ascii", Charset::Ascii),
        ("utf-8", Charset::Utf8),
        ("latin-1", Charset::Latin1),
        ("gb18030", Charset::Gb18030),
        ("gbk", Charset::Gb18030),
    ];

    /// Two letters in each register, the first in its high byte unless the bytes are swapped. Ends at the first NUL;
    /// spaces behind it are not part of it. BadDecodingError for what is no text: bytes that the charset does not have,
    /// and control characters, as they appear where the register or the byte order is wrong.
    pub(crate) fn decode(self, words: &[u16], order: ByteOrder) -> Result<Value, StatusCode> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| order.word(*word).to_be_bytes()).collect();
        let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        let text = self.letters(bytes).ok_or(StatusCode::BAD_DECODING_ERROR)?;
        let text = text.trim_end_matches(' ');
        if text.chars().any(char::is_control) {
            return Err(StatusCode::BAD_DECODING_ERROR);
        }
        Ok(Value::String(Arc::from(text)))
    }

    fn letters(self, bytes: &[u8]) -> Option<String> {
        match self {
            Charset::Ascii if !bytes.is_ascii() => None,
            Charset::Ascii | Charset::Utf8 => String::from_utf8(bytes.to_vec()).ok(),
            Charset::Latin1 => Some(bytes.iter().copied().map(char::from).collect()),
            Charset::Gb18030 => {
                let text = encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(bytes);
                text.map(std::borrow::Cow::into_owned)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(charset: Charset, is_swapped: bool, wire: &[u8], expected: Option<&str>) {
        let words: Vec<u16> = wire.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        let order = ByteOrder { are_bytes_swapped: is_swapped, ..ByteOrder::PLAIN };
        let text = charset.decode(&words, order);
        let expected = expected.map(|text| Value::String(text.into())).ok_or(StatusCode::BAD_DECODING_ERROR);
        assert!(text == expected, "{wire:?}");
    }

    #[test]
    fn a_text_ends_at_its_first_nul_and_without_its_padding() {
        check(Charset::Ascii, false, b"EX-7  ", Some("EX-7"));
        check(Charset::Ascii, false, b"EX-7\0\0", Some("EX-7"));
        check(Charset::Ascii, false, b"EX-7 \0\xFF\x07", Some("EX-7"));
        check(Charset::Ascii, false, b"  EX", Some("  EX"));
        check(Charset::Ascii, false, b"\0\0\0\0", Some(""));
        check(Charset::Ascii, true, b"XE7-", Some("EX-7"));
    }

    /// GB 2312 in two bytes, GBK beyond it, GB 18030 in four.
    #[test]
    fn chinese_letters_are_read_as_gbk_and_as_gb_18030() {
        check(Charset::Gb18030, false, b"\xBC\xB7\xB3\xF6-7", Some("\u{6324}\u{51fa}-7"));
        check(Charset::Gb18030, true, b"\xB7\xBC\xF6\xB3", Some("\u{6324}\u{51fa}"));
        check(Charset::Gb18030, false, b"\x95\x51\0\0", Some("\u{660b}"));
        check(Charset::Gb18030, false, b"\x81\x39\xEE\x39", Some("\u{3400}"));
        check(Charset::Gb18030, false, b"plain ", Some("plain"));
        check(Charset::Gb18030, false, b"x\xBC", None);
        check(Charset::Gb18030, false, b"\xFF\xFF", None);
    }

    #[test]
    fn bytes_that_are_no_text_are_a_bad_reading() {
        check(Charset::Ascii, false, b"caf\xE9", None);
        check(Charset::Latin1, false, b"caf\xE9", Some("caf\u{e9}"));
        check(Charset::Utf8, false, b"caf\xC3\xA9 ", Some("caf\u{e9}"));
        check(Charset::Utf8, false, b"caf\xE9", None);
        check(Charset::Utf8, false, "\u{6324}\u{51fa}".as_bytes(), Some("\u{6324}\u{51fa}"));
        check(Charset::Latin1, false, b"a\x85", None);
        check(Charset::Latin1, false, b"\xB5m", Some("\u{b5}m"));
        check(Charset::Ascii, false, b"a\x07", None);
    }
}
