use std::fmt;

use lingate_model::BuiltinType;

/// M5: aggregates of OPC 10000-13 over windows of a fixed interval, with the defaults of its 4.2.1.2: what is not Good
/// counts as bad, a time-weighted or counted result is Uncertain as soon as anything bad is in the window and Bad if there
/// is nothing else. The value bears the time at which its window begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// 5.4.3.5: of the good readings, each with the same weight.
    Average,
    /// 5.4.3.6: under the straight lines between good readings; at the window's edges the lines are cut.
    TimeAverage,
    /// 5.4.3.7 with Stepped = true: every reading holds until the next one.
    TimeAverage2,
    /// 5.4.3.10
    Minimum,
    /// 5.4.3.11
    Maximum,
    /// 5.4.3.14
    Range,
    /// 5.4.3.21: of the good readings.
    Count,
    /// 5.4.3.37: over n - 1; of one reading 0.
    StandardDeviationSample,
    /// 5.4.3.39: over n.
    StandardDeviationPopulation,
    /// 5.4.3.33 with Stepped = true: share of the window's time in which the last reading was good.
    PercentGood,
    /// 5.4.3.34
    PercentBad,
    /// 5.4.3.4: the value at the moment at which the window begins.
    Interpolative,
}

impl AggregateFunction {
    pub const ALL: [AggregateFunction; 12] = [
        AggregateFunction::Average,
        AggregateFunction::TimeAverage,
        AggregateFunction::TimeAverage2,
        AggregateFunction::Minimum,
        AggregateFunction::Maximum,
        AggregateFunction::Range,
        AggregateFunction::Count,
        AggregateFunction::StandardDeviationSample,
        AggregateFunction::StandardDeviationPopulation,
        AggregateFunction::PercentGood,
        AggregateFunction::PercentBad,
        AggregateFunction::Interpolative,
    ];

    /// The standard's BrowseName.
    pub fn name(self) -> &'static str {
        match self {
            AggregateFunction::Average => "Average",
            AggregateFunction::TimeAverage => "TimeAverage",
            AggregateFunction::TimeAverage2 => "TimeAverage2",
            AggregateFunction::Minimum => "Minimum",
            AggregateFunction::Maximum => "Maximum",
            AggregateFunction::Range => "Range",
            AggregateFunction::Count => "Count",
            AggregateFunction::StandardDeviationSample => "StandardDeviationSample",
            AggregateFunction::StandardDeviationPopulation => "StandardDeviationPopulation",
            AggregateFunction::PercentGood => "PercentGood",
            AggregateFunction::PercentBad => "PercentBad",
            AggregateFunction::Interpolative => "Interpolative",
        }
    }

    /// The type of the result for readings of this type.
    pub fn result(self, source: BuiltinType) -> BuiltinType {
        match self {
            AggregateFunction::Count => BuiltinType::Int32,
            _ if self.is_of_source() => source,
            _ => BuiltinType::Double,
        }
    }

    /// The result is in the unit and the range of the readings.
    pub fn keeps_unit(self) -> bool {
        !matches!(self, AggregateFunction::Count | AggregateFunction::PercentGood | AggregateFunction::PercentBad)
    }

    /// The result is a value that was read, or a difference of two: it has no more decimal places than they have.
    pub fn keeps_places(self) -> bool {
        matches!(self, AggregateFunction::Minimum | AggregateFunction::Maximum)
    }

    fn is_of_source(self) -> bool {
        use AggregateFunction::{Interpolative, Maximum, Minimum, Range};
        matches!(self, Minimum | Maximum | Range | Interpolative)
    }
}

impl fmt::Display for AggregateFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
