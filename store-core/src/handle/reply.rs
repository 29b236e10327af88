use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;

use crate::call::{Call, Operation};
use crate::error::{Error, Result};
use crate::name::{Key, Namespace};
use crate::store::Store;

/// The future of one call of a table: the driver's own future, whose error is given the call's address. Costs no allocation of its
/// own.
#[must_use = "nothing happens until it is awaited"]
pub struct Reply<'a, T>(State<'a, T>);

enum State<'a, T> {
    Refused(Option<Error>),
    Running { future: BoxFuture<'a, Result<T>>, at: At<'a> },
}

/// Where a call goes, from which its error's address is made.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) ns: &'a Namespace,
    pub(super) key: Option<&'a str>,
    pub(super) operation: Operation,
    pub(super) repeatable: bool,
}

impl At<'_> {
    #[cold]
    pub(super) fn blame(&self, error: Error) -> Error {
        let mut call = Call::new(self.operation).at(self.ns).repeatable(self.repeatable);
        call.key = self.key;
        error.in_call(self.store.driver(), &call)
    }
}

/// The driver's future of a verb, once there had to be one.
pub(super) type Running<'a, T> = Option<BoxFuture<'a, Result<T>>>;

/// How a verb begins.
pub(super) enum Begun<'a, T> {
    /// The driver never waits, and has answered.
    Done(Result<T>),
    /// The driver's future.
    Running(BoxFuture<'a, Result<T>>),
}

impl<'a> At<'a> {
    /// Polls a verb that is its own future: begins it with the first poll, so that nothing happens before.
    #[inline]
    pub(super) fn poll<T>(
        self,
        running: &mut Running<'a, T>,
        cx: &mut Context<'_>,
        begin: impl FnOnce(&'a dyn Store, &'a Namespace, Key<'a>) -> Begun<'a, T>,
    ) -> Poll<Result<T>> {
        let future = if let Some(future) = running {
            future
        } else {
            let key = Key::new(self.key.unwrap_or_default()).map_err(|e| self.blame(e))?;
            match begin(self.store, self.ns, key) {
                Begun::Done(done) => return Poll::Ready(done.map_err(|e| self.blame(e))),
                Begun::Running(future) => running.insert(future),
            }
        };
        future.as_mut().poll(cx).map(|done| done.map_err(|error| self.blame(error)))
    }
}

impl<'a, T> Reply<'a, T> {
    /// The reply of `call`, or why it was not made.
    #[inline]
    pub(super) fn new(at: At<'a>, call: Result<BoxFuture<'a, Result<T>>>) -> Self {
        match call {
            Ok(future) => Self(State::Running { future, at }),
            Err(error) => Self(State::Refused(Some(at.blame(error)))),
        }
    }
}

impl<T> Future for Reply<'_, T> {
    type Output = Result<T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Running { future, at } => {
                future.as_mut().poll(cx).map(|result| result.map_err(|error| at.blame(error)))
            }
            State::Refused(error) => Poll::Ready(Err(error.take().unwrap_or_else(|| {
                Error::new(crate::ErrorKind::Internal, "a reply was polled after it was ready")
            }))),
        }
    }
}

impl<T> fmt::Debug for Reply<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}
