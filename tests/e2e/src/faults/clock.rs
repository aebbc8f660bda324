use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use lingate_checker::Counts;
use lingate_e2e::{Launch, Places, Stage, StageLoad};
use serde_json::json;

use crate::{Ending, Stint};

/// Debian's place, whatever the architecture.
fn library() -> Option<PathBuf> {
    let places = fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    places.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

/// Wall time by a file that is read at every question; monotonic time stays what it is. The file lies beside the
/// configuration, as the daemon can open no other.
const FILE: &str = "faketime";

fn faked(library: &Path) -> Launch {
    let pairs = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", FILE.to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
    ];
    Launch { prefix: Vec::new(), environment: pairs.map(|(name, value)| (name.to_owned(), value)).to_vec() }
}

/// A world in which `file` says what time it is; `None` without libfaketime.
async fn opened(stint: &Stint) -> Result<Option<(Stage, PathBuf)>> {
    let Some(library) = library() else { return Ok(None) };
    let places = Places { launch: faked(&library), ..Places::default() };
    let stage = Stage::open(stint.row, &stint.binary, StageLoad::default(), places).await?;
    let file = stage.rig.path().join(FILE);
    Ok(Some((stage, file)))
}

fn skipped() -> Ending {
    Ending::Skipped("libfaketime is not installed (Debian's package faketime)".to_owned())
}

/// A box without a battery for its clock: it starts in 1970, the first time with nothing on its disk, and somebody sets the
/// clock while it runs. It polls and seals meanwhile, believes no clock, and delivers when the broker's certificate can be
/// judged again.
pub(crate) async fn starts_in_1970(stint: Stint) -> Result<Ending> {
    let Some((mut stage, file)) = opened(&stint).await? else { return Ok(skipped()) };
    let mut told = Vec::new();
    for life in 0..3 * stint.times {
        if life > 0 {
            stage.stop()?;
        }
        fs::write(&file, "-56y")?;
        stage.start().await?;
        stage.fault("1970");
        let accepted = accepted(&stage)?;
        stage.wait("records that are sealed in 1970", |stage| Ok(self::accepted(stage)? > accepted + 50)).await?;
        told.push(stage.status()?["clock"].clone());
        fs::write(&file, "+0")?;
        stage.arrive(100).await?;
    }
    let mut verdict = stage.conclude(stint.least).await?;
    verdict.note("clock_in_1970", json!(told));
    Ok(Ending::Judged(Box::new(verdict)))
}

fn accepted(stage: &Stage) -> Result<u64> {
    let status = stage.status()?;
    let datasets = status["datasets"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(datasets.iter().filter_map(|dataset| dataset["accepted_records"].as_u64()).sum())
}

pub(crate) async fn jumps(stint: Stint) -> Result<Ending> {
    let Some((mut stage, file)) = opened(&stint).await? else { return Ok(skipped()) };
    fs::write(&file, "+0")?;
    stage.start().await?;
    stage.arrive(200).await?;
    let before = polls_in_two_seconds(&stage).await;
    let mut after = Vec::new();
    for jump in (0..stint.times).flat_map(|_| ["+2h", "+0", "-20m", "+1d", "+0", "-56y", "+0"]) {
        fs::write(&file, jump)?;
        stage.fault("jump");
        after.push(polls_in_two_seconds(&stage).await);
        stage.arrive(50).await?;
    }
    let mut verdict = stage.conclude(stint.least).await?;
    verdict.note("polls_before", before);
    verdict.note("polls_after_each_jump", json!(after));
    // Neither a rest until the clock is back nor a burst to make up for it.
    if after.iter().any(|polls| *polls * 3 < before || *polls > before * 3) {
        let seen = format!("{before} polls in 2 s before the jumps, {after:?} after each");
        verdict.outcomes.insert(11, lingate_checker::Outcome::Violated(vec![seen]));
    }
    Ok(Ending::Judged(Box::new(verdict)))
}

/// Three years ahead the bundle has ended, as far as anybody can tell: nothing is sealed, and what is read is declared.
pub(crate) async fn beyond_the_rights(stint: Stint) -> Result<Ending> {
    let Some((mut stage, file)) = opened(&stint).await? else { return Ok(skipped()) };
    // Step M1 counts what it holds back, and gaps declare it as well.
    stage.evidence.counts = Counts::AtLeast;
    fs::write(&file, "+0")?;
    stage.start().await?;
    let mut sealed = Vec::new();
    for _ in 0..3 * stint.times {
        stage.arrive(150).await?;
        fs::write(&file, "+3y")?;
        stage.fault("jump");
        stage.wait("the end of the rights", |stage| Ok(!stage.status()?["datasets"][0]["denied"].is_null())).await?;
        let before = accepted(&stage)?;
        stage.pause(1_500).await;
        sealed.push(accepted(&stage)? - before);
        fs::write(&file, "+0")?;
    }
    stage.arrive(150).await?;
    let mut verdict = stage.conclude(stint.least).await?;
    verdict.note("sealed_beyond_the_rights", json!(sealed));
    if sealed.iter().any(|records| *records > 0) {
        let seen = format!("{sealed:?} records were sealed after the bundle's end");
        verdict.outcomes.insert(11, lingate_checker::Outcome::Violated(vec![seen]));
    }
    Ok(Ending::Judged(Box::new(verdict)))
}

async fn polls_in_two_seconds(stage: &Stage) -> u32 {
    let before = stage.device.served().polls();
    stage.pause(2_000).await;
    stage.device.served().polls() - before
}
