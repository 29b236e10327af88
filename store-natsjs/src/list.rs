//! Listings: the server filters a table and its dotted prefixes; the rest is filtered here.
//!
//! A small table comes by one request, with values. A larger one in byte order comes as names by an ordered consumer, and the
//! values of one page by batch reads. In any order, pages come from a sequence on.

use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value as Json, json};
use store_core::{
    Cursor, Error, Key, ListOptions, Namespace, Order, Page, Record, Result, U64Page,
};

use crate::layout::{Layout, Opened};
use crate::many::WINDOW;
use crate::reaper::Reaper;
use crate::table::{Fail, Table, Via};
use crate::wire::fault::Fault;
use crate::wire::feed::{Begin, Feed, Heard, Topic};
use crate::wire::stored::Stored;

/// Cursors of byte order hold a key, others a sequence.
const BY_KEY: u8 = b'k';
const BY_SEQUENCE: u8 = b's';
/// The most messages of one batch read.
const BATCH: usize = 10_000;
/// The first names of a numbered page, which come by a read. A consumer brings more of them faster, as values stay behind.
const FIRST_NAMES: usize = 256;
/// The bytes that a listing of names may bring along before it turns to headers only.
const STRAY_BYTES: usize = 256 * 1024;

/// The newest messages of some subjects.
struct Gathered {
    messages: Vec<Stored>,
    /// Whether they have their bodies.
    bodies: bool,
}

/// One line of a listing.
enum Entry {
    Stored(Stored),
    Fault(Error),
}

impl Table {
    fn filter(&self, prefix: &str) -> String {
        self.bucket.subject(&self.layout().filter(&self.name, prefix))
    }

    pub(crate) async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>, Fail> {
        let page = self.page(ns, o, false).await?;
        let mut names = Page::new(Vec::with_capacity(page.items.len()), page.next);
        names.faults = page.faults;
        names.items.extend(page.items.into_iter().map(|(key, _)| key));
        Ok(names)
    }

    pub(crate) async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>, Fail> {
        let page = self.page(ns, o, true).await?;
        let mut records = Page::new(Vec::with_capacity(page.items.len()), page.next);
        records.faults = page.faults;
        for (_, stored) in page.items {
            match self.open(&stored) {
                Opened::Record(record) => records.items.push(record),
                Opened::Foreign => {}
                Opened::Corrupt(error) => records.faults.push(error),
            }
        }
        Ok(records)
    }

    async fn page(
        &self,
        ns: &Namespace,
        o: &ListOptions,
        bodies: bool,
    ) -> Result<Page<(String, Stored)>, Fail> {
        if o.order != Order::Any {
            let after = match &o.cursor {
                Some(cursor) => Some(cursor.open_key(ns, BY_KEY)?),
                None => None,
            };
            if o.limit == 0 {
                return Ok(Page::default());
            }
            return self.by_key(ns, o, after, bodies).await;
        }
        let from = match &o.cursor {
            Some(cursor) => {
                let bytes = cursor.open(ns, BY_SEQUENCE)?;
                let bytes = <[u8; 8]>::try_from(&bytes[..])
                    .map_err(|_| Error::invalid("not a cursor of this store"))?;
                u64::from_be_bytes(bytes)
            }
            None => 1,
        };
        if o.limit == 0 {
            return Ok(Page::default());
        }
        let skip = if o.cursor.is_some() { 0 } else { o.offset };
        let (items, faults, next) = self.by_sequence(o, from, skip, o.limit).await?;
        let next = next.map(|at| Cursor::new(ns, BY_SEQUENCE, &at.to_be_bytes()));
        let mut page = Page::new(items, next);
        page.faults = faults;
        Ok(page)
    }

    async fn by_key(
        &self,
        ns: &Namespace,
        o: &ListOptions,
        after: Option<String>,
        bodies: bool,
    ) -> Result<Page<(String, Stored)>, Fail> {
        let gathered = self.gather(&self.filter(&o.prefix), bodies, Via::of(o.consistency)).await?;
        let mut entries: Vec<(String, Entry)> = Vec::with_capacity(gathered.messages.len());
        for stored in gathered.messages {
            if let Some((key, entry)) = self.entry(stored, gathered.bodies)
                && passes(o, &key)
                && after.as_deref().is_none_or(|after| &*key > after)
            {
                entries.push((key, entry));
            }
        }
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let skip = if after.is_some() { 0 } else { o.offset };
        let more = entries.len() > skip.saturating_add(o.limit);
        let mut page = Page::default();
        let (mut keys, mut last) = (Vec::new(), None);
        for (key, entry) in entries.into_iter().skip(skip).take(o.limit) {
            last = Some(key.clone());
            match entry {
                Entry::Stored(stored) => keys.push((key, stored)),
                Entry::Fault(error) => page.faults.push(error),
            }
        }
        page.next = last.filter(|_| more).map(|last| Cursor::new(ns, BY_KEY, last.as_bytes()));
        page.items = if bodies && !gathered.bodies { self.with_bodies(keys).await? } else { keys };
        Ok(page)
    }

