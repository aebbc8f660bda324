use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lingate_model::{Lateness, MissedCause, Now, PointId, Reading, StatusCode};
use opcua::types::ReadValueId;
use tokio::time::timeout;

use super::account::Debt;
use super::ask::{Ask, CLOCKS_COMPARED};
use super::convert::Converter;
use super::desk::{Desk, Done};
use super::limits::{Service, is_too_large};
use super::pace::Mode;
use super::point::Item;
use super::prepare::Polled;
use super::quarantine::is_refusal;
use super::subscription::value_of;
use crate::schedule::Lost;
use crate::{DeviceEvent, LinkError, SinkClosed};

/// Points that are read together.
pub(crate) struct Group {
    pub(crate) interval: Duration,
    pub(crate) points: Vec<usize>,
    pub(crate) is_busy: bool,
}

/// For an answer that is on its way when the session ends.
const LAST_ANSWER: Duration = Duration::from_millis(500);

/// One group for each interval.
pub(crate) fn groups(items: &[Item]) -> Vec<Group> {
    let mut points: BTreeMap<Duration, Vec<usize>> = BTreeMap::new();
    let polled = items.iter().enumerate().filter(|(_, item)| item.mode == Mode::Poll);
    polled.for_each(|(point, item)| points.entry(item.interval).or_default().push(point));
    points.into_iter().map(|(interval, points)| Group { interval, points, is_busy: false }).collect()
}

