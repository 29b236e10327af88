//! Requests over one reply subscription.
//!
//! The client library has requests of its own. These cost less per call, forget a caller that gave up, fail what is in flight as
//! soon as its connection is gone instead of when its time is up, and can have many replies.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message, StatusCode};
use bytes::Bytes;
use foldhash::fast::FixedState;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, timeout_at};

use crate::wire::fault::Fault;

/// How often the state of the connection is looked at.
const TICK: Duration = Duration::from_millis(20);

/// When a call must end, and how long one try of it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) attempt: Duration,
}

impl Deadline {
    pub(crate) fn has_passed(&self) -> bool {
        Instant::now() >= self.at
    }

    fn attempt_ends(&self) -> Instant {
        Instant::now().checked_add(self.attempt).map_or(self.at, |end| end.min(self.at))
    }

    /// Waits a little, or says that there is no time left.
    pub(crate) async fn pause(&self, round: u32) -> bool {
        let wait = Duration::from_millis(5 << round.min(5));
        if Instant::now() + wait >= self.at {
            return false;
        }
        tokio::time::sleep(wait).await;
        true
    }
}

enum Reply {
    One(oneshot::Sender<Result<Message, Fault>>),
    Many(mpsc::UnboundedSender<Result<Message, Fault>>),
}

struct Slot {
    reply: Reply,
    /// The connection over which it was sent, as a count of connections.
    connection: u64,
    subject: u64,
}

impl Slot {
    fn fail(self, fault: Fault) {
        match self.reply {
            Reply::One(sender) => drop(sender.send(Err(fault))),
            Reply::Many(sender) => drop(sender.send(Err(fault))),
        }
    }
}

type Slots = Mutex<HashMap<u64, Slot, FixedState>>;

/// Many requests over one subscription.
pub(crate) struct Mux {
    client: Client,
    inbox: String,
    next: AtomicU64,
    slots: Arc<Slots>,
    task: tokio::task::AbortHandle,
}

/// The subjects that the server refused, told by the connection's events.
#[derive(Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<Vec<u64>>>);

impl Refusals {
    /// Takes the text of a server error.
    pub(crate) fn note(&self, text: &str) {
        let lower = text.to_ascii_lowercase();
        if lower.contains("permissions violation for publish")
            && let Some(subject) = text.split('"').nth(1)
        {
            let mut list = self.0.lock();
            if list.len() < 4096 {
                list.push(hash(subject));
            }
        }
    }
}

fn hash(subject: &str) -> u64 {
    FixedState::with_seed(1).hash_one(subject)
}

impl Mux {
    pub(crate) async fn start(client: Client, refusals: Refusals) -> Result<Self, Fault> {
        let inbox = format!("{}.", client.new_inbox());
        let subscriber = client.subscribe(format!("{inbox}*")).await.map_err(|_| Fault::Closed)?;
        let slots = Arc::new(Slots::default());
        let task = tokio::spawn(dispatch(
            subscriber,
            inbox.len(),
            client.clone(),
            Arc::clone(&slots),
            refusals,
        ));
        let task = task.abort_handle();
        Ok(Self { client, inbox, next: AtomicU64::new(0), slots, task })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// How many requests wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.slots.lock().len()
    }

    /// Waits until there is a connection.
    async fn connected(&self, until: Instant) -> Result<(), Fault> {
        while self.client.connection_state() != State::Connected {
            if self.task.is_finished() {
                return Err(Fault::Closed);
            }
            if Instant::now() + TICK / 4 >= until {
                return Err(Fault::Disconnected);
            }
            tokio::time::sleep(TICK / 4).await;
        }
        if self.task.is_finished() { Err(Fault::Closed) } else { Ok(()) }
    }

