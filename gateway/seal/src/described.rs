use lingate_model::DeviceIdentity;

use crate::wire;

/// Bytes of all devices' own words in one catalogue at most: a device that talks too much must not keep an epoch from
/// opening.
const WORDS_MAX: usize = 1024 * 1024;

/// What the catalogue tells of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribedDevice {
    pub name: String,
    pub identity: DeviceIdentity,
    /// `None`: the protocol knows no protection.
    pub security: Option<String>,
}

impl DescribedDevice {
    fn words(&self) -> usize {
        let DeviceIdentity { vendor, product, revision } = &self.identity;
        vendor.len() + product.len() + revision.len()
    }
}

/// In their order. Behind the bound only name and security are told.
pub(crate) fn to_wire<'a>(devices: impl Iterator<Item = &'a DescribedDevice>) -> Vec<wire::Device> {
    let mut words = 0_usize;
    devices
        .map(|device| {
            words = words.saturating_add(device.words());
            let identity = if words > WORDS_MAX { DeviceIdentity::default() } else { device.identity.clone() };
            wire::Device {
                name: device.name.clone(),
                vendor: identity.vendor,
                product: identity.product,
                revision: identity.revision,
                security: device.security.clone().unwrap_or_default(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_talks_too_much_is_told_by_its_name_only() {
        let identity = DeviceIdentity { vendor: "v".repeat(WORDS_MAX / 2), ..DeviceIdentity::default() };
        let device = DescribedDevice { name: "press-1".to_owned(), identity, security: Some("none".to_owned()) };
        let told = to_wire([&device, &device, &device].into_iter());
        assert_eq!(told.iter().map(|device| device.vendor.is_empty()).collect::<Vec<_>>(), [false, false, true]);
        assert!(told.iter().all(|device| device.security == "none"));
    }
}
