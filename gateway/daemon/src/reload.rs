//! Another configuration without a restart: SIGHUP, or `lingate reload`.
//!
//! ```text
//!  read and checked ──▶ compared ──▶ changed devices stop ──▶ the engine takes it ──▶ new and changed devices start
//!        │ wrong             │ needs a restart                                    (the others never notice)
//!        └──────▶ refused ◀──┘   what was in force stays, as a whole
//! ```
//!
//! A device is left alone if everything that its driver reads is the same. One that subscribes gives its first values to a
//! new session only, so it is also read anew when a point of it begins to leave or to be watched by a condition.

mod ask;
mod difference;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lingate_audit::{Event, Kind};
use lingate_config::{DevicePlan, Plan, SourceFile, load_files};
use lingate_drivers::{Acquisition, Device};
use lingate_engine::{NewPlan, Placed, Quota, Replay};
use lingate_model::{Clock, DatasetId, DeviceName, PointId, UtcMicros};
use lingate_refine::{ExportPlan, PointPlan, Step};
use tokio::sync::{mpsc, oneshot, watch};

use crate::audit::Audit;
use crate::configuration;
use crate::entropy::SystemEntropy;
use crate::fence::folders::Folders;
use crate::heart::Message;
use crate::pollers::Pollers;
use crate::prepare::Refused;
use crate::pseudonyms;

pub(crate) use ask::{Asked, answer, ask, forget};
pub(crate) use difference::difference;
pub(crate) use report::{Outcome, ReloadReport};

const POLLERS_END: Duration = Duration::from_secs(5);
const ENGINE_TAKES: Duration = Duration::from_secs(60);
const PROBLEMS_SHOWN: usize = 20;
const PROBLEM_MAX: usize = 512;

/// What runs, as far as another configuration is compared with it.
pub(crate) struct Reloader {
    pub(crate) config: PathBuf,
    pub(crate) state_dir: PathBuf,
    pub(crate) fixed: Vec<(&'static str, String)>,
    pub(crate) placed: Placed,
    /// The files that are in force, to tell what differs in others. They name points, so they stay in memory.
    pub(crate) running: Arc<Vec<SourceFile>>,
    /// What the files that were read last would change.
    pub(crate) differing: Vec<String>,
    /// What each device's driver was told.
    pub(crate) devices: BTreeMap<DeviceName, [u8; 32]>,
    /// What the process may open.
    pub(crate) folders: Folders,
    pub(crate) told: watch::Sender<Arc<ReloadReport>>,
    pub(crate) audit: Audit,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) heart: mpsc::Sender<Message>,
}

/// Why everything stays as it is, one sentence each.
struct Refusal(Vec<String>);

/// What came into force.
struct Applied {
    sha256: String,
    changes: Vec<String>,
    restarted: Vec<String>,
}

/// Files that are good by themselves.
struct Read {
    plan: Plan,
    files: Vec<SourceFile>,
    changes: Vec<String>,
}

impl Reloader {
    /// Reads the files anew, and tells log, audit log, status and whoever asked what became of it.
    pub(crate) async fn reload(&mut self, pollers: &mut Pollers, request: Option<String>) {
        self.differing.clear();
        let outcome = self.take(pollers).await;
        let now = self.clock.now().utc;
        let before = self.told.borrow().clone();
        let mut report = ReloadReport { at: crate::tls::show_time(now), request, ..(*before).clone() };
        match outcome {
            Ok(Applied { sha256, changes, restarted }) => {
                let is_same = changes.is_empty() && sha256 == before.configuration_sha256;
                report.outcome = if is_same { Outcome::Unchanged } else { Outcome::Applied };
                report.applied += 1;
                report.succeeded_at = now.0 / 1_000_000;
                (report.configuration_sha256, report.changes, report.restarted) = (sha256, changes, restarted);
                report.problems = Vec::new();
            }
            Err(Refusal(problems)) => {
                report.outcome = Outcome::Refused;
                report.refused += 1;
                (report.changes, report.restarted) = (std::mem::take(&mut self.differing), Vec::new());
                report.problems = problems;
            }
        }
        self.tell(&report);
    }

