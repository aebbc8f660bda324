//! What the Modbus driver makes of a device table, and what it says about a wrong one.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::time::Duration;

use lingate_drivers::settings::{DeTable, Problem, SettingsError, Table};
use lingate_drivers::{Device, DeviceSettings, PointSettings};
use lingate_model::{BuiltinType, PointId};

/// One point of a device, in TOML.
fn parse(device: &str, point: &str) -> Result<Box<dyn Device>, Vec<Problem>> {
    let text = format!("address = 'plc-7'\n{device}\n[[point]]\n{point}");
    let file = DeTable::parse(&text).unwrap();
    let mut table = Table::new(file.get_ref(), file.span(), "device[0]");
    let points = table.take("point").tables(1..=1).into_iter();
    let points = points.map(|table| PointSettings { every: None, table }).collect();
    let every = Duration::from_millis(500);
    let settings = DeviceSettings { name: "plc-7".parse().unwrap(), every, first_point: PointId(0), table, points };
    (lingate_drivers::driver("modbus-tcp").unwrap().parse)(settings).map_err(|SettingsError(problems)| problems)
}

#[track_caller]
fn accepts(point: &str, builtin_type: BuiltinType, places: Option<u8>, source: &str) {
    let device = parse("addressing = 'one-based'", point).unwrap_or_else(|problems| panic!("{point}: {problems:?}"));
    let read = &device.points()[0];
    assert_eq!((read.builtin_type, read.places, read.source.as_str()), (builtin_type, places, source), "{point}");
}

