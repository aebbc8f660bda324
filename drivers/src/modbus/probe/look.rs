use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use lingate_model::Clock;
use tokio::time::timeout;

use super::{Answer, ProbeError, Target, device, read, watch};
use crate::{DeviceEvent, LinkError, Site};

/// What is behind a unit number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It gave the value, or one of another area.
    Answers,
    /// It answered with this exception: it is there.
    Refuses(u8),
    /// Every area is refused with an exception that gateways also give for units that are not there.
    NobodyBehindGateway(u8),
    Silent,
}

/// Addresses side by side.
pub type Runs = Vec<RangeInclusive<u16>>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    pub runs: Runs,
    /// The time was over: there may be more.
    pub is_cut: bool,
}

/// Polls without a new register after which no more is expected: a block of 2,000 is halved 11 times.
const POLLS_WITHOUT_NEWS: usize = 14;
/// For one area of one unit.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request for one register; four, where a gateway may speak for a unit that is not there.
pub async fn unit(target: &Target, register: &str, site: &Site) -> Result<Found, ProbeError> {
    let first = found(read(target, register, 1, site).await)?;
    let Found::Refuses(code @ (4 | 8 | 10 | 11)) = first else { return Ok(first) };
    for area in ["holding:0", "input:0", "coil:0", "discrete:0"] {
        match found(read(target, area, 1, site).await)? {
            Found::Refuses(4 | 8 | 10 | 11) => {}
            Found::Silent => break,
            other => return Ok(other),
        }
    }
    Ok(Found::NobodyBehindGateway(code))
}

fn found(answer: Result<Answer, ProbeError>) -> Result<Found, ProbeError> {
    match answer {
        Ok(Answer::Registers(_) | Answer::Bits(_)) => Ok(Found::Answers),
        Ok(Answer::Refused(code)) => Ok(Found::Refuses(code)),
        Err(ProbeError::Link(LinkError::Timeout { doing: "reading", .. } | LinkError::Closed | LinkError::Protocol { .. })) => {
            Ok(Found::Silent)
        }
        Err(error) => Err(error),
    }
}

/// Which addresses of `area` (`holding`) the device has. Asks for the whole range and then around what is refused, as the
/// gateway does; `pause` among the target's keys keeps the pace. Ends after a minute.
pub async fn blocks(
    target: &Target,
    area: &str,
    range: RangeInclusive<u16>,
    site: &Site,
    clock: Arc<dyn Clock>,
) -> Result<Blocks, ProbeError> {
    let kind = if matches!(area, "coil" | "discrete") { "" } else { "type = \"u16\"\n" };
    let mut points = String::new();
    for address in range.clone() {
        let _ = writeln!(points, "[[point]]\nregister = \"{area}:{address}\"\n{kind}");
    }
    let device = device(target, &points, "250ms")?;
    let mut seen = Seen::default();
    let ended = timeout(PATIENCE, watch(&device, site, clock, |event| seen.take(event))).await;
    let is_cut = ended.is_err();
    match ended.unwrap_or(None) {
        Some(loss) if seen.good.is_empty() && !seen.is_refused => Err(ProbeError::Link(loss)),
        _ => {
            let runs = runs(seen.good.iter().filter_map(|point| range.start().checked_add(*point)));
            Ok(Blocks { runs, is_cut })
        }
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
