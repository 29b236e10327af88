//! Removing deletions that nothing needs any more.
//!
//! A deletion is needed for two reasons, and goes when both are gone.
//!
//! **Without it, something older could come back.** In files, a message that was overwritten stays in its block of the stream's file
//! until the block goes; the server only knows that it is dead because something newer of its subject is there. If the newer one is
//! removed and the server is killed, it reads the block anew and the old one is alive. A block goes when the stream begins after it. So
//! all deletions go together, by cutting off the beginning of the stream, and only when nothing before the cut lives. The block in
//! which the cut lies stays, and may still hold what was overwritten; so before the cut a stretch is written that is longer than a block
//! can be, and the block with the cut begins within it. In memory nothing survives, so each deletion may go by itself. On replicated
//! streams the log of the copies makes good what a file forgot, so there it may, too, but only while there are copies: when the stream
//! is reduced to one, what was deleted comes back with the next kill (measured: all of it). That is for the caller to know.
//!
//! **Someone has not heard of it.** Before anything is removed, all consumers of the stream must have got everything up to there, and all
//! mirrors in this domain must have it; and the highest sequence that goes is written into the stream's metadata, so that a watch of this
//! driver that was away begins anew instead of going on. Other clients, and copies in other domains, cannot be asked: the age is for them.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value as Json, json};
use store_core::{Error, ErrorKind, Result, Timestamp};

use super::fetch::Whole;
use super::{Bucket, carried, plain};
use crate::admin::missing;
use crate::gather::newest;
use crate::many::WINDOW;
use crate::publish::{Draft, Refusal};
use crate::settings::COMPACTED;
use crate::table::Table;
use crate::wire::stored::{ENDED, EXPIRES, OPERATION, Op, Stored, TTL};
use crate::write::bury;

/// More than the largest block of a stream's file, 8 MiB.
const STRETCH: usize = 9 * 1024 * 1024;
/// The most bytes of one message of the stretch.
const PIECE: usize = 512 * 1024;
/// The reserved key of the stretch, below the bucket's prefix.
const STRETCH_KEY: &str = "_kv.compact";
/// How often records are moved again that were written meanwhile.
const ROUNDS: usize = 3;

/// Why a compaction kept deletions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kept {
    /// They are younger than asked for.
    Young,
    /// Records live among them, and the bucket is in files: see [`Compact::move_records`] and [`Compact::one_by_one`].
    Records,
    /// Somebody wrote meanwhile.
    Writers,
    /// A consumer of the stream, or a mirror, has not got them yet.
    Watchers,
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// Deletions that are gone.
    pub removed: u64,
    /// Deletions that are still there.
    pub kept: u64,
    /// Why they are: the first reason that was found.
    pub why: Option<Kept>,
    /// Records that were written again.
    pub moved: u64,
}

/// A compaction to be done by `.await`.
#[derive(Clone, Debug)]
#[must_use = "nothing happens before it is awaited"]
pub struct Compact {
    bucket: Bucket,
    older_than: Duration,
    move_records: bool,
    one_by_one: bool,
}

impl Compact {
    /// Removes only deletions that are at least so old; by default 30 minutes. Longer than another client's watch, or a mirror or
    /// aggregate in another domain, may be away: they would never learn of the deletion. Watches of this driver are not concerned.
    pub fn older_than(mut self, age: Duration) -> Self {
        self.older_than = age;
        self
    }

    /// In files: writes records that live among the deletions again, so that the deletions can go. Each gets a new revision, watches
    /// see it, and the whole bucket is written once. A condition on an older revision then conflicts. Where deletions go one by one it
    /// is not needed and does nothing.
    pub fn move_records(mut self) -> Self {
        self.move_records = true;
        self
    }

    /// In files on several servers: removes each deletion by itself, whatever lives beside it. Safe as long as the bucket keeps at least
    /// two replicas; when it is ever reduced to one, what was deleted may come back. In files on one server it is refused; in memory it
    /// is always done so.
    pub fn one_by_one(mut self) -> Self {
        self.one_by_one = true;
        self
    }
}

