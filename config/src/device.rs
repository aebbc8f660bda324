use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use lingate_drivers::settings::{Problem, Table};
use lingate_drivers::{DRIVERS, Device, DeviceSettings, Driver, PointSettings};
use lingate_model::{DeviceName, EquipmentPath, NameError, PointId, PointName};
use lingate_refine::{PointPlan, Step, StepId};
use ring::digest;

use crate::DevicePlan;
use crate::dataset::Datasets;
use crate::keys::require;
use crate::line::{Lines, Places, User};
use crate::minimize::{PointNames, When};
use crate::point::{self, Common};
use crate::source::Source;

const DEVICES_MAX: usize = 10_000;
const POINTS_MAX: usize = 1_000_000;

/// Between two readings of a point.
pub(crate) const EVERY: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(86_400);

#[derive(Default)]
pub(crate) struct Devices {
    pub(crate) devices: Vec<DevicePlan>,
    /// Parallel to `devices` if nothing was reported.
    pub(crate) name_spans: Vec<Range<usize>>,
    /// By `PointId` if nothing was reported.
    pub(crate) points: Vec<Arc<PointPlan>>,
    by_name: BTreeMap<DeviceName, usize>,
    points_read: usize,
    lines: Lines,
    /// What the conditions of points speak of, by place in `points`.
    whens: Vec<(usize, Vec<When>)>,
}

pub(crate) fn read(
    root: &mut Table<'_>,
    datasets: &mut Datasets,
    source: &Source<'_>,
    problems: &mut Vec<Problem>,
) -> Devices {
    if !root.has("device") {
        let hint = "add a table [[device]]; `lingate sample` prints one for each driver".to_owned();
        root.problem("device", "there is no device to read", Some(hint));
    }
    let mut devices = Devices::default();
    for table in root.take("device").tables(1..=DEVICES_MAX) {
        devices.add(table, datasets, source, problems);
    }
    devices.resolve(problems);
    devices
}

/// What every device has.
struct Head {
    name: Option<DeviceName>,
    driver: Option<&'static Driver>,
    every: Option<Duration>,
    equipment: Option<EquipmentPath>,
}

impl Head {
    fn take(table: &mut Table<'_>) -> Head {
        let drivers: Vec<_> = DRIVERS.iter().map(|driver| (driver.kind, driver)).collect();
        let example = "\"acme/lingang/hall-2/line-A/extruder-7\", the ISA-95 path";
        Head {
            name: require(table, "name", "\"extruder-7\", unique in the file").parsed(),
            driver: require(table, "driver", "\"modbus-tcp\"").word(&drivers),
            every: require(table, "every", "\"1s\", the time between two readings").duration(EVERY),
            equipment: require(table, "equipment", example).parsed_with(equipment),
        }
    }
}

/// One level at least, none of them empty.
fn equipment(text: &str) -> Result<EquipmentPath, (String, Option<String>)> {
    if !text.is_empty() && text.split('/').any(str::is_empty) {
        let hint = "write enterprise/site/area/line/unit, without / at the ends".to_owned();
        return Err(("has an empty level".to_owned(), Some(hint)));
    }
    text.parse().map_err(|error: NameError| (error.to_string(), None))
}

impl Devices {
    fn add(&mut self, mut table: Table<'_>, datasets: &mut Datasets, source: &Source<'_>, problems: &mut Vec<Problem>) {
        let (name_span, places) = (table.span_of("name"), Places::of(&table));
        let mut digest = digest::Context::new(&digest::SHA256);
        table.tell(&["name", "equipment", "point"], &mut |part| digest.update(part));
        let head = Head::take(&mut table);
        self.report_known_name(&head, &name_span, source, &mut table);
        let (points, commons) = points(&mut table, datasets, source, problems);
        points.iter().for_each(|point| point.table.tell(&point::COMMON, &mut |part| digest.update(part)));
        problems.extend(table.take_problems());
        let first_point = PointId(u32::try_from(self.points_read).unwrap_or(u32::MAX));
        self.points_read = self.points_read.saturating_add(commons.len());
        if self.points_read > POINTS_MAX && self.points_read - commons.len() <= POINTS_MAX {
            table.problem("point", format!("there are more than {POINTS_MAX} points in the file"), None);
            problems.extend(table.take_problems());
        }
        let Some(driver) = head.driver else {
            problems.extend(slips(table));
            return;
        };
        // After a wrong setting the driver still tells what it thinks of its own ones.
        let name = head.name.clone().unwrap_or_else(|| "unnamed".parse().expect("it is a name"));
        let every = head.every.unwrap_or(*EVERY.end());
        match (driver.parse)(DeviceSettings { name, every, first_point, table, points }) {
            Err(error) => problems.extend(error.0),
            Ok(device) => {
                let line = device.line().zip(head.name.clone());
                let joined = line.map(|(line, name)| self.lines.join(line, User { name, places }));
                problems.extend(joined.unwrap_or_default());
                self.name_spans.push(name_span);
                self.join(head, driver, device, digest, commons, problems);
            }
        }
    }

