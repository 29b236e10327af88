use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::call::{Call, Operation};
use crate::capability::Capability;
use crate::error::{Error, ErrorKind, Result};
use crate::layer::{Answer, Around, Items, Run};
use crate::name::{Key, MAX_KEY_LEN};

/// Bounds on what is asked of a store. What is not set is not bounded. Clones share the bounds on calls.
///
/// ```
/// # use std::sync::Arc;
/// # use store_core::layer::{Layers, Limits};
/// # use store_core::{ErrorKind, Store};
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// # let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
/// let limits = Limits::new().max_value_len(3).max_concurrent_calls(64);
/// let table = Layers::new().limits(limits).wrap(store).database("app")?.table("t")?;
/// table.write("k", "abc").await?;
/// assert_eq!(table.write("k", "abcd").await.unwrap_err().kind(), ErrorKind::TooLarge);
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Limits {
    max_value_len: Option<usize>,
    max_key_len: Option<usize>,
    max_items: Option<usize>,
    max_page: Option<usize>,
    concurrent: Option<Arc<Semaphore>>,
    max_wait: Option<Duration>,
    rate: Option<Arc<Rate>>,
}

impl Limits {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// The largest value in bytes; a larger one is `TooLarge`.
    pub fn max_value_len(mut self, bytes: usize) -> Self {
        self.max_value_len = Some(bytes);
        self
    }

    /// The longest key in bytes; a longer one is `TooLarge`.
    pub fn max_key_len(mut self, bytes: usize) -> Self {
        self.max_key_len = Some(bytes);
        self
    }

    /// The most items of a batch; a larger batch is `TooLarge` as a whole.
    pub fn max_items(mut self, items: usize) -> Self {
        self.max_items = Some(items);
        self
    }

    /// The most items of a page of a listing, at least 1. Not refused: the page is shorter, and its cursor goes on.
    pub fn max_page(mut self, items: usize) -> Self {
        self.max_page = Some(items.max(1));
        self
    }

    /// The most calls at a time, at least 1; others wait for their turn, in order. An open watch is no call.
    pub fn max_concurrent_calls(mut self, calls: usize) -> Self {
        let calls = calls.clamp(1, Semaphore::MAX_PERMITS);
        self.concurrent = Some(Arc::new(Semaphore::new(calls)));
        self
    }

    /// The longest that a call waits for its turn; zero is not at all. One that is still waiting then is `RateLimited`, but for
    /// [`close`](crate::Store::close).
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = Some(wait);
        self
    }

    /// The most calls a second, at least 1, of which a whole second's worth may come at once; others are `RateLimited`. A batch is
    /// one call; [`close`](crate::Store::close) is not counted.
    pub fn max_calls_per_second(mut self, calls: u32) -> Self {
        self.rate = Some(Arc::new(Rate::new(calls)));
        self
    }

    fn check(&self, call: &Call<'_>) -> Result<()> {
        let batch = matches!(
            call.operation,
            Operation::ReadMany | Operation::WriteMany | Operation::DeleteMany | Operation::Atomic
        );
        if let Some(max) = self.max_items.filter(|max| batch && call.items > *max) {
            return Err(Error::too_large(format!(
                "a batch has at most {max} items here, this one has {}",
                call.items
            )));
        }
        match &self.rate {
            Some(rate) if call.operation != Operation::Close && !rate.admit() => Err(Error::new(
                ErrorKind::RateLimited,
                "more calls a second than this store's limit",
            )),
            _ => Ok(()),
        }
    }

    /// The right to make a call, where there is a limit.
    async fn turn(&self, operation: Operation) -> Result<Option<SemaphorePermit<'_>>> {
        let Some(calls) = &self.concurrent else { return Ok(None) };
        // None is left over while others wait.
        if let Ok(permit) = calls.try_acquire() {
            return Ok(Some(permit));
        }
        let permit = match self.max_wait {
            Some(wait) if operation != Operation::Close => {
                let waited = tokio::time::timeout(wait, calls.acquire()).await;
                waited.map_err(|_| {
                    Error::new(
                        ErrorKind::RateLimited,
                        "too many requests at a time for this store's limit",
                    )
                })?
            }
            _ => calls.acquire().await,
        };
        // A semaphore that nobody closes always gives a permit in the end.
        Ok(permit.ok())
    }
}

impl Around for Limits {
    async fn around<'a, T: Answer, R: Run<'a, T>>(
        &'a self,
        _driver: &'static str,
        call: Call<'a>,
        mut run: R,
    ) -> T {
        if let Err(error) = self.check(&call) {
            return T::refused(call.items, error);
        }
        let _permit = match self.turn(call.operation).await {
            Ok(permit) => permit,
            Err(error) => return T::refused(call.items, error),
        };
        run.run(Items::All).await
    }

    fn capability(&self, mut inner: Capability) -> Capability {
        let least = |limit: Option<usize>, inner: Option<usize>| match (limit, inner) {
            (Some(limit), Some(inner)) => Some(limit.min(inner)),
            (limit, inner) => limit.or(inner),
        };
        let key = self.max_key_len.filter(|max| *max < MAX_KEY_LEN);
        inner.max_key_len = least(key, inner.max_key_len);
        inner.max_value_len = least(self.max_value_len, inner.max_value_len);
        inner.max_atomic = least(self.max_items, inner.max_atomic);
        inner
    }

    fn admit(&self, key: Key<'_>, bytes: usize) -> Result<()> {
        let over = |what: &str, max: Option<usize>, len: usize| match max {
            Some(max) if len > max => Err(Error::too_large(format!(
                "a {what} has at most {max} bytes here, this one has {len}"
            ))),
            _ => Ok(()),
        };
        over("key", self.max_key_len, key.as_str().len())?;
        over("value", self.max_value_len, bytes)
    }

    fn page(&self, limit: usize) -> usize {
        limit.min(self.max_page.unwrap_or(usize::MAX))
    }
}

/// Calls a second, without a lock: the instant up to which the calls so far have used up the time, which may run ahead of the
/// clock by one second's worth (the generic cell rate algorithm).
#[derive(Debug)]
struct Rate {
    began: Instant,
    nanos_per_call: u64,
    used_until: AtomicU64,
}

const SECOND: u64 = 1_000_000_000;

impl Rate {
    fn new(calls: u32) -> Self {
        Self {
            began: Instant::now(),
            nanos_per_call: SECOND / u64::from(calls.max(1)),
            used_until: AtomicU64::new(0),
        }
    }

    fn admit(&self) -> bool {
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let next = |used: u64| {
            let used = used.max(now).saturating_add(self.nanos_per_call);
            (used <= now.saturating_add(SECOND)).then_some(used)
        };
        self.used_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}
