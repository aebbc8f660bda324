use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use lingate_sandbox::{BrokerAddress, Receiver, ReceiverConfig, ReceiverHandle, Store};

#[derive(Args)]
pub(crate) struct Receive {
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

pub(crate) async fn receive(args: Receive) -> Result<()> {
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
