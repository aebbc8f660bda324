/// The known word that a mistyped one probably meant: at most a third of its letters wrong, missing, added or swapped.
/// Small and capital letters are the same, and so are `-` and `_`.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = &plain(word);
    let letters = word.chars().count();
    let mistakes_max = (letters / 3).max(1);
    known
        .into_iter()
        .filter(|known| known.chars().count().abs_diff(letters) <= mistakes_max)
        .map(|known| (distance(word, &plain(known)), foreign(word, &plain(known)), known))
        .filter(|(mistakes, ..)| *mistakes <= mistakes_max)
        .min()
        .map(|(.., known)| known)
}

/// The known word for what other tools, PLC languages (IEC 61131-3) and manuals call otherwise.
pub(super) fn elsewhere<'k>(word: &str, mut known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let name = match plain(word).as_str() {
        "int16" | "int" | "short" => "i16",
        "uint16" | "uint" | "word" => "u16",
        "int32" | "dint" => "i32",
        "uint32" | "udint" | "dword" => "u32",
        "int64" | "lint" => "i64",
        "uint64" | "ulint" | "lword" => "u64",
        "float32" | "float" | "real" => "f32",
        "float64" | "double" | "lreal" => "f64",
        "boolean" => "bool",
        "text" => "string",
        "big" | "big_endian" | "be" => "abcd",
        "little" | "little_endian" | "le" => "dcba",
        _ => return None,
    };
    known.find(|word| *word == name)
}

/// Letters of the word that the known one does not have: of two that are as near, the one that has them all was meant.
fn foreign(word: &str, known: &str) -> usize {
    let count = |text: &str, letter: char| text.chars().filter(|c| *c == letter).count();
    word.chars().filter(|letter| count(word, *letter) > count(known, *letter)).count()
}

fn plain(word: &str) -> String {
    word.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Damerau-Levenshtein distance in its optimal string alignment form: swapped neighbours count once.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut cost = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            if i == 0 || j == 0 {
                cost[i][j] = i + j;
                continue;
            }
            let replaced = cost[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            cost[i][j] = replaced.min(cost[i - 1][j] + 1).min(cost[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost[i][j] = cost[i][j].min(cost[i - 2][j - 2] + 1);
            }
        }
    }
    cost[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_another_tool_finds_ours_where_it_is_known() {
        let types = ["i16", "u16", "f32", "f64"];
        for (word, ours) in [("INT16", Some("i16")), ("real", Some("f32")), ("Double", Some("f64")), ("dint", None)] {
            assert_eq!(elsewhere(word, types.into_iter()), ours, "{word}");
        }
    }

    #[test]
    fn a_slip_finds_its_word_and_nonsense_finds_none() {
        let known = ["register", "scale", "type", "word_order", "bit"];
        for (slip, word) in
            [("regsiter", "register"), ("wordorder", "word_order"), ("scael", "scale"), ("tipe", "type")]
        {
            assert_eq!(nearest(slip, known), Some(word), "{slip}");
        }
        for nonsense in ["", "zzzz", "quality", "abcdefghijklmnopqrstuvwxyz"] {
            assert_eq!(nearest(nonsense, known), None, "{nonsense}");
        }
    }
}
