//! What can be done to a world beside its broker and its devices: to its disk, and to the machine's randomness.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lingate_buffer::fake::{Call, Crash, FakeDisk};
use lingate_seal::{Entropy, EntropyFailed};

use crate::World;
use crate::chance::Failing;

/// Longer than any frame of a story.
const FRAME: u64 = 3_000;

impl World {
    /// The process is killed, bits of stored segments flip, and another process starts. Gives how many flipped.
    pub fn kill_and_flip(&mut self, flips: u64) -> u64 {
        let segments: Vec<String> = self.disk.paths().into_iter().filter(|path| path.ends_with(".seg")).collect();
        let mut flipped = 0;
        self.disk = self.disk.crash(Crash::KeepAll);
        for _ in 0..flips {
            let Some(at) = (segments.len() as u64).checked_sub(1) else { break };
            let path = &segments[self.chance.below(at + 1) as usize];
            let bytes = self.disk.contents(path).map_or(0, |bytes| bytes.len() as u64);
            let byte = self.chance.below(bytes.max(1));
            // Two bits in one frame's header cost its name, and only its readings are declared.
            let is_near = |(of, at): &(String, u64)| of == path && at.abs_diff(byte) < FRAME;
            if bytes > 0 && !self.flips.iter().any(is_near) {
                self.disk.flip(path, byte * 8 + self.chance.below(8));
                self.flips.push((path.clone(), byte));
                flipped += 1;
            }
        }
        self.crash(Crash::KeepAll);
        flipped
    }

    /// The machine is lost and comes back with an older disk.
    pub fn restore(&mut self, old: FakeDisk) {
        self.disk = old;
        self.crash(Crash::KeepAll);
    }

    /// The next so many calls of this kind fail.
    pub fn disk_fails(&mut self, call: Call, times: u64) {
        self.laws.keys_may_stand_alone = true;
        self.disk.fail_next(call, times, std::io::ErrorKind::Other);
    }
}

/// The machine's randomness, which may fail.
pub(crate) struct Source {
    pub(crate) chance: Failing,
    pub(crate) is_dry: Arc<AtomicBool>,
}

impl Entropy for Source {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
        if self.is_dry.load(Ordering::Relaxed) { Err(EntropyFailed) } else { self.chance.fill(bytes) }
    }
}
