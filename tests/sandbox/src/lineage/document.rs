//! Point, source, steps, policy and software: what catalogue and lineage document say, both by the hash that the KEY claims.

use std::collections::BTreeMap;

use lingate_seal::{policy_sha256_of_tags, wire};
use serde_json::{Map, Value};

use super::{Hop, Walk};
use crate::keys::hex;
use crate::store::StoreError;

/// Number, term and parameters of a step.
type Told = (u32, String, BTreeMap<String, String>);

impl Walk<'_> {
    /// The store's row of the point is the catalogue's.
    pub(super) fn point(&self) -> Result<Hop, StoreError> {
        let alias = self.found.alias;
        let query =
            "SELECT name, unit, source, equipment, builtin_type, interval_ms FROM points WHERE kid = ?1 AND alias = ?2";
        let row = self.store.sql.first(query, vec![self.found.kid.into(), alias.into()])?;
        let tag = self.tag();
        let is_same = |tag: &wire::Tag| {
            let row = row.as_ref()?;
            let texts = [&tag.name, &tag.ucum, &tag.source, &tag.equipment];
            let told = texts.iter().enumerate().all(|(at, text)| row.text(at).is_ok_and(|stored| stored == **text));
            let mut numbers = (4..).zip([tag.builtin_type, tag.interval_ms]);
            Some(told && numbers.all(|(at, number)| row.int(at).is_ok_and(|stored| stored == i64::from(number))))
        };
        let holds = tag.is_some_and(|tag| tag.name == self.point && is_same(tag) == Some(true));
        let says = tag.map_or_else(
            || format!("column {alias}: the catalogue is not the promised one"),
            |tag| format!("column {alias} is {}, read from {}, every {} ms", tag.name, tag.source, tag.interval_ms),
        );
        let claimed = hex(&self.claims().catalogue_sha256);
        let proof = format!("the catalogue with the SHA-256 of claim -70007, {claimed}, says what the store has");
        Ok(Hop { what: "point", says, proof, holds: Some(holds) })
    }

    pub(super) fn source(&self) -> Hop {
        let described = self.member("entity", &format!("lingate:source/{}", self.found.alias));
        let text = |name: &str| described.and_then(|it| it.get(name)).and_then(Value::as_str).unwrap_or("not told");
        let device = text("prov:label").split('/').next().unwrap_or_default();
        let says =
            format!("device {device}, address {}, equipment {}", text("lingate:source"), text("lingate:equipment"));
        let agrees = |tag: &wire::Tag| {
            [("prov:label", &tag.name), ("lingate:source", &tag.source), ("lingate:equipment", &tag.equipment)]
                .iter()
                .all(|(name, told)| text(name) == told.as_str())
        };
        let claimed = hex(&self.claims().lineage_sha256);
        let proof = format!("the document with the SHA-256 of claim -70009, {claimed}, says the same as the catalogue");
        Hop { what: "source", says, proof, holds: Some(self.tag().is_some_and(agrees)) }
    }

    /// The catalogue's steps of the point, each with its activity in the document, in the order in which a reading passes.
    pub(super) fn steps(&self) -> Vec<Hop> {
        let ceiling = self.claims().class.to_string();
        let mut expected: Vec<Told> = vec![
            (1, "suppression".to_owned(), BTreeMap::new()),
            (2, "class ceiling".to_owned(), [("ceiling".to_owned(), ceiling)].into()),
        ];
        let is_within = self.tag().is_some_and(|tag| tag.class <= self.claims().class as u32);
        let own = self.tag().into_iter().flat_map(|tag| &tag.steps);
        expected.extend(own.map(|step| (step.id, step.term.clone(), step.parameters.clone())));
        let mut told = self.activities();
        let mut hops: Vec<Hop> = expected
            .iter()
            .map(|step| {
                let place = told.iter().position(|(_, told)| told == step);
                let activity = place.map(|place| told.remove(place).0);
                let is_allowed = step.0 != 2 || is_within;
                let words = activity.clone().unwrap_or_else(|| "no activity".to_owned());
                let proof = format!("{words} of that document, and the catalogue says the same");
                hop(step, proof, activity.is_some() && is_allowed)
            })
            .collect();
        hops.extend(
            told.iter().map(|(name, step)| hop(step, format!("{name}: the catalogue does not name it"), false)),
        );
        hops
    }

    /// Activities of the document that used this point, by name.
    fn activities(&self) -> Vec<(String, Told)> {
        let source = format!("lingate:source/{}", self.found.alias);
        let used = self.document.as_ref().and_then(|document| document.get("used")).and_then(Value::as_object);
        let of_point = used.into_iter().flatten().filter(|(_, link)| link["prov:entity"] == source.as_str());
        let names = of_point.filter_map(|(_, link)| link["prov:activity"].as_str());
        let mut told: Vec<(String, Told)> =
            names.filter_map(|name| Some((name.to_owned(), read_step(self.member("activity", name)?)?))).collect();
        told.sort();
        told
    }

    /// The catalogue's points with their classes and steps hash to the policy that the KEY claims.
    pub(super) fn policy(&self) -> Hop {
        let claims = self.claims();
        let hash = hex(&claims.policy_sha256);
        let tags = self.catalogue.as_ref().map(|catalogue| &catalogue.tags[..]);
        let is_whole = tags.is_some_and(|tags| tags.iter().all(|tag| !tag.name.is_empty()));
        let is_named = self.member("entity", &format!("lingate:policy/{hash}"));
        let is_named =
            is_named.is_some_and(|plan| plan.get("lingate:purpose") == Some(&claims.purpose.as_str().into()));
        let computed = tags.map(|tags| policy_sha256_of_tags(&claims.subject, &claims.purpose, tags));
        let agrees = computed == Some(claims.policy_sha256);
        let (words, holds) = match (is_named && tags.is_some(), is_whole) {
            (false, _) => ("the document's plan is NOT", Some(false)),
            (true, false) => {
                ("points that stay hidden are part of it, so it cannot be computed here; the document names", None)
            }
            (true, true) if agrees => ("computed from the catalogue's points, classes and steps; it is", Some(true)),
            (true, true) => ("computed from the catalogue's points, classes and steps; it is NOT", Some(false)),
        };
        let says = format!("minimization policy {}... for purpose {}", &hash[..16], claims.purpose);
        Hop { what: "policy", says, proof: format!("{words} claim -70004: {hash}"), holds }
    }

    /// What the gateway said of its program; with the program at hand, whether it was this one.
    pub(super) fn software(&self) -> Hop {
        let agent = self.member("agent", &format!("lingate:gateway/{}", self.claims().issuer));
        let software = agent.and_then(|it| it.get("lingate:software")).and_then(Value::as_str).unwrap_or("not told");
        let digest = software.rsplit_once("sha256:").map(|(_, digest)| digest);
        let enrolled = self.enrolled.as_ref().map(|known| match digest == Some(known.software.sha256.as_str()) {
            true => "; the same as at enrolment",
            false => "; another than at enrolment: it was updated since",
        });
        let given = self.evidence.program.map(|program| digest == Some(hex(&program).as_str()));
        let compared = match given {
            Some(true) => "; the program at hand",
            Some(false) => "; NOT the program at hand",
            None => "",
        };
        let proof = format!("agent of that document{}{compared}", enrolled.unwrap_or_default());
        let holds = agent.is_some() && digest.is_some() && given != Some(false);
        Hop { what: "software", says: software.to_owned(), proof, holds: Some(holds) }
    }

    fn member(&self, kind: &str, name: &str) -> Option<&Map<String, Value>> {
        self.document.as_ref()?.get(kind)?.get(name)?.as_object()
    }
}

fn read_step(members: &Map<String, Value>) -> Option<Told> {
    let number = members.get("lingate:step")?.as_str()?.strip_prefix('M')?.parse().ok()?;
    let term = members.get("lingate:term")?.as_str()?.to_owned();
    let others = members.iter().filter(|(name, _)| !matches!(name.as_str(), "lingate:step" | "lingate:term"));
    let text = |(name, value): (&String, &Value)| {
        Some((name.trim_start_matches("lingate:").to_owned(), value.as_str()?.to_owned()))
    };
    Some((number, term, others.map(text).collect::<Option<_>>()?))
}

fn hop((number, term, parameters): &Told, proof: String, holds: bool) -> Hop {
    let parameters: String = parameters.iter().map(|(name, value)| format!(", {name} {value}")).collect();
    Hop { what: "step", says: format!("M{number} {term}{parameters}"), proof, holds: Some(holds) }
}
