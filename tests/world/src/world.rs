use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use lingate_buffer::fake::{Crash, FakeDisk};
use lingate_buffer::{Buffer, Overflow, Recovery, Settings};
use lingate_engine::{Engine, ExportLedger, Input, LinkLimits, LinkLoss, Notice, Output, Placed, Rules, Setup, Status};
use lingate_model::{ClockState, DatasetId, Now, Priority, UtcMicros};
use lingate_refine::{ExportPlan, Step};
use lingate_seal::{Sealed, VerifiedBundle, Veto};

use crate::broker::{Answer as BrokerAnswer, Taken};
use crate::chance::Failing;
use crate::harm::Source;
use crate::plant::Answer;
use crate::rights::{GATEWAY, Sandbox, TENANT, gateway_key};
use crate::{Broker, Chance, Laws, Plant, Receiver, Rights, plan};

/// 2026-03-01T08:00:00Z.
const BEGIN: UtcMicros = UtcMicros(1_772_352_000_000_000);
pub(crate) const COMMIT_EVERY: Duration = Duration::from_millis(200);
pub(crate) const WINDOW: usize = 8;
/// More steps than any story needs: a step that does not let time pass would go on for ever.
const STEPS_MAX: u64 = 200_000;

/// One gateway's process and everything around it. The process may die and start again; the world goes on.
pub struct World {
    seed: u64,
    /// Says aloud what happens.
    pub narrates: bool,
    /// Since the world began.
    pub(crate) time: Duration,
    /// How far the wall clock has jumped, in microseconds.
    pub(crate) jumped: i64,
    process_began: Duration,
    engine: Option<Engine<FakeDisk>>,
    steps: u64,
    entropy: Chance,
    /// So often the next process draws in vain.
    pub entropy_fails: u64,
    /// What the audit log hears, if somebody listens.
    pub audit: Option<Vec<String>>,
    /// While it is true, the machine gives no randomness.
    pub has_no_entropy: Arc<AtomicBool>,
    bundle: Option<VerifiedBundle>,
    /// As the engine numbers it; the next process numbers it as written.
    pub(crate) placed: Placed,
    pub(crate) written: ExportPlan,
    /// What the plant decides; the next process starts with it.
    pub rules: Rules,
    /// As the daemon keeps it on disk.
    kept: ExportLedger,
    /// What the engine said that it destroyed.
    pub purged: Vec<(Vec<DatasetId>, Option<Veto>)>,
    pub disk: FakeDisk,
    pub settings: Settings,
    pub recovery: Recovery,
    pub broker: Broker,
    pub receiver: Receiver,
    pub plant: Plant,
    pub laws: Laws,
    pub notices: Vec<Notice>,
    pub has_drained: bool,
    /// Segments and bytes in them of which a bit flipped.
    pub flips: Vec<(String, u64)>,
    pub chance: Chance,
}

impl World {
    /// A gateway that has just started on an empty disk, with all rights and without a link. Nobody polls yet.
    pub fn new(seed: u64, sandbox: &Sandbox) -> World {
        let mut world = World::without_bundle(seed, sandbox, roomy());
        world.grant(sandbox, &Rights::full(1));
        world
    }

    pub fn with_rules(seed: u64, sandbox: &Sandbox, rules: Rules) -> World {
        let mut world = World::without_bundle(seed, sandbox, roomy());
        world.rules = rules;
        world.restart();
        world.grant(sandbox, &Rights::full(1));
        world
    }

    /// The plan's points have these steps as well.
    pub fn with_steps(seed: u64, sandbox: &Sandbox, steps: &[(u32, Step)]) -> World {
        let mut world = World::without_bundle(seed, sandbox, roomy());
        world.written = plan::with_steps(world.written, steps);
        world.restart();
        world.grant(sandbox, &Rights::full(1));
        world
    }

    pub fn without_bundle(seed: u64, sandbox: &Sandbox, settings: Settings) -> World {
        World::paced(seed, sandbox, settings, 1)
    }

