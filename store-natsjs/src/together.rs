//! Concurrent reads leave together: the server looks up several records for little more than one.
//!
//! A reader that is alone sends its own request at once. While requests are under way, readers gather, and what has gathered leaves
//! as one request when another comes back: nobody waits for company. What goes wrong with a common request is nobody's error: its
//! readers, and those that wait behind them, then ask for themselves.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::shared::{Bucket, Shared};
use crate::table::Table;
use crate::wire::fault::Fault;
use crate::wire::stored::Stored;

/// Requests under way before readers gather.
const FEW: usize = 2;
/// Requests under way at most, where answers take long.
const MOST: usize = 64;
/// How long an answer may take before another request goes beside it: more than a busy server on the same machine needs, for small
/// batches cost it as much as reads one by one.
const SLOW: Duration = Duration::from_millis(5);
/// Readers of one request.
const BATCH: usize = 256;
/// How long everybody asks for himself after a common request failed.
const REST: Duration = Duration::from_secs(5);

/// The readers of a bucket.
#[derive(Default)]
pub(crate) struct Reads(Mutex<State>);

#[derive(Default)]
struct State {
    /// Requests under way.
    flights: usize,
    departed: Option<Instant>,
    waiting: Vec<Reader>,
    /// When a common request failed.
    failed: Option<Instant>,
}

struct Reader {
    subject: Box<str>,
    answer: Answer,
}

/// Dropped without an answer, it sends its reader to ask for himself.
type Answer = oneshot::Sender<Option<Stored>>;

enum Turn {
    /// At once, as one of the requests under way.
    Now(Flight),
    /// With others.
    Wait(oneshot::Receiver<Option<Stored>>),
    /// Beside all this.
    Alone,
}

/// The newest message of a subject, from whichever copy answers; one try.
pub(crate) async fn read(table: &Table, subject: &str) -> Result<Option<Stored>, Fault> {
    let turn = match table.shared.server() {
        Ok(server) if server.has_multi() => enter(table, subject),
        _ => Turn::Alone,
    };
    let js = &table.shared.js;
    match turn {
        Turn::Now(flight) => {
            let found = js.direct(&table.bucket.stream, subject, table.deadline).await;
            drop(flight);
            found
        }
        Turn::Wait(answer) => match answer.await {
            Ok(found) => Ok(found),
            Err(_) => js.direct(&table.bucket.stream, subject, table.deadline).await,
        },
        Turn::Alone => js.direct(&table.bucket.stream, subject, table.deadline).await,
    }
}

fn enter(table: &Table, subject: &str) -> Turn {
    let mut state = table.bucket.reads.0.lock();
    if let Some(failed) = state.failed {
        if failed.elapsed() < REST {
            return Turn::Alone;
        }
        state.failed = None;
    }
    let flight = || Flight(Arc::clone(&table.shared), Arc::clone(&table.bucket));
    if state.flights < FEW {
        state.flights += 1;
        state.departed = None;
        return Turn::Now(flight());
    }
    let (answer, answered) = oneshot::channel();
    state.waiting.push(Reader { subject: subject.into(), answer });
    let now = Instant::now();
    let slow = now.duration_since(*state.departed.get_or_insert(now)) > SLOW;
    if state.flights < MOST && slow {
        // Not for the sake of one more: all that wait go with it.
        state.flights += 1;
        state.departed = Some(now);
        drop(state);
        drop(flight());
    }
    Turn::Wait(answered)
}

/// A request under way; who drops it lets those go that gathered meanwhile.
struct Flight(Arc<Shared>, Arc<Bucket>);

impl Drop for Flight {
    fn drop(&mut self) {
        let mut state = self.1.reads.0.lock();
        if state.waiting.is_empty() {
            state.flights -= 1;
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let flight = Self(Arc::clone(&self.0), Arc::clone(&self.1));
            drop(state);
            runtime.spawn(flight.run());
        } else {
            state.flights -= 1;
            // Without an answer they ask for themselves.
            let waiting = std::mem::take(&mut state.waiting);
            drop(state);
            drop(waiting);
        }
    }
}

impl Flight {
    /// Reads for all who wait, until nobody does.
    async fn run(self) {
        loop {
            let mut groups = self.gathered();
            if groups.is_empty() {
                return;
            }
            let (shared, bucket) = (&self.0, &self.1);
            let subjects = groups.keys().map(|subject| &**subject);
            let batch = shared.js.multi(&bucket.stream, subjects, shared.deadline()).await;
            match batch {
                Ok(batch) if !batch.too_many && batch.pending == 0 => {
                    for stored in batch.messages {
                        if let Some(group) = groups.remove(&*stored.subject) {
                            group.answer(Some(stored));
                        }
                    }
                    for group in groups.into_values() {
                        group.answer(None);
                    }
                }
                // Too large for one answer.
                Ok(_) => {}
                Err(_) => self.give_up(),
            }
        }
    }

    /// Takes those who have waited longest, without those who have gone.
    fn gathered(&self) -> HashMap<Box<str>, Group, FixedState> {
        let mut groups = HashMap::<_, Group, _>::default();
        let mut state = self.1.reads.0.lock();
        state.departed = Some(Instant::now());
        let count = state.waiting.len().min(BATCH);
        for reader in state.waiting.drain(..count).filter(|reader| !reader.answer.is_closed()) {
            match groups.entry(reader.subject) {
                Entry::Vacant(entry) => drop(entry.insert(Group(reader.answer, Vec::new()))),
                Entry::Occupied(mut entry) => entry.get_mut().1.push(reader.answer),
            }
        }
        groups
    }

    /// Whoever waits asks for himself from now on, and for a while everybody does.
    fn give_up(&self) {
        let mut state = self.1.reads.0.lock();
        state.failed = Some(Instant::now());
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
    }
}

/// The readers of one subject.
struct Group(Answer, Vec<Answer>);

impl Group {
    fn answer(self, stored: Option<Stored>) {
        // Who gave up meanwhile does not mind.
        for more in self.1 {
            let _ = more.send(stored.clone());
        }
        let _ = self.0.send(stored);
    }
}
