//! Calls whose parameters come in several messages, of which the transport may lose one.
//!
//! What serves a function reads the parameters of one call after those of another: one whose rest never comes, because a message was lost
//! or the caller is gone, would end the function for everybody. So long parameters are put together aside, and nobody waits for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};
use tokio::time::{Sleep, sleep};
use wrpc_transport::{Index, Serve};
use wrpc_transport_nats::{Client, NatsContext, Reader, SubjectWriter};

/// How long the next message with parameters may take: as long as hosts give a call in all.
const PATIENCE: Duration = Duration::from_secs(2);
/// The least that is read at a time: more than most calls have.
const FIRST: usize = 1024;
/// How many calls of a function may be put together at a time.
const ASIDE: usize = 256;

/// A transport whose calls are whole before they are served.
pub(crate) struct Whole {
    transport: Client,
    /// The bytes from which on a message may be the first of several: callers fill one before they send another.
    full: usize,
}

impl Whole {
    /// Over the lattice's connection.
    pub(crate) fn new(transport: Client, nats: &async_nats::Client) -> Self {
        Self { transport, full: nats.server_info().max_payload / 2 }
    }
}

impl Serve for Whole {
    type Context = NatsContext;
    type Outgoing = SubjectWriter;
    type Incoming = Parameters;

    async fn serve(
        &self,
        instance: &str,
        func: &str,
        paths: impl Into<Arc<[Box<[Option<usize>]>]>> + Send,
    ) -> Result<impl Stream<Item = Result<(NatsContext, SubjectWriter, Parameters)>> + Send + 'static>
    {
        let calls = self.transport.serve(instance, func, paths).await?;
        let full = self.full;
        let whole = calls.map(move |call| async move {
            let (cx, outgoing, incoming) = call?;
            Ok((cx, outgoing, Parameters::read(incoming, full).await?))
        });
        Ok(whole.buffer_unordered(ASIDE))
    }
}

/// The parameters of a call: what came, then what comes in time.
pub(crate) struct Parameters {
    came: Bytes,
    rest: Reader,
    ended: bool,
    patience: Option<Pin<Box<Sleep>>>,
}

impl Parameters {
    fn new(rest: Reader) -> Self {
        Self { came: Bytes::new(), rest, ended: false, patience: None }
    }

    /// Reads the first message, and all that follows if that was full.
    async fn read(rest: Reader, full: usize) -> io::Result<Self> {
        let mut parameters = Self::new(rest);
        let mut came = BytesMut::new();
        while !parameters.ended {
            came.reserve(came.len().max(FIRST));
            // The first message came with the call, so that reading it never waits.
            let read = match parameters.rest.read_buf(&mut came).now_or_never() {
                Some(read) => read?,
                None if came.len() < full => break,
                None => parameters.read_buf(&mut came).await?,
            };
            parameters.ended = read == 0;
        }
        parameters.came = came.freeze();
        Ok(parameters)
    }
}

impl AsyncRead for Parameters {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.came.is_empty() {
            let len = self.came.len().min(buf.remaining());
            buf.put_slice(&self.came.split_to(len));
            return Poll::Ready(Ok(()));
        }
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        if let Poll::Ready(done) = Pin::new(&mut self.rest).poll_read(cx, buf) {
            self.patience = None;
            return Poll::Ready(done);
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        patience.as_mut().poll(cx).map(|()| {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the rest of the parameters did not come"))
        })
    }
}

impl Index<Self> for Parameters {
    fn index(&self, path: &[usize]) -> Result<Self> {
        Ok(Self::new(self.rest.index(path)?))
    }
}
