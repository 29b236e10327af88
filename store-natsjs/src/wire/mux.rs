//! Requests over one reply subscription.
//!
//! The client library has requests of its own. These forget a caller that gave up, fail what is in flight as soon as its connection
//! is gone instead of when its time is up, and can have many replies.
//!
//! Whoever waits for an answer looks at the subscription itself and hands others what is theirs, so that a lone caller is woken by
//! its answer and not by a task in between. The one who looked last is woken by what comes next; when it leaves, it wakes the task
//! of the mux, which looks in its place. That task also keeps the time of all requests: a timer for each would cost more.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::future::{Future as _, poll_fn};
use std::hash::BuildHasher as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message, StatusCode, Subscriber};
use bytes::Bytes;
use foldhash::fast::FixedState;
use futures_util::StreamExt as _;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use crate::wire::fault::Fault;

/// How often the state of the connection and the time of requests are looked at.
const TICK: Duration = Duration::from_millis(20);
/// Replies of one request that are handed over together.
const CHUNK: usize = 256;
/// The number of no request: the task of the mux.
const TASK: u64 = 0;

/// When a call must end, and how long one try of it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) attempt: Duration,
    /// How long the call waits for a connection that is away.
    pub(crate) reconnect: Duration,
}

impl Deadline {
    pub(crate) fn has_passed(&self) -> bool {
        Instant::now() >= self.at
    }

    fn attempt_ends(&self) -> Instant {
        self.after(self.attempt)
    }

