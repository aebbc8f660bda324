//! Read Device Identification, function 43 with MEI type 14 (Application Protocol V1.1b3, 6.21): who the device says it
//! is. Pure: says what to ask next and takes the answer apart.
//!
//! ```text
//! let mut identification = Identification::default();
//! while let Some((level, object)) = identification.next() {
//!     ask 2B 0E level object ──▶ identification.take(&pdu), or identification.refused() for an exception or silence
//! }
//! identification.identity()
//! ```

use std::collections::BTreeMap;

use lingate_model::DeviceIdentity;

/// Vendor, product code and revision; then, if the device has them, the names of the regular level.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identification {
    objects: BTreeMap<u8, String>,
    /// What is asked next of the basic and then of the regular level.
    at: At,
    pages: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Begin,
    Asking {
        level: u8,
        object: u8,
    },
    End,
}

/// The answer breaks the protocol; its text says nothing of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

const BASIC: u8 = 1;
const REGULAR: u8 = 2;
/// Answers of one device at most; seven objects fit into one.
const PAGES_MAX: u8 = 8;
const TEXT_MAX: usize = 256;

impl Identification {
    /// Level and first object of the next request; `None`: all is told.
    pub(crate) fn next(&self) -> Option<(u8, u8)> {
        match self.at {
            At::Begin => Some((BASIC, 0)),
            At::Asking { level, object } => Some((level, object)),
            At::End => None,
        }
    }

    /// `pdu`: from the function code on. After an error nothing more is asked; what was told before stays.
    pub(crate) fn take(&mut self, pdu: &[u8]) -> Result<(), Malformed> {
        let (level, asked) = self.next().unwrap_or((BASIC, 0));
        self.at = At::End;
        let [0x2B, 0x0E, answered, conformity, more, next, count, objects @ ..] = pdu else {
            return Err(Malformed("is no device identification"));
        };
        if *answered != level {
            return Err(Malformed("answers another level than was asked"));
        }
        self.take_objects(objects, *count)?;
        self.pages += 1;
        self.at = match (*more, level) {
            _ if self.pages >= PAGES_MAX => At::End,
            // Forward only, or it would never end.
            (0xFF, _) if *next > asked => At::Asking { level, object: *next },
            (_, BASIC) if conformity & 0x7F >= REGULAR => At::Asking { level: REGULAR, object: 0 },
            _ => At::End,
        };
        Ok(())
    }

    /// The device does not tell more.
    pub(crate) fn refused(&mut self) {
        self.at = At::End;
    }

    /// `None`: the device told nothing.
    pub(crate) fn identity(&self) -> Option<DeviceIdentity> {
        let text = |object: u8| self.objects.get(&object).cloned().unwrap_or_default();
        let mut product = text(1);
        for name in [text(4), text(5)] {
            if !name.is_empty() && !product.contains(&name) {
                product = format!("{product} {name}").trim().to_owned();
            }
        }
        let product = product.chars().take(TEXT_MAX).collect();
        let identity = DeviceIdentity { vendor: text(0), product, revision: text(2) };
        (identity != DeviceIdentity::default()).then_some(identity)
    }

    fn take_objects(&mut self, mut bytes: &[u8], count: u8) -> Result<(), Malformed> {
        for _ in 0..count {
            let [id, length, rest @ ..] = bytes else { return Err(Malformed("ends within an object")) };
            let Some((text, behind)) = rest.split_at_checked(usize::from(*length)) else {
                return Err(Malformed("ends within an object"));
            };
            bytes = behind;
            // Beyond: the vendor's own, of which nothing is known.
            if *id <= 6 {
                self.objects.insert(*id, clean(text));
            }
        }
        if bytes.is_empty() { Ok(()) } else { Err(Malformed("has bytes behind its last object")) }
    }
}

