use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use lingate_model::{Missed, MissedCause, Now, Reading, StatusCode, UtcMicros, Value};
use tokio::time::sleep;
use tokio_modbus::ExceptionCode;

use super::Plan;
use super::plan::{Group, Member, Request};
use super::talk::{Answer, Refusal, Talk, status_of, status_of_loss};
use crate::schedule::{Lost, Schedule};
use crate::{BoxFuture, DeviceEvent, LinkError, Session, Sink, SinkClosed};

/// Polls every group at its slots, one request at a time. Accounts for every slot that is due until `run` returns:
/// readings, good or bad, or [`Missed`].
pub(crate) struct Polling {
    plan: Arc<Plan>,
    talk: Talk,
    /// The plan's groups, with the blocks that the device refuses cut into smaller ones.
    groups: Vec<Group>,
    has_asked: bool,
}

/// What one poll says of one point; the time is the same for all.
type Outcome = (usize, Result<Value, StatusCode>);

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
    pub(crate) fn new(plan: Arc<Plan>, talk: Talk) -> Polling {
        let groups = plan.groups.clone();
        Polling { plan, talk, groups, has_asked: false }
    }

    async fn poll_until_lost(&mut self, sink: &Sink) -> Result<Infallible, LinkError> {
        let intervals = self.groups.iter().map(|group| group.interval);
        let mut schedule = Schedule::new(sink.now().monotonic, intervals);
        loop {
            let Some((group, due)) = schedule.next() else { std::future::pending().await };
            let now = wait_until(due, sink).await?;
            if let Some(lost) = schedule.claim(group, now.monotonic) {
                sink.send(self.missed(lost, MissedCause::Overload, now)).await?;
            }
            let (outcomes, loss) = self.poll(group).await;
            let now = sink.now();
            let readings = outcomes.into_iter().map(|outcome| self.reading(outcome, now.utc)).collect();
            sink.send(DeviceEvent::Readings(readings)).await?;
            let Some(loss) = loss else { continue };
            let now = sink.now();
            for lost in schedule.give_up(now.monotonic) {
                sink.send(self.missed(lost, MissedCause::DeviceDown, now)).await?;
            }
            return Err(loss);
        }
    }

    /// One outcome for every point of the group, also where the link was lost on the way.
    async fn poll(&mut self, group: usize) -> (Vec<Outcome>, Option<LinkError>) {
        let requests = std::mem::take(&mut self.groups[group].requests);
        let mut verdicts = Vec::with_capacity(requests.len());
        let mut outcomes = Vec::new();
        let mut loss = None;
        for request in &requests {
            let status = match self.ask(request, loss.is_some()).await {
                Ok(answer) => {
                    outcomes.extend(request.members.iter().map(|member| self.decode(&answer, *member)));
                    verdicts.push(Verdict::Answered);
                    continue;
                }
                Err(Refusal::Exception(exception)) => {
                    verdicts.push(Verdict::of(exception));
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
        self.groups[group].requests = match loss {
            None => learn(requests, &verdicts, &self.plan.groups[group]),
            Some(_) => requests,
        };
        (outcomes, loss)
    }

    /// Nothing is asked on a connection that was lost.
    async fn ask(&mut self, request: &Request, is_lost: bool) -> Result<Answer, Refusal> {
        if is_lost {
            return Err(Refusal::Link(LinkError::Closed));
        }
        if std::mem::replace(&mut self.has_asked, true) && self.plan.settings.pause > Duration::ZERO {
            sleep(self.plan.settings.pause).await;
        }
        self.talk.read(request).await
    }

    fn decode(&self, answer: &Answer, member: Member) -> Outcome {
        let part = usize::from(member.at)..usize::from(member.at) + usize::from(member.count);
        let encoding = &self.plan.items[member.point].encoding;
        let value = match answer {
            Answer::Bits(bits) => bits.get(part).map(|bits| encoding.decode_bits(bits)),
            Answer::Registers(words) => words.get(part).map(|words| encoding.decode(words)),
        };
        (member.point, value.unwrap_or(Err(StatusCode::BAD_DECODING_ERROR)))
    }

    fn reading(&self, (point, value): Outcome, gateway_time: UtcMicros) -> Reading {
        let id = self.plan.points[point].id;
        match value {
            Ok(value) => Reading::good(id, value, gateway_time),
            Err(status) => Reading::bad(id, status, gateway_time),
        }
    }

    fn missed(&self, lost: Lost, cause: MissedCause, now: Now) -> DeviceEvent {
        let members = self.plan.groups[lost.group].requests.iter().flat_map(|request| &request.members);
        let mut slots: Vec<_> = members.map(|member| (self.plan.points[member.point].id, lost.slots)).collect();
        slots.sort_unstable();
        let utc = |due: Duration| {
            let ago = now.monotonic.saturating_sub(due).as_micros();
            UtcMicros(now.utc.0.saturating_sub(i64::try_from(ago).unwrap_or(i64::MAX)))
        };
        let (from, to) = (utc(lost.from), utc(lost.to));
        DeviceEvent::Missed(Missed { device: self.plan.name.clone(), from, to, slots, cause })
    }
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Answered,
    /// The device knows no such block: there may be a hole in it, or it is too long.
    NoSuchBlock,
    /// For another reason than the block.
    Refused,
}

impl Verdict {
    fn of(exception: ExceptionCode) -> Verdict {
        match exception {
            ExceptionCode::IllegalDataAddress | ExceptionCode::IllegalDataValue => Verdict::NoSuchBlock,
            _ => Verdict::Refused,
        }
    }
}

/// Halves every block that the device does not know, so that the values beside a hole are read from the next poll on:
/// at most one halving a poll, so that the load on the device grows slowly. Where even the single values are all
/// refused, the blocks were not at fault, and the plan is asked again.
fn learn(requests: Vec<Request>, verdicts: &[Verdict], plan: &Group) -> Vec<Request> {
    if verdicts.iter().all(|verdict| *verdict != Verdict::NoSuchBlock) {
        return requests;
    }
    let is_single = |request: &Request| request.split().is_none();
    if verdicts.iter().all(|verdict| *verdict == Verdict::NoSuchBlock) && requests.iter().all(is_single) {
        return plan.requests.clone();
    }
    let halve = |(request, verdict): (Request, &Verdict)| match (verdict, request.split()) {
        (Verdict::NoSuchBlock, Some((low, high))) => vec![low, high],
        _ => vec![request],
    };
    requests.into_iter().zip(verdicts).flat_map(halve).collect()
}