    fn report_known_name(&mut self, head: &Head, span: &Range<usize>, source: &Source<'_>, table: &mut Table<'_>) {
        let Some(name) = &head.name else { return };
        match self.by_name.get(name) {
            Some(first) => {
                let hint = format!("the device on {} has this name: give this one its own", source.where_is(*first));
                table.problem("name", format!("{name:?} stands twice"), Some(hint));
            }
            None => {
                self.by_name.insert(name.clone(), span.start);
            }
        }
    }

    fn join(
        &mut self,
        head: Head,
        driver: &Driver,
        device: Box<dyn Device>,
        digest: digest::Context,
        commons: Vec<Common>,
        problems: &mut Vec<Problem>,
    ) {
        let (Some(name), Some(equipment)) = (head.name, head.equipment) else { return };
        assert_eq!(device.points().len(), commons.len(), "a driver keeps every point that it does not refuse");
        let points = commons.into_iter().zip(device.points());
        for (common, point) in points {
            let whens = common.whens();
            if !whens.is_empty() {
                self.whens.push((self.points.len(), whens));
            }
            self.points.push(common.plan(&name, &equipment, point, problems));
        }
        let mut settings_sha256 = [0; 32];
        settings_sha256.copy_from_slice(digest.finish().as_ref());
        self.devices.push(DevicePlan { name, kind: driver.kind, equipment, device, settings_sha256 });
    }
}

impl Devices {
    /// Conditions may speak of points further down. Only if nothing else is wrong: a point that was refused is no point.
    fn resolve(&mut self, problems: &mut Vec<Problem>) {
        if !problems.is_empty() || self.whens.is_empty() {
            return;
        }
        let names = PointNames::of(self.points.iter().map(|point| &**point));
        let mut resolved = Vec::new();
        for (place, whens) in &self.whens {
            let conditions = whens.iter().map(|when| when.resolve(&self.points[*place], &names));
            let (found, wrong): (Vec<_>, Vec<_>) = conditions.partition(Result::is_ok);
            problems.extend(wrong.into_iter().filter_map(Result::err));
            resolved.push((*place, found.into_iter().filter_map(Result::ok).collect::<Vec<_>>()));
        }
        for (place, conditions) in resolved {
            let point = Arc::make_mut(&mut self.points[place]);
            let steps = point.export.iter_mut().flat_map(|export| &mut export.steps);
            steps.filter(|step| step.id() == StepId::ContextGate).for_each(|step| {
                *step = Step::OnlyWhen(conditions.clone());
            });
        }
    }
}

/// The points' tables, from which the common keys are taken, and what these say.
fn points<'a>(
    device: &mut Table<'a>,
    datasets: &mut Datasets,
    source: &Source<'_>,
    problems: &mut Vec<Problem>,
) -> (Vec<PointSettings<'a>>, Vec<Common>) {
    if !device.has("point") {
        let hint = "add a table [[device.point]]".to_owned();
        device.problem("point", "there is no point to read", Some(hint));
    }
    let mut by_name: BTreeMap<PointName, usize> = BTreeMap::new();
    let (mut points, mut commons) = (Vec::new(), Vec::new());
    for mut table in device.take("point").tables(1..=POINTS_MAX) {
        let common = point::read(&mut table, datasets, problems);
        if let Some(name) = &common.name {
            if let Some(first) = by_name.get(name) {
                let hint = format!("the point on {} has this name: give this one its own", source.where_is(*first));
                table.problem("name", format!("{name:?} stands twice in this device"), Some(hint));
                problems.extend(table.take_problems());
            } else {
                by_name.insert(name.clone(), common.name_span.start);
            }
        }
        points.push(PointSettings { every: common.every, table });
        commons.push(common);
    }
    (points, commons)
}

/// Without its driver a device's keys cannot be judged, except those that look like a slip in a common one.
fn slips(table: Table<'_>) -> impl Iterator<Item = Problem> {
    table
        .finish()
        .into_iter()
        .filter(|problem| problem.hint.as_deref().is_some_and(|hint| hint.starts_with("did you mean")))
}
