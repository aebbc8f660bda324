use lingate_model::{DeviceTime, Origin};

use crate::Stamp;

/// One clock per point, in microseconds since 1970: the source's where the source tells its time, else the gateway's. A
/// reading without source time among others that have one - the gateway's own word that the device is silent - is put
/// where the source's clock would stand, so that two clocks that differ are never mixed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PointClock {
    /// What the source's clock is ahead of the gateway's.
    ahead: i64,
}

impl PointClock {
    pub(crate) fn time(&mut self, stamp: &Stamp) -> i64 {
        let gateway = stamp.gateway_time.0;
        match (stamp.source_time.map(DeviceTime::utc), stamp.origin) {
            (Some(source), Origin::Backfilled) => source.0,
            (Some(source), Origin::Live) => {
                self.ahead = source.0.saturating_sub(gateway);
                source.0
            }
            (None, _) => gateway.saturating_add(self.ahead),
        }
    }
}
