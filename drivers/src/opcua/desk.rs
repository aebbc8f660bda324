use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use lingate_model::{Lateness, MissedCause, Now, StatusCode};
use opcua::types::{
    CreateSubscriptionResponse, HistoryReadResult, MonitoredItemCreateResult, NodeId, NotificationMessage, PublishResponse,
    SubscriptionAcknowledgement,
};

use super::account::{Accounts, Debt};
use super::ask::{Ask, Wanted};
use super::backfill::{Filling, Job};
use super::convert::keep_structures_as_bytes;
use super::deadband::Filter;
use super::decode::Decoder;
use super::limits::{Rate, Service};
use super::pace::Mode;
use super::polling::{Group, groups};
use super::prepare::{self, Polled, Server};
use super::quarantine::Quarantine;
use super::structure::Types;
use super::subscription::Subscription;
use super::{Link, Plan};
use crate::schedule::Schedule;
use crate::{BoxFuture, DeviceEvent, LinkError, Sink, SinkClosed};

/// Everything that a session keeps in mind. One task turns what was answered, or what became due, into readings and into
/// new requests; no request waits for another one.
pub(crate) struct Desk<'a> {
    pub(crate) link: &'a Link,
    pub(crate) plan: &'a Plan,
    pub(crate) sink: &'a Sink,
    pub(crate) ask: Ask,
    pub(crate) server: Server,
    pub(crate) types: Types,
    /// Of each point, or why it has none.
    pub(crate) nodes: Vec<Result<NodeId, StatusCode>>,
    pub(crate) pending: FuturesUnordered<BoxFuture<'static, Done>>,

    /// Points that wait for a monitored item.
    pub(crate) waiting: VecDeque<usize>,
    pub(crate) is_creating: bool,
    pub(crate) creations: Rate,
    pub(crate) subscriptions: Vec<Subscription>,
    /// Where each point is monitored.
    pub(crate) homes: Vec<Option<Home>>,
    /// Deadbands that the server refused, done here as soon as their width is known.
    pub(crate) unfiltered: BTreeSet<usize>,
    pub(crate) filters: BTreeMap<usize, Filter>,

    pub(crate) publishing: usize,
    pub(crate) publishing_max: usize,
    /// Before the next publish request is sent.
    pub(crate) publish_pause: Duration,
    pub(crate) publish_failures: u32,
    /// Messages that were used and that the server may forget.
    pub(crate) used: Vec<SubscriptionAcknowledgement>,

    pub(crate) groups: Vec<Group>,
    pub(crate) schedule: Schedule,
    pub(crate) lateness: Option<Lateness>,

    pub(crate) accounts: Accounts,
    pub(crate) filling: Option<Filling>,
    pub(crate) quarantine: Quarantine,
    pub(crate) is_trying: bool,
    pub(crate) aside: Debt,
    pub(crate) aside_at: Duration,
    pub(crate) report_at: Duration,
    pub(crate) clock_at: Duration,
}

/// The monitored item of a point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    /// Which of the subscriptions.
    pub(crate) at: usize,
    /// The server's id of it.
    pub(crate) item: u32,
}

/// What was asked for and is answered.
pub(crate) enum Done {
    Subscribed { wanted: Wanted, result: Result<CreateSubscriptionResponse, StatusCode> },
    Created { at: usize, batch: Vec<usize>, signs: usize, result: Result<Vec<MonitoredItemCreateResult>, StatusCode> },
    Deleted { point: usize, result: Result<(), StatusCode> },
    Published(Box<Result<PublishResponse, StatusCode>>),
    Republished { at: usize, number: u32, result: Result<NotificationMessage, StatusCode> },
    Polled { group: usize, due: Duration, polled: Polled, size: usize },
    Tried { point: usize, result: Result<NodeId, StatusCode> },
    Ranged { point: usize, width: Option<f64> },
    Described(Types),
    Clock(Option<i64>),
    History { batch: Vec<Job>, is_there: Vec<bool>, result: Result<Vec<HistoryReadResult>, StatusCode> },
    Saved(std::io::Result<()>),
}

/// Set aside points are told of so often.
const ASIDE_EVERY: Duration = Duration::from_secs(10);
const CLOCK_EVERY: Duration = Duration::from_secs(60);
const PUBLISHING_MAX: usize = 10;