    fn tell(&self, report: &ReloadReport) {
        let event = Event::new(Kind::ConfigChanged).text("to", &report.configuration_sha256);
        match report.outcome {
            Outcome::Refused => {
                let why = report.problems.join("; ");
                tracing::error!("the new configuration is refused, and what was in force stays: {why}");
                let event = Event::new(Kind::ConfigChanged).text("outcome", "refused").text("why", why);
                self.audit.tell(self.clock.now().utc, event);
            }
            Outcome::Unchanged => tracing::info!("the configuration says what is in force already"),
            _ => {
                report.changes.iter().for_each(|change| tracing::info!("configuration: {change}"));
                let restarted = report.restarted.len();
                tracing::info!(restarted, sha256 = report.configuration_sha256, "the new configuration is in force");
                let event = event.text("outcome", "applied").count("devices", restarted as u64);
                self.audit.tell(self.clock.now().utc, event.count("changes", report.changes.len() as u64));
            }
        }
        // First, so that whoever has the answer finds it in the status.
        self.told.send_replace(Arc::new(report.clone()));
        if let Err(error) = ask::tell(&self.state_dir, report) {
            tracing::warn!(%error, "whoever asked for the reload cannot be answered");
        }
    }

    async fn take(&mut self, pollers: &mut Pollers) -> Result<Applied, Refusal> {
        let (config, running) = (self.config.clone(), self.running.clone());
        let reading = tokio::task::spawn_blocking(move || Read::of(&config, &running)).await;
        let Read { plan, files, changes } =
            reading.unwrap_or_else(|panic| Err(Refusal(vec![format!("a defect: {panic}")])))?;
        self.differing.clone_from(&changes);
        self.refuse_what_needs_a_restart(&plan)?;
        let sha256 = crate::software::hex(&plan.sha256);
        let (written, last_good) = (as_placed(&plan), plan.reload.last_good);
        let (devices, new) = self.plan(plan, &written)?;
        let restarted = self.restarted(&devices, &new.1);
        let (new, placed) = new;
        let stopping: Vec<DeviceName> = self.stopping(&devices, &restarted);
        if pollers.stop(&stopping, POLLERS_END).await > 0 {
            tracing::warn!("a device did not let go in time; its connection is cut");
        }
        let stopped = self.clock.now();
        self.hand_over(new).await?;
        let firsts: BTreeMap<DeviceName, PointId> = placed.devices.iter().map(|it| (it.0.clone(), it.1)).collect();
        let known: BTreeSet<DeviceName> = stopping.iter().cloned().collect();
        let settings = devices.iter().map(|device| (device.name.clone(), device.settings_sha256)).collect();
        for DevicePlan { name, device, .. } in devices.into_iter().filter(|device| restarted.contains(&device.name)) {
            let (first, since) = (firsts[&name], known.contains(&name).then_some(stopped));
            pollers.start(name, Arc::from(device), first, since);
        }
        (self.placed, self.devices) = (placed, settings);
        self.running = Arc::new(files);
        keep(&self.state_dir, last_good, self.running.clone()).await;
        let gone = stopping.iter().filter(|name| !self.devices.contains_key(*name));
        let restarted = restarted.iter().chain(gone).map(ToString::to_string).collect();
        Ok(Applied { sha256, changes, restarted })
    }

