//! The daemon: starts everything in order, waits, and stops everything in order.
//!
//! Start: check, open and lock the buffer, bind health, heart, link, pollers, serve health, then READY=1. Stop: pollers,
//! `Drain`, `Drained`, link says goodbye, health last. A broker in reach is given two seconds (with `--once` any, and 30):
//! unsent data is safe on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use lingate_buffer::{Buffer, BufferError, RealDisk};
use lingate_config::{Ack, HealthListen, Plan};
use lingate_drivers::Device;
use lingate_engine::{Input, Rules, Setup};
use lingate_model::{Clock, DeviceName, PointId, UtcMicros};
use lingate_seal::{Acknowledgement, PlantTerms, SigningKey};
use tokio::sync::{Mutex, oneshot, watch};
use tokio::task::JoinHandle;

use crate::audit::{self, Ear};
use crate::clock::SystemClock;
use crate::configuration;
use crate::entropy::SystemEntropy;
use crate::export_ledger;
use crate::fence::folders::Folders;
use crate::fence::{self, Barrier, calls, memory};
use crate::health::Health;
use crate::heart::{self, End, Heart, Message, Patience, Remains};
use crate::history::History;
use crate::inbox::{self, Offered};
use crate::keys;
use crate::link::Link;
use crate::pollers::Pollers;
use crate::prepare::{Prepared, Refused, prepare_to_run, site};
use crate::pseudonyms;
use crate::recent::Recent;
use crate::reload::{self, Asked, Reloader};
use crate::retry;
use crate::signals::Signals;
use crate::supervise::{Restarted, Stopper, stop};
use crate::systemd;
use crate::token;
use crate::veto::{self, Said, Vetoes};
use crate::view::View;

const WINDOW: usize = 64;
const AWAY_LOOK_EVERY: Duration = Duration::from_secs(2);
const AWAY_MAX: Duration = Duration::from_secs(40);
const POLLERS_END: Duration = Duration::from_secs(5);
const DRAIN: Duration = Duration::from_secs(30);
/// A stop leaves nothing behind that a broker in reach takes soon; the rest waits on disk for the next start.
const LAST_WORDS: Patience = Patience { most: Duration::from_secs(2), without_link: false };
/// A run of a given length is for trying out: whoever waits for its end wants to see all of it arrive.
const ALL_WORDS: Patience = Patience { most: Duration::from_secs(30), without_link: true };
const LINK_ENDS: Duration = Duration::from_secs(5);
const HEALTH_ENDS: Duration = Duration::from_secs(2);

/// Why the daemon cannot start or go on.
#[derive(Debug)]
pub(crate) enum Failure {
    Refused(Refused),
    Buffer(String),
    /// The buffer is of a newer version.
    Newer(String),
    /// A key of M11: without it identifiers would be lost.
    Pseudonyms(String),
    Health {
        address: HealthListen,
        error: std::io::Error,
    },
    System(std::io::Error),
    /// A defect: the heart panicked.
    Heart(String),
    HealthLost(String),
    NotDrained,
}

