//! Several records at once: reads by few requests, atomic batches.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use foldhash::fast::FixedState as Hasher;
use futures_util::stream::{self, StreamExt as _};
use store_core::{Error, ErrorKind, Feature, Key, Op, Put, Record, Result};
use tokio::time::Instant;

use crate::layout::Layout;
use crate::publish::{Draft, EXPECTED, settled};
use crate::table::{Fail, Table, Via};
use crate::wire::api::{Stamp, read_ack};
use crate::wire::fault::Fault;
use crate::wire::mux::Deadline;
use crate::wire::stored::{OPERATION, Stored, WRITE_ID};

/// Subjects in one request: fewer than the server's 1024, since two of 256 at once are faster than one of 512.
const CHUNK: usize = 256;
/// The bytes of one request's subjects.
const CHUNK_BYTES: usize = 128 * 1024;
/// Requests under way at a time.
pub(crate) const WINDOW: usize = 64;
/// Writes under way at a time: more only makes each of them slower.
const PIPELINE: usize = 256;
/// The most messages of an atomic batch.
pub(crate) const MAX_ATOMIC: usize = 1000;

const EXPECTED_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";

/// A write that needs no look at what is there.
struct Blind {
    /// Which of the batch it is.
    at: usize,
    subject: String,
    draft: Draft,
    /// A value alone has none.
    id: Option<String>,
    /// The server answered that it did not store it.
    refused: bool,
}

/// One message of an atomic batch.
struct Step {
    /// Which operation it is of.
    at: usize,
    subject: String,
    draft: Draft,
    /// The subject that must have this sequence, where it is not its own.
    expected: Option<(Option<String>, u64)>,
}

impl Table {
    /// The newest messages of these subjects, in their order; several where a server takes many at once.
    pub(crate) async fn newest_many(
        &self,
        subjects: &[String],
        via: Via,
    ) -> Vec<Result<Option<Stored>, Fail>> {
        let one_by_one = |indices: Vec<usize>, via| async move {
            let reads = stream::iter(indices)
                .map(|i| async move { (i, self.newest(&subjects[i], via).await) });
            reads.buffer_unordered(WINDOW).collect::<Vec<_>>().await
        };
        let mut answers: Vec<Result<Option<Stored>, Fail>> =
            subjects.iter().map(|_| Ok(None)).collect();
        let has_multi = self.shared.server().is_ok_and(|server| server.has_multi());
        let mut singles = Vec::new();
        if via == Via::Leader || !has_multi || !self.known.direct || subjects.len() == 1 {
            singles.extend(0..subjects.len());
        } else {
            let chunks = chunks(subjects);
            let fetched = stream::iter(chunks)
                .map(|(from, to)| async move {
                    let wanted = subjects[from..to].iter().map(|subject| &**subject);
                    let js = &self.shared.js;
                    (from, to, js.multi(&self.bucket.stream, wanted, self.deadline).await)
                })
                .buffer_unordered(4);
            let mut fetched = std::pin::pin!(fetched);
            while let Some((from, to, batch)) = fetched.next().await {
                let Ok(batch) = batch else {
                    // One by one, with what is repeated there.
                    singles.extend(from..to);
                    continue;
                };
                let complete = batch.pending == 0 && !batch.too_many;
                // A key that is asked for twice is answered once.
                let mut first = HashMap::with_capacity_and_hasher(to - from, Hasher::default());
                let mut again = Vec::new();
                for (i, subject) in subjects.iter().enumerate().take(to).skip(from) {
                    match first.entry(&**subject) {
                        Entry::Vacant(entry) => drop(entry.insert(i)),
                        Entry::Occupied(entry) => again.push((i, *entry.get())),
                    }
                }
                for stored in batch.messages {
                    if let Some(&i) = first.get(&*stored.subject) {
                        answers[i] = Ok(Some(stored));
                    }
                }
                for (i, first) in again {
                    let same = answers[first].clone();
                    answers[i] = same;
                }
                for i in from..to {
                    let found = match &answers[i] {
                        Ok(Some(stored)) => Some(stored.sequence),
                        _ => None,
                    };
                    let floor = || self.bucket.acked.floor(&subjects[i]);
                    let fresh = via != Via::Copy || floor().allows(found.unwrap_or(0));
                    if !fresh || (found.is_none() && !complete) {
                        answers[i] = Ok(None);
                        singles.push(i);
                    }
                }
            }
        }
        for (i, answer) in one_by_one(singles, via).await {
            answers[i] = answer;
        }
        answers
    }

