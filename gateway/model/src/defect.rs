//! Seeded defects: breaks of a promise that the tests must notice. Who checks the checker? These do.
//!
//! Without the feature `defects` every question here is answered with a constant no, and nothing of a defect is compiled.
//! With it, `LINGATE_DEFECT` in the environment chooses one. A release build with the feature does not compile.

#[cfg(all(feature = "defects", not(debug_assertions)))]
compile_error!("seeded defects are for tests: never in a release build");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    AcknowledgeBeforeSync,
    DropOnSessionLoss,
    DropOneInTenThousand,
    SwapTwoRecords,
    ShiftRegisters,
    StaleValue,
    TrimOnRefusal,
    GapOffByOne,
    GapMissing,
    GapForDelivered,
    NonceReuse,
    PolicyLeak,
    /// Beyond the twelve: records of an epoch without KEY count as declared before their gap record is durable.
    RetireBeforeGap,
}

#[cfg(not(feature = "defects"))]
mod seeded {
    use super::Defect;
    use crate::Reading;

    #[inline(always)]
    pub fn is_seeded(_: Defect) -> bool {
        false
    }

    #[inline(always)]
    pub fn strikes(_: Defect, _: u64) -> bool {
        false
    }

    #[inline(always)]
    pub fn make_stale(_: &mut Reading) {}

    #[inline(always)]
    pub fn is_off_by_one(_: &str) -> bool {
        false
    }
}

#[cfg(feature = "defects")]
mod seeded {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Mutex, OnceLock};

    use super::Defect;
    use crate::{PointId, Reading, Value};

    pub fn is_seeded(defect: Defect) -> bool {
        static CHOSEN: OnceLock<String> = OnceLock::new();
        *CHOSEN.get_or_init(|| std::env::var("LINGATE_DEFECT").unwrap_or_default()) == format!("{defect:?}")
    }

    /// Of every cause, or of the one that `LINGATE_DEFECT_CAUSE` names.
    pub fn is_off_by_one(cause: &str) -> bool {
        static CAUSE: OnceLock<Option<String>> = OnceLock::new();
        let chosen = CAUSE.get_or_init(|| std::env::var("LINGATE_DEFECT_CAUSE").ok());
        is_seeded(Defect::GapOffByOne) && chosen.as_ref().is_none_or(|chosen| chosen == cause)
    }

    /// Once in so many times.
    pub fn strikes(defect: Defect, every: u64) -> bool {
        static TIMES: AtomicU64 = AtomicU64::new(1);
        is_seeded(defect) && TIMES.fetch_add(1, Ordering::Relaxed).is_multiple_of(every)
    }

    /// Now and then a reading has the value of the one before it.
    pub fn make_stale(reading: &mut Reading) {
        static LAST: Mutex<BTreeMap<PointId, Option<Value>>> = Mutex::new(BTreeMap::new());
        if is_seeded(Defect::StaleValue) {
            let mut last = LAST.lock().expect("nobody panics with it");
            let before = last.insert(reading.point, reading.value.clone());
            if let Some(before) = before.filter(|_| strikes(Defect::StaleValue, 5)) {
                reading.value = before;
            }
        }
    }
}

pub use seeded::{is_off_by_one, is_seeded, make_stale, strikes};
