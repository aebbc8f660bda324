use std::collections::{BTreeMap, BTreeSet};

use lingate_model::DatasetId;
use lingate_seal::{Acknowledgement, PlantTerms};

use crate::{ExportLedger, Quota, Replay};

/// What the plant decides beside the export plan.
#[derive(Clone, Debug)]
pub struct Rules {
    /// A veto in here counts as carried out; one that is to destroy what waits comes as an input.
    pub plant: PlantTerms,
    /// The stricter of this and the bundle's holds.
    pub acknowledgement: Acknowledgement,
    pub quotas: BTreeMap<DatasetId, Quota>,
    /// Datasets whose newest records do not wait behind their backlog.
    pub live_first: BTreeSet<DatasetId>,
    pub replay: Replay,
    /// As it was kept last, with what is reserved: that is durable.
    pub ledger: ExportLedger,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            plant: PlantTerms::default(),
            acknowledgement: Acknowledgement::Broker,
            quotas: BTreeMap::new(),
            live_first: BTreeSet::new(),
            replay: Replay::default(),
            ledger: ExportLedger::default(),
        }
    }
}
