//! An ordered consumer: what a stream holds for some subjects, then what comes, in order, without gap or duplicate.
//!
//! It is push based, lives in the server's memory, and is deleted with the feed. What got lost on the way shows as a gap in the
//! consumer's own numbers or as missing heartbeats; then another consumer goes on after the last message that arrived.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::wire::api::{Js, Which};
use crate::wire::fault::Fault;
use crate::wire::mux::Deadline;
use crate::wire::stored::{Stored, nanos};

/// Where a feed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With the newest message of each subject.
    Latest,
    /// With this sequence, or what there is after it.
    At(u64),
    /// After this sequence, of what came after which nothing may be missing.
    After(u64),
    /// With what comes.
    New,
}

/// What a feed is about.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) stream: String,
    pub(crate) filters: Vec<String>,
    pub(crate) headers_only: bool,
    /// How often the server gives a sign of life.
    pub(crate) heartbeat: Duration,
}

/// How long one request of a feed may take, and one try of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) request: Duration,
    pub(crate) attempt: Duration,
    pub(crate) reconnect: Duration,
}

impl Timeouts {
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline {
            at: Instant::now() + self.request,
            attempt: self.attempt,
            reconnect: self.reconnect,
        }
    }
}

/// What a feed brings.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A message.
    Message(Stored),
    /// All that was there when the feed began has come, up to this sequence.
    CaughtUp(u64),
    /// The stream is another one, or went back: the feed begins again with the newest of each subject.
    Lost,
}

/// How far a feed is with what was there when it began.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// On the way.
    Behind,
    /// On the way to what the leader was asked for when the server's count said that there is no more.
    Confirmed,
    /// It has told that it caught up.
    Told,
}

/// See the [module](self).
pub(crate) struct Feed {
    js: Js,
    topic: Topic,
    timeouts: Timeouts,
    line: Option<Line>,
    /// Where the next line begins.
    begin: Begin,
    /// When the stream was created, in nanoseconds: its identity.
    created: Option<u64>,
    /// The highest sequence seen.
    last: u64,
    /// That of the last message.
    delivered: u64,
    /// Up to here, the server has nothing more for this feed: at least `last`, later where other subjects were written.
    reached: u64,
    /// Whether the stream had messages when it was last looked at.
    filled: bool,
    /// Whether the headers of messages are kept for [`take_headers`](Self::take_headers).
    whole: bool,
    headers: Option<HeaderMap>,
    /// How many messages were waiting behind the last one.
    pending: u64,
    /// How long it waits for what is behind its goal, since when, and whether it fails if that is not enough.
    patience: Option<Duration>,
    waits_since: Option<Instant>,
    must_be_whole: bool,
    /// Where to tell what was reached.
    listener: Option<watch::Sender<u64>>,
    /// The last sequence of the stream when the feed began, or began anew.
    began: Option<u64>,
    /// That of when its line began, until it has come so far.
    goal: Option<u64>,
    stage: Stage,
    failures: u32,
}

/// What a stream says of itself.
struct State {
    created: u64,
    last: u64,
    is_empty: bool,
    /// Up to which sequence deletions were removed.
    compacted: Option<u64>,
}

/// One consumer and its subscription.
struct Line {
    subscriber: Subscriber,
    client: Client,
    delete: String,
    /// The request that tells how far the consumer is.
    info: String,
    /// The number of the next delivery.
    next: u64,
    alive: Instant,
}

impl Drop for Line {
    fn drop(&mut self) {
        // The server would also notice by itself, after a while.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (client, subject) = (self.client.clone(), std::mem::take(&mut self.delete));
            runtime.spawn(async move {
                let _ = client.publish(subject, Bytes::new()).await;
            });
        }
    }
}

impl Feed {
    /// A feed whose consumer exists.
    pub(crate) async fn open(
        js: Js,
        topic: Topic,
        begin: Begin,
        timeouts: Timeouts,
    ) -> Result<Self, Fault> {
        let before = if let Begin::After(sequence) = begin { sequence } else { 0 };
        let mut feed = Self {
            js,
            topic,
            timeouts,
            line: None,
            begin,
            created: None,
            last: before,
            delivered: 0,
            reached: before,
            filled: false,
            whole: false,
            headers: None,
            pending: 0,
            patience: None,
            waits_since: None,
            must_be_whole: false,
            listener: None,
            began: None,
            goal: None,
            stage: Stage::Behind,
            failures: 0,
        };
        feed.connect().await?;
        Ok(feed)
    }

