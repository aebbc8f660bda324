use lingate_model::{BuiltinType, Class, Reading, StatusCode, UtcMicros, Value};

use crate::count::Tally;
use crate::{DatasetIndex, PointPlan, StepId};

/// A reading whose point may leave: it passed the allow-list (M1) and the class ceiling (M2), and its value has the
/// type that the catalogue declares (otherwise it is bad with BadTypeMismatch and has no value).
#[derive(Clone, Debug)]
pub struct Tagged {
    pub(crate) dataset: DatasetIndex,
    pub(crate) alias: u32,
    pub(crate) time: UtcMicros,
    pub(crate) value: Option<Value>,
    pub(crate) status: StatusCode,
}

/// What names a point's readings: an entry of the allow-list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) dataset: DatasetIndex,
    alias: u32,
    class: Option<Class>,
    builtin_type: BuiltinType,
}

impl Rule {
    /// `None`: no dataset names the point.
    pub(crate) fn of(point: &PointPlan) -> Option<Rule> {
        let export = point.export.as_ref()?;
        Some(Rule {
            dataset: export.dataset,
            alias: export.alias,
            class: export.class,
            builtin_type: point.builtin_type,
        })
    }
}

/// M1 and M2. `ceiling` is `None` if the dataset is not granted: then M1 suppresses.
pub(crate) fn tag(reading: Reading, rule: &Rule, ceiling: Option<Class>, tally: &mut Tally) -> Option<Tagged> {
    let ceiling = tally.count(StepId::AllowList, ceiling)?;
    tally.count(StepId::ClassCeiling, rule.class.filter(|class| *class <= ceiling))?;
    let time = reading.time();
    let (value, status) = told(reading.value, reading.status, rule.builtin_type);
    Some(Tagged { dataset: rule.dataset, alias: rule.alias, time, value, status })
}

/// Makes `value` present exactly if `status` is not bad, and of the declared type.
fn told(value: Option<Value>, status: StatusCode, declared: BuiltinType) -> (Option<Value>, StatusCode) {
    match value {
        _ if status.is_bad() => (None, status),
        None => (None, StatusCode::BAD_NO_DATA),
        Some(value) if value.builtin_type() != declared => (None, StatusCode::BAD_TYPE_MISMATCH),
        Some(value) => (Some(value), status),
    }
}
