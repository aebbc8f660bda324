//! Random numbers, policies and readings: a failing run is a seed.

use std::time::Duration;

use lingate_model::{BuiltinType, Class, Decimal, DeviceTime, Origin, PointId, Reading, StatusCode, UtcMicros, Value};
use lingate_refine::{
    AggregateFunction, Band, Condition, DatasetIndex, Export, ExportPlan, Mask, PointPlan, Quality, Scalar, Step, Test,
};

use crate::common::{dataset, plan, point};

/// SplitMix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }

    fn seconds(&mut self, most: u64) -> Duration {
        Duration::from_secs(1 + self.below(most))
    }
}

const TYPES: [BuiltinType; 8] = [
    BuiltinType::Double,
    BuiltinType::Double,
    BuiltinType::Float,
    BuiltinType::Int16,
    BuiltinType::UInt64,
    BuiltinType::Byte,
    BuiltinType::String,
    BuiltinType::Boolean,
];

/// 1 to 3 datasets, 2 to 6 points with any steps that suit their type.
pub(crate) fn policy(dice: &mut Dice) -> ExportPlan {
    let datasets = 1 + dice.below(3);
    let plans = (0..datasets).map(|_| {
        let ceiling = dice.pick(&[Class::General, Class::Important]);
        dataset(ceiling, 1 + dice.below(40) as u32, 100 + dice.below(5_000))
    });
    let plans: Vec<_> = plans.collect();
    let points = 2 + dice.below(5);
    let points = (0..points).map(|_| one_point(dice, datasets, points)).collect();
    plan(plans, points)
}

fn one_point(dice: &mut Dice, datasets: u64, points: u64) -> PointPlan {
    let builtin_type = dice.pick(&TYPES);
    let dataset = DatasetIndex(dice.below(datasets) as u16);
    let class = dice.pick(&[None, Some(Class::General), Some(Class::General), Some(Class::Important)]);
    let steps = steps(dice, builtin_type, points);
    let export = (!dice.one_in(8)).then(|| Export::new(dataset, 0, class, steps));
    let interval = Duration::from_millis(100 + dice.below(900));
    PointPlan { interval, ..point(builtin_type, export) }
}

fn steps(dice: &mut Dice, builtin_type: BuiltinType, points: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    let decimal = |dice: &mut Dice, texts: &[&str]| -> Decimal { dice.pick(texts).parse().unwrap() };
    if dice.one_in(4) {
        steps.push(Step::OnlyWhen(vec![condition(dice, points)]));
    }
    if dice.one_in(4) {
        steps.push(Step::Quality { keeps: dice.pick(&[Quality::Good, Quality::NotBad]) });
    }
    if builtin_type.is_numeric() {
        if dice.one_in(3) {
            let function = dice.pick(&AggregateFunction::ALL);
            steps.push(Step::Aggregate { function, interval: dice.seconds(20) });
        }
        if dice.one_in(3) {
            let max_interval = dice.one_in(2).then(|| dice.seconds(30));
            steps.push(Step::Deadband(Band { by: decimal(dice, &["0.5", "1", "4"]), percent: None, max_interval }));
        }
        if dice.one_in(4) {
            let max_interval = dice.one_in(2).then(|| dice.seconds(30));
            steps.push(Step::SwingingDoor { deviation: decimal(dice, &["0.25", "2", "8"]), max_interval });
        }
        if dice.one_in(3) {
            steps.push(Step::Round { to: decimal(dice, &["1", "5", "10"]) });
        }
        if dice.one_in(4) {
            steps
                .push(Step::Clip { low: Some(decimal(dice, &["-20", "0"])), high: Some(decimal(dice, &["30", "90"])) });
        }
    }
    if dice.one_in(4) {
        steps.push(Step::Coarsen { to: dice.seconds(10) });
    }
    if builtin_type == BuiltinType::String {
        match dice.below(3) {
            0 => steps.push(Step::Pseudonym),
            1 => steps.push(Step::Mask(Mask::new("[0-9]{2}", "**").unwrap())),
            _ => {}
        }
    }
    // However the user writes them.
    let turn = dice.below(1 + steps.len() as u64) as usize;
    let turn = turn.min(steps.len());
    steps.rotate_left(turn);
    steps
}

fn condition(dice: &mut Dice, points: u64) -> Condition {
    let point = PointId(dice.below(points) as u32);
    let low: Option<Decimal> = "10".parse().ok();
    let test = match dice.below(3) {
        0 => Test::Is(vec![Scalar::Boolean(true), Scalar::Text("id-11".to_owned())]),
        1 => Test::IsNot(vec![Scalar::Boolean(false), Scalar::Number("7".parse().unwrap())]),
        _ => Test::Within { low, high: None },
    };
    Condition { point, name: format!("point-{}", point.0), test, max_age: dice.one_in(2).then(|| dice.seconds(5)) }
}

/// Readings of the plan's points: their clocks run on, or now and then jump or go back by an hour.
pub(crate) fn readings(dice: &mut Dice, plan: &ExportPlan, count: usize, jumps: bool) -> Vec<Reading> {
    let mut gateway: i64 = 1_790_000_000_000_000;
    let ahead = dice.below(3) as i64 * 7_000_003;
    let mut level = 0.0;
    let next = |_| {
        gateway += match dice.below(400) {
            0 if jumps => 3_600_000_000,
            1 if jumps => -3_600_000_000,
            _ if dice.one_in(9) => dice.below(3_000_000) as i64,
            _ => dice.below(300_000) as i64,
        };
        level += (dice.below(7) as f64 - 3.0) / 2.0;
        let place = dice.below(plan.points.len() as u64) as usize;
        let status = match dice.below(20) {
            0 => StatusCode::BAD_TIMEOUT,
            1 => StatusCode::UNCERTAIN,
            _ => StatusCode::GOOD,
        };
        let value = Some(value(dice, plan.points[place].builtin_type, level)).filter(|_| !status.is_bad());
        let source_time = dice.one_in(2).then(|| DeviceTime::from(UtcMicros(gateway + ahead)));
        let is_old = source_time.is_some() && dice.one_in(30);
        let origin = if is_old { Origin::Backfilled } else { Origin::Live };
        let reading = Reading::bad(PointId(place as u32), status, UtcMicros(gateway));
        Reading { value, source_time, origin, ..reading }
    };
    (0..count).map(next).collect()
}

fn value(dice: &mut Dice, builtin_type: BuiltinType, level: f64) -> Value {
    match builtin_type {
        BuiltinType::Double if dice.one_in(60) => Value::Double(f64::NAN),
        BuiltinType::Double => Value::Double(level + dice.below(8) as f64 / 8.0),
        BuiltinType::Float => Value::Float(level as f32),
        BuiltinType::Int16 => Value::Int16(level as i16),
        BuiltinType::UInt64 => Value::UInt64(level.abs() as u64),
        BuiltinType::Byte => Value::Byte(level.abs() as u8),
        BuiltinType::Boolean => Value::Boolean(dice.one_in(2)),
        _ => Value::String(format!("id-{}", 10 + dice.below(4)).into()),
    }
}
