//! What the plant allows to leave, checked and complete. `config` makes it; nothing changes it while it is in use.

use std::sync::Arc;
use std::time::Duration;

use lingate_model::{BuiltinType, Class, DatasetId, Decimal, EquipmentPath, PointId, Priority, PurposeId, Ucum};

use crate::{Step, StepId};

/// A dataset's place in the plan: dense from 0, in the order of the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatasetIndex(pub u16);

impl DatasetIndex {
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExportPlan {
    /// By [`DatasetIndex`].
    pub datasets: Vec<DatasetPlan>,
    /// By [`PointId`]; one entry per configured point, whether it may leave or not. After a reload there may be places
    /// without a point ([`PointPlan::vacant`]).
    pub points: Vec<Arc<PointPlan>>,
}

#[derive(Clone, Debug, PartialEq)]
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

#[derive(Clone, Debug, PartialEq)]
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

#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    pub dataset: DatasetIndex,
    /// The point's number in its dataset's catalogue: dense from 0.
    pub alias: u32,
    /// Of what leaves, so after the steps: M2 judges it. `None`: unlabelled, denied by M2.
    pub class: Option<Class>,
    /// In the fixed order of the steps; each kind at most once.
    pub steps: Vec<Step>,
    /// The class of what is read, where the steps lower it.
    pub lowered: Option<Lowered>,
    /// Its values tell in which batch, phase, lot, recipe or state the dataset's other readings were taken.
    pub context: Option<ContextKind>,
}

impl PointPlan {
    /// A place in which no point is: nothing is read for it, and nothing leaves.
    pub fn vacant(id: PointId) -> PointPlan {
        PointPlan {
            id,
            name: String::new(),
            export: None,
            builtin_type: BuiltinType::Variant,
            rank: 0,
            places: None,
            unit: None,
            range: None,
            equipment: "none".parse().expect("it is a path"),
            interval: Duration::MAX,
            source: String::new(),
        }
    }

    pub fn is_vacant(&self) -> bool {
        self.name.is_empty()
    }
}

impl Export {
    /// A point whose class the steps do not lower and that is no context.
    pub fn new(dataset: DatasetIndex, alias: u32, class: Option<Class>, steps: Vec<Step>) -> Export {
        Export { dataset, alias, class, steps, lowered: None, context: None }
    }

    /// What M2 judges: the stricter of what is declared, unless the step is there that lowers it. Unlabelled stays so.
    pub fn leaving_class(&self) -> Option<Class> {
        let lowered = self.lowered.as_ref();
        let unlowered = lowered.filter(|lowered| !self.steps.iter().any(|step| step.id() == lowered.by));
        self.class.map(|class| unlowered.map_or(class, |lowered| class.max(lowered.from)))
    }
}

/// Why what leaves is of a lower class than what is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lowered {
    /// Of what is read.
    pub from: Class,
    /// The step among the point's that lowers it.
    pub by: StepId,
    /// The plant's words.
    pub reason: String,
}

/// What a point says about the others of its equipment. The number is that of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ContextKind {
    /// ISA-88 batch.
    Batch = 1,
    /// ISA-88 phase.
    Phase = 2,
    Lot = 3,
    Recipe = 4,
    /// SEMI E10 or PackML state.
    State = 5,
}

impl ContextKind {
    pub const ALL: [ContextKind; 5] =
        [ContextKind::Batch, ContextKind::Phase, ContextKind::Lot, ContextKind::Recipe, ContextKind::State];

    pub fn name(self) -> &'static str {
        match self {
            ContextKind::Batch => "batch",
            ContextKind::Phase => "phase",
            ContextKind::Lot => "lot",
            ContextKind::Recipe => "recipe",
            ContextKind::State => "state",
        }
    }
}
