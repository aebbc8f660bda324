use std::io::{IsTerminal, Write};

/// Marks of a whole bar.
const WIDTH: u64 = 30;

/// One line on standard error that changes, where a person looks at it; nothing where a program does.
pub(crate) struct Progress {
    is_watched: bool,
    letters: usize,
    percent: Option<u64>,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        Progress { is_watched: std::io::stderr().is_terminal(), letters: 0, percent: None }
    }

    pub(crate) fn say(&mut self, text: &str) {
        if self.is_watched {
            eprint!("\r{text:<width$}", width = self.letters);
            let _ = std::io::stderr().flush();
            self.letters = text.chars().count();
        }
    }

    /// `reading [######........]  42 %`; written only when the number changes.
    pub(crate) fn bar(&mut self, doing: &str, done: u64, total: u64) {
        let percent = percent(done, total);
        if self.percent.replace(percent) != Some(percent) {
            self.say(&bar(doing, percent));
        }
    }

    /// Before something is printed on standard output.
    pub(crate) fn clear(&mut self) {
        self.say("");
        self.percent = None;
        if self.is_watched {
            eprint!("\r");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn percent(done: u64, total: u64) -> u64 {
    done.min(total).saturating_mul(100).checked_div(total).unwrap_or(100)
}

fn bar(doing: &str, percent: u64) -> String {
    let filled = (0..WIDTH).map(|mark| if mark * 100 < percent * WIDTH { '#' } else { '.' });
    format!("{doing} [{}] {percent:>3} %", filled.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_begins_empty_and_ends_full() {
        assert_eq!(bar("reading", 0), format!("reading [{}]   0 %", ".".repeat(30)));
        assert_eq!(bar("reading", 50), format!("reading [{}{}]  50 %", "#".repeat(15), ".".repeat(15)));
        assert_eq!(bar("reading", 100), format!("reading [{}] 100 %", "#".repeat(30)));
        assert_eq!([percent(0, 0), percent(9, 3), percent(1, 3)], [100, 100, 33]);
    }
}
