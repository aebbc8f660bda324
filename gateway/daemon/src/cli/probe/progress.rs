use std::io::{IsTerminal, Write};

/// One line on standard error that changes, where a person looks at it; nothing where a program does.
pub(super) struct Progress {
    is_watched: bool,
    letters: usize,
}

impl Progress {
    pub(super) fn new() -> Progress {
        Progress { is_watched: std::io::stderr().is_terminal(), letters: 0 }
    }

    pub(super) fn say(&mut self, text: &str) {
        if self.is_watched {
            eprint!("\r{text:<width$}", width = self.letters);
            let _ = std::io::stderr().flush();
            self.letters = text.chars().count();
        }
    }

    /// Before something is printed on standard output.
    pub(super) fn clear(&mut self) {
        self.say("");
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
