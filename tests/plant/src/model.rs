use crate::motion::Motion;
use crate::utilities;

/// The four tables of a Modbus device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    Coil,
    Discrete,
    Holding,
    Input,
}

impl Area {
    pub fn name(self) -> &'static str {
        match self {
            Area::Coil => "coil",
            Area::Discrete => "discrete",
            Area::Holding => "holding",
            Area::Input => "input",
        }
    }

    pub fn is_bits(self) -> bool {
        matches!(self, Area::Coil | Area::Discrete)
    }
}

/// How a quantity stands in the registers, high word first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Counts of `10^-places`.
    I16 {
        places: u8,
    },
    U16 {
        places: u8,
    },
    U32,
    /// An `f32` that was rounded to `places`, as instruments do.
    F32 {
        places: u8,
    },
    /// One bit of a register.
    Bit(u8),
    /// A coil or discrete input.
    Bool,
}

impl Wire {
    /// Registers, or bits in a table of bits.
    pub fn count(self) -> u16 {
        if matches!(self, Wire::U32 | Wire::F32 { .. }) { 2 } else { 1 }
    }
}

/// One quantity of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Tag {
    pub name: String,
    pub area: Area,
    pub address: u16,
    pub wire: Wire,
    /// UCUM; empty for none.
    pub unit: &'static str,
    pub motion: Motion,
}

/// What a simulated device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Temperature control unit of a fab tool: input registers and discrete inputs.
    Chiller,
    /// 200 L single-use bioreactor: measurements in input registers, setpoints in holding registers, pumps as coils.
    Bioreactor,
    /// Twin-screw extruder with six zones: holding registers and coils.
    Extruder,
    /// Dry pump of a sub-fab: input registers.
    VacuumPump,
    /// Burn-wet scrubber of a sub-fab: input registers.
    Abatement,
    /// Gravimetric feeder of an extruder: holding registers and coils.
    Feeder,
    /// Three-phase meter: input registers.
    EnergyMeter,
    /// That many `u32` tags `tag_000` ... in holding registers, for load; at most 9,999.
    Numbered(u16),
}

impl Kind {
    pub const MACHINES: [Kind; 3] = [Kind::Chiller, Kind::Bioreactor, Kind::Extruder];

    /// What stands around the machines.
    pub const UTILITIES: [Kind; 4] = [Kind::VacuumPump, Kind::Abatement, Kind::Feeder, Kind::EnergyMeter];

    pub fn name(self) -> &'static str {
        match self {
            Kind::VacuumPump => "vacuum-pump",
            Kind::Abatement => "abatement",
            Kind::Feeder => "feeder",
            Kind::EnergyMeter => "energy-meter",
            Kind::Chiller => "chiller",
            Kind::Bioreactor => "bioreactor",
            Kind::Extruder => "extruder",
            Kind::Numbered(_) => "numbered",
        }
    }

    /// Every table of registers begins with its serve counter.
    pub(crate) fn tags(self) -> Vec<Tag> {
        match self {
            Kind::Chiller => chiller(),
            Kind::Bioreactor => bioreactor(),
            Kind::Extruder => extruder(),
            Kind::VacuumPump => utilities::vacuum_pump(),
            Kind::Abatement => utilities::abatement(),
            Kind::Feeder => utilities::feeder(),
            Kind::EnergyMeter => utilities::energy_meter(),
            Kind::Numbered(count) => numbered(count.min(9_999)),
        }
    }
}

pub(crate) fn level(at: f64, swing: f64, noise: f64) -> Motion {
    Motion::Level { at, swing, period: 1200, noise }
}

pub(crate) fn tag(name: &str, area: Area, address: u16, wire: Wire, unit: &'static str, motion: Motion) -> Tag {
    Tag { name: name.to_owned(), area, address, wire, unit, motion }
}

