//! What all parts of one store share.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use foldhash::fast::RandomState;
use store_core::{Clock, Error, ErrorKind, Namespace, Result, Revision, Timestamp};

use crate::reaper::Alarm;

/// Clock, revisions and life of a store.
#[derive(Debug)]
pub(crate) struct Core {
    /// Tells this store from others in what a namespace keeps for it.
    pub(crate) owner: u64,
    pub(crate) hasher: RandomState,
    pub(crate) alarm: Alarm,
    /// How many changes of a watched table are kept for watchers that lag or resume.
    pub(crate) feed_len: usize,
    clock: Arc<dyn Clock>,
    /// Differs between runs, so that a revision from before a restart never matches.
    incarnation: u64,
    last_revision: Alone,
    closed: AtomicBool,
}

/// The one thing that all writers change, away from what all callers read.
#[repr(align(128))]
#[derive(Debug, Default)]
struct Alone(AtomicU64);

impl Core {
    pub(crate) fn new(clock: Arc<dyn Clock>, feed_len: usize) -> Self {
        let owner = Namespace::unique_owner();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            owner,
            hasher: RandomState::default(),
            alarm: Alarm::default(),
            feed_len,
            clock,
            incarnation: (started.as_nanos() as u64).wrapping_add(owner),
            last_revision: Alone::default(),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Taken under the lock of the shard that it is for, so that revisions of a key only grow.
    #[inline]
    pub(crate) fn next_revision(&self) -> Revision {
        self.revision(self.last_revision.0.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(crate) fn last_revision(&self) -> u64 {
        self.last_revision.0.load(Ordering::Relaxed)
    }

    pub(crate) fn revision(&self, sequence: u64) -> Revision {
        Revision::from_parts(self.incarnation, sequence)
    }

    /// The sequence of a revision that this very store gave out.
    pub(crate) fn sequence(&self, revision: Revision) -> Option<u64> {
        let known = revision.incarnation() == self.incarnation
            && revision.sequence() <= self.last_revision();
        known.then_some(revision.sequence())
    }

    #[inline]
    pub(crate) fn open(&self) -> Result<()> {
        if self.is_closed() { Err(Self::closed()) } else { Ok(()) }
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    #[cold]
    pub(crate) fn closed() -> Error {
        Error::new(ErrorKind::Closed, "the store was closed").with_driver(crate::DRIVER)
    }

    /// Whether it was open until now.
    pub(crate) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }
}

/// The time of one call: the exact clock is read once, and only if the call needs it.
#[derive(Debug)]
pub(crate) struct Moment<'a> {
    core: &'a Core,
    exact: Cell<Option<Timestamp>>,
}

impl<'a> Moment<'a> {
    pub(crate) fn new(core: &'a Core) -> Self {
        Self { core, exact: Cell::new(None) }
    }

    /// For what expires.
    #[inline]
    pub(crate) fn exact(&self) -> Timestamp {
        self.exact.get().unwrap_or_else(|| {
            let now = self.core.now();
            self.exact.set(Some(now));
            now
        })
    }

    /// For when a record was modified.
    #[inline]
    pub(crate) fn recent(&self) -> Timestamp {
        self.exact.get().unwrap_or_else(|| self.core.clock.recent())
    }
}
