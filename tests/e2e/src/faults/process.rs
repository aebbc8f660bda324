use anyhow::Result;
use lingate_checker::Counts;
use lingate_e2e::{Places, Stage, StageLoad};

use crate::shell::run;
use crate::{Ending, Stint};

/// What was read and not yet accepted: flush age, commit, one poll, and what a loaded machine takes for fdatasync.
const SYNC_SLACK_MS: u64 = 1_000;

/// With at most so many kills, each life with a broker ends with an image of the disk.
const IMAGES: u64 = 12;

pub(crate) async fn kill(stint: Stint) -> Result<Ending> {
    let load = StageLoad::default();
    let mut stage = Stage::open(stint.row, &stint.binary, load, Places::default()).await?;
    stage.evidence.unaccepted_ms_max = Some(load.flush_ms + load.commit_ms + load.every_ms + SYNC_SLACK_MS);
    let kills = 6 * u64::from(stint.times);
    for kill in 0..kills {
        // Every third life is lived without a broker.
        match kill % 3 {
            1 => stage.mosquitto.stop()?,
            2 => stage.mosquitto.start_again().await?,
            _ => {}
        }
        stage.start().await?;
        stage.pause(150 + kill * 97 % 500).await;
        stage.kill()?;
        stage.fault("kill");
        // An image waits until nothing more comes: in a long run, every tenth life has one.
        if kill % 3 != 1 && (kills <= IMAGES || kill % 10 == 0) {
            stage.take_image().await?;
        }
    }
    Ok(Ending::Judged(Box::new(stage.conclude(stint.least).await?)))
}

pub(crate) async fn stop_and_continue(stint: Stint) -> Result<Ending> {
    let mut stage = Stage::open(stint.row, &stint.binary, StageLoad::default(), Places::default()).await?;
    // An answer that came while nobody listened is thrown away, and its slots are declared.
    stage.evidence.counts = Counts::AtLeast;
    stage.start().await?;
    stage.arrive(100).await?;
    for _ in 0..3 * stint.times {
        stage.daemon()?.signal("STOP")?;
        stage.pause(2_000).await;
        stage.daemon()?.signal("CONT")?;
        stage.fault("stop");
        stage.arrive(100).await?;
    }
    Ok(Ending::Judged(Box::new(stage.conclude(stint.least).await?)))
}

/// Whatever it opens is refused while the limit is below what it has: a connection, a segment, a visitor of `/status`.
pub(crate) async fn no_descriptors(stint: Stint) -> Result<Ending> {
    let mut stage = Stage::open(stint.row, &stint.binary, StageLoad::default(), Places::default()).await?;
    // A veto folder that cannot be read holds everything back: step M1 counts that, and gaps declare it as well.
    stage.evidence.counts = Counts::AtLeast;
    stage.start().await?;
    for _ in 0..3 * stint.times {
        stage.arrive(150).await?;
        let pid = stage.daemon()?.pid().to_string();
        run(&["prlimit", "--pid", &pid, "--nofile=4:"])?;
        stage.mosquitto.stop()?;
        stage.pause(700).await;
        stage.mosquitto.start_again().await?;
        stage.pause(2_000).await;
        run(&["prlimit", "--pid", &pid, "--nofile=1024:"])?;
        stage.fault("descriptors");
    }
    stage.arrive(150).await?;
    let told = stage.rig.log()?.lines().filter(|line| line.contains("Too many open files")).count();
    let mut verdict = stage.conclude(stint.least).await?;
    verdict.note("told_of_descriptors", told as u64);
    Ok(Ending::Judged(Box::new(verdict)))
}
