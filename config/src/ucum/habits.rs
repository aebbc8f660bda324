/// Texts that mean something else in UCUM than people who write them alone.
pub(super) const WHOLE: &[(&str, &str)] = &[
    ("C", "\"Cel\" for degrees Celsius; coulomb is \"A.s\""),
    ("F", "\"[degF]\" for degrees Fahrenheit; farad is \"C/V\""),
    ("", "\"1\" for a plain number, or leave unit out"),
];

/// Turns in a minute: in German a U, which is a unit of enzymes elsewhere.
pub(super) const TURNS: &[(&str, &str)] =
    &[("U/min", "{rev}/min"), ("r/min", "{rev}/min"), ("转/分", "{rev}/min"), ("转/分钟", "{rev}/min")];

/// Names that people give to units, in lower case except where capitals decide, and the right ones.
pub(super) const NAMES: &[(&str, &str)] = &[
    ("Nm", "N.m"),
    ("ph", "[pH]"),
    ("pH", "[pH]"),
    ("PH", "[pH]"),
    ("degc", "Cel"),
    ("deg_c", "Cel"),
    ("celsius", "Cel"),
    ("centigrade", "Cel"),
    ("degf", "[degF]"),
    ("deg_f", "[degF]"),
    ("fahrenheit", "[degF]"),
    ("kelvin", "K"),
    ("degk", "K"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("mins", "min"),
    ("minute", "min"),
    ("minutes", "min"),
    ("hr", "h"),
    ("hrs", "h"),
    ("hour", "h"),
    ("hours", "h"),
    ("day", "d"),
    ("days", "d"),
    ("percent", "%"),
    ("pct", "%"),
    ("ppm", "[ppm]"),
    ("ppb", "[ppb]"),
    ("rpm", "{rev}/min"),
    ("lpm", "L/min"),
    ("slpm", "L/min{standard}"),
    ("slm", "L/min{standard}"),
    ("sccm", "cm3/min{standard}"),
    ("cfm", "[cft_i]/min"),
    ("gpm", "[gal_us]/min"),
    ("cph", "{count}/h"),
    ("psi", "[psi]"),
    ("psig", "[psi]{gauge}"),
    ("psia", "[psi]{absolute}"),
    ("barg", "bar{gauge}"),
    ("bara", "bar{absolute}"),
    ("torr", "mm[Hg]"),
    ("mmhg", "mm[Hg]"),
    ("mmh2o", "mm[H2O]"),
    ("inhg", "[in_i'Hg]"),
    ("inh2o", "[in_i'H2O]"),
    ("wh", "W.h"),
    ("kwh", "kW.h"),
    ("mwh", "MW.h"),
    ("va", "V.A"),
    ("kva", "kV.A"),
    ("kvar", "kV.A{reactive}"),
    ("ah", "A.h"),
    ("inch", "[in_i]"),
    ("inches", "[in_i]"),
    ("ft", "[ft_i]"),
    ("feet", "[ft_i]"),
    ("lb", "[lb_av]"),
    ("lbs", "[lb_av]"),
    ("gallon", "[gal_us]"),
    ("hp", "[HP]"),
    ("btu", "[Btu]"),
    ("micron", "um"),
    ("microns", "um"),
    ("ohms", "Ohm"),
    ("volt", "V"),
    ("volts", "V"),
    ("amp", "A"),
    ("amps", "A"),
    ("ampere", "A"),
    ("watt", "W"),
    ("watts", "W"),
    ("hertz", "Hz"),
    ("pascal", "Pa"),
    ("meter", "m"),
    ("metre", "m"),
    ("liter", "L"),
    ("litre", "L"),
    ("liters", "L"),
    ("gram", "g"),
    ("ton", "t"),
    ("tonne", "t"),
    ("count", "{count}"),
    ("counts", "{count}"),
    ("pcs", "{count}"),
];

/// Signs of other notations: `m³`, `m^3` and `m**3` are `m3`, `N·m` is `N.m`, `µm` is `um`, `kg / h` is `kg/h`.
pub(super) fn plain(text: &str) -> String {
    let text = text.replace("Nm3", "m3{normal}").replace("Nm³", "m3{normal}");
    let text = text.replace("°C", "Cel").replace("°F", "[degF]").replace("**", "");
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' ' => {}
            '^' if !plain.ends_with("10") => {}
            '℃' => plain.push_str("Cel"),
            '℉' => plain.push_str("[degF]"),
            '°' => plain.push_str("deg"),
            '\u{2126}' | '\u{3A9}' => plain.push_str("Ohm"),
            '‰' => plain.push_str("[ppth]"),
            '\u{B5}' | '\u{3BC}' => plain.push('u'),
            '·' | '⋅' | '×' => plain.push('.'),
            '⁻' => plain.push('-'),
            c => plain.push(superscript(c).unwrap_or(c)),
        }
    }
    plain
}

fn superscript(c: char) -> Option<char> {
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    digits.iter().position(|digit| *digit == c).and_then(|value| char::from_digit(value as u32, 10))
}