impl Bucket {
    /// Removes the deletions that can be proven to be needed no more, with the older versions of the keys that they delete. In a bucket in
    /// files these are all or none: none while a record lives among them, unless [`move_records`](Compact::move_records) or
    /// [`one_by_one`](Compact::one_by_one) is set. It costs 9 MiB of writes, and none where nothing is to be removed.
    ///
    /// ```no_run
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// # let nats = store_natsjs::Nats::connect("nats://localhost").await?;
    /// # let bucket = nats.bucket(&store_core::Name::new("app")?);
    /// let done = bucket.compact().move_records().await?;
    /// println!("{} deletions removed, {} kept: {:?}", done.removed, done.kept, done.why);
    /// # Ok::<(), store_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `NotFound` when there is no bucket; `Unsupported` for a bucket that only reads, for moving records of a bucket with a history or a
    /// limit of age, which would be lost, and for one by one in files on one server; `Full` when the bucket has no room for what must be written; those of writes.
    pub fn compact(&self) -> Compact {
        let older_than = Duration::from_mins(30);
        Compact { bucket: self.clone(), older_than, move_records: false, one_by_one: false }
    }

    /// Deletes everything. Watchers are told of each record; then what was deleted is removed, too, where that is safe at once, and the
    /// answer says what was. The revision counter goes on: no revision comes again. What is written meanwhile may stay or go.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub async fn empty(&self) -> Result<Compacted> {
        let table = self.table().await?;
        table.shared.empty_database(self.name()).await?;
        self.compact().older_than(Duration::ZERO).await
    }
}

