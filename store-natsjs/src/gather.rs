//! The newest messages of all subjects that a filter passes, by the cheapest way: one request, an ordered consumer, or the leader.

use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value as Json, json};

use crate::layout::Layout;
use crate::many::WINDOW;
use crate::table::{Fail, Table, Via};
use crate::wire::api::Js;
use crate::wire::fault::{Fault, STREAM_NOT_FOUND};
use crate::wire::feed::{self, Begin, Feed, Heard};
use crate::wire::stored::Stored;

/// The bytes that a listing of names may bring along before it turns to headers only.
const STRAY_BYTES: usize = 256 * 1024;
/// A page at least so large has bodies with its names, where the whole table is hardly larger.
const LARGE: usize = 8192;

/// What of the messages is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Names.
    Names,
    /// Bodies, if they come by one request, or if a page of so many may be most of what there is.
    Page(usize),
    /// All bodies.
    All,
}

/// The newest messages of some subjects, or what was made of them as they came.
pub(crate) struct Gathered<T> {
    pub(crate) items: Vec<T>,
    /// Whether they have their bodies.
    pub(crate) bodies: bool,
    /// The stream's sequence that they show, where it is known.
    pub(crate) as_of: Option<u64>,
}

impl Table {
    /// The newest message of every subject that a filter passes; where each has a price, only of keys that are asked for. What was
    /// written again meanwhile may come twice. `take` is told whether a message has its body.
    pub(crate) async fn gather<T: Send>(
        &self,
        filter: &str,
        want: Want,
        via: Via,
        asked: &(dyn Fn(&str) -> bool + Sync),
        take: &(dyn Fn(Stored, bool) -> T + Sync),
    ) -> Result<Gathered<T>, Fail> {
        let all = |messages: Vec<Stored>| {
            let items = messages.into_iter().map(|stored| take(stored, true)).collect();
            Gathered { items, bodies: true, as_of: None }
        };
        if self.known.replicas > 1 && via == Via::Leader {
            return Ok(all(self.by_leader(filter, asked).await?));
        }
        if self.known.direct
            && self.shared.server()?.has_multi()
            && !self.bucket.names.is_large(filter)
            && let Some(messages) = self.by_request(filter, want != Want::Names, via).await?
        {
            return Ok(all(messages));
        }
        if self.known.replicas > 1 && via == Via::Copy {
            self.settle().await?;
        }
        // Bodies of a large table are read page by page, unless most of them are wanted.
        let most = match want {
            Want::All => Some(usize::MAX),
            Want::Page(limit) if limit >= LARGE => Some(limit.saturating_mul(2)),
            _ => None,
        };
        if let Some(most) = most
            && let Some((items, last)) =
                self.by_feed(filter, false, most, &|stored| take(stored, true)).await?
        {
            return Ok(Gathered { items, bodies: true, as_of: Some(last) });
        }
        let names = |stored| take(stored, false);
        let (items, last) =
            self.by_feed(filter, true, usize::MAX, &names).await?.unwrap_or_default();
        Ok(Gathered { items, bodies: false, as_of: Some(last) })
    }

    /// By one request, or few; `None` when there is too much.
    async fn by_request(
        &self,
        filter: &str,
        bodies: bool,
        via: Via,
    ) -> Result<Option<Vec<Stored>>, Fail> {
        let (mut round, mut messages) = (0, Vec::new());
        let (mut from, mut up_to) = (None, None);
        loop {
            let mut body = json!({ "multi_last": [filter] });
            if !bodies {
                body["max_bytes"] = STRAY_BYTES.into();
            }
            if let (Some(from), Some(up_to)) = (from, up_to) {
                body["seq"] = u64::into(from);
                body["up_to_seq"] = u64::into(up_to);
            }
            let js = &self.shared.js;
            let batch = match js.batch(&self.bucket.stream, &body, self.deadline).await {
                Ok(batch) => batch,
                Err(fault) => {
                    self.after(fault, &mut round, false).await?;
                    continue;
                }
            };
            if batch.too_many {
                self.bucket.names.note_large(filter);
            }
            if batch.too_many || (batch.pending > 0 && !bodies) {
                return Ok(None);
            }
            // A copy that is behind may miss what this store wrote.
            let recent = self.bucket.acked.recent();
            if self.known.replicas > 1 && via == Via::Copy && recent > 0 && up_to.is_none() {
                let shows = match batch.up_to {
                    Some(shown) => shown >= recent,
                    None => self.subjects(filter).await?.is_empty(),
                };
                if !shows {
                    self.after(Fault::Timeout, &mut round, false).await?;
                    continue;
                }
            }
            messages.extend(batch.messages);
            if batch.pending == 0 {
                return Ok(Some(messages));
            }
            (from, up_to) = (Some(batch.last + 1), batch.up_to.or(up_to));
            if up_to.is_none() {
                return Ok(None);
            }
        }
    }

    /// The newest messages of all subjects that a filter passes, with bodies only where names need them.
    pub(crate) async fn everything(&self, filter: &str) -> Result<Vec<Stored>, Fail> {
        let needs = self.layout().names_need_bodies();
        let want = if needs { Want::All } else { Want::Names };
        let all = self.gather(filter, want, Via::Copy, &|_| true, &|stored, _| stored).await?;
        Ok(newest(all.items))
    }

