//! What this store has written lately, so that it reads back its own writes.
//!
//! On a replicated stream any copy may answer a read, and may be behind. A read that is older than what the same store wrote is
//! asked again from the leader. Bounded: entries are kept for at least [`KEEP`]; where writes come so fast that this would
//! take too much memory, unknown keys are read from the leader for a while.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;
use parking_lot::Mutex;

/// How long a copy may be behind.
const KEEP: Duration = Duration::from_secs(30);
/// Entries of one generation, 16 bytes each.
const MOST: usize = 1 << 20;

#[derive(Default)]
pub(crate) struct Acked {
    max: AtomicU64,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<u64, u64, FixedState>,
    old: HashMap<u64, u64, FixedState>,
    turned: Option<Instant>,
    /// Entries younger than [`KEEP`] were dropped.
    dropped: Option<Instant>,
}

/// The oldest acceptable state of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floor {
    /// This sequence or a later one; 0 is any.
    At(u64),
    /// Not known: ask the leader.
    Unknown,
}

impl Floor {
    pub(crate) fn allows(self, sequence: u64) -> bool {
        matches!(self, Self::At(floor) if floor <= sequence)
    }
}

fn hash(subject: &str) -> u64 {
    FixedState::with_seed(2).hash_one(subject)
}

impl Acked {
    /// An acknowledged write.
    pub(crate) fn note(&self, subject: &str, sequence: u64) {
        self.max.fetch_max(sequence, Ordering::AcqRel);
        let now = Instant::now();
        let mut all = self.generations.lock();
        let age = now.duration_since(*all.turned.get_or_insert(now));
        if age > KEEP || all.young.len() >= MOST {
            if age <= KEEP && !all.old.is_empty() {
                all.dropped = Some(now);
            }
            all.old = std::mem::take(&mut all.young);
            all.turned = Some(now);
        }
        let held = all.young.entry(hash(subject)).or_default();
        *held = (*held).max(sequence);
    }

    /// What a read of this subject must at least show.
    pub(crate) fn floor(&self, subject: &str) -> Floor {
        if self.max.load(Ordering::Acquire) == 0 {
            return Floor::At(0);
        }
        let hash = hash(subject);
        let all = self.generations.lock();
        match all.young.get(&hash).or_else(|| all.old.get(&hash)) {
            Some(sequence) => Floor::At(*sequence),
            None if all.dropped.is_some_and(|at| at.elapsed() < KEEP) => Floor::Unknown,
            None => Floor::At(0),
        }
    }

    /// The highest sequence of a write.
    pub(crate) fn newest(&self) -> u64 {
        self.max.load(Ordering::Acquire)
    }

    /// Many records were written up to this sequence, and nobody knows which by which: for a while the leader is asked.
    pub(crate) fn note_many(&self, sequence: u64) {
        let mut all = self.generations.lock();
        let now = Instant::now();
        *all = Generations { turned: Some(now), dropped: Some(now), ..Generations::default() };
        self.max.fetch_max(sequence, Ordering::AcqRel);
    }

    /// The highest sequence of a write within the last while; 0 when there was none.
    pub(crate) fn recent(&self) -> u64 {
        let all = self.generations.lock();
        match all.turned {
            Some(at) if at.elapsed() < 2 * KEEP => self.max.load(Ordering::Acquire),
            _ => 0,
        }
    }

    /// The stream is another one: its sequences mean nothing any more.
    pub(crate) fn clear(&self) {
        let mut all = self.generations.lock();
        *all = Generations::default();
        self.max.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_is_the_last_write_and_never_too_low() {
        let acked = Acked::default();
        assert_eq!(acked.floor("a"), Floor::At(0));
        acked.note("a", 5);
        acked.note("a", 3);
        assert_eq!((acked.floor("a"), acked.floor("b")), (Floor::At(5), Floor::At(0)));
        for i in 0..2 * MOST as u64 + 2 {
            acked.note(&i.to_string(), i);
        }
        assert_eq!(acked.floor("a"), Floor::Unknown, "fell out, so the leader is asked");
        acked.clear();
        assert_eq!(acked.floor("a"), Floor::At(0));
    }
}
