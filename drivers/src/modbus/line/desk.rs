use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::port::Port;

/// Who may use the port: one at a time, the slot that was due first before others, and of two the one that came first.
pub(super) struct Desk(Mutex<Queue>);

struct Queue {
    /// `None` while somebody has it.
    port: Option<Box<Port>>,
    waiting: BTreeMap<(Duration, u64), oneshot::Sender<Box<Port>>>,
    tickets: u64,
}

/// The port, until it is dropped.
pub(super) struct Turn<'a> {
    desk: &'a Desk,
    port: Option<Box<Port>>,
}

/// In the queue. Dropped with the port already on its way, it hands the port on.
struct Waiting<'a> {
    desk: &'a Desk,
    port: oneshot::Receiver<Box<Port>>,
}

impl Desk {
    pub(super) fn new(port: Port) -> Desk {
        Desk(Mutex::new(Queue { port: Some(Box::new(port)), waiting: BTreeMap::new(), tickets: 0 }))
    }

    pub(super) async fn turn(&self, due: Duration) -> Turn<'_> {
        let mut waiting = match self.take_or_queue(due) {
            Ok(port) => return Turn { desk: self, port: Some(port) },
            Err(waiting) => waiting,
        };
        let port = (&mut waiting.port).await.expect("the queue lives as long as the desk, and drops nobody");
        Turn { desk: self, port: Some(port) }
    }

    fn take_or_queue(&self, due: Duration) -> Result<Box<Port>, Waiting<'_>> {
        let mut queue = self.queue();
        if let Some(port) = queue.port.take() {
            return Ok(port);
        }
        let (sender, receiver) = oneshot::channel();
        let ticket = queue.tickets;
        queue.tickets += 1;
        queue.waiting.insert((due, ticket), sender);
        Err(Waiting { desk: self, port: receiver })
    }

    fn hand_on(&self, mut port: Box<Port>) {
        let mut queue = self.queue();
        while let Some((_, next)) = queue.waiting.pop_first() {
            match next.send(port) {
                Ok(()) => return,
                // It went away while it waited.
                Err(back) => port = back,
            }
        }
        queue.port = Some(port);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    pub(super) fn port(&mut self) -> &mut Port {
        self.port.as_mut().expect("it is taken only by the drop")
    }

    /// Nobody waits.
    pub(super) fn is_last(&self) -> bool {
        self.desk.queue().waiting.values().all(oneshot::Sender::is_closed)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(port) = self.port.take() {
            self.desk.hand_on(port);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.port.close();
        if let Ok(port) = self.port.try_recv() {
            self.desk.hand_on(port);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn the_slot_that_was_due_first_goes_first_and_of_two_the_one_that_came_first() {
        let desk = Arc::new(Desk::new(Port::default()));
        let order = Arc::new(Mutex::new(Vec::new()));
        let first = desk.turn(Duration::ZERO).await;
        let wait = |due: u64, name: &'static str| {
            let (desk, order) = (Arc::clone(&desk), Arc::clone(&order));
            tokio::spawn(async move {
                let turn = desk.turn(Duration::from_millis(due)).await;
                order.lock().expect("no panic").push(name);
                drop(turn);
            })
        };
        let tasks = [wait(300, "late"), wait(100, "early"), wait(200, "gone"), wait(100, "early too")];
        yield_now().await;
        tasks[2].abort();
        yield_now().await;
        drop(first);
        for (index, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.is_ok(), index != 2);
        }
        assert_eq!(*order.lock().expect("no panic"), ["early", "early too", "late"]);
    }

    #[tokio::test]
    async fn whoever_goes_away_with_the_port_on_its_way_hands_it_on() {
        let desk = Arc::new(Desk::new(Port::default()));
        let first = desk.turn(Duration::ZERO).await;
        let waiting = desk.take_or_queue(Duration::ZERO).err().expect("somebody has the port");
        drop(first);
        drop(waiting);
        let mut turn = desk.turn(Duration::ZERO).await;
        turn.port();
        assert!(turn.is_last());
    }
}
