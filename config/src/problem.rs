use std::fmt;

use crate::Place;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub place: Place,
    /// One sentence that goes on where the place's subject ends: `is 300, allowed are 0 to 255`.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Everything that is wrong with a configuration, in file order; never empty. `Display` renders each with file, line,
/// column, the offending line underlined, what is wrong and what to do; plain text, without an end of line at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The first of the configuration; each problem names its own.
    pub file: String,
    /// At most 1,000.
    pub problems: Vec<Problem>,
    /// Problems beyond that, later in the file.
    pub omitted: usize,
}

/// What is wrong with a subject often begins with one of these: then both make one sentence.
const VERBS: [&str; 12] =
    ["is", "has", "does", "holds", "leads", "begins", "applies", "needs", "belongs", "names", "stands", "cannot"];

/// Nobody reads further, and a file with 100,000 points may have 100,000 problems.
pub(crate) const PROBLEMS_MAX: usize = 1_000;

impl Problems {
    pub fn new(file: String, mut problems: Vec<Problem>) -> Problems {
        problems.sort_by_key(|problem| (problem.place.number, problem.place.line, problem.place.column));
        let omitted = problems.len().saturating_sub(PROBLEMS_MAX);
        problems.truncate(PROBLEMS_MAX);
        Problems { file, problems, omitted }
    }

    pub fn count(&self) -> usize {
        self.problems.len() + self.omitted
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            problem.render(f)?;
            writeln!(f)?;
        }
        match self.count() {
            1 => write!(f, "{}: 1 problem", self.file)?,
            count => write!(f, "{}: {count} problems", self.file)?,
        }
        match self.omitted {
            0 => Ok(()),
            omitted => write!(f, ", the last {omitted} of them not shown"),
        }
    }
}

impl Problem {
    fn separator(&self) -> &'static str {
        let verb = self.what.split(' ').next().unwrap_or("");
        match self.place.subject.is_empty() {
            true => "",
            false if VERBS.contains(&verb) => " ",
            false => ": ",
        }
    }

    /// All in one line and without a part of the file: `lingate.toml:12:3: device "press", unit is 300, allowed are 0 to 255`.
    pub fn in_line(&self) -> String {
        let Place { file, line, column, subject, .. } = &self.place;
        let hint = self.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
        format!("{file}:{line}:{column}: {subject}{}{}{hint}", self.separator(), self.what)
    }

    /// As rustc does it, because that layout is known and tools can jump to `file:line:column`.
    fn render(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, column, subject, excerpt, .. } = &self.place;
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(f, "error: {subject}{}{}", self.separator(), self.what)?;
        writeln!(f, "{gutter}--> {file}:{line}:{column}")?;
        if !excerpt.text.trim().is_empty() {
            let indent = " ".repeat(excerpt.indent);
            writeln!(f, "{gutter} |")?;
            writeln!(f, "{number} | {}", excerpt.text)?;
            writeln!(f, "{gutter} | {indent}{}", "^".repeat(excerpt.width))?;
        }
        match &self.hint {
            Some(hint) => writeln!(f, "{gutter} = hint: {hint}"),
            None => Ok(()),
        }
    }
}
