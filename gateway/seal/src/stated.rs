//! What a bundle says to people: whose roles they are, what a purpose is, how long it holds.

use lingate_model::{PurposeId, UtcMicros};

use crate::VerifiedBundle;

/// A purpose as the sandbox states it, whether it holds at the moment or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stated<'a> {
    /// In the sandbox's own words; its SHA-256 is sealed into every epoch.
    pub statement: &'a str,
    pub from: UtcMicros,
    /// The first moment at which it no longer holds.
    pub until: UtcMicros,
}

impl VerifiedBundle {
    /// `nbf`.
    pub fn valid_from(&self) -> UtcMicros {
        self.valid.from
    }

    pub fn stated_purpose(&self, purpose: &PurposeId) -> Option<Stated<'_>> {
        let stated = self.purposes.get(purpose)?;
        Some(Stated { statement: &stated.statement, from: stated.valid.from, until: stated.valid.until })
    }

    /// Whose role it is.
    pub fn party(&self, role: &str) -> Option<&str> {
        self.roles.get(role).map(|role| role.party.as_str())
    }
}
