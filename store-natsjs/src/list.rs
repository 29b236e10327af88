//! Listings: the server filters a table and its dotted prefixes; the rest is filtered here.
//!
//! A small table comes by one request, with values. A larger one in byte order comes as names by an ordered consumer, which are
//! kept for the next page, and the values of one page by batch reads. Where only the value tells whose record it is, that
//! read is the proof of the name.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use store_core::{Cursor, Error, ListOptions, Namespace, Order, Page, Record, Result, Timestamp};

use crate::gather::Want;
use crate::layout::{Layout, Opened};
use crate::names::{self, Part, Topic, Wanted};
use crate::reaper::Reaper;
use crate::table::{Fail, Table, Via};
use crate::wire::stored::{Stored, nanos};

/// Cursors of byte order hold a key, or before it what the names were as of; others a sequence.
const BY_KEY: u8 = b'k';
const BY_NAME: u8 = b'n';
const BY_SEQUENCE: u8 = b's';
/// The most messages of one batch read.
pub(crate) const BATCH: usize = 10_000;

/// Where a stream's information says up to which sequence deletions were removed.
const COMPACTED: &str = "/config/metadata/store-compacted";

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

/// What a listing says of a key.
pub(crate) enum Entry {
    /// It is there, until then.
    Name(Option<Timestamp>),
    Record(Record),
    Fault(Error),
}

/// What a message makes of its key. Small, as listings are long: messages are not kept.
pub(crate) struct Line {
    pub(crate) key: String,
    /// Whether the key is not one of the table, but the tokens of one that this layout does not write.
    odd: bool,
    sequence: u64,
    /// `None` when there is no record now.
    pub(crate) entry: Option<Entry>,
}

fn push(page: &mut Page<(String, Entry)>, key: String, entry: Entry) {
    match entry {
        Entry::Fault(error) => page.faults.push(error),
        entry => page.items.push((key, entry)),
    }
}

impl Table {
    pub(crate) fn filter(&self, prefix: &str) -> String {
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
        records.items.extend(page.items.into_iter().filter_map(|(_, entry)| match entry {
            Entry::Record(record) => Some(record),
            Entry::Name(_) | Entry::Fault(_) => None,
        }));
        Ok(records)
    }

