use crate::{Device, DeviceSettings, Driver};
use crate::settings::SettingsError;

pub(crate) const DRIVER: Driver = Driver { kind: "modbus-tcp", sample: "", parse };

fn parse(_settings: DeviceSettings<'_>) -> Result<Box<dyn Device>, SettingsError> {
    todo!()
}
