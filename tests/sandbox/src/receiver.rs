//! The running receiver: a connection that comes back by itself, and a thread that owns the store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, ensure};
use rumqttc::{AsyncClient, PublishOptions, QoS};
use tokio::sync::{mpsc, watch};

use lingate_model::{Backoff, UtcMicros};

use crate::intake::{Arrival, Intake, claimed};
use crate::link::{self, BrokerAddress, Delivery, Ended, Item, LinkSettings, Subscribed};
use crate::opened::Event;
use crate::receipts::{ReceiptOut, Receipts};
use crate::report::Report;
use crate::tls::Material;
use crate::witness::WitnessLink;
use crate::{Authority, Store, StoreError, clock, keys, topic};

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
    /// As [`Store::open`] takes it.
    pub store: String,
    pub sink: Option<Sink>,
}

/// What most receivers do without.
#[derive(Clone, Debug, Default)]
pub struct ReceiverOptions {
    /// Roles beside the one of the configuration.
    pub more_roles: Vec<String>,
    /// Share the work with others.
    pub group: Option<Group>,
    /// Send signed receipts to the gateways.
    pub receipts: bool,
    /// Cosign the checkpoints of the gateways' audit logs. Only one process may do so for one folder.
    pub cosign: bool,
}

/// Receivers of one group have one store; the broker gives each record to one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    /// Of this receiver: its session waits under it at the broker, so it must be the same after a restart, and
    /// another one than that of every other member.
    pub member: String,
}

/// Stops when dropped; [`ReceiverHandle::stop`] waits for it.
pub struct ReceiverHandle {
    stop: watch::Sender<bool>,
    link: tokio::task::JoinHandle<()>,
    witness: Option<tokio::task::JoinHandle<()>>,
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
    /// Starts inside of a tokio runtime. Errors are those of folder and store; the broker may come later. The only
    /// receiver of its folder: it cosigns audit logs as well.
    pub fn start(config: ReceiverConfig) -> Result<ReceiverHandle> {
        Receiver::start_with(config, ReceiverOptions { cosign: true, ..ReceiverOptions::default() })
    }

    pub fn start_with(config: ReceiverConfig, options: ReceiverOptions) -> Result<ReceiverHandle> {
        let authority = Authority::open(&config.authority)?;
        let roles: Vec<String> = std::iter::once(config.role).chain(options.more_roles).collect();
        let settings = LinkSettings {
            client_id: client_id(&roles, options.group.as_ref())?,
            broker: config.broker,
            tls: Material::read(authority.folder(), "receiver")?.client()?,
            filters: topic::filters(options.group.as_ref().map(|group| group.name.as_str())).to_vec(),
        };
        let store = Store::open(&config.store).context("the store")?;
        let subscribed_to = format!("{}@{}:{}", settings.client_id, settings.broker.host, settings.broker.port);
        let subscribed = if store.is_subscribed(&subscribed_to)? { Subscribed::Yes } else { Subscribed::Unknown };
        let questions = Mutex::new(Store::open(&config.store)?);
        let state = Arc::new(Mutex::new(LinkState::default()));
        let (stop, stopped) = watch::channel(false);
        let (deliveries, queue) = mpsc::channel(QUEUE);
        let trust = TrustFolder::new(authority.folder(), roles);
        let intake = match options.group {
            Some(_) => Intake::shared(trust.read()?, store),
            None => Intake::new(trust.read()?, store),
        };
        let receipts = options.receipts.then(|| authority.receipt_key()).transpose()?;
        let receipts = receipts.map(|key| Receipts::new(key, authority.sandbox_id().to_owned()));
        let worker = Worker {
            intake,
            trust,
            sink: config.sink,
            state: state.clone(),
            receipts,
            client: None,
            owes_receipts: false,
        };
        let intake = std::thread::Builder::new()
            .name("intake".to_owned())
            .spawn(move || worker.run(queue))
            .context("cannot start a thread")?;
        let connection = Connection { settings, subscribed, subscribed_to, store: config.store, state: state.clone() };
        let witness = options.cosign.then(|| witness_link(&authority, &connection.settings)).transpose()?;
        let witness = witness.map(|witness| tokio::spawn(witness.run(stopped.clone())));
        let link = tokio::spawn(connection.run(deliveries, stopped));
        Ok(ReceiverHandle { stop, link, witness, intake: Some(intake), state, questions })
    }
}

