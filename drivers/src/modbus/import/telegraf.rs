//! Telegraf's `[[inputs.modbus]]` (plugins/inputs/modbus/README.md of Telegraf 1.x): the styles `register`, `request` and
//! `metric`. Its addresses count from zero, as ours do.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::draft::quote;
use super::{DeviceDraft, ImportError, PointDraft, area_word};

pub(super) fn read(text: &str) -> Result<Vec<DeviceDraft>, ImportError> {
    let file: Table = text.parse().map_err(|error: toml::de::Error| {
        ImportError::new(format!("the file is no TOML: {}", error.message()), "Telegraf's own file is meant, not its output")
    })?;
    let inputs = file.get("inputs").and_then(|inputs| inputs.get("modbus")).and_then(Value::as_array);
    let Some(inputs) = inputs else {
        return Err(ImportError::new("the file has no [[inputs.modbus]]", "is it of another format? `--from` says which"));
    };
    let interval = file.get("agent").and_then(|agent| agent.get("interval"));
    Ok(inputs.iter().filter_map(Value::as_table).flat_map(|input| devices(input, interval)).collect())
}

/// One per slave.
fn devices(input: &Table, interval: Option<&Value>) -> Vec<DeviceDraft> {
    let of_input = input.get("slave_id").and_then(Value::as_integer).unwrap_or(1);
    let mut points: BTreeMap<i64, Vec<PointDraft>> = BTreeMap::new();
    points.entry(of_input).or_default().extend(in_register_style(input));
    for (style, register) in [("request", true), ("metric", false)] {
        for request in tables(input, style) {
            let slave = request.get("slave_id").and_then(Value::as_integer).unwrap_or(of_input);
            points.entry(slave).or_default().extend(in_request_style(request, register));
        }
    }
    let device = |(slave, points): (i64, Vec<PointDraft>)| {
        let mut device = transport(input, interval);
        device.keys.push(("unit", slave.to_string()));
        if slave != of_input {
            device.name = format!("{}-unit-{slave}", device.name);
        }
        DeviceDraft { points, ..device }
    };
    points.into_iter().map(device).collect()
}

fn tables<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = &'a Table> {
    table.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table)
}

fn text<'a>(table: &'a Table, key: &str) -> &'a str {
    table.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn transport(input: &Table, interval: Option<&Value>) -> DeviceDraft {
    let controller = text(input, "controller");
    let mode = text(input, "transmission_mode").to_ascii_lowercase();
    let interval = input.get("interval").or(interval).and_then(Value::as_str);
    let mut device = DeviceDraft {
        name: if text(input, "name").is_empty() { "modbus".to_owned() } else { text(input, "name").to_owned() },
        driver: "modbus-tcp",
        every: interval.filter(|text| crate::settings::parse_duration(text).is_some()).unwrap_or("10s").to_owned(),
        keys: Vec::new(),
        points: Vec::new(),
        notes: Vec::new(),
    };
    match controller.split_once("://") {
        Some(("tcp", address)) => {
            device.driver = match mode.as_str() {
                "rtuovertcp" => "modbus-rtu-over-tcp",
                "asciiovertcp" => "modbus-ascii-over-tcp",
                _ => "modbus-tcp",
            };
            device.keys.push(("address", quote(address)));
        }
        Some(("file", path)) => {
            device.driver = if mode == "ascii" { "modbus-ascii" } else { "modbus-rtu" };
            device.keys.push(("port", quote(path)));
            serial(input, &mut device);
        }
        _ => {
            device.keys.push(("address", quote("192.0.2.1:502")));
            device.notes.push(format!("its controller {controller:?} is not known here: write the address"));
        }
    }
    let timeout = text(input, "timeout");
    if crate::settings::parse_duration(timeout).is_some() {
        device.keys.push(("timeout", quote(timeout)));
    }
    device
}

fn serial(input: &Table, device: &mut DeviceDraft) {
    for (theirs, ours) in [("baud_rate", "baud"), ("data_bits", "data_bits"), ("stop_bits", "stop_bits")] {
        let number = input.get(theirs).and_then(Value::as_integer);
        device.keys.extend(number.map(|number| (ours, number.to_string())));
    }
    let parity = match text(input, "parity") {
        "E" => "even",
        "O" => "odd",
        _ => "none",
    };
    device.keys.push(("parity", quote(parity)));
}

fn in_register_style(input: &Table) -> Vec<PointDraft> {
    let areas = [("coils", "coil"), ("discrete_inputs", "discrete"), ("holding_registers", "holding"), ("input_registers", "input")];
    areas.iter().flat_map(|(key, area)| tables(input, key).map(|field| register_field(field, area))).collect()
}

