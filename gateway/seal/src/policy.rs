use std::sync::Arc;

use lingate_refine::{DatasetPlan, Export, Lowered, PointPlan};

use crate::cbor::Encoder;
use crate::thumbprint::sha256;
use crate::wire;

/// Names a dataset's minimization policy: SHA-256 of the deterministic CBOR
/// `["lingate/1 policy", dataset, purpose, [[point, class or null, [[step, parameter, value, ...]]]]]`, points by
/// alias. A class that steps lower is `[after, before, step]`.
///
/// The ceiling is left out: it is lowered by every bundle, and CLAIMS say which one held. A bundle may list the
/// policies that the sandbox approved; then no other one is sealed.
pub fn policy_sha256(dataset: &DatasetPlan, points: &[Arc<PointPlan>]) -> [u8; 32] {
    let mut cbor = Encoder::with_capacity(64 + points.len() * 64);
    cbor.array(4).text("lingate/1 policy").text(dataset.id.as_str()).text(dataset.purpose.as_str());
    cbor.array(points.len());
    points.iter().for_each(|point| encode_point(point, &mut cbor));
    sha256(&cbor.finish())
}

/// The same, from the tags of a catalogue, by whoever opened it. A tag without name stands for a point that stays hidden:
/// with one of those the hash is another.
pub fn policy_sha256_of_tags(dataset: &str, purpose: &str, tags: &[wire::Tag]) -> [u8; 32] {
    let mut cbor = Encoder::with_capacity(64 + tags.len() * 64);
    cbor.array(4).text("lingate/1 policy").text(dataset).text(purpose).array(tags.len());
    tags.iter().for_each(|tag| encode_tag(tag, &mut cbor));
    sha256(&cbor.finish())
}

/// Names of parameters in the order in which a step tells them.
const PARAMETERS: [&str; 15] = [
    "when",
    "keeps",
    "function",
    "interval",
    "by",
    "percent",
    "deviation",
    "low",
    "high",
    "max_interval",
    "to",
    "algorithm",
    "bytes",
    "pattern",
    "with",
];

fn encode_tag(tag: &wire::Tag, cbor: &mut Encoder) {
    cbor.array(3).text(&tag.name);
    match tag.class_before {
        None => cbor.unsigned(tag.class.into()),
        Some(before) => {
            cbor.array(3).unsigned(tag.class.into()).unsigned(before.into()).unsigned(tag.class_step.into())
        }
    };
    cbor.array(tag.steps.len());
    for step in &tag.steps {
        cbor.array(1 + 2 * step.parameters.len()).unsigned(step.id.into());
        for (name, value) in PARAMETERS.iter().filter_map(|name| step.parameters.get_key_value(*name)) {
            cbor.text(name).text(value);
        }
    }
}

