use std::fmt::Write;
use std::net::SocketAddr;

use crate::model::{Tag, Wire};
use crate::motion::Motion;
use crate::spec::DeviceSpec;

/// What a `[[device]]` table says beside what the device itself knows.
pub struct Labels<'a> {
    pub dataset: &'a str,
    /// `general` or `important`.
    pub class: &'a str,
    /// `500ms`
    pub every: &'a str,
    /// ISA-95 path; without one, a path that shows the levels.
    pub equipment: Option<&'a str>,
    /// The steps of a tag as TOML, such as `[ { deadband = 0.5 } ]`. Not asked for serve counters.
    pub minimize: &'a dyn Fn(&Tag) -> Option<String>,
}

impl<'a> Labels<'a> {
    /// Class general, every 500 ms, nothing minimized.
    pub fn new(dataset: &'a str) -> Labels<'a> {
        Labels { dataset, class: "general", every: "500ms", equipment: None, minimize: &|_| None }
    }
}

/// The `[[device]]` table of a gateway's configuration that reads every tag of a device.
pub fn device_toml(spec: &DeviceSpec, address: SocketAddr, labels: &Labels<'_>) -> String {
    device_toml_at(spec, "modbus-tcp", &format!("address = \"{address}\""), labels)
}

/// `place`: the lines that say where the device is.
pub(crate) fn device_toml_at(spec: &DeviceSpec, driver: &str, place: &str, labels: &Labels<'_>) -> String {
    let mut text = format!("[[device]]\nname = {:?}\ndriver = \"{driver}\"\nevery = {:?}\n", spec.name, labels.every);
    let default = format!("plant/site/area/line/{}", spec.name);
    put(&mut text, "equipment", &format!("{:?}", labels.equipment.unwrap_or(&default)));
    text.push_str(place.trim_end());
    text.push('\n');
    put(&mut text, "unit", &spec.unit.to_string());
    for tag in spec.tags() {
        text.push_str("\n[[device.point]]\n");
        put_point(&mut text, tag, labels);
    }
    text
}

fn put_point(text: &mut String, tag: &Tag, labels: &Labels<'_>) {
    put(text, "name", &format!("{:?}", tag.name));
    put(text, "register", &format!("\"{}:{}\"", tag.area.name(), tag.address));
    match tag.wire {
        Wire::Bool => {}
        Wire::Bit(bit) => put(text, "type", &format!("\"bit\"\nbit = {bit}")),
        Wire::U32 => put(text, "type", "\"u32\""),
        Wire::F32 { .. } => put(text, "type", "\"f32\""),
        Wire::I16 { places } => put(text, "type", &format!("\"i16\"{}", scale(places))),
        Wire::U16 { places } => put(text, "type", &format!("\"u16\"{}", scale(places))),
    }
    if !tag.unit.is_empty() {
        put(text, "unit", &format!("{:?}", tag.unit));
    }
    put(text, "dataset", &format!("{:?}", labels.dataset));
    put(text, "class", &format!("{:?}", labels.class));
    if tag.motion != Motion::Counter
        && let Some(steps) = (labels.minimize)(tag)
    {
        put(text, "minimize", &steps);
    }
}

fn scale(places: u8) -> String {
    match places {
        0 => String::new(),
        _ => format!("\nscale = 0.{:0width$}", 1, width = usize::from(places)),
    }
}

fn put(text: &mut String, key: &str, value: &str) {
    writeln!(text, "{key} = {value}").expect("a String takes all text");
}
