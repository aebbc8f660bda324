//! The steps M1 to M12 (wire.md section 9): their numbers, terms and exact parameters. Catalogue, policy hash, lineage and
//! `lingate plan` all read them here.

use std::time::Duration;

use lingate_model::{BuiltinType, Decimal};

use crate::{AggregateFunction, Condition, Mask, PointPlan};

/// Numbers of the minimization steps on the wire (wire.md section 9), in the order in which they are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum StepId {
    AllowList = 1,
    ClassCeiling = 2,
    ContextGate = 3,
    QualityFilter = 4,
    Aggregate = 5,
    Deadband = 6,
    SwingingDoor = 7,
    Rounding = 8,
    Clip = 9,
    TimeCoarsening = 10,
    Pseudonym = 11,
    Masking = 12,
}

impl StepId {
    pub const ALL: [StepId; 12] = [
        StepId::AllowList,
        StepId::ClassCeiling,
        StepId::ContextGate,
        StepId::QualityFilter,
        StepId::Aggregate,
        StepId::Deadband,
        StepId::SwingingDoor,
        StepId::Rounding,
        StepId::Clip,
        StepId::TimeCoarsening,
        StepId::Pseudonym,
        StepId::Masking,
    ];

    /// The standard's general term: ISO/IEC 20889, GB/T 43697-2024, OPC UA. [`Step::term`] is more exact.
    pub fn term(self) -> &'static str {
        match self {
            StepId::AllowList => "suppression",
            StepId::ClassCeiling => "class ceiling",
            StepId::ContextGate => "sampling",
            StepId::QualityFilter => "StatusCode filter",
            StepId::Aggregate => "aggregation",
            StepId::Deadband => "AbsoluteDeadband",
            StepId::SwingingDoor => "compression deviation",
            StepId::Rounding => "rounding",
            StepId::Clip => "top and bottom coding",
            StepId::TimeCoarsening => "generalization",
            StepId::Pseudonym => "pseudonymization",
            StepId::Masking => "masking",
        }
    }
}

/// A configured step with its exact parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// M3: a reading leaves only while all conditions hold. Never empty.
    OnlyWhen(Vec<Condition>),
    /// M4: readings of a worse quality do not leave.
    Quality { keeps: Quality },
    /// M5: one value per window of `interval`, 1 s to 1 d.
    Aggregate { function: AggregateFunction, interval: Duration },
    /// M6: a value is kept when it differs from the last kept one by more than `by`, when its quality changed, or when the
    /// last kept one is `max_interval` old.
    Deadband(Band),
    /// M7: only values between which a straight line stays within `deviation` of all others; at the latest after
    /// `max_interval` one of them.
    SwingingDoor { deviation: Decimal, max_interval: Option<Duration> },
    /// M8: to the nearest multiple of `to`, ties to even.
    Round { to: Decimal },
    /// M9: what is below `low` becomes `low`, what is above `high` becomes `high`.
    Clip { low: Option<Decimal>, high: Option<Decimal> },
    /// M10: every time of a reading goes back to a multiple of `to` since 1970 (UTC). 1 ms to 1 d.
    Coarsen { to: Duration },
    /// M11: the first 16 bytes of HMAC-SHA-256 over the value, with the dataset's key, as 32 hexadecimal digits.
    Pseudonym,
    /// M12: what the pattern finds in a text is replaced.
    Mask(Mask),
}

/// What M4 lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quality {
    /// Good and Uncertain.
    NotBad,
    Good,
}

/// What M6 compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// In the point's unit.
    pub by: Decimal,
    /// OPC UA PercentDeadband (OPC 10000-8, 7.2): `by` was computed from it.
    pub percent: Option<Percent>,
    /// The heartbeat: the first reading that is so much younger than the last kept one is kept.
    pub max_interval: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent {
    pub percent: Decimal,
    /// EURange.
    pub low: Decimal,
    pub high: Decimal,
}

impl Step {
    /// AbsoluteDeadband of `by`, without heartbeat.
    pub fn deadband(by: Decimal) -> Step {
        Step::Deadband(Band { by, percent: None, max_interval: None })
    }

    pub fn id(&self) -> StepId {
        match self {
            Step::OnlyWhen(_) => StepId::ContextGate,
            Step::Quality { .. } => StepId::QualityFilter,
            Step::Aggregate { .. } => StepId::Aggregate,
            Step::SwingingDoor { .. } => StepId::SwingingDoor,
            Step::Pseudonym => StepId::Pseudonym,
            Step::Mask(_) => StepId::Masking,
            Step::Deadband(_) => StepId::Deadband,
            Step::Round { .. } => StepId::Rounding,
            Step::Clip { .. } => StepId::Clip,
            Step::Coarsen { .. } => StepId::TimeCoarsening,
        }
    }

