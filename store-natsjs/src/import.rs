//! Bulk loads: records that are acknowledged together, not one by one.
//!
//! A server from 2.14 on takes a batch of messages and says now and then how far it is, which costs both sides a fraction of an
//! acknowledgement for each. Where it does not, or where a layout must look at what it overwrites, records are written in the
//! ordinary way, many at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use serde::Deserialize;
use store_core::options::Expires;
use store_core::{Error, Namespace, Put, Result, Store as _};
use tokio::time::{Instant, timeout};

use crate::store::Nats;
use crate::table::Table;
use crate::wire::api::ApiError;
use crate::wire::fault::Fault;

/// Messages between two answers of the server.
const FLOW: u64 = 1000;
/// Answers that may be missing before the next message waits.
const OUTSTANDING: u64 = 2;
/// The bytes of one batch, which are kept until it is acknowledged.
const BATCH_BYTES: usize = 8 << 20;
/// Records of one call where there are no such batches.
const CHUNK: usize = 4096;

/// Errors of a batch that is begun anew: not complete, not known, abandoned.
const BROKEN: [u64; 3] = [10_176, 10_208, 10_210];

/// What became of a bulk load.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Imported {
    /// How many records are written: the first so many of those that were not refused.
    pub written: u64,
    /// Records that cannot be written as they are, by their number in the load, from 0. The others are written all the same.
    pub refused: Vec<(usize, Error)>,
    /// What ended the load early, if something did. Of the records after the first [`written`](Self::written), some may be stored.
    pub stopped: Option<Error>,
}

impl Nats {
    /// Loads many records into a table, in order, overwriting what is there: the fast way to fill a database. Creates the database if
    /// need be, as a write does.
    ///
    /// Records have no revisions here: they are acknowledged together. When the connection breaks, what was not acknowledged is sent
    /// again, so a record may be written twice, also over a change that somebody else made in between. Memory for 8 MiB of records.
    ///
    /// A server from 2.14 on does this in batches if the bucket allows it (`allow_batched`, which buckets that this driver makes in
    /// its `native` layout do). Elsewhere it is [`write_many`](store_core::Store::write_many).
    ///
    /// ```no_run
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// # use store_core::{Key, Name, Namespace, Put};
    /// # let store = store_natsjs::Nats::connect("nats://localhost").await?;
    /// let users = Namespace::new(Name::new("app")?, "users")?;
    /// let keys: Vec<String> = (0..100_000).map(|i| format!("u{i}")).collect();
    /// let puts = keys.iter().filter_map(|key| Some(Put::new(Key::new(key).ok()?, "new")));
    /// let done = store.import(&users, puts).await?;
    /// assert_eq!((done.written, done.refused.len()), (100_000, 0));
    /// assert!(done.stopped.is_none());
    /// # Ok::<(), store_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Those of writes when nothing was begun; later ones are in [`Imported::stopped`]. Refused are a record with a condition and one that
    /// keeps its expiry (`InvalidArgument`), and what a write refuses.
    pub async fn import<'a, I>(&self, ns: &Namespace, puts: I) -> Result<Imported>
    where
        I: IntoIterator<Item = Put<'a>> + Send,
        I::IntoIter: Send,
    {
        let Some(table) = self.enter(ns, true).await? else {
            return Err(crate::admin::missing());
        };
        let puts = puts.into_iter().enumerate();
        if table.known.batched && !table.layout().is_go_micro() {
            Ok(table.import(puts).await)
        } else {
            Ok(self.import_by_writes(ns, puts).await)
        }
    }

    async fn import_by_writes<'a>(
        &self,
        ns: &Namespace,
        puts: impl Iterator<Item = (usize, Put<'a>)> + Send,
    ) -> Imported {
        let mut done = Imported::default();
        let mut puts = puts.peekable();
        while puts.peek().is_some() && done.stopped.is_none() {
            let mut chunk = Vec::new();
            for (number, put) in puts.by_ref().take(CHUNK) {
                match unconditional(&put) {
                    Ok(()) => chunk.push((number, put)),
                    Err(error) => done.refused.push((number, error)),
                }
            }
            let (numbers, chunk): (Vec<_>, Vec<_>) = chunk.into_iter().unzip();
            for (number, written) in numbers.into_iter().zip(self.write_many(ns, chunk).await) {
                match written {
                    Err(error) if is_about_the_record(&error) => done.refused.push((number, error)),
                    Err(error) => done.stopped = done.stopped.or(Some(error)),
                    Ok(_) if done.stopped.is_none() => done.written += 1,
                    Ok(_) => {}
                }
            }
        }
        done
    }
}

