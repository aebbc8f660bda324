mod device;
mod point;
mod transport;

pub(crate) use device::Settings;
pub(crate) use point::Item;
pub(crate) use transport::Protocol;
