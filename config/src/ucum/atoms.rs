/// Prefixes of metric units, and the binary ones.
const PREFIXES: [&str; 24] = [
    "Y", "Z", "E", "P", "T", "G", "M", "k", "h", "da", "d", "c", "m", "u", "n", "p", "f", "a", "z", "y", "Ki", "Mi",
    "Gi", "Ti",
];

/// Units that take a prefix. The first ones are those of plants: they win when only capitals are wrong.
const METRIC: &[&str] = &[
    "m", "g", "s", "A", "K", "Cel", "Pa", "bar", "L", "l", "N", "J", "W", "V", "Hz", "Ohm", "mol", "S", "F", "T", "H",
    "C", "t", "eV", "cd", "rad", "sr", "Wb", "lm", "lx", "Bq", "Gy", "Sv", "kat", "U", "B", "Np", "cal", "dyn", "erg",
    "G", "P", "St", "Mx", "Ci", "R", "ar", "gf", "m[Hg]", "m[H2O]", "tex", "osm", "eq", "g%", "[iU]", "[IU]", "u",
    "pc", "bit", "By", "Bd", "Lmb", "ph", "sb", "mho", "Gb", "Oe", "Gal", "Ky", "RAD", "REM", "B[V]", "B[W]", "B[mV]",
];

/// Units that take none.
const OTHER: &[&str] = &[
    "%",
    "min",
    "h",
    "d",
    "wk",
    "mo",
    "a",
    "deg",
    "'",
    "''",
    "gon",
    "atm",
    "att",
    "[pH]",
    "[ppm]",
    "[ppb]",
    "[ppth]",
    "[pptr]",
    "[psi]",
    "[degF]",
    "[degR]",
    "[in_i]",
    "[ft_i]",
    "[yd_i]",
    "[mi_i]",
    "[gal_us]",
    "[lb_av]",
    "[oz_av]",
    "[lbf_av]",
    "[Btu]",
    "[HP]",
    "[cft_i]",
    "[in_i'Hg]",
    "[in_i'H2O]",
    "[kn_i]",
    "[g]",
    "[pi]",
    "10*",
    "10^",
    "AU",
    "bit_s",
    "circ",
    "sph",
    "[car_Au]",
    "[arb'U]",
    "[mesh_i]",
    "[Brix]",
    "[S]",
    "[CFU]",
];

pub(super) fn is_known(name: &str) -> bool {
    let is_metric = |name: &str| METRIC.contains(&name);
    OTHER.contains(&name)
        || is_metric(name)
        || PREFIXES.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(is_metric))
}

/// The known units that differ from `name` in capitals only, as they would stand in a hint: `kPa`, `MPa" or "mPa`.
pub(super) fn known_in_other_case(name: &str) -> Option<String> {
    let is_meant = |unit: &&&str| unit.eq_ignore_ascii_case(name);
    if let Some(plain) = METRIC.iter().chain(OTHER).find(is_meant) {
        return Some((*plain).to_owned());
    }
    let mut meant: Vec<String> = Vec::new();
    for prefix in PREFIXES {
        let Some(rest) = name.get(prefix.len()..).filter(|_| name[..prefix.len()].eq_ignore_ascii_case(prefix)) else {
            continue;
        };
        let unit = METRIC.iter().find(|unit| unit.eq_ignore_ascii_case(rest));
        meant.extend(unit.map(|unit| format!("{prefix}{unit}")));
    }
    (!meant.is_empty()).then(|| meant.join("\" or \""))
}
