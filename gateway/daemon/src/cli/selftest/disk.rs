use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lingate_model::Clock;

use super::Finding;
use crate::cli::exit::Code;
use crate::cli::progress::Progress;

const AREA: &str = "disk";
const SYNCS: usize = 200;
/// Slow cards need minutes for 200 syncs; what was measured by then is told.
const LONGEST: Duration = Duration::from_secs(20);
const BLOCK: [u8; 4096] = [0xa5; 4096];
/// No flash cell is programmed in less, so a sync that returns earlier was answered by a cache.
const FLASH: Duration = Duration::from_micros(100);
/// A commit that takes longer than this holds up the engine.
const SLOW: Duration = Duration::from_secs(1);
/// Beside the state: the buffer's own folder is left alone.
const FILE: &str = ".selftest";

pub(super) fn look(state: &Path, clock: &dyn Clock) -> Vec<Finding> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = state.canonicalize().ok().and_then(|state| Mount::of(&state, &mounts));
    let mut findings: Vec<Finding> = mount.iter().flat_map(Mount::judge).collect();
    let cache = Cache::of(state);
    match measure(state, clock) {
        Ok(syncs) => findings.extend(judge(&syncs, cache)),
        Err(error) => {
            let code = if error.kind() == io::ErrorKind::PermissionDenied { Code::Permission } else { Code::Io };
            let what = format!("nothing can be written and synced in {}: {error}", state.display());
            findings.push(Finding::bad(AREA, code, what, "run this as lingate's user; is the disk full or read-only?"));
        }
    }
    findings
}

/// What the kernel says of the file system that holds a path (proc_pid_mountinfo(5)).
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    point: String,
    kind: String,
    options: Vec<String>,
}

impl Mount {
    /// The one with the longest mount point above `path`; of two at the same place the later, which covers the other.
    fn of(path: &Path, mounts: &str) -> Option<Mount> {
        let parsed = mounts.lines().filter_map(Mount::parse).filter(|mount| path.starts_with(&mount.point));
        parsed.max_by_key(|mount| mount.point.len())
    }

    fn parse(line: &str) -> Option<Mount> {
        let (place, source) = line.split_once(" - ")?;
        let place: Vec<&str> = place.split(' ').collect();
        let source: Vec<&str> = source.split(' ').collect();
        let options = place.get(5)?.split(',').chain(source.get(2)?.split(','));
        Some(Mount {
            point: place.get(4)?.replace("\\040", " "),
            kind: (*source.first()?).to_owned(),
            options: options.map(str::to_owned).collect(),
        })
    }

    fn judge(&self) -> Vec<Finding> {
        let (point, kind) = (&self.point, self.kind.as_str());
        let on = format!("{kind} at {point}");
        let mut findings = vec![match kind {
            "tmpfs" | "ramfs" | "devtmpfs" => Finding::bad(
                AREA,
                Code::Io,
                format!("{on} is memory: what is on it is gone at the next power cut"),
                "put gateway.state_dir on a real disk",
            ),
            "overlay" | "aufs" => Finding::warning(
                AREA,
                format!("{on} is a container's own layer: it is gone with the container"),
                "mount a volume for the state directory",
            ),
            "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "fuse.sshfs" => Finding::warning(
                AREA,
                format!(
                    "{on} is on another machine: its syncs are that machine's word, and it is away when the network is"
                ),
                "use a disk of this machine",
            ),
            _ => Finding::good(AREA, on.clone()),
        }];
        let careless = ["nobarrier", "barrier=0", "data=writeback"];
        if let Some(option) = self.options.iter().find(|option| careless.contains(&option.as_str())) {
            let what = format!("{on} is mounted with {option}: syncs do not reach the disk in order");
            findings.push(Finding::bad(AREA, Code::Io, what, "mount it without this option"));
        }
        findings
    }
}

/// The write cache of the drive, as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cache {
    Back,
    Through,
    /// No block device of its own, or nothing that tells.
    Unknown,
}

impl Cache {
    fn of(state: &Path) -> Cache {
        let Ok(device) = fs::metadata(state).map(|folder| folder.dev()) else { return Cache::Unknown };
        // makedev(3): the numbers are spread over the word.
        let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
        let device = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
        // A partition has the queue of its drive.
        let queues = [device.join("queue/write_cache"), device.join("../queue/write_cache")];
        let told = queues.iter().find_map(|queue| fs::read_to_string(queue).ok());
        match told.as_deref().map(str::trim) {
            Some("write back") => Cache::Back,
            Some("write through") => Cache::Through,
            _ => Cache::Unknown,
        }
    }
}

/// Latencies of one append of 4 KiB and its `fdatasync`, as a commit does it; sorted.
fn measure(state: &Path, clock: &dyn Clock) -> io::Result<Vec<Duration>> {
    let path = state.join(FILE);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    let measured = syncs(&mut file, clock);
    fs::remove_file(&path)?;
    measured
}