/// Runs until a signal comes, `once` is over, or something fails that a restart has to mend.
pub(crate) fn run(config: &Path, once: Option<Duration>) -> Result<(), Failure> {
    let mut fence = vec![memory::no_images(), memory::no_swap()];
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let prepared = prepare_when_there(config, &clock).map_err(Failure::Refused)?;
    prepared.warnings.iter().for_each(|warning| tracing::error!("{warning}"));
    prepared.notes.iter().for_each(|note| tracing::warn!("{note}"));
    // Before there is any thread but those of a token: each has the fence of the one that started it.
    let folders = Folders::of(config, &prepared.plan);
    fence.push(folders.close());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Name look-ups and files; a name server that hangs must not gather threads.
        .max_blocking_threads(8)
        .enable_all()
        .build()
        .map_err(Failure::System)?;
    let outcome = runtime.block_on(daemon(config.to_owned(), prepared, (folders, fence), clock, once));
    // A look-up that hangs must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Waits for a token that is away, below the time that systemd gives a start. An end after that wait comes rarely enough
/// not to meet the unit's limit of starts, so it is started again for as long as that takes.
fn prepare_when_there(config: &Path, clock: &Arc<dyn Clock>) -> Result<Prepared, Refused> {
    let give_up = clock.now().monotonic + AWAY_MAX;
    // Its sender lives as long: nothing ever comes but the deadline.
    let (_sender, nothing) = std::sync::mpsc::channel::<()>();
    let mut told = None;
    loop {
        match prepare_to_run(config, clock) {
            Err(Refused::Away(problems)) if clock.now().monotonic < give_up => {
                let problems = problems.to_string();
                if told.replace(problems.clone()).as_ref() != Some(&problems) {
                    tracing::error!("{problems}\nwaiting for it");
                }
                let _ = nothing.recv_timeout(AWAY_LOOK_EVERY);
                token::begin_anew();
            }
            prepared => return prepared,
        }
    }
}

async fn daemon(
    config: PathBuf,
    prepared: Prepared,
    fence: (Folders, Vec<Barrier>),
    clock: Arc<dyn Clock>,
    once: Option<Duration>,
) -> Result<(), Failure> {
    // First, so that a signal during the start is not missed.
    let mut ended_by = Signals::listen().map_err(Failure::System)?;
    reload::forget(&prepared.plan.state_dir);
    let mut asked = Asked::listen(&prepared.plan.state_dir).map_err(Failure::System)?;
    let mut running = Running::start(config, prepared, fence, clock).await?;
    systemd::ready();
    let mut over = std::pin::pin!(pause(once));
    let outcome = loop {
        tokio::select! {
            signal = ended_by.next() => { tracing::info!(signal, "stopping"); break Ok(()) }
            () = &mut over => { tracing::info!("the time of --once is over, stopping"); break Ok(()) }
            failure = running.failed() => break Err(failure),
            request = asked.next() => running.reloader.reload(&mut running.pollers, request).await,
        }
    };
    systemd::stopping();
    running.stop(outcome, if once.is_some() { ALL_WORDS } else { LAST_WORDS }).await
}

async fn pause(once: Option<Duration>) {
    match once {
        Some(once) => tokio::time::sleep(once).await,
        None => std::future::pending().await,
    }
}

/// Everything that is alive, by the order of its end.
struct Running {
    pollers: Pollers,
    reloader: Reloader,
    heart: Heart,
    link: (Stopper, Restarted),
    health: (Stopper, JoinHandle<std::io::Result<()>>),
    auditing: audit::Running,
    stopping: Arc<AtomicBool>,
}

impl Running {
    async fn start(
        config: PathBuf,
        prepared: Prepared,
        (folders, mut fence): (Folders, Vec<Barrier>),
        clock: Arc<dyn Clock>,
    ) -> Result<Running, Failure> {
        let Prepared { plan, files, instead_of, signer, bundles, tls, material, .. } = prepared;
        let started = clock.now();
        let pseudonyms = pseudonyms::keys(&plan.state_dir, &plan.export, &mut SystemEntropy::new());
        let pseudonyms = pseudonyms.map_err(Failure::Pseudonyms)?;
        let site = Arc::new(site(&plan, clock.clone()));
        let (buffer, recovery) = open_buffer(&plan.state_dir.join("buffer"), plan.buffer.settings.clone())?;
        // Only behind the lock: a second daemon by mistake must not take the socket away from the first.
        let health = match Health::bind(&plan.health).await {
            Ok(health) => health,
            Err(error) => {
                leave(buffer, &recovery, clock.now().utc);
                return Err(Failure::Health { address: plan.health, error });
            }
        };
        // Nothing listens from here on, and nobody outside was heard yet.
        fence.push(calls::close(calls::Whose::Process, folders.has_token()));
        fence::tell(&fence);
        let said = veto::read(&plan.state_dir);
        said.misunderstood
            .iter()
            .for_each(|why| tracing::error!("{why}, so nothing is sealed or sent until it is corrected or removed"));
        let rules = rules(&plan, &signer, &said, started.utc);
        let (fixed, placed) = (plan.fixed(), reload::as_placed(&plan));
        let settings = plan.devices.iter().map(|device| (device.name.clone(), device.settings_sha256)).collect();
        let devices: Vec<(DeviceName, Arc<dyn Device>)> =
            plan.devices.into_iter().map(|plan| (plan.name, Arc::from(plan.device))).collect();
        let origin = audit::origin(&plan.tenant, &plan.gateway);
        let setup = Setup {
            gateway: plan.gateway.clone(),
            tenant: plan.tenant.clone(),
            software: crate::software::name(),
            export: plan.export,
            devices: devices.iter().map(|(name, device)| (name.clone(), first_point(&**device))).collect(),
            rules,
            signer,
            bundle: bundles.current().cloned(),
            buffer,
            recovery,
            commit_every: plan.buffer.commit,
            window: WINDOW,
            entropy: Box::new(SystemEntropy::new()),
        };
        let runtime = tokio::runtime::Handle::current();
        let beginning = beginning(&plan.state_dir, origin, plan.sha256);
        let (audit, auditing) = audit::start(beginning, clock.clone()).map_err(Failure::System)?;
        let ear = Ear::new(audit.clone(), clock.now(), &setup.export, setup.bundle.as_ref());
        let mut heart = heart::start(setup, pseudonyms, clock.clone(), runtime, ear).map_err(Failure::System)?;
        audit.watch(heart.status.clone());
        // Before anything is read: what a veto forbids is not sealed for a moment.
        let veto = Message::Input(Input::Veto(Box::new(said.veto.clone())));
        heart.messages.try_send(veto).map_err(|_| Failure::Heart("it takes no message".to_owned()))?;
        let destroyed = heart.destroyed.take().expect("it was started just now");
        let vetoes = Vetoes::new(&plan.state_dir, Said { purges: Vec::new(), ..said }, destroyed);
        let offered = Offered::default();
        let certificate = Arc::new(AtomicI64::new(material.expires.0));
        let link = Link {
            gateway: plan.gateway.clone(),
            tenant: plan.tenant.clone(),
            brokers: plan.sandbox.brokers,
            takes_unread: plan.sandbox.ack == Ack::BrokerAlone,
            offered: offered.clone(),
            audit: audit.clone(),
            pulse: heart.pulse.clone(),
            tls,
            heart: heart.messages.clone(),
            receipts: heart.receipts.clone(),
            clock: clock.clone(),
            certificate_expires: certificate.clone(),
        };
        let (told, reloaded) = watch::channel(Arc::new(reload::started(&plan.sha256, started.utc, instead_of)));
        configuration::keep_or_warn(&plan.state_dir, plan.reload.last_good, &files);
        let reloader = Reloader {
            config,
            state_dir: plan.state_dir.clone(),
            fixed,
            placed,
            running: Arc::new(files),
            differing: Vec::new(),
            devices: settings,
            folders,
            told,
            audit: audit.clone(),
            clock: clock.clone(),
            heart: heart.messages.clone(),
        };
        let view = View {
            gateway: plan.gateway,
            tenant: plan.tenant,
            reloaded,
            started,
            clock: clock.clone(),
            beat: heart.beat.clone(),
            stopping: Arc::default(),
            certificate,
            status: heart.status.clone(),
            recent: Recent::started(started),
            history: History::default(),
            audit,
            fence: fence.into(),
            bundle_refused: inbox::Refused::default(),
        };
        let keeping = Keeping { state_dir: plan.state_dir, bundles, offered, vetoes };
        let link = start_link(link, keeping, &heart, &clock, &view);
        let mut pollers = Pollers::new(site, &heart, clock);
        for (name, device) in devices {
            let first = first_point(&*device);
            pollers.start(name, device, first, None);
        }
        let stopping = view.stopping.clone();
        tracing::info!(address = health.address(), "the health endpoint listens");
        let (stopper, told) = stop();
        let health = (stopper, tokio::spawn(health.serve(view, told)));
        Ok(Running { pollers, reloader, heart, link, health, auditing, stopping })
    }

    /// Something ended that must not end.
    async fn failed(&mut self) -> Failure {
        tokio::select! {
            end = &mut self.heart.end => heart_failure(end),
            ended = &mut self.health.1 => Failure::HealthLost(match ended {
                Ok(Ok(())) => "it ended".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            }),
        }
    }

    async fn stop(self, outcome: Result<(), Failure>, patience: Patience) -> Result<(), Failure> {
        let Running { pollers, reloader: _, mut heart, link, health, auditing, stopping } = self;
        stopping.store(true, Ordering::Relaxed);
        if pollers.stop_all(POLLERS_END).await > 0 {
            tracing::warn!("a device did not let go in time; its connection is cut");
        }
        let drained = match outcome {
            Err(Failure::Heart(_)) => Ok(None),
            _ => drain(&mut heart, patience).await.map(Some),
        };
        link.0.stop();
        link.1.ended(LINK_ENDS).await;
        health.0.stop();
        let mut serving = health.1;
        if !serving.is_finished() && tokio::time::timeout(HEALTH_ENDS, &mut serving).await.is_err() {
            serving.abort();
        }
        auditing.stop();
        outcome.and(drained.map(drop))
    }
}

/// Without its key the log is written all the same, and says so where health is asked.
fn beginning(state_dir: &Path, origin: String, config_sha256: [u8; 32]) -> audit::Beginning {
    let signer = keys::audit_key(state_dir, &origin);
    let signer =
        signer.map_err(|error| tracing::error!("the audit log has no key: {error}; run `lingate enroll`")).ok();
    let (config_sha256, software) = (crate::software::hex(&config_sha256), crate::software::name());
    audit::Beginning { state_dir: state_dir.to_owned(), origin, signer, config_sha256, software }
}

fn open_buffer(
    directory: &Path,
    settings: lingate_buffer::Settings,
) -> Result<(Buffer<RealDisk>, lingate_buffer::Recovery), Failure> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", directory.display());
    let disk = RealDisk::open(directory).map_err(|error| Failure::Buffer(at(&error)))?;
    let (buffer, recovery) = Buffer::open(disk, settings).map_err(|error| match error {
        BufferError::Newer(_) => Failure::Newer(at(&error)),
        _ => Failure::Buffer(at(&error)),
    })?;
    tracing::info!(
        clean = recovery.clean,
        records = recovery.records,
        torn_bytes = recovery.torn_bytes,
        "the buffer is open"
    );
    Ok((buffer, recovery))
}

