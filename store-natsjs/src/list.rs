//! Listings: the server filters a table and its dotted prefixes; the rest is filtered here.
//!
//! A small table comes by one request, with values. A larger one in byte order comes as names by an ordered consumer, which are
//! kept for the next page, and the values of one page by batch reads. In any order, pages come from a sequence on.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value as Json, json};
use store_core::{
    Cursor, Error, Key, ListOptions, Namespace, Order, Page, Record, Result, U64Page,
};

use crate::layout::{Layout, Opened};
use crate::many::WINDOW;
use crate::names::{self, Part, Topic, Wanted};
use crate::reaper::Reaper;
use crate::table::{Fail, Table, Via};
use crate::wire::fault::Fault;
use crate::wire::feed::{self, Begin, Feed, Heard};
use crate::wire::stored::{Stored, nanos};

/// Cursors of byte order hold a key, or before it what the names were as of; others a sequence.
const BY_KEY: u8 = b'k';
const BY_NAME: u8 = b'n';
const BY_SEQUENCE: u8 = b's';
/// The most messages of one batch read.
const BATCH: usize = 10_000;
/// The first names of a numbered page, which come by a read. A consumer brings more of them faster, as values stay behind.
const FIRST_NAMES: usize = 256;
/// The bytes that a listing of names may bring along before it turns to headers only.
const STRAY_BYTES: usize = 256 * 1024;

/// Where a stream's information says up to which sequence deletions were removed.
const COMPACTED: &str = "/config/metadata/store-compacted";
/// A page at least so large has bodies with its names, where the whole table is hardly larger.
const LARGE: usize = 8192;

/// The newest messages of some subjects.
struct Gathered {
    messages: Vec<Stored>,
    /// Whether they have their bodies.
    bodies: bool,
    /// The stream's sequence that they show, where it is known.
    as_of: Option<u64>,
}

/// Where a page in byte order begins.
#[derive(Default)]
struct After {
    key: Option<String>,
    /// The bucket and the sequence that its first page showed.
    shown: Option<(u64, u64)>,
}

impl After {
    fn open(cursor: Option<&Cursor>, ns: &Namespace) -> Result<Self> {
        let Some(cursor) = cursor else { return Ok(Self::default()) };
        let Ok(bytes) = cursor.open(ns, BY_NAME) else {
            return Ok(Self { key: Some(cursor.open_key(ns, BY_KEY)?), shown: None });
        };
        let bad = || Error::invalid("not a cursor of this store");
        let (created, rest) = bytes.split_first_chunk::<8>().ok_or_else(bad)?;
        let (as_of, key) = rest.split_first_chunk::<8>().ok_or_else(bad)?;
        let shown = Some((u64::from_be_bytes(*created), u64::from_be_bytes(*as_of)));
        let key = String::from_utf8(key.to_vec()).map_err(|_| bad())?;
        Ok(Self { key: Some(key), shown })
    }

