//! `lingate-sandbox`: init, issue, receive, report.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};

use lingate_sandbox::{
    Authority, BrokerAddress, InitOptions, KeyChange, Receiver, ReceiverConfig, ReceiverHandle, Store,
};

/// The other side of lingate: certificate authority, keys and receiver of a reference sandbox.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a certificate authority, root and role keys, a policy and a mosquitto configuration
    Init(Init),
    /// Sign certificate and bundle for a gateway's enrolment file
    Issue(Issue),
    /// Verify, open and store what gateways publish
    Receive(Receive),
    /// Completeness per dataset: received, duplicates, holes, gaps, order
    Report(ReportArgs),
}

#[derive(Args)]
struct Init {
    /// Where; must not exist yet, or be empty
    dir: PathBuf,
    #[arg(long, default_value = "sandbox.example")]
    sandbox_id: String,
    /// Name under which gateways reach the broker; repeat for more
    #[arg(long = "broker-name", default_value = "localhost")]
    broker_names: Vec<String>,
    #[arg(long, default_value_t = 8883)]
    port: u16,
    /// Move an existing DIR aside, with all keys in it, and begin anew
    #[arg(long)]
    force: bool,
}

#[derive(Args)]
struct Issue {
    dir: PathBuf,
    /// What `lingate enroll` wrote
    enroll: PathBuf,
    /// The plant has confirmed that this known gateway has a new signing key
    #[arg(long)]
    new_key: bool,
}

#[derive(Args)]
struct Receive {
    dir: PathBuf,
    #[arg(long, default_value = "role:oem-quality")]
    role: String,
    /// mqtts://HOST:PORT
    #[arg(long)]
    broker: String,
    /// sqlite:FILE
    #[arg(long)]
    store: String,
    /// End after so many seconds
    #[arg(long = "for", value_name = "SECONDS", conflicts_with = "until_idle")]
    run_for: Option<u64>,
    /// End when nothing has arrived for so many seconds
    #[arg(long, value_name = "SECONDS")]
    until_idle: Option<u64>,
}

#[derive(Args)]
struct ReportArgs {
    /// sqlite:FILE
    #[arg(long)]
    store: String,
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lingate-sandbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Init(args) => init(args),
        Command::Issue(args) => issue(&args),
        Command::Receive(args) => tokio::runtime::Runtime::new()?.block_on(receive(args)),
        Command::Report(args) => report(&args),
    }
}

fn init(args: Init) -> Result<()> {
    if args.force && args.dir.exists() {
        println!("moved the old authority to {}", move_aside(&args.dir)?.display());
    }
    let options = InitOptions {
        sandbox_id: args.sandbox_id,
        broker_names: args.broker_names,
        broker_port: args.port,
        policy: None,
    };
    let authority = Authority::init(&args.dir, &options)?;
    let folder = authority.folder().display();
    println!("authority   {folder}");
    println!("root keys   sha256 {}", authority.root_sha256()?);
    println!("            give this fingerprint to plant IT over a second channel");
    println!("policy      {folder}/policy.toml: edit it before you issue");
    println!("broker      mosquitto -c {folder}/mosquitto.conf");
    Ok(())
}

/// Next to the old place, under the first free name.
fn move_aside(dir: &Path) -> Result<PathBuf> {
    let name = dir.file_name().context("DIR needs a name")?.to_string_lossy().into_owned();
    let free = (1..1000).map(|n| dir.with_file_name(format!("{name}.old-{n}"))).find(|path| !path.exists());
    let free = free.context("too many old authorities beside DIR")?;
    std::fs::rename(dir, &free).with_context(|| format!("cannot move {}", dir.display()))?;
    Ok(free)
}

fn issue(args: &Issue) -> Result<()> {
    let enroll = std::fs::read(&args.enroll).with_context(|| args.enroll.display().to_string())?;
    let change = if args.new_key { KeyChange::Accept } else { KeyChange::Refuse };
    let issued = Authority::open(&args.dir)?.issue(&enroll, change)?;
    println!("gateway     {} of {}", issued.gateway, issued.tenant);
    println!("bundle      version {}", issued.bundle_version);
    println!("files       {}: send them to the plant, NEXT-STEPS.txt says what for", issued.folder.display());
    Ok(())
}

async fn receive(args: Receive) -> Result<()> {
    let broker: BrokerAddress = args.broker.parse().map_err(anyhow::Error::msg)?;
    let receiver = Receiver::start(ReceiverConfig {
        authority: args.dir,
        role: args.role,
        broker,
        store: args.store.clone(),
        sink: None,
    })?;
    let until = match (args.run_for, args.until_idle) {
        (Some(seconds), _) => Until::Elapsed(Duration::from_secs(seconds)),
        (None, Some(seconds)) => Until::Idle(Duration::from_secs(seconds)),
        (None, None) => Until::Interrupted,
    };
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        () = watch(&receiver, &until) => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    let connects = receiver.link().connects;
    receiver.stop().await?;
    print!("{}", Store::open(&args.store)?.report()?);
    if connects == 0 {
        bail!("the broker was never reached");
    }
    Ok(())
}

enum Until {
    Interrupted,
    Elapsed(Duration),
    /// Nothing arrived for so long, counted from the start if nothing ever did.
    Idle(Duration),
}

/// Says when the connection comes and goes; ends with `until`, or when the store fails.
async fn watch(receiver: &ReceiverHandle, until: &Until) {
    const TICK: Duration = Duration::from_millis(100);
    let (mut elapsed, mut idle) = (Duration::ZERO, Duration::ZERO);
    let (mut last_arrival, mut said) = (None, None);
    while !receiver.has_failed() {
        let link = receiver.link();
        let says = if link.connected { Some("connected".to_owned()) } else { link.last_error };
        if says.is_some() && says != said {
            eprintln!("{}", says.as_deref().unwrap_or_default());
            said = says;
        }
        if link.last_arrival != last_arrival {
            (last_arrival, idle) = (link.last_arrival, Duration::ZERO);
        }
        match until {
            Until::Elapsed(limit) if elapsed >= *limit => return,
            Until::Idle(limit) if idle >= *limit => return,
            _ => {}
        }
        tokio::time::sleep(TICK).await;
        (elapsed, idle) = (elapsed + TICK, idle + TICK);
    }
}

fn report(args: &ReportArgs) -> Result<()> {
    let file = args.store.strip_prefix("sqlite:").unwrap_or_default();
    if !Path::new(file).is_file() {
        bail!("{:?} is not an existing store: sqlite:FILE is expected", args.store);
    }
    let report = Store::open(&args.store)?.report()?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