    /// From now on, messages come with all their headers.
    pub(crate) fn keep_headers(&mut self) {
        self.whole = true;
    }

    /// Catches up with what is written while it does, too. What is written again moves to the end of the stream, and would be
    /// missing from what was there when the feed began. Where writers are faster, it fails in the end.
    pub(crate) fn be_thorough(&mut self) {
        self.patience = Some(self.timeouts.request);
        self.must_be_whole = true;
    }

    /// As [`be_thorough`](Self::be_thorough), but where writers are faster, it has caught up in the end.
    pub(crate) fn be_patient(&mut self) {
        self.patience = Some(self.timeouts.request);
    }

    /// The headers of the message that came last.
    pub(crate) fn take_headers(&mut self) -> Option<HeaderMap> {
        self.headers.take()
    }

    /// How many messages were waiting behind the one that came last.
    pub(crate) fn pending(&self) -> u64 {
        self.pending
    }

    /// Tells how far the feed is: what was returned counts when the next is asked for. While nothing comes, within a heartbeat.
    pub(crate) fn tell_reached(&mut self, listener: watch::Sender<u64>) {
        self.listener = Some(listener);
        self.tell();
    }

    fn tell(&self) {
        if let Some(listener) = &self.listener {
            listener.send_if_modified(|held| std::mem::replace(held, self.reached) != self.reached);
        }
    }

    /// The consumer on the server, while there is one.
    pub(crate) fn consumer(&self) -> Option<&str> {
        self.line.as_ref().and_then(|line| line.info.rsplit('.').next())
    }

    /// The stream's last sequence when the feed began, or began anew: what is later was written since.
    pub(crate) fn began(&self) -> u64 {
        self.began.unwrap_or(0)
    }

    async fn connect(&mut self) -> Result<(), Fault> {
        self.line = None;
        let deadline = self.timeouts.deadline();
        // Before the consumer is made: what it finds is all of this, and maybe more.
        let mut state = self.look(deadline).await?;
        let goal = state.last;
        if self.begin == Begin::New {
            // What begins with what comes would begin later, were its first line cut before it has brought anything.
            self.begin = Begin::After(goal);
            (self.last, self.reached) = (goal, goal);
        }
        let (line, made) = loop {
            match self.make_line(deadline).await {
                // The server may have given it to a node that died a moment ago, and by the same name would wait for that.
                Err(fault) if fault.is_worth_another_try() && !deadline.has_passed() => {}
                done => break done?,
            }
        };
        // An earlier try may have made it, and all may be on its way already: then nothing is pending, and much is to come.
        let number = |path: &str| made.pointer(path).and_then(Json::as_u64);
        let is_empty =
            number("/num_pending") == Some(0) && number("/delivered/consumer_seq") == Some(0);
        if let Begin::After(_) = self.begin {
            // And after it was made: it goes on in a stream of which nothing was lost until then.
            state = self.look(deadline).await?;
        }
        let is_other = self.created.is_some_and(|known| known != state.created);
        self.created = Some(state.created);
        // Deletions up to there may have been removed while nobody listened.
        let missed = self.last > 0 && state.compacted.is_some_and(|to| self.reached < to);
        let emptied = self.filled && state.is_empty;
        self.filled = !state.is_empty;
        if is_other || state.last < self.last || missed || emptied {
            // Not what was followed before. The line is dropped: it began in the middle.
            self.begin = Begin::Latest;
            self.last = 0;
            self.delivered = 0;
            self.reached = 0;
            self.stage = Stage::Behind;
            self.began = None;
            self.goal = None;
            self.waits_since = None;
            return Err(Fault::Garbage(LOST.into()));
        }
        self.began.get_or_insert(goal);
        if self.stage != Stage::Told {
            self.goal = Some(goal);
            if is_empty {
                self.last = self.last.max(goal);
                self.pending = 0;
            }
        }
        self.line = Some(line);
        Ok(())
    }

    async fn look(&self, deadline: Deadline) -> Result<State, Fault> {
        let info = self.js.stream_info(&self.topic.stream, &Json::Null, deadline).await?;
        let info = info.ok_or(Fault::Api {
            code: 404,
            err_code: super::fault::STREAM_NOT_FOUND,
            description: "stream not found".into(),
        })?;
        Ok(State {
            created: info.get("created").and_then(Json::as_str).and_then(nanos).unwrap_or(0),
            last: info.pointer("/state/last_seq").and_then(Json::as_u64).unwrap_or(0),
            is_empty: info.pointer("/state/messages").and_then(Json::as_u64) == Some(0),
            compacted: info
                .pointer(COMPACTED)
                .and_then(Json::as_str)
                .and_then(|text| text.parse().ok()),
        })
    }

