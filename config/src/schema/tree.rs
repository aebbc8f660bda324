use std::collections::{BTreeMap, BTreeSet};

use lingate_drivers::settings::{Asked, Kind};
use toml::{Table, Value};

use crate::point::COMMON;

/// What is asked of one key, wherever it stands in a list, and of the keys below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Node {
    /// Each once.
    pub(super) kinds: Vec<Kind>,
    /// In every table in which it may stand.
    pub(super) is_required: bool,
    pub(super) description: Option<String>,
    pub(super) keys: BTreeMap<String, Node>,
}

impl Node {
    /// Devices stand under `device` and the name of their driver.
    pub(super) fn of(asked: &[Asked], reference: &str) -> Node {
        let drivers = drivers(reference);
        let mut root = Node::default();
        let mut tables: BTreeMap<Vec<String>, BTreeSet<&str>> = BTreeMap::new();
        let mut requiring: BTreeMap<Vec<String>, BTreeSet<&str>> = BTreeMap::new();
        for Asked { path, kind } in asked {
            let shape = shape(path, &drivers);
            let table = path.rsplit_once('.').map_or("", |(table, _)| table);
            tables.entry(shape[..shape.len() - 1].to_vec()).or_default().insert(table);
            if *kind == Kind::Required {
                requiring.entry(shape.clone()).or_default().insert(table);
            }
            root.at(&shape).add(kind);
        }
        for (shape, requiring) in requiring {
            root.at(&shape).is_required = tables.get(&shape[..shape.len() - 1]) == Some(&requiring);
        }
        root
    }

    /// Steps are read in the same way wherever they stand, and no reading asks for all of them.
    pub(super) fn share_steps(&mut self) {
        let mut steps = Node::default();
        self.visit_steps(&mut |node| steps.join(node));
        steps.keys.values_mut().for_each(|key| key.is_required = false);
        self.visit_steps(&mut |node| node.clone_from(&steps));
    }

    fn visit_steps(&mut self, visit: &mut dyn FnMut(&mut Node)) {
        for (key, node) in &mut self.keys {
            match key.as_str() {
                "minimize" => visit(node),
                _ => node.visit_steps(visit),
            }
        }
    }

    fn at(&mut self, shape: &[String]) -> &mut Node {
        shape.iter().fold(self, |node, key| node.keys.entry(key.clone()).or_default())
    }

    fn add(&mut self, kind: &Kind) {
        let is_told = matches!(kind, Kind::Known | Kind::Required) || self.kinds.contains(kind);
        if !is_told {
            self.kinds.push(kind.clone());
        }
    }

    /// By shape, joined with dots; of a device also without its driver.
    pub(super) fn describe(&mut self, descriptions: &BTreeMap<String, String>) {
        self.describe_below("", "", descriptions);
    }

    fn describe_below(&mut self, path: &str, common: &str, descriptions: &BTreeMap<String, String>) {
        for (key, node) in &mut self.keys {
            let below = |path: &str| if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let (path, common) = match path {
                "device" => (below(path), "device".to_owned()),
                _ => (below(path), below(common)),
            };
            node.description = descriptions.get(&path).or_else(|| descriptions.get(&common)).cloned();
            node.describe_below(&path, &common, descriptions);
        }
    }

    /// By driver. Kinds of one protocol (`modbus-tcp`, `modbus-rtu`) read their points in the same way, and what no driver
    /// reads is read in one way for all.
    pub(super) fn take_devices(&mut self) -> Vec<(String, Node)> {
        let device = self.keys.get_mut("device").expect("the reference has devices");
        let mut devices: Vec<(String, Node)> = std::mem::take(&mut device.keys).into_iter().collect();
        let mut points: BTreeMap<String, Node> = BTreeMap::new();
        for (driver, node) in &devices {
            points.entry(protocol(driver)).or_insert_with(|| node.keys["point"].clone()).join(&node.keys["point"]);
        }
        let mut common: BTreeMap<&str, Node> = BTreeMap::new();
        for (point, key) in points.values().flat_map(|point| COMMON.iter().map(move |key| (point, *key))) {
            common.entry(key).or_insert_with(|| point.keys[key].clone()).join(&point.keys[key]);
        }
        for point in points.values_mut() {
            common.iter().for_each(|(key, node)| drop(point.keys.insert((*key).to_owned(), node.clone())));
        }
        devices.iter_mut().for_each(|(driver, node)| {
            node.keys.insert("point".to_owned(), points[&protocol(driver)].clone());
        });
        devices
    }

    fn join(&mut self, other: &Node) {
        other.kinds.iter().for_each(|kind| self.add(kind));
        self.is_required &= other.is_required;
        self.description = self.description.take().or_else(|| other.description.clone());
        for (key, node) in &other.keys {
            self.keys.entry(key.clone()).or_insert_with(|| node.clone()).join(node);
        }
    }
}

fn protocol(driver: &str) -> String {
    driver.split('-').next().unwrap_or(driver).to_owned()
}

/// `device[2].point[0].register` of an OPC UA device is `device`, `opcua`, `point`, `register`.
fn shape(path: &str, drivers: &[String]) -> Vec<String> {
    let mut shape = Vec::new();
    for segment in path.split('.') {
        let (key, index) = segment.split_once('[').unwrap_or((segment, ""));
        shape.push(key.to_owned());
        let number = index.trim_end_matches(']').parse::<usize>().ok();
        shape.extend(number.filter(|_| shape.len() == 1 && key == "device").and_then(|n| drivers.get(n).cloned()));
    }
    shape
}

/// Of each device of the file, in order.
pub(super) fn drivers(reference: &str) -> Vec<String> {
    let root: Table = reference.parse().unwrap_or_default();
    let devices = root.get("device").and_then(Value::as_array).into_iter().flatten();
    let driver = |device: &Value| device.get("driver").and_then(Value::as_str).unwrap_or_default().to_owned();
    devices.map(driver).collect()
}
