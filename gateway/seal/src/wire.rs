//! The payload's types, generated from `proto/lingate.v1.proto` (`tests/wire.rs` compares and regenerates).

#[rustfmt::skip]
#[allow(missing_docs, unused_qualifications, clippy::all, reason = "generated")]
mod generated;

use std::fmt;

pub use generated::*;

/// Shows sizes only, so that no log line can carry a process value.
impl fmt::Debug for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Column {{ alias: {}, values: {} }}", self.alias, self.v.len() + self.f.len() + self.s.len())
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block {{ points: {}, values: {} }}", self.alias.len(), self.alias.len() + self.v.len())
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Run {{ kind: {}, start_row: {} }}", self.kind, self.start_row)
    }
}

/// Nothing of what is in these is shown.
macro_rules! opaque_debug {
    ($($message:ty: $name:literal),*) => {$(
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($name)
            }
        }
    )*};
}

opaque_debug!(
    Datum: "Datum", datum::Content: "Content", LocalizedText: "LocalizedText", Array: "Array",
    Structure: "Structure", Field: "Field", Opaque: "Opaque"
);

impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lineage {{ media: {:?}, bytes: {} }}", self.media, self.document.len())
    }
}
