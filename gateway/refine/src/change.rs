use std::time::Duration;

use lingate_model::StatusCode;

use crate::clip::Clip;
use crate::minimized::Item;
use crate::rounding::Rounding;
use crate::{Mask, PseudonymKey, Step, StepId, VALUE_WEIGHT_MAX};

/// M8 to M12: what changes a value or its times.
#[derive(Debug)]
pub(crate) enum Change {
    Round(Rounding),
    Clip(Clip),
    Coarsen(Duration),
    Pseudonym,
    Mask(Mask),
}

impl Change {
    /// `None`: the step is another one.
    pub(crate) fn of(step: &Step) -> Option<Change> {
        Some(match step {
            Step::Round { to } => Change::Round(Rounding::new(*to)),
            Step::Clip { low, high } => Change::Clip(Clip::new(*low, *high)),
            Step::Coarsen { to } => Change::Coarsen(*to),
            Step::Pseudonym => Change::Pseudonym,
            Step::Mask(mask) => Change::Mask(mask.clone()),
            _ => return None,
        })
    }

    pub(crate) fn step(&self) -> StepId {
        match self {
            Change::Round(_) => StepId::Rounding,
            Change::Clip(_) => StepId::Clip,
            Change::Coarsen(_) => StepId::TimeCoarsening,
            Change::Pseudonym => StepId::Pseudonym,
            Change::Mask(_) => StepId::Masking,
        }
    }

    /// `false`: the item must not leave.
    pub(crate) fn apply(&self, item: &mut Item, pseudonyms: Option<&PseudonymKey>) -> bool {
        if let Change::Coarsen(to) = self {
            item.stamp.coarsen(*to);
            return true;
        }
        let Some(value) = item.value.take() else { return true };
        let changed = match self {
            Change::Round(rounding) => Some(rounding.round(value)),
            Change::Clip(clip) => Some(clip.clip(value)),
            Change::Coarsen(_) => Some(value),
            Change::Pseudonym => pseudonyms.and_then(|key| key.pseudonym(&value)),
            Change::Mask(mask) => Some(mask.mask(value)),
        };
        let is_allowed = changed.is_some();
        item.value = changed.filter(|value| value.weight() <= VALUE_WEIGHT_MAX);
        if is_allowed && item.value.is_none() {
            item.status = StatusCode::BAD_ENCODING_LIMITS_EXCEEDED;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use lingate_model::{Origin, UtcMicros, Value};

    use super::*;
    use crate::Stamp;

    fn item(value: Option<Value>) -> Item {
        let stamp = Stamp { gateway_time: UtcMicros(0), source_time: None, server_time: None, origin: Origin::Live };
        let status = if value.is_some() { StatusCode::GOOD } else { StatusCode::BAD_TIMEOUT };
        Item { stamp, value, status, at: 0, readings: 1 }
    }

    #[test]
    fn without_its_key_no_identifier_leaves() {
        let key = PseudonymKey::new(&[7; 32]);
        assert!(!Change::Pseudonym.apply(&mut item(Some(Value::UInt32(4711))), None));
        assert!(!Change::Pseudonym.apply(&mut item(Some(Value::Double(4711.0))), Some(&key)));
        assert!(Change::Pseudonym.apply(&mut item(Some(Value::UInt32(4711))), Some(&key)));
        assert!(Change::Pseudonym.apply(&mut item(None), None), "a bad reading has nothing to hide");
    }

    #[test]
    fn a_text_that_a_mask_makes_too_heavy_is_told_as_bad() {
        let mask = Mask::new("x", &"*".repeat(32)).expect("a pattern");
        let mut heavy = item(Some(Value::String("x".repeat(VALUE_WEIGHT_MAX / 16).into())));
        assert!(Change::Mask(mask).apply(&mut heavy, None));
        assert_eq!((heavy.value, heavy.status), (None, StatusCode::BAD_ENCODING_LIMITS_EXCEEDED));
    }
}
