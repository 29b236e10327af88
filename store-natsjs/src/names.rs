//! The names of large tables, kept for the pages that follow the first.
//!
//! NATS has no order of its own, so a page in byte order needs all names of the table. They are gathered once, and then kept up to
//! date: by this store's own writes as they are acknowledged, and, before a first page, by asking for what has been written since. So a
//! first page never hides what anybody wrote before it. A page that follows shows the names as of its first page or later, for at
//! most [`LIFE`]: what another store creates or deletes meanwhile may be missing or still be named, as at any listing that takes a while.
//!
//! Where only its value tells whose record it is, a name is of a record that may be one of the table: its page reads the value.
//!
//! All that this driver does to a record is a message, deletions too. What an operator purges behind its back without a trace is
//! named for at most [`LIFE`].

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use store_core::Timestamp;

use crate::layout::Layout;

/// How long names are kept after they were gathered.
const LIFE: Duration = Duration::from_secs(30);
/// Names of one listing.
const MOST: usize = 1_000_000;
/// Listings of a bucket.
const LISTINGS: usize = 4;

/// What is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) table: Arc<str>,
    /// The subject that the server filters.
    pub(crate) filter: String,
    /// The bucket's identity.
    pub(crate) created: u64,
}

/// A name, and when its record expires.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) key: Box<str>,
    pub(crate) expires: Option<Timestamp>,
}

/// What a message made of its record.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Gone,
    /// It is there until then.
    Lives(Option<Timestamp>),
}

/// What became of a name since it was gathered: `None` is gone.
type Change = (u64, Option<Name>);

/// The names of one listing.
pub(crate) struct Snapshot {
    topic: Topic,
    /// The stream's sequence that it shows.
    as_of: u64,
    taken: Instant,
    /// This store may have written while it was gathered.
    gap: bool,
    base: Vec<Name>,
    changes: BTreeMap<Box<str>, Change>,
}

/// A part of a listing.
pub(crate) struct Part {
    pub(crate) names: Vec<Name>,
    pub(crate) more: bool,
    /// What a cursor must remember, so that no older names follow.
    pub(crate) as_of: u64,
}

/// What part of a listing.
pub(crate) struct Wanted<'a> {
    pub(crate) after: Option<&'a str>,
    pub(crate) prefix: &'a str,
    pub(crate) passes: &'a (dyn Fn(&str) -> bool + Sync),
    pub(crate) limit: usize,
}

/// The listings of a bucket.
#[derive(Default)]
pub(crate) struct Names {
    /// Whether there are any: most writes need not look.
    any: AtomicBool,
    all: Mutex<VecDeque<Snapshot>>,
    /// Filters that passed more than one request brings, and when: to be told so costs the server tens of milliseconds.
    large: Mutex<VecDeque<(Box<str>, Instant)>>,
}

impl Names {
    /// Whether a filter passed more than one request brings, when it was last tried.
    pub(crate) fn is_large(&self, filter: &str) -> bool {
        let mut large = self.large.lock();
        large.retain(|(_, since)| since.elapsed() < LIFE);
        large.iter().any(|(one, _)| **one == *filter)
    }

    pub(crate) fn note_large(&self, filter: &str) {
        let mut large = self.large.lock();
        large.truncate(LISTINGS - 1);
        large.push_front((filter.into(), Instant::now()));
    }

    /// A part of what is kept, if it shows this sequence and every write of this store.
    pub(crate) fn part(&self, topic: &Topic, since: u64, wanted: &Wanted<'_>) -> Option<Part> {
        let mut all = self.all.lock();
        all.retain(|one| one.taken.elapsed() < LIFE);
        let one = all.iter().find(|one| one.topic == *topic)?;
        (one.as_of >= since && !one.gap).then(|| one.part(wanted))
    }

    /// The sequence from which on changes are missing.
    pub(crate) fn shows(&self, topic: &Topic) -> Option<u64> {
        let all = self.all.lock();
        let one = all.iter().find(|one| one.topic == *topic && one.taken.elapsed() < LIFE)?;
        Some(one.as_of)
    }

