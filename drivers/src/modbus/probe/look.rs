use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;

use lingate_model::{Clock, StatusCode};

use super::{Answer, ProbeError, Target, device, read, watch};
use crate::{DeviceEvent, Site};

/// What is behind a unit number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It gave the value.
    Answers,
    /// It answered that it cannot: it is there.
    Refuses(StatusCode),
    Silent,
}

/// Addresses side by side.
pub type Runs = Vec<RangeInclusive<u16>>;

/// Polls without a new register after which no more is expected: a block of 2,000 is halved 11 times.
const POLLS_WITHOUT_NEWS: usize = 14;

/// One request, for one register.
pub async fn unit(target: &Target, register: &str, site: &Site, clock: Arc<dyn Clock>) -> Result<Found, ProbeError> {
    match read(target, register, 1, site, clock).await? {
        Answer::Registers(_) | Answer::Bits(_) => Ok(Found::Answers),
        Answer::Bad(status) => Ok(match status {
            StatusCode::BAD_TIMEOUT
            | StatusCode::BAD_NO_COMMUNICATION
            | StatusCode::BAD_COMMUNICATION_ERROR
            | StatusCode::BAD_DECODING_ERROR => Found::Silent,
            refused => Found::Refuses(refused),
        }),
    }
}

/// Which addresses of `area` (`holding`) the device has. Asks for the whole range and then around what is refused, as the
/// gateway does; `pause` among the target's keys keeps the pace.
pub async fn blocks(
    target: &Target,
    area: &str,
    range: RangeInclusive<u16>,
    site: &Site,
    clock: Arc<dyn Clock>,
) -> Result<Runs, ProbeError> {
    let kind = if matches!(area, "coil" | "discrete") { "" } else { "type = \"u16\"\n" };
    let mut points = String::new();
    for address in range.clone() {
        let _ = writeln!(points, "[[point]]\nregister = \"{area}:{address}\"\n{kind}");
    }
    let device = device(target, &points, "250ms")?;
    let mut seen = Seen::default();
    let loss = watch(device.as_ref(), site, clock, |event| seen.take(event)).await;
    match loss {
        Some(loss) if seen.good.is_empty() && !seen.is_refused => Err(ProbeError::Link(loss)),
        _ => Ok(runs(seen.good.iter().filter_map(|point| range.start().checked_add(*point)))),
    }
}

/// The points are numbered as the addresses follow.
#[derive(Default)]
struct Seen {
    good: BTreeSet<u16>,
    is_refused: bool,
    polls_without_news: usize,
}

impl Seen {
    fn take(&mut self, event: DeviceEvent) -> ControlFlow<()> {
        let before = self.good.len();
        match event {
            DeviceEvent::Readings(readings) => {
                let has_bad = readings.iter().any(|reading| reading.status.is_bad());
                let good = readings.iter().filter(|reading| !reading.status.is_bad());
                self.good.extend(good.filter_map(|reading| u16::try_from(reading.point.0).ok()));
                self.is_refused |= has_bad;
                if !has_bad && before == self.good.len() {
                    return ControlFlow::Break(());
                }
            }
            // Set aside: the device refuses them one by one.
            DeviceEvent::Missed(_) => self.is_refused = true,
            DeviceEvent::Report(..) => return ControlFlow::Continue(()),
        }
        let has_news = self.good.len() > before;
        self.polls_without_news = if has_news { 0 } else { self.polls_without_news + 1 };
        let is_over = self.polls_without_news >= POLLS_WITHOUT_NEWS;
        if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn runs(addresses: impl Iterator<Item = u16>) -> Runs {
    let mut runs: Runs = Vec::new();
    for address in addresses {
        match runs.last_mut() {
            Some(run) if run.end().checked_add(1) == Some(address) => *run = *run.start()..=address,
            _ => runs.push(address..=address),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_side_by_side_are_one_run() {
        assert_eq!(runs([1, 2, 3, 7, 9, 10].into_iter()), [1..=3, 7..=7, 9..=10]);
        assert_eq!(runs([65_534, 65_535].into_iter()), [65_534..=65_535]);
        assert_eq!(runs(std::iter::empty()), []);
    }
}
