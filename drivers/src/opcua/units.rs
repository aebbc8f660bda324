//! Units of measure: what OPC UA says (OPC 10000-8, 5.6.4.3: the UNECE Recommendation 20 code as a number) in UCUM.

/// Common codes of UNECE Recommendation 20 with their UCUM form. Codes and numbers as the OPC Foundation publishes them
/// (UA-Nodeset, Schema/UNECE_to_OPCUA.csv); `P1` and `59` only in the Recommendation (revision 17). Left out is what
/// UCUM cannot say exactly, such as normalised cubic metres.
pub const UNITS: &[(&str, &str)] = &[
    ("2A", "rad/s"),
    ("2J", "cm3/s"),
    ("2L", "[cft_i]/min"),
    ("2M", "cm/s"),
    ("2N", "dB"),
    ("2X", "m/min"),
    ("2Z", "mV"),
    ("3B", "MJ"),
    ("4G", "uL"),
    ("4H", "um"),
    ("4K", "mA"),
    ("4P", "N/m"),
    ("4U", "[lb_av]/h"),
    ("23", "g/cm3"),
    ("40", "mL/s"),
    ("41", "mL/min"),
    ("59", "[ppm]"),
    ("74", "mPa"),
    ("A86", "GHz"),
    ("A89", "GPa"),
    ("A93", "g/m3"),
    ("A94", "g/mol"),
    ("A97", "hPa"),
    ("AMH", "A.h"),
    ("AMP", "A"),
    ("ATM", "atm"),
    ("B22", "kA"),
    ("B35", "kg/L"),
    ("B47", "kN"),
    ("B48", "kN.m"),
    ("B49", "kOhm"),
    ("B75", "MOhm"),
    ("B84", "uA"),
    ("B85", "ubar"),
    ("B96", "uPa"),
    ("B98", "us"),
    ("B99", "uS"),
    ("BAR", "bar"),
    ("C16", "mm/s"),
    ("C17", "mm2/s"),
    ("C18", "mmol"),
    ("C20", "mN"),
    ("C24", "mPa.s"),
    ("C25", "mrad"),
    ("C26", "ms"),
    ("C27", "mS"),
    ("C31", "mW"),
    ("C34", "mol"),
    ("C36", "mol/m3"),
    ("C38", "mol/L"),
    ("C39", "nA"),
    ("C45", "nm"),
    ("C47", "ns"),
    ("C62", "1"),
    ("C65", "Pa.s"),
    ("C7", "cP"),
    ("C78", "[lbf_av]"),
    ("C81", "rad"),
    ("C94", "/min"),
    ("C97", "/s"),
    ("CDL", "cd"),
    ("CEL", "Cel"),
    ("CLT", "cL"),
    ("CMK", "cm2"),
    ("CMQ", "cm3"),
    ("CMT", "cm"),
    ("COU", "A.s"),
    ("D10", "S/m"),
    ("D41", "t/m3"),
    ("D54", "W/m2"),
    ("D80", "uW"),
    ("DAY", "d"),
    ("DD", "deg"),
    ("DLT", "dL"),
    ("DMQ", "dm3"),
    ("DMT", "dm"),
    ("E18", "t/h"),
    ("E93", "kg/h"),
    ("E96", "deg/s"),
    ("F10", "K/h"),
    ("F11", "K/min"),
    ("F12", "K/s"),
    ("F26", "g/d"),
    ("F27", "g/h"),
    ("F28", "g/min"),
    ("F29", "g/s"),
    ("F30", "kg/d"),
    ("F31", "kg/min"),
    ("F33", "mg/min"),
    ("FAH", "[degF]"),
    ("FOT", "[ft_i]"),
    ("G42", "uS/cm"),
    ("G43", "uS/m"),
    ("G51", "L/s"),
    ("G53", "m3/min"),
    ("G55", "mL/h"),
    ("GL", "g/L"),
    ("GM", "g/m2"),
    ("GP", "mg/m3"),
    ("GQ", "ug/m3"),
    ("GRM", "g"),
    ("H29", "ug/L"),
    ("H43", "S/cm"),
    ("H61", "mS/cm"),
    ("H67", "mm/h"),
    ("H81", "mm/min"),
    ("H12", "Cel/h"),
    ("H13", "Cel/min"),
    ("H14", "Cel/s"),
    ("HTZ", "Hz"),
    ("HUR", "h"),
    ("INH", "[in_i]"),
    ("J2", "J/kg"),
    ("JOU", "J"),
    ("KEL", "K"),
    ("KGM", "kg"),
    ("KGS", "kg/s"),
    ("KHZ", "kHz"),
    ("KJO", "kJ"),
    ("KMH", "km/h"),
    ("KMQ", "kg/m3"),
    ("KMT", "km"),
    ("KPA", "kPa"),
    ("KTM", "km"),
    ("KVA", "kV.A"),
    ("KVT", "kV"),
    ("KWH", "kW.h"),
    ("KWT", "kW"),
    ("L2", "L/min"),
    ("LBR", "[lb_av]"),
    ("LD", "L/d"),
    ("LTR", "L"),
    ("LUM", "lm"),
    ("LUX", "lx"),
    ("M1", "mg/L"),
    ("M33", "mmol/L"),
    ("M46", "{rev}/min"),
    ("MAW", "MW"),
    ("MBR", "mbar"),
    ("MC", "ug"),
    ("MGM", "mg"),
    ("MHZ", "MHz"),
    ("MIN", "min"),
    ("MLT", "mL"),
    ("MMK", "mm2"),
    ("MMQ", "mm3"),
    ("MMT", "mm"),
    ("MPA", "MPa"),
    ("MQH", "m3/h"),
    ("MQS", "m3/s"),
    ("MSK", "m/s2"),
    ("MTK", "m2"),
    ("MTQ", "m3"),
    ("MTR", "m"),
    ("MTS", "m/s"),
    ("MWH", "MW.h"),
    ("N23", "m[H2O]"),
    ("NA", "mg/kg"),
    ("NEW", "N"),
    ("NU", "N.m"),
    ("OHM", "Ohm"),
    ("P1", "%"),
    ("PAL", "Pa"),
    ("PS", "[psi]"),
    ("Q30", "[pH]"),
    ("RPM", "{rev}/min"),
    ("RPS", "{rev}/s"),
    ("SEC", "s"),
    ("SIE", "S"),
    ("TNE", "t"),
    ("VLT", "V"),
    ("WHR", "W.h"),
    ("WTT", "W"),
];

