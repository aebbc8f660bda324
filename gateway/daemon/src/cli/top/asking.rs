use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::time::Duration;

use crate::cli::door::Door;
use crate::report::Report;

/// A thread that asks, so that a daemon that hangs does not hang the keyboard. Ends when this is dropped.
pub(super) struct Asking {
    answers: Receiver<Result<Report, String>>,
    _alive: Sender<()>,
}

impl Asking {
    pub(super) fn start(door: Door, every: Duration) -> io::Result<Asking> {
        let (sender, answers) = sync_channel(1);
        let (alive, ended) = channel::<()>();
        std::thread::Builder::new().name("asking".to_owned()).spawn(move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let answer = door.report().map(|(report, _)| report).map_err(|failed| failed.message);
                if sender.send(answer).is_err() {
                    return;
                }
            }
        })?;
        Ok(Asking { answers, _alive: alive })
    }

    pub(super) fn answer(&self) -> Option<Result<Report, String>> {
        self.answers.try_recv().ok()
    }
}