/// `address` lists every register, `data_type` may leave the width to their number.
fn register_field(field: &Table, area: &str) -> PointDraft {
    let mut point = PointDraft { name: named(field), ..PointDraft::default() };
    let addresses: Vec<i64> = field.get("address").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_integer).collect();
    let Some(first) = addresses.first() else {
        point.refusal = Some("it has no address".to_owned());
        return point;
    };
    point.keys.push(("register", quote(&format!("{area}:{first}"))));
    if addresses.windows(2).any(|pair| pair[0].checked_add(1) != Some(pair[1])) {
        point.refusal = Some(format!("its registers {addresses:?} do not lie one behind the other"));
        return point;
    }
    if matches!(area, "holding" | "input") {
        let bits = 16 * addresses.len();
        let word = match text(field, "data_type") {
            "FIXED" | "" => format!("INT{bits}"),
            "UFIXED" => format!("UINT{bits}"),
            "FLOAT32" | "FLOAT32-IEEE" if bits == 64 => "FLOAT64".to_owned(),
            word => word.to_owned(),
        };
        take_type(&word, field, addresses.len(), &mut point);
        take_order(text(field, "byte_order"), &mut point);
        take_scale(field, &mut point);
    }
    point
}

/// `register` stands in the request, or else in each field.
fn in_request_style(request: &Table, is_of_request: bool) -> Vec<PointDraft> {
    let order = text(request, "byte_order");
    let draft = |field: &Table| {
        let mut point = PointDraft { name: named(field), ..PointDraft::default() };
        let register = text(if is_of_request { request } else { field }, "register");
        let area = area_word(if register.is_empty() { "holding" } else { register }).unwrap_or("holding");
        let address = field.get("address").and_then(Value::as_integer).unwrap_or(-1);
        point.keys.push(("register", quote(&format!("{area}:{address}"))));
        if matches!(area, "holding" | "input") {
            let length = field.get("length").and_then(Value::as_integer).unwrap_or(1);
            take_type(text(field, "type"), field, usize::try_from(length).unwrap_or(1), &mut point);
            take_order(order, &mut point);
            take_scale(field, &mut point);
        }
        point
    };
    let is_read = |field: &&Table| field.get("omit").and_then(Value::as_bool) != Some(true);
    tables(request, "fields").filter(is_read).map(draft).collect()
}

fn named(field: &Table) -> String {
    let (measurement, name) = (text(field, "measurement"), text(field, "name"));
    if measurement.is_empty() { name.to_owned() } else { format!("{measurement}.{name}") }
}

fn take_type(word: &str, field: &Table, length: usize, point: &mut PointDraft) {
    let ours = match word.to_ascii_uppercase().as_str() {
        "INT16" => "i16",
        "UINT16" => "u16",
        "INT32" => "i32",
        "UINT32" => "u32",
        "INT64" => "i64",
        "UINT64" => "u64",
        "FLOAT16" | "FLOAT16-IEEE" => "f16",
        "FLOAT32" | "FLOAT32-IEEE" => "f32",
        "FLOAT64" | "FLOAT64-IEEE" => "f64",
        "BIT" => "bit",
        "STRING" => "string",
        "INT8L" | "INT8H" | "UINT8L" | "UINT8H" => {
            point.refusal = Some(format!("{word} is half a register: read it as u16"));
            return;
        }
        _ => {
            point.refusal = Some(format!("its type {word:?} is not known here"));
            return;
        }
    };
    point.keys.push(("type", quote(ours)));
    match ours {
        "bit" => {
            let bit = field.get("bit").and_then(Value::as_integer).unwrap_or(0);
            point.keys.push(("bit", bit.to_string()));
        }
        "string" => point.keys.push(("length", length.to_string())),
        _ => {}
    }
}

/// Telegraf has one word for all widths: of one register only the bytes can be swapped.
fn take_order(order: &str, point: &mut PointDraft) {
    let is = |word: &str| point.keys.contains(&("type", quote(word)));
    let is_single = is("i16") || is("u16") || is("f16") || is("bit") || is("string");
    let ours = match (order.to_ascii_uppercase().as_str(), is_single) {
        ("" | "AB" | "ABCD", _) | ("CDAB", true) => return,
        ("BA" | "DCBA" | "BADC", true) => "ba",
        ("BA" | "DCBA", false) => "dcba",
        ("BADC", false) => "badc",
        ("CDAB", false) => "cdab",
        (order, _) => {
            point.refusal = Some(format!("its byte order {order:?} is not known here"));
            return;
        }
    };
    point.keys.push(("word_order", quote(ours)));
}

fn take_scale(field: &Table, point: &mut PointDraft) {
    let scale = match field.get("scale") {
        Some(Value::Float(scale)) => scale.to_string(),
        Some(Value::Integer(scale)) => scale.to_string(),
        _ => return,
    };
    if !matches!(scale.as_str(), "1" | "0") {
        point.keys.push(("scale", scale));
    }
}
