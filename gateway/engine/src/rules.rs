use std::collections::BTreeMap;

use lingate_model::DatasetId;
use lingate_seal::{Acknowledgement, PlantTerms};

use crate::{ExportLedger, Quota};

/// What the plant decides beside the export plan.
#[derive(Clone, Debug)]
pub struct Rules {
    /// A veto in here counts as carried out; one that is to destroy what waits comes as an input.
    pub plant: PlantTerms,
    /// The stricter of this and the bundle's holds.
    pub acknowledgement: Acknowledgement,
    pub quotas: BTreeMap<DatasetId, Quota>,
    /// As it was kept last, with what is reserved: that is durable.
    pub ledger: ExportLedger,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            plant: PlantTerms::default(),
            acknowledgement: Acknowledgement::Broker,
            quotas: BTreeMap::new(),
            ledger: ExportLedger::default(),
        }
    }
}