#[track_caller]
fn refuses(device: &str, point: &str, path: &str, what: &str) {
    let problems = parse(device, point).err().unwrap_or_else(|| panic!("{point} was accepted"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!((problems[0].path.as_str(), problems[0].what.as_str()), (path, what));
}

#[test]
fn the_type_on_the_wire_and_the_scale_give_the_type_of_the_value() {
    use BuiltinType as T;
    accepts("register = 40103\ntype = 'u16'", T::UInt16, Some(0), "modbus-tcp holding:102 unit 1");
    accepts("register = 40103\ntype = 'i16'\nscale = 0.1", T::Double, Some(1), "modbus-tcp holding:102 unit 1");
    accepts("register = 40103\ntype = 'i64'\noffset = -0.25", T::Double, Some(2), "modbus-tcp holding:102 unit 1");
    accepts("register = 'input:1'\ntype = 'u32'", T::UInt32, Some(0), "modbus-tcp input:0 unit 1");
    accepts("register = 'input:1'\ntype = 'f32'", T::Float, None, "modbus-tcp input:0 unit 1");
    accepts(
        "register = 'input:1'\ntype = 'f64'\nword_order = 'ghefcdab'",
        T::Double,
        None,
        "modbus-tcp input:0 unit 1",
    );
    accepts("register = 'input:1'\ntype = 'u16'\nword_order = 'ba'", T::UInt16, Some(0), "modbus-tcp input:0 unit 1");
    accepts("register = 'input:9'\ntype = 'bit'\nbit = 15", T::Boolean, Some(0), "modbus-tcp input:8.15 unit 1");
    accepts("register = '00001'", T::Boolean, Some(0), "modbus-tcp coil:0 unit 1");
    accepts("register = 'discrete:5'\ntype = 'bool'", T::Boolean, Some(0), "modbus-tcp discrete:4 unit 1");
}

#[test]
fn a_point_that_cannot_be_read_is_refused_with_its_reason() {
    let register = "device[0].point[0].register";
    refuses("", "type = 'u16'", register, "\"register\" is missing");
    refuses("", "register = 'holding:65535'\ntype = 'u32'", register, {
        "needs 2 registers from holding:65535, the last one is 65535"
    });
    refuses("max_registers = 3", "register = 'holding:1'\ntype = 'f64'", "device[0].point[0].type", {
        "needs 4 registers in one request, max_registers is 3"
    });
    refuses("", "register = 40103\ntype = 'u16'", register, "\"40103\" is PLC notation, which counts from one");
}

#[test]
fn a_type_that_does_not_fit_its_register_is_refused() {
    let path = "device[0].point[0].type";
    refuses("", "register = 'holding:1'", path, "\"type\" is missing");
    refuses("", "register = 'coil:1'\ntype = 'u16'", path, "is for registers, a coil or discrete input is a \"bool\"");
    refuses("", "register = 'holding:1'\ntype = 'bit'", path, "needs the number of the bit");
    refuses("", "register = 'holding:1'\ntype = 'bool'", path, {
        "is for coils and discrete inputs, a register has 16 bits"
    });
    refuses("", "register = 'holding:1'\ntype = 'u16'\nbit = 3", "device[0].point[0].bit", "belongs to type = \"bit\"");
    refuses("", "register = 'coil:1'\nscale = 2", "device[0].point[0]", "\"scale\" is not a setting");
    refuses("", "register = 'input:1'\ntype = 'i16'\nscale = 0.0", "device[0].point[0].scale", {
        "is 0, so that every value would be the same"
    });
    refuses("", "register = 'input:1'\ntype = 'i16'\nword_order = 'cdab'", "device[0].point[0].word_order", {
        "is \"cdab\", allowed are \"ab\", \"ba\""
    });
}

#[test]
fn limits_of_the_standard_and_of_reason_hold() {
    let point = "register = 'coil:1'";
    refuses("max_registers = 126", point, "device[0].max_registers", "is 126, allowed are 1 to 125");
    refuses("max_bits = 2001", point, "device[0].max_bits", "is 2001, allowed are 1 to 2000");
    refuses("unit = 256", point, "device[0].unit", "is 256, allowed are 0 to 255");
    refuses("timeout = '2h'", point, "device[0].timeout", "is 2h, allowed are 10ms to 1m");
    refuses("word_order = 'abdc'", point, "device[0].word_order", {
        "is \"abdc\", allowed are \"abcd\", \"cdab\", \"badc\", \"dcba\""
    });
}

#[test]
fn every_type_of_the_field_has_its_words() {
    use BuiltinType as T;
    let at = "register = 'holding:10'\n";
    for (keys, builtin_type, places, source) in [
        ("type = 'f16'", T::Float, None, "holding:9"),
        ("type = 'bcd'\ndigits = 4", T::UInt16, Some(0), "holding:9"),
        ("type = 'bcd'\ndigits = 8\nword_order = 'cdab'\nscale = 0.01", T::Double, Some(2), "holding:9"),
        ("type = 'bcd'\ndigits = 16\nword_order = 'efghabcd'", T::UInt64, Some(0), "holding:9"),
        ("type = 'string'\nlength = 8\ncharset = 'latin-1'\nword_order = 'ba'", T::String, Some(0), "holding:9"),
        ("type = 'datetime'\nlayout = 'unix-ms'\nword_order = 'ghefcdab'", T::DateTime, Some(0), "holding:9"),
        ("type = 'datetime'\nlayout = 'ymdhms'\nutc_offset = '+08:00'", T::DateTime, Some(0), "holding:9"),
        (
            "type = 'f32'\ncount = 8\ninvalid = [-9999, 0x7FC00000]\nvalid = [-40, 400.5]",
            T::Float,
            None,
            "holding:9[8]",
        ),
        ("type = 'i16'\ninvalid = 0x8000\nscale = 0.1", T::Double, Some(1), "holding:9"),
        ("type = 'u64'\nword_order = 'cdabghef'", T::UInt64, Some(0), "holding:9"),
    ] {
        accepts(&format!("{at}{keys}"), builtin_type, places, &format!("modbus-tcp {source} unit 1"));
    }
    accepts("register = 'coil:1'\ncount = 16", T::Boolean, Some(0), "modbus-tcp coil:0[16] unit 1");
    let zones = parse("", "register = 'holding:0'\ntype = 'i16'\ncount = 8").unwrap();
    assert_eq!(zones.points()[0].rank, 1);
}

#[test]
fn what_completes_a_type_is_asked_for_and_belongs_to_it() {
    let refuses = |keys: &str, key: &str, what: &str| {
        refuses("", &format!("register = 'holding:1'\n{keys}"), &format!("device[0].point[0].{key}"), what);
    };
    refuses("type = 'bcd'", "type", "needs the number of its digits");
    refuses("type = 'string'", "type", "needs its length in registers");
    refuses("type = 'datetime'", "type", "needs the layout of the date");
    refuses("type = 'u16'\ndigits = 4", "digits", "belongs to type = \"bcd\"");
    refuses("type = 'u16'\ncharset = 'ascii'", "charset", "belongs to type = \"string\"");
    refuses("type = 'bcd'\ndigits = 4\nutc_offset = '+08:00'", "utc_offset", "belongs to type = \"datetime\"");
    refuses("type = 'bcd'\ndigits = 17", "digits", "is 17, allowed are 2 to 16");
    refuses("type = 'string'\nlength = 126", "length", "is 126, allowed are 1 to 125");
    refuses("type = 'string'\nlength = 8\ncharset = 'ebcdic'", "charset", {
        "is \"ebcdic\", allowed are \"ascii\", \"utf-8\", \"latin-1\", \"gb18030\", \"gbk\""
    });
    for offset in ["8", "+8:00", "+15:00", "+08:60", "08:00", "\u{20ac}08:00"] {
        let keys = format!("type = 'datetime'\nlayout = 'unix-s'\nutc_offset = '{offset}'");
        refuses(&keys, "utc_offset", &format!("\"{offset}\" is not an offset from UTC"));
    }
}

#[test]
fn an_array_is_read_whole_or_refused() {
    let count = "device[0].point[0].count";
    refuses("", "register = 'holding:1'\ntype = 'f32'\ncount = 63", count, {
        "needs 126 registers in one request, max_registers is 125"
    });
    refuses("max_bits = 64", "register = 'coil:1'\ncount = 65", count, "needs 65 bits in one request, max_bits is 64");
    refuses("", "register = 'holding:1'\ntype = 'string'\nlength = 4\ncount = 2", count, {
        "is for numbers, coils and discrete inputs"
    });
    refuses("", "register = 'holding:65500'\ntype = 'u16'\ncount = 40", "device[0].point[0].register", {
        "needs 40 registers from holding:65500, the last one is 65535"
    });
}

#[test]
fn a_sentinel_that_can_never_come_is_refused() {
    let refuses = |keys: &str, what: &str| {
        refuses("", &format!("register = 'holding:1'\n{keys}"), "device[0].point[0].invalid", what);
    };
    refuses("type = 'i16'\ninvalid = 0x18000", "has 0x18000, which the value cannot hold");
    refuses("type = 'u16'\ninvalid = [65535, 65536]", "has 65536, which the value cannot hold");
    refuses("type = 'i16'\ninvalid = -3276.8", "has a fraction, the raw value is an integer");
    refuses("type = 'i16'\ninvalid = '0x8000'", "is a text, expected a number");
}
