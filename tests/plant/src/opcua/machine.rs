use super::samples;
use crate::motion::Motion;

/// What stands in a variable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// A measurement that was rounded to so many decimal places, as instruments do.
    Double(u8),
    Float(u8),
    Int16,
    Int32,
    UInt32,
    Boolean,
    /// One word of these; the motion says which.
    Word(&'static [&'static str]),
    /// This and a number of four digits.
    Label(&'static str),
    /// A hash of machine and variable above the lower 32 bits, which are n: changes with every tick.
    Described,
    /// One of the samples of every built-in type.
    Sample(usize),
}

/// One variable of a machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// In the gateway's configuration.
    pub name: String,
    /// Browse names below the machine's object, joined by `/`; the node id is `s={machine}/{path}`.
    pub path: String,
    pub quantity: Quantity,
    /// UCUM; empty for none. The node has it as EUInformation with the UNECE code.
    pub unit: &'static str,
    pub motion: Motion,
}

/// What a simulated machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineKind {
    /// Plasma etch tool of a fab: chamber, gas box, radio frequency.
    EtchTool,
    /// 200 L bioreactor with the browse names of OPC 30500 (LADS): functional units, functions, sensor values.
    Bioreactor,
    /// Twin-screw extruder with the browse names of OPC 40084 (PlasticsRubber extrusion): zones, screws, melt.
    Extruder,
    /// That many variables that change with every tick, for load.
    Numbered(u32),
    /// One variable of every built-in type, arrays of one to three dimensions, structures with and without description.
    Types,
}

impl MachineKind {
    pub const MACHINES: [MachineKind; 3] = [MachineKind::EtchTool, MachineKind::Bioreactor, MachineKind::Extruder];

    pub fn name(self) -> &'static str {
        match self {
            MachineKind::EtchTool => "etch-tool",
            MachineKind::Bioreactor => "bioreactor",
            MachineKind::Extruder => "extruder",
            MachineKind::Numbered(_) => "numbered",
            MachineKind::Types => "types",
        }
    }

    /// The URI of its own namespace.
    pub fn namespace(self) -> &'static str {
        match self {
            MachineKind::EtchTool => "urn:lingate:plant:etch-tool",
            MachineKind::Bioreactor => "urn:lingate:plant:bioreactor",
            MachineKind::Extruder => "urn:lingate:plant:extruder",
            MachineKind::Numbered(_) => "urn:lingate:plant:load",
            MachineKind::Types => "urn:lingate:plant:types",
        }
    }

    /// The tick counter comes first.
    pub(super) fn variables(self) -> Vec<Variable> {
        let mut variables = vec![variable("n", "Counter", Quantity::UInt32, "", Motion::Counter)];
        variables.extend(match self {
            MachineKind::EtchTool => etch_tool(),
            MachineKind::Bioreactor => bioreactor(),
            MachineKind::Extruder => extruder(),
            MachineKind::Numbered(count) => numbered(count),
            MachineKind::Types => types(),
        });
        variables
    }
}

fn variable(name: &str, path: &str, quantity: Quantity, unit: &'static str, motion: Motion) -> Variable {
    Variable { name: name.to_owned(), path: path.to_owned(), quantity, unit, motion }
}

fn level(at: f64, swing: f64, noise: f64) -> Motion {
    Motion::Level { at, swing, period: 1200, noise }
}

