//! Readings in JSON of any shape: wherever a string `uNN_vN` (unit, index) or `uNN_rN` (unit, register) stands.

/// How far behind its name a value may stand, as in `"value":21.4`.
const REACH: usize = 120;

/// Unit, index and, if a number follows, the value.
pub(crate) fn values(payload: &[u8]) -> impl Iterator<Item = (u32, u32, Option<f64>)> + '_ {
    let mut rest = payload;
    std::iter::from_fn(move || {
        loop {
            let quote = rest.iter().position(|byte| *byte == b'"')?;
            rest = &rest[quote + 1..];
            if let Some((unit, index, behind)) = name(rest) {
                rest = behind;
                return Some((unit, index, value(behind)));
            }
        }
    })
}

/// A name that begins here, and what stands behind its closing quote.
fn name(text: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (unit, rest) = digits(text.strip_prefix(b"u")?)?;
    let by_register = rest.starts_with(b"_r");
    let (index, rest) = digits(rest.strip_prefix(b"_v").or(rest.strip_prefix(b"_r"))?)?;
    let index = if by_register { index / 2 } else { index };
    Some((unit, index, rest.strip_prefix(b"\"")?))
}

fn digits(text: &[u8]) -> Option<(u32, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let number = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
    Some((number, &text[end..]))
}

/// The number behind a name: at once, or as the member `value` of what follows.
fn value(behind: &[u8]) -> Option<f64> {
    let near = &behind[..behind.len().min(REACH)];
    let plain = near.iter().position(|byte| !b": \"".contains(byte))?;
    if near[plain].is_ascii_digit() {
        return number(&near[plain..]);
    }
    let member = near.windows(7).position(|window| window == b"\"value\"")?;
    let at = near[member + 7..].iter().position(u8::is_ascii_digit)?;
    number(&near[member + 7 + at..])
}

fn number(text: &[u8]) -> Option<f64> {
    let end = text.iter().position(|byte| !b"0123456789.eE+-".contains(byte)).unwrap_or(text.len());
    std::str::from_utf8(&text[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(u32, u32, Option<f64>)> {
        values(text.as_bytes()).collect()
    }

    #[test]
    fn readings_are_found_in_every_shape_that_the_peers_send() {
        let flat = r#"{"ts":1,"values":{"u01_v000":21.4,"u10_v499":5}}"#;
        assert_eq!(all(flat), [(1, 0, Some(21.4)), (10, 499, Some(5.0))]);
        let nested = r#"[{"u03_r300": {"ts": 5, "value": 77.0}}]"#;
        assert_eq!(all(nested), [(3, 150, Some(77.0))]);
        assert_eq!(all(r#"{"u100_v050":"1200.5"}"#), [(100, 50, Some(1200.5))]);
    }

    #[test]
    fn what_only_looks_like_a_reading_is_none() {
        assert_eq!(all(r#"{"unit":1,"u_v1":2,"u1_x2":3,"u1_v":4,"u1_v2x":5}"#), []);
        assert_eq!(all("\"u1_v2"), []);
    }
}
