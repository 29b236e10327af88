//! Listings in any order: pages from a sequence of the stream on, which need no more memory than a page.

use serde_json::json;
use store_core::{Error, ListOptions, U64Page};

use crate::gather::{Want, newest};
use crate::list::{BATCH, Entry, Line, passes};
use crate::table::{Fail, Table, Via};
use crate::wire::feed::{self, Begin, Feed, Heard};

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
                let asked = |key: &str| passes(o, key);
                let all = self.gather(&filter, Want::All, via, &asked, &|stored, _| stored).await?;
                let mut all = newest(all.items);
                all.retain(|stored| stored.sequence >= from);
                all.sort_unstable_by_key(|stored| stored.sequence);
                (all, false)
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
        let (items, _, mut next) = self.by_sequence(&o, false, cursor, 0, first).await?;
        let mut names: Vec<String> = items.into_iter().map(|(key, _)| key).collect();
        if by_name && let Some(from) = next {
            next = self.names_from(from, limit, &mut names).await;
            if let Some(from) = next
                && names.len() < limit
            {
                let (items, _, last) =
                    self.by_sequence(&o, false, from, 0, limit - names.len()).await?;
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
            if let Some(Line { key, entry: Some(Entry::Name(_)), .. }) = self.line(&stored, false) {
                names.push(key);
            }
            if feed.pending() == 0 {
                return None;
            }
        }
        Some(next)
    }
}