    /// As the catalogue, the lineage and `lingate plan` name it.
    pub fn term(&self) -> &'static str {
        match self {
            Step::Deadband(Band { percent: Some(_), .. }) => "PercentDeadband",
            Step::Aggregate { function, .. } => function.name(),
            _ => self.id().term(),
        }
    }

    /// (name, exact text) of every parameter, in a fixed order; never empty. Numbers are exact decimals, durations whole
    /// units (`500ms`, `10s`, `1h`).
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        match self {
            Step::OnlyWhen(conditions) => {
                let when: Vec<String> = conditions.iter().map(ToString::to_string).collect();
                vec![("when", when.join(" and "))]
            }
            Step::Aggregate { function, interval } => {
                vec![("function", function.to_string()), ("interval", duration(*interval))]
            }
            Step::SwingingDoor { deviation, max_interval } => {
                let max_interval = max_interval.map(|at| ("max_interval", duration(at)));
                [("deviation", deviation.to_string())].into_iter().chain(max_interval).collect()
            }
            Step::Pseudonym => vec![("algorithm", "HMAC-SHA-256".to_owned()), ("bytes", "16".to_owned())],
            Step::Mask(mask) => vec![("pattern", mask.pattern().to_owned()), ("with", mask.with().to_owned())],
            Step::Quality { keeps: Quality::Good } => vec![("keeps", "Good".to_owned())],
            Step::Quality { keeps: Quality::NotBad } => vec![("keeps", "Good, Uncertain".to_owned())],
            Step::Deadband(band) => band.parameters(),
            Step::Round { to } => vec![("to", to.to_string())],
            Step::Clip { low, high } => {
                let limits = [("low", low), ("high", high)].into_iter();
                limits.filter_map(|(name, limit)| Some((name, limit.as_ref()?.to_string()))).collect()
            }
            Step::Coarsen { to } => vec![("to", duration(*to))],
        }
    }
}

impl PointPlan {
    /// The type of what leaves: a window or a pseudonym makes another one of it.
    pub fn exported_type(&self) -> BuiltinType {
        let steps = self.export.iter().flat_map(|export| &export.steps);
        steps.fold(self.builtin_type, |builtin_type, step| match step {
            Step::Aggregate { function, .. } => function.result(builtin_type),
            Step::Pseudonym => BuiltinType::String,
            _ => builtin_type,
        })
    }
}

impl Band {
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![("by", self.by.to_string())];
        if let Some(Percent { percent, low, high }) = self.percent {
            parameters.extend([("percent", percent.to_string()), ("low", low.to_string()), ("high", high.to_string())]);
        }
        parameters.extend(self.max_interval.map(|at| ("max_interval", duration(at))));
        parameters
    }
}

/// In the largest unit that gives a whole number: `1500ms`, `10s`, `2h`.
pub(crate) fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let fitting = units.into_iter().find(|(_, unit)| millis >= *unit && millis.is_multiple_of(*unit));
    fitting.map_or_else(|| format!("{millis}ms"), |(name, unit)| format!("{}{name}", millis / unit))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn a_step_tells_its_exact_parameters() {
        let decimal = |text: &str| text.parse().unwrap();
        let percent = Percent { percent: decimal("2.5"), low: decimal("0"), high: decimal("400") };
        let max_interval = Some(Duration::from_secs(90));
        let banded = Step::Deadband(Band { by: decimal("10"), percent: Some(percent), max_interval });
        let text =
            |step: &Step| step.parameters().iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ");
        for (step, term, parameters) in [
            (Step::deadband(decimal("0.50")), "AbsoluteDeadband", "by=0.5"),
            (banded, "PercentDeadband", "by=10 percent=2.5 low=0 high=400 max_interval=90s"),
            (Step::Round { to: decimal("1e-3") }, "rounding", "to=0.001"),
            (Step::Quality { keeps: Quality::NotBad }, "StatusCode filter", "keeps=Good, Uncertain"),
            (Step::Clip { low: None, high: Some(decimal("80")) }, "top and bottom coding", "high=80"),
            (Step::Coarsen { to: Duration::from_secs(3_600) }, "generalization", "to=1h"),
        ] {
            assert_eq!((step.term(), text(&step).as_str()), (term, parameters));
        }
    }

    #[test]
    fn numbers_and_order_are_those_of_the_format() {
        let numbers: Vec<u8> = StepId::ALL.iter().map(|id| *id as u8).collect();
        assert_eq!(numbers, (1..=12).collect::<Vec<u8>>());
        assert!(StepId::ALL.is_sorted());
    }
}