    /// With devices that are so many times slower.
    pub fn paced(seed: u64, sandbox: &Sandbox, settings: Settings, pace: u32) -> World {
        let mut chance = Chance::new(seed);
        let mut world = World {
            seed,
            time: Duration::ZERO,
            jumped: 0,
            process_began: Duration::ZERO,
            engine: None,
            steps: 0,
            entropy: chance.fork(),
            entropy_fails: 0,
            audit: None,
            has_no_entropy: Arc::default(),
            bundle: None,
            placed: plan::placed(plan::export_plan_at(pace)),
            written: plan::export_plan_at(pace),
            rules: Rules::default(),
            kept: ExportLedger::default(),
            purged: Vec::new(),
            disk: FakeDisk::new(),
            settings,
            recovery: Recovery::default(),
            broker: Broker::new(),
            receiver: Receiver::new(sandbox.trust()),
            plant: Plant::new(pace),
            narrates: false,
            laws: Laws::new(WINDOW),
            notices: Vec::new(),
            has_drained: false,
            flips: Vec::new(),
            chance,
        };
        world.start();
        world
    }

    pub fn now(&self) -> Now {
        let utc = UtcMicros(BEGIN.0 + self.time.as_micros() as i64 + self.jumped);
        Now { monotonic: self.time - self.process_began, utc, clock: ClockState::Synced }
    }

    pub fn status(&self) -> Status {
        self.engine().status()
    }

    pub fn polls(&mut self) {
        self.plant.start_polling(self.time);
    }

    pub fn stops_polling(&mut self) {
        self.plant.stop_polling();
    }

    /// One poll of one device, apart from any schedule.
    pub fn poll(&mut self, device: usize) {
        let utc = self.now().utc;
        match self.plant.poll(device, utc) {
            Answer::Readings(readings) => self.feed(Input::Readings(readings)),
            Answer::Missed(missed) => self.feed(Input::Missed(missed)),
            Answer::Nothing => {}
        }
    }

    pub fn link_up(&mut self) {
        self.link_up_with(LinkLimits { in_flight: 65_535, packet_bytes: 1 << 20 });
    }

    /// Does nothing if the link is up.
    pub fn link_up_with(&mut self, limits: LinkLimits) {
        if self.broker.limits().is_none() {
            self.broker.connect(limits);
            self.laws.link_up(limits);
            self.feed(Input::LinkUp(limits));
        }
    }

    pub fn link_down(&mut self) {
        self.lose_connection();
        self.feed(Input::LinkDown(LinkLoss("the story says so".to_owned())));
    }

    pub fn grant(&mut self, sandbox: &Sandbox, rights: &Rights) {
        let bundle = sandbox.bundle(rights, self.now().utc);
        self.bundle = Some(bundle.clone());
        self.feed(Input::Bundle(Box::new(bundle)));
    }

    /// The plant's vetoes from here on, kept for the next process as the daemon keeps them.
    pub fn veto(&mut self, veto: Veto) {
        self.rules.plant.veto = veto.clone();
        self.feed(Input::Veto(Box::new(veto)));
    }

    /// The wall clock is set.
    pub fn jump(&mut self, micros: i64) {
        self.jumped += micros;
    }

    /// The process ends without a word, and what was not synced meets its fate; another one starts.
    pub fn crash(&mut self, crash: Crash) {
        self.lose_connection();
        self.engine = None;
        if !self.rules.quotas.is_empty() {
            self.rules.ledger = self.kept.clone();
        }
        self.disk = self.disk.crash(crash);
        self.start();
    }

    /// Drain, finish, and another process starts.
    pub fn restart(&mut self) {
        self.drain();
        let now = self.now();
        let engine = self.engine.take().expect("it runs");
        self.rules.ledger = engine.status().rights.ledger.settled();
        let finished = engine.finish(now);
        self.expect(finished.map_err(|error| format!("it could not finish: {error}")));
        self.lose_connection();
        self.start();
        assert!(self.recovery.clean, "{}: a drained process ended uncleanly", self.here());
    }