    fn refuse_what_needs_a_restart(&self, plan: &Plan) -> Result<(), Refusal> {
        let fixed = plan.fixed();
        let changed = self.fixed.iter().zip(&fixed).filter(|(old, new)| old != new);
        let fixed = changed.map(|((setting, _), _)| {
            format!("{setting} cannot change while the gateway runs: restart it, or take this back")
        });
        let missing = self.folders.missing(&Folders::of(&self.config, plan)).into_iter();
        let outside = missing.map(|folder| {
            let folder = folder.display();
            format!("{folder} was not named when the gateway started, so it cannot be opened any more: restart it")
        });
        let problems: Vec<String> = fixed.chain(outside).collect();
        if problems.is_empty() { Ok(()) } else { Err(Refusal(problems)) }
    }

    fn plan(&self, plan: Plan, written: &Placed) -> Result<(Vec<DevicePlan>, (NewPlan, Placed)), Refusal> {
        let placed = self.placed.place(written);
        let pseudonyms = pseudonyms::keys(&self.state_dir, &placed.export, &mut SystemEntropy::new());
        let new = NewPlan {
            export: placed.export.clone(),
            retired: placed.retired.clone(),
            devices: placed.devices.iter().map(|(name, first, _)| (name.clone(), *first)).collect(),
            quotas: quotas(&plan),
            live_first: plan.live_first,
            replay: replay(&plan.buffer),
            commit_every: plan.buffer.commit,
            pseudonyms: pseudonyms.map_err(|why| Refusal(vec![why]))?,
        };
        Ok((plan.devices, (new, placed)))
    }

    /// Devices that are new, or are to be read anew.
    fn restarted(&self, devices: &[DevicePlan], placed: &Placed) -> BTreeSet<DeviceName> {
        let asks = Asking::of(&self.placed.export, &placed.export);
        let places: BTreeMap<&DeviceName, PointId> =
            placed.devices.iter().map(|(name, first, _)| (name, *first)).collect();
        let is_new = |device: &&DevicePlan| {
            let is_same = self.devices.get(&device.name) == Some(&device.settings_sha256);
            !is_same || asks.a_new_session(&*device.device, places[&device.name])
        };
        devices.iter().filter(is_new).map(|device| device.name.clone()).collect()
    }

    /// Devices that are gone, or are to be read anew.
    fn stopping(&self, devices: &[DevicePlan], restarted: &BTreeSet<DeviceName>) -> Vec<DeviceName> {
        let stays = |name: &DeviceName| devices.iter().any(|device| device.name == *name) && !restarted.contains(name);
        let staying: BTreeSet<&DeviceName> =
            devices.iter().map(|device| &device.name).filter(|name| stays(name)).collect();
        self.devices.keys().filter(|name| !staying.contains(name)).cloned().collect()
    }

    async fn hand_over(&self, plan: NewPlan) -> Result<(), Refusal> {
        let (done, taken) = oneshot::channel();
        let message = Message::Reload { plan: Box::new(plan), done };
        let handing = async { self.heart.send(message).await.is_ok() && taken.await.is_ok() };
        match tokio::time::timeout(ENGINE_TAKES, handing).await {
            Ok(true) => Ok(()),
            _ => Err(Refusal(vec![
                "the engine does not take it: the devices that changed are not read until a restart".to_owned(),
            ])),
        }
    }
}

impl Read {
    fn of(config: &Path, running: &[SourceFile]) -> Result<Read, Refusal> {
        let files = configuration::read(config).map_err(|error| refusal(config, &Refused::Unreadable(error)))?;
        let plan = load_files(&files).map_err(|problems| refusal(config, &Refused::Problems(problems)))?;
        let changes = difference(running, &files);
        Ok(Read { plan, files, changes })
    }
}

