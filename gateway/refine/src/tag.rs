use lingate_model::defect::{Defect, is_seeded};
use lingate_model::{BuiltinType, Class, Reading, StatusCode, Value};

use crate::{ContextKind, DatasetIndex, PointPlan, Stamp, StepId};

/// What a value may weigh: a batch is closed before it weighs more than twice this, and fits into one message.
pub const VALUE_WEIGHT_MAX: usize = 1024 * 1024;

/// A reading whose point may leave: it passed the allow-list (M1) and the class ceiling (M2), and its value has the
/// type and the number of dimensions that the catalogue declares (otherwise it is bad with BadTypeMismatch and has no
/// value).
#[derive(Clone, Debug)]
pub struct Tagged {
    pub(crate) stamp: Stamp,
    pub(crate) value: Option<Value>,
    pub(crate) status: StatusCode,
}

impl Shape {
    /// A point of type Variant takes values of every type: each says on the wire what it is.
    fn fits(self, value: &Value) -> bool {
        let is_type = self.builtin_type == BuiltinType::Variant || self.builtin_type == value.builtin_type();
        is_type && value.rank() == self.rank
    }
}

/// What names a point's readings: an entry of the allow-list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) dataset: DatasetIndex,
    pub(crate) alias: u32,
    class: Option<Class>,
    pub(crate) context: Option<ContextKind>,
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    builtin_type: BuiltinType,
    rank: u8,
}

impl Rule {
    /// `None`: no dataset names the point.
    pub(crate) fn of(point: &PointPlan) -> Option<Rule> {
        let export = point.export.as_ref()?;
        Some(Rule {
            dataset: export.dataset,
            alias: export.alias,
            class: export.leaving_class(),
            context: export.context,
            shape: Shape { builtin_type: point.builtin_type, rank: point.rank },
        })
    }
}

/// M1 and M2. `ceiling` is `None` if the dataset is not granted: then M1 suppresses. `Err`: the step that does.
pub(crate) fn tag(reading: Reading, rule: &Rule, ceiling: Option<Class>) -> Result<Tagged, StepId> {
    let ceiling = ceiling.ok_or(StepId::AllowList)?;
    let leaks = is_seeded(Defect::PolicyLeak);
    rule.class.filter(|class| *class <= ceiling).or(leaks.then_some(ceiling)).ok_or(StepId::ClassCeiling)?;
    let stamp = Stamp::of(&reading);
    let (value, status) = told(reading.value, reading.status, rule.shape);
    Ok(Tagged { stamp, value, status })
}

/// Makes `value` present exactly if `status` is not bad, of the declared shape, and light enough for a message.
fn told(value: Option<Value>, status: StatusCode, declared: Shape) -> (Option<Value>, StatusCode) {
    match value {
        _ if status.is_bad() => (None, status),
        None => (None, StatusCode::BAD_NO_DATA),
        Some(Value::Null) => (None, StatusCode::BAD_NO_DATA),
        Some(value) if !declared.fits(&value) => (None, StatusCode::BAD_TYPE_MISMATCH),
        Some(value) if value.weight() > VALUE_WEIGHT_MAX => (None, StatusCode::BAD_ENCODING_LIMITS_EXCEEDED),
        Some(value) => (Some(value), status),
    }
}
