use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lingate_e2e::{Daemon, Rig};
use lingate_sandbox::{Authority, InitOptions};

use crate::words;

const PATIENCE: Duration = Duration::from_secs(30);

/// Puts bundles that are each wrong in one thing into the inbox of a running gateway: they go, and the one in force stays.
pub(crate) async fn play(words: &[String], rig: &mut Rig, daemon: &Daemon) -> Result<()> {
    let before = version(daemon).context("no bundle is in force")?;
    let names: Vec<String> = (0..words.len()).map(|number| format!("hostile-{number:02}.json")).collect();
    for (word, name) in words.iter().zip(&names) {
        let bytes = make(word, rig)?;
        drop_into(rig, name, &bytes)?;
    }
    for name in &names {
        until_gone(rig, name).await?;
    }
    ensure!(version(daemon) == Some(before), "one of {words:?} is in force and not {before}");
    Ok(())
}

/// An honest one still gets in.
pub(crate) async fn heal(rig: &mut Rig, daemon: &Daemon) -> Result<()> {
    let issued = rig.authority.renew()?;
    let issued = issued.first().context("no gateway is enrolled")?;
    drop_into(rig, "honest.json", &issued.bundle)?;
    let began = Instant::now();
    while version(daemon) != Some(issued.bundle_version) {
        ensure!(began.elapsed() < PATIENCE, "bundle {} does not come into force", issued.bundle_version);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn version(daemon: &Daemon) -> Option<u64> {
    daemon.health.status().ok()?["bundle"]["version"].as_u64()
}

fn drop_into(rig: &Rig, name: &str, bytes: &[u8]) -> Result<()> {
    let inbox = rig.path().join("state/inbox");
    fs::write(inbox.join("next.part"), bytes)?;
    Ok(fs::rename(inbox.join("next.part"), inbox.join(name))?)
}

async fn until_gone(rig: &Rig, name: &str) -> Result<()> {
    let (file, began) = (rig.path().join("state/inbox").join(name), Instant::now());
    while file.exists() {
        ensure!(began.elapsed() < PATIENCE, "{name} stays in the inbox");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// The next honest bundle, with this done to it.
fn make(word: &str, rig: &mut Rig) -> Result<Vec<u8>> {
    let (what, detail) = words::split(word);
    if what == "foreign" {
        return foreign(rig);
    }
    let older = rig.authority.bundle_history("gw-e2e")?.first().cloned();
    let issued = rig.authority.renew()?;
    let mut bytes = issued.into_iter().next().context("no gateway is enrolled")?.bundle;
    match what {
        "flip" => {
            let bit: usize = words::number(detail)?;
            let at = bit % (bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
        }
        "cut" => bytes.truncate(words::number(detail)?),
        "behind" => bytes.extend(words::hex(detail)?),
        "bytes" => bytes = words::hex(detail)?,
        "text" => bytes = detail.as_bytes().to_vec(),
        "older" => bytes = older.context("no older bundle")?,
        "swap" => {
            let (from, to) = words::split(detail);
            let text = String::from_utf8(bytes)?;
            ensure!(text.contains(from), "a bundle has no {from:?}");
            bytes = text.replacen(from, to, 1).into_bytes();
        }
        _ => bail!("{word:?} is nothing that a bundle can be"),
    }
    Ok(bytes)
}

/// Of another sandbox, for a gateway with the same name and the same keys.
fn foreign(rig: &Rig) -> Result<Vec<u8>> {
    let folder = rig.path().join("another-sandbox");
    let mut authority = match folder.exists() {
        true => Authority::open(&folder)?,
        false => Authority::init(&folder, &InitOptions::default())?,
    };
    let request = fs::read(rig.path().join("enroll.json"))?;
    Ok(authority.issue(&request, lingate_sandbox::KeyChange::Refuse)?.bundle)
}
