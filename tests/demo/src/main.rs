//! One command that shows the line: simulated machines, the real gateway, a broker that goes away, and the sandbox that
//! opens what was meant for it. Needs nothing but what cargo built.

#![allow(clippy::disallowed_methods, reason = "a demo is played on the real clock")]

mod gateway;
mod machines;
mod process;
mod stage;
mod summary;
mod table;

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use lingate_checker::{Evidence, Least, Opened, ServedDevice, Values, judge};
use lingate_model::DeviceTime;
use lingate_plant::opcua::Machine;
use lingate_plant::{Checker, Plant};
use lingate_sandbox::{
    Authority, Broker, BrokerAddress, Event, InitOptions, KeyChange, Receiver, ReceiverConfig, ReceiverHandle,
};

use crate::gateway::Gateway;
use crate::summary::{Seen, Summary};
use crate::table::{Picture, Table};

/// A demo of ten seconds shows this much.
const LEAST: Least = Least { records: 20, faults: 1 };
/// As the Modbus machine is read.
const EVERY_MS: u64 = 100;

/// Simulated machines, the real gateway, and a sandbox that opens what was meant for it.
#[derive(Parser)]
#[command(name = "demo")]
struct Arguments {
    /// How long the gateway runs; the broker is away for a fifth of it, from 8 s to 30 s (less in a short demo)
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=86_400))]
    seconds: u64,
    /// Ends with one line of JSON
    #[arg(long)]
    json: bool,
    /// A new folder in which everything stays: state, configuration, the sandbox and what it received
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    if std::env::var_os(gateway::ROLE).is_some() {
        return lingate::cli::main();
    }
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.context("no runtime").and_then(|runtime| runtime.block_on(play(&arguments)));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that is on stage, in the order of its entrance.
struct Play {
    plant: Plant,
    machines: Vec<Machine>,
    broker: Broker,
    receiver: ReceiverHandle,
    gateway: Gateway,
    checker: Arc<Mutex<Checker>>,
}

async fn play(arguments: &Arguments) -> Result<bool> {
    let temporary = tempfile::Builder::new().prefix("lingate-demo-").tempdir()?;
    let folder = match &arguments.keep {
        Some(kept) => {
            fs::create_dir(kept).with_context(|| format!("--keep {}: a new folder is wanted", kept.display()))?;
            kept.canonicalize()?
        }
        None => temporary.path().to_owned(),
    };
    let mut play = enter(&folder, arguments.seconds).await?;
    let outage_s = act(&mut play, arguments).await?;
    let summary = curtain(play, &folder, outage_s).await?;
    summary.print();
    if arguments.json {
        println!("{}", serde_json::to_string(&summary)?);
    }
    Ok(summary.holds())
}

async fn enter(folder: &Path, seconds: u64) -> Result<Play> {
    let plant = Plant::start(stage::specs()).await?;
    let state = folder.join("state/devices");
    let machines = tokio::task::spawn_blocking(move || machines::start(&state));
    let mut authority = Authority::init(&folder.join("sandbox"), &InitOptions::default())?;
    let broker = Broker::start(&authority, (Ipv4Addr::LOCALHOST, 0).into()).await?;
    let checker = Checker::new(stage::specs(), stage::is_as_served);
    let checker = Arc::new(Mutex::new(checker.with_machines(stage::machine_specs(), stage::is_as_told)));
    let receiver = Receiver::start(ReceiverConfig {
        authority: authority.folder().to_owned(),
        role: stage::ROLE.to_owned(),
        broker: BrokerAddress { host: "localhost".to_owned(), port: broker.address().port() },
        store: format!("sqlite:{}", folder.join("sandbox.sqlite").display()),
        sink: Some(feed(checker.clone())),
    })?;
    let addresses = stage::Addresses { broker_port: broker.address().port(), health: gateway::free_port()? };
    let machines = machines.await??;
    let configuration = stage::configuration((&plant, &machines), folder, &addresses, &authority.root_sha256()?);
    fs::write(folder.join("lingate.toml"), configuration)?;
    let issued = authority.issue(&gateway::enroll(folder)?, KeyChange::Refuse)?;
    fs::write(folder.join("gateway.pem"), &issued.chain_pem)?;
    fs::write(folder.join("sandbox-ca.pem"), authority.ca_pem())?;
    fs::write(folder.join("state/root.json"), authority.root_json()?)?;
    fs::create_dir_all(folder.join("state/inbox"))?;
    fs::write(folder.join("state/inbox/bundle.jws.json"), &issued.bundle)?;
    let gateway = Gateway::start(folder, addresses.health, seconds)?;
    println!("lingate demo: two machines by OPC UA, encrypted and signed, and one by Modbus;");
    println!("  one gateway, one sandbox, mutual TLS between them");
    println!("  health page of the gateway: http://{}/ (while the demo runs)\n", addresses.health);
    Ok(Play { plant, machines, broker, receiver, gateway, checker })
}

