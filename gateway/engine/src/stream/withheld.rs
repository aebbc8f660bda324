use lingate_model::UtcMicros;
use lingate_refine::Batch;
use lingate_seal::{GapCause, GapRecord, NotGranted};

use super::Stream;
use crate::gaps;
use crate::lost::Lost;

/// Why nothing is sealed for a dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) why: String,
    /// What is read meanwhile is lost for this cause. `None`: nobody was ever to have it.
    pub(crate) loses: Option<GapCause>,
}

const RETIRED: &str = "the configuration no longer has it";

impl Denied {
    pub(crate) fn before_a_bundle() -> Denied {
        Denied { why: "there is no sandbox bundle yet: put it into the inbox folder".to_owned(), loses: None }
    }

    /// The configuration does not have the dataset any more: nothing is read for it.
    pub(crate) fn retired() -> Denied {
        Denied { why: RETIRED.to_owned(), loses: None }
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.why == RETIRED
    }

    pub(crate) fn by(refusal: &NotGranted) -> Denied {
        let loses = match refusal {
            NotGranted::BundleExpired | NotGranted::PurposeExpired(_) | NotGranted::NoRecipient(_) => {
                Some(GapCause::PolicyExpired)
            }
            NotGranted::Vetoed(_) | NotGranted::RecipientsVetoed(_) => Some(GapCause::Withheld),
            NotGranted::UnknownDataset(_)
            | NotGranted::PurposeNotGranted { .. }
            | NotGranted::PurposeNotBegun(_)
            | NotGranted::ApprovalMissing(_)
            | NotGranted::NoSuite { .. }
            | NotGranted::TooManyRecipients { .. } => None,
        };
        Denied { why: refusal.to_string(), loses }
    }
}

impl Stream {
    /// A reading of this dataset was read. `Some`: it is lost, because what allowed it has ended.
    pub(crate) fn withhold(&mut self, time: UtcMicros) -> Option<Lost> {
        let cause = self.grant.as_ref().err()?.loses?;
        let (device, from, to) = ("*".to_owned(), time, time);
        self.gaps.widen(GapRecord::Slots { device, from, to, readings: 1, cause });
        Some(lost(cause, 1))
    }

    /// The readings may not leave under the rights that hold now.
    pub(crate) fn withheld(&mut self, batch: &Batch) -> Lost {
        let denied = self.grant.as_ref().err().and_then(|denied| denied.loses);
        let (cause, readings) = (denied.unwrap_or(GapCause::PolicyExpired), batch.readings().len() as u64);
        if readings > 0 {
            self.gaps.add(gaps::over(batch, cause));
        }
        lost(cause, readings)
    }
}

fn lost(cause: GapCause, readings: u64) -> Lost {
    let cause = if cause == GapCause::Withheld { "withheld" } else { "policy" };
    Lost { cause, readings, notice: None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_granted_is_no_loss_and_what_ended_is() {
        let dataset: lingate_model::DatasetId = "ds-1".parse().unwrap();
        let purpose: lingate_model::PurposeId = "urn:x".parse().unwrap();
        let loses = |refusal| Denied::by(&refusal).loses;
        assert_eq!(loses(NotGranted::BundleExpired), Some(GapCause::PolicyExpired));
        assert_eq!(loses(NotGranted::PurposeExpired(purpose.clone())), Some(GapCause::PolicyExpired));
        assert_eq!(loses(NotGranted::Vetoed(dataset.clone())), Some(GapCause::Withheld));
        assert_eq!(loses(NotGranted::UnknownDataset(dataset)), None);
        assert_eq!(loses(NotGranted::PurposeNotBegun(purpose)), None);
    }
}