impl<'a> Desk<'a> {
    pub(crate) fn new(link: &'a Link, plan: &'a Plan, sink: &'a Sink) -> Desk<'a> {
        let now = sink.now().monotonic;
        let ask = Ask::new(link.session.clone(), link.lost.clone());
        let points = plan.items.len();
        let groups = groups(&plan.items);
        let schedule = Schedule::new(now, groups.iter().map(|group| group.interval));
        Desk {
            link,
            plan,
            sink,
            ask,
            server: Server::unknown(plan.pace.profile),
            types: Types::default(),
            nodes: vec![Err(StatusCode::BAD_WAITING_FOR_INITIAL_DATA); points],
            pending: FuturesUnordered::new(),
            waiting: VecDeque::new(),
            is_creating: false,
            creations: Rate::new(plan.pace.profile.creations),
            subscriptions: Vec::new(),
            homes: vec![None; points],
            unfiltered: BTreeSet::new(),
            filters: BTreeMap::new(),
            publishing: 0,
            publishing_max: PUBLISHING_MAX,
            publish_pause: Duration::ZERO,
            publish_failures: 0,
            used: Vec::new(),
            groups,
            schedule,
            lateness: None,
            accounts: Accounts::new(points, now),
            filling: None,
            quarantine: Quarantine::default(),
            is_trying: false,
            aside: Debt::default(),
            aside_at: now.saturating_add(ASIDE_EVERY),
            report_at: now,
            clock_at: now.saturating_add(CLOCK_EVERY),
        }
    }

    /// Asks the server about itself, and for the points' nodes.
    pub(crate) async fn prepare(&mut self) -> Result<(), StatusCode> {
        self.plan.memory.begin();
        keep_structures_as_bytes(&mut self.link.session.encoding_context().write());
        let sink = self.sink;
        self.server = Server::ask(&self.ask, self.plan.pace.profile, || sink.now()).await?;
        if let Some(learnt) = &self.plan.memory.kept().limits {
            self.server.limits.tighten(learnt);
        }
        let (limits, namespaces) = (&mut self.server.limits, &self.server.namespaces);
        self.nodes = prepare::nodes(&self.ask, limits, namespaces, &self.plan.items).await?;
        self.describe_types().await?;
        self.register().await;
        let now = self.sink.now();
        for point in 0..self.nodes.len() {
            match self.nodes[point] {
                Err(status) => self.set_aside(point, status, now),
                Ok(_) if self.is_subscribed(point) => self.waiting.push_back(point),
                Ok(_) => {}
            }
        }
        self.greet(now).await;
        self.begin_filling(now);
        Ok(())
    }

    pub(crate) fn decoder(&self) -> Decoder<'_> {
        Decoder { namespaces: &self.server.namespaces, types: &self.types }
    }

    /// The points whose items a subscription has.
    pub(crate) fn inhabitants(&self, at: usize) -> impl Iterator<Item = usize> {
        let is_here = move |home: &Option<Home>| home.is_some_and(|home| home.at == at);
        self.homes.iter().enumerate().filter(move |(_, home)| is_here(home)).map(|(point, _)| point)
    }

    pub(crate) fn is_subscribed(&self, point: usize) -> bool {
        self.plan.items[point].mode == Mode::Subscribe
    }

    /// Sends everything that may be sent now.
    pub(crate) fn refill(&mut self) {
        self.create_more();
        self.publish_more();
    }

    /// When something is due at the latest.
    pub(crate) fn wake_at(&self) -> Duration {
        let polls = self.schedule_next();
        let dogs = self.subscriptions.iter().map(|subscription| subscription.watchdog.look_at()).min();
        let holes = self.subscriptions.iter().filter_map(|subscription| subscription.sequence.ask_at()).min();
        let tries = if self.is_trying { None } else { self.quarantine.iter().map(|(_, entry)| entry.retry_at).min() };
        let fixed = [self.aside_at, self.report_at, self.clock_at].into_iter().min();
        [polls, dogs, holes, tries, fixed, self.filling_at()].into_iter().flatten().min().unwrap_or(Duration::MAX)
    }

    /// Does what is due.
    pub(crate) async fn on_time(&mut self) -> Result<(), LinkError> {
        let now = self.sink.now();
        self.watch(now)?;
        self.poll_due(now).await?;
        self.republish_due(now.monotonic);
        self.try_due(now.monotonic);
        self.fill_due(now);
        if now.monotonic >= self.aside_at {
            self.aside_at = now.monotonic.saturating_add(ASIDE_EVERY);
            self.tell_aside(now).await?;
        }
        if now.monotonic >= self.clock_at {
            self.clock_at = now.monotonic.saturating_add(CLOCK_EVERY);
            self.ask_clock(now);
        }
        if now.monotonic >= self.report_at {
            self.report(now).await?;
        }
        Ok(())
    }

    /// A subscription that is silent, although the connection lives, is given up with the whole session.
    fn watch(&mut self, now: Now) -> Result<(), LinkError> {
        for subscription in &self.subscriptions {
            if let Some(silence) = subscription.watchdog.silence(now.monotonic) {
                self.plan.memory.count("dead_subscriptions", 1);
                return Err(LinkError::Protocol { what: silence.to_string() });
            }
        }
        Ok(())
    }

    fn ask_clock(&mut self, before: Now) {
        let (ask, sink) = (self.ask.clone(), self.sink.clone());
        self.pending.push(Box::pin(async move { Done::Clock(prepare::clock_skew_us(&ask, before, &sink).await) }));
    }

    /// Tells of every slot that was due and gave nothing; nothing is asked any more.
    pub(crate) async fn last_words(&mut self) -> Result<(), SinkClosed> {
        let now = self.sink.now();
        self.finish_polls(now).await?;
        self.tell_aside(now).await?;
        let mut down = Debt::default();
        for point in 0..self.nodes.len() {
            if !self.is_subscribed(point) || self.quarantine.holds(point) {
                continue;
            }
            if let Some(Home { at, .. }) = self.homes[point] {
                self.accounts.settle(point, self.subscriptions[at].watchdog.proven_until());
            }
            self.owe(&mut down, point, now.monotonic);
        }
        let cause = if self.sink.is_stopping() { MissedCause::Overload } else { MissedCause::DeviceDown };
        self.leave(down, cause, now).await?;
        self.send_report().await
    }

    pub(crate) async fn miss(&mut self, debt: Debt, cause: MissedCause, now: Now) -> Result<(), SinkClosed> {
        match debt.into_missed(&self.plan.name, cause, now) {
            Some(missed) => self.sink.send(DeviceEvent::Missed(missed)).await,
            None => Ok(()),
        }
    }

    pub(crate) fn size(&self, service: Service) -> usize {
        self.server.limits.size(service)
    }
}
