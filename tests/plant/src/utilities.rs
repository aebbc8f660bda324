//! Machines around the process: the sub-fab, dosing, energy.

use crate::model::{Area, Tag, Wire, counter, level, tag};
use crate::motion::Motion;

pub(crate) fn vacuum_pump() -> Vec<Tag> {
    use Area::Input;
    vec![
        counter(Input),
        tag("inlet_pressure", Input, 2, Wire::F32 { places: 3 }, "mbar", level(0.08, 0.01, 0.002)),
        tag("motor_current", Input, 4, Wire::U16 { places: 1 }, "A", level(14.2, 0.6, 0.1)),
        tag("motor_power", Input, 5, Wire::U16 { places: 2 }, "kW", level(5.4, 0.2, 0.04)),
        tag("body_temperature", Input, 6, Wire::I16 { places: 1 }, "Cel", level(71.0, 1.5, 0.2)),
        tag("exhaust_pressure", Input, 7, Wire::I16 { places: 0 }, "mbar", level(1035.0, 12.0, 2.0)),
        tag("rotor_speed", Input, 8, Wire::U16 { places: 0 }, "/min", level(6000.0, 40.0, 6.0)),
        tag("vibration", Input, 9, Wire::U16 { places: 2 }, "mm/s", level(1.9, 0.2, 0.08)),
        tag("cooling_water_flow", Input, 10, Wire::U16 { places: 2 }, "L/min", level(4.6, 0.1, 0.03)),
        tag("purge_flow", Input, 11, Wire::U16 { places: 1 }, "L/min", level(24.0, 0.5, 0.1)),
        tag("run_hours", Input, 12, Wire::U32, "h", Motion::Total { rate: 0.000_28 }),
        tag("running", Input, 20, Wire::Bit(0), "", Motion::Switch { on: 2950, period: 3000 }),
        tag("warning", Input, 20, Wire::Bit(1), "", Motion::Switch { on: 12, period: 1500 }),
        tag("alarm", Input, 20, Wire::Bit(2), "", Motion::Switch { on: 3, period: 4000 }),
    ]
}

/// Burn-wet scrubber behind the pumps.
pub(crate) fn abatement() -> Vec<Tag> {
    use Area::Input;
    vec![
        counter(Input),
        tag("chamber_temperature", Input, 2, Wire::I16 { places: 0 }, "Cel", level(820.0, 15.0, 2.0)),
        tag("fuel_flow", Input, 3, Wire::U16 { places: 1 }, "L/min", level(18.0, 0.8, 0.1)),
        tag("oxygen_flow", Input, 4, Wire::U16 { places: 1 }, "L/min", level(42.0, 1.2, 0.2)),
        tag("water_flow", Input, 5, Wire::U16 { places: 1 }, "L/min", level(9.5, 0.3, 0.1)),
        tag("water_ph", Input, 6, Wire::U16 { places: 2 }, "[pH]", level(6.8, 0.3, 0.02)),
        tag("exhaust_temperature", Input, 7, Wire::I16 { places: 1 }, "Cel", level(38.0, 1.0, 0.1)),
        tag("inlet_pressure", Input, 8, Wire::I16 { places: 1 }, "mbar", level(-2.5, 0.4, 0.1)),
        tag("inlets_open", Input, 9, Wire::U16 { places: 0 }, "", Motion::Steps { count: 5, serves: 40 }),
        tag("process_gas_load", Input, 10, Wire::U16 { places: 1 }, "L/min", level(31.0, 9.0, 0.5)),
        tag("power", Input, 12, Wire::F32 { places: 2 }, "kW", level(6.2, 0.5, 0.05)),
        tag("water_total", Input, 14, Wire::U32, "L", Motion::Total { rate: 0.16 }),
        tag("burner_on", Input, 20, Wire::Bit(0), "", Motion::Switch { on: 2900, period: 3000 }),
        tag("bypass_open", Input, 20, Wire::Bit(1), "", Motion::Switch { on: 8, period: 2000 }),
        tag("alarm", Input, 20, Wire::Bit(2), "", Motion::Switch { on: 4, period: 3500 }),
    ]
}

/// Gravimetric feeder of an extruder: what it doses is the recipe.
pub(crate) fn feeder() -> Vec<Tag> {
    use Area::{Coil, Holding};
    vec![
        counter(Holding),
        tag("mass_flow", Holding, 2, Wire::F32 { places: 2 }, "kg/h", level(96.0, 1.2, 0.2)),
        tag("setpoint", Holding, 4, Wire::F32 { places: 2 }, "kg/h", level(96.0, 0.0, 0.0)),
        tag("screw_speed", Holding, 6, Wire::U16 { places: 1 }, "/min", level(64.0, 1.0, 0.2)),
        tag("hopper_weight", Holding, 7, Wire::U16 { places: 2 }, "kg", level(38.0, 6.0, 0.05)),
        tag("deviation", Holding, 8, Wire::I16 { places: 2 }, "%", level(0.0, 0.4, 0.1)),
        tag("component", Holding, 9, Wire::U16 { places: 0 }, "", Motion::Steps { count: 4, serves: 400 }),
        tag("total", Holding, 10, Wire::U32, "kg", Motion::Total { rate: 0.026 }),
        tag("low_level", Coil, 0, Wire::Bool, "", Motion::Switch { on: 30, period: 900 }),
        tag("refilling", Coil, 1, Wire::Bool, "", Motion::Switch { on: 20, period: 300 }),
    ]
}

pub(crate) fn energy_meter() -> Vec<Tag> {
    use Area::Input;
    vec![
        counter(Input),
        tag("voltage", Input, 2, Wire::F32 { places: 1 }, "V", level(398.0, 2.0, 0.3)),
        tag("current", Input, 4, Wire::F32 { places: 1 }, "A", level(212.0, 9.0, 1.5)),
        tag("active_power", Input, 6, Wire::F32 { places: 1 }, "kW", level(128.0, 6.0, 0.9)),
        tag("power_factor", Input, 8, Wire::F32 { places: 2 }, "", level(0.91, 0.01, 0.003)),
        tag("frequency", Input, 10, Wire::F32 { places: 2 }, "Hz", level(50.0, 0.02, 0.005)),
        tag("energy", Input, 12, Wire::U32, "kW.h", Motion::Total { rate: 0.036 }),
    ]
}
