//! Listings in any order: pages from a sequence of the stream on, which need no more memory than a page.

use std::collections::HashMap;

use serde_json::{Value as Json, json};
use store_core::{Error, ListOptions, U64Page};

use crate::gather::{Want, newest};
use crate::list::{BATCH, Entry, Line, passes};
use crate::table::{Fail, Table, Via};
use crate::wire::api::Which;
use crate::wire::feed::{self, Begin, Feed, Heard};
use crate::wire::stored::Stored;

/// The first names of a numbered page, which come by a read. A consumer brings more of them faster, as values stay behind.
const FIRST_NAMES: usize = 256;

impl Table {
    /// Names or records from a sequence on: items, faults, and where to go on.
    pub(crate) async fn by_sequence(
        &self,
        o: &ListOptions,
        bodies: bool,
        from: u64,
        mut skip: usize,
        limit: usize,
    ) -> Result<(Vec<(String, Entry)>, Vec<Error>, Option<u64>), Fail> {
        let filter = self.filter(&o.prefix);
        let open = bodies || self.layout().names_need_bodies();
        let via = Via::of(o.consistency);
        let paged = self.known.history == 1
            && self.known.direct
            && self.shared.server()?.has_multi()
            && via != Via::Leader;
        // A copy or a mirror that is behind may miss what this store wrote: the leader has what comes after its last message, up to
        // where the stream is then. Beside writers a listing would have no end otherwise.
        let doubts = via == Via::Copy && self.bucket.acked.recent() > 0;
        let (mut at_end, mut end) = (false, None);
        let (mut items, mut faults) = (Vec::new(), Vec::new());
        let begin = from.max(1);
        let (mut from, mut round, mut size) = (begin, 0, limit.saturating_add(skip));
        loop {
            // However little passes: whoever asked gets what there is, and where to go on.
            if self.deadline.has_passed() && from > begin {
                return Ok((items, faults, Some(from)));
            }
            let (messages, more, behind) = if at_end {
                let end = match end {
                    Some(end) => end,
                    None => *end.insert(self.last_of_all().await?),
                };
                let next = self.after_last(&filter, from).await?;
                let next = next.filter(|next| next.sequence <= end);
                let more = next.is_some();
                (next.into_iter().collect(), more, from)
            } else if paged {
                let asked_for = size.clamp(16, BATCH);
                let body = json!({ "batch": asked_for, "seq": from, "next_by_subj": filter });
                let js = &self.shared.js;
                match js.batch(&self.bucket.stream, &body, self.deadline).await {
                    Ok(batch) => {
                        let came = batch.messages.len();
                        let behind = batch.messages.last().map_or(from, |last| last.sequence + 1);
                        // What is written again meanwhile comes twice and may stand for another one in the server's count.
                        let more = came > 0 && (batch.pending > 0 || came == asked_for);
                        at_end = doubts && !more;
                        let messages = batch.messages;
                        let messages =
                            if doubts { self.newest_of(messages).await? } else { messages };
                        (messages, more || at_end, behind)
                    }
                    Err(fault) => {
                        self.after(fault, &mut round, false).await?;
                        continue;
                    }
                }
            } else {
                let asked = |key: &str| passes(o, key);
                let all = self.gather(&filter, Want::All, via, &asked, &|stored, _| stored).await?;
                let mut all = newest(all.items);
                all.retain(|stored| stored.sequence >= from);
                all.sort_unstable_by_key(|stored| stored.sequence);
                (all, false, from)
            };
            let count = messages.len();
            for (i, stored) in messages.into_iter().enumerate() {
                from = stored.sequence + 1;
                if let Some(Line { key, entry: Some(entry), .. }) = self.line(&stored, open)
                    && passes(o, &key)
                {
                    match entry {
                        _ if skip > 0 => skip -= 1,
                        Entry::Fault(error) => faults.push(error),
                        entry => items.push((key, entry)),
                    }
                }
                if items.len() + faults.len() >= limit && (i + 1 < count || more) {
                    return Ok((items, faults, Some(from)));
                }
            }
            if !more {
                return Ok((items, faults, None));
            }
            (from, size) = (from.max(behind), BATCH);
        }
    }

    /// Without what this store has changed since and the copy that answered did not know yet.
    async fn newest_of(&self, mut messages: Vec<Stored>) -> Result<Vec<Stored>, Fail> {
        let acked = &self.bucket.acked;
        let is_stale = |m: &&Stored| !acked.floor(&m.subject).allows(m.sequence);
        let stale: Vec<String> =
            messages.iter().filter(is_stale).map(|m| m.subject.to_string()).collect();
        let mut newest = HashMap::with_capacity(stale.len());
        for (subject, now) in stale.iter().zip(self.newest_many(&stale, Via::Leader).await) {
            newest.insert(&**subject, now?.map(|now| now.sequence));
        }
        let is_newest =
            |m: &Stored| newest.get(&*m.subject).is_none_or(|at| *at == Some(m.sequence));
        messages.retain(is_newest);
        Ok(messages)
    }

    /// The last sequence of the stream, as who has the last word knows it.
    async fn last_of_all(&self) -> Result<u64, Fail> {
        let (js, stream) = (self.authority(), &self.bucket.stream);
        let info = js.stream_info(stream, &Json::Null, self.deadline).await;
        let info = info.map_err(|fault| Fail::Error(fault.into_error(false)))?;
        let info = info.ok_or_else(|| self.gone())?;
        Ok(info.pointer("/state/last_seq").and_then(Json::as_u64).unwrap_or(0))
    }

    /// The leader's next message.
    async fn after_last(&self, filter: &str, from: u64) -> Result<Option<Stored>, Fail> {
        let mut round = 0;
        loop {
            let which = Which::NextBySubj { seq: from, next_by_subj: filter };
            match self.authority().leader(&self.bucket.stream, which, self.deadline).await {
                Ok(next) => return Ok(next),
                Err(fault) => self.after(fault, &mut round, false).await?,
            }
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
        let (items, _, mut next) = self.by_sequence(&o, false, cursor, 0, first).await?;
        let mut names: Vec<String> = items.into_iter().map(|(key, _)| key).collect();
        if by_name && let Some(from) = next {
            let from = self.names_from(from, limit, &mut names).await;
            next = Some(from);
            if names.len() < limit {
                let (items, _, last) =
                    self.by_sequence(&o, false, from, 0, limit - names.len()).await?;
                names.extend(items.into_iter().map(|(key, _)| key));
                next = last;
            }
        }
        Ok(U64Page::new(names, next))
    }

    /// Adds names from a sequence on, up to `limit` in all. Answers where to go on.
    async fn names_from(&self, from: u64, limit: usize, names: &mut Vec<String>) -> u64 {
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
            return next;
        };
        while names.len() < limit {
            // Caught up with where the stream was, yet keys may have been written again since: the other way tells.
            let heard = tokio::time::timeout_at(self.deadline.at, feed.next()).await;
            let Ok(Ok(Heard::Message(stored))) = heard else { break };
            next = stored.sequence + 1;
            if let Some(Line { key, entry: Some(Entry::Name(_)), .. }) = self.line(&stored, false) {
                names.push(key);
            }
            // The other way tells whether that is true: a record that is written again is not counted for a moment.
            if feed.pending() == 0 {
                break;
            }
        }
        next
    }
}