/// A load does not look at what it overwrites.
fn unconditional(put: &Put<'_>) -> Result<()> {
    if put.condition.is_any() && put.expiry != store_core::Expiry::Keep {
        return Ok(());
    }
    Err(Error::invalid("a bulk load takes no conditions, and no record that keeps its expiry"))
}

fn is_about_the_record(error: &Error) -> bool {
    use store_core::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::InvalidArgument | Kind::TooLarge | Kind::Unsupported | Kind::Conflict
    )
}

struct Message {
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

impl Message {
    fn len(&self) -> usize {
        self.subject.len() + self.payload.len() + 128
    }
}

/// What the server says of a batch.
#[derive(Deserialize)]
struct Said {
    /// `ack` while it goes on; nothing at the end.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// While it goes on: the last message of the batch that it has; at the end: the sequence in the stream.
    #[serde(default)]
    seq: u64,
    /// How many messages until it says so again.
    #[serde(default)]
    msgs: u64,
    /// At the end: the messages of the batch.
    #[serde(default)]
    count: u64,
    error: Option<ApiError>,
}

impl Table {
    fn message(&self, put: &Put<'_>) -> Result<Message> {
        unconditional(put)?;
        let subject = self.route(&self.subject(put.key)?).into_owned();
        self.check_value(&put.value, &put.metadata)?;
        // What is below is not known, so that nothing is left to the server to remove: the record's own header hides it in time.
        let at = match self.resolve(put.expiry)? {
            Expires::To(at) => at,
            Expires::Keep => None,
        };
        let value = put.value.clone().into_bytes();
        let (headers, payload) = self.layout().encode(put.key.as_str(), value, &put.metadata, at);
        Ok(Message { subject, headers, payload })
    }

    async fn import<'a>(mut self, puts: impl Iterator<Item = (usize, Put<'a>)> + Send) -> Imported {
        let mut done = Imported::default();
        let mut refused = Vec::new();
        let mut messages = puts.filter_map(|(number, put)| match self.message(&put) {
            Ok(message) => Some(message),
            Err(error) => {
                refused.push((number, error));
                None
            }
        });
        // What is not acknowledged, from a batch that broke.
        let mut again = VecDeque::new();
        let (shared, bucket) = (Arc::clone(&self.shared), Arc::clone(&self.bucket));
        let (since, mut deadline) = (Instant::now(), shared.deadline());
        let mut round = 0;
        loop {
            let mut batch = Batch::new(&shared.js.mux, deadline.attempt);
            let ended = batch.run(&mut again, &mut messages).await;
            bucket.names.clear();
            if batch.acked > 0 {
                deadline = shared.deadline();
                round = 0;
                done.written += batch.acked;
            }
            match ended {
                Ok(None) => break,
                Ok(Some(last)) => bucket.acked.note_many(last),
                Err(fault) => {
                    bucket.acked.note_many(bucket.acked.newest() + 1);
                    // In front of what was taken from the load and not sent.
                    batch.unanswered.append(&mut again);
                    again = batch.unanswered;
                    let sent = again.iter().map(|message| message.subject.as_str().into());
                    let denied = shared.js.mux.has_refused(sent, since);
                    let fault = if denied { Fault::Denied } else { fault };
                    let may_pass = fault.is_worth_another_try() && !shared.is_closed();
                    if !(may_pass && deadline.pause(round).await) {
                        done.stopped = Some(fault.into_error(true));
                        break;
                    }
                    round += 1;
                }
            }
        }
        drop(messages);
        self.deadline = deadline;
        done.refused = refused;
        done
    }
}

/// One batch: all or a part of what is to be written.
struct Batch<'a> {
    mux: &'a crate::wire::mux::Mux,
    patience: Duration,
    /// Sent and not acknowledged, in order.
    unanswered: VecDeque<Message>,
    sent: u64,
    acked: u64,
    /// The server has answered the first message.
    begun: bool,
    flow: u64,
}

impl<'a> Batch<'a> {
    fn new(mux: &'a crate::wire::mux::Mux, patience: Duration) -> Self {
        Self {
            mux,
            patience,
            unanswered: VecDeque::new(),
            sent: 0,
            acked: 0,
            begun: false,
            flow: FLOW,
        }
    }