    async fn page(
        &self,
        ns: &Namespace,
        o: &ListOptions,
        bodies: bool,
    ) -> Result<Page<(String, Entry)>, Fail> {
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
        let (items, faults, next) = self.by_sequence(o, bodies, from, skip, o.limit).await?;
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
    ) -> Result<Page<(String, Entry)>, Fail> {
        let topic = Topic {
            table: Arc::clone(&self.name),
            filter: self.filter(&o.prefix),
            created: self.known.created,
        };
        let passes = |key: &str| passes(o, key);
        let (key, prefix) = (after.key.as_deref(), &*o.prefix);
        let wanted = Wanted { after: key, prefix, passes: &passes, limit: o.limit };
        let via = Via::of(o.consistency);
        // The strong way asks the leader for everything, and an offset counts records, not names.
        let keeps = via != Via::Leader && (o.offset == 0 || o.cursor.is_some());
        if keeps && let Some(part) = self.kept(&topic, &after, &wanted).await? {
            return self.page_of(ns, part, bodies).await;
        }
        let by_value = self.layout().names_need_bodies();
        // Of what the server's filter passes, the rest of a prefix and a suffix leave only some.
        let narrow = !(prefix.is_empty() || prefix.ends_with('.')) || !o.suffix.is_empty();
        let want = match bodies || by_value {
            false => Want::Names,
            true if by_value && !keeps => Want::All,
            true => Want::Page(if narrow { 0 } else { o.limit }),
        };
        let asked = |key: &str| passes(key) && after.key.as_deref().is_none_or(|at| key > at);
        let line = |stored, body| self.line(&stored, body && (bodies || by_value));
        let gathered = self.gather(&topic.filter, want, via, &asked, &line).await?;
        let mut lines: Vec<Line> = gathered.items.into_iter().flatten().collect();
        // What changes meanwhile comes again, and after a break the feed goes on by sequence: the newest of a key counts.
        lines
            .sort_unstable_by(|a, b| (&a.key, a.odd, b.sequence).cmp(&(&b.key, b.odd, a.sequence)));
        lines.dedup_by(|later, first| later.key == first.key && later.odd == first.odd);
        let entries = lines.into_iter().filter_map(|line| Some((line.key, line.entry?)));
        let mut entries: Vec<(String, Entry)> = entries.collect();
        let all_names = entries.iter().all(|(_, entry)| matches!(entry, Entry::Name(_)));
        if let (true, true, false, Some(as_of)) =
            (keeps, all_names, gathered.bodies, gathered.as_of)
        {
            let base = entries.into_iter().filter_map(|(key, entry)| match entry {
                Entry::Name(expires) => Some(names::Name { key: key.into(), expires }),
                Entry::Record(_) | Entry::Fault(_) => None,
            });
            let acked = || self.bucket.acked.newest();
            let part = self.bucket.names.keep(topic, base.collect(), as_of, acked, &wanted);
            return self.page_of(ns, part, bodies).await;
        }
        entries.retain(|(key, _)| asked(key));
        let skip = if after.key.is_some() { 0 } else { o.offset };
        let more = entries.len() > skip.saturating_add(o.limit);
        let mut page = Page::default();
        let (mut unread, mut last) = (Vec::new(), None);
        for (key, entry) in entries.into_iter().skip(skip).take(o.limit) {
            last = Some(key.clone());
            match entry {
                Entry::Name(_) if bodies || by_value => unread.push(key),
                entry => push(&mut page, key, entry),
            }
        }
        page.next = last.filter(|_| more).map(|last| Cursor::new(ns, BY_KEY, last.as_bytes()));
        self.read_into(&mut page, unread, via).await?;
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
        let Some(shows) = names.shows(topic).filter(|_| !self.known.is_copy()) else {
            return Ok(None);
        };
        if !self.known.direct || !self.shared.server()?.has_multi() {
            return Ok(None);
        }
        let info = self.stream(&Json::Null).await?;
        // Nor does a mirror, of which a cluster tells.
        if info.get("alternates").is_some() {
            return Ok(None);
        }
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
        let Ok(batch) = self.shared.js.batch(&self.bucket.stream, &body, self.deadline).await
        else {
            return Ok(None);
        };
        // So much has changed that all of it is read as fast.
        if batch.pending > 0 || batch.too_many {
            return Ok(None);
        }
        let mut changes = Vec::with_capacity(batch.messages.len());
        for stored in batch.messages {
            let tokens = self.bucket.tokens(&stored.subject);
            let key: Box<str> = match self.layout().key_of(&self.name, tokens) {
                Some(key) => key.into(),
                // Of another table, which the server's filter passes too.
                None if self.layout().names_need_bodies() => continue,
                None => return Ok(None),
            };
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
    ) -> Result<Page<(String, Entry)>, Fail> {
        let last = part.names.last().filter(|_| part.more);
        let next = last.map(|last| After::cursor(ns, self.known.created, part.as_of, &last.key));
        let mut page = Page::new(Vec::with_capacity(part.names.len()), next);
        let keys = |names: Vec<names::Name>| names.into_iter().map(|name| name.key.into());
        if bodies || self.layout().names_need_bodies() {
            self.read_into(&mut page, keys(part.names).collect(), Via::Copy).await?;
            return Ok(page);
        }
        // Somebody may have given a record more time than it had when its name was read.
        let now = self.shared.now();
        let is_due = |name: &names::Name| name.expires.is_some_and(|at| at <= now);
        let mut due = Page::default();
        let names = part.names.iter().filter(|name| is_due(name));
        self.read_into(&mut due, keys(names.cloned().collect()).collect(), Via::Copy).await?;
        let mut due = due.items.into_iter().peekable();
        for name in part.names {
            if !is_due(&name) {
                page.items.push((name.key.into(), Entry::Name(name.expires)));
            } else if let Some(item) = due.next_if(|(key, _)| **key == *name.key) {
                page.items.push(item);
            }
        }
        Ok(page)
    }

    /// Adds the records of these names to a page. What is gone by now is left out, and what is not of this table after all.
    async fn read_into(
        &self,
        page: &mut Page<(String, Entry)>,
        keys: Vec<String>,
        via: Via,
    ) -> Result<(), Fail> {
        let place = |key: &String| self.bucket.subject(&self.layout().place(&self.name, key));
        let subjects: Vec<String> = keys.iter().map(place).collect();
        for stored in self.newest_many(&subjects, via).await {
            let line = stored?.and_then(|stored| self.line(&stored, true));
            if let Some(Line { key, entry: Some(entry), .. }) = line {
                push(page, key, entry);
            }
        }
        Ok(())
    }

    /// What a message makes of its key: opened, or only what its subject says. `None` for what is not of this table.
    pub(crate) fn line(&self, stored: &Stored, open: bool) -> Option<Line> {
        let (tokens, layout) = (self.bucket.tokens(&stored.subject), self.layout());
        let key = layout.key_of(&self.name, tokens);
        let odd = key.is_none();
        if odd && layout != Layout::Native {
            return None;
        }
        let entry = if !self.is_live(stored) {
            self.meet(stored);
            None
        } else if !open && !odd {
            Some(Entry::Name(self.expires(stored)))
        } else {
            match self.open(stored) {
                Opened::Record(record) => Some(Entry::Record(record)),
                Opened::Foreign => None,
                Opened::Corrupt(error) => Some(Entry::Fault(error)),
            }
        };
        let key = key.map_or_else(|| tokens.to_owned(), Cow::into_owned);
        Some(Line { key, odd, sequence: stored.sequence, entry })
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
}

/// Whether a key is asked for.
pub(crate) fn passes(o: &ListOptions, key: &str) -> bool {
    if o.cursor.is_some() {
        // A cursor stands for all that came before.
        return key.starts_with(&*o.prefix) && key.ends_with(&*o.suffix);
    }
    o.matches(key)
}