    /// What a filter passes and the sequence that it shows; `None` when it is more than so many.
    async fn by_feed<T: Send>(
        &self,
        filter: &str,
        headers_only: bool,
        most: usize,
        take: &(dyn Fn(Stored) -> T + Sync),
    ) -> Result<Option<(Vec<T>, u64)>, Fail> {
        let topic = feed::Topic {
            stream: self.bucket.stream.clone(),
            filters: vec![filter.to_owned()],
            headers_only,
            heartbeat: std::time::Duration::from_secs(1),
        };
        let mut round = 0;
        loop {
            let (js, timeouts) = (self.shared.js.clone(), self.shared.rules.timeouts);
            match collect(js, topic.clone(), timeouts, most, take).await {
                Ok(items) => return Ok(items),
                Err(fault) if fault.is_api(STREAM_NOT_FOUND) => {
                    self.bucket.learn(None);
                    return Err(Fail::Gone);
                }
                Err(fault) => self.after(fault, &mut round, false).await?,
            }
        }
    }

    /// As the leader has it: names by one request, each record by another.
    async fn by_leader(
        &self,
        filter: &str,
        asked: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Vec<Stored>, Fail> {
        let mut subjects = self.subjects(filter).await?;
        subjects.retain(|subject| {
            let tokens = self.bucket.tokens(subject);
            match self.layout().key_of(&self.name, tokens) {
                Some(key) => asked(&key),
                // Not as this layout writes.
                None => self.layout() == Layout::Native,
            }
        });
        let reads = stream::iter(subjects)
            .map(|subject| async move { self.newest(&subject, Via::Leader).await })
            .buffer_unordered(WINDOW);
        let mut reads = std::pin::pin!(reads);
        let mut messages = Vec::new();
        while let Some(stored) = reads.next().await {
            messages.extend(stored?);
        }
        Ok(messages)
    }

    /// The subjects that the leader has.
    async fn subjects(&self, filter: &str) -> Result<Vec<String>, Fail> {
        let mut subjects = Vec::new();
        loop {
            let body = json!({ "subjects_filter": filter, "offset": subjects.len() });
            let info = self.stream(&body).await?;
            let page = info.pointer("/state/subjects").and_then(Json::as_object);
            let found = page.map_or(0, serde_json::Map::len);
            subjects.extend(page.into_iter().flat_map(|page| page.keys().cloned()));
            let total = info.get("total").and_then(Json::as_u64).unwrap_or(0);
            if found == 0 || subjects.len() as u64 >= total {
                return Ok(subjects);
            }
        }
    }

    /// What the leader says of the stream.
    pub(crate) async fn stream(&self, body: &Json) -> Result<Json, Fail> {
        let info = self.shared.js.stream_info(&self.bucket.stream, body, self.deadline).await;
        let info = info.map_err(|fault| Fail::Error(fault.into_error(false)))?;
        info.ok_or_else(|| {
            self.bucket.learn(None);
            Fail::Gone
        })
    }

    /// Waits until every copy has what this store wrote lately.
    pub(crate) async fn settle(&self) -> Result<(), Fail> {
        if self.bucket.acked.recent() == 0 {
            return Ok(());
        }
        for round in 0.. {
            let info = self.stream(&Json::Null).await?;
            let replicas = info.pointer("/cluster/replicas").and_then(Json::as_array);
            let behind = replicas.is_some_and(|replicas| {
                replicas.iter().any(|replica| {
                    let lag = replica.get("lag").and_then(Json::as_u64).unwrap_or(0);
                    let offline = replica.get("offline").and_then(Json::as_bool).unwrap_or(false);
                    lag > 0 && !offline
                })
            });
            if !behind || !self.deadline.pause(round).await {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The newest message of each subject, by an ordered consumer, and the sequence that they show; `None` when there are more than so
/// many.
async fn collect<T: Send>(
    js: Js,
    topic: feed::Topic,
    timeouts: feed::Timeouts,
    most: usize,
    take: &(dyn Fn(Stored) -> T + Sync),
) -> Result<Option<(Vec<T>, u64)>, Fault> {
    let mut feed = Feed::open(js, topic, Begin::Latest, timeouts).await?;
    feed.be_thorough();
    let mut items = Vec::new();
    loop {
        match feed.next().await? {
            Heard::Message(_) if items.len() == most => return Ok(None),
            Heard::Message(stored) => items.push(take(stored)),
            Heard::CaughtUp(last) => return Ok(Some((items, last))),
            Heard::Lost => items.clear(),
        }
    }
}

/// The newest message of each subject.
pub(crate) fn newest(mut messages: Vec<Stored>) -> Vec<Stored> {
    messages.sort_unstable_by(|a, b| {
        a.subject.cmp(&b.subject).then_with(|| b.sequence.cmp(&a.sequence))
    });
    messages.dedup_by(|later, first| later.subject == first.subject);
    messages
}
