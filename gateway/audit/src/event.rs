use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest text of a field, in characters.
pub const TEXT_MAX: usize = 256;
/// Entries of a field that counts by name.
const COUNTS_MAX: usize = 32;
/// Entries of a field that lists texts.
const TEXTS_MAX: usize = 64;

macro_rules! kinds {
    ($($kind:ident $name:literal $meaning:literal,)*) => {
        /// What can happen, as wire.md section 12 lists it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = $meaning] $kind,)*
        }

        impl Kind {
            pub const ALL: &[Kind] = &[$(Kind::$kind,)*];

            pub fn name(self) -> &'static str {
                match self {
                    $(Kind::$kind => $name,)*
                }
            }

            /// For people: what it means.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Kind::$kind => $meaning,)*
                }
            }
        }
    };
}

kinds! {
    Start "start" "The daemon begins.",
    Stop "stop" "The daemon ends in order.",
    Enroll "enroll" "Keys were made or a request for the sandbox was written.",
    RootChanged "root.changed" "A bundle brought other root keys.",
    BundleAccepted "bundle.accepted" "A bundle came into force.",
    BundleRejected "bundle.rejected" "A bundle was refused.",
    EpochOpen "epoch.open" "A key was drawn for a dataset, its purpose and its recipients.",
    EpochClose "epoch.close" "Nothing more is sealed with an epoch's key.",
    DataRange "data.range" "Records were sealed for a dataset; root is over their digests.",
    DataAcked "data.acked" "The sandbox has them.",
    DataDropped "data.dropped" "Readings that will not arrive.",
    Gap "gap" "A gap record was sealed.",
    PolicyLoaded "policy.loaded" "What a dataset may hold, by the configuration.",
    PolicyDenied "policy.denied" "Nothing may be sealed for a dataset.",
    PurposeExpired "purpose.expired" "A purpose has ended.",
    KeyRevoked "key.revoked" "The sandbox took a key back.",
    SourceUp "source.up" "A device answers.",
    SourceDown "source.down" "A device does not answer.",
    ClockAnomaly "clock.anomaly" "The wall clock jumped, or stands before the newest line.",
    BufferHigh "buffer.high" "The disk buffer is nearly full.",
    ConfigChanged "config.changed" "Another configuration than before is in force, or was refused.",
    OperatorCommand "operator.command" "Somebody at the plant gave an order.",
    AuditFile "audit.file" "First line of a file: what came before it.",
    AuditGap "audit.gap" "Lines that could not be written, or are lost.",
    AuditPruned "audit.pruned" "Old files were deleted at the end of their time.",
    AuditForked "audit.forked" "The sandbox knows another history of this log.",
}