    /// So long from now, or the end of the call.
    fn after(&self, span: Duration) -> Instant {
        Instant::now().checked_add(span).map_or(self.at, |end| end.min(self.at))
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

type Answer = Result<Message, Fault>;

enum Reply {
    One(oneshot::Sender<Answer>),
    Many {
        held: Vec<Message>,
        sender: mpsc::UnboundedSender<Result<Vec<Message>, Fault>>,
    },
    Each {
        held: Vec<(usize, Answer)>,
        left: usize,
        /// What each request was sent to.
        subjects: Vec<u64>,
        sender: Replies,
    },
}

type Replies = mpsc::UnboundedSender<Result<Vec<(usize, Answer)>, Fault>>;

struct Slot {
    reply: Reply,
    /// The connection over which it was sent, as a count of connections.
    connection: u64,
    subject: u64,
    /// When this try is given up.
    until: Instant,
    /// Each of many replies renews the time of the try.
    deadline: Deadline,
    heard: bool,
}

impl Slot {
    /// Of several requests, those end whose subjects the server refused; the others go on.
    fn refuse(&mut self, refused: &[u64]) {
        let Reply::Each { held, left, subjects, sender } = &mut self.reply else { return };
        if refused.is_empty() {
            return;
        }
        for (i, _) in subjects.iter().enumerate().filter(|(_, subject)| refused.contains(subject)) {
            *left = left.saturating_sub(1);
            held.push((i, Err(Fault::Denied)));
        }
        self.heard = true;
        drop(sender.send(Ok(std::mem::take(held))));
    }

    fn fail(self, fault: Fault) {
        match self.reply {
            Reply::One(sender) => drop(sender.send(Err(fault))),
            Reply::Many { sender, .. } => drop(sender.send(Err(fault))),
            Reply::Each { sender, .. } => drop(sender.send(Err(fault))),
        }
    }
}

/// Many requests over one subscription.
pub(crate) struct Mux {
    client: Client,
    inbox: String,
    next: AtomicU64,
    line: Arc<Line>,
    refusals: Refusals,
    task: tokio::task::AbortHandle,
}

/// The subscription and who waits for what.
struct Line {
    subscriber: Mutex<Subscriber>,
    slots: Mutex<HashMap<u64, Slot, FixedState>>,
    /// The request that the subscription wakes: it looked last.
    looks: AtomicU64,
    /// Wakes the task, which looks when nobody else does.
    task: AtomicWaker,
    /// Length of the inbox before a request's number.
    prefix: usize,
}

/// What a look at the subscription came to.
#[derive(PartialEq)]
enum Look {
    /// There is something for the one who looked.
    Mine,
    /// Nothing for now; who looked is woken, or somebody else is at it.
    Nothing,
    /// The subscription ended.
    Ended,
}

impl Line {
    /// Hands out what has come, until there is something for this request.
    fn look(&self, number: u64, cx: &mut Context<'_>) -> Look {
        let Some(mut subscriber) = self.subscriber.try_lock() else { return Look::Nothing };
        loop {
            match subscriber.poll_next_unpin(cx) {
                Poll::Ready(Some(message)) => {
                    if self.deliver(message) == Some(number) {
                        self.looks.store(number, Ordering::Release);
                        return Look::Mine;
                    }
                }
                Poll::Ready(None) => {
                    self.looks.store(number, Ordering::Release);
                    return Look::Ended;
                }
                Poll::Pending => {
                    self.looks.store(number, Ordering::Release);
                    return Look::Nothing;
                }
            }
        }
    }

    /// The request that now has something to take.
    fn deliver(&self, message: Message) -> Option<u64> {
        let address = message.subject.get(self.prefix..)?;
        let (number, index) = match address.split_once('-') {
            Some((number, index)) => (number.parse().ok()?, index.parse().ok()?),
            None => (address.parse().ok()?, 0),
        };
        let mut slots = self.slots.lock();
        match slots.get_mut(&number)? {
            Slot { reply: Reply::Each { held, left, sender, .. }, heard, .. } => {
                *heard = true;
                *left = left.saturating_sub(1);
                held.push((index, Ok(message)));
                if *left > 0 && held.len() < CHUNK / 4 {
                    return None;
                }
                drop(sender.send(Ok(std::mem::take(held))));
            }
            Slot { reply: Reply::Many { held, sender }, heard, .. } => {
                *heard = true;
                let is_last = message.status.is_some();
                held.push(message);
                if !is_last && held.len() < CHUNK {
                    return None;
                }
                drop(sender.send(Ok(std::mem::take(held))));
            }
            _ => {
                if let Some(Slot { reply: Reply::One(sender), .. }) = slots.remove(&number) {
                    drop(slots);
                    drop(sender.send(Ok(message)));
                }
            }
        }
        Some(number)
    }

    /// Before a request that the subscription would wake does something else: the task takes over if others wait.
    fn leave(&self, number: u64) {
        if self.looks.load(Ordering::Acquire) == number
            && self.slots.lock().keys().any(|other| *other != number)
        {
            self.task.wake();
        }
    }

    /// Fails what can no longer be answered.
    fn look_after(&self, client: &Client, refusals: &Refusals) {
        let refused = refusals.news();
        let mut slots = self.slots.lock();
        if slots.is_empty() {
            return;
        }
        let connection = client.statistics().connects.load(Ordering::Acquire);
        let down = client.connection_state() != State::Connected;
        let now = Instant::now();
        let ended = slots.extract_if(|_, slot| {
            slot.refuse(&refused);
            if std::mem::take(&mut slot.heard) {
                slot.until = slot.deadline.attempt_ends();
            }
            down || slot.connection != connection
                || slot.until <= now
                || refused.contains(&slot.subject)
        });
        let ended: Vec<Slot> = ended.map(|(_, slot)| slot).collect();
        drop(slots);
        for slot in ended {
            let fault = if refused.contains(&slot.subject) {
                Fault::Denied
            } else if down || slot.connection != connection {
                Fault::Lost
            } else {
                Fault::Timeout
            };
            slot.fail(fault);
        }
    }
}

/// The subjects that the server refused, told by the connection's events.
#[derive(Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<Refused>>);

#[derive(Default)]
struct Refused {
    /// Nobody has looked at them.
    news: Vec<u64>,
    /// The last ones, for what has no answer of its own.
    last: VecDeque<(Instant, u64)>,
}

/// How many refused subjects are remembered.
const REFUSED: usize = 4096;

impl Refusals {
    /// Takes the text of a server error.
    pub(crate) fn note(&self, text: &str) {
        let lower = text.to_ascii_lowercase();
        if lower.contains("permissions violation for publish")
            && let Some(subject) = text.split('"').nth(1)
        {
            let (subject, mut refused) = (hash(subject), self.0.lock());
            if refused.news.len() < REFUSED {
                refused.news.push(subject);
            }
            if refused.last.len() == REFUSED {
                refused.last.pop_front();
            }
            refused.last.push_back((Instant::now(), subject));
        }
    }

    fn news(&self) -> Vec<u64> {
        std::mem::take(&mut self.0.lock().news)
    }
}

fn hash(subject: &str) -> u64 {
    FixedState::with_seed(1).hash_one(subject)
}

impl Mux {
    pub(crate) async fn start(client: Client, refusals: Refusals) -> Result<Self, Fault> {
        let inbox = format!("{}.", client.new_inbox());
        let subscriber = client.subscribe(format!("{inbox}*")).await.map_err(|_| Fault::Closed)?;
        let line = Arc::new(Line {
            subscriber: Mutex::new(subscriber),
            slots: Mutex::default(),
            looks: AtomicU64::new(TASK),
            task: AtomicWaker::new(),
            prefix: inbox.len(),
        });
        let task = tokio::spawn(stand_in(Arc::clone(&line), client.clone(), refusals.clone()));
        let task = task.abort_handle();
        Ok(Self { client, inbox, next: AtomicU64::new(TASK + 1), line, refusals, task })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the server has refused one of these subjects since then. It says so beside the answers, soon after it did.
    pub(crate) fn has_refused<'a>(
        &self,
        mut subjects: impl Iterator<Item = Cow<'a, str>>,
        since: Instant,
    ) -> bool {
        let refused = self.refusals.0.lock();
        let of_late =
            |wanted| refused.last.iter().any(|(at, subject)| *at >= since && *subject == wanted);
        !refused.last.is_empty() && subjects.any(|subject| of_late(hash(&subject)))
    }

    /// How many requests wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.line.slots.lock().len()
    }

    /// Waits until there is a connection.
    async fn connected(&self, deadline: Deadline) -> Result<(), Fault> {
        let until = deadline.after(deadline.reconnect);
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

    fn register(
        &self,
        subject: &str,
        reply: Reply,
        until: Instant,
        deadline: Deadline,
    ) -> Waiting<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = self.client.statistics().connects.load(Ordering::Acquire);
        let subject = hash(subject);
        let slot = Slot { reply, connection, subject, until, deadline, heard: false };
        self.line.slots.lock().insert(number, slot);
        Waiting { mux: self, number }
    }

    async fn send(
        &self,
        subject: String,
        reply: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<(), Fault> {
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
        subject: impl Into<String>,
        headers: Option<HeaderMap>,
        payload: Bytes,
        deadline: Deadline,
    ) -> Result<Message, Fault> {
        let subject = subject.into();
        self.connected(deadline).await?;
        let until = deadline.attempt_ends();
        let (sender, receiver) = oneshot::channel();
        let waiting = self.register(&subject, Reply::One(sender), until, deadline);
        self.send(subject, waiting.inbox(), headers, payload).await?;
        let mut receiver = pin!(receiver);
        let answer = waiting.until(|cx| receiver.as_mut().poll(cx)).await;
        let message = answer.map_err(|_| Fault::Lost)??;
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(Fault::NoResponders);
        }
        Ok(message)
    }

    /// One request with many replies, up to and with the first that carries a status; one try.
    pub(crate) async fn request_many(
        &self,
        subject: impl Into<String>,
        payload: Bytes,
        deadline: Deadline,
        mut each: impl FnMut(Message) + Send,
    ) -> Result<Message, Fault> {
        let subject = subject.into();
        self.connected(deadline).await?;
        let until = deadline.attempt_ends();
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let reply = Reply::Many { held: Vec::new(), sender };
        let waiting = self.register(&subject, reply, until, deadline);
        self.send(subject, waiting.inbox(), None, payload).await?;
        loop {
            let messages = waiting.until(|cx| receiver.poll_recv(cx)).await;
            self.line.leave(waiting.number);
            for message in messages.ok_or(Fault::Lost)?? {
                match message.status {
                    Some(StatusCode::NO_RESPONDERS) => return Err(Fault::NoResponders),
                    Some(_) => return Ok(message),
                    None => each(message),
                }
            }
        }
    }
}

impl Mux {
    /// Requests of one reply each, so many under way at a time. `message` gives the next, `each` gets the replies with the numbers of
    /// their requests, in the order in which they come, and which subjects were refused. After a fault, some have had no reply.
    pub(crate) async fn request_each(
        &self,
        message: impl Fn(usize) -> Option<(String, HeaderMap, Bytes)> + Send,
        window: usize,
        deadline: Deadline,
        mut each: impl FnMut(usize, Answer) + Send,
    ) -> Result<(), Fault> {
        self.connected(deadline).await?;
        let until = deadline.attempt_ends();
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let reply = Reply::Each { held: Vec::new(), left: 0, subjects: Vec::new(), sender };
        let waiting = self.register("", reply, until, deadline);
        let inbox = waiting.inbox();
        let (mut sent, mut answered, mut is_last) = (0, 0, false);
        loop {
            let room = window - (sent - answered);
            for _ in 0..room {
                let Some((subject, headers, payload)) = message(sent) else {
                    is_last = true;
                    break;
                };
                waiting.expect_another(&subject);
                let mut digits = itoa::Buffer::new();
                let reply = [&*inbox, "-", digits.format(sent)].concat();
                self.send(subject, reply, Some(headers), payload).await?;
                sent += 1;
            }
            if is_last && answered == sent {
                return Ok(());
            }
            let replies = waiting.until(|cx| receiver.poll_recv(cx)).await;
            for (number, message) in replies.ok_or(Fault::Lost)?? {
                answered += 1;
                each(number, message);
            }
        }
    }
}

impl Drop for Mux {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn publish_fault(error: &async_nats::PublishError) -> Fault {
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

