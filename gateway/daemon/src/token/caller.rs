use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Calls of all tokens that did not return in time. Each holds a thread that nobody can end.
static HUNG: AtomicUsize = AtomicUsize::new(0);
const HUNG_MAX: usize = 4;

/// A thread that makes calls which may never return.
pub(super) struct Caller<Q, A>(SyncSender<(Q, SyncSender<A>)>);

/// The call did not return in time, and those after it are not even made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hangs;

impl<Q: Send + 'static, A: Send + 'static> Caller<Q, A> {
    /// The thread ends when this is dropped and the call under way has returned.
    pub(super) fn start(mut call: impl FnMut(Q) -> A + Send + 'static) -> Result<Caller<Q, A>, Hangs> {
        if HUNG.load(Ordering::Relaxed) >= HUNG_MAX {
            return Err(Hangs);
        }
        let (sender, questions) = sync_channel::<(Q, SyncSender<A>)>(1);
        let work = move || {
            for (question, answer) in questions {
                // Who asked may have gone away meanwhile.
                let was_late = answer.send(call(question)).is_err();
                if was_late {
                    HUNG.fetch_sub(1, Ordering::Relaxed);
                }
            }
        };
        std::thread::Builder::new().name("token".to_owned()).spawn(work).map_err(|_| Hangs)?;
        Ok(Caller(sender))
    }

    /// Waits so long at most, and not at all behind a call that hangs.
    pub(super) fn ask(&self, question: Q, patience: Duration) -> Result<A, Hangs> {
        let (sender, answer) = sync_channel(0);
        match self.0.try_send((question, sender)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return Err(Hangs),
        }
        answer.recv_timeout(patience).map_err(|error| {
            if error == RecvTimeoutError::Timeout {
                HUNG.fetch_add(1, Ordering::Relaxed);
            }
            Hangs
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_call_that_hangs_is_left_behind_and_its_successors_are_refused_until_it_returns() {
        let (release, released) = channel::<()>();
        let (tell, told) = channel();
        let caller = Caller::start(move |number: u32| {
            if number == 7 {
                released.recv().unwrap();
            }
            tell.send(number).unwrap();
            number + 1
        })
        .unwrap();
        assert_eq!(caller.ask(1, PATIENCE), Ok(2));
        assert_eq!(caller.ask(7, Duration::from_millis(1)), Err(Hangs));
        // One waits in the queue, for as long as its patience; the next is not taken at all.
        assert_eq!(caller.ask(8, Duration::from_millis(1)), Err(Hangs));
        assert_eq!(caller.ask(9, PATIENCE), Err(Hangs));
        release.send(()).unwrap();
        assert_eq!([1, 7, 8].map(|_| told.recv_timeout(PATIENCE).unwrap()), [1, 7, 8]);
        let recovered = std::iter::repeat_with(|| caller.ask(20, PATIENCE)).find(Result::is_ok);
        assert_eq!(recovered, Some(Ok(21)));
    }
}
