//! Removes expired records at their time.
//!
//! Nothing depends on it for correctness: an expired record is absent for every call. It frees memory and makes the events.

use std::sync::{Arc, Weak};
use std::thread;

use parking_lot::{Condvar, Mutex};
use store_core::Timestamp;

use crate::core::Core;

/// When the reaper is next needed. The first alarm starts it: a store without expiries has no thread.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    state: Mutex<State>,
    changed: Condvar,
    /// The `next` of the state again in milliseconds, for writers; 0 = no alarm is ever earlier.
    next_ms: std::sync::atomic::AtomicU64,
}

#[derive(Default)]
struct State {
    next: Option<Timestamp>,
    start: Option<Box<dyn FnOnce() + Send>>,
    stopped: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.next)
    }
}

/// What a reaper reaps.
pub(crate) trait Reap: Send + Sync + 'static {
    /// Removes what has expired; returns when something may next.
    fn reap(&self) -> Option<Timestamp>;
}

impl Alarm {
    /// A record expires at `due`.
    #[inline]
    pub(crate) fn set(&self, due: Timestamp) {
        use std::sync::atomic::Ordering::Relaxed;
        if self.next_ms.load(Relaxed) > due.as_millis() {
            self.set_earlier(due);
        }
    }

    #[cold]
    fn set_earlier(&self, due: Timestamp) {
        let mut state = self.state.lock();
        let start = state.start.take();
        self.advance(&mut state, Some(due));
        drop(state);
        self.changed.notify_one();
        if let Some(start) = start {
            start();
        }
    }

    fn advance(&self, state: &mut State, due: Option<Timestamp>) {
        state.next = [state.next, due].into_iter().flatten().min();
        let next = state.next.map_or(u64::MAX, Timestamp::as_millis);
        self.next_ms.store(next, std::sync::atomic::Ordering::Relaxed);
    }

    /// Starts a thread with the first alarm.
    pub(crate) fn arm(&self, core: &Arc<Core>, reap: Weak<dyn Reap>) {
        let core = Arc::clone(core);
        let mut state = self.state.lock();
        state.start = Some(Box::new(move || {
            let run = move || core.alarm.run(&core, &reap);
            let thread = thread::Builder::new().name("store-memory-expiry".into()).spawn(run);
            if let Err(error) = thread {
                tracing::warn!(%error, "no thread: expired records stay in memory until they are met");
            }
        }));
        self.advance(&mut state, None);
    }

    fn run(&self, core: &Core, reap: &Weak<dyn Reap>) {
        loop {
            let mut state = self.state.lock();
            loop {
                if state.stopped {
                    return;
                }
                let now = core.now();
                match state.next {
                    None => self.changed.wait(&mut state),
                    Some(at) if at > now => {
                        self.changed.wait_for(&mut state, at.since(now));
                    }
                    Some(_) => break,
                }
            }
            state.next = None;
            self.advance(&mut state, None);
            drop(state);
            let Some(reap) = reap.upgrade() else { return };
            let next = reap.reap();
            drop(reap);
            let mut state = self.state.lock();
            self.advance(&mut state, next);
        }
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        // Breaks the cycle between the core and the closure that would start the thread.
        state.start = None;
        drop(state);
        self.changed.notify_one();
    }
}
