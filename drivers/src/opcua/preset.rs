//! What of a companion specification is worth reading. Browse names and structure as the specifications and their
//! NodeSets give them; an instance's own names (`<Nr>`) are found by browsing.

/// Steps from the machine down to the variable; the machine is the parent of the first one.
pub(crate) type Pattern = &'static [Step];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Named(Space, &'static str),
    /// One object of any name.
    Any,
}

/// Whose browse names they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    Standard,
    /// OPC 40083, plastics and rubber: types that several machines share.
    PlasticsGeneral,
    /// OPC 40084-3, extruders; versions 1 and 2 have the same names in two namespaces.
    Extruder,
    Lads,
}

/// A companion specification, or what of it is known here.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    pub name: &'static str,
    pub specification: &'static str,
    pub(crate) patterns: &'static [Pattern],
}

impl Space {
    pub(crate) fn uris(self) -> &'static [&'static str] {
        match self {
            Space::Standard => &["http://opcfoundation.org/UA/"],
            Space::PlasticsGeneral => &["http://opcfoundation.org/UA/PlasticsRubber/GeneralTypes/"],
            Space::Extruder => &[
                "http://opcfoundation.org/UA/PlasticsRubber/Extrusion_v2/Extruder/",
                "http://opcfoundation.org/UA/PlasticsRubber/Extrusion/Extruder/",
            ],
            Space::Lads => &["http://opcfoundation.org/UA/LADS/"],
        }
    }
}

const fn general(name: &'static str) -> Step {
    Step::Named(Space::PlasticsGeneral, name)
}

const fn extruder(name: &'static str) -> Step {
    Step::Named(Space::Extruder, name)
}

const fn lads(name: &'static str) -> Step {
    Step::Named(Space::Lads, name)
}

/// Extruder_InterfaceType (OPC 40084-3, 6): zones are MeasuringDeviceType, drives DriveType (OPC 40083). `Users`, which
/// the specification makes mandatory, is people's and never proposed.
const EXTRUDER: &[Pattern] = &[
    &[extruder("TemperatureZones"), Step::Any, general("ActualValue")],
    &[extruder("TemperatureZones"), Step::Any, general("SetValue")],
    &[extruder("ScrewTemperatures"), Step::Any, general("ActualValue")],
    &[extruder("MeltPressureZones"), Step::Any, general("ActualValue")],
    &[extruder("MeltTemperatureZones"), Step::Any, general("ActualValue")],
    &[extruder("VacuumZones"), Step::Any, general("ActualValue")],
    &[extruder("MainDrive"), general("Speed"), general("ActualValue")],
    &[extruder("MainDrive"), general("Torque"), general("ActualValue")],
    &[extruder("MainDrive"), general("Energy"), general("ActualPower")],
    &[extruder("AdditionalDrives"), Step::Any, general("Speed"), general("ActualValue")],
    &[extruder("AdditionalDrives"), Step::Any, general("Torque"), general("ActualValue")],
    &[extruder("Feeders"), Step::Any, general("Speed"), general("ActualValue")],
    &[extruder("Feeders"), Step::Any, extruder("Hopper"), extruder("MaterialTemperature"), general("ActualValue")],
    &[extruder("Feeders"), Step::Any, extruder("Hopper"), extruder("MaterialLevel")],
    &[extruder("Feeders"), Step::Any, extruder("Hopper"), extruder("Weight")],
    &[extruder("Throughput"), general("ActualValue")],
    &[extruder("SpecificOutput")],
];

/// LADSDeviceType, FunctionalUnitType and the functions below it (OPC 30500-1, 7.1, 7.5 and 7.6).
const LABORATORY: &[Pattern] = &[
    &[lads("FunctionalUnitSet"), Step::Any, lads("FunctionSet"), Step::Any, lads("SensorValue")],
    &[lads("FunctionalUnitSet"), Step::Any, lads("FunctionSet"), Step::Any, lads("CurrentValue")],
    &[lads("FunctionalUnitSet"), Step::Any, lads("FunctionSet"), Step::Any, lads("TargetValue")],
    &[lads("FunctionalUnitSet"), Step::Any, lads("FunctionSet"), Step::Any, lads("TotalizedValue")],
    &[
        lads("FunctionalUnitSet"),
        Step::Any,
        lads("FunctionSet"),
        Step::Any,
        lads("FunctionSet"),
        Step::Any,
        lads("SensorValue"),
    ],
    &[lads("FunctionalUnitSet"), Step::Any, lads("FunctionalUnitState"), Step::Named(Space::Standard, "CurrentState")],
    &[
        lads("FunctionalUnitSet"),
        Step::Any,
        lads("ProgramManager"),
        lads("ActiveProgram"),
        lads("CurrentStepName"),
    ],
    &[lads("FunctionalUnitSet"), Step::Any, lads("ProgramManager"), lads("ActiveProgram"), lads("CurrentRuntime")],
    &[lads("DeviceState"), Step::Named(Space::Standard, "CurrentState")],
];