pub(crate) fn counter(area: Area) -> Tag {
    tag(&format!("n_{}", area.name()), area, 0, Wire::U32, "", Motion::Counter)
}

fn chiller() -> Vec<Tag> {
    use Area::{Discrete, Input};
    vec![
        counter(Input),
        tag("supply_temperature", Input, 2, Wire::I16 { places: 2 }, "Cel", level(20.0, 0.12, 0.01)),
        tag("return_temperature", Input, 3, Wire::I16 { places: 2 }, "Cel", level(23.4, 0.30, 0.02)),
        tag("setpoint", Input, 4, Wire::I16 { places: 2 }, "Cel", level(20.0, 0.0, 0.0)),
        tag("reservoir_level", Input, 5, Wire::U16 { places: 1 }, "%", level(81.0, 1.5, 0.1)),
        tag("flow", Input, 10, Wire::F32 { places: 2 }, "L/min", level(28.4, 0.2, 0.05)),
        tag("pump_pressure", Input, 12, Wire::F32 { places: 3 }, "bar", level(4.2, 0.03, 0.005)),
        tag("compressor_current", Input, 14, Wire::F32 { places: 2 }, "A", level(11.8, 0.9, 0.08)),
        tag("suction_pressure", Input, 16, Wire::I16 { places: 2 }, "bar", level(3.6, 0.1, 0.02)),
        tag("discharge_pressure", Input, 17, Wire::I16 { places: 2 }, "bar", level(14.9, 0.4, 0.05)),
        tag("coolant_resistivity", Input, 18, Wire::U16 { places: 2 }, "MOhm.cm", level(2.1, 0.05, 0.01)),
        tag("valve_opening", Input, 19, Wire::U16 { places: 1 }, "%", level(46.0, 6.0, 0.4)),
        tag("energy", Input, 20, Wire::U32, "W.h", Motion::Total { rate: 1.4 }),
        tag("run_hours", Input, 22, Wire::U32, "h", Motion::Total { rate: 0.000_28 }),
        tag("compressor_speed", Input, 24, Wire::U16 { places: 0 }, "/min", level(3450.0, 120.0, 4.0)),
        tag("remote_control", Input, 30, Wire::Bit(0), "", Motion::Switch { on: 900, period: 1000 }),
        tag("high_temperature_alarm", Input, 30, Wire::Bit(3), "", Motion::Switch { on: 12, period: 3000 }),
        tag("low_flow_alarm", Input, 30, Wire::Bit(4), "", Motion::Switch { on: 6, period: 5000 }),
        tag("running", Discrete, 0, Wire::Bool, "", Motion::Switch { on: 2900, period: 3000 }),
        tag("leak_detected", Discrete, 1, Wire::Bool, "", Motion::Switch { on: 20, period: 4000 }),
    ]
}