    /// Reads the records of one page; what is gone by now is left out.
    async fn with_bodies(
        &self,
        names: Vec<(String, Stored)>,
    ) -> Result<Vec<(String, Stored)>, Fail> {
        let subjects: Vec<String> =
            names.iter().map(|(_, stored)| stored.subject.to_string()).collect();
        let mut items = Vec::with_capacity(names.len());
        let read = self.newest_many(&subjects, Via::Copy).await;
        for ((key, _), stored) in names.into_iter().zip(read) {
            if let Some(stored) = stored?.filter(|stored| self.is_live(stored)) {
                items.push((key, stored));
            }
        }
        Ok(items)
    }

    /// The key of a message and what it is worth in a listing; `None` for what is not a record of this table now.
    fn entry(&self, stored: Stored, bodies: bool) -> Option<(String, Entry)> {
        if !self.is_live(&stored) {
            self.meet(&stored);
            return None;
        }
        if !bodies && !self.layout().names_need_bodies() {
            let tokens = self.bucket.tokens(&stored.subject);
            return match self.layout().key_of(&self.name, tokens) {
                Some(key) => Some((key, Entry::Stored(stored))),
                None => match self.open(&stored) {
                    Opened::Corrupt(error) => Some((tokens.to_owned(), Entry::Fault(error))),
                    _ => None,
                },
            };
        }
        match self.open(&stored) {
            Opened::Record(record) => Some((record.key().to_owned(), Entry::Stored(stored))),
            Opened::Foreign => None,
            Opened::Corrupt(error) => {
                Some((error.key().unwrap_or_default().to_owned(), Entry::Fault(error)))
            }
        }
    }

    /// An expired record that nobody will remove gets its tombstone.
    pub(crate) fn meet(&self, stored: &Stored) {
        if self.layout() == Layout::Native
            && stored.is_put()
            && stored.until.is_none()
            && let Some(at) = stored.expires
        {
            let name = &self.bucket.name;
            Reaper::expect(&self.shared, name, &stored.subject, stored.sequence, at);
        }
    }

    // ------------------------------------------------------------------ gathering

    /// The newest message of every subject that a filter passes.
    async fn gather(&self, filter: &str, bodies: bool, via: Via) -> Result<Gathered, Fail> {
        let bodies = bodies || self.layout().names_need_bodies();
        if self.known.replicas > 1 && via == Via::Leader {
            return Ok(Gathered { messages: self.by_leader(filter).await?, bodies: true });
        }
        if self.known.direct
            && self.shared.server()?.has_multi()
            && let Some(messages) = self.by_request(filter, bodies, via).await?
        {
            return Ok(Gathered { messages, bodies: true });
        }
        if self.known.replicas > 1 && via == Via::Copy {
            self.settle().await?;
        }
        // Bodies of a large table are read page by page, unless the names are in them.
        let headers_only = !self.layout().names_need_bodies();
        let messages = self.by_feed(filter, headers_only).await?;
        Ok(Gathered { messages, bodies: !headers_only })
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
        Ok(self.gather(filter, false, Via::Copy).await?.messages)
    }

    async fn by_feed(&self, filter: &str, headers_only: bool) -> Result<Vec<Stored>, Fail> {
        let topic = Topic {
            stream: self.bucket.stream.clone(),
            filters: vec![filter.to_owned()],
            headers_only,
            heartbeat: std::time::Duration::from_secs(1),
        };
        let mut round = 0;
        loop {
            let (js, timeouts) = (self.shared.js.clone(), self.shared.rules.timeouts);
            match collect(js, topic.clone(), timeouts).await {
                Ok(messages) => return Ok(messages),
                Err(fault) if fault.is_api(super::wire::fault::STREAM_NOT_FOUND) => {
                    self.bucket.learn(None);
                    return Err(Fail::Gone);
                }
                Err(fault) => self.after(fault, &mut round, false).await?,
            }
        }
    }

