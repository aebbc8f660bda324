use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use lingate_e2e::{Places, Stage, StageLoad, Surroundings};
use lingate_seal::RecordKind;

use crate::shell::{AtEnd, forbids_root, run};
use crate::{Ending, Stint};

pub(crate) async fn full_ext4(stint: Stint) -> Result<Ending> {
    full(stint, |folder, mount| {
        let image = folder.join("disk.img").display().to_string();
        run(&["truncate", "-s", "48M", &image])?;
        run(&["mkfs.ext4", "-q", "-m", "0", &image])?;
        run(&["mount", "-o", "loop", &image, mount]).map(drop)
    })
    .await
}

pub(crate) async fn full_tmpfs(stint: Stint) -> Result<Ending> {
    full(stint, |_, mount| run(&["mount", "-t", "tmpfs", "-o", "size=32m", "lingate-faults", mount]).map(drop)).await
}

/// The broker is away, so the disk has to take everything; a foreign file takes the rest of it, and goes again.
async fn full(stint: Stint, mount: impl Fn(&Path, &str) -> Result<()>) -> Result<Ending> {
    if let Some(reason) = forbids_root() {
        return Ok(Ending::Skipped(reason));
    }
    let surroundings = Surroundings { buffer: "64MiB", ..Surroundings::default() };
    let places = Places { surroundings, ..Places::default() };
    let mut stage = Stage::open(stint.row, &stint.binary, StageLoad::default(), places).await?;
    let buffer = stage.rig.path().join("state/buffer");
    fs::create_dir_all(&buffer)?;
    let at = buffer.display().to_string();
    if let Err(error) = mount(stage.rig.path(), &at) {
        return Ok(Ending::Skipped(format!("{error:#}")));
    }
    let _unmount = AtEnd(["umount", "-l", &at].map(str::to_owned).to_vec());
    stage.start().await?;
    stage.arrive(200).await?;
    for _ in 0..3 * stint.times {
        stage.mosquitto.stop()?;
        let ballast = buffer.join("ballast");
        fill(&ballast)?;
        // Its reserve and its oldest segments go first; then the disk really is full.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(4);
        while std::time::Instant::now() < until {
            stage.pause(200).await;
            fill(&ballast)?;
        }
        stage.fault("full");
        fs::remove_file(&ballast)?;
        stage.mosquitto.start_again().await?;
        stage.arrive(100).await?;
    }
    let errors = stage.rig.log()?.lines().filter(|line| line.contains("No space left")).count();
    let mut verdict = stage.conclude(stint.least).await?;
    verdict.note("no_space_errors", errors as u64);
    Ok(Ending::Judged(Box::new(verdict)))
}

/// As much as the disk takes.
fn fill(ballast: &Path) -> Result<()> {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(ballast)?;
    for block in [1 << 20, 4096] {
        let zeros = vec![0_u8; block];
        while file.write_all(&zeros).is_ok() {}
    }
    // An error means that it is full, which is what was asked.
    let _ = file.sync_all();
    Ok(())
}

pub(crate) async fn sync_error(stint: Stint) -> Result<Ending> {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        return Ok(Ending::Skipped("strace is not installed".to_owned()));
    }
    let mut stage = Stage::open(stint.row, &stint.binary, StageLoad::default(), Places::default()).await?;
    stage.start().await?;
    stage.arrive(200).await?;
    for (_, when) in (0..stint.times).flat_map(|_| ["when=1", "when=1..3", "when=1+"].into_iter().enumerate()) {
        let inject = format!("inject=fdatasync:error=EIO:{when}");
        let pid = stage.daemon()?.pid().to_string();
        let mut strace = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", &inject, "-p", &pid])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        stage.pause(2_000).await;
        if let Some(status) = strace.try_wait()? {
            return Ok(Ending::Skipped(format!("strace may not trace here: {status}")));
        }
        run(&["kill", "-INT", &strace.id().to_string()])?;
        strace.wait()?;
        stage.fault("EIO");
        stage.arrive(100).await?;
    }
    let told = stage.rig.log()?.lines().filter(|line| line.contains("the disk did not take")).count();
    let mut verdict = stage.conclude(stint.least).await?;
    verdict.note("told_disk_faults", told as u64);
    Ok(Ending::Judged(Box::new(verdict)))
}

pub(crate) async fn bit_flips(stint: Stint) -> Result<Ending> {
    let mut stage = Stage::open(stint.row, &stint.binary, StageLoad::default(), Places::default()).await?;
    let (mut flips, mut state) = (0_u64, 0x9E37_79B9_7F4A_7C15_u64);
    for _ in 0..stint.times {
        stage.start().await?;
        stage.arrive(300).await?;
        stage.mosquitto.stop()?;
        let before = stage.durable()?.records.len();
        stage.wait("a backlog", |stage| Ok(stage.durable()?.records.len() > before + 600)).await?;
        stage.stop()?;
        for _ in 0..8 {
            flips += u64::from(flip(&stage.rig.path().join("state/buffer"), &mut state)?);
            stage.fault("flip");
        }
        flips += blind(&stage.rig.path().join("state/buffer"))?;
        stage.fault("header");
        stage.mosquitto.start_again().await?;
    }
    let mut verdict = stage.conclude(stint.least).await?;
    verdict.note("flips", flips);
    Ok(Ending::Judged(Box::new(verdict)))
}

/// One bit of the newest segment's second half, where nothing was delivered yet; false if there is no segment.
fn flip(buffer: &Path, state: &mut u64) -> Result<bool> {
    let Some(newest) = newest(buffer)? else { return Ok(false) };
    let file = fs::OpenOptions::new().read(true).write(true).open(&newest)?;
    let written = written(&file)?;
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let bit = (written * 8 / 2) + (*state >> 20) % (written * 8 / 2).max(1);
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit / 8).context("a byte of the segment")?;
    file.write_all_at(&[byte[0] ^ 1 << (bit % 8)], bit / 8)?;
    file.sync_all()?;
    Ok(true)
}

/// Two bits of one header, so that nothing in the record tells whose it was. Of a batch: what a gap record says is lost
/// with more than one of its bits.
fn blind(buffer: &Path) -> Result<u64> {
    const BATCH: u8 = RecordKind::Batch as u8;
    let Some(newest) = newest(buffer)? else { return Ok(0) };
    let mut bytes = fs::read(&newest)?;
    let is_batch = |at: &usize| matches!(bytes.get(*at..at + 70), Some([b'L', b'G', b'f', b'1', .., BATCH]));
    let batches: Vec<usize> = (0..bytes.len()).filter(is_batch).collect();
    let Some(&at) = batches.get(batches.len() * 3 / 4) else { return Ok(0) };
    bytes[at + 20] ^= 1;
    bytes[at + 40] ^= 1;
    fs::write(&newest, bytes)?;
    Ok(2)
}

fn newest(buffer: &Path) -> Result<Option<PathBuf>> {
    let class = buffer.join("normal");
    let mut segments: Vec<PathBuf> = fs::read_dir(&class)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    segments.retain(|path| path.extension().is_some_and(|ending| ending == "seg"));
    segments.sort();
    Ok(segments.pop())
}

/// Up to the last byte that is not zero: what lies behind was only reserved.
fn written(file: &fs::File) -> Result<u64> {
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len())?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes.iter().rposition(|byte| *byte != 0).map_or(1, |at| at as u64 + 1))
}