fn syncs(file: &mut File, clock: &dyn Clock) -> io::Result<Vec<Duration>> {
    let (mut syncs, mut progress) = (Vec::with_capacity(SYNCS), Progress::new());
    let begin = clock.now().monotonic;
    while syncs.len() < SYNCS {
        progress.bar("syncing the disk", syncs.len() as u64, SYNCS as u64);
        file.write_all(&BLOCK)?;
        let before = clock.now().monotonic;
        file.sync_data()?;
        let after = clock.now().monotonic;
        syncs.push(after.saturating_sub(before));
        if after.saturating_sub(begin) > LONGEST {
            break;
        }
    }
    syncs.sort_unstable();
    Ok(syncs)
}

/// Of sorted latencies; none: zero.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn judge(syncs: &[Duration], cache: Cache) -> Vec<Finding> {
    let [median, late, worst] = [50, 99, 100].map(|percent| percentile(syncs, percent));
    let figures = format!(
        "{} syncs of 4 KiB: half within {}, 99 % within {}, the worst {}",
        syncs.len(),
        shown(median),
        shown(late),
        shown(worst)
    );
    let speed = match late > SLOW {
        true => Finding::warning(AREA, figures, "slow: raise buffer.commit to several times this, or use another disk"),
        false => Finding::good(AREA, figures),
    };
    vec![speed, honesty(median, cache)]
}

/// A drive that lies cannot be told from one with a capacitor: only a power cut knows. What can be said is said.
fn honesty(median: Duration, cache: Cache) -> Finding {
    let only = "only cutting its power while lingate writes shows the truth: `lingate buffer verify` afterwards finds what is missing";
    match (median < FLASH, cache) {
        (false, Cache::Unknown) => Finding::good(AREA, "syncs take as long as a disk needs"),
        (false, Cache::Through) => {
            Finding::good(AREA, "syncs take as long as a disk needs, and its cache writes through")
        }
        (false, Cache::Back) => Finding::good(AREA, "syncs take as long as a disk needs, and flush its cache"),
        (true, Cache::Through) => Finding::warning(
            AREA,
            "syncs are answered faster than flash can be written, and the drive says that it has no volatile cache: it \
             is a virtual disk, or has a capacitor, or lies",
            only,
        ),
        (true, Cache::Back | Cache::Unknown) => Finding::warning(
            AREA,
            "syncs are answered faster than flash can be written: something between here and the cells keeps them in a \
             cache. Without a capacitor there, a power cut takes what was called durable",
            only,
        ),
    }
}

fn shown(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use super::super::Grade;
    use super::*;
    use crate::clock::SystemClock;

    const MOUNTS: &str = "\
22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
30 22 0:26 / /run rw,nosuid shared:2 - tmpfs tmpfs rw,mode=755
31 22 8:3 / /var/lib/lingate rw,relatime - ext4 /dev/sda3 rw,nobarrier
32 22 0:40 / /srv/a\\040b rw - nfs4 server:/x rw
33 31 0:41 / /var/lib/lingate rw - ext4 /dev/sdb1 rw
";

    fn grades(path: &str, mounts: &str) -> Vec<Grade> {
        Mount::of(Path::new(path), mounts).unwrap().judge().iter().map(|found| found.grade).collect()
    }

    #[test]
    fn memory_is_refused_and_another_machine_is_doubted() {
        assert_eq!(grades("/var/lib/other", MOUNTS), [Grade::Good]);
        assert_eq!(grades("/run/lingate", MOUNTS), [Grade::Bad(Code::Io)]);
        assert_eq!(grades("/srv/a b/state", MOUNTS), [Grade::Warning]);
        assert_eq!(grades("/var/lib/lingate/x", MOUNTS), [Grade::Good], "the later mount covers the earlier");
        let first = MOUNTS.lines().take(3).collect::<Vec<_>>().join("\n");
        assert_eq!(grades("/var/lib/lingate", &first), [Grade::Good, Grade::Bad(Code::Io)], "nobarrier");
    }

    #[test]
    fn a_state_in_memory_is_found_on_this_machine() {
        let Ok(state) = tempfile::tempdir_in("/dev/shm") else { return };
        let found = look(state.path(), &SystemClock::start());
        assert_eq!(found[0].grade, Grade::Bad(Code::Io), "{found:?}");
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn a_sync_that_is_faster_than_flash_is_doubted_whatever_the_drive_says() {
        let [fast, slow] = [20, 900].map(Duration::from_micros);
        for cache in [Cache::Back, Cache::Through, Cache::Unknown] {
            assert_eq!(honesty(fast, cache).grade, Grade::Warning);
            assert_eq!(honesty(slow, cache).grade, Grade::Good);
        }
    }

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let syncs: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!([50, 99, 100].map(|percent| percentile(&syncs, percent).as_millis()), [101, 199, 200]);
        assert_eq!(percentile(&[], 50), Duration::ZERO);
        assert_eq!(judge(&[Duration::from_secs(2)], Cache::Back)[0].grade, Grade::Warning);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_bad() {
        let found = look(Path::new("/proc/self"), &SystemClock::start());
        assert!(found.iter().any(|finding| matches!(finding.grade, Grade::Bad(_))), "{found:?}");
    }
}
