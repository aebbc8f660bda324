use std::fmt::Write as _;

/// Of a text that came from a device.
const CHARACTERS_MAX: usize = 256;

/// A text from outside, fit for one line of a log or a terminal: control characters and those that change the direction
/// of writing are escaped, and what is longer than 256 characters is cut.
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(CHARACTERS_MAX));
    for (count, c) in text.chars().enumerate() {
        if count == CHARACTERS_MAX {
            shown.push('…');
            break;
        }
        if c.is_control() || is_invisible(c) {
            write!(shown, "{}", c.escape_unicode()).expect("a String takes everything");
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Unicode TR 36: marks, overrides and isolates of direction, zero width characters, line and paragraph separators.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_passes() {
        assert_eq!(shown("Zone 1 °C 温度"), "Zone 1 °C 温度");
        assert_eq!(shown("a\u{1b}[31m\n\r\0b"), "a\\u{1b}[31m\\u{a}\\u{d}\\u{0}b");
        assert_eq!(shown("evil\u{202e}txt\u{2028}"), "evil\\u{202e}txt\\u{2028}");
    }

    #[test]
    fn a_long_text_is_cut() {
        let text = shown(&"x".repeat(70_000));
        assert_eq!(text.chars().count(), CHARACTERS_MAX + 1);
        assert!(text.ends_with('…'));
        assert_eq!(shown(&"é".repeat(CHARACTERS_MAX)).chars().count(), CHARACTERS_MAX);
    }
}
