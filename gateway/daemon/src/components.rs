//! What was linked into this program, as its build wrote it down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::{Value, json};

/// By cargo, for this target and these features alone.
const TREE: &str = include_str!(concat!(env!("OUT_DIR"), "/tree.txt"));
const CHECKSUMS: &str = include_str!(concat!(env!("OUT_DIR"), "/lock.txt"));
const TARGET: &str = include_str!(concat!(env!("OUT_DIR"), "/target.txt"));

/// One crate of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) licence: &'static str,
    /// Of the published crate; none for our own, and for those whose sources lie in this tree.
    pub(crate) sha256: Option<&'static str>,
    /// Names with versions, as in the keys of [`components`].
    pub(crate) uses: BTreeSet<&'static str>,
}

/// By `NAME vVERSION`.
pub(crate) fn components() -> &'static BTreeMap<&'static str, Component> {
    static ALL: LazyLock<BTreeMap<&str, Component>> = LazyLock::new(|| read(TREE, CHECKSUMS));
    &ALL
}

fn read(tree: &'static str, checksums: &'static str) -> BTreeMap<&'static str, Component> {
    let mut all: BTreeMap<&str, Component> = BTreeMap::new();
    let mut way: Vec<&str> = Vec::new();
    for line in tree.lines() {
        let mut parts = line.splitn(3, '|');
        let depth = parts.next().and_then(|depth| depth.parse().ok()).unwrap_or(0);
        let (Some(id), Some(licence)) = (parts.next(), parts.next()) else { continue };
        let Some((name, version)) = id.split_once(" v") else { continue };
        way.truncate(depth);
        if let Some(user) = way.last().and_then(|user| all.get_mut(user)) {
            user.uses.insert(id);
        }
        way.push(id);
        let component = all.entry(id).or_default();
        (component.name, component.version, component.licence) = (name, version, licence);
    }
    for (id, sha256) in checksums.lines().filter_map(|line| line.rsplit_once(' ')) {
        if let Some(component) = all.get_mut(id) {
            component.sha256 = Some(sha256);
        }
    }
    all
}

/// CycloneDX 1.5. The same program gives the same bytes.
pub(crate) fn cyclonedx() -> Value {
    let own = |component: &&Component| component.name == env!("CARGO_PKG_NAME");
    let all = components();
    let program = all.values().find(own).map(|component| describe(component, "application"));
    let others = all.values().filter(|component| !own(component)).map(|component| describe(component, "library"));
    let dependencies = all.values().map(|component| {
        let uses: Vec<String> = component.uses.iter().filter_map(|id| all.get(id)).map(purl).collect();
        json!({ "ref": purl(component), "dependsOn": uses })
    });
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": program, "properties": [{ "name": "cargo:target", "value": TARGET }] },
        "components": others.collect::<Vec<_>>(),
        "dependencies": dependencies.collect::<Vec<_>>(),
    })
}

fn purl(component: &Component) -> String {
    format!("pkg:cargo/{}@{}", component.name, component.version)
}

fn describe(component: &Component, kind: &str) -> Value {
    let mut told = json!({
        "type": kind, "bom-ref": purl(component), "purl": purl(component),
        "name": component.name, "version": component.version,
    });
    if !component.licence.is_empty() {
        told["licenses"] = json!([{ "expression": component.licence.replace('/', " OR ") }]);
    }
    if let Some(sha256) = component.sha256 {
        told["hashes"] = json!([{ "alg": "SHA-256", "content": sha256 }]);
    }
    told
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn the_program_knows_what_it_was_linked_from() {
        let all = components();
        let of = |name: &str| all.values().find(|component| component.name == name).unwrap();
        assert!(all.len() > 100, "{}", all.len());
        assert!(of("rustls").sha256.is_some_and(|sum| sum.len() == 64) && of("rustls").licence.contains("Apache-2.0"));
        assert!(of("lingate").sha256.is_none() && of("lingate").uses.iter().any(|id| id.starts_with("rustls v")));
        // Of tests, of the build, and procedural macros.
        assert!(
            ["tempfile", "cc", "serde_derive", "parquet"].iter().all(|name| all.values().all(|it| it.name != *name))
        );
    }

    #[test]
    fn each_crate_is_listed_once_with_what_it_uses() {
        let tree = "0|a v1.0.0|MIT\n1|b v2.0.0|ISC\n2|c v0.1.0|MIT/ISC\n1|c v0.1.0|MIT/ISC\n1|d v3.0.0|\n";
        let all = read(tree, "b v2.0.0 00ff\nc v9.9.9 11\n");
        let uses = |id: &str| all[id].uses.iter().copied().collect::<Vec<_>>();
        assert_eq!(uses("a v1.0.0"), ["b v2.0.0", "c v0.1.0", "d v3.0.0"]);
        assert_eq!((uses("b v2.0.0"), uses("c v0.1.0")), (vec!["c v0.1.0"], vec![]));
        assert_eq!((all["b v2.0.0"].sha256, all["c v0.1.0"].sha256), (Some("00ff"), None));
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn no_path_of_the_builder_is_in_the_list() {
        assert!(!TREE.contains('/') || TREE.lines().all(|line| !line.contains(" /") && !line.contains("(/")));
    }
}
