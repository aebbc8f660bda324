use std::collections::BTreeMap;
use std::ops::Range;

use lingate_drivers::SharedLine;
use lingate_drivers::settings::{Problem, Table};
use lingate_model::DeviceName;

/// The transports that devices share, by name: all of one agree on its settings.
#[derive(Default)]
pub(crate) struct Lines(BTreeMap<String, First>);

/// The device that named a line first.
struct First {
    user: User,
    settings: Vec<(&'static str, String)>,
    is_reported: bool,
}

pub(crate) struct User {
    pub(crate) name: DeviceName,
    pub(crate) places: Places,
}

/// Where the settings of a device stand.
pub(crate) struct Places {
    /// `device[0]`
    path: String,
    /// Where a setting that is not there is told.
    device: Range<usize>,
    keys: BTreeMap<String, Range<usize>>,
}

impl Places {
    pub(crate) fn of(table: &Table<'_>) -> Places {
        let keys = table.keys().map(|key| (key.to_owned(), table.span_of(key))).collect();
        Places { path: table.path().to_owned(), device: table.span_of("name"), keys }
    }
}

impl Lines {
    /// What the device's settings contradict, at both places.
    pub(crate) fn join(&mut self, line: SharedLine, user: User) -> Vec<Problem> {
        let SharedLine { name, settings, .. } = line;
        let Some(first) = self.0.get_mut(&name) else {
            self.0.insert(name, First { user, settings, is_reported: false });
            return Vec::new();
        };
        let (mine, theirs) =
            (Side { user: &user, settings: &settings }, Side { user: &first.user, settings: &first.settings });
        let mut problems = mine.differing_from(&theirs, &name);
        if !problems.is_empty() && !std::mem::replace(&mut first.is_reported, true) {
            problems.extend(theirs.differing_from(&mine, &name));
        }
        problems
    }
}

struct Side<'a> {
    user: &'a User,
    settings: &'a [(&'static str, String)],
}

impl Side<'_> {
    fn differing_from(&self, other: &Side<'_>, line: &str) -> Vec<Problem> {
        let theirs = |key: &str| other.settings.iter().find(|(known, _)| *known == key).map(|(_, value)| value);
        let differing = self.settings.iter().filter_map(|(key, mine)| {
            let theirs = theirs(key)?;
            (theirs != mine).then(|| self.problem(key, mine, theirs, &other.user.name, line))
        });
        differing.collect()
    }

    fn problem(&self, key: &str, mine: &str, theirs: &str, other: &DeviceName, line: &str) -> Problem {
        let Places { path, device, keys } = &self.user.places;
        let written = keys.get(key);
        let default = if written.is_some() { "" } else { " by default" };
        Problem {
            span: written.unwrap_or(device).clone(),
            path: format!("{path}.{key}"),
            what: format!("is {mine}{default}, where device {:?} on the same line {line} has {theirs}", other.as_str()),
            hint: Some("devices on one line share its settings: give both the same, or another line".to_owned()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::*;

    #[test]
    fn devices_on_one_line_agree_or_both_are_told_at_the_setting_that_differs() {
        let mut lines = Lines::default();
        let mut join = |place: usize, line: &str, baud: &str| {
            let keys = BTreeMap::from([("baud".to_owned(), 100 + place..101 + place)]);
            let places = Places { path: format!("device[{place}]"), device: place..place + 1, keys };
            let user = User { name: format!("oven-{place}").parse().unwrap(), places };
            let settings = vec![("baud", baud.to_owned()), ("parity", "even".to_owned())];
            let line = SharedLine { name: line.to_owned(), settings, station: String::new() };
            let found = lines.join(line, user);
            found.into_iter().map(|problem| (problem.span.start, problem.path, problem.what)).collect::<Vec<_>>()
        };
        assert_eq!(join(0, "/dev/ttyUSB0", "9600"), []);
        assert_eq!(join(1, "/dev/ttyUSB0", "9600"), []);
        assert_eq!(join(2, "/dev/ttyUSB1", "19200"), []);
        let told = join(3, "/dev/ttyUSB0", "19200");
        let mine = "is 19200, where device \"oven-0\" on the same line /dev/ttyUSB0 has 9600".to_owned();
        let theirs = "is 9600, where device \"oven-3\" on the same line /dev/ttyUSB0 has 19200".to_owned();
        assert_eq!(told, [(103, "device[3].baud".to_owned(), mine), (100, "device[0].baud".to_owned(), theirs)]);
        assert_eq!(join(4, "/dev/ttyUSB0", "300").len(), 1, "the first was told");
    }

    #[test]
    fn a_setting_that_is_not_written_is_told_at_the_device() {
        let side = |name: &str, keys: &[&str]| {
            let keys = keys.iter().map(|key| ((*key).to_owned(), 50..55)).collect();
            User { name: name.parse().unwrap(), places: Places { path: "device[0]".to_owned(), device: 7..9, keys } }
        };
        let (mine, theirs) = (side("a", &[]), side("b", &["baud"]));
        let (mine_set, theirs_set) = ([("baud", "19200".to_owned())], [("baud", "9600".to_owned())]);
        let mine = Side { user: &mine, settings: &mine_set };
        let told = mine.differing_from(&Side { user: &theirs, settings: &theirs_set }, "/dev/ttyUSB0");
        assert_eq!((told[0].span.clone(), told[0].what.starts_with("is 19200 by default, ")), (7..9, true));
    }
}