fn witness_link(authority: &Authority, receiver: &LinkSettings) -> Result<WitnessLink> {
    let settings = LinkSettings {
        client_id: format!("witness-of-{}", receiver.client_id),
        broker: receiver.broker.clone(),
        tls: receiver.tls.clone(),
        filters: vec![topic::CHECKPOINTS.to_owned()],
    };
    Ok(WitnessLink { settings, witness: authority.witness()? })
}

/// The name under which the broker keeps the session.
fn client_id(roles: &[String], group: Option<&Group>) -> Result<String> {
    let mut id = format!("receiver-{}", roles.join("-").replace(':', "-"));
    if let Some(Group { name, member }) = group {
        for part in [name, member] {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            let fits = (1..=64).contains(&part.len()) && part.chars().all(is_plain);
            ensure!(fits, "{part:?} must be 1 to 64 letters, digits, -, _ or .");
        }
        id += &format!("-group-{name}-{member}");
    }
    Ok(id)
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
        if let Some(witness) = &mut self.witness {
            let _ = witness.await;
        }
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
    async fn run(mut self, deliveries: mpsc::Sender<Item>, mut stop: watch::Receiver<bool>) {
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
    receipts: Option<Receipts>,
    /// Of the connection that stands, or of the last one.
    client: Option<AsyncClient>,
    /// The connection did not take all of the last ones: they go with the next.
    owes_receipts: bool,
}

impl Worker {
    fn run(mut self, mut queue: mpsc::Receiver<Item>) -> Result<()> {
        while let Some(first) = queue.blocking_recv() {
            let mut bunch = Vec::new();
            let mut item = Some(first);
            while let Some(next) = item {
                match next {
                    Item::Connected(client) => self.connected(client)?,
                    Item::Delivery(delivery) => bunch.push(delivery),
                }
                item = if bunch.len() < BUNCH { queue.try_recv().ok() } else { None };
            }
            if !bunch.is_empty() {
                self.take(bunch)?;
            }
        }
        Ok(())
    }

    fn connected(&mut self, client: AsyncClient) -> Result<()> {
        self.client = Some(client);
        self.send_again()
    }

    fn send_again(&mut self) -> Result<()> {
        let Some(receipts) = &mut self.receipts else { return Ok(()) };
        let out = receipts.again(self.intake.store())?;
        self.send(out);
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
        if let Some(receipts) = &mut self.receipts {
            let kids = arrivals.iter().filter_map(|arrival| claimed(&arrival.payload)).map(|(kid, _)| kid);
            let out = receipts.after(self.intake.store(), kids)?;
            match self.owes_receipts {
                true => self.send_again()?,
                false => self.send(out),
            }
        }
        if let Some(sink) = &mut self.sink {
            sink(events);
        }
        Ok(())
    }

    /// QoS 0: on a session that only the broker remembers the library gives out no packet identifiers, and what a
    /// gateway misses it asks for.
    fn send(&mut self, receipts: Vec<ReceiptOut>) {
        let Some(client) = &self.client else { return };
        let is_taken = |ReceiptOut { topic, message }| {
            client.try_publish(topic, message, PublishOptions::new(QoS::AtMostOnce)).is_ok()
        };
        self.owes_receipts = !receipts.into_iter().all(is_taken);
    }
}

/// Notices that a gateway was enrolled or the policy changed, by the files' times.
struct TrustFolder {
    folder: PathBuf,
    roles: Vec<String>,
    seen: Vec<Option<SystemTime>>,
}

impl TrustFolder {
    fn new(folder: &Path, roles: Vec<String>) -> TrustFolder {
        let mut trust = TrustFolder { folder: folder.to_owned(), roles, seen: Vec::new() };
        trust.seen = trust.times();
        trust
    }

    fn read(&self) -> Result<crate::Trust> {
        Authority::open(&self.folder)?.trust_of(&self.roles)
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
        let mut times = Vec::new();
        times.extend(["policy.toml", "gateways", "roles"].map(|name| modified(&self.folder.join(name))));
        let mut gateways: Vec<PathBuf> = std::fs::read_dir(self.folder.join("gateways"))
            .map(|entries| entries.flatten().map(|entry| entry.path().join("gateway.json")).collect())
            .unwrap_or_default();
        gateways.sort();
        times.extend(gateways.iter().map(|path| modified(path)));
        times
    }
}