    /// As the leader has it: names by one request, each record by another.
    async fn by_leader(&self, filter: &str) -> Result<Vec<Stored>, Fail> {
        let subjects = self.subjects(filter).await?;
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
            let info = self.shared.js.stream_info(&self.bucket.stream, &body, self.deadline).await;
            let info = info.map_err(|fault| Fail::Error(fault.into_error(false)))?;
            let Some(info) = info else {
                self.bucket.learn(None);
                return Err(Fail::Gone);
            };
            let page = info.pointer("/state/subjects").and_then(Json::as_object);
            let found = page.map_or(0, serde_json::Map::len);
            subjects.extend(page.into_iter().flat_map(|page| page.keys().cloned()));
            let total = info.get("total").and_then(Json::as_u64).unwrap_or(0);
            if found == 0 || subjects.len() as u64 >= total {
                return Ok(subjects);
            }
        }
    }

    /// Waits until every copy has what this store wrote lately.
    async fn settle(&self) -> Result<(), Fail> {
        if self.bucket.acked.recent() == 0 {
            return Ok(());
        }
        for round in 0.. {
            let js = &self.shared.js;
            let info = js.stream_info(&self.bucket.stream, &Json::Null, self.deadline).await;
            let info = info.map_err(|fault| Fail::Error(fault.into_error(false)))?;
            let Some(info) = info else {
                self.bucket.learn(None);
                return Err(Fail::Gone);
            };
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

    // ------------------------------------------------------------------ in any order

    /// Records from a sequence on: items, faults, and where to go on.
    async fn by_sequence(
        &self,
        o: &ListOptions,
        from: u64,
        mut skip: usize,
        limit: usize,
    ) -> Result<(Vec<(String, Stored)>, Vec<Error>, Option<u64>), Fail> {
        let filter = self.filter(&o.prefix);
        let via = Via::of(o.consistency);
        if self.known.replicas > 1 && via == Via::Copy {
            self.settle().await?;
        }
        let paged = self.known.history == 1
            && self.known.direct
            && self.shared.server()?.has_multi()
            && !(via == Via::Leader && self.known.replicas > 1);
        let (mut items, mut faults) = (Vec::new(), Vec::new());
        let (mut from, mut round, mut size) = (from.max(1), 0, limit.saturating_add(skip));
        loop {
            let (messages, more) = if paged {
                let body = json!({
                    "batch": size.clamp(16, BATCH), "seq": from, "next_by_subj": filter,
                });
                let js = &self.shared.js;
                match js.batch(&self.bucket.stream, &body, self.deadline).await {
                    Ok(batch) => (batch.messages, batch.pending > 0),
                    Err(fault) => {
                        self.after(fault, &mut round, false).await?;
                        continue;
                    }
                }
            } else {
                let mut all = self.gather(&filter, true, via).await?;
                all.messages.retain(|stored| stored.sequence >= from);
                all.messages.sort_unstable_by_key(|stored| stored.sequence);
                if all.bodies {
                    (all.messages, false)
                } else {
                    let names = all.messages.into_iter().filter(|stored| self.is_live(stored));
                    let names = names.map(|stored| (String::new(), stored)).collect();
                    let full = self.with_bodies(names).await?;
                    (full.into_iter().map(|(_, stored)| stored).collect(), false)
                }
            };
            let count = messages.len();
            for (i, stored) in messages.into_iter().enumerate() {
                from = stored.sequence + 1;
                match self.entry(stored, true) {
                    Some((key, _)) if !passes(o, &key) => {}
                    Some(_) if skip > 0 => skip -= 1,
                    Some((key, Entry::Stored(stored))) => items.push((key, stored)),
                    Some((_, Entry::Fault(error))) => faults.push(error),
                    None => {}
                }
                if items.len() + faults.len() >= limit && (i + 1 < count || more) {
                    return Ok((items, faults, Some(from)));
                }
            }
            if !more || count == 0 {
                return Ok((items, faults, None));
            }
            size = BATCH;
        }
    }

    pub(crate) async fn scan_u64(&self, cursor: u64, limit: usize) -> Result<U64Page, Fail> {
        let o = ListOptions::default();
        let limit = limit.max(1);
        // A message for each key, one copy of the stream, and names without bodies.
        let by_name = self.known.history == 1
            && self.known.replicas == 1
            && !self.layout().names_need_bodies()
            && limit > FIRST_NAMES;
        let first = if by_name { FIRST_NAMES } else { limit };
        let (items, _, mut next) = self.by_sequence(&o, cursor, 0, first).await?;
        let mut names: Vec<String> = items.into_iter().map(|(key, _)| key).collect();
        if by_name && let Some(from) = next {
            next = self.names_from(from, limit, &mut names).await;
            if let Some(from) = next
                && names.len() < limit
            {
                let (items, _, last) = self.by_sequence(&o, from, 0, limit - names.len()).await?;
                names.extend(items.into_iter().map(|(key, _)| key));
                next = last;
            }
        }
        Ok(U64Page::new(names, next))
    }

    /// Adds names from a sequence on, up to `limit` in all. Answers where to go on, or that there is nothing more.
    async fn names_from(&self, from: u64, limit: usize, names: &mut Vec<String>) -> Option<u64> {
        let topic = Topic {
            stream: self.bucket.stream.clone(),
            filters: vec![self.filter("")],
            headers_only: true,
            heartbeat: std::time::Duration::from_secs(1),
        };
        let (js, timeouts) = (self.shared.js.clone(), self.shared.rules.timeouts);
        let mut next = from;
        // What fails here is read in the other way, which says why if it fails too.
        let Ok(mut feed) = Feed::open(js, topic, Begin::At(from), timeouts).await else {
            return Some(next);
        };
        while names.len() < limit {
            // Caught up with where the stream was, yet keys may have been written again since: the other way tells.
            let heard = tokio::time::timeout_at(self.deadline.at, feed.next()).await;
            let Ok(Ok(Heard::Message(stored))) = heard else { break };
            next = stored.sequence + 1;
            if let Some((key, Entry::Stored(_))) = self.entry(stored, false) {
                names.push(key);
            }
            if feed.pending() == 0 {
                return None;
            }
        }
        Some(next)
    }

    /// The versions of a record, oldest first.
    pub(crate) async fn history(&self, key: Key<'_>) -> Result<Vec<Record>, Fail> {
        let subject = self.subject(key)?;
        let newest = self.newest(&subject, Via::Copy).await?;
        if self.record(newest.as_ref())?.is_none() {
            return Ok(Vec::new());
        }
        let topic = Topic {
            stream: self.bucket.stream.clone(),
            filters: vec![subject],
            headers_only: false,
            heartbeat: std::time::Duration::from_secs(1),
        };
        let (js, timeouts) = (self.shared.js.clone(), self.shared.rules.timeouts);
        let feed = Feed::open(js, topic, Begin::At(1), timeouts).await;
        let mut feed = feed.map_err(|fault| Fail::Error(fault.into_error(false)))?;
        let mut versions = Vec::new();
        loop {
            match feed.next().await.map_err(|fault| Fail::Error(fault.into_error(false)))? {
                Heard::Message(stored) if stored.is_put() => {
                    if let Opened::Record(record) = self.open(&stored) {
                        versions.push(record);
                    }
                }
                // What came before an end is history of a record that is gone.
                Heard::Message(_) | Heard::Lost => versions.clear(),
                Heard::CaughtUp(_) => return Ok(versions),
            }
        }
    }
}

fn passes(o: &ListOptions, key: &str) -> bool {
    if o.cursor.is_some() {
        // A cursor stands for all that came before.
        return key.starts_with(&*o.prefix) && key.ends_with(&*o.suffix);
    }
    o.matches(key)
}

/// The newest message of each subject, by an ordered consumer.
pub(crate) async fn collect(
    js: crate::wire::api::Js,
    topic: Topic,
    timeouts: crate::wire::feed::Timeouts,
) -> Result<Vec<Stored>, Fault> {
    let mut feed = Feed::open(js, topic, Begin::Latest, timeouts).await?;
    // After a break the feed goes on by sequence, and a subject may come again.
    let mut latest = std::collections::HashMap::<Box<str>, Stored>::new();
    loop {
        match feed.next().await? {
            Heard::Message(stored) => drop(latest.insert(stored.subject.clone(), stored)),
            Heard::CaughtUp(_) => return Ok(latest.into_values().collect()),
            Heard::Lost => latest.clear(),
        }
    }
}
