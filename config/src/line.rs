use std::collections::BTreeMap;
use std::ops::Range;

use lingate_drivers::SharedLine;
use lingate_drivers::settings::Problem;
use lingate_model::DeviceName;

/// The transports that devices share, by name: all of one agree on its settings.
#[derive(Default)]
pub(crate) struct Lines(BTreeMap<String, First>);

/// The device that named a line first.
struct First {
    user: User,
    settings: String,
    is_reported: bool,
}

#[derive(Clone)]
pub(crate) struct User {
    pub(crate) name: DeviceName,
    pub(crate) span: Range<usize>,
    /// `device[0]`
    pub(crate) path: String,
}

impl Lines {
    /// What the device's settings contradict, at both places.
    pub(crate) fn join(&mut self, line: SharedLine, user: User) -> Vec<Problem> {
        let Some(first) = self.0.get_mut(&line.name) else {
            self.0.insert(line.name, First { user, settings: line.settings, is_reported: false });
            return Vec::new();
        };
        if first.settings == line.settings {
            return Vec::new();
        }
        let (mine, theirs) = (&line.settings, &first.settings);
        let mut problems = vec![differ(&user, &line.name, mine, &first.user.name, theirs)];
        if !std::mem::replace(&mut first.is_reported, true) {
            problems.push(differ(&first.user, &line.name, theirs, &user.name, mine));
        }
        problems
    }
}

fn differ(user: &User, line: &str, mine: &str, other: &DeviceName, theirs: &str) -> Problem {
    Problem {
        span: user.span.clone(),
        path: user.path.clone(),
        what: format!("needs {mine} on the line {line}, where device {:?} needs {theirs}", other.as_str()),
        hint: Some("devices on one line share its settings: give both the same, or another line".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn devices_on_one_line_agree_or_both_are_told() {
        let mut lines = Lines::default();
        let mut join = |place: usize, line: &str, settings: &str| {
            let user = User {
                name: format!("oven-{place}").parse().unwrap(),
                span: place..place + 1,
                path: format!("device[{place}]"),
            };
            let line = SharedLine { name: line.to_owned(), settings: settings.to_owned() };
            let found = lines.join(line, user);
            found.into_iter().map(|problem| (problem.span.start, problem.what)).collect::<Vec<_>>()
        };
        assert_eq!(join(0, "/dev/ttyUSB0", "9600 8E1"), []);
        assert_eq!(join(1, "/dev/ttyUSB0", "9600 8E1"), []);
        assert_eq!(join(2, "/dev/ttyUSB1", "19200 8N1"), []);
        let told = join(3, "/dev/ttyUSB0", "19200 8N1");
        let mine = "needs 19200 8N1 on the line /dev/ttyUSB0, where device \"oven-0\" needs 9600 8E1".to_owned();
        let theirs = "needs 9600 8E1 on the line /dev/ttyUSB0, where device \"oven-3\" needs 19200 8N1".to_owned();
        assert_eq!(told, [(3, mine), (0, theirs)]);
        assert_eq!(join(4, "/dev/ttyUSB0", "300 7O2").len(), 1, "the first was told");
    }
}
