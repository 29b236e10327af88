//! Components that are told of changes: links in which this provider is the source.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::HeaderMap;
use tokio::task::{AbortHandle, JoinSet};
use tracing::{error, info, warn};

use crate::backoff::Backoff;
use crate::wasmcloud::bindings::wrpc::keyvalue::watcher;
use crate::wasmcloud::trace::{self, TraceContext};
use crate::{Buckets, Change, Filter, Watching};

/// Hosts read the bucket of such a call as the number of a handle, and give the component one that leads nowhere.
const BUCKET: &str = "0";
/// How long a component may take for one change.
const CALL: Duration = Duration::from_secs(5);
/// How often a change is told again to a component that fails.
const TRIES: u32 = 3;

/// One task for each such link.
pub(crate) struct Watchers {
    nats: async_nats::Client,
    lattice: String,
    provider: String,
    tasks: JoinSet<()>,
    running: HashMap<(String, String), AbortHandle>,
}

impl Watchers {
    pub(crate) fn new(nats: async_nats::Client, lattice: &str, provider: &str) -> Self {
        Self {
            nats,
            lattice: lattice.to_owned(),
            provider: provider.to_owned(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
        }
    }

    /// Tells a component from now on; what was there under the link's name ends.
    pub(crate) fn put(
        &mut self,
        component: &str,
        link: &str,
        watched: Result<(Buckets, Filter), String>,
    ) {
        self.delete(component, link);
        let (buckets, filter) = match watched {
            Ok(watched) => watched,
            Err(error) => return error!(component, link, error, "a watcher's link is refused"),
        };
        info!(component, link, "a component is told of changes");
        let mut headers = HeaderMap::new();
        headers.insert("source-id", self.provider.as_str());
        headers.insert("link-name", link);
        let call = Caller {
            nats: self.nats.clone(),
            prefix: format!("{}.{component}", self.lattice),
            headers,
        };
        let task = self.tasks.spawn(run(call, buckets, filter));
        self.running.insert((component.to_owned(), link.to_owned()), task);
        // Those that ended by themselves.
        while self.tasks.try_join_next().is_some() {}
    }

    /// Ends one.
    pub(crate) fn delete(&mut self, component: &str, link: &str) {
        if let Some(task) = self.running.remove(&(component.to_owned(), link.to_owned())) {
            task.abort();
        }
    }
}

struct Caller {
    nats: async_nats::Client,
    prefix: String,
    headers: HeaderMap,
}

async fn run(call: Caller, buckets: Buckets, filter: Filter) {
    let wrpc = match wrpc_transport_nats::Client::new(call.nats.clone(), call.prefix.as_str(), None)
        .await
    {
        Ok(wrpc) => wrpc,
        Err(error) => return error!(prefix = call.prefix, %error, "a component cannot be called"),
    };
    let mut watching = begin(&buckets, &filter).await;
    loop {
        match watching.next().await {
            Ok(Some(change)) => call.tell(&wrpc, change).await,
            Ok(None) => return,
            Err(error) => return error!(prefix = call.prefix, %error, "a watch ended"),
        }
    }
}

/// Tries until the backend is there.
async fn begin(buckets: &Buckets, filter: &Filter) -> Watching {
    let mut backoff = Backoff::new();
    loop {
        let begun = match buckets.open("").await {
            Ok(bucket) => bucket.watch(filter.clone()).await,
            Err(error) => Err(error),
        };
        match begun {
            Ok(watching) => return watching,
            Err(error) => warn!(%error, "a watch cannot begin yet"),
        }
        backoff.pause().await;
    }
}

impl Caller {
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