/// OPC 10000-8, 5.6.4.3.
pub const NAMESPACE: &str = "http://www.opcfoundation.org/UA/units/un/cefact";

/// The UCUM form of `EUInformation.unitId`, if it is of UNECE's namespace and known here.
pub fn ucum(namespace_uri: &str, unit_id: i32) -> Option<&'static str> {
    if namespace_uri != NAMESPACE {
        return None;
    }
    UNITS.iter().find(|(code, _)| number(code) == unit_id).map(|(_, ucum)| *ucum)
}

/// The code's ASCII bytes, the first one in the highest place.
fn number(code: &str) -> i32 {
    code.bytes().fold(0, |number, byte| number << 8 | i32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the OPC Foundation's list.
    const LISTED: [(i32, &str); 12] = [
        (4_408_652, "Cel"),
        (17_476, "deg"),
        (13_384, "um"),
        (4_342_098, "bar"),
        (4_536_627, "kg/h"),
        (5_067_858, "m"),
        (19_506, "L/min"),
        (5_321_520, "[pH]"),
        (4_404_786, "1"),
        (5_394_509, "{rev}/min"),
        (20_563, "[psi]"),
        (4_666_418, "uS/cm"),
    ];

    #[test]
    fn the_numbers_are_those_of_the_opc_foundation() {
        for (number, unit) in LISTED {
            assert_eq!(ucum(NAMESPACE, number), Some(unit), "{number}");
        }
        assert_eq!(ucum(NAMESPACE, -1), None);
        assert_eq!(ucum("http://acme.example/units", 4_408_652), None);
    }

    #[test]
    fn no_code_stands_twice() {
        let mut codes: Vec<_> = UNITS.iter().map(|(code, _)| code).collect();
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), UNITS.len());
    }
}