    /// Until the engine says `Drained`.
    pub fn drain(&mut self) {
        self.has_drained = false;
        self.feed(Input::Drain);
        let polls = self.plant.next_at().is_some();
        self.stops_polling();
        for _ in 0..100 {
            if self.has_drained {
                break;
            }
            self.run_for(Duration::from_millis(500));
        }
        assert!(self.has_drained, "{}: it never drained", self.here());
        if polls {
            self.polls();
        }
    }

    pub fn run_for(&mut self, duration: Duration) {
        let end = self.time + duration;
        while self.step(end) {}
        self.time = end;
    }

    /// The next thing that happens before `end`; false if nothing does.
    pub fn step(&mut self, end: Duration) -> bool {
        let wake = self.engine().wake_at().map(|at| at + self.process_began);
        let broker = self.broker.next_at();
        let times = [wake, broker, self.plant.next_at()];
        let Some(at) = times.into_iter().flatten().min().filter(|at| *at <= end) else { return false };
        self.steps += 1;
        assert!(self.steps < STEPS_MAX, "{}: the world does not come to rest", self.here());
        self.time = self.time.max(at);
        if let Some((id, answer)) = self.broker.due(self.time) {
            self.answer(id, answer);
        } else if let Some(device) = self.plant.due(self.time) {
            self.poll(device);
        } else {
            self.feed(Input::Wake);
            let wake = self.engine().wake_at();
            let sleeps = wake.is_none_or(|at| at > self.now().monotonic);
            self.expect(if sleeps { Ok(()) } else { Err("it wants to be woken again at once".to_owned()) });
        }
        true
    }

    fn answer(&mut self, id: lingate_engine::PublishId, answer: BrokerAnswer) {
        match answer {
            BrokerAnswer::Ack => {
                self.laws.acknowledged(id);
                self.feed(Input::Acked(id));
            }
            BrokerAnswer::Refuse(reason) => {
                self.laws.refusal_arrived(id);
                self.feed(Input::Refused(id, reason));
            }
        }
    }

    /// Gives the engine one input and checks everything that it asks for.
    pub fn feed(&mut self, input: Input) {
        let now = self.now();
        self.engine.as_mut().expect("it runs").handle(now, input);
        self.collect();
        self.keep_ledger(now);
    }

    /// What is asked of a quota is kept at once, and then the engine hears of it.
    fn keep_ledger(&mut self, now: Now) {
        if self.rules.quotas.is_empty() {
            return;
        }
        let ledger = self.status().rights.ledger;
        if ledger.reserved() != self.kept.reserved() {
            let reserved = Input::Reserved(ledger.reserved().clone());
            self.kept = ledger;
            self.engine.as_mut().expect("it runs").handle(now, reserved);
            self.collect();
        }
    }

    fn collect(&mut self) {
        while let Some(output) = self.engine.as_mut().expect("it runs").poll() {
            match output {
                Output::Publish { id, topic, sealed } => {
                    let checked = self.laws.published(id, &sealed);
                    self.expect(checked);
                    if self.broker.send(self.time, id, &topic, &sealed, &mut self.chance) == Taken::Refused {
                        self.laws.refused(id);
                    }
                }
                Output::Accepted(accepted) => {
                    let checked = self.laws.accepted(&accepted);
                    self.expect(checked);
                }
                Output::Notice(notice) => self.notices.push(notice),
                Output::Purged { datasets, veto } => self.purged.push((datasets, veto)),
                Output::Audit(event) => self.audit.iter_mut().for_each(|told| told.push(event.to_json())),
                Output::Drained => self.has_drained = true,
            }
        }
        self.deliver();
    }

    fn deliver(&mut self) {
        let arrivals = self.broker.arrivals();
        for arrival in &arrivals {
            let checked = self.laws.arrived(&arrival.topic, &arrival.payload, self.broker.smallest_limit);
            self.expect(checked);
        }
        let utc = self.now().utc;
        let taken = if arrivals.is_empty() { return } else { self.receiver.take(&arrivals, utc) };
        let checked = taken.and_then(|first| {
            let mut opened = self.receiver.batches[first..].iter().flat_map(|batch| &batch.readings);
            opened.try_for_each(|reading| self.plant.judge(reading))
        });
        self.expect(checked);
    }

