//! Tasks with a name, an owner and an exit rule. What is spawned elsewhere ends with its owner: the heart's thread and the
//! health endpoint with the run, a connection's driver and its open answers with the connection.

use std::future::Future;
use std::time::Duration;

use lingate_model::Backoff;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::entropy::random_u32;

/// Told once; every task that holds a clone ends on its own terms.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

pub(crate) struct Stopper(watch::Sender<bool>);

pub(crate) fn stop() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// For crates below that must not know this type.
    pub(crate) fn watched(&self) -> watch::Receiver<bool> {
        self.0.clone()
    }

    pub(crate) fn is_told(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once the stop was told, or nobody is left who could tell it.
    pub(crate) async fn told(&mut self) {
        let _ = self.0.wait_for(|told| *told).await;
    }

    /// `false`: told to stop before the time was over.
    pub(crate) async fn pause(&mut self, time: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.told() => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}

/// The panic of a task, in words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Panicked(pub(crate) String);

/// Runs a future in a task of its own, so that a panic in it is a value here. Dropping this drops the future.
pub(crate) async fn guarded<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T, Panicked> {
    struct AbortOnDrop<T>(JoinHandle<T>);
    impl<T> Drop for AbortOnDrop<T> {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let mut task = AbortOnDrop(tokio::spawn(future));
    (&mut task.0).await.map_err(|error| Panicked(panic_text(error)))
}

fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => words(&*panic),
        Err(_) => "cancelled".to_owned(),
    }
}

/// What a panic said.
pub(crate) fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without words".to_owned())
}

/// The tasks that are restarted when they end before they were told to.
pub(crate) struct Restarted {
    tasks: JoinSet<()>,
    stop: Stop,
}

impl Restarted {
    pub(crate) fn new(stop: Stop) -> Restarted {
        Restarted { tasks: JoinSet::new(), stop }
    }

    /// `task` is made anew after every end or panic, with jittered pauses of up to 30 s between.
    pub(crate) fn spawn<F>(&mut self, name: String, task: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut stop = self.stop.clone();
        self.tasks.spawn(async move {
            let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
            loop {
                let ended = guarded(task()).await;
                if stop.is_told() {
                    return;
                }
                let pause = backoff.next_pause(random_u32());
                match ended {
                    Ok(()) => tracing::warn!(task = name, ?pause, "a task ended; it starts again"),
                    Err(Panicked(words)) => tracing::error!(
                        task = name,
                        ?pause,
                        words,
                        "a task panicked, which is a defect of lingate; it starts again"
                    ),
                }
                if !stop.pause(pause).await {
                    return;
                }
            }
        });
    }

    /// Waits for all of them after the stop was told; what is left at the deadline is dropped. Gives their number.
    pub(crate) async fn ended(mut self, deadline: Duration) -> usize {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(deadline, all).await;
        self.tasks.len()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panic")]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_value() {
        assert_eq!(guarded(async { 7 }).await, Ok(7));
        let panicked = guarded(async { panic!("register {}", 9) }).await;
        assert_eq!(panicked, Err::<(), _>(Panicked("register 9".to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_starts_again_until_it_is_told_to_stop() {
        let (stopper, stop) = stop();
        let (starts, mut tasks) = (Arc::new(AtomicU32::new(0)), Restarted::new(stop.clone()));
        let (counter, stopper) = (starts.clone(), Arc::new(stopper));
        tasks.spawn("fragile".to_owned(), move || {
            let (counter, stopper) = (counter.clone(), stopper.clone());
            async move {
                if counter.fetch_add(1, Ordering::Relaxed) == 2 {
                    stopper.stop();
                    return;
                }
                panic!("broken");
            }
        });
        let mut told = stop;
        told.told().await;
        assert_eq!(tasks.ended(Duration::from_secs(1)).await, 0);
        assert_eq!(starts.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_left_at_the_deadline() {
        let (_stopper, stop) = stop();
        let mut tasks = Restarted::new(stop);
        tasks.spawn("stubborn".to_owned(), std::future::pending);
        assert_eq!(tasks.ended(Duration::from_secs(1)).await, 1);
    }
}
