//! Callers and their work.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use store_core::Table;
use wrpc_nats::HeaderMap;

use self::bindings::wrpc::keyvalue::{atomics, batch, store};
use super::{BUCKET, LISTED, MANY};
use crate::Result;
use crate::measure::{Done, Lane, Work};

#[allow(missing_docs, clippy::pedantic, clippy::clone_on_ref_ptr, clippy::use_self)]
#[allow(clippy::future_not_send, unused_qualifications, unreachable_pub)]
mod bindings {
    wit_bindgen_wrpc::generate!({ path: "../provider/wit", world: "host" });
}

/// The value of every record, and what the echo answers to `get`.
pub(crate) const VALUE: &[u8] = &[b'v'; 100];

/// The transport loses one answer in some hundred thousand, as docs/provider.md says: after so long a call is made again, so that it
/// costs one round.
const PATIENCE: Duration = Duration::from_secs(2);
/// So often it does not lose the same one.
const TRIES: u32 = 5;

/// All keys, in an order that no listing has.
pub(crate) struct Keys;

impl Keys {
    pub(crate) fn all() -> Vec<String> {
        (0..LISTED).map(|i| format!("key-{:08}", i * 7919 % LISTED)).collect()
    }
}

/// A provider in the lattice, as a component calls it.
pub(crate) struct Remote {
    wrpc: wrpc_transport_nats::Client,
    failed: AtomicU64,
}

impl Remote {
    pub(crate) async fn new(url: &str, provider: &str) -> Result<Self> {
        let nats = wrpc_nats::connect(url).await?;
        let prefix = format!("bench.{provider}");
        let wrpc = wrpc_transport_nats::Client::new(nats, prefix, None).await;
        Ok(Self { wrpc: wrpc.map_err(|e| format!("{e:#}"))?, failed: AtomicU64::new(0) })
    }

    /// Waits until it serves.
    pub(crate) async fn ready(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let asked = store::exists(&self.wrpc, cx(), "default", "k");
            match tokio::time::timeout(Duration::from_secs(1), asked).await {
                Ok(Ok(Ok(_))) => return Ok(()),
                said if Instant::now() > deadline => {
                    return Err(format!("a provider does not serve: {said:?}").into());
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// The increments that were refused.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) async fn set_many(&self, keys: &[String]) -> Result<()> {
        let value = Bytes::from_static(VALUE);
        let pairs: Vec<_> = keys.iter().map(|key| (key.as_str(), &value)).collect();
        said(|| batch::set_many(&self.wrpc, cx(), "default", &pairs)).await
    }
}

/// The headers that a host puts beside a component's call.
#[expect(clippy::unnecessary_wraps, reason = "as calls take it")]
fn cx() -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert("source-id", "c");
    headers.insert("link-name", "default");
    Some(headers)
}

async fn said<T, E: std::fmt::Debug, F>(mut call: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = anyhow::Result<std::result::Result<T, E>>>,
{
    for _ in 0..TRIES {
        if let Ok(answer) = tokio::time::timeout(PATIENCE, call()).await {
            return Ok(answer.map_err(|e| format!("{e:#}"))?.map_err(|e| format!("{e:?}"))?);
        }
    }
    Err("there is no answer".into())
}

/// The store itself.
pub(crate) struct Direct(pub(crate) Table);

/// The store itself, and then a provider that does nothing.
pub(crate) struct Sum {
    pub(crate) direct: Direct,
    pub(crate) echo: Arc<Remote>,
}

/// What answers single calls.
pub(crate) trait Single: Send + Sync + 'static {
    fn get(&self, key: &str) -> impl Future<Output = Result<()>> + Send;
    fn set(&self, key: &str) -> impl Future<Output = Result<()>> + Send;
}

impl Single for Remote {
    async fn get(&self, key: &str) -> Result<()> {
        let value = said(|| store::get(&self.wrpc, cx(), "default", key)).await?;
        match value {
            Some(value) if value == VALUE => Ok(()),
            other => Err(format!("a record has another value: {other:?}").into()),
        }
    }