    /// Keeps names, sorted by key. `acked` tells this store's last write.
    pub(crate) fn keep(
        &self,
        topic: Topic,
        base: Vec<Name>,
        as_of: u64,
        acked: impl FnOnce() -> u64,
        wanted: &Wanted<'_>,
    ) -> Part {
        let (taken, changes) = (Instant::now(), BTreeMap::new());
        let mut one = Snapshot { topic, as_of, taken, gap: false, base, changes };
        let part = one.part(wanted);
        if one.base.len() <= MOST {
            let mut all = self.all.lock();
            self.any.store(true, Ordering::Release);
            one.gap = acked() > as_of;
            all.retain(|other| other.topic != one.topic && other.taken.elapsed() < LIFE);
            all.truncate(LISTINGS - 1);
            all.push_front(one);
        }
        part
    }

    /// Takes in what was written since, up to this sequence.
    pub(crate) fn catch_up(&self, topic: &Topic, up_to: u64, changes: Vec<(Box<str>, Change)>) {
        let mut all = self.all.lock();
        if let Some(one) = all.iter_mut().find(|one| one.topic == *topic) {
            for (key, change) in changes {
                one.change(key, change);
            }
            one.as_of = one.as_of.max(up_to);
            one.gap = false;
        }
    }

    /// This store wrote or deleted a record.
    pub(crate) fn note(
        &self,
        layout: Layout,
        subject: &str,
        tokens: &str,
        sequence: u64,
        fate: Fate,
    ) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut all = self.all.lock();
        for one in all.iter_mut() {
            let scope = one.topic.filter.trim_end_matches('>');
            if subject.starts_with(scope)
                && let Some(key) = layout.key_of(&one.topic.table, tokens)
            {
                let key: Box<str> = key.into();
                let name = match fate {
                    Fate::Gone => None,
                    Fate::Lives(expires) => Some(Name { key: key.clone(), expires }),
                };
                one.change(key, (sequence, name));
            }
        }
        if all.is_empty() {
            self.any.store(false, Ordering::Release);
        }
    }

    /// Nothing that is kept counts any more.
    pub(crate) fn clear(&self) {
        self.all.lock().clear();
    }

    /// Lets go of what is too old to be used.
    pub(crate) fn sweep(&self) {
        if self.any.load(Ordering::Acquire) {
            self.all.lock().retain(|one| one.taken.elapsed() < LIFE);
        }
    }
}

impl Snapshot {
    fn change(&mut self, key: Box<str>, change: Change) {
        let newer = |held: &Change| held.0 > change.0;
        if !self.changes.get(&key).is_some_and(newer) {
            self.changes.insert(key, change);
        }
        if self.changes.len() > 1024 + self.base.len() / 8 {
            self.settle();
        }
    }

    /// Makes changes and names one list again.
    fn settle(&mut self) {
        let mut changes = std::mem::take(&mut self.changes);
        let mut base = std::mem::take(&mut self.base);
        base.retain(|name| !changes.contains_key(&name.key));
        base.extend(std::mem::take(&mut changes).into_values().filter_map(|(_, name)| name));
        base.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        self.base = base;
    }