fn refusal(config: &Path, refused: &Refused) -> Refusal {
    match refused {
        Refused::Unreadable(error) => Refusal(vec![format!("{} cannot be read: {error}", config.display())]),
        Refused::Problems(found) | Refused::Away(found) => {
            let mut lines: Vec<String> =
                found.problems.iter().take(PROBLEMS_SHOWN).map(|it| cut(&it.in_line())).collect();
            let more = found.count().saturating_sub(lines.len());
            lines.extend((more > 0).then(|| format!("and {more} more problems: `lingate check` shows all of them")));
            Refusal(lines)
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(PROBLEM_MAX).collect()
}

/// For the status of a process that begins. `instead_of`: why the files that were asked for are not in force.
pub(crate) fn started(sha256: &[u8; 32], utc: UtcMicros, instead_of: Vec<String>) -> ReloadReport {
    ReloadReport {
        outcome: if instead_of.is_empty() { Outcome::Started } else { Outcome::LastGood },
        at: crate::tls::show_time(utc),
        configuration_sha256: crate::software::hex(sha256),
        problems: instead_of,
        succeeded_at: utc.0 / 1_000_000,
        ..ReloadReport::default()
    }
}

/// Nothing was ever loaded anew: for tests of what shows it.
pub(crate) fn untold() -> watch::Receiver<Arc<ReloadReport>> {
    watch::channel(Arc::new(started(&[0xAB; 32], UtcMicros(0), Vec::new()))).1
}

/// The problems of files, one line each, as many as a status shows.
pub(crate) fn in_lines(config: &Path, refused: &Refused) -> Vec<String> {
    refusal(config, refused).0
}

async fn keep(state_dir: &Path, last_good: bool, files: Arc<Vec<SourceFile>>) {
    let state_dir = state_dir.to_owned();
    let kept = tokio::task::spawn_blocking(move || configuration::keep_or_warn(&state_dir, last_good, &files)).await;
    kept.expect("writing files does not panic");
}

/// With the numbers of its files.
pub(crate) fn as_placed(plan: &Plan) -> Placed {
    let place = |device: &DevicePlan| {
        let points = device.device.points();
        (device.name.clone(), points.first().map_or(PointId(0), |point| point.id), points.len())
    };
    Placed::as_written(plan.export.clone(), plan.devices.iter().map(place).collect())
}

pub(crate) fn quotas(plan: &Plan) -> BTreeMap<DatasetId, Quota> {
    let quota = |(id, quota): (&DatasetId, &lingate_config::Quota)| {
        (id.clone(), Quota { records: quota.records, bytes: quota.bytes })
    };
    plan.quotas.iter().map(quota).collect()
}

pub(crate) fn replay(buffer: &lingate_config::BufferPlan) -> Replay {
    Replay { backlog_share: buffer.replay.backlog_share, backlog_rate: buffer.replay.backlog_rate }
}

/// Which points somebody wants to hear of who did not before.
struct Asking<'a> {
    before: &'a ExportPlan,
    after: &'a ExportPlan,
    watched: BTreeSet<PointId>,
}

impl<'a> Asking<'a> {
    fn of(before: &'a ExportPlan, after: &'a ExportPlan) -> Asking<'a> {
        let watched = &watched(after) - &watched(before);
        Asking { before, after, watched }
    }

    fn a_new_session(&self, device: &dyn Device, first: PointId) -> bool {
        let subscribed = device.points().iter().zip(first.0..).filter(|it| it.0.acquisition == Acquisition::Subscribed);
        subscribed
            .map(|(_, number)| PointId(number))
            .any(|point| self.watched.contains(&point) || self.leaves_anew(point))
    }

    /// For another dataset, or as its context.
    fn leaves_anew(&self, point: PointId) -> bool {
        let told = |plan: &ExportPlan| {
            let export = plan.points.get(point.index()).and_then(|point: &Arc<PointPlan>| point.export.clone())?;
            Some((export.dataset, export.context))
        };
        let after = told(self.after);
        after.is_some() && after != told(self.before)
    }
}

fn watched(plan: &ExportPlan) -> BTreeSet<PointId> {
    let steps = plan.points.iter().filter_map(|point| point.export.as_ref()).flat_map(|export| &export.steps);
    let conditions = steps.filter_map(|step| match step {
        Step::OnlyWhen(conditions) => Some(conditions),
        _ => None,
    });
    conditions.flatten().map(|condition| condition.point).collect()
}
