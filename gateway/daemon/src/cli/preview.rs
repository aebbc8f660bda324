use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use lingate_drivers::Site;
use lingate_model::Clock;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::exit::{Code, Failed, is_free};
use crate::clock::SystemClock;
use crate::files;
use crate::grid::Manner;
use crate::language::Shown;
use crate::policy::basis::{Basis, Sources};
use crate::policy::{Measured, Policy};
use crate::preview::copy::Copy;
use crate::preview::page::page;
use crate::preview::table::table;
use crate::preview::{self, Reader};

/// Every reading is looked at by every point's steps.
const POINTS_MAX: usize = 5_000;

#[derive(Args)]
pub(crate) struct Preview {
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// How long the devices are read; Ctrl-C or SIGTERM ends earlier and shows what there is
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// A page with plots, for its owner alone (mode 0600): it shows process values
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Replaces the page if it is there
    #[arg(long, requires = "html")]
    force: bool,
    /// For programs; `lingate plan --measured` reads it
    #[arg(long)]
    json: bool,
    /// Of the table, and what the page shows first
    #[arg(long, value_name = "en|zh|both", default_value = "en")]
    language: Shown,
}

impl Preview {
    pub(crate) fn run(self) -> Result<ExitCode, Failed> {
        // Before anybody waits for the devices.
        self.html.as_deref().map_or(Ok(()), |file| is_free(file, self.force))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let sources = Sources { config: self.config.clone(), ..Sources::default() };
        let now = clock.now().utc;
        let basis = Basis::find(&sources, now, now)?;
        let policy = Policy::of(&basis, &Measured::default());
        let plan = basis.plan;
        if plan.export.points.len() > POINTS_MAX {
            let what = format!(
                "{} names {} points, a preview reads {POINTS_MAX} at most: copy the devices of interest into a file of their own",
                self.config.display(),
                plan.export.points.len()
            );
            return Err(Failed::new(Code::Configuration, what));
        }
        let devices = plan.state_dir.join("devices");
        let preview = run(async {
            // Before keys are copied: no signal may leave them behind.
            let told_to_end = Signals::listen()?;
            let copy = Copy::of(&devices).map_err(|error| Failed::io("copy", &devices, &error))?;
            let site = Site { folder: copy.folder().to_owned(), ..crate::prepare::site(&plan, clock) };
            let read = preview::read(plan, policy, site, self.seconds, told_to_end.any(), progress(self.seconds)).await;
            drop(copy);
            Ok(read)
        })??;
        end_progress();
        self.show(&preview)?;
        match preview.readings().0 {
            0 => Err(Failed::new(Code::Unavailable, format!("nothing was read{}", reasons(&preview)))),
            _ => Ok(ExitCode::SUCCESS),
        }
    }

    fn show(&self, preview: &preview::Preview) -> Result<(), Failed> {
        if let Some(file) = &self.html {
            write(file, &page(preview, self.language), self.force)?;
            eprintln!("{} is written, readable for you alone: it shows process values", file.display());
        }
        if preview
            .devices
            .iter()
            .filter_map(|device| device.reason.as_ref())
            .any(|why| why.contains("lingate trust add"))
        {
            eprintln!(
                "a preview keeps no certificate: `lingate browse --config FILE --device NAME` brings it to `lingate trust list`"
            );
        }
        match self.json {
            true => println!("{}", serde_json::to_string_pretty(preview).expect("texts and numbers")),
            false => print!("{}", table(preview, self.language.language(), Manner::of_output())),
        }
        Ok(())
    }
}

fn run<T>(reading: impl Future<Output = T>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failed::new(Code::Internal, format!("no runtime: {error}")))?;
    let read = runtime.block_on(reading);
    // A look-up that hangs must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    Ok(read)
}

/// What ends a program: a person at the keyboard, a service manager, a terminal that is closed.
struct Signals(Vec<Signal>);

impl Signals {
    fn listen() -> Result<Signals, Failed> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let listened = kinds.into_iter().map(signal).collect::<io::Result<_>>();
        listened.map(Signals).map_err(|error| Failed::new(Code::Internal, format!("no signals: {error}")))
    }

    async fn any(mut self) {
        std::future::poll_fn(|context| {
            let is_told = self.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if is_told { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}

/// On a terminal one line that is drawn again; elsewhere nothing.
fn progress(seconds: u64) -> impl FnMut(&Reader, f64) {
    let is_terminal = io::stderr().is_terminal();
    move |reader, passed| {
        if !is_terminal {
            return;
        }
        let connected = reader.devices.iter().filter(|device| device.connected).count();
        let readings: u64 = reader.points.iter().map(|point| point.raw.count).sum();
        let left: u64 = reader.points.iter().map(|point| point.left.count).sum();
        let _ = write!(
            io::stderr(),
            "\r\x1b[2K{passed:.0} of {seconds} s, {connected} of {} devices, {readings} readings, {left} would leave",
            reader.devices.len()
        );
        let _ = io::stderr().flush();
    }
}

fn end_progress() {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[2K");
    }
}

fn reasons(preview: &preview::Preview) -> String {
    let told = preview.devices.iter().filter_map(|device| Some((device.name.as_str(), device.reason.as_deref()?)));
    let told: Vec<String> = told.map(|(name, reason)| format!("{name}: {reason}")).collect();
    if told.is_empty() { String::new() } else { format!("; {}", told.join("; ")) }
}

/// Mode 0600 from its first byte on.
fn write(file: &Path, text: &str, force: bool) -> Result<(), Failed> {
    let written = match force {
        true => files::replace_all(&[(file.to_owned(), text.as_bytes())]),
        false => files::create_secret(file, text.as_bytes()),
    };
    written.map_err(|error| Failed::io("write", file, &error))
}
