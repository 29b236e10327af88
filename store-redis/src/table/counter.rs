//! Increments of one key that wait for each other, combined into one.
//!
//! The first caller leads: it sends its increment. Who comes meanwhile waits; the next leader sends the sum of all that waited.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use store_core::{Counter, Error, ErrorKind, Result};
use tokio::sync::oneshot;

/// The keys that are being incremented, each with who waits.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<HashMap<String, Vec<Waiter>>>);

/// One that waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) delta: i64,
    pub(super) answer: oneshot::Sender<Message>,
}

/// What one that waits is told.
#[derive(Debug)]
pub(super) enum Message {
    Done(Result<Counter>),
    /// It is its turn to lead.
    Lead,
}

pub(super) enum Joined {
    Leads(Lead),
    Waits(Ticket),
}

pub(super) enum Turn {
    Done(Result<Counter>),
    Lead(Lead),
}

/// The right to send. Passed on when it is dropped.
pub(super) struct Lead {
    counters: Arc<Counters>,
    key: String,
}

/// A place in the queue. Dropped, it passes on a lead that came too late to be seen.
pub(super) struct Ticket {
    message: oneshot::Receiver<Message>,
    counters: Arc<Counters>,
    key: String,
}

impl Waiter {
    pub(super) fn tell(self, done: Result<Counter>) {
        // It may have gone away.
        let _ = self.answer.send(Message::Done(done));
    }
}

impl Counters {
    pub(super) fn join(self: &Arc<Self>, key: &str, delta: i64) -> Joined {
        let mut queues = self.0.lock();
        if let Some(queue) = queues.get_mut(key) {
            let (answer, message) = oneshot::channel();
            queue.push(Waiter { delta, answer });
            let key = key.to_owned();
            return Joined::Waits(Ticket { message, counters: Arc::clone(self), key });
        }
        queues.insert(key.to_owned(), Vec::new());
        Joined::Leads(Lead { counters: Arc::clone(self), key: key.to_owned() })
    }

    /// Lets the next one lead; nobody waits: the queue is closed.
    fn pass_on(&self, key: &str) {
        let mut queues = self.0.lock();
        let Some(queue) = queues.get_mut(key) else {
            return;
        };
        while !queue.is_empty() {
            if queue.remove(0).answer.send(Message::Lead).is_ok() {
                return;
            }
        }
        queues.remove(key);
    }
}

impl Lead {
    /// Those of the waiting increments that can be added together with one's own: of one sign, so that no value on the way is out
    /// of range if the last one is not. And the sum.
    pub(super) fn take(&self, delta: i64) -> (Vec<Waiter>, i64) {
        let mut queues = self.counters.0.lock();
        let Some(queue) = queues.get_mut(&self.key) else {
            return (Vec::new(), delta);
        };
        let mut sum = delta;
        let mut taken = Vec::new();
        let mut left = Vec::new();
        for waiter in queue.drain(..) {
            match sum.checked_add(waiter.delta) {
                _ if waiter.answer.is_closed() => {}
                Some(more) if (waiter.delta < 0) == (delta < 0) => {
                    sum = more;
                    taken.push(waiter);
                }
                _ => left.push(waiter),
            }
        }
        *queue = left;
        (taken, sum)
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.counters.pass_on(&self.key);
    }
}

impl Ticket {
    pub(super) async fn wait(mut self) -> Turn {
        match (&mut self.message).await {
            Ok(Message::Done(done)) => Turn::Done(done),
            Ok(Message::Lead) => Turn::Lead(Lead {
                counters: Arc::clone(&self.counters),
                key: std::mem::take(&mut self.key),
            }),
            Err(_) => Turn::Done(Err(cancelled())),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.message.close();
        if let Ok(Message::Lead) = self.message.try_recv() {
            self.counters.pass_on(&self.key);
        }
    }
}

/// The runtime ended while several increments were under way together.
pub(super) fn cancelled() -> Error {
    Error::new(ErrorKind::Unavailable, "the runtime ended during the call").outcome_unknown()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(joined: Joined) -> Lead {
        match joined {
            Joined::Leads(lead) => lead,
            Joined::Waits(_) => panic!("somebody leads already"),
        }
    }

    fn waits(joined: Joined) -> Ticket {
        match joined {
            Joined::Waits(ticket) => ticket,
            Joined::Leads(_) => panic!("nobody leads"),
        }
    }

    #[tokio::test]
    async fn the_lead_is_never_lost() {
        let counters = Arc::new(Counters::default());
        let lead = leads(counters.join("k", 1));
        let (gone, late, last) = (
            waits(counters.join("k", 1)),
            waits(counters.join("k", 2)),
            waits(counters.join("k", 3)),
        );
        drop(gone);
        drop(lead);
        // `late` has the lead, and goes away without having seen it.
        drop(late);
        assert!(matches!(last.wait().await, Turn::Lead(_)));
        assert!(matches!(counters.join("k", 1), Joined::Leads(_)), "the queue is closed");
    }

    #[test]
    fn only_what_cannot_leave_the_range_on_the_way_goes_together() {
        let counters = Arc::new(Counters::default());
        let lead = leads(counters.join("k", 5));
        let _tickets: Vec<_> =
            [3, -1, i64::MAX, 2].map(|delta| waits(counters.join("k", delta))).into();
        let (taken, sum) = lead.take(5);
        let deltas: Vec<i64> = taken.iter().map(|waiter| waiter.delta).collect();
        assert_eq!((deltas, sum), (vec![3, 2], 10));
        let (taken, _) = lead.take(-1);
        assert_eq!(taken.len(), 1);
    }
}