fn etch_tool() -> Vec<Variable> {
    use Quantity::{Boolean, Double, Float, Int32, UInt32};
    let gas = |number: u32, name: &str, at: f64| {
        let path = format!("GasBox/MassFlowController{number}/{name}/Flow");
        variable(&format!("gas_{number}_flow"), &path, Float(2), "cm3/min", level(at, 0.4, 0.05))
    };
    let mut variables = vec![
        variable("chamber_pressure", "Chamber1/Pressure", Double(3), "Pa", level(2.67, 0.05, 0.004)),
        variable("wall_temperature", "Chamber1/WallTemperature", Double(1), "Cel", level(65.0, 0.4, 0.1)),
        variable("chuck_temperature", "Chamber1/Chuck/Temperature", Double(2), "Cel", level(20.0, 0.1, 0.02)),
        variable("helium_pressure", "Chamber1/Chuck/BacksidePressure", Double(1), "Pa", level(1333.0, 8.0, 1.5)),
        variable("valve_position", "Chamber1/ThrottleValve/Position", Float(1), "%", level(38.0, 4.0, 0.3)),
        variable("source_power", "RadioFrequency/Source/ForwardPower", Double(0), "W", level(1500.0, 12.0, 3.0)),
        variable("source_reflected", "RadioFrequency/Source/ReflectedPower", Double(1), "W", level(9.0, 3.0, 0.6)),
        variable("bias_power", "RadioFrequency/Bias/ForwardPower", Double(0), "W", level(150.0, 3.0, 0.8)),
        variable("bias_voltage", "RadioFrequency/Bias/DirectVoltage", Double(0), "V", level(420.0, 6.0, 1.5)),
        variable("step", "Process/StepNumber", Int32, "", Motion::Steps { count: 9, serves: 120 }),
        variable("wafers", "Process/WafersProcessed", UInt32, "", Motion::Total { rate: 0.002 }),
        variable("plasma_on", "Process/PlasmaOn", Boolean, "", Motion::Switch { on: 700, period: 1000 }),
        variable("door_open", "LoadLock/DoorOpen", Boolean, "", Motion::Switch { on: 40, period: 1000 }),
    ];
    variables.extend([gas(1, "Cf4", 45.0), gas(2, "Chf3", 20.0), gas(3, "Ar", 200.0), gas(4, "O2", 12.0)]);
    variables.extend([
        word("e10_state", "Equipment/E10State", E10, 80),
        word("recipe", "Process/RecipeName", &["OX-ETCH-28A", "OX-ETCH-28B", "POLY-40"], 600),
        label("lot", "Process/LotId", "L", 0.001_5),
        word("operator", "Process/Operator", &["li.wei", "wang.fang"], 3_000),
    ]);
    variables
}

/// SEMI E10; the equipment is productive for most of the time.
const E10: &[&str] =
    &["PRODUCTIVE", "PRODUCTIVE", "PRODUCTIVE", "STANDBY", "PRODUCTIVE", "PRODUCTIVE", "ENGINEERING", "STANDBY"];
/// ISA-88 phases of a fed batch.
const PHASES: &[&str] = &["CHARGE", "INOCULATE", "GROWTH", "GROWTH", "FEED", "FEED", "HARVEST", "CLEAN"];
/// PackML states.
const PACKML: &[&str] = &["EXECUTE", "EXECUTE", "EXECUTE", "HELD", "EXECUTE", "EXECUTE", "STOPPED", "STARTING"];

fn word(name: &str, path: &str, words: &'static [&'static str], serves: u32) -> Variable {
    let motion = Motion::Steps { count: u32::try_from(words.len()).expect("a few words"), serves };
    variable(name, path, Quantity::Word(words), "", motion)
}

fn label(name: &str, path: &str, prefix: &'static str, rate: f64) -> Variable {
    variable(name, path, Quantity::Label(prefix), "", Motion::Total { rate })
}

fn bioreactor() -> Vec<Variable> {
    use Quantity::{Boolean, Double, Float, Int32, UInt32};
    let vessel = "FunctionalUnitSet/Vessel/FunctionSet";
    let at = |rest: &str| format!("{vessel}/{rest}");
    vec![
        variable("temperature", &at("Temperature/CurrentValue"), Double(2), "Cel", level(37.0, 0.05, 0.01)),
        variable("temperature_target", &at("Temperature/TargetValue"), Double(1), "Cel", level(37.0, 0.0, 0.0)),
        variable("ph", &at("pH/CurrentValue"), Double(3), "[pH]", level(7.05, 0.04, 0.004)),
        variable("ph_target", &at("pH/TargetValue"), Double(2), "[pH]", level(7.05, 0.0, 0.0)),
        variable("dissolved_oxygen", &at("DissolvedOxygen/CurrentValue"), Double(1), "%", level(40.0, 3.0, 0.5)),
        variable("agitation", &at("Agitation/CurrentValue"), Double(0), "/min", level(120.0, 0.0, 0.6)),
        variable("pressure", &at("HeadPressure/SensorValue"), Float(0), "mbar", level(68.0, 4.0, 0.5)),
        variable("weight", &at("Weight/SensorValue"), Float(2), "kg", level(164.0, 2.0, 0.03)),
        variable("offgas_co2", &at("OffgasCO2/SensorValue"), Float(2), "%", level(5.4, 0.5, 0.02)),
        variable("offgas_o2", &at("OffgasO2/SensorValue"), Float(2), "%", level(19.6, 0.4, 0.02)),
        variable("feed_rate", &at("FeedPump/CurrentValue"), Float(1), "mL/h", level(85.0, 20.0, 0.0)),
        variable("base_total", &at("BasePump/TotalizedValue"), UInt32, "mL", Motion::Total { rate: 0.08 }),
        variable("base_pump", &at("BasePump/IsOn"), Boolean, "", Motion::Switch { on: 14, period: 230 }),
        variable("antifoam_pump", &at("AntifoamPump/IsOn"), Boolean, "", Motion::Switch { on: 9, period: 700 }),
        variable(
            "phase",
            "FunctionalUnitSet/Vessel/ProgramManager/ActiveProgram/CurrentStepNumber",
            Int32,
            "",
            Motion::Steps { count: 7, serves: 400 },
        ),
        word("batch_phase", "FunctionalUnitSet/Vessel/ProgramManager/ActiveProgram/Phase", PHASES, 80),
        label("batch_id", "FunctionalUnitSet/Vessel/ProgramManager/ActiveProgram/BatchId", "B", 1.0 / 640.0),
        word(
            "operator",
            "FunctionalUnitSet/Vessel/ProgramManager/ActiveProgram/Operator",
            &["chen.jie", "a.meier"],
            2_000,
        ),
    ]
}