impl IntoFuture for Compact {
    type Output = Result<Compacted>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Compacted>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl Compact {
    async fn run(self) -> Result<Compacted> {
        let table = self.bucket.table().await?;
        if table.known.read_only {
            return Err(Error::unsupported("a copy of other buckets is compacted at its origins"));
        }
        let all = everything(&table).await?;
        // What has expired and the server does not remove by itself: from now on a deletion.
        let expired: Vec<Stored> = all
            .iter()
            .filter(|m| m.is_put() && !table.is_live(m) && m.until.is_none() && m.ttl.is_none())
            .cloned()
            .collect();
        let all = if expired.is_empty() {
            all
        } else {
            let (shared, name) = (&table.shared, &table.bucket.name);
            stream::iter(expired)
                .for_each_concurrent(WINDOW, |m| async move {
                    bury(shared, name, &m.subject, m.sequence).await;
                })
                .await;
            everything(&table).await?
        };
        let in_files = table.known.config.get("storage").and_then(Json::as_str) != Some("memory");
        match (in_files, self.one_by_one) {
            (true, false) => self.cut(&table, &all).await,
            (true, true) if table.known.replicas == 1 => Err(Error::unsupported(
                "in files on one server, a deletion that goes by itself lets older versions come back when the server is killed",
            )),
            _ => self.each(&table, &all).await,
        }
    }

    fn is_young(&self, table: &Table, m: &Stored) -> bool {
        // Clocks differ a little, which does not matter to who does not ask for an age.
        !self.older_than.is_zero()
            && m.time.checked_add(self.older_than).is_none_or(|at| at > table.shared.now())
    }

    // ------------------------------------------------------------------ one by one

    async fn each(&self, table: &Table, all: &[Stored]) -> Result<Compacted> {
        let dead: Vec<_> = all.iter().filter(|m| is_tombstone(m) && m.until.is_none()).collect();
        let old: Vec<_> = dead.iter().copied().filter(|m| !self.is_young(table, m)).collect();
        let mut done = Compacted { kept: dead.len() as u64, ..Compacted::default() };
        done.why = (old.len() < dead.len()).then_some(Kept::Young);
        let Some(last) = old.iter().map(|m| m.sequence).max() else { return Ok(done) };
        if !heard(table, last).await? {
            done.why = Some(Kept::Watchers);
            return Ok(done);
        }
        note(table, last).await?;
        let what = |m: &Stored| json!({ "filter": &*m.subject, "seq": m.sequence + 1 });
        let what: Vec<Json> = old.into_iter().map(what).collect();
        let purged = stream::iter(what)
            .map(|what| async move { purge(table, what).await })
            .buffer_unordered(WINDOW)
            .try_fold(0, |sum, purged| async move { Ok(sum + u64::from(purged > 0)) })
            .await?;
        done.removed = purged;
        done.kept -= purged;
        Ok(done)
    }

    // ------------------------------------------------------------------ cutting off the beginning

    async fn cut(&self, table: &Table, all: &[Stored]) -> Result<Compacted> {
        let tombstones = all.iter().filter(|m| is_tombstone(m) && !is_stretch(table, m)).count();
        let mut done = Compacted { kept: tombstones as u64, ..Compacted::default() };
        if tombstones == 0 {
            return Ok(done);
        }
        if all.iter().all(|m| self.stays(table, m)) {
            done.why = Some(Kept::Young);
            return Ok(done);
        }
        if !self.move_records
            && let Some(first) = all.iter().find(|m| self.stays(table, m))
        {
            done.why = Some(if is_tombstone(first) { Kept::Young } else { Kept::Records });
            return Ok(done);
        }
        let known = &table.known;
        if self.move_records && (known.history > 1 || known.max_age.is_some()) {
            return Err(Error::unsupported(
                "records cannot be moved in a bucket with a history or a limit of age: those would be lost",
            ));
        }
        let before = last_sequence(table).await?;
        let end = stretch(table).await?;
        // Up to the end of the stretch, nothing may live, and no deletion may be newer than its beginning: what that one deletes may
        // lie in the block of the cut.
        let hinders = |m: &Stored| {
            m.sequence <= end
                && !is_stretch(table, m)
                && (self.stays(table, m) || m.sequence > before)
        };
        let mut all = everything_up_to(table, end).await?;
        for _ in 0..ROUNDS {
            if !self.move_records {
                break;
            }
            let moving: Vec<Stored> = all.iter().filter(|m| hinders(m)).cloned().collect();
            if moving.is_empty() {
                break;
            }
            let moved = stream::iter(moving)
                .map(|m| async move { move_one(table, &m).await })
                .buffer_unordered(WINDOW)
                .try_fold(0, |sum, moved| async move { Ok(sum + u64::from(moved)) })
                .await?;
            done.moved += moved;
            all = everything_up_to(table, end).await?;
        }
        if all.iter().any(hinders) {
            done.why = Some(Kept::Writers);
            return Ok(done);
        }
        if !heard(table, end).await? {
            done.why = Some(Kept::Watchers);
            return Ok(done);
        }
        note(table, end).await?;
        let going = all.iter().filter(|m| m.sequence <= end && !is_stretch(table, m));
        done.removed = going.filter(|m| is_tombstone(m)).count() as u64;
        purge(table, json!({ "seq": end + 1 })).await?;
        let staying = all.iter().filter(|m| m.sequence > end && is_tombstone(m));
        done.kept = staying.count() as u64;
        done.why = (done.kept > 0).then_some(Kept::Young);
        Ok(done)
    }

    /// Whether a message must still be there afterwards.
    fn stays(&self, table: &Table, m: &Stored) -> bool {
        !is_stretch(table, m) && (table.is_live(m) || (is_tombstone(m) && self.is_young(table, m)))
    }
}

fn is_tombstone(m: &Stored) -> bool {
    !m.is_put()
}

fn is_stretch(table: &Table, m: &Stored) -> bool {
    table.bucket.tokens(&m.subject) == STRETCH_KEY
}

/// The newest message of every key. From the stream itself: a mirror that answers may be behind, and what it does not know of would
/// be taken for dead.
async fn everything(table: &Table) -> Result<Vec<Stored>> {
    let mut table = table.clone();
    table.deadline = table.shared.deadline();
    let (filter, needs) = (table.bucket.subject(">"), table.layout().names_need_bodies());
    let all = table.by_feed(&filter, !needs, usize::MAX, &|stored| stored).await;
    let (all, _) = all.map_err(plain)?.unwrap_or_default();
    Ok(newest(all))
}

/// As [`everything`], up to this sequence at least: a copy of the stream may not have come so far yet.
async fn everything_up_to(table: &Table, end: u64) -> Result<Vec<Stored>> {
    let deadline = table.shared.deadline();
    for round in 0.. {
        let all = everything(table).await?;
        if all.iter().any(|m| m.sequence >= end) {
            return Ok(all);
        }
        if !deadline.pause(round).await {
            break;
        }
    }
    Err(Error::new(ErrorKind::Timeout, "the copies of the bucket do not come up with its leader"))
}

async fn api(table: &Table, rest: &str, body: &Json, changes: bool) -> Result<Json> {
    let done = table.shared.js.api(rest, body, table.shared.deadline()).await;
    done.map_err(|fault| fault.into_error(changes))
}

async fn info(table: &Table) -> Result<Json> {
    let js = &table.shared.js;
    let info = js.stream_info(&table.bucket.stream, &Json::Null, table.shared.deadline()).await;
    info.map_err(|fault| fault.into_error(false))?.ok_or_else(missing)
}

async fn last_sequence(table: &Table) -> Result<u64> {
    let info = info(table).await?;
    Ok(info.pointer("/state/last_seq").and_then(Json::as_u64).unwrap_or(0))
}

/// How many messages went.
async fn purge(table: &Table, what: Json) -> Result<u64> {
    let rest = format!("STREAM.PURGE.{}", table.bucket.stream);
    let done = api(table, &rest, &what, true).await?;
    Ok(done.get("purged").and_then(Json::as_u64).unwrap_or(0))
}

/// Writes more than a block holds, as deletions of a reserved key; its last sequence.
async fn stretch(table: &Table) -> Result<u64> {
    let number = |name: &str| table.known.config.get(name).and_then(Json::as_i64);
    let limit = |name: &str| number(name).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let room = limit("max_msg_size").unwrap_or(usize::MAX);
    let room = room.min(limit("max_bytes").map_or(usize::MAX, |all| all / 16));
    let room = room.min(table.shared.server()?.max_payload).saturating_sub(1024);
    let piece = Bytes::from(vec![b' '; room.clamp(1024, PIECE)]);
    let subject = table.bucket.subject(STRETCH_KEY);
    let (mut written, mut end) = (0, 0);
    while written < STRETCH {
        let mut headers = HeaderMap::new();
        headers.insert(OPERATION, "DEL");
        let mut table = table.clone();
        table.deadline = table.shared.deadline();
        let draft = Draft { headers, payload: piece.clone(), expires: None, until: None };
        match table.publish(&subject, &draft, None).await {
            Ok(sequence) => end = sequence,
            Err(refusal) => return Err(super::refused(refusal)),
        }
        written += piece.len();
    }
    Ok(end)
}

/// Writes a message again as it is, if it is still the newest of its subject; `false` when it is not.
async fn move_one(table: &Table, m: &Stored) -> Result<bool> {
    let mut table = table.clone();
    table.deadline = table.shared.deadline();
    let Some(whole) = table.whole_at(m.sequence).await.map_err(plain)? else { return Ok(false) };
    let draft = again(&table, whole);
    match table.publish(&m.subject, &draft, Some(m.sequence)).await {
        Ok(_) => Ok(true),
        Err(Refusal::Moved) => Ok(false),
        Err(refusal) => Err(super::refused(refusal)),
    }
}

fn again(table: &Table, (stored, headers): Whole) -> Draft {
    let mut kept = headers.as_ref().map(carried).unwrap_or_default();
    if let Op::Expired(Some(ended)) = stored.op {
        kept.insert(ENDED, ended.to_string());
    }
    if !stored.is_put() {
        kept.insert(OPERATION, "DEL");
    }
    let expires = stored.expires.filter(|_| stored.is_put());
    if let Some(at) = expires {
        kept.insert(EXPIRES, at.as_millis().to_string());
    }
    let mut draft = Draft { headers: kept, payload: stored.payload.clone(), expires, until: None };
    match (stored.until, stored.ttl) {
        (Some(_), _) => {
            table.entrust(&mut draft, expires.unwrap_or_else(|| table.shared.now()), Some(&stored));
        }
        // Another client's time to live goes on where it was.
        (None, Some(seconds)) => {
            let end = stored.time.checked_add(Duration::from_secs(seconds));
            let left = end.map_or(0, |end: Timestamp| end.since(table.shared.now()).as_secs());
            draft.headers.insert(TTL, (left + 1).to_string());
        }
        (None, None) => {}
    }
    draft
}

/// Whether everybody who can be asked has everything up to there; waits for them as long as a call may take.
async fn heard(table: &Table, up_to: u64) -> Result<bool> {
    let deadline = table.shared.deadline();
    let mut round = 0;
    loop {
        if consumers_have(table, up_to).await? && mirrors_have(table, up_to).await? {
            return Ok(true);
        }
        if !deadline.pause(round).await {
            return Ok(false);
        }
        round += 1;
    }
}

async fn consumers_have(table: &Table, up_to: u64) -> Result<bool> {
    let rest = format!("CONSUMER.LIST.{}", table.bucket.stream);
    let mut seen = 0;
    loop {
        let answer = api(table, &rest, &json!({ "offset": seen }), false).await?;
        let page = answer.get("consumers").and_then(Json::as_array).cloned().unwrap_or_default();
        let behind = page.iter().any(|one| {
            let number = |path: &str| one.pointer(path).and_then(Json::as_u64);
            number("/num_pending") != Some(0)
                && number("/delivered/stream_seq").is_none_or(|at| at < up_to)
        });
        if behind {
            return Ok(false);
        }
        seen += page.len();
        let total = answer.get("total").and_then(Json::as_u64).unwrap_or(0);
        if page.is_empty() || seen as u64 >= total {
            return Ok(true);
        }
    }
}

/// Mirrors have the sequences of their origin; aggregates tell how much they lack.
async fn mirrors_have(table: &Table, up_to: u64) -> Result<bool> {
    let own = &table.bucket.stream;
    let streams = table.shared.streams().await?;
    Ok(streams.into_iter().map(super::BucketStatus::read).all(|status| {
        let is_ours = |up: &super::Upstream| up.stream == *own && up.api_prefix.is_none();
        let mirrors = status.mirror.iter().filter(|up| is_ours(up)).count() > 0;
        let late = status.sources.iter().any(|up| is_ours(up) && up.lag != Some(0));
        !(late || (mirrors && status.last_sequence < up_to))
    }))
}

/// Writes down up to where deletions go, before they do.
async fn note(table: &Table, up_to: u64) -> Result<()> {
    let mut info = info(table).await?;
    let mut config = info.get_mut("config").map(Json::take).unwrap_or_default();
    let path = format!("/metadata/{COMPACTED}");
    let before = config.pointer(&path).and_then(Json::as_str).and_then(|text| text.parse().ok());
    if !config.get("metadata").is_some_and(Json::is_object) {
        config["metadata"] = json!({});
    }
    config["metadata"][COMPACTED] = up_to.max(before.unwrap_or(0)).to_string().into();
    api(table, &format!("STREAM.UPDATE.{}", table.bucket.stream), &config, true).await?;
    table.shared.look(&table.bucket, table.shared.deadline()).await?;
    Ok(())
}
