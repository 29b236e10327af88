//! Components that are told of changes: links in which this provider is the source.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::HeaderMap;
use tokio::task::JoinHandle;
use tracing::{debug, error, info, warn};

use crate::backoff::Backoff;
use crate::wasmcloud::bindings::wrpc::keyvalue::watcher;
use crate::wasmcloud::trace::{self, TraceContext};
use crate::{Buckets, Change, Error, Filter, Watching};

/// Hosts read the bucket of such a call as the number of a handle, and give the component one that leads nowhere.
const BUCKET: &str = "0";
/// How long a component may take for one change.
const CALL: Duration = Duration::from_secs(5);
/// How often a change is told again to a component that fails.
const TRIES: u32 = 3;

/// What tells components, over the lattice.
pub(crate) struct Teller {
    nats: async_nats::Client,
    lattice: String,
    provider: String,
}

impl Teller {
    pub(crate) fn new(nats: async_nats::Client, lattice: &str, provider: &str) -> Self {
        Self { nats, lattice: lattice.to_owned(), provider: provider.to_owned() }
    }

    /// Tells a component of what changes from now on, until the answer is dropped. Needs a tokio runtime.
    pub(crate) fn begin(
        &self,
        component: &str,
        link: &str,
        buckets: Buckets,
        filter: Filter,
    ) -> Telling {
        info!(component, link, "a component is told of changes");
        let mut headers = HeaderMap::new();
        headers.insert("source-id", self.provider.as_str());
        headers.insert("link-name", link);
        let trouble = Arc::default();
        let call = Caller {
            nats: self.nats.clone(),
            prefix: format!("{}.{component}", self.lattice),
            headers,
            component: component.to_owned(),
            link: link.to_owned(),
            trouble: Arc::clone(&trouble),
        };
        Telling { task: tokio::spawn(run(call, buckets, filter)), trouble }
    }
}

/// Why a component is not told of anything now.
type Trouble = Arc<Mutex<Option<String>>>;

/// A component that is being told; no longer when this is dropped.
pub(crate) struct Telling {
    task: JoinHandle<()>,
    trouble: Trouble,
}

impl Telling {
    /// Whether it will never tell anything again.
    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Why it tells nothing now, if so.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Caller {
    nats: async_nats::Client,
    prefix: String,
    headers: HeaderMap,
    component: String,
    link: String,
    trouble: Trouble,
}

async fn run(call: Caller, buckets: Buckets, filter: Filter) {
    let ended = match told(&call, &buckets, &filter).await {
        Ok(()) => "the store was closed".to_owned(),
        Err(why) => why,
    };
    let Caller { component, link, .. } = &call;
    error!(component, link, error = ended, "a component is told of changes no more");
    call.note(Some(ended));
}

/// Tells until there is nothing more to tell, or why it cannot go on.
async fn told(call: &Caller, buckets: &Buckets, filter: &Filter) -> Result<(), String> {
    let wrpc = wrpc_transport_nats::Client::new(call.nats.clone(), call.prefix.as_str(), None);
    let wrpc = wrpc.await.map_err(|e| format!("the component cannot be called: {e:#}"))?;
    let mut watching = call.begin(buckets, filter).await.map_err(|e| e.to_string())?;
    let mut note = |trouble: Option<&store_core::Error>| {
        call.note(trouble.map(ToString::to_string));
    };
    while let Some(change) = watching.next_noting(&mut note).await.map_err(|e| e.to_string())? {
        call.tell(&wrpc, change).await;
    }
    Ok(())
}

impl Caller {
    /// Watches as soon as the backend lets it; the error is one that time does not mend.
    async fn begin(&self, buckets: &Buckets, filter: &Filter) -> Result<Watching, Error> {
        let mut backoff = Backoff::new();
        loop {
            let begun = match buckets.open("").await {
                Ok(bucket) => bucket.watch(filter.clone()).await,
                Err(error) => Err(error),
            };
            match begun {
                Ok(watching) => {
                    self.note(None);
                    return Ok(watching);
                }
                Err(error @ (Error::Unsupported(_) | Error::InvalidArgument(_))) => {
                    return Err(error);
                }
                Err(error) => {
                    let (component, link) = (&self.component, &self.link);
                    if self.note(Some(error.to_string())) {
                        warn!(component, link, %error, "a watch cannot begin yet");
                    } else {
                        debug!(component, link, %error, "a watch cannot begin yet");
                    }
                }
            }
            backoff.pause().await;
        }
    }

    /// Notes why nothing is told; whether that is news.
    fn note(&self, trouble: Option<String>) -> bool {
        let mut noted = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *noted != trouble;
        *noted = trouble;
        news
    }

    async fn tell(&self, wrpc: &wrpc_transport_nats::Client, change: Change) {
        // A trace begins with each change; all attempts to tell of it belong to it.
        let trace = TraceContext::below(None);
        let mut backoff = Backoff::new();
        for attempt in 1..=TRIES {
            let mut headers = self.headers.clone();
            headers.insert(trace::HEADER, TraceContext::below(Some(trace)).to_string());
            let headers = Some(headers);
            let told = async {
                match &change {
                    Change::Set { key, value } => {
                        watcher::on_set(wrpc, headers, BUCKET, key, value).await
                    }
                    Change::Delete { key } => watcher::on_delete(wrpc, headers, BUCKET, key).await,
                }
            };
            let error = match tokio::time::timeout(CALL, told).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => "no answer".to_owned(),
            };
            if attempt == TRIES {
                error!(prefix = self.prefix, error, %trace, "a component was not told of a change, which is given up");
            } else {
                warn!(prefix = self.prefix, attempt, error, %trace, "a component was not told of a change");
                backoff.pause().await;
            }
        }
    }
}
