use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use lingate_model::defect::{Defect, is_seeded};
use lingate_model::{Missed, MissedCause, Now, Reading, StatusCode, UtcMicros, Value};

use super::Plan;
use super::holes::Refused;
use super::line::Client;
use super::plan::{Group, Member, Request};
use super::rest::Rest;
use super::talk::{Answer, Refusal, status_of, status_of_loss};
use super::told::Told;
use crate::schedule::{Lost, Schedule};
use crate::{BoxFuture, DeviceEvent, LinkError, Session, Sink, SinkClosed};

/// Polls every group at its slots, one request at a time. Accounts for every slot that is due until `run` returns:
/// readings, good or bad, or [`Missed`].
pub(crate) struct Polling {
    plan: Arc<Plan>,
    client: Client,
    /// The plan's groups, around what the device's map lacks.
    groups: Vec<Group>,
    /// Polls in a row that got no answer to some request.
    strikes: u32,
    rest: Rest,
    told: Told,
}

/// What one poll says of one point; the time is the same for all.
type Outcome = (usize, Result<Value, StatusCode>);

/// A device that fails twice in a row is given up: once happens on every line.
const STRIKES: u32 = 2;
/// Parts of refused blocks that are asked in the same poll.
const PARTS_MAX: usize = 8;

impl Session for Polling {
    fn run<'a>(&'a mut self, sink: &'a Sink) -> BoxFuture<'a, LinkError> {
        Box::pin(async move {
            match self.poll_until_lost(sink).await {
                Ok(never) => match never {},
                Err(loss) => loss,
            }
        })
    }
}

impl Polling {
    pub(crate) fn new(plan: Arc<Plan>, client: Client) -> Polling {
        let groups = plan.groups.clone();
        let told = Told::new(&plan);
        Polling { plan, client, groups, strikes: 0, rest: Rest::default(), told }
    }

    async fn poll_until_lost(&mut self, sink: &Sink) -> Result<Infallible, LinkError> {
        let name = self.plan.name.to_string();
        let intervals = self.groups.iter().map(|group| group.interval);
        let mut schedule = Schedule::staggered(sink.now().monotonic, &name, intervals);
        loop {
            let Some((group, due)) = schedule.next() else { std::future::pending().await };
            let now = wait_until(due, sink).await?;
            self.replan(now.monotonic);
            let mut slot = Lost { group, slots: 1, from: due, to: due };
            if let Some(lost) = schedule.claim(group, now.monotonic) {
                self.tell_missed(sink, lost, MissedCause::Overload, now).await?;
                let newest = lost.to.saturating_add(self.groups[group].interval);
                (slot.from, slot.to) = (newest, newest);
            }
            if self.rest.is_resting(now.monotonic) {
                self.tell_missed(sink, slot, MissedCause::Quarantine, now).await?;
                continue;
            }
            let aside = missed(&self.plan, &self.groups[group].aside, slot, MissedCause::Quarantine, now);
            let (outcomes, loss) = self.poll(group, slot.to, sink).await;
            let now = sink.now();
            self.told.served(now.monotonic.saturating_sub(slot.to));
            let readings = self.readings(outcomes, now.utc);
            if !readings.is_empty() {
                sink.send(DeviceEvent::Readings(readings)).await?;
            }
            if let Some(aside) = aside {
                sink.send(aside).await?;
            }
            match loss {
                None => {
                    self.strikes = 0;
                    self.told.identify(&self.plan, &self.client, sink).await;
                }
                Some(loss) => self.struck(loss, &mut schedule, sink).await?,
            }
            if self.plan.settings.closes_after_poll {
                self.client.close().await;
            }
            self.told.report(&self.plan, self.client.counters(), sink).await?;
        }
    }

    /// Ends the session if the device is to be given up.
    async fn struck(&mut self, loss: LinkError, schedule: &mut Schedule, sink: &Sink) -> Result<(), LinkError> {
        self.strikes += 1;
        let is_of_the_line = matches!(loss, LinkError::Connect { .. } | LinkError::Refused { .. });
        if self.strikes < STRIKES && !is_of_the_line {
            return Ok(());
        }
        if !is_of_the_line {
            self.client.set_aside();
        }
        let now = sink.now();
        let cause = match loss {
            LinkError::Protocol { .. } => MissedCause::DecodeFailure,
            _ => MissedCause::DeviceDown,
        };
        for lost in schedule.give_up(now.monotonic) {
            self.tell_missed(sink, lost, cause, now).await?;
        }
        self.told.report(&self.plan, self.client.counters(), sink).await?;
        Err(loss)
    }

    fn replan(&mut self, now: Duration) {
        let mut holes = self.plan.holes();
        if holes.is_stale(now) {
            self.groups = holes.plan(&self.plan.wanted, self.plan.settings.limits, now);
        }
    }