/// Printable, without the padding, at most 256 characters.
fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).take(TEXT_MAX).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(level: u8, conformity: u8, more: u8, next: u8, objects: &[(u8, &[u8])]) -> Vec<u8> {
        let mut pdu = vec![0x2B, 0x0E, level, conformity, more, next, objects.len() as u8];
        for (id, text) in objects {
            pdu.extend([*id, text.len() as u8]);
            pdu.extend_from_slice(text);
        }
        pdu
    }

    /// The example of the specification, 6.21.
    #[test]
    fn the_example_of_the_specification_is_read() {
        let mut identification = Identification::default();
        assert_eq!(identification.next(), Some((1, 0)));
        let company = b"Company identification";
        let pdu = page(1, 1, 0, 0, &[(0, company), (1, b"Product code XX"), (2, b"V2.11")]);
        assert_eq!(identification.take(&pdu), Ok(()));
        assert_eq!(identification.next(), None);
        let identity = identification.identity().unwrap();
        assert_eq!(identity.vendor, "Company identification");
        assert_eq!((identity.product.as_str(), identity.revision.as_str()), ("Product code XX", "V2.11"));
    }

    #[test]
    fn more_follows_and_the_regular_level_are_asked_for() {
        let mut identification = Identification::default();
        identification.take(&page(1, 0x82, 0xFF, 2, &[(0, b"ACME"), (1, b"X-7")])).unwrap();
        assert_eq!(identification.next(), Some((1, 2)));
        identification.take(&page(1, 0x82, 0, 0, &[(2, b"1.0")])).unwrap();
        assert_eq!(identification.next(), Some((2, 0)));
        identification.take(&page(2, 0x82, 0, 0, &[(0, b"ACME"), (4, b"Extruder"), (5, b"X-7")])).unwrap();
        assert_eq!(identification.next(), None);
        assert_eq!(identification.identity().unwrap().product, "X-7 Extruder");
    }

    #[test]
    fn a_device_that_goes_round_in_circles_is_left() {
        let mut identification = Identification::default();
        let mut asked = 0;
        while let Some((level, object)) = identification.next() {
            asked += 1;
            identification.take(&page(level, 2, 0xFF, object.wrapping_add(1), &[(0x80, b"x")])).unwrap();
        }
        assert_eq!(asked, PAGES_MAX);
        identification = Identification::default();
        identification.take(&page(1, 1, 0xFF, 0, &[])).unwrap();
        assert_eq!(identification.next(), None, "next is not ahead");
        assert_eq!(identification.identity(), None);
    }

    #[test]
    fn lengths_that_lie_are_refused_and_end_it() {
        let good = page(1, 2, 0, 0, &[(0, b"ACME"), (1, b"X")]);
        for end in 0..good.len() {
            let mut identification = Identification::default();
            assert!(identification.take(&good[..end]).is_err(), "{end}");
            assert_eq!(identification.next(), None);
        }
        let mut behind = good.clone();
        behind.push(0);
        let mut other_level = good.clone();
        other_level[2] = 4;
        let mut too_many = good.clone();
        too_many[6] = 255;
        for wrong in [behind, other_level, too_many] {
            assert!(Identification::default().take(&wrong).is_err());
        }
    }

    #[test]
    fn texts_are_printable_and_cut() {
        assert_eq!(clean(b"  ACME\0\0"), "ACME");
        assert_eq!(clean(b"A\x1B[31m\xFF"), "A\u{FFFD}[31m\u{FFFD}");
        assert_eq!(clean(&[b'x'; 255]).len(), 255);
    }

    proptest! {
        #[test]
        fn no_answer_panics_or_never_ends(answers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..20)) {
            let mut identification = Identification::default();
            let mut asked = 0;
            for mut answer in answers {
                let Some((level, _)) = identification.next() else { break };
                for (byte, wanted) in answer.iter_mut().zip([0x2B, 0x0E, level]) {
                    *byte = wanted;
                }
                let _ = identification.take(&answer);
                asked += 1;
            }
            prop_assert!(asked <= PAGES_MAX);
            let identity = identification.identity().unwrap_or_default();
            prop_assert!(identity.product.chars().count() <= TEXT_MAX);
        }
    }
}
