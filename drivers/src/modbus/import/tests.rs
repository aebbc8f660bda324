use std::time::Duration;

use lingate_model::PointId;

use super::*;
use crate::settings::{DeTable, SettingsError, Table};
use crate::{Device, DeviceSettings, PointSettings};

const TELEGRAF: &str = r#"
[agent]
  interval = "5s"
[[inputs.modbus]]
  name = "Device 1"
  slave_id = 3
  timeout = "2s"
  controller = "tcp://10.0.4.17:1502"
  coils = [ { name = "motor1_run", address = [4]} ]
  discrete_inputs = [ { name = "start", address = [0]} ]
  holding_registers = [
    { name = "power_factor", byte_order = "AB", data_type = "FIXED", scale = 0.01, address = [8]},
    { name = "energy", byte_order = "ABCD", data_type = "UFIXED", scale = 0.001, address = [5,6]},
    { name = "scattered", byte_order = "ABCD", data_type = "INT32", scale = 1.0, address = [5,9]},
    { name = "half", byte_order = "AB", data_type = "UINT8L", scale = 1.0, address = [5]},
  ]
  input_registers = [
    { name = "tank_level", byte_order = "CDAB", data_type = "FLOAT32", scale = 1.0, address = [20,21]},
    { name = "tank_level", byte_order = "BA", data_type = "INT16", scale = 1.0, address = [22]},
  ]
[[inputs.modbus]]
  name = "line"
  controller = "tcp://10.0.4.18:502"
  configuration_type = "request"
  [[inputs.modbus.request]]
    slave_id = 7
    byte_order = "DCBA"
    register = "input"
    fields = [
      { address=0, name="voltage", type="FLOAT32", measurement="grid" },
      { address=2, name="skipped", type="INT16", omit=true },
      { address=10, name="state", type="BIT", bit=5 },
      { address=12, name="label", type="STRING", length=4 },
      { address=20, name="raw", type="INT64", scale=0.1 },
    ]
  [[inputs.modbus.request]]
    slave_id = 8
    register = "coil"
    fields = [ { address=0, name="motor" } ]
"#;

const NEURON: &str = r#"{
  "nodes": [{"name": "plc a", "plugin": "Modbus TCP", "params": {"host": "10.0.4.20", "port": 503}}],
  "groups": [{"driver": "plc a", "group": "g1", "interval": 500, "tags": [
    {"name": "temp", "address": "1!40001", "attribute": 1, "type": 3, "decimal": 0.1, "description": "zone 1"},
    {"name": "flow", "address": "1!30010#BB", "attribute": 1, "type": 9, "decimal": 0},
    {"name": "total", "address": "2!400101", "attribute": 1, "type": 6},
    {"name": "run", "address": "1!00001", "attribute": 1, "type": 11},
    {"name": "alarm", "address": "1!40020.3", "attribute": 1, "type": 11},
    {"name": "recipe", "address": "1!40030.10H", "attribute": 1, "type": 13},
    {"name": "half", "address": "1!40040", "attribute": 1, "type": 1}
  ]}]
}"#;

const CSV: &str = "\
Name;Address;Function;Data Type;Scale;Byte Order;Unit;Description
zone 1;102;holding;INT16;0.1;;degC;melt \"temperature\"
zone 1;103;FC03;INT16;0.1;;degC;
\"speed; main\";40201;;FLOAT;;CDAB;rpm;
estop;4;2;BOOL;;;;
where;17;;INT16;;;;
odd;18;holding;COMPLEX;;;;
far;70000;holding;INT16;;;;
";

const GERMAN: &str = "\
Bezeichnung;Registeradresse;Registertyp;Datentyp;Faktor;Einheit;Bemerkung;Farbe
Zone 1;102;Halteregister;INT16;0,1;\u{b0}C;Schmelze;rot
Druck;40201;;Gleitkomma;;bar;;
Menge;300;Eingangsregister;UINT32;1.000,5;kg;;
";

const CHINESE: &str = "\
\u{53d8}\u{91cf}\u{540d}\u{79f0},\u{5bc4}\u{5b58}\u{5668}\u{5730}\u{5740},\u{529f}\u{80fd}\u{7801},\u{6570}\u{636e}\u{7c7b}\u{578b},\u{500d}\u{7387},\u{5355}\u{4f4d}
\u{4e00}\u{533a}\u{6e29}\u{5ea6},102,03,\u{6709}\u{7b26}\u{53f7}\u{6574}\u{578b},0.1,\u{2103}
\u{538b}\u{529b},200,\u{8f93}\u{5165}\u{5bc4}\u{5b58}\u{5668},\u{6d6e}\u{70b9}\u{6570},,MPa
";