fn bioreactor() -> Vec<Tag> {
    use Area::{Coil, Holding, Input};
    vec![
        counter(Input),
        tag("temperature", Input, 2, Wire::I16 { places: 2 }, "Cel", level(37.0, 0.05, 0.01)),
        tag("ph", Input, 3, Wire::I16 { places: 3 }, "[pH]", level(7.05, 0.04, 0.004)),
        tag("dissolved_oxygen", Input, 4, Wire::U16 { places: 1 }, "%", level(40.0, 3.0, 0.5)),
        tag("agitation", Input, 5, Wire::U16 { places: 0 }, "/min", level(120.0, 0.0, 0.6)),
        tag("pressure", Input, 6, Wire::I16 { places: 0 }, "mbar", level(68.0, 4.0, 0.5)),
        tag("weight", Input, 8, Wire::F32 { places: 2 }, "kg", level(164.0, 2.0, 0.03)),
        tag("offgas_co2", Input, 10, Wire::F32 { places: 2 }, "%", level(5.4, 0.5, 0.02)),
        tag("offgas_o2", Input, 12, Wire::F32 { places: 2 }, "%", level(19.6, 0.4, 0.02)),
        tag("base_total", Input, 14, Wire::U32, "mL", Motion::Total { rate: 0.08 }),
        tag("air_total", Input, 16, Wire::U32, "L", Motion::Total { rate: 0.35 }),
        counter(Holding),
        tag("temperature_setpoint", Holding, 2, Wire::I16 { places: 1 }, "Cel", level(37.0, 0.0, 0.0)),
        tag("ph_setpoint", Holding, 3, Wire::I16 { places: 2 }, "[pH]", level(7.05, 0.0, 0.0)),
        tag("feed_rate", Holding, 4, Wire::F32 { places: 1 }, "mL/h", level(85.0, 20.0, 0.0)),
        tag("phase", Holding, 6, Wire::U16 { places: 0 }, "", Motion::Steps { count: 7, serves: 400 }),
        tag("batch_serves", Holding, 8, Wire::U32, "", Motion::Total { rate: 1.0 }),
        tag("antifoam_pump", Coil, 0, Wire::Bool, "", Motion::Switch { on: 9, period: 700 }),
        tag("acid_pump", Coil, 1, Wire::Bool, "", Motion::Switch { on: 5, period: 190 }),
        tag("base_pump", Coil, 2, Wire::Bool, "", Motion::Switch { on: 14, period: 230 }),
    ]
}

fn extruder() -> Vec<Tag> {
    use Area::{Coil, Holding};
    let zone = |zone: u16, at: f64| {
        let name = format!("melt_temperature_zone_{zone}");
        tag(&name, Holding, 101 + zone, Wire::I16 { places: 1 }, "Cel", level(at, 1.2, 0.15))
    };
    let mut tags = vec![counter(Holding)];
    tags.extend((1..).zip([185.0, 198.0, 206.0, 212.0, 214.0, 210.0]).map(|(number, at)| zone(number, at)));
    tags.extend([
        tag("die_temperature", Holding, 108, Wire::I16 { places: 1 }, "Cel", level(215.0, 0.8, 0.1)),
        tag("melt_pressure", Holding, 109, Wire::U16 { places: 1 }, "bar", level(142.0, 6.0, 0.8)),
        tag("motor_load", Holding, 110, Wire::U16 { places: 1 }, "%", level(63.0, 5.0, 0.7)),
        tag("drive_ready", Holding, 111, Wire::Bit(0), "", Motion::Switch { on: 2950, period: 3000 }),
        tag("overpressure", Holding, 111, Wire::Bit(5), "", Motion::Switch { on: 8, period: 2500 }),
        tag("screw_speed", Holding, 112, Wire::F32 { places: 1 }, "/min", level(310.0, 2.0, 0.3)),
        tag("throughput", Holding, 114, Wire::F32 { places: 1 }, "kg/h", level(482.0, 9.0, 1.1)),
        tag("line_speed", Holding, 116, Wire::F32 { places: 2 }, "m/min", level(14.2, 0.1, 0.02)),
        tag("energy", Holding, 118, Wire::U32, "W.h", Motion::Total { rate: 36.0 }),
        tag("product_length", Holding, 120, Wire::U32, "m", Motion::Total { rate: 0.12 }),
        tag("puller_on", Coil, 10, Wire::Bool, "", Motion::Switch { on: 1900, period: 2000 }),
        tag("cutter_on", Coil, 11, Wire::Bool, "", Motion::Switch { on: 3, period: 60 }),
    ]);
    // The counter stands with the others in one block, as the gateway reads it.
    tags[0].address = 100;
    tags
}

fn numbered(count: u16) -> Vec<Tag> {
    let numbered = |number: u16| {
        let motion = Motion::Total { rate: 1.0 };
        tag(&format!("tag_{number:03}"), Area::Holding, 2 + number * 2, Wire::U32, "", motion)
    };
    std::iter::once(counter(Area::Holding)).chain((0..count).map(numbered)).collect()
}