    pub(crate) async fn read_many(&self, keys: &[Key<'_>]) -> Vec<Result<Option<Record>, Fail>> {
        let mut answers: Vec<_> = keys.iter().map(|_| Ok(None)).collect();
        let mut wanted = Vec::with_capacity(keys.len());
        let mut subjects = Vec::with_capacity(keys.len());
        for (i, key) in keys.iter().enumerate() {
            match self.subject(*key) {
                Ok(subject) => {
                    wanted.push(i);
                    subjects.push(subject);
                }
                Err(error) => answers[i] = Err(error.into()),
            }
        }
        let found = self.newest_many(&subjects, Via::Copy).await;
        for (i, found) in wanted.into_iter().zip(found) {
            answers[i] = found.and_then(|stored| Ok(self.record(stored.as_ref())?));
        }
        answers
    }

    /// Writes what needs no look at what is there, one after the other without waiting in between. `None` for all others, and for
    /// what the server did not take at once: that is for the way of single writes to find out.
    pub(crate) async fn write_blind(&self, puts: &[Put<'_>]) -> Vec<Option<Result<u64, Fail>>> {
        let mut answers: Vec<_> = puts.iter().map(|_| None).collect();
        let mut drafts = Vec::with_capacity(puts.len());
        for (at, put) in puts.iter().enumerate() {
            drafts.extend(self.blind(put).map(|(subject, draft)| {
                let id = (!draft.is_bare()).then(|| self.shared.write_id());
                Blind { at, subject, draft, id, refused: false }
            }));
        }
        if drafts.len() < 2 {
            return answers;
        }
        let mut acks: Vec<Option<Result<Stamp, Fault>>> = drafts.iter().map(|_| None).collect();
        let message = |i: usize| {
            let Blind { subject, draft, id, .. } = drafts.get(i)?;
            let mut headers = draft.headers.clone();
            if let Some(id) = id {
                headers.insert(WRITE_ID, id.as_str());
            }
            Some((self.route(subject).into_owned(), headers, draft.payload.clone()))
        };
        let mux = &self.shared.js.mux;
        let sent = mux.request_each(message, PIPELINE, self.deadline, |i, reply| {
            if let Some(ack) = acks.get_mut(i) {
                *ack = Some(reply.and_then(|reply| read_ack(&reply)));
            }
        });
        // Which were answered shows below.
        let _ = sent.await;
        let mut unknown = Vec::new();
        for (blind, ack) in drafts.into_iter().zip(acks) {
            match ack {
                Some(Ok(stamp)) => {
                    self.acknowledged(&blind.subject, &blind.draft, stamp.sequence);
                    answers[blind.at] = Some(Ok(stamp.sequence));
                }
                Some(Err(fault @ Fault::Denied)) => {
                    answers[blind.at] = Some(Err(fault.into_error(true).into()));
                }
                Some(Err(_)) => unknown.push(Blind { refused: true, ..blind }),
                None => unknown.push(blind),
            }
        }
        let mut again = Vec::with_capacity(unknown.len());
        for Blind { at, subject, draft, id, refused } in unknown {
            again.push(async move {
                let done = match id {
                    // Under the same id, so that nothing is stored twice.
                    Some(id) => self.publish_as(&id, &subject, &draft, None, !refused).await,
                    None if refused => self.publish(&subject, &draft, None).await,
                    None => self.publish_after_loss(&subject, &draft).await,
                };
                (at, done.map_err(settled))
            });
        }
        let mut again = std::pin::pin!(stream::iter(again).buffer_unordered(WINDOW));
        while let Some((at, done)) = again.next().await {
            // Where the bucket is gone, the single way makes it again.
            answers[at] = Some(done).filter(|done| !matches!(done, Err(Fail::Gone)));
        }
        answers
    }

    // ------------------------------------------------------------------ atomic batches

    /// The sequence of each operation that wrote.
    pub(crate) async fn atomic(&self, ops: &[Op<'_>]) -> Result<Vec<Option<u64>>, Fail> {
        check_ops(ops)?;
        if self.layout() != Layout::Native || !self.known.atomic {
            return Err(Error::lacks(Feature::AtomicBatch).into());
        }
        if ops.is_empty() {
            return Ok(Vec::new());
        }
        let (since, mut via) = (Instant::now(), Via::Copy);
        for round in 0.. {
            let mut dropped = None;
            match self.steps(ops, via).await {
                Ok(steps) if steps.is_empty() => return Ok(vec![None; ops.len()]),
                Ok(steps) => match self.commit(&steps).await {
                    Ok(first) => {
                        let mut sequences = vec![None; ops.len()];
                        for (i, step) in steps.iter().enumerate() {
                            if matches!(ops[step.at], Op::Put(_)) {
                                sequences[step.at] = Some(first + i as u64);
                            }
                        }
                        return Ok(sequences);
                    }
                    Err(Commit::Moved) => via = Via::Leader,
                    Err(Commit::Again(fault)) => {
                        let mut subjects = steps.iter().map(|step| self.route(&step.subject));
                        if self.shared.js.mux.has_refused(&mut subjects, since) {
                            return Err(Fault::Denied.into_error(true).into());
                        }
                        dropped = Some(fault);
                    }
                    Err(Commit::Fail(fail)) => return Err(fail),
                },
                // A condition that fails by a copy may hold by the leader.
                Err(Fail::Error(error))
                    if error.kind() == ErrorKind::Conflict && via != Via::Leader =>
                {
                    via = Via::Leader;
                }
                Err(fail) => return Err(fail),
            }
            let waited = self.contend(round).await;
            waited.map_err(|fail| dropped.map_or(fail, |fault| fault.into_error(true).into()))?;
        }
        Err(Error::new(ErrorKind::Internal, "unreachable").into())
    }

    /// Checks every condition against what there is, and makes the messages that hold only if it stays so.
    async fn steps(&self, ops: &[Op<'_>], via: Via) -> Result<Vec<Step>, Fail> {
        let mut subjects = Vec::with_capacity(ops.len());
        for op in ops {
            subjects.push(self.subject(op.key()).map_err(|e| e.with_key(op.key()))?);
        }
        let mut state = Vec::with_capacity(ops.len());
        for stored in self.newest_many(&subjects, via).await {
            state.push(stored?);
        }
        if via != Via::Leader {
            // What is not there is not removed, and no condition of the server's would find out that a copy was behind.
            let is_live = |i: usize| state[i].as_ref().is_some_and(|stored| self.is_live(stored));
            let is_doubted = |i: &usize| matches!(ops[*i], Op::Remove(_)) && !is_live(*i);
            let doubted: Vec<usize> = (0..ops.len()).filter(is_doubted).collect();
            let again: Vec<String> = doubted.iter().map(|i| subjects[*i].clone()).collect();
            for (i, stored) in doubted.into_iter().zip(self.newest_many(&again, Via::Leader).await)
            {
                state[i] = stored?;
            }
        }
        let mut absent = Vec::new();
        let mut steps = Vec::with_capacity(ops.len());
        let changing = ops.iter().filter(|op| !matches!(op, Op::Check { .. }));
        let changed: HashSet<Key<'_>> = changing.map(Op::key).collect();
        let checking = ops.iter().filter(|op| matches!(op, Op::Check { .. }));
        let checked: HashSet<Key<'_>> = checking.map(Op::key).collect();
        for (at, ((op, subject), now)) in ops.iter().zip(subjects).zip(&state).enumerate() {
            let named = |error: Error| Fail::Error(error.with_key(op.key()));
            let live = now.as_ref().filter(|stored| self.is_live(stored));
            let record = self.held(live, op.condition()).map_err(named)?;
            op.condition().check(record.as_ref()).map_err(named)?;
            let sequence = now.as_ref().map_or(0, |stored| stored.sequence);
            match op {
                Op::Put(put) => {
                    self.check_value(&put.value, &put.metadata).map_err(named)?;
                    let expires = self.resolve(put.expiry).map_err(named)?;
                    let expires = self.expiry_over(expires, live).map_err(named)?;
                    let value = put.value.clone().into_bytes();
                    let (key, over) = (put.key.as_str(), now.as_ref());
                    let draft = self.draft(key, value, &put.metadata, expires, over);
                    // Without a condition, anything may have happened in between, unless the server shall remove it one day.
                    let free = put.condition.is_any()
                        && draft.until.is_none()
                        && !checked.contains(&put.key)
                        && put.expiry != store_core::Expiry::Keep;
                    let expected = (!free).then_some((None, sequence));
                    steps.push(Step { at, subject, draft, expected });
                }
                Op::Remove(remove) => {
                    remove.condition.on_existing().map_err(named)?;
                    if let (Some(_), Some(now)) = (live, now) {
                        let draft = self.tombstone(now);
                        steps.push(Step { at, subject, draft, expected: Some((None, sequence)) });
                    } else {
                        absent.push((at, subject, sequence));
                    }
                }
                Op::Check { condition, .. } if condition.is_any() => {}
                // The write of the same record carries it.
                Op::Check { key, .. } if changed.contains(key) => {}
                _ => steps.push(self.carrier(at, subject, sequence, steps.len())),
            }
        }
        // What was absent stays so until the others are written.
        if !steps.is_empty() {
            for (at, subject, sequence) in absent {
                steps.push(self.carrier(at, subject, sequence, steps.len()));
            }
        }
        Ok(steps)
    }

    /// A tombstone elsewhere that carries the condition that a record stays as it is, and changes nothing itself.
    fn carrier(&self, at: usize, subject: String, sequence: u64, number: usize) -> Step {
        let mut headers = HeaderMap::new();
        headers.insert(OPERATION, "DEL");
        let draft = Draft { headers, payload: Bytes::new(), expires: None, until: None };
        let carrier = self.bucket.subject(&format!("{CARRIER}.{number}"));
        Step { at, subject: carrier, draft, expected: Some((Some(subject), sequence)) }
    }

    /// Publishes a batch; the sequence of its first message.
    async fn commit(&self, steps: &[Step]) -> Result<u64, Commit> {
        let js = &self.shared.js;
        let batch = self.shared.write_id();
        let mut write_id = String::new();
        for (i, step) in steps.iter().enumerate() {
            write_id = self.shared.write_id();
            let mut headers = step.draft.headers.clone();
            headers.insert("Nats-Batch-Id", batch.as_str());
            headers.insert("Nats-Batch-Sequence", (i + 1).to_string());
            headers.insert(WRITE_ID, write_id.as_str());
            if let Some((other, sequence)) = &step.expected {
                headers.insert(EXPECTED, sequence.to_string());
                if let Some(other) = other {
                    headers.insert(EXPECTED_SUBJECT, other.as_str());
                }
            }
            let payload = step.draft.payload.clone();
            if i + 1 < steps.len() {
                js.mux.publish(&self.route(&step.subject), Some(headers), payload).await?;
            } else {
                headers.insert("Nats-Batch-Commit", "1");
                // Nothing repeats it, so it has all the time there is.
                let patient = Deadline { attempt: Duration::MAX / 4, ..self.deadline };
                let to = self.route(&step.subject).into_owned();
                let sent = js.mux.request(to, Some(headers), payload, patient);
                match sent.await.and_then(|message| read_ack(&message)) {
                    Ok(Stamp { sequence, .. }) => {
                        let first = sequence + 1 - steps.len() as u64;
                        self.committed(steps, first);
                        return Ok(first);
                    }
                    Err(fault) if fault.is_wrong_sequence() => return Err(Commit::Moved),
                    Err(fault) if fault.is_unknown() => break,
                    // Not all of the batch arrived: it was dropped.
                    Err(fault) if fault.is_api(10_176) || fault.is_api(10_210) => {
                        return Err(Commit::Again(fault));
                    }
                    Err(Fault::NoResponders) => {
                        let mut round = 0;
                        let again = self.after(Fault::NoResponders, &mut round, true).await;
                        let fault = Fault::NoResponders;
                        return Err(again.map_or_else(Commit::Fail, |()| Commit::Again(fault)));
                    }
                    Err(fault) => return Err(Commit::Fail(fault.into_error(true).into())),
                }
            }
        }
        // The answer was lost: the last message shows whether the batch is there.
        let lost = || Error::new(ErrorKind::Timeout, "no answer from the server in time");
        let Some(last) = steps.last() else { return Err(Commit::Fail(lost().into())) };
        let now = self.newest(&last.subject, Via::Leader).await.map_err(|fail| match fail {
            Fail::Error(error) => Commit::Fail(error.outcome_unknown().into()),
            Fail::Gone => Commit::Fail(Fail::Gone),
        })?;
        match now {
            Some(now) if now.write_id.as_deref() == Some(&*write_id) => {
                let first = now.sequence + 1 - steps.len() as u64;
                self.committed(steps, first);
                Ok(first)
            }
            _ => Err(Commit::Fail(lost().outcome_unknown().into())),
        }
    }

    fn committed(&self, steps: &[Step], first: u64) {
        for (i, step) in steps.iter().enumerate() {
            self.acknowledged(&step.subject, &step.draft, first + i as u64);
        }
    }
}

/// Where conditions on records that a batch does not change are attached; no key is mapped to it.
pub(crate) const CARRIER: &str = "_kv.check";

enum Commit {
    Moved,
    /// The batch was dropped, which may pass.
    Again(Fault),
    Fail(Fail),
}

impl From<Fault> for Commit {
    fn from(fault: Fault) -> Self {
        Self::Fail(fault.into_error(false).into())
    }
}

/// What is wrong with a batch in itself.
pub(crate) fn check_ops(ops: &[Op<'_>]) -> Result<()> {
    if ops.len() > MAX_ATOMIC {
        return Err(Error::too_large(format!(
            "an atomic batch has at most {MAX_ATOMIC} operations, this one has {}",
            ops.len()
        )));
    }
    let mut changed = HashSet::new();
    for op in ops {
        if !matches!(op, Op::Check { .. }) && !changed.insert(op.key()) {
            let error = Error::invalid("a batch changes each key once");
            return Err(error.with_key(op.key()));
        }
        if let Op::Remove(remove) = op {
            remove.condition.on_existing().map_err(|error| error.with_key(op.key()))?;
        }
    }
    Ok(())
}

fn chunks(subjects: &[String]) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (i, subject) in subjects.iter().enumerate() {
        if i > from && (i - from >= CHUNK || bytes + subject.len() > CHUNK_BYTES) {
            all.push((from, i));
            (from, bytes) = (i, 0);
        }
        bytes += subject.len() + 3;
    }
    if from < subjects.len() {
        all.push((from, subjects.len()));
    }
    all
}

#[cfg(test)]
mod tests {
    use store_core::Condition;

    use super::*;

    #[test]
    fn chunks_cover_everything_once() {
        let subjects: Vec<String> = (0..1000).map(|i| "x".repeat(i % 3000)).collect();
        let chunks = chunks(&subjects);
        let covered: Vec<usize> = chunks.iter().flat_map(|(from, to)| *from..*to).collect();
        assert_eq!(covered, (0..1000).collect::<Vec<_>>());
        assert!(chunks.iter().all(|(from, to)| to - from <= CHUNK));
    }

    #[test]
    fn a_key_is_changed_once() {
        let key = Key::new("k").unwrap();
        let put = || Op::Put(Put::new(key, "v"));
        let check = || Op::Check { key, condition: Condition::Absent };
        assert!(check_ops(&[check(), put()]).is_ok());
        assert!(check_ops(&[put(), put()]).is_err());
    }
}