/// Without the table of units that the configuration has.
fn import(text: &str, format: Format, name: &str) -> Result<Import, ImportError> {
    let units = |unit: &str| match unit {
        "\u{b0}C" | "\u{2103}" => Some("Cel".to_owned()),
        "bar" | "MPa" => Some(unit.to_owned()),
        _ => None,
    };
    super::import(text, format, name, &units)
}

/// Each device of an import, parsed by the driver as the configuration would.
fn devices(import: &Import) -> Vec<Box<dyn Device>> {
    let file = DeTable::parse(&import.toml).unwrap();
    let mut root = Table::new(file.get_ref(), file.span(), "");
    let tables = root.take("device").tables(1..=100);
    assert_eq!(root.finish(), []);
    tables.into_iter().map(parse).collect()
}

fn parse(mut table: Table<'_>) -> Box<dyn Device> {
    let name = table.take("name").parsed().unwrap();
    let kind = table.take("driver").string().unwrap();
    assert!(table.take("equipment").string().is_some());
    let day = || Duration::from_millis(1)..=Duration::from_secs(86_400);
    let every = table.take("every").duration(day()).unwrap();
    let points = table.take("point").tables(1..=1000).into_iter().map(|mut table| {
        assert!(table.take("name").parsed::<lingate_model::PointName>().is_some());
        let _ = table.take("unit").string();
        assert!(!table.has("dataset") && !table.has("class"), "denied until a person labels it");
        PointSettings { every: table.take("every").duration(day()), table }
    });
    let settings = DeviceSettings { name, every, first_point: PointId(0), points: points.collect(), table };
    (crate::driver(&kind).unwrap().parse)(settings).unwrap_or_else(|SettingsError(problems)| panic!("{problems:?}"))
}

fn show(import: &Import) -> Vec<String> {
    let show = |device: &dyn Device| {
        let points = device.points().iter().map(|point| format!("{:?} {}", point.builtin_type, point.source));
        std::iter::once(device.address()).chain(points).collect::<Vec<_>>()
    };
    devices(import).iter().flat_map(|device| show(device.as_ref())).collect()
}

#[test]
fn telegrafs_file_becomes_tables_that_the_driver_accepts() {
    assert_eq!(Format::of(TELEGRAF), Format::Telegraf);
    let result = import(TELEGRAF, Format::Telegraf, "x").unwrap();
    assert_eq!(show(&result), [
        "10.0.4.17:1502",
        "Boolean modbus-tcp coil:4 unit 3",
        "Boolean modbus-tcp discrete:0 unit 3",
        "Double modbus-tcp holding:8 unit 3",
        "Double modbus-tcp holding:5 unit 3",
        "Float modbus-tcp input:20 unit 3",
        "Int16 modbus-tcp input:22 unit 3",
        "10.0.4.18:502",
        "Float modbus-tcp input:0 unit 7",
        "Boolean modbus-tcp input:10.5 unit 7",
        "String modbus-tcp input:12 unit 7",
        "Double modbus-tcp input:20 unit 7",
        "10.0.4.18:502",
        "Boolean modbus-tcp coil:0 unit 8",
    ]);
    assert_eq!((result.points, result.refused), (11, 2));
    for expected in [
        "name = \"Device_1\"",
        "every = \"5s\"",
        "timeout = \"2s\"",
        "name = \"tank_level_2\"",
        "word_order = \"cdab\"",
        "word_order = \"dcba\"",
        "# NOT CONVERTED: scattered",
        "do not lie one behind the other",
        "UINT8L is half a register",
    ] {
        assert!(result.toml.contains(expected), "{expected}: {}", result.toml);
    }
    assert!(!result.toml.contains("skipped"), "Telegraf does not read it either");
}

#[test]
fn neurons_export_becomes_one_device_for_each_slave() {
    assert_eq!(Format::of(NEURON), Format::Neuron);
    let result = import(NEURON, Format::Neuron, "x").unwrap();
    assert_eq!(show(&result), [
        "10.0.4.20:503",
        "Double modbus-tcp holding:0 unit 1",
        "Float modbus-tcp input:9 unit 1",
        "Boolean modbus-tcp coil:0 unit 1",
        "Boolean modbus-tcp holding:19.3 unit 1",
        "String modbus-tcp holding:29 unit 1",
        "10.0.4.20:503",
        "UInt32 modbus-tcp holding:100 unit 2",
    ]);
    assert_eq!((result.points, result.refused), (6, 1));
    for expected in ["every = \"500ms\"", "word_order = \"abcd\"", "word_order = \"cdab\"", "length = 5", "# zone 1", "\"INT8\""] {
        assert!(result.toml.contains(expected), "{expected}: {}", result.toml);
    }
}

