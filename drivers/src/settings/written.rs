use toml::de::{DeTable, DeValue};

/// Tells `hear` what a table says, without spaces, comments and order: two tables that say the same are told the same.
pub(super) fn tell(table: &DeTable<'_>, except: &[&str], hear: &mut dyn FnMut(&[u8])) {
    let keys = table.iter().filter(|(key, _)| !except.contains(&&**key.get_ref()));
    for (key, value) in keys {
        text(b'k', key.get_ref(), hear);
        tell_value(value.get_ref(), hear);
    }
    hear(b"}");
}

fn tell_value(value: &DeValue<'_>, hear: &mut dyn FnMut(&[u8])) {
    match value {
        DeValue::String(string) => text(b's', string, hear),
        DeValue::Integer(integer) => text(b'i', &format!("{}r{}", integer.as_str(), integer.radix()), hear),
        DeValue::Float(float) => text(b'f', float.as_str(), hear),
        DeValue::Boolean(flag) => hear(if *flag { b"t" } else { b"n" }),
        DeValue::Datetime(time) => text(b'd', &time.to_string(), hear),
        DeValue::Array(array) => {
            hear(b"[");
            array.iter().for_each(|element| tell_value(element.get_ref(), hear));
            hear(b"]");
        }
        DeValue::Table(table) => {
            hear(b"{");
            tell(table, &[], hear);
        }
    }
}

/// With its length, so that no text can look like two.
fn text(kind: u8, text: &str, hear: &mut dyn FnMut(&[u8])) {
    hear(&[kind]);
    hear(&(text.len() as u64).to_le_bytes());
    hear(text.as_bytes());
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    fn told(file: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        tell(DeTable::parse(file).unwrap().get_ref(), &["name"], &mut |part| bytes.extend_from_slice(part));
        bytes
    }

    #[test]
    fn what_is_said_counts_and_how_it_is_written_does_not() {
        let file = "a = 'x'\nb = [1, { c = true }]\nname = 'one'";
        assert_eq!(told(file), told("name = 'other' # a comment\nb=[ 1, {c=true} ]\n\na   =   \"x\""));
        for other in
            ["a = 'x'\nb = [1, { c = false }]", "a = 'xb'\nb = [1, { c = true }]", "a = 'x'\nb = [1, 2]", "a = 'x'"]
        {
            assert_ne!(told(file), told(other), "{other}");
        }
    }
}
