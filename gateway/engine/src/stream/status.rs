use lingate_refine::{DatasetPlan, Refinery};
use lingate_seal::Grant;

use super::Stream;
use crate::status::DatasetStatus;

impl Stream {
    pub(crate) fn status(&self, plan: &DatasetPlan, refinery: &Refinery) -> DatasetStatus {
        let totals = refinery.totals(self.dataset);
        DatasetStatus {
            id: self.name.clone(),
            purpose: plan.purpose.to_string(),
            denied: self.denied().or(self.fault.as_ref()).cloned(),
            recipients: self.grant.as_ref().map_or(0, |grant| grant.recipients.len()),
            recipient_roles: self.grant.as_ref().map(Grant::roles).unwrap_or_default(),
            read: totals.read,
            kept: totals.kept,
            suppressed: totals.suppressed.iter().map(|(step, count)| (*step as u8, *count)).collect(),
            accepted_readings: self.accepted.readings,
            accepted_records: self.accepted.records,
            acknowledged_readings: self.acknowledged.readings,
            acknowledged_records: self.acknowledged.records,
            newest_acknowledged: self.newest_acknowledged,
            gaps: self.gaps_declared,
            undeclared: self.slots.count().saturating_add(self.gaps.readings() + self.told.readings()),
        }
    }
}