    fn lose_connection(&mut self) {
        self.broker.disconnect();
        self.laws.link_down();
    }

    fn start(&mut self) {
        self.process_began = self.time;
        self.placed = plan::placed(self.written.clone());
        let waiting = self.waiting_on_disk();
        self.laws.process_began(waiting.into_iter());
        self.laws.keys_may_stand_alone = self.settings == tiny();
        let (buffer, recovery) = Buffer::open(self.disk.clone(), self.settings.clone()).expect("a disk that works");
        self.recovery = recovery.clone();
        let utc = self.now().utc;
        self.rules.ledger.settle(utc);
        self.rules.ledger.reserve(utc, &self.rules.quotas);
        self.kept = self.rules.ledger.clone();
        let setup = Setup {
            gateway: GATEWAY.parse().expect("a gateway id"),
            tenant: TENANT.parse().expect("a tenant id"),
            software: "world 1 sha256:00".to_owned(),
            export: self.written.clone(),
            devices: plan::devices(),
            signer: gateway_key(),
            rules: self.rules.clone(),
            bundle: self.bundle.clone(),
            buffer,
            recovery,
            commit_every: COMMIT_EVERY,
            window: WINDOW,
            entropy: Box::new(Source {
                chance: Failing { times: take(&mut self.entropy_fails), chance: self.entropy.fork() },
                is_dry: self.has_no_entropy.clone(),
            }),
        };
        self.engine = Some(Engine::new(self.now(), setup));
        self.collect();
    }

    /// What another process would find on this disk.
    pub fn waiting_on_disk(&self) -> Vec<Sealed> {
        let copy = self.disk.crash(Crash::KeepAll);
        let (mut buffer, _) = Buffer::open(copy, self.settings.clone()).expect("a disk that works");
        let mut waiting = Vec::new();
        for priority in Priority::ALL {
            while let Some((_, sealed)) = buffer.next(priority).expect("a disk that works") {
                waiting.push(sealed);
            }
        }
        waiting
    }

    /// The next process finds none.
    pub fn loses_its_bundle(&mut self) {
        self.bundle = None;
        self.restart();
    }

    /// `ds-press` is live-first from the next start on.
    pub(crate) fn lets_live_data_pass(&mut self) {
        self.rules.live_first.extend([plan::DATASETS[0].parse().expect("a dataset id")]);
        self.laws.live_first.insert("p7".to_owned());
        self.restart();
    }

    fn engine(&self) -> &Engine<FakeDisk> {
        self.engine.as_ref().expect("it runs")
    }

    /// One line of the story.
    pub(crate) fn narrate(&self, line: &str) {
        if self.narrates {
            let status = self.engine().status();
            let (waiting, lost) = (status.buffer.records_waiting, status.lost);
            println!("{:>12.3} s  {line}  [{waiting} waiting, lost {lost:?}]", self.time.as_secs_f64());
        }
    }

    /// Virtual time since the world began.
    pub fn age(&self) -> Duration {
        self.time
    }

    pub(crate) fn here(&self) -> String {
        format!("seed {} at {:?}", self.seed, self.time)
    }

    fn expect(&self, law: Result<(), String>) {
        if let Err(broken) = law {
            panic!("{}: {broken}", self.here());
        }
    }
}

/// Nothing is dropped, segments are small.
pub fn roomy() -> Settings {
    Settings {
        max_bytes: 64 << 20,
        segment_bytes: 64 << 10,
        overflow: Overflow::DropOldest,
        reserve_bytes: 16 << 10,
        uncommitted_bytes: 4 << 20,
    }
}

/// Ten segments of 4 KiB beside the cursors: full within a minute of outage.
pub fn tiny() -> Settings {
    Settings { max_bytes: 64 << 10, segment_bytes: 4 << 10, reserve_bytes: 0, ..roomy() }
}
