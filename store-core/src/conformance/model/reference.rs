//! The contract in its smallest form: a sorted map and a clock.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::ops::{Ask, Item, Until, When, Write};
use crate::error::ErrorKind;
use crate::revision::Revision;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    pub(super) value: String,
    pub(super) note: Option<u8>,
    pub(super) expires: Option<SystemTime>,
    /// As the driver gave it.
    pub(super) revision: Option<Revision>,
}

/// What a table should hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) records: BTreeMap<&'static str, Held>,
    /// For each key, the revision before its last.
    pub(super) stale: BTreeMap<&'static str, Revision>,
}

impl Model {
    /// Lets what has expired be gone.
    pub(super) fn expire(&mut self, now: SystemTime) {
        let gone = |held: &Held| held.expires.is_some_and(|at| at <= now);
        let keys: Vec<_> =
            self.records.iter().filter(|(_, held)| gone(held)).map(|(key, _)| *key).collect();
        for key in keys {
            self.remove(key);
        }
    }

    pub(super) fn remove(&mut self, key: &'static str) {
        if let Some(Held { revision: Some(revision), .. }) = self.records.remove(key) {
            self.stale.insert(key, revision);
        }
    }

    pub(super) fn put(&mut self, key: &'static str, held: Held) {
        self.remove(key);
        self.records.insert(key, held);
    }

    pub(super) fn holds(&self, key: &str, when: When) -> bool {
        let record = self.records.get(key);
        match when {
            When::Any => true,
            When::Absent => record.is_none(),
            When::Current | When::SameValue => record.is_some(),
            When::Stale | When::OtherValue => false,
        }
    }

    pub(super) fn expires(&self, key: &str, until: Until, now: SystemTime) -> Option<SystemTime> {
        match until {
            Until::Default | Until::Never => None,
            Until::After(ttl) | Until::At(ttl) => Some(now + ttl),
            Until::Keep => self.records.get(key)?.expires,
        }
    }

    pub(super) fn write(&mut self, write: &Write, now: SystemTime, revision: Option<Revision>) {
        let expires = self.expires(write.key, write.expiry, now);
        let value = write.value.to_owned();
        self.put(write.key, Held { value, note: write.note, expires, revision });
    }

    /// The sum, or why there is none.
    pub(super) fn sum(&self, key: &str, delta: i64) -> Result<i64, ErrorKind> {
        let held = match self.records.get(key) {
            None => 0,
            // All numbers among the values are canonical.
            Some(held) => held.value.parse::<i64>().map_err(|_| ErrorKind::NotACounter)?,
        };
        held.checked_add(delta).ok_or(ErrorKind::Overflow)
    }

    /// What a batch comes to before it is done: nothing, or an error and perhaps its key.
    pub(super) fn judge(&self, items: &[Item]) -> Result<(), (ErrorKind, Option<&'static str>)> {
        let mut changed = Vec::new();
        for item in items {
            if let Item::Write(Write { key, .. }) | Item::Delete { key, .. } = item {
                if changed.contains(key) {
                    return Err((ErrorKind::InvalidArgument, None));
                }
                changed.push(*key);
            }
            if matches!(item, Item::Delete { when: When::Absent, .. }) {
                return Err((ErrorKind::InvalidArgument, None));
            }
        }
        for item in items {
            let (key, when) = match item {
                Item::Write(write) => (write.key, write.when),
                Item::Delete { key, when } | Item::Check { key, when } => (*key, *when),
            };
            if !self.holds(key, when) {
                return Err((ErrorKind::Conflict, Some(key)));
            }
        }
        Ok(())
    }

    pub(super) fn list(&self, ask: &Ask) -> Vec<String> {
        let passes = |key: &&&str| {
            key.starts_with(ask.prefix)
                && key.ends_with(ask.suffix)
                && ask.start_after.is_none_or(|start| **key > start)
        };
        let keys = self.records.keys().filter(passes).skip(ask.offset);
        keys.take(ask.limit.unwrap_or(usize::MAX)).map(|key| (*key).to_owned()).collect()
    }
}
