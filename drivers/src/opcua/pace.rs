use std::time::Duration;

use super::limits::Profile;
use crate::settings::Table;

/// The driver's own keys of a device that say how its points are read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pace {
    pub(crate) mode: Mode,
    /// How often the server sends what it gathered.
    pub(crate) publishing: Duration,
    /// Device and gateway clocks may differ by so much before readings count as skewed.
    pub(crate) skew_max: Duration,
    pub(crate) profile: Profile,
    pub(crate) backfill: Option<Backfill>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Subscribe,
    Poll,
}

/// Filling what was missed out of the server's own history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backfill {
    /// No older values are asked for.
    pub(crate) window: Duration,
    /// Values a second, so that live data and the server keep their pace.
    pub(crate) rate: u32,
}

pub(crate) const MODES: [(&str, Mode); 2] = [("subscribe", Mode::Subscribe), ("poll", Mode::Poll)];

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

impl Pace {
    /// Wrong keys read as their defaults; the problems stay in `table`. `every`: of the device.
    pub(crate) fn take(table: &mut Table<'_>, every: Duration) -> Pace {
        let publishing = every.clamp(MILLISECOND * 100, SECOND);
        Pace {
            mode: table.take("mode").word(&MODES).unwrap_or(Mode::Subscribe),
            publishing: table.take("publishing").duration(MILLISECOND * 10..=SECOND * 60).unwrap_or(publishing),
            skew_max: table.take("skew_max").duration(MILLISECOND * 10..=HOUR * 24 * 30).unwrap_or(SECOND * 5),
            profile: table.take("profile").word(&Profile::WORDS).unwrap_or(Profile::GENERIC),
            backfill: take_backfill(table),
        }
    }
}

const WINDOW: Duration = Duration::from_secs(24 * 3600);
const RATE: u32 = 2_000;

/// `backfill = true` or `backfill = { window = "24h", rate = 2000 }`.
fn take_backfill(table: &mut Table<'_>) -> Option<Backfill> {
    let defaults = Backfill { window: WINDOW, rate: RATE };
    if !table.is_table("backfill") {
        let is_wanted = table.take("backfill").boolean().unwrap_or(false);
        return is_wanted.then_some(defaults);
    }
    let mut inner = table.take("backfill").table()?;
    let window = inner.take("window").duration(SECOND * 10..=HOUR * 24 * 30).unwrap_or(defaults.window);
    let rate = inner.take("rate").integer(1..=1_000_000).unwrap_or(defaults.rate);
    table.add_problems(inner.finish());
    Some(Backfill { window, rate })
}
