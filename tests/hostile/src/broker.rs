use std::time::{Duration, Instant};

use anyhow::Result;
use lingate_e2e::Daemon;
use lingate_sandbox::Authority;

use crate::proxy::{Manner, Proxy};
use crate::row::Broker;

/// Only bounds a row that fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets the broker misbehave until it did so often enough, and heals it. How many occasions there were.
pub(crate) async fn play(
    script: &Broker,
    (proxy, authority, daemon): (&Proxy, &Authority, &Daemon),
    complaints: &mut Vec<String>,
) -> Result<u64> {
    let (before, began) = (proxy.tricks(), Instant::now());
    proxy.be(Manner::parse(&script.does, authority)?);
    let mut is_told = script.told.is_none();
    while began.elapsed() < PATIENCE && (proxy.tricks() < before + script.times || !is_told) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        is_told = is_told || script.told.as_ref().is_some_and(|told| says(daemon, told));
    }
    proxy.be(Manner::Honest);
    let tricks = proxy.tricks() - before;
    if tricks < script.times {
        complaints.push(format!("{}: {tricks} occasions of {}", script.does, script.times));
    }
    if !is_told {
        let link = daemon.health.status().map(|status| status["link"].to_string()).unwrap_or_default();
        complaints.push(format!("{}: the status does not say {:?} but {link}", script.does, script.told));
    }
    Ok(tricks)
}

fn says(daemon: &Daemon, text: &str) -> bool {
    daemon.health.status().is_ok_and(|status| status.to_string().contains(text))
}
