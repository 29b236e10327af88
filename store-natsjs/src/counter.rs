//! Counters: compare-and-swap on the record itself, with all increments of one key in this process combined.
//!
//! While one write is under way, increments of the same key gather; the next write carries all of them. A task does the writes,
//! so that a caller that gives up takes nobody else with it; it ends when there is nothing left to do.

use std::collections::HashMap;

use parking_lot::Mutex;
use store_core::options::Expires;
use store_core::{Counter, Error, ErrorKind, Key, Metadata};
use tokio::sync::oneshot;

use crate::layout::Layout;
use crate::publish::Refusal;
use crate::table::{Fail, Table, Via};
use crate::wire::stored::Stored;

/// The increments that wait, by subject. A subject that is here has a task.
#[derive(Default)]
pub(crate) struct Counters(Mutex<HashMap<String, Vec<Waiting>>>);

struct Waiting {
    delta: i64,
    answer: oneshot::Sender<Result<Counter, Fail>>,
}

impl Table {
    pub(crate) async fn increment(&self, key: Key<'_>, delta: i64) -> Result<Counter, Fail> {
        let subject = self.subject(key)?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { delta, answer };
        let starts = {
            let mut all = self.bucket.counters.0.lock();
            if let Some(queue) = all.get_mut(&subject) {
                queue.push(waiting);
                false
            } else {
                all.insert(subject.clone(), vec![waiting]);
                true
            }
        };
        if starts {
            tokio::spawn(run(self.clone(), subject, key.as_str().to_owned()));
        }
        let lost = |what: &'static str| {
            Fail::Error(Error::new(ErrorKind::Timeout, what).outcome_unknown())
        };
        match tokio::time::timeout_at(self.deadline.at, answered).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(lost("the increment was interrupted")),
            Err(_) => Err(lost("no answer from the server in time")),
        }
    }
}

async fn run(mut table: Table, subject: String, key: String) {
    let mut held = None;
    loop {
        let batch = {
            let mut all = table.bucket.counters.0.lock();
            match all.get_mut(&subject).map(std::mem::take) {
                Some(batch) if !batch.is_empty() => batch,
                _ => {
                    all.remove(&subject);
                    return;
                }
            }
        };
        table.deadline = table.shared.deadline();
        let deltas: Vec<i64> = batch.iter().map(|waiting| waiting.delta).collect();
        let answers = match add(&table, &subject, &key, &deltas, held.take()).await {
            Ok((answers, now)) => {
                held = now;
                answers
            }
            Err(fail) => vec![Err(fail); deltas.len()],
        };
        for (waiting, answer) in batch.into_iter().zip(answers) {
            // Nobody may be waiting any more.
            let _ = waiting.answer.send(answer);
        }
    }
}

type Answers = Vec<Result<Counter, Fail>>;

/// One write for several increments, each of which gets its own sum.
async fn add(
    table: &Table,
    subject: &str,
    key: &str,
    deltas: &[i64],
    held: Option<Stored>,
) -> Result<(Answers, Option<Stored>), Fail> {
    let mut now = held;
    let mut via = Via::Copy;
    let mut read = now.is_none();
    for round in 0.. {
        if read {
            now = table.newest(subject, via).await?;
        }
        let live = now.as_ref().filter(|stored| table.is_live(stored));
        let record = table.held(live, &store_core::Condition::Any)?;
        let value = record.as_ref().map(store_core::Record::value);
        let mut sum = Counter::next(value, 0)?;
        let mut changed = false;
        let sums: Vec<_> = deltas
            .iter()
            .map(|delta| {
                let next = Counter::next(Some(sum.to_string().as_bytes()), *delta)?;
                sum = next;
                changed = true;
                Ok::<_, Error>(next)
            })
            .collect();
        let answers = |revision| -> Answers {
            let answer = |sum: &Result<i64, Error>| match sum {
                Ok(sum) => Ok(Counter::new(*sum, revision)),
                Err(error) => Err(Fail::Error(error.clone())),
            };
            sums.iter().map(answer).collect()
        };
        if !changed {
            return Ok((answers(None), now));
        }
        let none = Metadata::new();
        let metadata = record.as_ref().map_or(&none, |record| record.metadata());
        // Layouts without an expiry per record have nothing to keep.
        let at = match table.layout() {
            Layout::Native => table.expiry_over(Expires::Keep, live)?,
            _ => None,
        };
        let text = sum.to_string().into();
        let draft = table.draft(key, text, metadata, at, now.as_ref());
        let expected = now.as_ref().map_or(0, |stored| stored.sequence);
        match table.publish(subject, &draft, Some(expected)).await {
            Ok(sequence) => {
                let time = table.shared.now();
                let (headers, payload) = (&draft.headers, draft.payload.clone());
                let now = Stored::published(subject, sequence, time, headers, payload);
                return Ok((answers(Some(table.revision(sequence))), Some(now)));
            }
            Err(Refusal::Moved) => {
                (read, via) = (true, Via::Leader);
            }
            Err(Refusal::Fail(fail)) => return Err(fail),
        }
        table.contend(round).await?;
    }
    Err(Error::new(ErrorKind::Internal, "unreachable").into())
}
