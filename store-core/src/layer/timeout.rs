use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::call::{Call, Operation};
use crate::error::{Error, ErrorKind};
use crate::layer::{Answer, Around, Items, Run};

/// A deadline for every call, from when it is made until it is answered. A change that was not answered in time has an
/// [unknown outcome](crate::Outcome::Unknown); of a batch, each item has.
///
/// The call itself is given up: its future is dropped. A watch has to be opened in time; how long it then lasts is not limited.
/// Belongs inside [`Retry`](crate::layer::Retry), so that each attempt has its own deadline. Needs Tokio's timer for calls that are
/// not answered at once.
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # use store_core::layer::{Layers, Timeout};
/// # use store_core::{Operation, Store};
/// # let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
/// let timeout = Timeout::new(Duration::from_secs(2))
///     .with(Operation::DeleteTable, Duration::from_secs(60));
/// let store = Layers::new().timeout(timeout).wrap(store);
/// ```
#[derive(Clone, Debug)]
pub struct Timeout {
    after: Duration,
    others: Vec<(Operation, Duration)>,
}

impl Timeout {
    /// The same for every operation.
    pub fn new(after: Duration) -> Self {
        Self { after, others: Vec::new() }
    }

    /// Another one for this operation.
    pub fn with(mut self, operation: Operation, after: Duration) -> Self {
        self.others.retain(|(other, _)| *other != operation);
        self.others.push((operation, after));
        self
    }

    fn of(&self, operation: Operation) -> Duration {
        self.others
            .iter()
            .find(|(other, _)| *other == operation)
            .map_or(self.after, |(_, after)| *after)
    }
}

impl From<Duration> for Timeout {
    fn from(after: Duration) -> Self {
        Self::new(after)
    }
}

impl Around for Timeout {
    async fn around<'a, T: Answer, R: Run<'a, T>>(
        &'a self,
        _driver: &'static str,
        call: Call<'a>,
        mut run: R,
    ) -> T {
        let mut future = pin!(run.run(Items::All));
        // What is answered at once, as in memory, needs no timer.
        if let Poll::Ready(answer) = futures_util::poll!(future.as_mut()) {
            return answer;
        }
        let after = self.of(call.operation);
        let error = if tokio::runtime::Handle::try_current().is_err() {
            Error::config("a timeout needs a Tokio runtime")
        } else {
            match tokio::time::timeout(after, future).await {
                Ok(answer) => return answer,
                Err(_) => Error::new(
                    ErrorKind::Timeout,
                    format!("no answer within {}", humantime::format_duration(after)),
                ),
            }
        };
        let error = if call.operation.is_mutation() { error.outcome_unknown() } else { error };
        T::refused(call.items, error)
    }
}
