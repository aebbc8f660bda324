use std::cell::Cell;
use std::ops::Range;

use unicode_width::UnicodeWidthChar;

use crate::secret;

/// A place in the file, with enough of it to be shown after the file is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Whose place it is: `device "extruder-7", point "melt_temperature", register`; empty for the file as a whole.
    pub subject: String,
    pub(crate) excerpt: Excerpt,
}

/// A part of one line, without control characters, secrets and unbounded length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Excerpt {
    pub(crate) text: String,
    /// Terminal columns before the underline, and of it.
    pub(crate) indent: usize,
    pub(crate) width: usize,
}

impl Place {
    pub(crate) fn without_excerpt(self) -> Place {
        Place { excerpt: Excerpt::default(), ..self }
    }
}

/// A text whose byte offsets can be turned into places.
pub(crate) struct Source<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
    /// (offset, column from 0) of the last place: in a file of one long line, places in order cost one pass together.
    last: Cell<(usize, usize)>,
    has_private_key: bool,
}

/// Characters of a line that are shown before the place, and after it.
const BEFORE: usize = 60;
const AFTER: usize = 80;
const CUT: &str = "...";

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str) -> Source<'a> {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Source {
            text,
            line_starts: std::iter::once(0).chain(starts).collect(),
            last: Cell::new((0, 0)),
            has_private_key: secret::holds_private_key(text),
        }
    }

    /// Offsets outside the text or inside a character move to the left until they are not.
    pub(crate) fn place(&self, span: Range<usize>, subject: String) -> Place {
        let start = floor_char(self.text, span.start);
        let end = floor_char(self.text, span.end).max(start);
        let line = self.line_starts.partition_point(|line_start| *line_start <= start);
        let line_start = self.line_starts[line - 1];
        let column = self.column(line_start, start) + 1;
        let excerpt = match self.has_private_key {
            true => Excerpt::default(),
            false => self.excerpt(line_start, start..end),
        };
        Place { line, column, subject, excerpt }
    }

    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|line_start| *line_start <= offset)
    }

    fn column(&self, line_start: usize, at: usize) -> usize {
        let (offset, before) = match self.last.get() {
            last @ (offset, _) if (line_start..=at).contains(&offset) => last,
            _ => (line_start, 0),
        };
        let column = before + self.text[offset..at].chars().count();
        self.last.set((at, column));
        column
    }

    fn excerpt(&self, line_start: usize, span: Range<usize>) -> Excerpt {
        let before = &self.text[line_start..span.start];
        let shown_start = before.char_indices().rev().nth(BEFORE - 1).map_or(0, |(at, _)| at);
        // Not to the end of the line: it may be as long as the file.
        let after = &self.text[span.start..];
        let is_end = |(count, (_, c)): &(usize, (usize, char))| *count == AFTER || matches!(c, '\n' | '\r');
        let end = after.char_indices().enumerate().find(is_end);
        let shown_end = end.map_or(after.len(), |(_, (at, _))| at);
        let is_cut = end.is_some_and(|(count, _)| count == AFTER);
        let marked = (span.end - span.start).clamp(0, shown_end);
        if secret::is_assigned(before, &after[..shown_end]) {
            return Excerpt::default();
        }
        let head = if shown_start > 0 { CUT } else { "" };
        let tail = if is_cut { CUT } else { "" };
        let lead = format!("{head}{}", printable(&before[shown_start..]));
        Excerpt {
            indent: width(&lead),
            width: width(&printable(&after[..marked])).max(1),
            text: format!("{lead}{}{tail}", printable(&after[..shown_end])),
        }
    }
}

fn floor_char(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// What a terminal would obey instead of show is replaced, so that a file cannot forge its own message.
fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        match c {
            '\t' => shown.push_str("    "),
            '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' => {
                shown.push(char::REPLACEMENT_CHARACTER);
            }
            c if c.is_control() => shown.push(char::REPLACEMENT_CHARACTER),
            c => shown.push(c),
        }
        shown
    })
}

fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, part: &str) -> Place {
        let start = text.find(part).expect("the part is in the text");
        Source::new(text).place(start..start + part.len(), String::new())
    }

    #[test]
    fn columns_count_characters_and_the_underline_counts_terminal_columns() {
        let place = place("a = 1\n# 温度\nname = \"温度计\" # x\n", "温度计");
        assert_eq!((place.line, place.column), (3, 9));
        assert_eq!((place.excerpt.indent, place.excerpt.width), (8, 6));
        let place = Source::new("温度 = x").place(9..10, String::new());
        assert_eq!((place.column, place.excerpt.indent), (6, 7));
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let text = format!("{}WRONG{}", "a".repeat(100_000), "b".repeat(100_000));
        let place = place(&text, "WRONG");
        assert_eq!((place.line, place.column), (1, 100_001));
        assert_eq!(place.excerpt.text.len(), 3 + 60 + 80 + 3);
        assert_eq!(&place.excerpt.text[place.excerpt.indent..][..place.excerpt.width], "WRONG");
    }

    #[test]
    fn a_file_cannot_steer_the_terminal() {
        let place = place("a = \"\u{1b}[2J\u{202E}x\"\r\n", "a");
        assert_eq!(place.excerpt.text, "a = \"\u{FFFD}[2J\u{FFFD}x\"");
    }

    #[test]
    fn places_in_any_order_have_the_same_columns() {
        let text = "αβγδε = 1, ζηθ = 2\nικ = 3";
        let source = Source::new(text);
        let fresh = |at| Source::new(text).place(at..at, String::new());
        for at in [12, 0, 30, 20, 20, 40, 3] {
            assert_eq!(source.place(at..at, String::new()), fresh(at), "{at}");
        }
    }

    #[test]
    fn a_span_across_lines_is_underlined_on_its_first() {
        let place = place("a = \"\"\"x\ny\"\"\"\n", "\"\"\"x\ny\"\"\"");
        assert_eq!((place.excerpt.text.as_str(), place.excerpt.indent, place.excerpt.width), ("a = \"\"\"x", 4, 4));
    }
}