    fn cursor(ns: &Namespace, created: u64, as_of: u64, key: &str) -> Cursor {
        let bytes = [&created.to_be_bytes()[..], &as_of.to_be_bytes(), key.as_bytes()].concat();
        Cursor::new(ns, BY_NAME, &bytes)
    }
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
            let after = After::open(o.cursor.as_ref(), ns)?;
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
        after: After,
        bodies: bool,
    ) -> Result<Page<(String, Stored)>, Fail> {
        let topic = Topic {
            table: Arc::clone(&self.name),
            filter: self.filter(&o.prefix),
            created: self.known.created,
        };
        let passes = |key: &str| passes(o, key);
        let (key, prefix) = (after.key.as_deref(), &*o.prefix);
        let wanted = Wanted { after: key, prefix, passes: &passes, limit: o.limit };
        // The strong way asks the leader for everything, and an offset counts records, not names.
        let keeps = !self.layout().names_need_bodies()
            && Via::of(o.consistency) != Via::Leader
            && (o.offset == 0 || o.cursor.is_some());
        if keeps && let Some(part) = self.kept(&topic, &after, &wanted).await? {
            return self.page_of(ns, part, bodies).await;
        }
        let via = Via::of(o.consistency);
        let gathered = self.gather(&topic.filter, bodies, via, o.limit).await?;
        let mut entries: Vec<(String, Entry)> = Vec::with_capacity(gathered.messages.len());
        for stored in gathered.messages {
            entries.extend(self.entry(stored));
        }
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let faultless = entries.iter().all(|(_, entry)| matches!(entry, Entry::Stored(_)));
        if let (true, true, false, Some(as_of)) =
            (keeps, faultless, gathered.bodies, gathered.as_of)
        {
            let base = entries.into_iter().filter_map(|(key, entry)| match entry {
                Entry::Stored(stored) => {
                    Some(names::Name { key: key.into(), expires: self.expires(&stored) })
                }
                Entry::Fault(_) => None,
            });
            let acked = || self.bucket.acked.newest();
            let part = self.bucket.names.keep(topic, base.collect(), as_of, acked, &wanted);
            return self.page_of(ns, part, bodies).await;
        }
        entries.retain(|(key, _)| passes(key) && after.key.as_ref().is_none_or(|at| key > at));
        let skip = if after.key.is_some() { 0 } else { o.offset };
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
        page.items = if bodies && !gathered.bodies {
            self.with_bodies(keys.into_iter().map(|(key, _)| key).collect()).await?
        } else {
            keys
        };
        Ok(page)
    }

    /// A part of the names that are kept, if they are fresh enough for this page: for a first page they are brought up to date.
    async fn kept(
        &self,
        topic: &Topic,
        after: &After,
        wanted: &Wanted<'_>,
    ) -> Result<Option<Part>, Fail> {
        let names = &self.bucket.names;
        if let Some((created, as_of)) = after.shown
            && created == topic.created
            && let Some(part) = names.part(topic, as_of, wanted)
        {
            return Ok(Some(part));
        }
        // A copy that is behind does not know what is missing.
        let Some(shows) = names.shows(topic).filter(|_| self.known.replicas == 1) else {
            return Ok(None);
        };
        if !self.known.direct || !self.shared.server()?.has_multi() {
            return Ok(None);
        }
        let js = &self.shared.js;
        let info = js.stream_info(&self.bucket.stream, &Json::Null, self.deadline).await;
        let info = info.map_err(|fault| Fail::Error(fault.into_error(false)))?;
        let Some(info) = info else {
            self.bucket.learn(None);
            return Err(Fail::Gone);
        };
        let number = |path: &str| info.pointer(path).and_then(Json::as_u64).unwrap_or(0);
        let (first, last) = (number("/state/first_seq"), number("/state/last_seq"));
        let created = info.get("created").and_then(Json::as_str).and_then(nanos);
        let compacted = info.pointer(COMPACTED).and_then(Json::as_str);
        let compacted = compacted.and_then(|text| text.parse().ok()).unwrap_or(0);
        // Another stream, one that lost its end, one that was purged, or one whose deletions since then were removed.
        if created != Some(topic.created) || last < shows || first > shows || compacted > shows {
            names.clear();
            return Ok(None);
        }
        let body = json!({
            "batch": BATCH, "seq": shows + 1, "next_by_subj": topic.filter,
        });
        let Ok(batch) = js.batch(&self.bucket.stream, &body, self.deadline).await else {
            return Ok(None);
        };
        // So much has changed that all of it is read as fast.
        if batch.pending > 0 || batch.too_many {
            return Ok(None);
        }
        let mut changes = Vec::with_capacity(batch.messages.len());
        for stored in batch.messages {
            let tokens = self.bucket.tokens(&stored.subject);
            let Some(key) = self.layout().key_of(&self.name, tokens) else { return Ok(None) };
            let key: Box<str> = key.into();
            let name = self
                .is_live(&stored)
                .then(|| names::Name { key: key.clone(), expires: self.expires(&stored) });
            if name.is_none() {
                self.meet(&stored);
            }
            changes.push((key, (stored.sequence, name)));
        }
        names.catch_up(topic, last, changes);
        Ok(names.part(topic, last, wanted))
    }

    /// The page of some names.
    async fn page_of(
        &self,
        ns: &Namespace,
        part: Part,
        bodies: bool,
    ) -> Result<Page<(String, Stored)>, Fail> {
        let last = part.names.last().filter(|_| part.more);
        let next = last.map(|last| After::cursor(ns, self.known.created, part.as_of, &last.key));
        let now = self.shared.now();
        let is_due = |name: &names::Name| name.expires.is_some_and(|at| at <= now);
        let mut items = Vec::with_capacity(part.names.len());
        if bodies {
            let keys = part.names.into_iter().map(|name| name.key.into()).collect();
            items = self.with_bodies(keys).await?;
        } else {
            // Somebody may have given a record more time than it had when its name was read.
            let due = part.names.iter().filter(|name| is_due(name));
            let due = self.with_bodies(due.map(|name| name.key.to_string()).collect()).await?;
            let mut due = due.into_iter().peekable();
            for name in part.names {
                if !is_due(&name) {
                    items.push((name.key.into(), Stored::unread()));
                } else if let Some(item) = due.next_if(|(key, _)| **key == *name.key) {
                    items.push(item);
                }
            }
        }
        Ok(Page::new(items, next))
    }

    /// Reads the records of one page; what is gone by now is left out.
    async fn with_bodies(&self, keys: Vec<String>) -> Result<Vec<(String, Stored)>, Fail> {
        let mut subjects = Vec::with_capacity(keys.len());
        for key in &keys {
            subjects.push(self.subject(Key::new(key)?)?);
        }
        let mut items = Vec::with_capacity(keys.len());
        let read = self.newest_many(&subjects, Via::Copy).await;
        for (key, stored) in keys.into_iter().zip(read) {
            if let Some(stored) = stored?.filter(|stored| self.is_live(stored)) {
                items.push((key, stored));
            }
        }
        Ok(items)
    }

    /// The key of a message and what it is worth in a listing; `None` for what is not a record of this table now.
    fn entry(&self, stored: Stored) -> Option<(String, Entry)> {
        if !self.is_live(&stored) {
            self.meet(&stored);
            return None;
        }
        if !self.layout().names_need_bodies() {
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
    async fn gather(
        &self,
        filter: &str,
        bodies: bool,
        via: Via,
        limit: usize,
    ) -> Result<Gathered, Fail> {
        let bodies = bodies || self.layout().names_need_bodies();
        if self.known.replicas > 1 && via == Via::Leader {
            let messages = self.by_leader(filter).await?;
            return Ok(Gathered { messages, bodies: true, as_of: None });
        }
        if self.known.direct
            && self.shared.server()?.has_multi()
            && let Some(messages) = self.by_request(filter, bodies, via).await?
        {
            return Ok(Gathered { messages, bodies: true, as_of: None });
        }
        if self.known.replicas > 1 && via == Via::Copy {
            self.settle().await?;
        }
        // Bodies of a large table are read page by page, unless the names are in them, or most of them are wanted.
        let needs = self.layout().names_need_bodies();
        let most = if needs { usize::MAX } else { limit.saturating_mul(2) };
        if (needs || (bodies && limit >= LARGE))
            && let Some((messages, last)) = self.by_feed(filter, false, most).await?
        {
            return Ok(Gathered { messages, bodies: true, as_of: Some(last) });
        }
        let names = self.by_feed(filter, true, usize::MAX).await?;
        let (messages, last) = names.unwrap_or_default();
        Ok(Gathered { messages, bodies: false, as_of: Some(last) })
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
        Ok(self.gather(filter, false, Via::Copy, 0).await?.messages)
    }

    /// What a filter passes and the sequence that it shows; `None` when it is more than so many.
    async fn by_feed(
        &self,
        filter: &str,
        headers_only: bool,
        most: usize,
    ) -> Result<Option<(Vec<Stored>, u64)>, Fail> {
        let topic = feed::Topic {
            stream: self.bucket.stream.clone(),
            filters: vec![filter.to_owned()],
            headers_only,
            heartbeat: std::time::Duration::from_secs(1),
        };
        let mut round = 0;
        loop {
            let (js, timeouts) = (self.shared.js.clone(), self.shared.rules.timeouts);
            match collect(js, topic.clone(), timeouts, most).await {
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
                let mut all = self.gather(&filter, true, via, limit).await?;
                all.messages.retain(|stored| stored.sequence >= from);
                all.messages.sort_unstable_by_key(|stored| stored.sequence);
                if all.bodies {
                    (all.messages, false)
                } else {
                    let live = all.messages.iter().filter(|stored| self.is_live(stored));
                    let subjects: Vec<String> =
                        live.map(|stored| stored.subject.to_string()).collect();
                    let mut full = Vec::with_capacity(subjects.len());
                    for stored in self.newest_many(&subjects, Via::Copy).await {
                        full.extend(stored?);
                    }
                    (full, false)
                }
            };
            let count = messages.len();
            for (i, stored) in messages.into_iter().enumerate() {
                from = stored.sequence + 1;
                match self.entry(stored) {
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
        let topic = feed::Topic {
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
            if let Some((key, Entry::Stored(_))) = self.entry(stored) {
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
        let topic = feed::Topic {
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

/// The newest message of each subject, by an ordered consumer, and the sequence that they show; `None` when there are more than so
/// many.
pub(crate) async fn collect(
    js: crate::wire::api::Js,
    topic: feed::Topic,
    timeouts: feed::Timeouts,
    most: usize,
) -> Result<Option<(Vec<Stored>, u64)>, Fault> {
    let mut feed = Feed::open(js, topic, Begin::Latest, timeouts).await?;
    let mut messages = Vec::<Stored>::new();
    let last = loop {
        match feed.next().await? {
            Heard::Message(_) if messages.len() == most => return Ok(None),
            Heard::Message(stored) => messages.push(stored),
            Heard::CaughtUp(last) => break last,
            Heard::Lost => messages.clear(),
        }
    };
    // What changes meanwhile comes again, and after a break the feed goes on by sequence: the newest of a subject counts.
    messages.sort_unstable_by(|a, b| {
        a.subject.cmp(&b.subject).then_with(|| b.sequence.cmp(&a.sequence))
    });
    messages.dedup_by(|later, first| later.subject == first.subject);
    Ok(Some((messages, last)))
}
