//! The newest messages of all subjects that a filter passes, by the cheapest way that shows this store's own writes.
//!
//! One request is cheapest, and any copy or mirror answers it, which says how far it is. More than the server looks up at a time
//! comes by an ordered consumer. On a replicated stream nobody knows how far the node is that serves the consumer, so a store that
//! has written lately asks the leader for the names and any copy for what they hold, of which it knows how old it may be. Nothing
//! here waits for nodes that are behind or away.

use serde_json::{Value as Json, json};

use crate::layout::Layout;
use crate::table::{Fail, Table, Via};
use crate::wire::api::Js;
use crate::wire::fault::{Fault, STREAM_NOT_FOUND};
use crate::wire::feed::{self, Begin, Feed, Heard};
use crate::wire::stored::Stored;

/// The bytes that a listing of names may bring along before it turns to headers only.
const STRAY_BYTES: usize = 256 * 1024;
/// A page at least so large has bodies with its names, where the whole table is hardly larger.
const LARGE: usize = 8192;
/// The subjects that a server names at a time, and how many of them are asked for again with the next ones.
const SUBJECTS: usize = 100_000;
const OVERLAP: usize = 100;
/// Names that are looked up at a time, so that only so many values are held.
const LOOKED_UP: usize = 4096;

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
        let is_copy = self.known.is_copy();
        if is_copy && via == Via::Leader {
            return self.by_name(filter, want, via, asked, take).await;
        }
        // A mirror may answer one request, which is not the last word.
        if self.known.direct
            && via != Via::Leader
            && self.shared.server()?.has_multi()
            && !self.bucket.names.is_large(filter)
            && let Some(messages) = self.by_request(filter, want != Want::Names, via).await?
        {
            return Ok(all(messages));
        }
        if is_copy && via == Via::Copy && self.bucket.acked.recent() > 0 {
            return self.by_name(filter, want, via, asked, take).await;
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
        let (mut from, mut shown) = (None, 0);
        loop {
            let mut body = json!({ "multi_last": [filter] });
            if !bodies {
                body["max_bytes"] = STRAY_BYTES.into();
            }
            if let Some(from) = from {
                // Up to the end, which is further away by now: what was written again meanwhile is nowhere else.
                body["seq"] = u64::into(from);
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
            // A copy or a mirror that is behind may miss what this store wrote.
            let recent = if via == Via::Copy { self.bucket.acked.recent() } else { 0 };
            // And so may one that is further behind than the one before: what that had as written again is passed already.
            let shows = match batch.up_to {
                Some(up_to) => up_to >= shown.max(recent),
                None if from.is_some() => false,
                None => recent == 0 || self.subjects(filter).await?.is_empty(),
            };
            if !shows {
                return Ok(None);
            }
            messages.extend(batch.messages);
            if batch.pending == 0 {
                return Ok(Some(messages));
            }
            let Some(up_to) = batch.up_to else { return Ok(None) };
            (from, shown) = (Some(batch.last + 1), up_to);
        }
    }

    /// The newest messages of all subjects that a filter passes, with bodies only where names need them.
    pub(crate) async fn everything(&self, filter: &str) -> Result<Vec<Stored>, Fail> {
        let needs = self.layout().names_need_bodies();
        let want = if needs { Want::All } else { Want::Names };
        let all = self.gather(filter, want, Via::Copy, &|_| true, &|stored, _| stored).await?;
        Ok(newest(all.items))
    }

    /// What a filter passes, by an ordered consumer of the stream itself, and the sequence that it shows; `None` when it is more than
    /// so many. What is written again meanwhile comes twice.
    pub(crate) async fn by_feed<T: Send>(
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
                Err(fault) if fault.is_api(STREAM_NOT_FOUND) => return Err(self.gone()),
                Err(fault) => self.after(fault, &mut round, false).await?,
            }
        }
    }

    /// By the names that the leader has, and what each holds by the leader or by copies that show this store's writes.
    async fn by_name<T: Send>(
        &self,
        filter: &str,
        want: Want,
        via: Via,
        asked: &(dyn Fn(&str) -> bool + Sync),
        take: &(dyn Fn(Stored, bool) -> T + Sync),
    ) -> Result<Gathered<T>, Fail> {
        let mut subjects = self.subjects(filter).await?;
        subjects.retain(|subject| {
            let tokens = self.bucket.tokens(subject);
            match self.layout().key_of(&self.name, tokens) {
                Some(key) => asked(&key),
                // Not as this layout writes.
                None => self.layout() == Layout::Native,
            }
        });
        // What the leader said is not asked again from a copy.
        let bodies = via == Via::Leader
            || match want {
                Want::Names => false,
                Want::Page(limit) => subjects.len() <= limit.saturating_mul(2).max(LOOKED_UP),
                Want::All => true,
            };
        let mut items = Vec::with_capacity(subjects.len());
        for some in subjects.chunks(LOOKED_UP) {
            for stored in self.newest_many(some, via).await {
                items.extend(stored?.map(|stored| take(stored, bodies)));
            }
        }
        Ok(Gathered { items, bodies, as_of: None })
    }

    /// The subjects that the leader has.
    async fn subjects(&self, filter: &str) -> Result<Vec<String>, Fail> {
        let (mut subjects, mut offset) = (Vec::<String>::new(), 0_usize);
        loop {
            let body = json!({ "subjects_filter": filter, "offset": offset });
            let stream = &self.bucket.stream;
            let info = self.authority().stream_info(stream, &body, self.deadline).await;
            let info = info.map_err(|fault| fault.into_error(false))?;
            let info = info.ok_or_else(|| self.gone())?;
            let page = info.pointer("/state/subjects").and_then(Json::as_object);
            let mut found: Vec<&String> = page.into_iter().flat_map(|page| page.keys()).collect();
            // Pages are sorted, within and one after the other.
            found.sort_unstable();
            let last = subjects.last();
            if offset > 0 && found.first().is_none_or(|first| Some(*first) > last) {
                // What was in between has moved to the front, as others are gone.
                offset = offset.saturating_sub(SUBJECTS);
                continue;
            }
            let (end, page) = (offset + found.len(), found.len());
            let new = found.partition_point(|subject| Some(*subject) <= last);
            let new: Vec<String> = found.drain(new..).cloned().collect();
            subjects.extend(new);
            let total = info.get("total").and_then(Json::as_u64).unwrap_or(0);
            if page == 0 || end as u64 >= total {
                return Ok(subjects);
            }
            offset = end - OVERLAP.min(page - 1);
        }
    }

    /// What the leader says of the stream.
    pub(crate) async fn stream(&self, body: &Json) -> Result<Json, Fail> {
        let info = self.shared.js.stream_info(&self.bucket.stream, body, self.deadline).await;
        let info = info.map_err(|fault| Fail::Error(fault.into_error(false)))?;
        info.ok_or_else(|| self.gone())
    }

    pub(crate) fn gone(&self) -> Fail {
        self.bucket.learn(None);
        Fail::Gone
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
