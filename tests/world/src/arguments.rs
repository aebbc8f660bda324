//! `--name VALUE` and `--flag`, for the binaries of this crate.

use std::collections::{BTreeMap, BTreeSet};

pub struct Arguments {
    numbers: BTreeMap<String, u64>,
    flags: BTreeSet<String>,
}

impl Arguments {
    /// Of the process. Errors: in one sentence.
    pub fn parse(numbers: &[&str], flags: &[&str]) -> Result<Arguments, String> {
        Arguments::parse_from(std::env::args().skip(1), numbers, flags)
    }

    fn parse_from(
        given: impl IntoIterator<Item = String>,
        numbers: &[&str],
        flags: &[&str],
    ) -> Result<Arguments, String> {
        let mut arguments = Arguments { numbers: BTreeMap::new(), flags: BTreeSet::new() };
        let mut given = given.into_iter();
        while let Some(word) = given.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("{word:?} is not known"))?;
            if flags.contains(&name) {
                arguments.flags.insert(name.to_owned());
            } else if numbers.contains(&name) {
                let value = given.next().unwrap_or_default();
                let number = value.parse().map_err(|_| format!("--{name} takes a whole number, not {value:?}"))?;
                arguments.numbers.insert(name.to_owned(), number);
            } else {
                return Err(format!("{word:?} is not known"));
            }
        }
        Ok(arguments)
    }

    pub fn number(&self, name: &str, otherwise: u64) -> u64 {
        self.numbers.get(name).copied().unwrap_or(otherwise)
    }

    pub fn given(&self, name: &str) -> Option<u64> {
        self.numbers.get(name).copied()
    }

    pub fn has(&self, flag: &str) -> bool {
        self.flags.contains(flag)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_or_no_number_is_refused_by_name() {
        let parse =
            |words: &str| Arguments::parse_from(words.split_whitespace().map(str::to_owned), &["seed"], &["all"]);
        let good = parse("--seed 7 --all").unwrap();
        assert_eq!((good.number("seed", 0), good.has("all"), good.given("days")), (7, true, None));
        for (words, part) in
            [("--sed 7", "--sed"), ("7", "7"), ("--seed x", "whole number"), ("--seed", "whole number")]
        {
            assert!(parse(words).err().unwrap().contains(part), "{words}");
        }
    }
}
