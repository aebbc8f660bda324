//! Every unit that the OPC UA driver proposes is one that a configuration accepts.

use lingate_drivers::opcua::units::UNITS;

#[test]
fn every_unit_of_an_opc_ua_server_is_accepted() {
    let head = include_str!("../../gateway/daemon/src/cli/sample.toml");
    let device = "[[device]]\nname = \"x\"\ndriver = \"opcua\"\nevery = \"1s\"\nequipment = \"a/b\"\naddress = \"h\"\n";
    let point = |(at, (_, unit)): (usize, &(&str, &str))| {
        let labels = if at == 0 { "dataset = \"ds-extr-07\"\nclass = \"general\"\n" } else { "" };
        format!(
            "[[device.point]]\nname = \"p{at}\"\nnode = \"i={}\"\ntype = \"double\"\nunit = \"{unit}\"\n{labels}",
            at + 1
        )
    };
    let points: String = UNITS.iter().enumerate().map(point).collect();
    if let Err(problems) = lingate_config::load("units.toml", &format!("{head}{device}{points}")) {
        panic!("{problems}");
    }
}