fn encode_point(point: &PointPlan, cbor: &mut Encoder) {
    let export = point.export.as_ref();
    let steps = export.map_or(&[][..], |export| &export.steps);
    cbor.array(3).text(&point.name);
    let lowered = export.and_then(|export| export.lowered.as_ref());
    match (export.and_then(Export::leaving_class), lowered) {
        (Some(class), None) => cbor.unsigned(class as u64),
        (Some(class), Some(Lowered { from, by, .. })) => {
            cbor.array(3).unsigned(class as u64).unsigned(*from as u64).unsigned(*by as u64)
        }
        (None, _) => cbor.null(),
    };
    cbor.array(steps.len());
    for step in steps {
        let parameters = step.parameters();
        cbor.array(1 + 2 * parameters.len()).unsigned(step.id() as u64);
        for (name, value) in &parameters {
            cbor.text(name).text(value);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::time::Duration;

    use lingate_model::{BuiltinType, Class, PointId, Priority};
    use lingate_refine::{
        AggregateFunction, Band, Condition, DatasetIndex, Flush, Lowered, Mask, Percent, Quality, Scalar, Step, StepId,
        Test,
    };

    use super::*;
    use crate::catalogue::catalogue;

    fn every_step() -> Vec<Step> {
        let decimal = |text: &str| text.parse().unwrap();
        let (interval, max_interval) = (Duration::from_secs(60), Some(Duration::from_secs(600)));
        let test = Test::Is(vec![Scalar::Text("RUN".to_owned())]);
        let condition = Condition { point: PointId(1), name: "d/state".to_owned(), test, max_age: max_interval };
        let percent = Some(Percent { percent: decimal("2"), low: decimal("0"), high: decimal("400") });
        vec![
            Step::OnlyWhen(vec![condition]),
            Step::Quality { keeps: Quality::NotBad },
            Step::Aggregate { function: AggregateFunction::TimeAverage, interval },
            Step::Deadband(Band { by: decimal("8"), percent, max_interval }),
            Step::SwingingDoor { deviation: decimal("0.5"), max_interval },
            Step::Round { to: decimal("0.1") },
            Step::Clip { low: Some(decimal("0")), high: Some(decimal("400")) },
            Step::Coarsen { to: interval },
            Step::Pseudonym,
            Step::Mask(Mask::new("[0-9]+", "*").unwrap()),
        ]
    }

    fn point(alias: u32, class: Class, steps: Vec<Step>, lowered: Option<Lowered>) -> Arc<PointPlan> {
        Arc::new(PointPlan {
            id: PointId(alias),
            name: format!("d/p{alias}"),
            export: Some(Export { lowered, ..Export::new(DatasetIndex(0), alias, Some(class), steps) }),
            builtin_type: BuiltinType::Double,
            rank: 0,
            places: None,
            unit: None,
            range: None,
            equipment: "acme/line".parse().unwrap(),
            interval: Duration::from_secs(1),
            source: String::new(),
        })
    }

    /// Whoever opened the catalogue computes the same hash; and no step, parameter or class can be another.
    #[test]
    fn a_policy_can_be_computed_from_its_catalogue() {
        let dataset = DatasetPlan {
            id: "ds-a".parse().unwrap(),
            purpose: "urn:p:quality".parse().unwrap(),
            ceiling: Class::Important,
            flush: Flush { readings: 1, age: Duration::from_secs(1) },
            priority: Priority::Normal,
            padding: 0,
        };
        let lowered = Lowered { from: Class::Important, by: StepId::Aggregate, reason: "a mean".to_owned() };
        let points = vec![
            point(0, Class::Important, every_step(), None),
            point(1, Class::General, every_step(), Some(lowered)),
            point(2, Class::General, Vec::new(), None),
        ];
        let tags = catalogue(&dataset, &points, &[], Class::Important).tags;
        let of = |tags: &[wire::Tag]| policy_sha256_of_tags("ds-a", "urn:p:quality", tags);
        let policy = policy_sha256(&dataset, &points);
        assert_eq!(of(&tags), policy);
        for step in 0..tags[0].steps.len() {
            for name in tags[0].steps[step].parameters.keys() {
                let mut other = tags.clone();
                other[0].steps[step].parameters.get_mut(name).unwrap().push('0');
                assert_ne!(of(&other), policy, "{name}");
            }
            let mut other = tags.clone();
            other[0].steps.remove(step);
            assert_ne!(of(&other), policy);
        }
        let change = |change: fn(&mut wire::Tag)| {
            let mut other = tags.clone();
            change(&mut other[1]);
            of(&other)
        };
        let changes: [fn(&mut wire::Tag); 4] =
            [|tag| tag.class = 1, |tag| tag.class_before = None, |tag| tag.class_step = 6, |tag| tag.name.push('x')];
        assert!(changes.into_iter().all(|it| change(it) != policy));
        assert_ne!(of(&catalogue(&dataset, &points, &[], Class::General).tags), policy, "a hidden point is part of it");
    }
}
