use std::time::Duration;

use lingate_model::BuiltinType;

use crate::device::PointSettings;

/// The driver's own keys of a point.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) node: String,
    pub(crate) builtin_type: BuiltinType,
    pub(crate) interval: Duration,
}

impl Item {
    pub(crate) fn take(point: &mut PointSettings<'_>, every: Duration) -> Option<Item> {
        let node = point.table.require("node").string();
        let types: Vec<_> = BuiltinType::ALL.iter().map(|kind| (format!("{kind:?}"), *kind)).collect();
        let types: Vec<_> = types.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
        let builtin_type = point.table.require("type").word(&types);
        Some(Item { node: node?, builtin_type: builtin_type?, interval: point.every.unwrap_or(every) })
    }
}
