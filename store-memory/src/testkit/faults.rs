use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::{StreamExt as _, poll_fn};
use parking_lot::Mutex;
use store_core::layer::{Answer, Around, Items, Run};
use store_core::{Call, Error, ErrorKind, EventStream, Operation};
use tokio::sync::watch;

/// A layer that makes calls go wrong as told, around any store: for tests of what an application does then. Clones share the plan,
/// so keep one to add to it.
///
/// Faults are tried in the order in which they were added; the first that wants a call has it. What no fault wants goes through.
///
/// ```
/// # use std::sync::Arc;
/// use store_core::layer::Layers;
/// use store_core::{ErrorKind, Operation, Outcome, Store};
/// use store_memory::testkit::{Fault, Faults};
/// use store_memory::Memory;
///
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let faults = Faults::new();
/// let memory: Arc<dyn Store> = Arc::new(Memory::new());
/// let table = Layers::new().layer(faults.clone()).wrap(memory).database("app")?.table("t")?;
///
/// faults.add(Fault::after().on(Operation::Write).times(1));
/// let error = table.write("k", "v").await.unwrap_err();
/// assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Unknown));
/// assert!(table.exists("k").await?, "the answer was lost, not the write");
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Faults(Arc<Shared>);

struct Shared {
    plan: Mutex<Plan>,
    /// Goes up when watches are to be cut.
    cuts: watch::Sender<u64>,
}

struct Plan {
    faults: Vec<Planned>,
    chance: u64,
}

struct Planned {
    fault: Fault,
    /// How many calls it was asked about, and how many it had.
    seen: u64,
    had: u64,
}

/// One way in which calls go wrong, and which calls do. Of every call, unless it says less.
#[derive(Clone, Debug)]
#[must_use = "a fault does nothing until it is added"]
pub struct Fault {
    effect: Effect,
    kind: ErrorKind,
    operation: Option<Operation>,
    key: Option<String>,
    nth: Option<u64>,
    times: u64,
    chance: f64,
}

#[derive(Clone, Copy, Debug)]
enum Effect {
    Before,
    After,
    Delay(Duration),
    Hang,
}

impl Fault {
    fn new(effect: Effect, kind: ErrorKind) -> Self {
        Self { effect, kind, operation: None, key: None, nth: None, times: u64::MAX, chance: 1.0 }
    }

    /// The call is not made: `Unavailable`, and nothing was changed.
    pub fn before() -> Self {
        Self::new(Effect::Before, ErrorKind::Unavailable)
    }

    /// The call is made, and its answer is lost: `Timeout`; of a change, the outcome is unknown.
    pub fn after() -> Self {
        Self::new(Effect::After, ErrorKind::Timeout)
    }

    /// The call is made so much later, on Tokio's timer.
    pub fn delay(by: Duration) -> Self {
        Self::new(Effect::Delay(by), ErrorKind::Timeout)
    }

    /// The call is not made, and never answered.
    pub fn hang() -> Self {
        Self::new(Effect::Hang, ErrorKind::Timeout)
    }

    /// Fails with this kind instead.
    pub fn kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// Only calls of this operation.
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only calls on the one record of this key; never a batch.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Only the `n`th of the calls that fit, counted from 1.
    pub fn nth(mut self, n: u64) -> Self {
        self.nth = Some(n);
        self
    }

    /// Only so many of the calls that fit.
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Only this share of the calls that fit, by chance from the [seed](Faults::seeded).
    pub fn chance(mut self, share: f64) -> Self {
        self.chance = share;
        self
    }

    fn fits(&self, call: &Call<'_>) -> bool {
        self.operation.is_none_or(|operation| operation == call.operation)
            && self.key.as_deref().is_none_or(|key| call.key == Some(key))
    }

    fn error(&self) -> Error {
        Error::new(self.kind, "a fault that a test asked for")
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::new()
    }
}

impl Faults {
    /// No faults yet.
    pub fn new() -> Self {
        Self::seeded(1)
    }

    /// No faults yet; those that come by chance come by this seed, the same in every run of the same calls.
    pub fn seeded(seed: u64) -> Self {
        let plan = Mutex::new(Plan { faults: Vec::new(), chance: seed });
        Self(Arc::new(Shared { plan, cuts: watch::Sender::new(0) }))
    }

    /// Adds a fault, behind the ones there are.
    pub fn add(&self, fault: Fault) -> &Self {
        self.0.plan.lock().faults.push(Planned { fault, seen: 0, had: 0 });
        self
    }

    /// Takes all faults away. Calls that hang go on hanging.
    pub fn clear(&self) {
        self.0.plan.lock().faults.clear();
    }

    /// How many calls went wrong, or were delayed, by the faults there are.
    pub fn count(&self) -> u64 {
        self.0.plan.lock().faults.iter().map(|planned| planned.had).sum()
    }

    /// Ends every open watch with `Unavailable`, as when a driver gives up.
    pub fn cut_watches(&self) {
        self.0.cuts.send_modify(|cuts| *cuts += 1);
    }

    fn of(&self, call: &Call<'_>) -> Option<Fault> {
        let Plan { faults, chance } = &mut *self.0.plan.lock();
        faults.iter_mut().find_map(|planned| planned.take(call, chance))
    }
}

impl Planned {
    fn take(&mut self, call: &Call<'_>, chance: &mut u64) -> Option<Fault> {
        if !self.fault.fits(call) {
            return None;
        }
        self.seen += 1;
        let wanted = self.had < self.fault.times
            && self.fault.nth.is_none_or(|nth| nth == self.seen)
            && (self.fault.chance >= 1.0 || next(chance) < self.fault.chance);
        self.had += u64::from(wanted);
        wanted.then(|| self.fault.clone())
    }
}

/// The next of a sequence of numbers in 0..1 (splitmix64).
fn next(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 11) as f64 / (1u64 << 53) as f64
}

impl Around for Faults {
    async fn around<'a, T: Answer, R: Run<'a, T>>(
        &'a self,
        _driver: &'static str,
        call: Call<'a>,
        mut run: R,
    ) -> T {
        let Some(fault) = self.of(&call) else {
            return run.run(Items::All).await;
        };
        match fault.effect {
            Effect::Before => T::refused(call.items, fault.error()),
            Effect::After => {
                drop(run.run(Items::All).await);
                let error = fault.error();
                let lost =
                    if call.operation.is_mutation() { error.outcome_unknown() } else { error };
                T::refused(call.items, lost)
            }
            Effect::Delay(by) => {
                tokio::time::sleep(by).await;
                run.run(Items::All).await
            }
            Effect::Hang => pending().await,
        }
    }

    fn events(&self, mut events: EventStream) -> EventStream {
        let mut cuts = self.0.cuts.subscribe();
        let mut cut = Box::pin(async move {
            // The sender is gone with the last clone: then nobody can cut.
            if cuts.changed().await.is_err() {
                pending::<()>().await;
            }
        });
        let mut error = Some(Error::new(ErrorKind::Unavailable, "the watch was cut by a test"));
        poll_fn(move |cx| {
            if error.is_some() && cut.as_mut().poll(cx).is_ready() {
                return Poll::Ready(error.take().map(Err));
            }
            match error {
                Some(_) => events.poll_next_unpin(cx),
                None => Poll::Ready(None),
            }
        })
        .boxed()
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faults({})", self.0.plan.lock().faults.len())
    }
}
