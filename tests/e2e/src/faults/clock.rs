use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use lingate_e2e::{Launch, Places, Stage, StageLoad};
use serde_json::json;

use crate::{Ending, Stint};

/// Debian's place, whatever the architecture.
fn library() -> Option<PathBuf> {
    let places = fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    places.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

/// Wall time by a file that is read at every question; monotonic time stays what it is.
fn faked(library: &Path, file: &Path) -> Launch {
    let pairs = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
    ];
    Launch { prefix: Vec::new(), environment: pairs.map(|(name, value)| (name.to_owned(), value)).to_vec() }
}

pub(crate) async fn jumps(stint: Stint) -> Result<Ending> {
    let Some(library) = library() else {
        return Ok(Ending::Skipped("libfaketime is not installed (Debian's package faketime)".to_owned()));
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("faketime");
    fs::write(&file, "+0")?;
    let places = Places { launch: faked(&library, &file), ..Places::default() };
    let mut stage = Stage::open(stint.row, &stint.binary, StageLoad::default(), places).await?;
    stage.start().await?;
    stage.arrive(200).await?;
    let before = polls_in_two_seconds(&stage).await;
    let mut after = Vec::new();
    for jump in (0..stint.times).flat_map(|_| ["+2h", "+0", "-20m", "+1d", "+0"]) {
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

async fn polls_in_two_seconds(stage: &Stage) -> u32 {
    let before = stage.device.served().polls();
    stage.pause(2_000).await;
    stage.device.served().polls() - before
}