/// As it was found: an end that was not clean is still to be declared by the next start, and a clean one is not to be
/// declared at all.
fn leave(buffer: Buffer<RealDisk>, found: &lingate_buffer::Recovery, utc: UtcMicros) {
    if found.clean
        && let Err(error) = buffer.close(utc)
    {
        tracing::warn!(%error, "the buffer's clean end could not be marked");
    }
}

/// A device without points is refused by the configuration.
fn first_point(device: &dyn Device) -> PointId {
    device.points().first().map_or(PointId(0), |point| point.id)
}

/// What the tasks beside the link keep.
struct Keeping {
    state_dir: PathBuf,
    bundles: inbox::Bundles,
    offered: Offered,
    vetoes: Vetoes,
}

fn rules(plan: &Plan, signer: &SigningKey, said: &Said, utc: UtcMicros) -> Rules {
    let veto = said.carried_out.clone();
    let quotas = reload::quotas(plan);
    Rules {
        plant: PlantTerms { suites: plan.sandbox.suites.clone(), signature: signer.algorithm(), veto },
        acknowledgement: match plan.sandbox.ack {
            Ack::Broker | Ack::BrokerAlone => Acknowledgement::Broker,
            Ack::Receipt => Acknowledgement::Receipt,
        },
        live_first: plan.live_first.clone(),
        replay: reload::replay(&plan.buffer),
        ledger: export_ledger::begin(&plan.state_dir, utc, &quotas),
        quotas,
    }
}

