//! A thread for the connection alone.

use std::thread;

use store_core::{Error, ErrorKind, Result};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A runtime of one thread that drives the connection. With many calls in flight it sends and receives them in batches, which a
/// runtime of several threads does not: it wakes the connection for each call.
#[derive(Debug)]
pub(crate) struct IoThread {
    handle: Handle,
    /// The thread ends when this is dropped.
    _running: oneshot::Sender<()>,
}

impl IoThread {
    pub(crate) fn start() -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::Internal, "the I/O thread cannot be started").with_source(error)
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (running, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("store-redis-io".to_owned());
        let run = move || {
            // Either way it is over: nothing is ever sent.
            let _ended = runtime.block_on(stopped);
        };
        thread.spawn(run).map_err(failed)?;
        Ok(Self { handle, _running: running })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}
