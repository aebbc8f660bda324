use std::sync::Arc;

use lingate_model::{Reading};

use crate::PointPlan;

/// A reading whose point may leave: it passed the allow-list (M1) and the class ceiling (M2), and its value has the
/// type that the catalogue declares (otherwise it is bad with BadTypeMismatch and has no value).
pub struct Tagged {
    #[allow(dead_code)]
    pub(crate) reading: Reading,
    #[allow(dead_code)]
    pub(crate) point: Arc<PointPlan>,
}