impl Desk<'_> {
    pub(crate) fn schedule_next(&self) -> Option<Duration> {
        let free = (0..self.groups.len()).filter(|group| !self.groups[*group].is_busy);
        free.map(|group| self.schedule.due_at(group)).min()
    }

    /// Nodes that the server can read faster under another id, for this session.
    pub(crate) async fn register(&mut self) {
        let polled = self.groups.iter().flat_map(|group| group.points.iter().copied());
        let polled: Vec<usize> = polled.filter(|point| self.nodes[*point].is_ok()).collect();
        let mut done = 0;
        while done < polled.len() {
            let chunk = &polled[done..polled.len().min(done + self.size(Service::Register))];
            let nodes = chunk.iter().filter_map(|point| self.nodes[*point].clone().ok()).collect();
            match self.ask.register(nodes).await {
                Ok(registered) => chunk.iter().zip(registered).for_each(|(point, node)| self.nodes[*point] = Ok(node)),
                Err(status) if is_too_large(status) && self.server.limits.halve(Service::Register, chunk.len()) => continue,
                // A server without this service reads the nodes as they are.
                Err(_) => return,
            }
            done += chunk.len();
        }
    }

    pub(crate) async fn poll_due(&mut self, now: Now) -> Result<(), LinkError> {
        for group in 0..self.groups.len() {
            let due = self.schedule.due_at(group);
            if self.groups[group].is_busy || due > now.monotonic {
                continue;
            }
            if let Some(lost) = self.schedule.claim(group, now.monotonic) {
                self.miss(self.debt_of(lost), MissedCause::Overload, now).await?;
            }
            self.poll(group, due);
        }
        Ok(())
    }

    fn poll(&mut self, group: usize, due: Duration) {
        let mut asked = Vec::new();
        for point in &self.groups[group].points {
            match &self.nodes[*point] {
                Ok(node) if !self.quarantine.holds(*point) => {
                    asked.push((*point, value_of(node.clone(), &self.plan.items[*point])));
                }
                _ => self.aside.add(self.plan.points[*point].id, 1, due),
            }
        }
        self.groups[group].is_busy = true;
        let (ask, size) = (self.ask.clone(), self.size(Service::Read));
        self.pending.push(Box::pin(async move {
            let (polled, size) = read(&ask, asked, size).await;
            Done::Polled { group, due, polled, size }
        }));
    }

    pub(crate) async fn polled(
        &mut self,
        group: usize,
        due: Duration,
        polled: Polled,
        size: usize,
    ) -> Result<(), LinkError> {
        let now = self.sink.now();
        self.groups[group].is_busy = false;
        if size < self.size(Service::Read) {
            self.plan.memory.count("requests_halved", 1);
            self.server.limits.halve(Service::Read, size * 2);
        }
        let newest = now.monotonic.saturating_sub(due);
        let worst = self.lateness.map_or(newest, |lateness| lateness.worst.max(newest));
        self.lateness = Some(Lateness { newest, worst });
        let readings = self.readings_of(polled, now);
        let statuses = readings.iter().map(|(point, reading)| (*point, reading.status));
        let refused: Vec<_> = statuses.filter(|(_, status)| is_refusal(*status)).collect();
        let readings: Vec<_> = readings.into_iter().map(|(_, reading)| reading).collect();
        self.note_live(&readings);
        if !readings.is_empty() {
            self.sink.send(DeviceEvent::Readings(readings)).await?;
        }
        for (point, status) in refused {
            self.set_aside(point, status, now);
        }
        Ok(())
    }

    fn readings_of(&self, polled: Polled, now: Now) -> Vec<(usize, Reading)> {
        let mut readings = Vec::new();
        for (points, result) in polled {
            match result {
                Ok(read) => {
                    let converter = Converter { decoder: self.decoder(), offset: read.offset };
                    let samples = read.values.into_iter().map(|value| converter.sample(value));
                    readings.extend(points.into_iter().zip(samples).map(|(p, sample)| (p, self.reading(p, sample, now))));
                }
                Err(status) => {
                    let bad = |point: usize| (point, Reading::bad(self.id(point), status, now.utc));
                    readings.extend(points.into_iter().map(bad));
                }
            }
        }
        readings
    }

    pub(crate) fn id(&self, point: usize) -> PointId {
        self.plan.points[point].id
    }

    /// What is on its way is waited for shortly; then every slot that is due is given up.
    pub(crate) async fn finish_polls(&mut self, now: Now) -> Result<(), SinkClosed> {
        loop {
            let is_busy = self.groups.iter().any(|group| group.is_busy);
            let done = match self.pending.next().now_or_never() {
                Some(done) => done,
                None if is_busy => timeout(LAST_ANSWER, self.pending.next()).await.ok().flatten(),
                None => None,
            };
            match done {
                Some(Done::Polled { group, due, polled, size }) => {
                    if let Err(LinkError::SinkClosed) = self.polled(group, due, polled, size).await {
                        return Err(SinkClosed);
                    }
                }
                Some(Done::Published(result)) if result.is_ok() => {
                    if let Err(LinkError::SinkClosed) = self.published(*result).await {
                        return Err(SinkClosed);
                    }
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut down = Debt::default();
        let busy: Vec<_> = self.groups.iter().filter(|group| group.is_busy).flat_map(|group| &group.points).collect();
        busy.into_iter().for_each(|point| down.add(self.id(*point), 1, now.monotonic));
        for lost in self.schedule.give_up(now.monotonic) {
            down.merge(self.debt_of(lost));
        }
        self.leave(down, MissedCause::DeviceDown, now).await
    }

    fn debt_of(&self, lost: Lost) -> Debt {
        let mut debt = Debt::default();
        self.groups[lost.group].points.iter().for_each(|point| debt.add(self.id(*point), lost.slots, lost.from));
        debt
    }
}

/// BadDecodingError: an answer that cannot be read, because of one of its values.
fn is_halved(status: StatusCode) -> bool {
    is_too_large(status) || status.0 & 0xFFFF_0000 == StatusCode::BAD_DECODING_ERROR.0
}

/// In requests of `size` at most; of half of it, and again, where an answer would be too large or cannot be read.
async fn read(ask: &Ask, mut asked: Vec<(usize, ReadValueId)>, mut size: usize) -> (Polled, usize) {
    let mut polled = Vec::new();
    let mut step = size.max(1);
    while !asked.is_empty() {
        let count = step.min(asked.len());
        let nodes = asked[..count].iter().map(|(_, node)| node.clone()).collect();
        match ask.read(nodes).await {
            Err(CLOCKS_COMPARED) => {}
            Err(status) if is_halved(status) && count > 1 => {
                step = count / 2;
                size = if is_too_large(status) { step } else { size };
            }
            result => {
                let points = asked.drain(..count).map(|(point, _)| point).collect();
                polled.push((points, result));
            }
        }
    }
    (polled, size)
}
