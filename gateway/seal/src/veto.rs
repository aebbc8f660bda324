use std::collections::BTreeSet;

use lingate_model::DatasetId;

use crate::Kid;

/// What the plant forbids, whatever a bundle grants. Effective rights are the bundle's less these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Veto {
    /// Nothing at all is sealed.
    pub everything: bool,
    /// It cannot be understood: until it can, nothing is sealed and nothing is sent. Nothing is destroyed either, because
    /// nobody said what.
    pub unclear: bool,
    pub datasets: BTreeSet<DatasetId>,
    /// Ids of roles, names of parties, or kids of 16 hex digits.
    pub recipients: BTreeSet<String>,
}

impl Veto {
    pub fn is_empty(&self) -> bool {
        *self == Veto::default()
    }

    pub fn forbids(&self, dataset: &DatasetId) -> bool {
        self.everything || self.unclear || self.datasets.contains(dataset)
    }

    /// Whether the holder of this key may not read, being one of these parties in one of these roles.
    pub(crate) fn excludes<'a>(&self, kid: Kid, names: impl IntoIterator<Item = &'a str>) -> bool {
        !self.recipients.is_empty()
            && (self.recipients.contains(&kid.to_string())
                || names.into_iter().any(|name| self.recipients.contains(name)))
    }
}
