use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lingate_audit::{Event, Kind, Verifier, hex};
use lingate_engine::Input;
use lingate_model::{DeviceName, DeviceState, Now};
use lingate_refine::{DatasetPlan, ExportPlan, PointPlan};
use lingate_seal::{Kid, VerifiedBundle, Veto, policy_sha256};

use super::Audit;
use crate::veto;

/// Hears what goes into the engine and tells the log what of it is worth a line.
pub(crate) struct Ear {
    audit: Audit,
    /// Since when a device is away; absent: it answers.
    away: BTreeMap<DeviceName, Duration>,
    up: BTreeSet<DeviceName>,
    revoked: BTreeSet<Kid>,
    roots: Option<u64>,
    veto: Veto,
    /// Digest of each dataset's.
    policies: BTreeMap<String, String>,
}

impl Ear {
    pub(crate) fn new(audit: Audit, now: Now, plan: &ExportPlan, bundle: Option<&VerifiedBundle>) -> Ear {
        let (away, up, veto) = (BTreeMap::new(), BTreeSet::new(), Veto::default());
        let (revoked, policies) = Default::default();
        let mut ear = Ear { audit, away, up, revoked, roots: None, veto, policies };
        ear.policies(plan, &BTreeSet::new()).into_iter().for_each(|event| ear.audit.tell(now.utc, event));
        if let Some(bundle) = bundle {
            ear.roots = Some(bundle.roots().version());
            ear.revoked = bundle.revoked().collect();
            ear.audit.witnesses(witnesses(bundle));
        }
        ear
    }

    pub(crate) fn audit(&self) -> &Audit {
        &self.audit
    }

    pub(crate) fn hear(&mut self, now: Now, input: &Input) {
        for event in self.events(now, input) {
            self.audit.tell(now.utc, event);
        }
    }

    fn events(&mut self, now: Now, input: &Input) -> Vec<Event> {
        match input {
            Input::Device(name, DeviceState::BackingOff { reason }) => self.lost(now, name, reason),
            Input::Device(name, DeviceState::Connected) => self.found(now, name),
            Input::Bundle(bundle) => self.bundle(bundle),
            Input::Veto(veto) => self.vetoed(veto),
            Input::Reload(plan) => self.policies(&plan.export, &plan.retired),
            Input::Purge(dataset) => vec![order("purge in force").text("what", dataset.as_str())],
            _ => Vec::new(),
        }
    }

    /// Of each dataset whose policy is another than it was.
    fn policies(&mut self, plan: &ExportPlan, retired: &BTreeSet<usize>) -> Vec<Event> {
        let mut events = Vec::new();
        let mut policies = BTreeMap::new();
        for (index, dataset) in plan.datasets.iter().enumerate().filter(|(index, _)| !retired.contains(index)) {
            let is_member =
                |point: &&Arc<PointPlan>| point.export.as_ref().is_some_and(|it| it.dataset.index() == index);
            let mut points: Vec<Arc<PointPlan>> = plan.points.iter().filter(is_member).cloned().collect();
            points.sort_by_key(|point| point.export.as_ref().map(|export| export.alias));
            let (id, policy) = (dataset.id.to_string(), hex(&policy_sha256(dataset, &points)));
            if self.policies.get(&id) != Some(&policy) {
                events.push(loaded(dataset, &points, &policy));
            }
            policies.insert(id, policy);
        }
        self.policies = policies;
        events
    }

    fn lost(&mut self, now: Now, name: &DeviceName, reason: &str) -> Vec<Event> {
        self.up.remove(name);
        if self.away.contains_key(name) {
            return Vec::new();
        }
        self.away.insert(name.clone(), now.monotonic);
        vec![Event::new(Kind::SourceDown).text("device", name.as_str()).text("reason", reason)]
    }

    fn found(&mut self, now: Now, name: &DeviceName) -> Vec<Event> {
        let away = self.away.remove(name).map(|since| now.monotonic.saturating_sub(since).as_secs());
        if !self.up.insert(name.clone()) {
            return Vec::new();
        }
        let event = Event::new(Kind::SourceUp).text("device", name.as_str());
        vec![match away {
            Some(seconds) => event.count("after_s", seconds),
            None => event,
        }]
    }

    fn bundle(&mut self, bundle: &VerifiedBundle) -> Vec<Event> {
        self.audit.witnesses(witnesses(bundle));
        let revoked: BTreeSet<Kid> = bundle.revoked().collect();
        let new = revoked.difference(&self.revoked);
        let event =
            |kid: &Kid| Event::new(Kind::KeyRevoked).text("kid", kid.to_string()).count("bundle", bundle.version());
        let mut events: Vec<Event> = new.map(event).collect();
        self.revoked = revoked;
        let roots = bundle.roots().version();
        if self.roots.replace(roots).is_some_and(|before| before != roots) {
            events.push(Event::new(Kind::RootChanged).count("version", roots).count("bundle", bundle.version()));
        }
        events
    }

    fn vetoed(&mut self, veto: &Veto) -> Vec<Event> {
        let is_news = *veto != self.veto;
        self.veto = veto.clone();
        let told = order("veto in force").text("what", veto::in_words(veto));
        if is_news { vec![told] } else { Vec::new() }
    }
}

fn loaded(dataset: &DatasetPlan, points: &[Arc<PointPlan>], policy: &str) -> Event {
    let steps: usize = points.iter().flat_map(|point| &point.export).map(|export| export.steps.len()).sum();
    Event::new(Kind::PolicyLoaded)
        .text("dataset", dataset.id.as_str())
        .text("purpose", dataset.purpose.as_str())
        .text("class", dataset.ceiling.to_string())
        .count("points", points.len() as u64)
        .count("steps", steps as u64)
        .text("policy", policy)
}

fn order(command: &str) -> Event {
    Event::new(Kind::OperatorCommand).text("command", command)
}

/// Who signs receipts also cosigns.
fn witnesses(bundle: &VerifiedBundle) -> Vec<Verifier> {
    let keys = bundle.witness_keys();
    keys.filter_map(|public| Verifier::witness(bundle.sandbox(), public).ok()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::{ClockState, UtcMicros};

    use super::*;

    #[test]
    fn a_device_is_told_when_it_comes_and_when_it_goes() {
        let plan = ExportPlan { datasets: Vec::new(), points: Vec::new() };
        let at = |second| Now { monotonic: Duration::from_secs(second), utc: UtcMicros(0), clock: ClockState::Synced };
        let mut ear = Ear::new(Audit::deaf(), at(0), &plan, None);
        let device = |state| Input::Device("press-1".parse().unwrap(), state);
        let off = || device(DeviceState::BackingOff { reason: "no answer".to_owned() });
        let on = || device(DeviceState::Connected);
        let told: Vec<String> = (0..)
            .zip([on(), on(), off(), off(), on(), off()])
            .map(|(second, input)| ear.events(at(second), &input).iter().map(Event::to_json).collect())
            .collect();
        let (up, down) =
            ("{\"ev\":\"source.up\",\"device\":\"press-1\"", "{\"ev\":\"source.down\",\"device\":\"press-1\"");
        let (again, lost) = (format!("{up},\"after_s\":2}}"), format!("{down},\"reason\":\"no answer\"}}"));
        assert_eq!(told, [&format!("{up}}}"), "", &lost, "", &again, &lost]);
    }
}
