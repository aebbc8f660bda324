use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lingate_model::{DeviceName, DeviceReport, DeviceState, PointId, Reading, StatusCode};
use lingate_refine::PointPlan;
use lingate_seal::DescribedDevice;

use crate::status::DeviceStatus;

/// What is known of the devices: counters for the status, and their own words for the catalogues.
pub(crate) struct Devices {
    devices: Vec<DeviceStatus>,
    /// By point: its device.
    of_point: Vec<u32>,
    by_name: BTreeMap<String, u32>,
    /// Points of which the newest reading is bad, by device.
    bad: BTreeMap<u32, BTreeMap<PointId, StatusCode>>,
    /// The newest that each said, also while it is away.
    described: Vec<DescribedDevice>,
}

/// What a report has changed.
pub(crate) struct Changed {
    pub(crate) number: u32,
    /// Who it is, or how it is protected.
    pub(crate) is_described_anew: bool,
    /// It is read without protection, and was not before.
    pub(crate) lost_protection: bool,
}

impl Devices {
    pub(crate) fn new(devices: Vec<(DeviceName, PointId)>, points: usize) -> Devices {
        let mut of_point = vec![0; points];
        for (index, (_, first)) in (0..).zip(&devices) {
            of_point.iter_mut().skip(first.index()).for_each(|device| *device = index);
        }
        let status = |(name, _): (DeviceName, PointId)| DeviceStatus {
            name: name.to_string(),
            state: DeviceState::Connecting,
            readings: 0,
            bad_readings: 0,
            bad_points: Vec::new(),
            bad_point_count: 0,
            missed_slots: 0,
            newest: None,
            report: Arc::default(),
        };
        let named =
            |(name, _): &(DeviceName, PointId)| DescribedDevice { name: name.to_string(), ..Default::default() };
        let described = devices.iter().map(named).collect();
        let by_name = (0..).zip(&devices).map(|(number, (name, _))| (name.to_string(), number)).collect();
        Devices {
            devices: devices.into_iter().map(status).collect(),
            of_point,
            by_name,
            bad: BTreeMap::new(),
            described,
        }
    }

    /// What is known of the devices that stay, by their names; of points for which `is_same`, whether they are bad.
    pub(crate) fn carry(&mut self, before: Devices, is_same: &dyn Fn(PointId) -> bool) {
        let Devices { devices, bad, described, .. } = before;
        for (status, described) in devices.into_iter().zip(described) {
            if let Some(number) = self.by_name.get(&status.name).map(|number| *number as usize) {
                (self.devices[number], self.described[number]) = (status, described);
            }
        }
        for (point, status) in bad.into_values().flatten().filter(|(point, _)| is_same(*point)) {
            if let Some(number) = self.of_point.get(point.index()) {
                self.bad.entry(*number).or_default().insert(point, status);
            }
        }
    }

    pub(crate) fn points_of(&self, name: &DeviceName) -> impl Iterator<Item = PointId> {
        let device = self.by_name.get(name.as_str()).copied();
        let is_of = move |(place, of): (usize, &u32)| {
            (Some(*of) == device).then(|| PointId(u32::try_from(place).unwrap_or(u32::MAX)))
        };
        self.of_point.iter().enumerate().filter_map(is_of)
    }

    pub(crate) fn read(&mut self, reading: &Reading) {
        let Some(&number) = self.of_point.get(reading.point.index()) else { return };
        let Some(device) = self.devices.get_mut(number as usize) else { return };
        device.readings += 1;
        device.newest = device.newest.max(Some(reading.gateway_time));
        if reading.status.is_bad() {
            device.bad_readings += 1;
            self.bad.entry(number).or_default().insert(reading.point, reading.status);
        } else if let Some(bad) = self.bad.get_mut(&number) {
            bad.remove(&reading.point);
        }
    }

    pub(crate) fn missed(&mut self, point: PointId, slots: u64) {
        let number = self.of_point.get(point.index());
        if let Some(device) = number.and_then(|number| self.devices.get_mut(*number as usize)) {
            device.missed_slots += slots;
        }
    }

    pub(crate) fn changed(&mut self, name: &DeviceName, state: DeviceState) {
        if let Some(number) = self.by_name.get(name.as_str()) {
            self.devices[*number as usize].state = state;
        }
    }