impl Kind {
    pub fn of_name(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Rare, and each counts: never coalesced.
    pub(crate) fn is_always_written(self) -> bool {
        matches!(
            self,
            Kind::Start
                | Kind::Stop
                | Kind::Enroll
                | Kind::RootChanged
                | Kind::BundleAccepted
                | Kind::PolicyLoaded
                | Kind::ConfigChanged
                | Kind::OperatorCommand
                | Kind::AuditFile
                | Kind::AuditGap
                | Kind::AuditPruned
                | Kind::AuditForked
        )
    }
}

/// What happened, with fields in the order in which they are written. It can hold names, hashes, reasons and counts; there
/// is no field for a measured value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    kind: Kind,
    fields: Vec<(Cow<'static, str>, Field)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Field {
    Text(String),
    Texts(Vec<String>),
    Count(u64),
    Counts(BTreeMap<String, u64>),
}

impl Event {
    pub fn new(kind: Kind) -> Event {
        Event { kind, fields: Vec::new() }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A name, a hash or a reason; control characters become spaces, and what is too long is cut.
    #[must_use]
    pub fn text(self, name: &'static str, text: impl AsRef<str>) -> Event {
        self.with(name, Field::Text(clean(text.as_ref())))
    }

    #[must_use]
    pub fn count(self, name: &'static str, count: u64) -> Event {
        self.with(name, Field::Count(count))
    }

    /// Counts by name; the largest names by order are left out when there are too many.
    #[must_use]
    pub fn counts<'a>(self, name: &'static str, counts: impl IntoIterator<Item = (&'a str, u64)>) -> Event {
        let counts = counts.into_iter().map(|(key, count)| (clean(key), count));
        self.with(name, Field::Counts(counts.take(COUNTS_MAX).collect()))
    }

    /// At most 64 texts.
    #[must_use]
    pub fn texts(self, name: &'static str, texts: impl IntoIterator<Item = String>) -> Event {
        self.with(name, Field::Texts(texts.into_iter().take(TEXTS_MAX).map(|text| clean(&text)).collect()))
    }

    fn with(mut self, name: &'static str, field: Field) -> Event {
        self.fields.push((name.into(), field));
        self
    }

    /// `{"ev":"...",...}`: for a program that hands an event to the one that keeps the log.
    pub fn to_json(&self) -> String {
        let mut text = format!("{{\"ev\":\"{}\"", self.kind.name());
        self.write_fields(&mut text);
        text.push('}');
        text
    }

    /// `None`: not such an event. A field that holds anything but texts and counts is none.
    pub fn from_json(text: &str) -> Option<Event> {
        let members: serde_json::Map<String, Value> = serde_json::from_str(text).ok()?;
        let mut event = Event::new(Kind::of_name(members.get("ev")?.as_str()?)?);
        for (name, value) in members.into_iter().filter(|(name, _)| name != "ev") {
            let is_name = name.len() <= 32
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            let is_free = !matches!(name.as_str(), "v" | "n" | "t" | "prev");
            let field = Field::clean(serde_json::from_value(value).ok()?);
            event.fields.push((Cow::Owned(name), Some(field).filter(|_| is_name && is_free)?));
        }
        (event.fields.len() <= 16).then_some(event)
    }

    /// Whom or what it is about: the first text.
    pub(crate) fn subject(&self) -> &str {
        let first = self.fields.iter().find_map(|(_, field)| match field {
            Field::Text(text) => Some(text.as_str()),
            _ => None,
        });
        first.unwrap_or_default()
    }

    /// `,"name":value` for each field.
    pub(crate) fn write_fields(&self, line: &mut String) {
        for (name, field) in &self.fields {
            let value = serde_json::to_string(field).expect("texts and numbers are JSON");
            line.push_str(&format!(",\"{name}\":{value}"));
        }
    }
}

impl Field {
    fn clean(field: Field) -> Field {
        match field {
            Field::Text(text) => Field::Text(clean(&text)),
            Field::Texts(texts) => Field::Texts(texts.iter().take(TEXTS_MAX).map(|text| clean(text)).collect()),
            Field::Count(count) => Field::Count(count),
            Field::Counts(counts) => {
                Field::Counts(counts.into_iter().take(COUNTS_MAX).map(|(name, count)| (clean(&name), count)).collect())
            }
        }
    }
}

/// One line of at most [`TEXT_MAX`] characters.
pub fn clean(text: &str) -> String {
    text.chars().take(TEXT_MAX).map(|c| if is_deceptive(c) { ' ' } else { c }).collect()
}

/// What a terminal obeys, breaks a line, turns the direction of the text around it, or cannot be seen.
pub fn is_deceptive(c: char) -> bool {
    let is_hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    c.is_control() || is_hidden || matches!(c, '\u{2028}'..='\u{202e}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_one_short_line() {
        let hostile = format!("a\"b\\c\n{{\"ev\":\"stop\"}}\u{202e}\u{200b}\u{2066}{}", "x".repeat(1000));
        let mut line = String::new();
        Event::new(Kind::SourceDown).text("reason", hostile).count("n", 3).write_fields(&mut line);
        let parsed: Value = serde_json::from_str(&format!("{{{}}}", &line[1..])).unwrap();
        assert_eq!(parsed["reason"].as_str().unwrap().chars().count(), TEXT_MAX);
        assert!(!line.contains(is_deceptive) && parsed.get("ev").is_none(), "{line}");
    }

    #[test]
    fn an_event_is_handed_over_without_loss_and_without_values() {
        let event = Event::new(Kind::OperatorCommand).text("a", "veto").counts("c", [("k", 1)]).count("n_1", 2);
        let event = event.texts("sha256", ["x".to_owned()]);
        assert_eq!(Event::from_json(&event.to_json()), Some(event));
        for bad in [
            r#"{"ev":"stop","x":1.5}"#,
            r#"{"ev":"stop","prev":"0"}"#,
            r#"{"ev":"?"}"#,
            r#"{"ev":"stop","x":-1}"#,
            "[]",
        ] {
            assert_eq!(Event::from_json(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_name(kind.name()), Some(*kind));
        }
    }
}