    fn part(&self, wanted: &Wanted<'_>) -> Part {
        let from = match wanted.after {
            Some(after) if after >= wanted.prefix => Bound::Excluded(after),
            _ => Bound::Included(wanted.prefix),
        };
        let first = self.base.partition_point(|name| match from {
            Bound::Excluded(after) => &*name.key <= after,
            _ => &*name.key < wanted.prefix,
        });
        let mut base = self.base[first..].iter().peekable();
        let mut changes = self.changes.range::<str, _>((from, Bound::Unbounded)).peekable();
        let mut part = Part { names: Vec::new(), more: false, as_of: self.as_of };
        loop {
            let next = match (base.peek(), changes.peek()) {
                (None, None) => return part,
                (Some(_), None) => base.next(),
                (Some(name), Some((key, _))) if name.key < **key => base.next(),
                (name, Some((key, _))) => {
                    if name.is_some_and(|name| name.key == **key) {
                        base.next();
                    }
                    changes.next().and_then(|(_, (_, name))| name.as_ref())
                }
            };
            let Some(name) = next else { continue };
            if !name.key.starts_with(wanted.prefix) {
                // In order, nothing more begins so.
                return part;
            }
            if (wanted.passes)(&name.key) {
                if part.names.len() == wanted.limit {
                    part.more = true;
                    return part;
                }
                part.names.push(name.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> Topic {
        Topic { table: "t".into(), filter: "$KV.b.t.>".into(), created: 1 }
    }

    fn name(key: &str) -> Name {
        Name { key: key.into(), expires: None }
    }

    fn keys(names: &Names, since: u64, after: Option<&str>, limit: usize) -> Option<Vec<String>> {
        let wanted = Wanted { after, prefix: "", passes: &|_| true, limit };
        let part = names.part(&topic(), since, &wanted)?;
        Some(part.names.iter().map(|name| name.key.to_string()).collect())
    }

    fn kept(acked: u64) -> Names {
        let names = Names::default();
        let base = ["b", "d", "f"].map(name).to_vec();
        let wanted = Wanted { after: None, prefix: "", passes: &|_| true, limit: 2 };
        let part = names.keep(topic(), base, 10, || acked, &wanted);
        assert!(part.more && part.names.len() == 2);
        names
    }

    #[test]
    fn own_writes_and_deletes_show_in_their_place() {
        let names = kept(0);
        let note = |key: &str, sequence, fate| {
            let subject = format!("$KV.b.t.{key}");
            names.note(Layout::Native, &subject, &format!("t.{key}"), sequence, fate);
        };
        note("c", 11, Fate::Lives(None));
        note("d", 12, Fate::Gone);
        note("g", 13, Fate::Lives(None));
        // Another table, and an older change that arrives late.
        names.note(Layout::Native, "$KV.b.u.x", "u.x", 14, Fate::Lives(None));
        names.catch_up(&topic(), 12, vec![("g".into(), (11, None))]);
        assert_eq!(keys(&names, 0, None, 9).unwrap(), ["b", "c", "f", "g"]);
        assert_eq!(keys(&names, 12, Some("b"), 2).unwrap(), ["c", "f"]);
        assert_eq!(keys(&names, 13, None, 9), None, "a cursor from a later state");
        for i in 0..2000 {
            note(&format!("m{i:04}"), 20 + i, Fate::Lives(None));
        }
        assert_eq!(keys(&names, 0, None, 9999).unwrap().len(), 2004);
        assert_eq!(keys(&names, 0, Some("m1998"), 9).unwrap(), ["m1999"]);
    }

    #[test]
    fn what_was_written_while_names_were_gathered_is_asked_for() {
        let names = kept(11);
        assert_eq!(keys(&names, 0, None, 9), None);
        assert_eq!(names.shows(&topic()), Some(10));
        names.catch_up(&topic(), 11, vec![("a".into(), (11, Some(name("a"))))]);
        assert_eq!(keys(&names, 11, None, 2).unwrap(), ["a", "b"]);
        names.clear();
        assert_eq!(keys(&names, 0, None, 9), None);
    }

    #[test]
    fn a_prefix_ends_where_nothing_more_begins_so() {
        let names = kept(0);
        let part = |prefix, limit| {
            let wanted = Wanted { after: Some("c"), prefix, passes: &|k| k != "x", limit };
            let part = names.part(&topic(), 0, &wanted).unwrap();
            (part.names.iter().map(|n| n.key.to_string()).collect::<Vec<_>>(), part.more)
        };
        assert_eq!(part("d", 9), (vec!["d".to_owned()], false));
        assert_eq!(part("", 1), (vec!["d".to_owned()], true));
        assert_eq!(part("z", 1), (vec![], false));
    }
}