    pub(crate) fn reported(&mut self, name: &DeviceName, report: DeviceReport) -> Option<Changed> {
        let number = *self.by_name.get(name.as_str())?;
        let (device, described) = (&mut self.devices[number as usize], &mut self.described[number as usize]);
        let report = report.bounded();
        let known = described.clone();
        described.identity = report.identity.clone().unwrap_or_else(|| known.identity.clone());
        described.security = report.security.clone().or_else(|| known.security.clone());
        let changed = Changed {
            number,
            is_described_anew: known != *described,
            lost_protection: report.is_unprotected() && known.security != described.security,
        };
        device.report = report.into();
        Some(changed)
    }

    pub(crate) fn described(&self, number: u32) -> &DescribedDevice {
        &self.described[number as usize]
    }

    /// Of these points, in the order of the plan.
    pub(crate) fn of_points<'a>(&self, points: impl Iterator<Item = &'a PointPlan>) -> Vec<DescribedDevice> {
        let numbers: BTreeSet<u32> = points.filter_map(|point| self.of_point.get(point.id.index()).copied()).collect();
        let described = |number: u32| self.described.get(number as usize).cloned();
        numbers.into_iter().filter_map(described).collect()
    }

    /// With every point's plan, for its name.
    pub(crate) fn status(&self, points: &[Arc<PointPlan>]) -> Vec<DeviceStatus> {
        let mut devices = self.devices.clone();
        for (number, bad) in &self.bad {
            let device = &mut devices[*number as usize];
            let shown = bad.iter().take(DeviceStatus::BAD_POINTS_MAX);
            device.bad_points = shown.map(|(point, status)| (name(points, *point), *status)).collect();
            device.bad_point_count = bad.len();
        }
        devices
    }
}

/// Within its device.
fn name(points: &[Arc<PointPlan>], point: PointId) -> String {
    let name = points.get(point.index()).map_or("", |point| &point.name);
    name.split_once('/').map_or(name, |(_, name)| name).to_owned()
}

pub(crate) fn unprotected(name: &DeviceName) -> String {
    format!(
        "device {name} is read without protection: everybody on its network can read along and change what arrives here"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use lingate_model::{DeviceIdentity, UtcMicros, Value};

    use super::*;

    #[test]
    fn a_point_is_bad_until_it_is_good_again() {
        let name: DeviceName = "press-1".parse().unwrap();
        let mut devices = Devices::new(vec![(name, PointId(0))], 40);
        (0..40).for_each(|n| devices.read(&Reading::bad(PointId(n), StatusCode::BAD_TIMEOUT, UtcMicros(0))));
        let device = devices.status(&[]).remove(0);
        assert_eq!((device.bad_points.len(), device.bad_point_count), (DeviceStatus::BAD_POINTS_MAX, 40));
        (1..40).for_each(|n| devices.read(&Reading::good(PointId(n), Value::Boolean(true), UtcMicros(0))));
        let device = devices.status(&[]).remove(0);
        assert_eq!(device.bad_points[0].1, StatusCode::BAD_TIMEOUT);
        assert_eq!((device.bad_point_count, device.bad_readings, device.readings), (1, 40, 79));
    }

    #[test]
    fn what_a_device_said_of_itself_holds_until_it_says_something_else() {
        let name: DeviceName = "press-1".parse().unwrap();
        let mut devices = Devices::new(vec![(name.clone(), PointId(0))], 1);
        let identity = DeviceIdentity { vendor: "Acme".to_owned(), ..DeviceIdentity::default() };
        let known = DeviceReport { identity: Some(identity), ..DeviceReport::default() };
        let plain = DeviceReport { security: Some("none (as configured)".to_owned()), ..DeviceReport::default() };
        let told = [&known, &known, &plain, &plain, &known, &DeviceReport::default()].map(|report| {
            let changed = devices.reported(&name, report.clone()).unwrap();
            (changed.is_described_anew, changed.lost_protection)
        });
        assert_eq!(told, [(true, false), (false, false), (true, true), (false, false), (false, false), (false, false)]);
        assert_eq!(devices.described(0).identity.vendor, "Acme");
        assert!(devices.described(0).security.is_some());
        assert!(devices.reported(&"press-2".parse().unwrap(), known).is_none());
    }
}
