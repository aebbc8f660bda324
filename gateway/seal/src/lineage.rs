//! Where the readings of an epoch come from: W3C PROV-JSON (submission of 2013-04-24).

use std::collections::BTreeMap;
use std::sync::Arc;

use lingate_model::UtcMicros;
use lingate_refine::{PointPlan, StepId};
use serde_json::{Map, Value, json};

use crate::catalogue::is_told;
use crate::{EpochTerms, civil};

pub(crate) const MEDIA: &str = "application/json";

/// The document's bytes. The epoch is named by `cti`: its kid is a hash over this document's hash.
pub(crate) fn document(terms: &EpochTerms, policy: &[u8; 32], cti: &[u8; 16], issued: UtcMicros) -> Vec<u8> {
    let names = Names::new(terms, policy, cti);
    let steps = steps(terms);
    let chain = names.chain(&steps);
    let document = json!({
        "prefix": {"lingate": "urn:lingate:", "prov": "http://www.w3.org/ns/prov#"},
        "entity": entities(terms, &names),
        "activity": activities(&steps, &chain, issued),
        "agent": agents(terms, &names),
        "used": used(&steps, &chain),
        "wasInformedBy": informed(&chain),
        "wasGeneratedBy": {"_:generated": {"prov:entity": names.epoch, "prov:activity": chain.last()}},
        "wasAssociatedWith": associated(&chain, &names),
        "actedOnBehalfOf": {"_:behalf": {"prov:delegate": names.gateway, "prov:responsible": names.plant}},
        "wasAttributedTo": {"_:attributed": {"prov:entity": names.policy, "prov:agent": names.plant}},
    });
    document.to_string().into_bytes()
}

struct Names {
    cti: String,
    epoch: String,
    policy: String,
    gateway: String,
    plant: String,
    sandbox: String,
}

impl Names {
    fn new(terms: &EpochTerms, policy: &[u8; 32], cti: &[u8; 16]) -> Names {
        let cti = hex(cti);
        Names {
            epoch: format!("lingate:epoch/{cti}"),
            cti,
            policy: format!("lingate:policy/{}", hex(policy)),
            gateway: format!("lingate:gateway/{}", terms.gateway),
            plant: "lingate:plant".to_owned(),
            sandbox: format!("lingate:sandbox/{}", terms.grant.sandbox),
        }
    }

    /// Activities in the order in which a reading passes them.
    fn chain(&self, steps: &Steps) -> Vec<String> {
        let collect = format!("lingate:collect/{}", self.cti);
        let of_step = |(id, parameters): &(StepId, Parameters)| {
            let name = format!("lingate:step/{}/M{}", self.cti, *id as u8);
            parameters.iter().fold(name, |name, (_, value)| format!("{name}/{}", local(value)))
        };
        let mut chain = vec![collect];
        for name in steps.keys().map(of_step) {
            // Parameters that differ only in what a name cannot hold.
            let alike = chain.iter().filter(|known| **known == name || known.starts_with(&format!("{name}#"))).count();
            chain.push(if alike == 0 { name } else { format!("{name}#{}", alike + 1) });
        }
        chain
    }
}

/// The points that the document may speak of, by alias.
fn told(terms: &EpochTerms) -> impl Iterator<Item = (usize, &Arc<PointPlan>)> {
    terms.points.iter().enumerate().filter(|(_, point)| is_told(point, terms.grant.ceiling))
}

