//! Who plays, and with which configuration.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use lingate_model::Value;
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, Motion, Plant, Tag, Wire};

pub(crate) const GATEWAY: &str = "gw-demo";
pub(crate) const TENANT: &str = "acme";
/// The role whose key the demo's receiver holds.
pub(crate) const ROLE: &str = "role:oem-quality";

/// Device, what it is, dataset, how often it is read, ISA-95 path.
pub(crate) const CAST: [(&str, Kind, &str, &str, &str); 3] = [
    ("chiller-3", Kind::Chiller, "ds-fab-01", "250ms", "acme/lingang/fab-1/sub-fab/chiller-3"),
    ("bioreactor-2", Kind::Bioreactor, "ds-bio-01", "200ms", "acme/lingang/bio-1/suite-2/bioreactor-2"),
    ("extruder-7", Kind::Extruder, "ds-extr-07", "100ms", "acme/lingang/hall-2/line-A/extruder-7"),
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
pub(crate) fn configuration(plant: &Plant, folder: &Path, addresses: &Addresses, root_sha256: &str) -> String {
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
    for (device, (_, _, dataset, every, equipment)) in plant.devices().iter().zip(CAST) {
        let labels = Labels { dataset, class: "general", every, equipment: Some(equipment), minimize: &minimize };
        let _ = write!(text, "\n{}", device.toml(&labels));
    }
    text
}

pub(crate) fn specs() -> impl Iterator<Item = DeviceSpec> {
    CAST.into_iter().map(|(name, kind, ..)| DeviceSpec::new(name, kind, Mode::Instrument))
}