    /// The stream's sequence after the batch; `None` when there was nothing to send.
    async fn run(
        &mut self,
        again: &mut VecDeque<Message>,
        messages: &mut (impl Iterator<Item = Message> + Send),
    ) -> Result<Option<u64>, Fault> {
        let client = self.mux.client().clone();
        let inbox = client.new_inbox();
        let mut next = again.pop_front().or_else(|| messages.next());
        if next.is_none() {
            return Ok(None);
        }
        let answers = client.subscribe(format!("{inbox}.>")).await;
        let mut answers = answers.map_err(|_| Fault::Closed)?;
        let mut bytes = 0;
        while let Some(message) = next.take() {
            bytes += message.len();
            next = again.pop_front().or_else(|| messages.next());
            let is_last = next.is_none() || bytes >= BATCH_BYTES;
            self.sent += 1;
            let operation = match (self.sent, is_last) {
                (_, true) => 2,
                (1, false) => 0,
                _ => 1,
            };
            let reply = format!("{inbox}.{FLOW}.fail.{}.{operation}.$FI", self.sent);
            let (subject, headers) = (message.subject.clone(), message.headers.clone());
            let payload = message.payload.clone();
            self.unanswered.push_back(message);
            let published = if headers.is_empty() {
                client.publish_with_reply(subject, reply, payload).await
            } else {
                client.publish_with_reply_and_headers(subject, reply, headers, payload).await
            };
            if let Err(error) = published {
                // Goes on with the next batch, if there is one.
                if let Some(next) = next {
                    again.push_front(next);
                }
                return Err(crate::wire::mux::publish_fault(&error));
            }
            if is_last {
                // The first of the next batch.
                if let Some(next) = next {
                    again.push_front(next);
                }
                break;
            }
            while let Some(said) = self.heard(&mut answers).await.transpose() {
                if let Err(fault) = said.and_then(|said| self.went_on(&said)) {
                    if let Some(next) = next {
                        again.push_front(next);
                    }
                    return Err(fault);
                }
            }
        }
        loop {
            let said = self.hear(&mut answers).await?;
            if said.kind.is_none() && said.error.is_none() {
                let all = said.count == self.sent;
                self.acked = self.sent;
                self.unanswered.clear();
                let short = || Fault::Garbage("a bulk load was taken in part".into());
                return if all { Ok(Some(said.seq)) } else { Err(short()) };
            }
            self.went_on(&said)?;
        }
    }

    /// What has come, waiting for it only where the next message must.
    async fn heard(&self, answers: &mut Subscriber) -> Result<Option<Said>, Fault> {
        if !self.begun || self.acked + self.flow * OUTSTANDING <= self.sent {
            return self.hear(answers).await.map(Some);
        }
        match answers.next().now_or_never() {
            None => Ok(None),
            Some(message) => read(message.as_ref()).map(Some),
        }
    }

    async fn hear(&self, answers: &mut Subscriber) -> Result<Said, Fault> {
        match timeout(self.patience, answers.next()).await {
            Err(_) => Err(Fault::Timeout),
            Ok(message) => read(message.as_ref()),
        }
    }

    fn went_on(&mut self, said: &Said) -> Result<(), Fault> {
        match (&said.error, said.kind.as_deref()) {
            // The server knows nothing of the batch: it is another process than the one that it began with, or let it go.
            (Some(error), _) if BROKEN.contains(&error.err_code) => Err(Fault::Lost),
            (Some(error), _) => Err(error.clone().into()),
            (None, Some("ack")) => {
                let acked = said.seq.min(self.sent).max(self.acked);
                self.unanswered.drain(..(acked - self.acked) as usize);
                self.acked = acked;
                self.begun = true;
                self.flow = if said.msgs == 0 { self.flow } else { said.msgs };
                Ok(())
            }
            // A message was lost on the way: the server dropped the rest.
            _ => Err(Fault::Lost),
        }
    }
}

fn read(message: Option<&async_nats::Message>) -> Result<Said, Fault> {
    let message = message.ok_or(Fault::Closed)?;
    if message.status == Some(async_nats::StatusCode::NO_RESPONDERS) {
        return Err(Fault::NoResponders);
    }
    serde_json::from_slice(&message.payload)
        .map_err(|_| Fault::Garbage("an answer to a bulk load cannot be read".into()))
}