    /// A consumer by a new name, and what the server said of it, within the time of one try.
    async fn make_line(&self, deadline: Deadline) -> Result<(Line, Json), Fault> {
        let client = self.js.mux.client().clone();
        let inbox = client.new_inbox();
        let subscriber = client.subscribe(inbox.clone()).await.map_err(|_| Fault::Closed)?;
        let id = inbox.rsplit('.').next().unwrap_or_default().to_owned();
        let stream = &self.topic.stream;
        let request = json!({ "stream_name": stream, "config": self.config(&id, &inbox) });
        let rest = format!("CONSUMER.CREATE.{stream}.{id}");
        let line = Line {
            subscriber,
            client,
            delete: self.js.subject(&format!("CONSUMER.DELETE.{stream}.{id}")),
            info: format!("CONSUMER.INFO.{stream}.{id}"),
            next: 1,
            alive: Instant::now(),
        };
        let once = Deadline { at: deadline.at.min(Instant::now() + deadline.attempt), ..deadline };
        match self.js.api(&rest, &request, once).await {
            // An earlier try got through and its answer did not.
            Err(fault) if fault.is_api(10_148) || fault.is_api(10_013) => Ok((line, Json::Null)),
            made => Ok((line, made?)),
        }
    }

    fn config(&self, id: &str, inbox: &str) -> Json {
        let heartbeat = u64::try_from(self.topic.heartbeat.as_nanos()).unwrap_or(u64::MAX);
        let mut config = json!({
            "name": id,
            "deliver_subject": inbox,
            "ack_policy": "none",
            "max_deliver": 1,
            "replay_policy": "instant",
            "flow_control": true,
            "idle_heartbeat": heartbeat,
            "inactive_threshold": 10_000_000_000_u64,
            "mem_storage": true,
            "num_replicas": 1,
            "headers_only": self.topic.headers_only,
        });
        match &self.topic.filters[..] {
            [one] => config["filter_subject"] = one.as_str().into(),
            many => config["filter_subjects"] = many.into(),
        }
        let start = match self.begin {
            Begin::Latest => None,
            Begin::At(sequence) => Some(sequence.max(1)),
            Begin::After(sequence) => Some(sequence + 1),
            Begin::New => Some(self.last + 1),
        };
        match start {
            None => config["deliver_policy"] = "last_per_subject".into(),
            Some(sequence) => {
                config["deliver_policy"] = "by_start_sequence".into();
                config["opt_start_seq"] = sequence.into();
            }
        }
        config
    }

    /// What comes next. An error of a listing ends it; a watch calls again, and the feed tries to go on.
    pub(crate) async fn next(&mut self) -> Result<Heard, Fault> {
        self.tell();
        loop {
            if self.line.is_none() {
                match self.connect().await {
                    Ok(()) => self.failures = 0,
                    Err(Fault::Garbage(what)) if what == LOST => return Ok(Heard::Lost),
                    Err(fault) => {
                        self.failures = self.failures.saturating_add(1);
                        let wait = Duration::from_millis(50 << self.failures.min(5));
                        tokio::time::sleep(wait).await;
                        return Err(fault);
                    }
                }
            }
            if let Some(goal) = self.goal
                && self.stage != Stage::Told
                && self.last >= goal
                && (self.stage == Stage::Confirmed || !self.waits()?)
            {
                if self.stage == Stage::Behind {
                    let missed = self.missed().await?;
                    self.stage = Stage::Confirmed;
                    if let Some(missed) = missed {
                        (self.last, self.goal) = (self.delivered, Some(missed));
                        continue;
                    }
                }
                self.stage = Stage::Told;
                self.goal = None;
                self.reached = self.reached.max(self.last);
                return Ok(Heard::CaughtUp(self.last));
            }
            let Some(line) = &mut self.line else { continue };
            // Three signs of life missed, and the connection is there: the consumer is gone.
            let until = line.alive + 3 * self.topic.heartbeat;
            let message = match timeout_at(until, line.subscriber.next()).await {
                Ok(Some(message)) => message,
                Ok(None) => {
                    self.line = None;
                    return Err(Fault::Closed);
                }
                Err(_) => {
                    self.line = None;
                    continue;
                }
            };
            line.alive = Instant::now();
            if message.status.is_some() {
                if !self.on_status(&message).await {
                    self.line = None;
                }
                continue;
            }
            let headers = if self.whole { message.headers.clone() } else { None };
            let (stored, delivery) = Stored::from_delivery(message)?;
            if delivery.consumer != line.next {
                self.line = None;
                continue;
            }
            line.next += 1;
            // A node that is behind may begin where it is.
            if let Begin::After(last) = self.begin
                && delivery.stream <= last
            {
                continue;
            }
            self.filled = true;
            self.pending = delivery.pending;
            self.headers = headers;
            self.delivered = delivery.stream;
            self.last = self.last.max(delivery.stream);
            self.reached = self.reached.max(self.last);
            self.begin = Begin::After(self.last);
            if delivery.pending == 0
                && self.stage != Stage::Confirmed
                && let Some(goal) = self.goal
            {
                // Nothing else matches up to there.
                self.last = self.last.max(goal);
            }
            return Ok(Heard::Message(stored));
        }
    }

