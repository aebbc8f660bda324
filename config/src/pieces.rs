//! A large file is parsed from one `[[device]]` to another: what the parser holds beside its result (two dozen bytes for
//! each word of the text) is then that of a piece. The result is that of the whole, or none.

use lingate_drivers::settings::DeTable;
use toml::de::DeValue;

use crate::merge::shifted_table;

/// A piece has so many at least.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

const HEADER: &str = "[[device]]";

/// `None`: the text has to be parsed as a whole, because it is short, or because a piece of it is no TOML or sets what
/// another one has set. What is wrong is then told by the parser, who sees everything.
pub(crate) fn parse(text: &str, piece_bytes: usize) -> Option<DeTable<'_>> {
    let starts = starts(text, piece_bytes);
    let ends = starts.iter().copied().skip(1).chain([text.len()]);
    let mut root = (starts.len() > 1).then(DeTable::new)?;
    for (start, end) in starts.iter().copied().zip(ends) {
        let (piece, errors) = DeTable::parse_recoverable(&text[start..end]);
        (errors.is_empty() && join(&mut root, shifted_table(piece.into_inner(), start), text)).then_some(())?;
    }
    Some(root)
}

/// The first byte, and the first of a line with `[[device]]` so far behind each. A line inside of a text or a list looks
/// the same; what is before it is then no TOML.
fn starts(text: &str, piece_bytes: usize) -> Vec<usize> {
    let mut starts = vec![0];
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        let last = starts.last().copied().unwrap_or(0);
        if line_start - last >= piece_bytes.max(1) && line.starts_with(HEADER) {
            starts.push(line_start);
        }
        line_start += line.len();
    }
    starts
}

/// Whether nothing but the list of devices stands in both.
fn join<'a>(root: &mut DeTable<'a>, piece: DeTable<'a>, text: &str) -> bool {
    piece.into_iter().all(|(key, value)| {
        let Some(known) = root.get_mut(&**key.get_ref()) else {
            root.insert(key, value);
            return true;
        };
        // A list that stands behind `device =` cannot go on under a header.
        let is_open = text.get(known.span()) == Some(HEADER);
        match (known.get_mut(), value.into_inner()) {
            (DeValue::Array(known), DeValue::Array(more)) if is_open => {
                more.into_iter().for_each(|device| known.push(device));
                true
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::REFERENCE;

    fn whole(text: &str) -> String {
        let (table, errors) = DeTable::parse_recoverable(text);
        assert_eq!(errors, [], "{text}");
        format!("{:?}", table.get_ref())
    }

    #[test]
    fn the_pieces_of_a_file_say_what_the_whole_says() {
        let small = "a = 1\r\n[[device]]\r\nx = 1\r\n[[device.point]]\n[[device]]\n[device.y]\n[b]\nc = '温'";
        for (text, piece_bytes) in [(small, 1), (small, 20), (REFERENCE, 1), (REFERENCE, 400), (REFERENCE, 3000)] {
            let parsed = parse(text, piece_bytes).expect("it is good, and longer");
            assert_eq!(format!("{parsed:?}"), whole(text), "pieces of {piece_bytes} bytes");
        }
    }

    #[test]
    fn what_cannot_be_cut_is_left_to_the_parser_of_the_whole() {
        for text in [
            "a = 1",
            "a = \"\"\"\n[[device]]\n\"\"\"\n",
            "a = [\n[[device]]\n]\n",
            "device = [{}]\n[[device]]\n",
            "[device]\n\n[[device]]\n",
            "[a]\nx = 1\n[[device]]\n[a]\ny = 1",
            "[[a]]\n[[device]]\n[[a]]\n",
            "x = 1\n[[device]]\nx = \n",
        ] {
            assert_eq!(parse(text, 1).map(|table| format!("{table:?}")), None, "{text}");
        }
    }
}
