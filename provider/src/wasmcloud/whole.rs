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
use futures_util::future::BoxFuture;
use futures_util::stream::{Fuse, FuturesUnordered};
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
        Ok(Calls { come: Box::pin(calls.fuse()), aside: FuturesUnordered::new(), full: self.full })
    }
}

type Call = Result<(NatsContext, SubjectWriter, Parameters)>;

/// The calls of a function, each as soon as its parameters are there.
struct Calls<S> {
    come: Pin<Box<Fuse<S>>>,
    aside: FuturesUnordered<BoxFuture<'static, Call>>,
    full: usize,
}

impl<S: Stream<Item = Result<(NatsContext, SubjectWriter, Reader)>>> Stream for Calls<S> {
    type Item = Call;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Call>> {
        if let Poll::Ready(Some(call)) = self.aside.poll_next_unpin(cx) {
            return Poll::Ready(Some(call));
        }
        while self.aside.len() < ASIDE {
            let (context, outgoing, incoming) = match self.come.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(call))) => call,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) if self.aside.is_empty() => return Poll::Ready(None),
                Poll::Ready(None) | Poll::Pending => break,
            };
            let mut parameters = Parameters::new(incoming);
            match parameters.read_first(self.full) {
                Ok(true) => return Poll::Ready(Some(Ok((context, outgoing, parameters)))),
                Ok(false) => self.aside.push(Box::pin(async move {
                    parameters.read_rest().await?;
                    Ok((context, outgoing, parameters))
                })),
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
            // Polled once, so that it wakes this.
            if let Poll::Ready(Some(call)) = self.aside.poll_next_unpin(cx) {
                return Poll::Ready(Some(call));
            }
        }
        Poll::Pending
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

    /// Reads the first message, which came with the call, so that this never waits. Whether no other may follow.
    fn read_first(&mut self, full: usize) -> io::Result<bool> {
        let mut came = BytesMut::new();
        while !self.ended {
            came.reserve(came.len().max(FIRST));
            match self.rest.read_buf(&mut came).now_or_never() {
                Some(Ok(read)) => self.ended = read == 0,
                Some(Err(error)) => return Err(error),
                None => break,
            }
            // A message that has more fills what room there is.
            if came.len() < came.capacity() && came.len() < full {
                break;
            }
        }
        let is_whole = self.ended || came.len() < full;
        self.came = came.freeze();
        Ok(is_whole)
    }

    /// Reads all that follows a first message that was full.
    async fn read_rest(&mut self) -> io::Result<()> {
        let mut came = BytesMut::from(std::mem::take(&mut self.came));
        while !self.ended {
            came.reserve(came.len().max(FIRST));
            self.ended = self.read_buf(&mut came).await? == 0;
        }
        self.came = came.freeze();
        Ok(())
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
