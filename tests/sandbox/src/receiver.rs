//! The running receiver: a connection that comes back by itself, and a thread that owns the store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use tokio::sync::{mpsc, watch};

use lingate_model::{Backoff, UtcMicros};

use crate::intake::{Arrival, Intake};
use crate::link::{self, BrokerAddress, Delivery, Ended, LinkSettings, Subscribed};
use crate::opened::Event;
use crate::report::Report;
use crate::tls::Material;
use crate::{Authority, Store, StoreError, clock, keys};

/// Messages of one transaction at most.
const BUNCH: usize = 512;
const QUEUE: usize = 1024;

/// Called by the intake thread with what a bunch contained, after it is durable. Should not block for long.
pub type Sink = Box<dyn FnMut(Vec<Event>) + Send>;

pub struct ReceiverConfig {
    /// The authority's folder: trust, role key and TLS files. Changes are noticed.
    pub authority: PathBuf,
    /// Such as `role:oem-quality`.
    pub role: String,
    pub broker: BrokerAddress,
    /// `sqlite:FILE`.
    pub store: String,
    pub sink: Option<Sink>,
}

/// Stops when dropped; [`ReceiverHandle::stop`] waits for it.
pub struct ReceiverHandle {
    stop: watch::Sender<bool>,
    link: tokio::task::JoinHandle<()>,
    intake: Option<JoinHandle<Result<()>>>,
    state: Arc<Mutex<LinkState>>,
    /// A second connection, for questions only.
    questions: Mutex<Store>,
}

/// How the connection is.
#[derive(Clone, Debug, Default)]
pub struct LinkState {
    pub connected: bool,
    pub connects: u64,
    /// Times that the broker had forgotten the session, and with it what waited there.
    pub sessions_lost: u64,
    pub last_error: Option<String>,
    /// When the last message arrived.
    pub last_arrival: Option<UtcMicros>,
}

/// Counters of one dataset, over all of the store's life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveDataset {
    pub readings: u64,
    pub records: u64,
    pub bytes: u64,
    pub duplicates: u64,
    /// Sequence numbers below the highest that did not come (yet), declared or not.
    pub holes: u64,
    pub newest: Option<UtcMicros>,
}

pub struct Receiver;

impl Receiver {
    /// Starts inside of a tokio runtime. Errors are those of folder and store; the broker may come later.
    pub fn start(config: ReceiverConfig) -> Result<ReceiverHandle> {
        let authority = Authority::open(&config.authority)?;
        let settings = LinkSettings {
            client_id: format!("receiver-{}", config.role.replace(':', "-")),
            broker: config.broker,
            tls: Material::read(authority.folder(), "receiver")?.client()?,
        };
        let store = Store::open(&config.store).with_context(|| config.store.clone())?;
        let subscribed_to = format!("{}@{}:{}", settings.client_id, settings.broker.host, settings.broker.port);
        let subscribed = if store.is_subscribed(&subscribed_to)? { Subscribed::Yes } else { Subscribed::Unknown };
        let questions = Mutex::new(Store::open(&config.store)?);
        let state = Arc::new(Mutex::new(LinkState::default()));
        let (stop, stopped) = watch::channel(false);
        let (deliveries, queue) = mpsc::channel(QUEUE);
        let trust = TrustFolder::new(authority.folder(), &config.role);
        let worker =
            Worker { intake: Intake::new(trust.read()?, store), trust, sink: config.sink, state: state.clone() };
        let intake = std::thread::Builder::new()
            .name("intake".to_owned())
            .spawn(move || worker.run(queue))
            .context("cannot start a thread")?;
        let connection = Connection { settings, subscribed, subscribed_to, store: config.store, state: state.clone() };
        let link = tokio::spawn(connection.run(deliveries, stopped));
        Ok(ReceiverHandle { stop, link, intake: Some(intake), state, questions })
    }
}

impl ReceiverHandle {
    pub fn link(&self) -> LinkState {
        self.state.lock().expect("no holder of the lock panics").clone()
    }

    /// Per dataset, from the store: restarts do not reset it.
    pub fn live(&self) -> Result<BTreeMap<String, LiveDataset>, StoreError> {
        self.questions.lock().expect("no holder of the lock panics").live()
    }

    /// Every record that was taken: content key in hex, and sequence number.
    pub fn identities(&self) -> Result<BTreeSet<(String, u64)>, StoreError> {
        self.questions.lock().expect("no holder of the lock panics").identities()
    }

    pub fn report(&self) -> Result<Report, StoreError> {
        self.questions.lock().expect("no holder of the lock panics").report()
    }