pub const PRESETS: &[Preset] = &[
    Preset { name: "extruder", specification: "OPC 40084-3 (Extruder), versions 1.00 and 2.00", patterns: EXTRUDER },
    Preset { name: "laboratory", specification: "OPC 30500-1 (LADS), version 1.0.0", patterns: LABORATORY },
    Preset { name: "bioreactor", specification: "OPC 30500-1 (LADS), version 1.0.0", patterns: LABORATORY },
];

impl Preset {
    pub fn named(name: &str) -> Option<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// The number of names that lead to the machine, if the path is one of the preset's.
    pub(crate) fn machine_of(&self, path: &[(String, String)]) -> Option<usize> {
        let fits = |pattern: &&Pattern| {
            let from = path.len().checked_sub(pattern.len());
            from.is_some_and(|from| pattern.iter().zip(&path[from..]).all(|(step, name)| step.is(name)))
        };
        self.patterns.iter().find(fits).map(|pattern| path.len() - pattern.len())
    }
}

impl Step {
    fn is(self, (uri, name): &(String, String)) -> bool {
        match self {
            Step::Any => true,
            Step::Named(space, expected) => name == expected && space.uris().contains(&uri.as_str()),
        }
    }
}

/// Names of objects and variables that tell of people (OPC 40083, UsersType and UserType; OPC 10000-100, LockingUser;
/// OPC 30500-1, ResultType.User; OPC 10000-9, ClientUserId), and what vendors call the same.
pub(crate) fn tells_of_people(name: &str) -> bool {
    const WHOLE: [&str; 10] = [
        "users", "user", "username", "userid", "lockinguser", "lockingclient", "clientuserid", "carduid", "loginname",
        "userrole",
    ];
    const PARTS: [&str; 4] = ["operator", "employee", "personnel", "lastname"];
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let is_numbered = plain.strip_prefix("user").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()));
    WHOLE.contains(&plain.as_str()) || is_numbered || PARTS.iter().any(|part| plain.contains(part))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    const GENERAL: &str = "http://opcfoundation.org/UA/PlasticsRubber/GeneralTypes/";

    fn path(names: &[(&str, &str)]) -> Vec<(String, String)> {
        names.iter().map(|(uri, name)| ((*uri).to_owned(), (*name).to_owned())).collect()
    }

    #[test]
    fn a_zone_of_an_extruder_is_found_in_both_versions_of_the_specification() {
        let extruder = Preset::named("extruder").unwrap();
        for uri in Space::Extruder.uris() {
            let zone = path(&[
                ("http://opcfoundation.org/UA/", "Objects"),
                ("urn:acme", "Extruder_7"),
                (uri, "MeltPressureZones"),
                ("urn:acme", "MeltPressureZone_1"),
                (GENERAL, "ActualValue"),
            ]);
            assert_eq!(extruder.machine_of(&zone), Some(2));
            assert_eq!(extruder.machine_of(&zone[..4]), None);
        }
        let foreign = path(&[("urn:acme", "MeltPressureZones"), ("urn:acme", "1"), (GENERAL, "ActualValue")]);
        assert_eq!(extruder.machine_of(&foreign), None, "another namespace means something else");
    }

    #[test]
    fn names_of_people_are_known_and_those_of_machines_are_not() {
        for people in ["Users", "User_1", "User1", "LockingUser", "ClientUserId", "OperatorName", "Last Operator", "CardUid"] {
            assert!(tells_of_people(people), "{people}");
        }
        for machine in ["Speed", "UserParameter", "Useful", "OperationMode", "Temperature"] {
            assert!(!tells_of_people(machine), "{machine}");
        }
    }
}
