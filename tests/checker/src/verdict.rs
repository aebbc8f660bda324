//! What the judge says, invariant by invariant.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::Least;

/// So many examples of one violation are shown.
const EXAMPLES: usize = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Held,
    /// What was seen, the first few.
    Violated(Vec<String>),
    /// Why the run gives no evidence.
    NotJudged(String),
}

impl Outcome {
    pub(crate) fn of(violations: Vec<String>) -> Outcome {
        if violations.is_empty() { Outcome::Held } else { Outcome::Violated(violations) }
    }

    pub(crate) fn not_judged(reason: &str) -> Outcome {
        Outcome::NotJudged(reason.to_owned())
    }
}

#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub run: String,
    /// By number of the invariant, 1 to 13.
    pub outcomes: BTreeMap<u8, Outcome>,
    pub figures: BTreeMap<&'static str, Value>,
    pub least: Least,
    /// Why the run shows nothing.
    pub vacuous: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    run: &'a str,
    verdict: &'static str,
    held: Vec<String>,
    violated: BTreeMap<String, &'a [String]>,
    not_judged: BTreeMap<String, &'a str>,
    vacuous: &'a Option<String>,
    least: Least,
    figures: &'a BTreeMap<&'static str, Value>,
}

impl Verdict {
    /// Nothing that was judged is violated, and the run shows something.
    pub fn holds(&self) -> bool {
        self.vacuous.is_none() && !self.outcomes.values().any(|outcome| matches!(outcome, Outcome::Violated(_)))
    }

    pub fn violated(&self) -> Vec<u8> {
        let violated = self.outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Violated(_)));
        violated.map(|(number, _)| *number).collect()
    }

    pub fn figure(&self, name: &'static str) -> u64 {
        self.figures.get(name).and_then(Value::as_u64).unwrap_or(0)
    }

    pub fn note(&mut self, name: &'static str, figure: impl Into<Value>) {
        self.figures.insert(name, figure.into());
    }

    /// One line of JSON, without a line end.
    pub fn to_json(&self) -> String {
        let named = |number: &u8| format!("I{number}");
        let mut line = Line {
            run: &self.run,
            verdict: match (&self.vacuous, self.violated().is_empty()) {
                (_, false) => "violated",
                (Some(_), true) => "vacuous",
                (None, true) => "held",
            },
            held: Vec::new(),
            violated: BTreeMap::new(),
            not_judged: BTreeMap::new(),
            vacuous: &self.vacuous,
            least: self.least,
            figures: &self.figures,
        };
        for (number, outcome) in &self.outcomes {
            match outcome {
                Outcome::Held => line.held.push(named(number)),
                Outcome::Violated(seen) => {
                    line.violated.insert(named(number), &seen[..seen.len().min(EXAMPLES)]);
                }
                Outcome::NotJudged(reason) => {
                    line.not_judged.insert(named(number), reason);
                }
            }
        }
        json!(line).to_string()
    }
}
