use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use lingate_sandbox::{BrokerAddress, Group, Receiver, ReceiverConfig, ReceiverHandle, ReceiverOptions, Store};

#[derive(Args)]
pub(crate) struct Receive {
    dir: PathBuf,
    /// Whose keys open the data; repeat for a holder of several roles
    #[arg(long = "role", default_value = "role:oem-quality")]
    roles: Vec<String>,
    /// mqtts://HOST:PORT
    #[arg(long)]
    broker: String,
    /// sqlite:FILE, or postgres://USER@HOST/DATABASE, which many receivers can share
    #[arg(long)]
    store: String,
    /// Share the work with the other receivers of this group (MQTT shared subscription); they need one PostgreSQL store
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// This receiver's name in its group: the same after a restart, another than everybody else's [default: hostname]
    #[arg(long, value_name = "NAME", requires = "group")]
    member: Option<String>,
    /// Send signed receipts; gateways whose bundle says ack = "receipt" keep their records until they have them
    #[arg(long)]
    receipts: bool,
    /// In a group: cosign the gateways' audit logs. One member does; without a group the receiver always does
    #[arg(long, requires = "group")]
    cosign: bool,
    /// End after so many seconds
    #[arg(long = "for", value_name = "SECONDS", conflicts_with = "until_idle")]
    run_for: Option<u64>,
    /// End when nothing has arrived for so many seconds
    #[arg(long, value_name = "SECONDS")]
    until_idle: Option<u64>,
}

pub(crate) async fn receive(args: Receive) -> Result<()> {
    let broker: BrokerAddress = args.broker.parse().map_err(anyhow::Error::msg)?;
    if args.group.is_some() && args.store.starts_with("sqlite:") {
        bail!("a group needs one store for all its members: --store postgres://...");
    }
    let mut roles = args.roles.into_iter();
    let config = ReceiverConfig {
        authority: args.dir,
        role: roles.next().context("--role")?,
        broker,
        store: args.store.clone(),
        sink: None,
    };
    let cosign = args.cosign || args.group.is_none();
    let group = args.group.map(|name| args.member.map_or_else(hostname, Ok).map(|member| Group { name, member }));
    let (more_roles, receipts) = (roles.collect(), args.receipts);
    let options = ReceiverOptions { more_roles, group: group.transpose()?, receipts, cosign };
    let receiver = Receiver::start_with(config, options)?;
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

fn hostname() -> Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").context("no hostname: say --member NAME")?;
    Ok(name.trim().to_owned())
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
