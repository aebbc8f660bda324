//! Device tables out of what another program was configured with: a CSV register list, Telegraf's `[[inputs.modbus]]`,
//! Neuron's export. Pure.
//!
//! Promises: every point that is written without a comment sign parses with this build's driver; no point gets a dataset
//! or a class, so that nothing leaves the gateway before a person has labelled it; what could not be converted stands in
//! the file as a comment with its reason, and nothing is left out silently.

mod csv;
mod draft;
mod headings;
mod neuron;
mod telegraf;

use std::fmt;

pub use self::draft::Import;
pub(super) use self::draft::quote;
use self::draft::{DeviceDraft, PointDraft};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line per register under a line of column names; also Neuron's sheet of tags, saved as CSV.
    Csv,
    /// `[[inputs.modbus]]` in the styles `register`, `request` and `metric`.
    Telegraf,
    /// JSON, of a group, a node or the whole gateway.
    Neuron,
}

/// The file is not of this format at all.
#[derive(Debug, PartialEq, Eq)]
pub struct ImportError {
    pub what: String,
    pub hint: String,
}

impl std::error::Error for ImportError {}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.hint)
    }
}

impl ImportError {
    fn new(what: impl Into<String>, hint: impl Into<String>) -> ImportError {
        ImportError { what: what.into(), hint: hint.into() }
    }
}

impl Format {
    pub const NAMES: [(&'static str, Format); 3] =
        [("csv", Format::Csv), ("telegraf", Format::Telegraf), ("neuron", Format::Neuron)];

    /// What the text looks like.
    pub fn of(text: &str) -> Format {
        let begin = text.trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t']);
        if begin.starts_with('{') {
            Format::Neuron
        } else if text.contains("inputs.modbus") {
            Format::Telegraf
        } else {
            Format::Csv
        }
    }
}

/// The UCUM form of a unit as the other program writes it; `None`: it is not known.
pub type Units<'a> = &'a dyn Fn(&str) -> Option<String>;

/// `name`: of the device, where the file does not say it.
pub fn import(text: &str, format: Format, name: &str, units: Units<'_>) -> Result<Import, ImportError> {
    let text = text.trim_start_matches('\u{feff}');
    let (devices, ignored) = match format {
        Format::Csv => csv::read(text, name)?,
        Format::Telegraf => (telegraf::read(text)?, Vec::new()),
        Format::Neuron => (neuron::read(text, name)?, Vec::new()),
    };
    if devices.iter().all(|device| device.points.is_empty()) {
        return Err(ImportError::new("the file names no register", "is it of another format? `--from` says which"));
    }
    Ok(Import::of(devices, ignored, units))
}

/// The words that programs use for the driver's types. `None`: not one of them.
fn type_word(word: &str) -> Option<&'static str> {
    Some(match word.trim().to_lowercase().replace([' ', '-', '_'], "").as_str() {
        "u16" | "uint16" | "uint" | "word" | "ushort" | "unsigned16" | "unsigned" | "无符号整型" | "无符号整数" | "无符号短整型" | "16位无符号整数" | "无符号16位整数" => "u16",
        "i16" | "int16" | "int" | "short" | "sint16" | "s16" | "signed16" | "signed" | "ganzzahl" | "整型" | "整数" | "短整型" | "有符号整型" | "16位有符号整数" | "有符号16位整数" => "i16",
        "u32" | "uint32" | "udint" | "dword" | "ulong" | "unsigned32" | "无符号长整型" | "32位无符号整数" | "无符号32位整数" => "u32",
        "i32" | "int32" | "dint" | "long" | "s32" | "sint32" | "signed32" | "长整型" | "32位有符号整数" | "有符号32位整数" => "i32",
        "u64" | "uint64" | "ulint" | "lword" | "unsigned64" => "u64",
        "i64" | "int64" | "lint" | "s64" | "signed64" => "i64",
        "f16" | "float16" | "half" => "f16",
        "f32" | "float32" | "float" | "real" | "single" | "float32ieee" | "gleitkomma" | "gleitkommazahl" | "fließkomma" | "浮点" | "浮点型" | "浮点数" | "单精度" | "单精度浮点" | "单精度浮点数" | "32位浮点数" => "f32",
        "f64" | "float64" | "double" | "lreal" | "float64ieee" | "双精度" | "双精度浮点" | "双精度浮点数" | "64位浮点数" => "f64",
        "bool" | "boolean" | "coil" | "布尔" | "布尔型" | "布尔量" | "开关量" => "bool",
        "bit" | "位" => "bit",
        "bcd" | "bcd16" | "bcd32" | "bcd64" => "bcd",
        "string" | "text" | "ascii" | "zeichenkette" | "字符串" => "string",
        _ => return None,
    })
}

/// `holding`, by its name, its function code or its digit in PLC notation with an x.
fn area_word(word: &str) -> Option<&'static str> {
    Some(match word.trim().to_lowercase().replace([' ', '-', '_'], "").as_str() {
        "holding" | "holdingregister" | "holdingregisters" | "hr" | "halteregister" | "保持寄存器" | "4x" | "4区" | "3" | "03" | "fc3" | "fc03" => "holding",
        "input" | "inputregister" | "inputregisters" | "ir" | "eingangsregister" | "输入寄存器" | "3x" | "3区" | "4" | "04" | "fc4" | "fc04" => "input",
        "coil" | "coils" | "spule" | "spulen" | "线圈" | "输出线圈" | "0x" | "0区" | "1" | "01" | "fc1" | "fc01" => "coil",
        "discrete" | "discreteinput" | "discreteinputs" | "di" | "diskretereingang" | "diskreteeingänge" | "离散输入" | "离散量输入" | "离散输入寄存器" | "1x" | "1区" | "2" | "02" | "fc2" | "fc02" => "discrete",
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests;
