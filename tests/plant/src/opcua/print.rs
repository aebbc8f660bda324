use std::fmt::Write;

use super::machine::Variable;
use super::spec::MachineSpec;

/// What a `[[device]]` table says of the way to the machine, and its labels.
pub struct Connection<'a> {
    /// `opc.tcp://127.0.0.1:4840`
    pub url: &'a str,
    /// Lines of TOML: security, user, whatever the test is about.
    pub settings: &'a str,
    pub dataset: &'a str,
    /// `general` or `important`.
    pub class: &'a str,
    /// `500ms`
    pub every: &'a str,
    /// ISA-95 path; without one, a path that shows the levels.
    pub equipment: Option<&'a str>,
    /// More lines of TOML for a point: `mode = "poll"`, `minimize = [...]`.
    pub point: &'a dyn Fn(&Variable) -> String,
    /// Only these.
    pub wanted: &'a dyn Fn(&Variable) -> bool,
}

impl<'a> Connection<'a> {
    /// Without security, every variable of the machine, each 100 ms.
    pub fn new(url: &'a str, dataset: &'a str) -> Connection<'a> {
        Connection {
            url,
            settings: INSECURE,
            dataset,
            class: "general",
            every: "100ms",
            equipment: None,
            point: &|_| String::new(),
            wanted: &|_| true,
        }
    }
}

/// What a configuration says for policy None.
pub const INSECURE: &str = "security = \"none\"\n\
     accept_plain_text = \"I accept that anybody on this network can read and forge these values\"";

/// The `[[device]]` table of a gateway's configuration that reads a machine.
pub fn machine_toml(spec: &MachineSpec, connection: &Connection<'_>) -> String {
    let default = format!("plant/site/area/line/{}", spec.name);
    let equipment = connection.equipment.unwrap_or(&default);
    let mut text = format!(
        "[[device]]\nname = {:?}\ndriver = \"opcua\"\nevery = {:?}\nequipment = {equipment:?}\naddress = {:?}\n{}\n",
        spec.name, connection.every, connection.url, connection.settings
    );
    for variable in spec.variables().iter().filter(|variable| (connection.wanted)(variable)) {
        put_point(&mut text, spec, variable, connection);
    }
    text
}

fn put_point(text: &mut String, spec: &MachineSpec, variable: &Variable, connection: &Connection<'_>) {
    let (element, rank) = spec.builtin_type(variable);
    let mut line = |key: &str, value: &str| writeln!(text, "{key} = {value}").expect("a String takes all text");
    line("\n[[device.point]]\nname", &format!("{:?}", variable.name));
    line("node", &format!("{:?}", spec.node(variable)));
    let dimensions = ["", "[]", "[,]", "[,,]"][usize::from(rank)];
    line("type", &format!("\"{element:?}{dimensions}\"").to_lowercase());
    if !variable.unit.is_empty() {
        line("unit", &format!("{:?}", variable.unit));
    }
    line("dataset", &format!("{:?}", connection.dataset));
    line("class", &format!("{:?}", connection.class));
    text.push_str(&(connection.point)(variable));
}
