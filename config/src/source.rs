use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use unicode_width::UnicodeWidthChar;

use crate::secret;

/// A place in the file, with enough of it to be shown after the file is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As the file was named to the loader.
    pub file: Arc<str>,
    /// Its number among the files of the configuration.
    pub(crate) number: usize,
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

/// The texts of a configuration, one behind the other: an offset counts from the beginning of the first, and between two
/// texts lies one byte.
pub(crate) struct Source<'a>(Vec<FileSource<'a>>);

/// A text whose byte offsets can be turned into places.
struct FileSource<'a> {
    name: Arc<str>,
    number: usize,
    /// Of its first byte.
    start: usize,
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
    pub(crate) fn new(name: &str, text: &'a str) -> Source<'a> {
        Source::of([(name, text)])
    }

    /// At least one.
    pub(crate) fn of<'n>(files: impl IntoIterator<Item = (&'n str, &'a str)>) -> Source<'a> {
        let mut start = 0;
        let file = |(number, (name, text)): (usize, (&str, &'a str))| {
            let source = FileSource::new(name, number, start, text);
            start += text.len() + 1;
            source
        };
        Source(files.into_iter().enumerate().map(file).collect())
    }

    pub(crate) fn start_of(&self, number: usize) -> usize {
        self.0[number].start
    }

    /// Offsets outside the texts or inside a character move to the left until they are not.
    pub(crate) fn place(&self, span: Range<usize>, subject: String) -> Place {
        let file = self.file_of(span.start);
        let local = |at: usize| at.saturating_sub(file.start);
        file.place(local(span.start)..local(span.end), subject)
    }

    /// `line 12`, or `line 12 of lingate.d/press.toml` if there is more than one file.
    pub(crate) fn where_is(&self, offset: usize) -> String {
        let file = self.file_of(offset);
        let line = file.line_of(offset.saturating_sub(file.start));
        match self.0.len() {
            1 => format!("line {line}"),
            _ => format!("line {line} of {}", file.name),
        }
    }

    fn file_of(&self, offset: usize) -> &FileSource<'a> {
        let behind = self.0.partition_point(|file| file.start <= offset);
        &self.0[behind.saturating_sub(1)]
    }
}

impl<'a> FileSource<'a> {
    fn new(name: &str, number: usize, start: usize, text: &'a str) -> FileSource<'a> {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        FileSource {
            name: name.into(),
            number,
            start,
            text,
            line_starts: std::iter::once(0).chain(starts).collect(),
            last: Cell::new((0, 0)),
            has_private_key: secret::holds_private_key(text),
        }
    }

    /// Offsets outside the text or inside a character move to the left until they are not.
    fn place(&self, span: Range<usize>, subject: String) -> Place {
        let start = floor_char(self.text, span.start);
        let end = floor_char(self.text, span.end).max(start);
        let line = self.line_starts.partition_point(|line_start| *line_start <= start);
        let line_start = self.line_starts[line - 1];
        let column = self.column(line_start, start) + 1;
        let excerpt = match self.has_private_key {
            true => Excerpt::default(),
            false => self.excerpt(line_start, start..end),
        };
        Place { file: self.name.clone(), number: self.number, line, column, subject, excerpt }
    }

    fn line_of(&self, offset: usize) -> usize {
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
        Source::new("f", text).place(start..start + part.len(), String::new())
    }

    #[test]
    fn columns_count_characters_and_the_underline_counts_terminal_columns() {
        let place = place("a = 1\n# 温度\nname = \"温度计\" # x\n", "温度计");
        assert_eq!((place.line, place.column), (3, 9));
        assert_eq!((place.excerpt.indent, place.excerpt.width), (8, 6));
        let place = Source::new("f", "温度 = x").place(9..10, String::new());
        assert_eq!((place.column, place.excerpt.indent), (6, 7));
    }

    #[test]
    fn an_offset_is_found_in_its_file() {
        let source = Source::of([("one", "a = 1\nb = 2"), ("two", ""), ("three", "c = 3\nd = 4\n")]);
        let at = |offset| {
            let place = source.place(offset..offset + 1, String::new());
            (place.file.to_string(), place.line, place.column)
        };
        assert_eq!(at(6), ("one".to_owned(), 2, 1));
        assert_eq!(at(11), ("one".to_owned(), 2, 6), "the end of the first");
        assert_eq!(at(source.start_of(1)), ("two".to_owned(), 1, 1));
        assert_eq!(at(source.start_of(2) + 6), ("three".to_owned(), 2, 1));
        assert_eq!(at(1000).0, "three");
        assert_eq!(source.where_is(source.start_of(2)), "line 1 of three");
        assert_eq!(Source::new("one", "a\nb").where_is(2), "line 2");
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
        let source = Source::new("f", text);
        let fresh = |at| Source::new("f", text).place(at..at, String::new());
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
