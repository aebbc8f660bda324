use lingate_model::{Class, UtcMicros};

use crate::{Kid, VerifiedBundle};

/// What a bundle says, for people: who may read what for which purpose, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleSummary {
    pub datasets: Vec<DatasetSummary>,
    pub roles: Vec<RoleSummary>,
    /// Id and end.
    pub purposes: Vec<(String, UtcMicros)>,
    pub revoked: Vec<Kid>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetSummary {
    pub id: String,
    pub purposes: Vec<String>,
    pub roles: Vec<String>,
    pub ceiling: Class,
    pub approval: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSummary {
    pub id: String,
    pub party: String,
    /// Keys that this build can seal to, and when each ends.
    pub keys: Vec<(Kid, UtcMicros)>,
}

impl VerifiedBundle {
    pub fn summary(&self) -> BundleSummary {
        let datasets = self.datasets.iter().map(|(id, dataset)| DatasetSummary {
            id: id.to_string(),
            purposes: dataset.purposes.iter().map(ToString::to_string).collect(),
            roles: dataset.roles.clone(),
            ceiling: dataset.ceiling,
            approval: dataset.approval.clone(),
        });
        let key = |kid: &Kid| Some((*kid, self.keys.get(kid)?.valid.until));
        let roles = self.roles.iter().map(|(id, role)| RoleSummary {
            id: id.clone(),
            party: role.party.clone(),
            keys: role.kids.iter().filter_map(key).collect(),
        });
        BundleSummary {
            datasets: datasets.collect(),
            roles: roles.collect(),
            purposes: self.purposes.iter().map(|(id, purpose)| (id.to_string(), purpose.valid.until)).collect(),
            revoked: self.revoked().collect(),
        }
    }

    /// Every name by which a plant can mean somebody who reads: roles, parties and keys.
    pub fn recipient_names(&self) -> Vec<String> {
        let roles = self.roles.iter().flat_map(|(id, role)| [id.clone(), role.party.clone()]);
        roles.chain(self.keys.keys().map(ToString::to_string)).collect()
    }
}
