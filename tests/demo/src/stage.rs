//! Who plays, and with which configuration.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use lingate_model::Value;
use lingate_plant::opcua::{Connection, Machine, MachineKind, MachineSpec, Quantity, Variable, machine_toml};
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Motion, Plant, Tag, Wire};

pub(crate) const GATEWAY: &str = "gw-demo";
pub(crate) const TENANT: &str = "acme";
/// The role whose key the demo's receiver holds.
pub(crate) const ROLE: &str = "role:oem-quality";

/// What a machine is, and which protocol it speaks.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    OpcUa(MachineKind),
    Modbus(Kind),
}

/// Device, what it is, dataset, how often it is read, ISA-95 path.
pub(crate) const CAST: [(&str, Part, &str, &str, &str); 3] = [
    ("etch-4", Part::OpcUa(MachineKind::EtchTool), "ds-fab-01", "100ms", "acme/lingang/fab-1/bay-4/etch-4"),
    (
        "bioreactor-2",
        Part::OpcUa(MachineKind::Bioreactor),
        "ds-bio-01",
        "200ms",
        "acme/lingang/bio-1/suite-2/bioreactor-2",
    ),
    ("extruder-7", Part::Modbus(Kind::Extruder), "ds-extr-07", "100ms", "acme/lingang/hall-2/line-A/extruder-7"),
];

/// What may leave of a tag: floats rounded by a digit, slow ones only when they move.
fn minimize(tag: &Tag) -> Option<String> {
    if let Some(places) = rounding(tag) {
        return Some(format!("[ {{ round = {} }} ]", power(places)));
    }
    match (tag.wire, tag.motion) {
        (_, Motion::Counter | Motion::Total { .. }) => None,
        (Wire::I16 { places } | Wire::U16 { places }, _) => {
            Some(format!("[ {{ deadband = {} }} ]", power(usize::from(places))))
        }
        _ => None,
    }
}

/// Decimal places to which a tag is rounded.
fn rounding(tag: &Tag) -> Option<usize> {
    match tag.wire {
        Wire::F32 { places } => Some(usize::from(places).saturating_sub(1)),
        _ => None,
    }
}

/// What the sandbox must have opened. The text form of a float is a second way to the rounded number.
pub(crate) fn is_as_served(spec: &DeviceSpec, tag: &Tag, n: u32, value: &Value) -> bool {
    match (rounding(tag), spec.expected(&tag.name, n), value) {
        (Some(places), Some(Value::Float(served)), Value::Float(arrived)) => {
            format!("{served:.places$}").parse::<f32>().is_ok_and(|rounded| rounded == *arrived)
        }
        _ => spec.accepts(&tag.name, n, value),
    }
}

/// Of an OPC UA variable: floats rounded by a digit, doubles only when they move by two of their last digit.
fn minimize_variable(variable: &Variable) -> String {
    let steps = match variable.quantity {
        Quantity::Float(places @ 1..) => format!("{{ round = {} }}", power(usize::from(places) - 1)),
        Quantity::Double(places) => format!("{{ deadband = {} }}", doubled(places)),
        _ => return String::new(),
    };
    format!("minimize = [ {steps} ]\n")
}

fn doubled(places: u8) -> String {
    match places {
        0 => "2".to_owned(),
        places => format!("0.{}2", "0".repeat(usize::from(places) - 1)),
    }
}

/// What the sandbox must have opened of a machine.
pub(crate) fn is_as_told(spec: &MachineSpec, variable: &Variable, n: u32, value: &Value) -> bool {
    match (variable.quantity, spec.expected(&variable.name, n), value) {
        (Quantity::Float(places @ 1..), Some(Value::Float(served)), Value::Float(arrived)) => {
            let places = usize::from(places) - 1;
            format!("{served:.places$}").parse::<f32>().is_ok_and(|rounded| rounded == *arrived)
        }
        (_, expected, value) => expected.as_ref() == Some(value),
    }
}

fn power(places: usize) -> String {
    match places {
        0 => "1".to_owned(),
        _ => format!("0.{}1", "0".repeat(places - 1)),
    }
}

pub(crate) struct Addresses {
    pub(crate) broker_port: u16,
    pub(crate) health: SocketAddr,
}

/// The complete `lingate.toml`, as plant IT would write it.
pub(crate) fn configuration(
    (plant, machines): (&Plant, &[Machine]),
    folder: &Path,
    addresses: &Addresses,
    root_sha256: &str,
) -> String {
    let state = folder.join("state");
    let mut text = format!(
        "[gateway]\nid = \"{GATEWAY}\"\ntenant = \"{TENANT}\"\nstate_dir = {state:?}\n\n\
         [sandbox]\nbroker = \"mqtts://localhost:{}\"\nca = {:?}\ncertificate = {:?}\nkey = {:?}\n\
         root_sha256 = \"{root_sha256}\"\nack = \"broker\"\n\n\
         [buffer]\nmax_size = \"256MiB\"\ncommit = \"200ms\"\n\n\
         [health]\nlisten = \"{}\"\n",
        addresses.broker_port,
        folder.join("sandbox-ca.pem"),
        folder.join("gateway.pem"),
        folder.join("gateway.key"),
        addresses.health,
    );
    for (_, _, dataset, _, _) in CAST {
        let _ = write!(
            text,
            "\n[[dataset]]\nid = \"{dataset}\"\npurpose = \"urn:lingate:purpose:remote-quality\"\nclass = \"general\"\n\
             flush = {{ readings = 1000, age = \"1s\" }}\n"
        );
    }
    for (name, _, dataset, every, equipment) in CAST {
        if let Some(device) = plant.device(name) {
            let labels = Labels { dataset, class: "general", every, equipment: Some(equipment), minimize: &minimize };
            let _ = write!(text, "\n{}", device.toml(&labels));
        }
        if let Some(machine) = machines.iter().find(|machine| machine.spec().name == name) {
            let _ = write!(text, "\n{}", device_toml(machine, dataset, every, equipment));
        }
    }
    text
}

fn device_toml(machine: &Machine, dataset: &str, every: &str, equipment: &str) -> String {
    let url = machine.url();
    let connection = Connection {
        url: &url,
        settings: "security = \"sign-and-encrypt\"\npolicy = \"Aes256_Sha256_RsaPss\"",
        dataset,
        class: "general",
        every,
        equipment: Some(equipment),
        point: &minimize_variable,
        wanted: &|_| true,
    };
    machine_toml(machine.spec(), &connection)
}

pub(crate) fn specs() -> impl Iterator<Item = DeviceSpec> {
    CAST.into_iter().filter_map(|(name, part, ..)| match part {
        Part::Modbus(kind) => Some(DeviceSpec::new(name, kind, Mode::Instrument)),
        Part::OpcUa(_) => None,
    })
}

/// They move as often as they are read.
pub(crate) fn machine_specs() -> impl Iterator<Item = MachineSpec> {
    CAST.into_iter().filter_map(|(name, part, _, every, _)| match part {
        Part::Modbus(_) => None,
        Part::OpcUa(kind) => {
            let milliseconds = every.trim_end_matches("ms").parse().unwrap_or(100);
            Some(MachineSpec::new(name, kind).with_tick(Duration::from_millis(milliseconds)))
        }
    })
}
