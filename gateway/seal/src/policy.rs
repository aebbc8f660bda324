use std::sync::Arc;

use lingate_refine::{DatasetPlan, Export, Lowered, PointPlan};

use crate::cbor::Encoder;
use crate::thumbprint::sha256;

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