    fn expect_another(&self, subject: &str) {
        if let Some(Slot { reply: Reply::Each { left, subjects, .. }, .. }) =
            self.mux.line.slots.lock().get_mut(&self.number)
        {
            *left += 1;
            subjects.push(hash(subject));
        }
    }

    /// Waits for what was handed over, and hands over meanwhile.
    async fn until<T>(&self, mut ready: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(answer) = ready(cx) {
                    return Poll::Ready(answer);
                }
                match self.mux.line.look(self.number, cx) {
                    Look::Mine => {}
                    Look::Nothing => return Poll::Pending,
                    // The task fails all requests.
                    Look::Ended => {
                        self.mux.line.task.wake();
                        return Poll::Pending;
                    }
                }
            }
        })
        .await
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.mux.line.slots.lock().remove(&self.number);
        self.mux.line.leave(self.number);
    }
}

/// Looks at the subscription when nobody else does, and keeps the time.
async fn stand_in(line: Arc<Line>, client: Client, refusals: Refusals) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    poll_fn(|cx| {
        line.task.register(cx.waker());
        if line.look(TASK, cx) == Look::Ended {
            return Poll::Ready(());
        }
        while ticks.poll_tick(cx).is_ready() {
            line.look_after(&client, &refusals);
        }
        Poll::Pending
    })
    .await;
    for (_, slot) in line.slots.lock().drain() {
        slot.fail(Fault::Lost);
    }
}