type Parameters = Vec<(&'static str, String)>;

/// By step and parameters: its term and the aliases of the points that pass it.
type Steps = BTreeMap<(StepId, Parameters), (&'static str, Vec<usize>)>;

/// As a part of a name.
fn local(value: &str) -> String {
    value.chars().map(|c| if c.is_alphanumeric() || "-._".contains(c) { c } else { '_' }).collect()
}

fn steps(terms: &EpochTerms) -> Steps {
    let everyone: Vec<usize> = told(terms).map(|(alias, _)| alias).collect();
    let mut steps = Steps::new();
    let ceiling = vec![("ceiling", terms.grant.ceiling.to_string())];
    steps.insert((StepId::AllowList, Vec::new()), (StepId::AllowList.term(), everyone.clone()));
    steps.insert((StepId::ClassCeiling, ceiling), (StepId::ClassCeiling.term(), everyone));
    for (alias, point) in told(terms) {
        for step in point.export.iter().flat_map(|export| &export.steps) {
            steps.entry((step.id(), step.parameters())).or_insert((step.term(), Vec::new())).1.push(alias);
        }
    }
    steps
}

fn entities(terms: &EpochTerms, names: &Names) -> Map<String, Value> {
    let mut entities = Map::new();
    for (alias, point) in told(terms) {
        entities.insert(source(alias), describe(point));
    }
    let plan = json!({"prov:type": name("prov:Plan"), "lingate:purpose": terms.grant.purpose.as_str()});
    entities.insert(names.policy.clone(), plan);
    let epoch = json!({
        "lingate:dataset": terms.dataset.id.as_str(),
        "lingate:class": terms.grant.ceiling.to_string(),
        "lingate:bundle": terms.grant.bundle_version,
    });
    entities.insert(names.epoch.clone(), epoch);
    entities
}

fn describe(point: &Arc<PointPlan>) -> Value {
    json!({
        "prov:label": point.name,
        "lingate:source": point.source,
        "lingate:equipment": point.equipment.as_str(),
    })
}

fn activities(steps: &Steps, chain: &[String], issued: UtcMicros) -> Map<String, Value> {
    let mut activities = Map::new();
    activities.insert(chain[0].clone(), json!({"prov:startTime": civil::format(issued)}));
    for (activity, ((id, parameters), (term, _))) in chain[1..].iter().zip(steps) {
        let mut step = Map::new();
        step.insert("lingate:step".to_owned(), json!(format!("M{}", *id as u8)));
        step.insert("lingate:term".to_owned(), json!(term));
        step.extend(parameters.iter().map(|(name, value)| (format!("lingate:{name}"), json!(value))));
        activities.insert(activity.clone(), step.into());
    }
    activities
}

fn agents(terms: &EpochTerms, names: &Names) -> Value {
    json!({
        &names.gateway: {"prov:type": name("prov:SoftwareAgent"), "lingate:software": terms.software},
        &names.plant: {"prov:type": name("prov:Organization")},
        &names.sandbox: {"prov:type": name("prov:Organization")},
    })
}

/// Which points an activity works on: all for collection.
fn used(steps: &Steps, chain: &[String]) -> Map<String, Value> {
    let everyone = &steps[&(StepId::AllowList, Vec::new())].1;
    let aliases = std::iter::once(everyone).chain(steps.values().map(|(_, aliases)| aliases));
    let pairs = chain.iter().zip(aliases).flat_map(|(activity, aliases)| aliases.iter().map(move |a| (activity, *a)));
    let used = |(activity, alias): (&String, usize)| json!({"prov:activity": activity, "prov:entity": source(alias)});
    pairs.enumerate().map(|(number, pair)| (format!("_:used{number}"), used(pair))).collect()
}

fn informed(chain: &[String]) -> Map<String, Value> {
    let link = |pair: &[String]| json!({"prov:informed": pair[1], "prov:informant": pair[0]});
    chain.windows(2).enumerate().map(|(number, pair)| (format!("_:informed{number}"), link(pair))).collect()
}

fn associated(chain: &[String], names: &Names) -> Map<String, Value> {
    let link =
        |activity: &String| json!({"prov:activity": activity, "prov:agent": names.gateway, "prov:plan": names.policy});
    chain.iter().enumerate().map(|(number, activity)| (format!("_:with{number}"), link(activity))).collect()
}

fn source(alias: usize) -> String {
    format!("lingate:source/{alias}")
}

fn name(qualified: &str) -> Value {
    json!({"$": qualified, "type": "prov:QUALIFIED_NAME"})
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