    /// Whether a feed that has come to its goal waits for what is behind it. Writers may be faster: not for ever.
    fn waits(&mut self) -> Result<bool, Fault> {
        let Some(patience) = self.patience.filter(|_| self.pending > 0) else {
            return Ok(false);
        };
        if self.waits_since.get_or_insert_with(Instant::now).elapsed() <= patience {
            return Ok(true);
        }
        if self.must_be_whole { Err(Fault::Timeout) } else { Ok(false) }
    }

    /// For a feed that waits and that nothing seems to be pending for: the last message that the stream's leader has, if it is still to come.
    /// While records are written again there is a moment in which the server counts neither their old messages nor their new ones.
    async fn missed(&mut self) -> Result<Option<u64>, Fault> {
        if self.patience.is_none() {
            return Ok(None);
        }
        let [filter] = &self.topic.filters[..] else { return Ok(None) };
        let (deadline, mut round) = (self.timeouts.deadline(), 0);
        let last = loop {
            let which = Which::LastBySubj(filter);
            match self.js.leader(&self.topic.stream, which, deadline).await {
                Ok(last) => break last,
                // Not everybody may ask.
                Err(Fault::Denied) => break None,
                Err(fault) if fault.is_worth_another_try() && deadline.pause(round).await => {
                    round += 1;
                }
                Err(fault) => return Err(fault),
            }
        };
        Ok(last.map(|last| last.sequence).filter(|last| *last > self.delivered))
    }

    /// Answers flow control and looks at heartbeats; `false` when something did not arrive.
    async fn on_status(&mut self, message: &Message) -> bool {
        let Some(line) = &mut self.line else { return false };
        if message.status != Some(StatusCode::IDLE_HEARTBEAT) {
            // The consumer was deleted, or its leader changed.
            return false;
        }
        if let Some(reply) = &message.reply {
            let _ = line.client.publish(reply.clone(), Bytes::new()).await;
            return true;
        }
        let header = |name: &str| {
            let headers = message.headers.as_ref()?;
            Some(headers.get_last(name)?.as_str().to_owned())
        };
        if let Some(stalled) = header("Nats-Consumer-Stalled") {
            let _ = line.client.publish(stalled, Bytes::new()).await;
            return true;
        }
        let Some(last) = header("Nats-Last-Consumer").and_then(|text| text.parse::<u64>().ok())
        else {
            return true;
        };
        if last + 1 != line.next {
            return false;
        }
        // How far the consumer has looked, whatever its filters let pass.
        if let Some(looked) = header("Nats-Last-Stream").and_then(|text| text.parse().ok()) {
            self.reached = self.reached.max(looked);
            self.tell();
        }
        let Some(line) = &self.line else { return false };
        if let Some(goal) = self.goal {
            // Idle before the end: what was announced may no longer be there.
            let (info, next) = (line.info.clone(), line.next);
            let deadline = self.timeouts.deadline();
            let Ok(info) = self.js.api(&info, &Json::Null, deadline).await else { return true };
            let pending = info.get("num_pending").and_then(Json::as_u64);
            let delivered = info.pointer("/delivered/consumer_seq").and_then(Json::as_u64);
            if pending == Some(0) && delivered == Some(next - 1) {
                self.last = self.last.max(goal);
                self.pending = 0;
            }
        }
        true
    }
}

/// Where a stream's information says up to which sequence deletions were removed.
pub(crate) const COMPACTED: &str = "/config/metadata/store-compacted";
/// Marks the one failure that is no failure.
const LOST: &str = "the stream is another one";
