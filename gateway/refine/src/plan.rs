//! What the plant allows to leave, checked and complete. `config` makes it; nothing changes it while it is in use.

use std::sync::Arc;
use std::time::Duration;

use lingate_model::{BuiltinType, Class, DatasetId, Decimal, EquipmentPath, PointId, Priority, PurposeId, Ucum};

/// A dataset's place in the plan: dense from 0, in the order of the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatasetIndex(pub u16);

impl DatasetIndex {
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

#[derive(Clone, Debug)]
pub struct ExportPlan {
    /// By [`DatasetIndex`].
    pub datasets: Vec<DatasetPlan>,
    /// By [`PointId`]; one entry per configured point, whether it may leave or not.
    pub points: Vec<Arc<PointPlan>>,
}

#[derive(Clone, Debug)]
pub struct DatasetPlan {
    pub id: DatasetId,
    pub purpose: PurposeId,
    /// M2: points above this class do not leave. The engine lowers it to the bundle's ceiling.
    pub ceiling: Class,
    pub flush: Flush,
    pub priority: Priority,
    /// The sealed plaintext is padded to a multiple of this many bytes; 0: not padded.
    pub padding: u32,
}

/// A batch is closed at whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flush {
    /// 1 to 100,000. A batch of large texts, arrays or structures, or of 50,000 readings with the
    /// device's own times, is closed earlier: at about 1 MiB.
    pub readings: u32,
    /// 10 ms to 1 h.
    pub age: Duration,
}

#[derive(Clone, Debug)]
pub struct PointPlan {
    pub id: PointId,
    /// `device/point`: what the catalogue calls it.
    pub name: String,
    /// `None`: read for gates only, never exported (M1).
    pub export: Option<Export>,
    /// Of an array: its elements' type. Variant: each value says its own.
    pub builtin_type: BuiltinType,
    /// Dimensions of an array, 1 to 3; 0: a scalar.
    pub rank: u8,
    /// The finest step that a value of this point moves in: scaled integers on the wire are counts of
    /// `10^-places`. `None`: full floating point precision.
    pub places: Option<u8>,
    pub unit: Option<Ucum>,
    /// Engineering range, low and high, in `unit`.
    pub range: Option<(Decimal, Decimal)>,
    pub equipment: EquipmentPath,
    pub interval: Duration,
    /// Where it is read, in the driver's words: `modbus-tcp holding:102 unit 1`. For catalogue and lineage.
    pub source: String,
}

#[derive(Clone, Debug)]
pub struct Export {
    pub dataset: DatasetIndex,
    /// The point's number in its dataset's catalogue: dense from 0.
    pub alias: u32,
    /// `None`: unlabelled, denied by M2.
    pub class: Option<Class>,
    /// In the fixed order of the steps; each kind at most once.
    pub steps: Vec<Step>,
}

/// Numbers of the minimization steps on the wire (wire.md section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum StepId {
    AllowList = 1,
    ClassCeiling = 2,
    Deadband = 6,
    Rounding = 8,
}

impl StepId {
    pub const ALL: [StepId; 4] = [StepId::AllowList, StepId::ClassCeiling, StepId::Deadband, StepId::Rounding];

    /// The standard's term: ISO/IEC 20889, GB/T 43697-2024, OPC UA Part 8.
    pub fn term(self) -> &'static str {
        match self {
            StepId::AllowList => "suppression",
            StepId::ClassCeiling => "class ceiling",
            StepId::Deadband => "AbsoluteDeadband",
            StepId::Rounding => "rounding",
        }
    }
}

/// A configured step with its exact parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// M6: a value is kept when it differs from the last kept one by more than `by` (OPC UA AbsoluteDeadband),
    /// or when its quality changed.
    Deadband { by: Decimal },
    /// M8: to the nearest multiple of `to`, ties to even.
    Round { to: Decimal },
}

impl Step {
    pub fn id(&self) -> StepId {
        match self {
            Step::Deadband { .. } => StepId::Deadband,
            Step::Round { .. } => StepId::Rounding,
        }
    }

    /// (name, exact decimal text), as catalogue and lineage show them.
    pub fn parameter(&self) -> (&'static str, String) {
        match self {
            Step::Deadband { by } => ("by", by.to_string()),
            Step::Round { to } => ("to", to.to_string()),
        }
    }
}