    async fn set(&self, key: &str) -> Result<()> {
        let value = Bytes::from_static(VALUE);
        said(|| store::set(&self.wrpc, cx(), "default", key, &value)).await
    }
}

impl Single for Sum {
    async fn get(&self, key: &str) -> Result<()> {
        black_box(self.direct.0.read(key).await?.ok_or("a record is gone")?);
        self.echo.get(key).await
    }

    async fn set(&self, key: &str) -> Result<()> {
        self.direct.0.write(key, VALUE).await?;
        self.echo.set(key).await
    }
}

/// Keys for one lane, so that lanes meet as seldom as callers do.
fn own(lane: &Lane) -> impl Iterator<Item = String> + Send + use<> {
    let (task, tasks) = (lane.task, lane.tasks);
    (0..).map(move |i: usize| format!("key-{:08}", (i * tasks + task) * 31 % LISTED))
}

macro_rules! single {
    ($name:ident, $call:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy)]
        pub(crate) struct $name;

        impl<C: Single> Work<C> for $name {
            async fn run(self, on: Arc<C>, lane: Lane) -> Result<Done> {
                let mut keys = own(&lane);
                let mut lap = lane.start().await;
                loop {
                    if let Some(key) = keys.next() {
                        on.$call(&key).await?;
                    }
                    if !lap.more(1).await {
                        return Ok(lap.done());
                    }
                }
            }
        }
    };
}

single!(Get, get, "Reads records all over the bucket.");
single!(Set, set, "Overwrites records all over the bucket.");

/// Reads many at once.
#[derive(Clone, Copy)]
pub(crate) struct GetMany;

impl Work<Remote> for GetMany {
    async fn run(self, on: Arc<Remote>, lane: Lane) -> Result<Done> {
        let keys = Keys::all();
        let keys: Vec<&str> = keys.iter().step_by(LISTED / MANY).map(String::as_str).collect();
        let mut lap = lane.start().await;
        loop {
            let found = said(|| batch::get_many(&on.wrpc, cx(), "default", &keys)).await?;
            if found.len() != MANY || found.iter().any(Option::is_none) {
                return Err("records are missing in a batch".into());
            }
            if !lap.more(1).await {
                return Ok(lap.done());
            }
        }
    }
}

/// Lists all keys, however many pages that takes.
#[derive(Clone, Copy)]
pub(crate) struct List;

impl Work<Remote> for List {
    async fn run(self, on: Arc<Remote>, lane: Lane) -> Result<Done> {
        let mut lap = lane.start().await;
        loop {
            let (mut found, mut cursor) = (0, None);
            loop {
                let page = said(|| store::list_keys(&on.wrpc, cx(), "default", cursor)).await?;
                found += page.keys.len();
                cursor = page.cursor;
                if cursor.is_none() {
                    break;
                }
            }
            if found < LISTED {
                return Err(format!("a listing of {BUCKET} has {found} keys").into());
            }
            if !lap.more(1).await {
                return Ok(lap.done());
            }
        }
    }
}

/// Increments one key from all lanes. What fails is counted, and is no work done.
#[derive(Clone, Copy)]
pub(crate) struct Increment;

impl Work<Remote> for Increment {
    async fn run(self, on: Arc<Remote>, lane: Lane) -> Result<Done> {
        let mut lap = lane.start().await;
        loop {
            // Others may increment the same key, so only that it was done can be checked here; that it is exact is a test.
            let done = said(|| atomics::increment(&on.wrpc, cx(), "default", "n", 1)).await.is_ok();
            if !done {
                on.failed.fetch_add(1, Ordering::Relaxed);
            }
            if !lap.more(done.into()).await {
                return Ok(lap.done());
            }
        }
    }
}