#[test]
fn a_list_of_registers_needs_names_above_its_columns() {
    assert_eq!(Format::of(CSV), Format::Csv);
    let result = import(CSV, Format::Csv, "press 4").unwrap();
    assert_eq!(show(&result), [
        "192.0.2.1:502",
        "Double modbus-tcp holding:102 unit 1",
        "Double modbus-tcp holding:103 unit 1",
        "Float modbus-tcp holding:200 unit 1",
        "Boolean modbus-tcp discrete:4 unit 1",
    ]);
    assert_eq!((result.points, result.refused), (4, 3));
    for expected in [
        "name = \"press_4\"",
        "name = \"zone_1_2\"",
        "# there: speed; main",
        "# unit there: degC",
        "# melt \"temperature\"",
        "holding, input, coil or discrete?",
        "\"COMPLEX\" is not known",
        "is outside 0 to 65535",
    ] {
        assert!(result.toml.contains(expected), "{expected}: {}", result.toml);
    }
    let error = import("a,b\n1,2\n", Format::Csv, "x").unwrap_err();
    assert_eq!(error.what, "no column is called register or address; the first line has \"a\", \"b\"");
}

#[test]
fn a_german_list_with_semicolons_and_decimal_commas_is_read() {
    let result = import(GERMAN, Format::Csv, "Presse 4").unwrap();
    assert_eq!(show(&result), ["192.0.2.1:502", "Double modbus-tcp holding:102 unit 1", "Float modbus-tcp holding:200 unit 1"]);
    assert_eq!((result.points, result.refused, result.ignored), (2, 1, vec!["Farbe".to_owned()]));
    for expected in ["scale = 0.1\n", "unit = \"Cel\"\n# unit there: \u{b0}C", "unit = \"bar\"", "left out: Farbe"] {
        assert!(result.toml.contains(expected), "{expected}: {}", result.toml);
    }
    let (name, why) = result.first_refusal.unwrap();
    assert_eq!((name.as_str(), why.as_str()), ("Menge", "its scale \"1.000,5\" may mean thousands or a fraction"));
}

#[test]
fn a_chinese_list_is_read() {
    let result = import(CHINESE, Format::Csv, "press").unwrap();
    assert_eq!(show(&result), ["192.0.2.1:502", "Double modbus-tcp holding:102 unit 1", "Float modbus-tcp input:200 unit 1"]);
    assert!(result.toml.contains("unit = \"Cel\"") && result.toml.contains("unit = \"MPa\""), "{}", result.toml);
    assert!(result.toml.contains("# there: \u{538b}\u{529b}"), "the name as it was: {}", result.toml);
}

#[test]
fn neurons_sheet_of_tags_is_read_too() {
    let sheet = "group,interval,name,address,attribute,type,description,decimal,precision,bias\n\
        g,1000,level,1!40001,Read,UINT16,tank,0.5,0,2\ng,1000,door,1!10003,Read,BIT,,,,\n";
    let result = import(sheet, Format::Csv, "plc").unwrap();
    assert_eq!(show(&result), ["192.0.2.1:502", "Double modbus-tcp holding:0 unit 1", "Boolean modbus-tcp discrete:2 unit 1"]);
    assert!(result.toml.contains("offset = 2\n") && result.toml.contains("every = \"1000ms\""), "{}", result.toml);
}

#[test]
fn texts_of_the_other_program_cannot_break_out_of_their_line() {
    let csv = "name,register,type,description\n\"a\n[[device]]\nb\",holding:1,u16,\"x\ny = 1\"\n\"\",\"holding:2\"\"\n\",u16,\n";
    let result = import(csv, Format::Csv, "d").unwrap();
    assert_eq!(devices(&result).len(), 1);
    let json = r#"{"tags":[{"name":"n","address":"1!4\u000a0001","type":3},{"name":"m","address":"x\"!40001","type":3}]}"#;
    let result = import(json, Format::Neuron, "d").unwrap();
    assert_eq!((result.points, result.refused), (0, 2), "{}", result.toml);
    assert!(devices(&result).is_empty());
}

#[test]
fn a_device_that_the_driver_refuses_is_a_comment_with_all_of_its_points() {
    let json = r#"{"tags":[{"name":"n","address":"1\u000a[[device]]!40001","type":3},{"name":"m","address":"999!40001","type":3}]}"#;
    let result = import(json, Format::Neuron, "d").unwrap();
    assert_eq!((result.points, result.refused), (0, 2), "{}", result.toml);
    assert!(devices(&result).is_empty());
    assert!(result.toml.contains("is 999, allowed are 0 to 255"), "{}", result.toml);
}

#[test]
fn what_is_of_another_format_says_so() {
    for (text, format) in [("not = [toml", Format::Telegraf), ("a = 1", Format::Telegraf), ("{", Format::Neuron), ("{}", Format::Neuron)] {
        assert!(import(text, format, "d").is_err(), "{text}");
    }
}