fn feed(checker: Arc<Mutex<Checker>>) -> lingate_sandbox::Sink {
    Box::new(move |events| {
        let mut checker = checker.lock().expect("no holder of the lock panics");
        for event in events {
            if let Event::Batch(batch) = event {
                checker.take(
                    batch
                        .readings
                        .iter()
                        .map(|it| (&*it.point, it.source_time.map_or(it.time, DeviceTime::utc), it.value.as_ref())),
                );
            }
        }
    })
}

/// Runs until the gateway ends by itself. Gives the length of the outage.
async fn act(play: &mut Play, arguments: &Arguments) -> Result<f64> {
    let started = Instant::now();
    let length = (arguments.seconds as f64 / 5.0).clamp(8.0_f64.min(arguments.seconds as f64 / 4.0), 30.0).ceil();
    let from = arguments.seconds as f64 * 0.4;
    let mut table = Table::new(arguments.json);
    let (mut down_since, mut outage_s) = (None, 0.0);
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let elapsed = started.elapsed().as_secs_f64();
        if down_since.is_none() && outage_s == 0.0 && elapsed >= from {
            play.broker.stop().await;
            down_since = Some(Instant::now());
        }
        if let Some(since) = down_since.filter(|since| since.elapsed().as_secs_f64() >= length) {
            play.broker.start_again().await?;
            outage_s = since.elapsed().as_secs_f64();
            down_since = None;
        }
        play.gateway.look();
        if play.receiver.has_failed() {
            bail!("the receiver's store failed");
        }
        let sandbox = play.receiver.live()?;
        table.draw(&Picture {
            second: (elapsed as u64).min(arguments.seconds),
            seconds: arguments.seconds,
            broker_down_s: down_since.map(|since| since.elapsed().as_secs_f64()),
            status: &play.gateway.status,
            sandbox: &sandbox,
            checker: &play.checker.lock().expect("no holder of the lock panics"),
        });
        match play.gateway.ended()? {
            Some(status) if status.success() => {
                table.clear();
                return Ok(outage_s);
            }
            Some(status) => bail!("the gateway ended with {status}:\n{}", play.gateway.last_words()),
            None if elapsed > arguments.seconds as f64 + 60.0 => bail!("the gateway does not end"),
            None => {}
        }
    }
}

/// The receiver may still be writing what the broker handed on: it is done when it holds every accepted record.
async fn curtain(play: Play, folder: &Path, outage_s: f64) -> Result<Summary> {
    let durable = play.gateway.durable()?;
    for _ in 0..50 {
        if durable.records.is_subset(&play.receiver.identities()?) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let report = play.receiver.report()?;
    let tap = play.broker.tap().counts();
    play.receiver.stop().await?;
    let mut checker = play.checker.lock().expect("no holder of the lock panics");
    checker.finish();
    let told = play.machines.iter().map(|machine| checker.changes_told(&machine.spec().name)).sum();
    let values = Values { checked: checker.checked, bad: checker.bad, wrong: checker.wrong };
    let evidence = Evidence {
        run: "demo".to_owned(),
        served: play.plant.devices().iter().map(|device| ServedDevice::of(device, EVERY_MS)).collect(),
        told,
        durable,
        opened: Opened::read(&folder.join("sandbox.sqlite"), &[])?,
        values: Some(values),
        faults: vec!["broker-away".to_owned()],
        least: LEAST,
        ..Evidence::default()
    };
    let verdict = judge(&evidence);
    Ok(Summary::of(&Seen { verdict: &verdict, report: &report, tap, usage: play.gateway.usage, outage_s }))
}