fn extruder() -> Vec<Variable> {
    use Quantity::{Boolean, Double, Float, UInt32};
    let zone = |number: u32, at: f64| {
        let path = format!("TemperatureZones/Zone_{number}/ActualTemperature");
        variable(&format!("barrel_temperature_zone_{number}"), &path, Double(1), "Cel", level(at, 1.2, 0.15))
    };
    let mut variables: Vec<Variable> =
        (1..).zip([185.0, 198.0, 206.0, 212.0, 214.0, 210.0]).map(|(number, at)| zone(number, at)).collect();
    variables.extend([
        variable("die_temperature", "Die/ActualTemperature", Double(1), "Cel", level(215.0, 0.8, 0.1)),
        variable("melt_pressure", "Melt/ActualPressure", Double(1), "bar", level(142.0, 6.0, 0.8)),
        variable("melt_temperature", "Melt/ActualTemperature", Double(1), "Cel", level(221.0, 0.9, 0.1)),
        variable("screw_speed", "Screws/Screw_1/ActualSpeed", Double(1), "/min", level(310.0, 2.0, 0.3)),
        variable("screw_torque", "Screws/Screw_1/ActualTorque", Float(1), "%", level(63.0, 5.0, 0.7)),
        variable("throughput", "Production/ActualThroughput", Float(1), "kg/h", level(482.0, 9.0, 1.1)),
        variable("line_speed", "HaulOff/ActualSpeed", Float(2), "m/min", level(14.2, 0.1, 0.02)),
        variable("energy", "Energy/TotalElectricalEnergy", UInt32, "W.h", Motion::Total { rate: 3.6 }),
        variable("product_length", "Production/ProductLength", UInt32, "m", Motion::Total { rate: 0.12 }),
        variable("cutter_on", "Cutter/IsOn", Boolean, "", Motion::Switch { on: 3, period: 60 }),
        variable("drive_ready", "Drives/MainDrive/Ready", Boolean, "", Motion::Switch { on: 2950, period: 3000 }),
        word("packml_state", "Production/State", PACKML, 80),
        word("recipe", "Production/ActiveRecipe", &["PP-TALC-20", "PP-GF-30", "PA6-GF-15"], 900),
        label("order", "Production/OrderNumber", "A", 1.0 / 900.0),
    ]);
    variables
}

fn numbered(count: u32) -> Vec<Variable> {
    let numbered = |number: u32| {
        let (name, path) = (format!("tag_{number:05}"), format!("Load/Tag{number:05}"));
        variable(&name, &path, Quantity::Described, "", Motion::Total { rate: 1.0 })
    };
    (0..count).map(numbered).collect()
}

fn types() -> Vec<Variable> {
    let sample = |(index, name): (usize, &str)| {
        let path = format!("Samples/{name}");
        variable(name, &path, Quantity::Sample(index), "", Motion::Total { rate: 1.0 })
    };
    samples::NAMES.iter().copied().enumerate().map(sample).collect()
}
