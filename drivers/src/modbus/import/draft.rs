use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use lingate_model::{DeviceName, PointId, PointName};

use super::Units;
use crate::settings::{DeTable, Problem, SettingsError, Table};
use crate::{DeviceSettings, PointSettings};

/// What an import gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Device tables for `lingate.toml`.
    pub toml: String,
    /// Points that the driver accepts.
    pub points: usize,
    /// Points that stand in it as comments.
    pub refused: usize,
    /// Of the first of them: its name, and why it was not converted.
    pub first_refusal: Option<(String, String)>,
    /// Columns whose titles mean nothing here.
    pub ignored: Vec<String>,
}

/// A device as another program knows it. Values are TOML as they are written.
#[derive(Clone, Debug)]
pub(super) struct DeviceDraft {
    pub(super) name: String,
    pub(super) driver: &'static str,
    pub(super) every: String,
    pub(super) keys: Vec<(&'static str, String)>,
    pub(super) points: Vec<PointDraft>,
    /// What a person should know or do.
    pub(super) notes: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct PointDraft {
    pub(super) name: String,
    pub(super) every: Option<String>,
    pub(super) keys: Vec<(&'static str, String)>,
    pub(super) notes: Vec<String>,
    /// As the other program writes it; empty: none.
    pub(super) unit: String,
    /// Why it cannot be converted at all.
    pub(super) refusal: Option<String>,
}

const HEAD: &str = "\
# Imported. No point has a dataset and a class: nothing of this leaves the gateway until each is labelled.
# Check one value of several registers with `lingate probe modbus` before you trust the byte order.
";

impl Import {
    pub(super) fn of(devices: Vec<DeviceDraft>, ignored: Vec<String>, units: Units<'_>) -> Import {
        let mut import = Import { toml: HEAD.to_owned(), points: 0, refused: 0, first_refusal: None, ignored };
        if !import.ignored.is_empty() {
            import.note(&format!("Columns that were left out: {}", import.ignored.join(", ")));
        }
        let mut names = Names::default();
        for device in devices.into_iter().filter(|device| !device.points.is_empty()) {
            import.device(&device, &names.unused(&device.name, |name| name.parse::<DeviceName>().is_ok()), units);
        }
        import
    }

    fn device(&mut self, device: &DeviceDraft, name: &str, units: Units<'_>) {
        let (begin, points) = (self.toml.len(), self.points);
        let _ = writeln!(self.toml, "\n[[device]]\nname = {}\ndriver = {}", quote(name), quote(device.driver));
        let equipment = format!("enterprise/site/area/line/{name}");
        let _ = writeln!(self.toml, "equipment = {}   # your ISA-95 path", quote(&equipment));
        let _ = writeln!(self.toml, "every = {}", quote(&device.every));
        self.keys(&device.keys);
        device.notes.iter().for_each(|note| self.note(note));
        let mut names = Names::default();
        for point in &device.points {
            let name = names.unused(&point.name, |name| name.parse::<PointName>().is_ok());
            match point.refusal.clone().or_else(|| refusal(device, point)) {
                None => self.point(point, &name, units),
                Some(why) => self.refused(point, &why),
            }
        }
        if self.points == points {
            // Without points the table would be refused, and its own keys may be the reason.
            let table = self.toml.split_off(begin);
            table.lines().for_each(|line| self.note(line.trim_start_matches("# ")));
        }
    }

    fn point(&mut self, point: &PointDraft, name: &str, units: Units<'_>) {
        self.points += 1;
        let _ = writeln!(self.toml, "\n[[device.point]]\nname = {}", quote(name));
        if name != point.name {
            self.note(&format!("there: {}", point.name));
        }
        self.keys(&point.keys);
        if let Some(every) = &point.every {
            let _ = writeln!(self.toml, "every = {}", quote(every));
        }
        self.unit(&point.unit, units);
        point.notes.iter().for_each(|note| self.note(note));
        self.toml.push_str("# dataset = \"\"\n# class = \"\"\n");
    }

    fn unit(&mut self, unit: &str, units: Units<'_>) {
        match units(unit) {
            _ if unit.is_empty() => {}
            Some(known) => {
                let _ = writeln!(self.toml, "unit = {}", quote(&known));
                if known != unit {
                    self.note(&format!("unit there: {unit}"));
                }
            }
            None => self.note(&format!("unit there: {unit} (write unit = \"...\" in UCUM)")),
        }
    }

    fn refused(&mut self, point: &PointDraft, why: &str) {
        self.refused += 1;
        self.first_refusal.get_or_insert_with(|| (point.name.clone(), why.to_owned()));
        let keys: Vec<_> = point.keys.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        self.toml.push('\n');
        self.note(&format!("NOT CONVERTED: {} {}", point.name, keys.join(", ")));
        self.note(&format!("  because: {why}"));
        point.notes.iter().for_each(|note| self.note(note));
    }

    fn keys(&mut self, keys: &[(&'static str, String)]) {
        keys.iter().for_each(|(key, value)| {
            let _ = writeln!(self.toml, "{key} = {value}");
        });
    }

    /// One line, whatever the other program had in its texts.
    fn note(&mut self, note: &str) {
        let note: String = note.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
        let _ = writeln!(self.toml, "# {}", note.trim_end());
    }
}

/// The driver itself is asked, so that the file will pass.
fn refusal(device: &DeviceDraft, point: &PointDraft) -> Option<String> {
    let lines = |keys: &[(&'static str, String)]| -> String {
        keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
    };
    let text = format!("{}[[point]]\n{}", lines(&device.keys), lines(&point.keys));
    let Ok(file) = DeTable::parse(&text) else { return Some("its words are no TOML".to_owned()) };
    let mut table = Table::new(file.get_ref(), file.span(), "");
    let points = table.take("point").tables(1..=1);
    let points = points.into_iter().map(|table| PointSettings { every: None, table }).collect();
    let settings = DeviceSettings {
        name: "imported".parse().expect("it is a name"),
        every: Duration::from_secs(1),
        first_point: PointId(0),
        table,
        points,
    };
    let Some(driver) = crate::driver(device.driver) else { return Some(format!("no driver {}", device.driver)) };
    let SettingsError(problems) = (driver.parse)(settings).err()?;
    Some(problems.iter().map(in_words).collect::<Vec<_>>().join("; "))
}

fn in_words(problem: &Problem) -> String {
    let key = problem.path.rsplit('.').next().unwrap_or_default();
    let hint = problem.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
    format!("{key} {}{hint}", problem.what)
}

#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    /// A name that is allowed here and was not given before.
    fn unused(&mut self, wanted: &str, is_allowed: impl Fn(&str) -> bool) -> String {
        let letters = wanted.trim().chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' });
        let plain: String = letters.take(48).collect();
        let plain = plain.trim_start_matches('.');
        let has_letters = plain.chars().any(|c| c.is_ascii_alphanumeric());
        let base = if has_letters && is_allowed(plain) { plain.to_owned() } else { "point".to_owned() };
        let numbered = (2..).map(|number: u64| format!("{base}_{number}"));
        let name = std::iter::once(base.clone()).chain(numbered).find(|name| !self.0.contains(name)).unwrap_or(base);
        self.0.insert(name.clone());
        name
    }
}

/// A TOML text on one line.
pub(in super::super) fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
