//! Columns on a terminal: wide characters count twice, long cells are wrapped, numbers stand right.

use std::io::IsTerminal;

use lingate_audit::is_deceptive;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Between two columns.
const BETWEEN: usize = 2;
/// A column is not made narrower.
const NARROWEST: usize = 10;

/// How a terminal shows things.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) colour: bool,
    /// Columns; `None`: as wide as it comes, for files and pipes.
    pub(crate) width: Option<usize>,
}

impl Manner {
    /// Of standard output. `NO_COLOR` (no-color.org) and `COLUMNS` are heeded.
    pub(crate) fn of_output() -> Manner {
        let is_terminal = std::io::stdout().is_terminal();
        let colour = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        Manner { colour, width: columns.or(is_terminal.then_some(120)) }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A column's head, and whether it holds numbers.
pub(crate) type Head<'a> = (&'a str, bool);

/// The table, each line with its end, indented by two.
pub(crate) fn grid(heads: &[Head<'_>], rows: &[Vec<String>], manner: Manner) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let widths = widths(heads, &rows, manner);
    let names: Vec<String> = heads.iter().map(|(name, _)| (*name).to_owned()).collect();
    let head = manner.bold(line(heads, &names, &widths).trim_end());
    let body = rows.iter().map(|row| line(heads, row, &widths));
    std::iter::once(head + "\n").chain(body).collect()
}

fn widths(heads: &[Head<'_>], rows: &[Vec<String>], manner: Manner) -> Vec<usize> {
    let natural = |(at, (name, _)): (usize, &Head<'_>)| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width());
        cells.chain([name.width()]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = heads.iter().enumerate().map(natural).collect();
    let Some(room) = manner.width else { return widths };
    let room = room.saturating_sub(BETWEEN * widths.len());
    while widths.iter().sum::<usize>() > room {
        let texts = widths.iter_mut().zip(heads).filter(|(width, (_, is_number))| !is_number && **width > NARROWEST);
        let Some((widest, _)) = texts.max_by_key(|(width, _)| **width) else { break };
        *widest -= 1;
    }
    widths
}

/// A row, on as many lines as its longest cell needs.
fn line(heads: &[Head<'_>], cells: &[String], widths: &[usize]) -> String {
    let wrapped: Vec<Vec<String>> = cells.iter().zip(widths).map(|(cell, width)| wrap(cell, *width)).collect();
    let lines = wrapped.iter().map(Vec::len).max().unwrap_or(1);
    let mut text = String::new();
    for at in 0..lines {
        let mut one = String::new();
        for ((cell, width), (_, is_number)) in wrapped.iter().zip(widths).zip(heads) {
            let cell = cell.get(at).map_or("", String::as_str);
            let room = " ".repeat(width.saturating_sub(cell.width()));
            let padded = if *is_number { format!("{room}{cell}") } else { format!("{cell}{room}") };
            one.push_str(&" ".repeat(BETWEEN));
            one.push_str(&padded);
        }
        text.push_str(one.trim_end());
        text.push('\n');
    }
    text
}

/// At spaces, and within a word that is too long.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(2);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        if used > 0 && used + word.trim_end().width() > width {
            lines.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or(0);
            if used + wide > width && c != ' ' {
                lines.push(String::new());
                used = 0;
            }
            lines.last_mut().expect("one is there").push(c);
            used += wide;
        }
    }
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

/// What a terminal would obey is replaced.
fn printable(text: &str) -> String {
    text.chars().map(|c| if is_deceptive(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Manner = Manner { colour: false, width: None };

    #[test]
    fn wide_characters_take_two_columns() {
        let rows = [vec!["温度".to_owned(), "7".to_owned()], vec!["ab".to_owned(), "12".to_owned()]];
        let text = grid(&[("name", false), ("n", true)], &rows, PLAIN);
        assert_eq!(text, "  name   n\n  温度   7\n  ab    12\n");
    }

    #[test]
    fn a_cell_that_is_too_long_goes_on_below() {
        let manner = Manner { width: Some(26), ..PLAIN };
        let rows = [vec!["melt temperature".to_owned(), "熔体温度传感器一二三".to_owned()]];
        let text = grid(&[("a", false), ("b", false)], &rows, manner);
        assert!(text.lines().all(|line| line.width() <= 26), "{text}");
        assert!(text.replace(['\n', ' '], "").contains("meltte") || text.contains("melt"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let text = grid(&[("a", false)], &[vec!["\u{1b}[2Jx\u{202E}".to_owned()]], PLAIN);
        assert_eq!(text, "  a\n  \u{FFFD}[2Jx\u{FFFD}\n");
    }

    #[test]
    fn without_colour_nothing_is_painted() {
        assert_eq!(PLAIN.bold("x"), "x");
        assert_eq!(Manner { colour: true, width: None }.red("x"), "\x1b[31mx\x1b[0m");
    }
}