    /// One outcome for every point of the group that is not aside, also where the link was lost on the way.
    async fn poll(&mut self, group: usize, due: Duration, sink: &Sink) -> (Vec<Outcome>, Option<LinkError>) {
        let mut waiting: VecDeque<Request> = self.groups[group].requests.iter().cloned().collect();
        let mut parts = 0;
        let mut outcomes = Vec::new();
        let mut loss = None;
        while let Some(request) = waiting.pop_front() {
            let status = match self.ask(&request, due, loss.is_some()).await {
                Ok(answer) => {
                    self.plan.holes().answered(&request);
                    self.rest.answered();
                    outcomes.extend(request.members.iter().map(|member| self.decode(&answer, *member)));
                    continue;
                }
                Err(Refusal::Exception(exception)) => {
                    let now = sink.now();
                    self.rest.refused(exception.into(), self.groups[group].interval, due);
                    if let code @ (2 | 3) = exception.into()
                        && let Refused::Parted(low, high) = self.plan.holes().refused(&request, code, now)
                        && parts < PARTS_MAX
                    {
                        parts += 2;
                        waiting.push_front(high);
                        waiting.push_front(low);
                        continue;
                    }
                    status_of(exception)
                }
                Err(Refusal::Link(reason)) => {
                    let status = status_of_loss(&reason);
                    loss.get_or_insert(reason);
                    status
                }
            };
            outcomes.extend(request.members.iter().map(|member| (member.point, Err(status))));
        }
        (outcomes, loss)
    }

    /// A device that did not answer is not asked again in the same poll.
    async fn ask(&mut self, request: &Request, due: Duration, is_lost: bool) -> Result<Answer, Refusal> {
        if is_lost {
            return Err(Refusal::Link(LinkError::Closed));
        }
        self.client.read(due, request).await
    }

    fn decode(&self, answer: &Answer, member: Member) -> Outcome {
        let at = usize::from(member.at) + usize::from(is_seeded(Defect::ShiftRegisters));
        let part = at..at + usize::from(member.count);
        let encoding = &self.plan.items[member.point].encoding;
        let value = match answer {
            Answer::Bits(bits) => bits.get(part).map(|bits| encoding.decode_bits(bits)),
            Answer::Registers(words) => words.get(part).map(|words| encoding.decode(words)),
            Answer::Identity(_) => None,
        };
        (member.point, value.unwrap_or(Err(StatusCode::BAD_DECODING_ERROR)))
    }

    fn readings(&self, outcomes: Vec<Outcome>, gateway_time: UtcMicros) -> Vec<Reading> {
        let good = if self.is_stale(&outcomes, gateway_time) { StatusCode::UNCERTAIN_LAST_USABLE_VALUE } else { StatusCode::GOOD };
        let reading = |(point, value): Outcome| {
            let id = self.plan.points[point].id;
            match value {
                Ok(value) => Reading { status: good, ..Reading::good(id, value, gateway_time) },
                Err(status) => Reading::bad(id, status, gateway_time),
            }
        };
        outcomes.into_iter().map(reading).collect()
    }

    /// Whether a point that must change stands still. Then no value of the device is updated, as far as anybody can tell.
    fn is_stale(&self, outcomes: &[Outcome], now: UtcMicros) -> bool {
        let mut pulse = self.plan.pulse();
        if !pulse.is_watched() {
            return false;
        }
        let values = || outcomes.iter().filter_map(|(point, value)| Some((*point, value.as_ref().ok()?)));
        values().for_each(|(point, value)| pulse.feel(point, value, now));
        if pulse.stands_still() {
            pulse.told_stale(values().count() as u64);
        }
        pulse.stands_still()
    }

    /// Of all points of the group.
    async fn tell_missed(&self, sink: &Sink, lost: Lost, cause: MissedCause, now: Now) -> Result<(), SinkClosed> {
        let group = &self.groups[lost.group];
        let asked = group.requests.iter().flat_map(|request| &request.members).map(|member| member.point);
        let points: Vec<usize> = asked.chain(group.aside.iter().copied()).collect();
        match missed(&self.plan, &points, lost, cause, now) {
            Some(event) => sink.send(event).await,
            None => Ok(()),
        }
    }
}

/// `None` without points.
fn missed(plan: &Plan, points: &[usize], lost: Lost, cause: MissedCause, now: Now) -> Option<DeviceEvent> {
    let mut slots: Vec<_> = points.iter().map(|point| (plan.points[*point].id, lost.slots)).collect();
    slots.sort_unstable();
    let utc = |due: Duration| {
        let ago = now.monotonic.saturating_sub(due).as_micros();
        UtcMicros(now.utc.0.saturating_sub(i64::try_from(ago).unwrap_or(i64::MAX)))
    };
    let (from, to) = (utc(lost.from), utc(lost.to));
    let device = plan.name.clone();
    (!slots.is_empty()).then_some(DeviceEvent::Missed(Missed { device, from, to, slots, cause }))
}

/// A timer may fire a little early for the gateway's clock.
async fn wait_until(due: Duration, sink: &Sink) -> Result<Now, SinkClosed> {
    loop {
        let now = sink.now();
        match due.checked_sub(now.monotonic) {
            _ if sink.is_stopping() => return Err(SinkClosed),
            None | Some(Duration::ZERO) => return Ok(now),
            Some(rest) => sink.pause(rest).await?,
        }
    }
}
