//! What the server's keyspace notifications said of keys since they were last looked at.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use parking_lot::Mutex;
use redis::{PushInfo, PushKind, Value};
use store_core::{Gone, Key};
use tokio::sync::Notify;

/// The most keys that are remembered. A watcher that looks away for longer begins anew.
const MOST: usize = 100_000;

/// What was said, since it was last taken.
#[derive(Debug)]
pub(super) struct Heard {
    /// What comes before every key of the table in the name of a channel.
    channel: Vec<u8>,
    marks: Mutex<Marks>,
    /// Wakes who waits for more.
    pub(super) news: Notify,
}

#[derive(Debug, Default)]
struct Marks {
    /// The keys in the order in which they were first named.
    order: VecDeque<String>,
    of: HashMap<String, Mark>,
    lost: bool,
}

/// What was said of one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// When the first of it was heard.
    pub(super) since: Instant,
    /// It was gone in between.
    pub(super) ended: Option<Gone>,
    /// It was changed, after that if it was gone.
    pub(super) changed: bool,
    /// Another key was put in its place, of whatever type.
    pub(super) replaced: bool,
}

impl Mark {
    fn of(event: &[u8]) -> Option<Self> {
        let ended = match event {
            b"del" | b"rename_from" | b"move_from" => Some(Gone::Deleted),
            b"expired" => Some(Gone::Expired),
            b"evicted" => Some(Gone::Evicted),
            // Of a read that found nothing, or beside the event that says what was done.
            b"keymiss" | b"new" | b"overwritten" | b"type_changed" => return None,
            _ => None,
        };
        let replaced = matches!(event, b"rename_to" | b"move_to" | b"copy_to" | b"restore");
        Some(Self { since: Instant::now(), ended, changed: ended.is_none(), replaced })
    }

    /// What both say, the other one later.
    pub(super) fn then(self, later: Self) -> Self {
        let (ended, replaced) = (later.ended.or(self.ended), self.replaced || later.replaced);
        Self { since: self.since, ended, changed: later.changed, replaced }
    }
}

impl Heard {
    /// Of the keys with this prefix in a numbered database.
    pub(super) fn of(db: u32, prefix: &str) -> Self {
        Self {
            channel: format!("__keyspace@{db}__:{prefix}").into_bytes(),
            marks: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// The channels of the keys that begin so, as a pattern; or of this one key.
    pub(super) fn pattern(db: u32, start: &str, is_whole: bool) -> String {
        let pattern = crate::table::escape_glob(&format!("__keyspace@{db}__:{start}"));
        pattern + if is_whole { "" } else { "*" }
    }

    pub(super) fn take_in(&self, push: &PushInfo) {
        match (&push.kind, &push.data[..]) {
            (PushKind::Disconnection, _) => self.marks.lock().lost = true,
            (PushKind::PMessage, [_, Value::BulkString(channel), Value::BulkString(event)]) => {
                // What no key of ours can be is somebody else's.
                let key = channel.strip_prefix(&*self.channel).map(std::str::from_utf8);
                let (Some(Ok(key)), Some(mark)) = (key, Mark::of(event)) else {
                    return;
                };
                if Key::new(key).is_err() {
                    return;
                }
                self.mark(key, mark);
            }
            _ => return,
        }
        self.news.notify_one();
    }

    fn mark(&self, key: &str, mark: Mark) {
        let marks = &mut *self.marks.lock();
        if let Some(held) = marks.of.get_mut(key) {
            *held = held.then(mark);
        } else if marks.of.len() >= MOST {
            marks.lost = true;
        } else {
            marks.order.push_back(key.to_owned());
            marks.of.insert(key.to_owned(), mark);
        }
    }

    /// Whether changes were missed: the connection has ended, or there were too many.
    pub(super) fn is_lost(&self) -> bool {
        self.marks.lock().lost
    }

    /// The keys that were named first, and what was said of them.
    pub(super) fn take(&self, most: usize) -> Vec<(String, Mark)> {
        let marks = &mut *self.marks.lock();
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(key) = marks.order.pop_front()
        {
            if let Some(mark) = marks.of.remove(&key) {
                taken.push((key, mark));
            }
        }
        taken
    }

    /// Whether something was said of a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.marks.lock().of.contains_key(key)
    }

    /// What was said of one key.
    pub(super) fn take_of(&self, key: &str) -> Option<Mark> {
        self.marks.lock().of.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(heard: &Heard, channel: &str, event: &str) {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let data = vec![text("pattern"), text(channel), text(event)];
        heard.take_in(&PushInfo { kind: PushKind::PMessage, data });
    }

    #[test]
    fn what_is_said_of_a_key_adds_up() {
        let heard = Heard::of(3, "app:");
        for (channel, event) in [
            ("__keyspace@3__:app:b", "set"),
            ("__keyspace@3__:app:a", "set"),
            ("__keyspace@3__:app:b", "expire"),
            ("__keyspace@3__:app:a", "expired"),
            ("__keyspace@3__:app:c", "del"),
            ("__keyspace@3__:app:c", "set"),
            ("__keyspace@3__:app:d", "keymiss"),
            ("__keyspace@3__:app:", "set"),
            ("__keyspace@3__:other", "set"),
            ("__keyspace@1__:app:e", "set"),
            ("__keyevent@3__:app:e", "set"),
        ] {
            said(&heard, channel, event);
        }
        let what = |mark: Mark| (mark.ended, mark.changed);
        assert_eq!(heard.take_of("c").map(what), Some((Some(Gone::Deleted), true)));
        let taken: Vec<_> = heard.take(10).into_iter().map(|(key, m)| (key, what(m))).collect();
        let expired = (Some(Gone::Expired), false);
        assert_eq!(taken, [("b".to_owned(), (None, true)), ("a".to_owned(), expired)]);
        assert!(heard.take(10).is_empty() && !heard.is_lost());
        for i in 0..=MOST {
            said(&heard, &format!("__keyspace@3__:app:{i}"), "set");
        }
        assert!(heard.is_lost());
    }

    #[test]
    fn patterns_match_only_what_they_say() {
        assert_eq!(Heard::pattern(0, "a*b", false), r"__keyspace@0__:a\*b*");
        assert_eq!(Heard::pattern(12, "[k]", true), r"__keyspace@12__:\[k\]");
    }

    #[test]
    fn hostile_messages_are_left_alone() {
        let heard = Heard::of(0, "");
        for data in [
            vec![],
            vec![Value::Nil; 3],
            vec![Value::BulkString(vec![0xff]); 3],
            vec![Value::BulkString(b"__keyspace@0__:\xff".to_vec()); 3],
        ] {
            heard.take_in(&PushInfo { kind: PushKind::PMessage, data });
        }
        assert!(heard.take(10).is_empty() && !heard.is_lost());
        heard.take_in(&PushInfo { kind: PushKind::Disconnection, data: Vec::new() });
        assert!(heard.is_lost());
    }
}