    /// The intake has ended by itself: the store failed. `stop` tells why.
    pub fn has_failed(&self) -> bool {
        self.intake.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Says goodbye to the broker, finishes what has arrived, and closes the store. The session stays at the broker.
    pub async fn stop(mut self) -> Result<()> {
        let _ = self.stop.send(true);
        let _ = (&mut self.link).await;
        let Some(intake) = self.intake.take() else { return Ok(()) };
        let joined = tokio::task::spawn_blocking(|| intake.join()).await.context("the runtime is ending")?;
        joined.map_err(|_| anyhow!("the intake thread panicked"))?
    }
}

impl Drop for ReceiverHandle {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

/// The task that keeps a connection.
struct Connection {
    settings: LinkSettings,
    subscribed: Subscribed,
    subscribed_to: String,
    store: String,
    state: Arc<Mutex<LinkState>>,
}

impl Connection {
    async fn run(mut self, deliveries: mpsc::Sender<Delivery>, mut stop: watch::Receiver<bool>) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            let mut came_up = false;
            let on_up = |session_present| {
                came_up = true;
                self.note_up(session_present);
            };
            let ended = link::run(&self.settings, self.subscribed, &deliveries, &mut stop, on_up).await;
            if came_up {
                backoff.succeeded();
                self.subscribed = Subscribed::Yes;
            }
            self.note_down(&ended);
            if matches!(ended, Ended::Stopped) {
                return;
            }
            let pause = backoff.next_pause(u32::from_le_bytes(keys::random()));
            if tokio::time::timeout(pause, stop.wait_for(|stop| *stop)).await.is_ok() {
                return;
            }
        }
    }

    /// Without the note a restart would begin a fresh session and lose what waits in this one.
    fn note_up(&self, session_present: bool) {
        let noted = Store::open(&self.store).and_then(|store| store.set_subscribed(&self.subscribed_to));
        let mut state = self.state.lock().expect("no holder of the lock panics");
        state.connected = true;
        state.last_error = noted.err().map(|error| error.to_string());
        state.connects += 1;
        state.sessions_lost += u64::from(self.subscribed == Subscribed::Yes && !session_present);
    }

    fn note_down(&self, ended: &Ended) {
        let mut state = self.state.lock().expect("no holder of the lock panics");
        state.connected = false;
        if let Ended::Lost(reason) = ended {
            state.last_error = Some(reason.clone());
        }
    }
}

/// The thread that owns the store.
struct Worker {
    intake: Intake,
    trust: TrustFolder,
    sink: Option<Sink>,
    state: Arc<Mutex<LinkState>>,
}

impl Worker {
    fn run(mut self, mut queue: mpsc::Receiver<Delivery>) -> Result<()> {
        while let Some(first) = queue.blocking_recv() {
            let mut bunch = vec![first];
            while bunch.len() < BUNCH
                && let Ok(next) = queue.try_recv()
            {
                bunch.push(next);
            }
            self.take(bunch)?;
        }
        Ok(())
    }

    fn take(&mut self, bunch: Vec<Delivery>) -> Result<()> {
        if let Some(trust) = self.trust.read_if_changed() {
            self.intake.set_trust(trust);
        }
        let utc = clock::now();
        self.state.lock().expect("no holder of the lock panics").last_arrival = Some(utc);
        let arrivals: Vec<Arrival> = bunch.iter().map(|delivery| delivery.arrival.clone()).collect();
        let events = self.intake.take(&arrivals, utc).context("the store failed; nothing of it was acknowledged")?;
        bunch.into_iter().for_each(Delivery::acknowledge);
        if let Some(sink) = &mut self.sink {
            sink(events);
        }
        Ok(())
    }
}

/// Notices that a gateway was enrolled or the policy changed, by the files' times.
struct TrustFolder {
    folder: PathBuf,
    role: String,
    seen: Vec<Option<SystemTime>>,
}

impl TrustFolder {
    fn new(folder: &Path, role: &str) -> TrustFolder {
        let mut trust = TrustFolder { folder: folder.to_owned(), role: role.to_owned(), seen: Vec::new() };
        trust.seen = trust.times();
        trust
    }

    fn read(&self) -> Result<crate::Trust> {
        Authority::open(&self.folder)?.trust(&self.role)
    }

    /// A file that is half written or wrong is looked at again with the next bunch; until then the old trust holds.
    fn read_if_changed(&mut self) -> Option<crate::Trust> {
        let times = self.times();
        if times == self.seen {
            return None;
        }
        let trust = self.read().ok()?;
        self.seen = times;
        Some(trust)
    }

    fn times(&self) -> Vec<Option<SystemTime>> {
        let modified = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let mut times = vec![modified(&self.folder.join("policy.toml")), modified(&self.folder.join("gateways"))];
        let mut gateways: Vec<PathBuf> = std::fs::read_dir(self.folder.join("gateways"))
            .map(|entries| entries.flatten().map(|entry| entry.path().join("gateway.json")).collect())
            .unwrap_or_default();
        gateways.sort();
        times.extend(gateways.iter().map(|path| modified(path)));
        times
    }
}
