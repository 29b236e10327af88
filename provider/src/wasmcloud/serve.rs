//! The interfaces that hosts call, over wRPC.

use std::future::Future;
use std::sync::Arc;

use anyhow::Result as Wire;
use bytes::Bytes;
use tracing::{Instrument as _, debug, debug_span, warn};
use wrpc_transport_nats::NatsContext;

use crate::wasmcloud::bindings::exports::wrpc::keyvalue::{atomics, batch, store};
use crate::wasmcloud::links::Links;
use crate::wasmcloud::seldom::Seldom;
use crate::wasmcloud::trace::{self, TraceContext};
use crate::{Bucket, Result};

use store::Error;

/// Serves all links. A typed error is an answer; nothing that a backend does fails an invocation itself.
#[derive(Clone)]
pub(crate) struct Serve {
    links: Arc<Links>,
    failures: Arc<Seldom>,
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        match error {
            crate::Error::NoSuchStore => Self::NoSuchStore,
            crate::Error::AccessDenied => Self::AccessDenied,
            other => Self::Other(other.to_string()),
        }
    }
}

/// Whether the caller is answered what it may well expect.
fn is_expected(error: &crate::Error) -> bool {
    use crate::Error::{AccessDenied, InvalidArgument, NoSuchStore};
    matches!(error, NoSuchStore | AccessDenied | InvalidArgument(_))
}

impl Serve {
    pub(crate) fn new(links: Arc<Links>) -> Self {
        Self { links, failures: Arc::default() }
    }

    /// Opens the bucket that a call means and does something with it.
    async fn with<T, F: Future<Output = Result<T>>>(
        &self,
        cx: NatsContext,
        operation: &'static str,
        bucket: String,
        call: impl FnOnce(Bucket) -> F,
    ) -> Wire<Result<T, Error>> {
        let header = |name: &str| {
            cx.headers.as_ref().and_then(|headers| headers.get(name)).map_or("", |v| v.as_str())
        };
        let component = header("source-id");
        let link = Some(header("link-name")).filter(|name| !name.is_empty()).unwrap_or("default");
        // The caller's trace goes on here. Nothing of it is computed unless it is logged.
        let parent = || TraceContext::parse(header(trace::HEADER));
        let span = debug_span!(
            "keyvalue", operation, component, link, bucket,
            trace = %TraceContext::below(parent())
        );
        let done = async {
            let done = match self.links.bucket(component, link, &bucket).await {
                Ok(bucket) => call(bucket).await,
                Err(error) => Err(error),
            };
            // The host may end the component without a word: this is where the reason can be read.
            if let Err(error) = &done {
                let said = if is_expected(error) { None } else { self.failures.pass() };
                if let Some(more) = said {
                    let trace = TraceContext::below(parent());
                    warn!(operation, component, link, %trace, %error, more, "a call failed");
                } else {
                    debug!(%error, "a call failed");
                }
            }
            done
        };
        Ok(done.instrument(span).await.map_err(Error::from))
    }
}

impl store::Handler<NatsContext> for Serve {
    async fn get(
        &self,
        cx: NatsContext,
        bucket: String,
        key: String,
    ) -> Wire<Result<Option<Bytes>, Error>> {
        self.with(cx, "get", bucket, async |bucket| bucket.get(&key).await).await
    }

    async fn set(
        &self,
        cx: NatsContext,
        bucket: String,
        key: String,
        value: Bytes,
    ) -> Wire<Result<(), Error>> {
        self.with(cx, "set", bucket, async |bucket| bucket.set(&key, value).await).await
    }

    async fn delete(
        &self,
        cx: NatsContext,
        bucket: String,
        key: String,
    ) -> Wire<Result<(), Error>> {
        self.with(cx, "delete", bucket, async |bucket| bucket.delete(&key).await).await
    }

    async fn exists(
        &self,
        cx: NatsContext,
        bucket: String,
        key: String,
    ) -> Wire<Result<bool, Error>> {
        self.with(cx, "exists", bucket, async |bucket| bucket.exists(&key).await).await
    }

    async fn list_keys(
        &self,
        cx: NatsContext,
        bucket: String,
        cursor: Option<u64>,
    ) -> Wire<Result<store::KeyResponse, Error>> {
        let page = async |bucket: Bucket| {
            let (keys, cursor) = bucket.keys_u64(cursor).await?;
            Ok(store::KeyResponse { keys, cursor })
        };
        self.with(cx, "list-keys", bucket, page).await
    }
}

impl atomics::Handler<NatsContext> for Serve {
    async fn increment(
        &self,
        cx: NatsContext,
        bucket: String,
        key: String,
        delta: u64,
    ) -> Wire<Result<u64, Error>> {
        let call = async |bucket: Bucket| bucket.increment_u64(&key, delta).await;
        self.with(cx, "increment", bucket, call).await
    }
}

impl batch::Handler<NatsContext> for Serve {
    async fn get_many(
        &self,
        cx: NatsContext,
        bucket: String,
        keys: Vec<String>,
    ) -> Wire<Result<Vec<Option<(String, Bytes)>>, Error>> {
        let call = async |bucket: Bucket| {
            let values = bucket.get_many(&keys).await?;
            let pairs = keys.into_iter().zip(values);
            Ok(pairs.map(|(key, value)| value.map(|value| (key, value))).collect())
        };
        self.with(cx, "get-many", bucket, call).await
    }

    async fn set_many(
        &self,
        cx: NatsContext,
        bucket: String,
        pairs: Vec<(String, Bytes)>,
    ) -> Wire<Result<(), Error>> {
        self.with(cx, "set-many", bucket, async |bucket| bucket.set_many(pairs).await).await
    }

    async fn delete_many(
        &self,
        cx: NatsContext,
        bucket: String,
        keys: Vec<String>,
    ) -> Wire<Result<(), Error>> {
        self.with(cx, "delete-many", bucket, async |bucket| bucket.delete_many(&keys).await).await
    }
}