    fn register(&self, subject: &str, reply: Reply) -> Waiting<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = self.client.statistics().connects.load(Ordering::Acquire);
        let slot = Slot { reply, connection, subject: hash(subject) };
        self.slots.lock().insert(number, slot);
        Waiting { mux: self, number }
    }

    async fn send(
        &self,
        subject: &str,
        reply: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<(), Fault> {
        let subject = subject.to_owned();
        let sent = match headers {
            Some(headers) => {
                self.client.publish_with_reply_and_headers(subject, reply, headers, payload).await
            }
            None => self.client.publish_with_reply(subject, reply, payload).await,
        };
        sent.map_err(|error| publish_fault(&error))
    }

    /// A message without any answer.
    pub(crate) async fn publish(
        &self,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<(), Fault> {
        let subject = subject.to_owned();
        let sent = match headers {
            Some(headers) => self.client.publish_with_headers(subject, headers, payload).await,
            None => self.client.publish(subject, payload).await,
        };
        sent.map_err(|error| publish_fault(&error))
    }

    /// One request, one reply, one try.
    pub(crate) async fn request(
        &self,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
        deadline: Deadline,
    ) -> Result<Message, Fault> {
        let until = deadline.attempt_ends();
        self.connected(until).await?;
        let (sender, receiver) = oneshot::channel();
        let waiting = self.register(subject, Reply::One(sender));
        self.send(subject, waiting.inbox(), headers, payload).await?;
        let message = match timeout_at(until, receiver).await {
            Err(_) => return Err(Fault::Timeout),
            Ok(Err(_)) => return Err(Fault::Lost),
            Ok(Ok(answer)) => answer?,
        };
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(Fault::NoResponders);
        }
        Ok(message)
    }

    /// One request with many replies, up to and with the first that carries a status; one try.
    pub(crate) async fn request_many(
        &self,
        subject: &str,
        payload: Bytes,
        deadline: Deadline,
        mut each: impl FnMut(Message) + Send,
    ) -> Result<Message, Fault> {
        self.connected(deadline.attempt_ends()).await?;
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let waiting = self.register(subject, Reply::Many(sender));
        self.send(subject, waiting.inbox(), None, payload).await?;
        loop {
            // Each reply has the time of an attempt: a large answer takes longer than a small one.
            let message = match timeout_at(deadline.attempt_ends(), receiver.recv()).await {
                Err(_) => return Err(Fault::Timeout),
                Ok(None) => return Err(Fault::Lost),
                Ok(Some(answer)) => answer?,
            };
            match message.status {
                Some(StatusCode::NO_RESPONDERS) => return Err(Fault::NoResponders),
                Some(_) => return Ok(message),
                None => each(message),
            }
        }
    }
}

impl Drop for Mux {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn publish_fault(error: &async_nats::PublishError) -> Fault {
    use async_nats::client::PublishErrorKind as Kind;
    match error.kind() {
        Kind::MaxPayloadExceeded => Fault::TooLarge,
        Kind::InvalidSubject => Fault::Garbage("the driver made a bad subject".into()),
        Kind::Send => Fault::Closed,
    }
}

/// A registered request; forgets itself.
struct Waiting<'a> {
    mux: &'a Mux,
    number: u64,
}

impl Waiting<'_> {
    fn inbox(&self) -> String {
        let mut digits = itoa::Buffer::new();
        [&self.mux.inbox, digits.format(self.number)].concat()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.mux.slots.lock().remove(&self.number);
    }
}

async fn dispatch(
    mut subscriber: async_nats::Subscriber,
    prefix: usize,
    client: Client,
    slots: Arc<Slots>,
    refusals: Refusals,
) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            message = subscriber.next() => {
                let Some(message) = message else { break };
                deliver(message, prefix, &slots);
            }
            _ = ticks.tick() => look_after(&client, &slots, &refusals),
        }
    }
    for (_, slot) in slots.lock().drain() {
        slot.fail(Fault::Lost);
    }
}

fn deliver(message: Message, prefix: usize, slots: &Slots) {
    let Some(number) = message.subject.get(prefix..).and_then(|text| text.parse().ok()) else {
        return;
    };
    let mut slots = slots.lock();
    match slots.get(&number) {
        Some(Slot { reply: Reply::Many(sender), .. }) => drop(sender.send(Ok(message))),
        Some(_) => {
            if let Some(Slot { reply: Reply::One(sender), .. }) = slots.remove(&number) {
                drop(sender.send(Ok(message)));
            }
        }
        None => {}
    }
}

/// Fails what can no longer be answered.
fn look_after(client: &Client, slots: &Slots, refusals: &Refusals) {
    let refused = std::mem::take(&mut *refusals.0.lock());
    let mut slots = slots.lock();
    if slots.is_empty() {
        return;
    }
    let now = client.statistics().connects.load(Ordering::Acquire);
    let down = client.connection_state() != State::Connected;
    let lost = slots
        .extract_if(|_, slot| down || slot.connection != now || refused.contains(&slot.subject));
    let lost: Vec<Slot> = lost.map(|(_, slot)| slot).collect();
    drop(slots);
    for slot in lost {
        let fault = if refused.contains(&slot.subject) { Fault::Denied } else { Fault::Lost };
        slot.fail(fault);
    }
}
