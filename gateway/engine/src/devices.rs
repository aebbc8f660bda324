use lingate_model::{DeviceName, DeviceReport, DeviceState, PointId, Reading};

use crate::status::DeviceStatus;

/// Counters per device, for status only.
pub(crate) struct Devices {
    devices: Vec<DeviceStatus>,
    /// By point: its device.
    of_point: Vec<u32>,
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
            missed_slots: 0,
            newest: None,
            report: DeviceReport::default(),
        };
        Devices { devices: devices.into_iter().map(status).collect(), of_point }
    }

    fn of(&mut self, point: PointId) -> Option<&mut DeviceStatus> {
        let device = *self.of_point.get(point.index())?;
        self.devices.get_mut(device as usize)
    }

    pub(crate) fn read(&mut self, reading: &Reading) {
        let Some(device) = self.of(reading.point) else { return };
        device.readings += 1;
        device.bad_readings += u64::from(reading.status.is_bad());
        device.newest = device.newest.max(Some(reading.gateway_time));
    }

    pub(crate) fn missed(&mut self, point: PointId, slots: u64) {
        if let Some(device) = self.of(point) {
            device.missed_slots += slots;
        }
    }

    pub(crate) fn changed(&mut self, name: &DeviceName, state: DeviceState) {
        if let Some(device) = self.devices.iter_mut().find(|device| device.name == name.as_str()) {
            device.state = state;
        }
    }

    pub(crate) fn reported(&mut self, name: &DeviceName, report: DeviceReport) {
        if let Some(device) = self.devices.iter_mut().find(|device| device.name == name.as_str()) {
            device.report = report;
        }
    }

    pub(crate) fn status(&self) -> Vec<DeviceStatus> {
        self.devices.clone()
    }
}