fn start_link(
    link: Link,
    keeping: Keeping,
    heart: &Heart,
    clock: &Arc<dyn Clock>,
    view: &View,
) -> (Stopper, Restarted) {
    let (stopper, told) = stop();
    let mut tasks = Restarted::new(told.clone());
    let stop = told.clone();
    tasks.spawn("link".to_owned(), move || link.clone().run(stop.clone()));
    let Keeping { state_dir, bundles, offered, vetoes } = keeping;
    let (bundles, stop) = (Arc::new(Mutex::new(bundles)), told.clone());
    let (messages, clock, refused) = (heart.messages.clone(), clock.clone(), view.bundle_refused.clone());
    tasks.spawn("keys".to_owned(), move || {
        let (bundles, offered, refused) = (bundles.clone(), offered.clone(), refused.clone());
        inbox::watch(bundles, offered, refused, messages.clone(), clock.clone(), stop.clone())
    });
    let (vetoes, messages, stop) = (Arc::new(Mutex::new(vetoes)), heart.messages.clone(), told.clone());
    tasks.spawn("veto".to_owned(), move || veto::watch(vetoes.clone(), messages.clone(), stop.clone()));
    let (asked, status) = (state_dir.clone(), heart.status.clone());
    let (messages, stop) = (heart.messages.clone(), told.clone());
    let ask = move || retry::keep_asking(asked.clone(), status.clone(), messages.clone(), stop.clone());
    tasks.spawn("retry".to_owned(), ask);
    let (status, messages, stop) = (heart.status.clone(), heart.messages.clone(), told.clone());
    let keep = move || export_ledger::keep(state_dir.clone(), status.clone(), messages.clone(), stop.clone());
    tasks.spawn("ledger".to_owned(), keep);
    let (recent, stop) = (view.clone(), told.clone());
    tasks.spawn("recent".to_owned(), move || Recent::watch(recent.clone(), stop.clone()));
    let pulse = heart.pulse.clone();
    tasks.spawn("watchdog".to_owned(), move || systemd::watchdog(pulse.clone(), told.clone()));
    (stopper, tasks)
}

/// Everything that was read is on disk when this returns `Ok`.
async fn drain(heart: &mut Heart, patience: Patience) -> Result<Remains, Failure> {
    let drained = async {
        if heart.messages.send(Message::Drain(patience)).await.is_err() {
            return Err(Failure::NotDrained);
        }
        match (&mut heart.end).await {
            Ok(End::Drained(finished, remains)) => {
                if let Err(error) = finished {
                    tracing::warn!(%error, "the buffer's clean end could not be marked; everything read is on disk");
                }
                Ok(remains)
            }
            end => Err(heart_failure(end)),
        }
    };
    tokio::time::timeout(DRAIN + patience.most, drained).await.unwrap_or(Err(Failure::NotDrained))
}

fn heart_failure(end: Result<End, oneshot::error::RecvError>) -> Failure {
    Failure::Heart(match end {
        Ok(End::Panicked(words)) => words,
        Ok(End::Drained(..)) => "it ended without being told".to_owned(),
        Err(_) => "it vanished".to_owned(),
    })
}
