//! `lingate-plant`: simulated machines to point a gateway at.

mod machines;
mod sample_machines;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use lingate_plant::{DeviceSpec, Kind, Labels, Mode, PlantDevice, device_toml};

/// Simulates machines that speak Modbus TCP - a fab chiller, a bioreactor, an extruder - or OPC UA - an etch tool, a
/// bioreactor, an extruder, one variable of every type.
///
/// Every value is a pure function of device, tag and a counter that stands in the same block of registers or follows from
/// the source timestamp, so that whatever arrives at the other end can be checked. Nothing can be written to these
/// machines.
#[derive(Parser)]
#[command(name = "lingate-plant", version, after_help = EXAMPLES)]
struct Arguments {
    /// Address of the first device; each further one has the next port. Port 0: any free port for each.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5020")]
    listen: SocketAddr,

    /// A machine: chiller, bioreactor, extruder or numbered:COUNT, with a name in front if wanted. Repeat for more;
    /// without this, one of each machine.
    #[arg(long = "device", value_name = "[NAME=]KIND")]
    devices: Vec<String>,

    /// A machine that speaks OPC UA: etch-tool, bioreactor, extruder, types or numbered:COUNT, with a name in front if
    /// wanted. Repeat for more.
    #[arg(long = "opcua", value_name = "[NAME=]KIND")]
    machines: Vec<String>,

    /// All machines of a sector sample of config/examples: fab, bioreactor-train or extruder-line
    #[arg(long, value_name = "NAME", conflicts_with_all = ["devices", "machines", "self_describing"])]
    sample: Option<String>,

    /// Name for the serial line of a sample
    #[arg(long, value_name = "PATH", default_value = "serial-line.tty")]
    serial: PathBuf,

    /// Address of the first machine that speaks OPC UA; each further one has the next port.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4840")]
    opcua_listen: SocketAddr,

    /// OPC UA with Basic256Sha256, Aes128_Sha256_RsaOaep and Aes256_Sha256_RsaPss only, instead of without security. Every
    /// client's certificate is accepted.
    #[arg(long)]
    secure: bool,

    /// Between two values of a machine that speaks OPC UA, in milliseconds.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    tick_ms: u64,

    /// Modbus unit id of every device.
    #[arg(long, default_value_t = 1)]
    unit: u8,

    /// Serve u32 values that carry a hash of device and tag and the serve counter, instead of instruments.
    #[arg(long)]
    self_describing: bool,

    /// Print the [[device]] tables for lingate.toml and end.
    #[arg(long)]
    print_config: bool,

    /// Dataset in the printed tables.
    #[arg(long, default_value = "ds-extr-07")]
    dataset: String,

    /// Poll interval in the printed tables.
    #[arg(long, default_value = "500ms")]
    every: String,
}

const EXAMPLES: &str = "\
Examples:
  lingate-plant
  lingate-plant --device extruder-7=extruder --device chiller --listen 127.0.0.1:5020
  lingate-plant --device extruder-7=extruder --print-config >> lingate.toml
  lingate-plant --device load=numbered:500 --self-describing
  lingate-plant --opcua etch-4=etch-tool --opcua bioreactor --secure
  lingate-plant --sample fab
  lingate-plant --sample fab --print-config > lingate.toml";

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lingate-plant: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(name) = &arguments.sample {
        return sample_machines::run(name, arguments).await;
    }
    let specs = specs(arguments)?;
    let addresses = addresses(arguments.listen, specs.len())?;
    let machines = machines::Machines::parse(arguments)?;
    if arguments.print_config {
        ensure!(arguments.listen.port() != 0, "--print-config needs the port that --listen will have, not 0");
        let labels = Labels { every: &arguments.every, ..Labels::new(&arguments.dataset) };
        let mut tables: Vec<_> = specs.iter().zip(addresses).map(|(spec, at)| device_toml(spec, at, &labels)).collect();
        tables.extend(machines.toml(&arguments.dataset, &arguments.every));
        print!("{}", tables.join("\n"));
        return Ok(());
    }
    let mut devices = Vec::new();
    for (spec, address) in specs.into_iter().zip(addresses) {
        let device =
            PlantDevice::start_at(spec, address).await.with_context(|| format!("cannot listen on {address}"))?;
        let (name, tags) = (&device.spec().name, device.spec().tags().len());
        eprintln!("{name}: {tags} tags on {}, unit {}", device.address(), device.spec().unit);
        devices.push(device);
    }
    let machines = machines.start().await?;
    eprintln!("Ctrl-C ends");
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")?;
    for device in &devices {
        let served = device.served();
        let (name, polls) = (&device.spec().name, served.polls());
        eprintln!("{name}: {polls} polls, {} values, functions {:?}", served.slots, served.functions);
    }
    for machine in &machines {
        let (ticks, history) = machine.written();
        let (name, most) = (&machine.spec().name, machine.sessions().1);
        eprintln!("{name}: {ticks} ticks, {history} values of history, at most {most} sessions at once");
    }
    Ok(())
}

fn specs(arguments: &Arguments) -> anyhow::Result<Vec<DeviceSpec>> {
    let mode = if arguments.self_describing { Mode::SelfDescribing } else { Mode::Instrument };
    let named = |text: &str| -> anyhow::Result<DeviceSpec> {
        let (name, kind) = text.split_once('=').map_or((None, text), |(name, kind)| (Some(name), kind));
        let kind = parse_kind(kind)?;
        let name = name.map_or_else(|| format!("{}-1", kind.name()), str::to_owned);
        let mut spec = DeviceSpec::new(name, kind, mode);
        spec.unit = arguments.unit;
        Ok(spec)
    };
    let each: Vec<String> = Kind::MACHINES.iter().map(|kind| kind.name().to_owned()).collect();
    let is_nothing_named = arguments.devices.is_empty() && arguments.machines.is_empty();
    let wanted = if is_nothing_named { &each } else { &arguments.devices };
    let specs = wanted.iter().map(|text| named(text)).collect::<anyhow::Result<Vec<_>>>()?;
    for (index, spec) in specs.iter().enumerate() {
        let is_taken = specs[..index].iter().any(|other| other.name == spec.name);
        ensure!(
            !is_taken,
            "two devices are called {:?}; give them names: --device NAME={}",
            spec.name,
            spec.kind().name()
        );
    }
    Ok(specs)
}

fn parse_kind(text: &str) -> anyhow::Result<Kind> {
    if let Some(kind) = Kind::MACHINES.into_iter().chain(Kind::UTILITIES).find(|kind| kind.name() == text) {
        return Ok(kind);
    }
    match text.strip_prefix("numbered:").map(str::parse) {
        Some(Ok(count @ 1..=9_999)) => Ok(Kind::Numbered(count)),
        _ => bail!(
            "{text:?} is no machine; there are chiller, bioreactor, extruder, vacuum-pump, abatement, feeder, energy-meter and numbered:1 to numbered:9999"
        ),
    }
}

fn addresses(first: SocketAddr, count: usize) -> anyhow::Result<Vec<SocketAddr>> {
    let port = |index: usize| match first.port() {
        0 => Some(0),
        port => port.checked_add(u16::try_from(index).ok()?),
    };
    let address = |index| port(index).map(|port| SocketAddr::new(first.ip(), port));
    (0..count).map(address).collect::<Option<_>>().context("there are not enough ports behind --listen")
}
