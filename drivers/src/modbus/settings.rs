mod device;
mod point;

pub(crate) use device::Settings;
pub(crate) use point::Item;
