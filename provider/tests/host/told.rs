//! A component that is told of changes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use wrpc_transport_nats::NatsContext;

use super::component::bindings::{self, exports::wrpc::keyvalue::watcher};
use super::{Host, LATTICE, PROVIDER};

/// What it was told, in order: `key=value`, and `-key` of what is gone.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    /// A component of this name that listens.
    pub(crate) async fn listen(host: &Host, component: &str) -> Self {
        let told = Self::default();
        let prefix: Arc<str> = format!("{LATTICE}.{component}").into();
        let nats = host.server.client().await;
        let wrpc = wrpc_transport_nats::Client::new(nats, Arc::clone(&prefix), Some(prefix)).await;
        let wrpc = wrpc.unwrap();
        let serving = bindings::serve(&wrpc, told.clone()).await.unwrap();
        tokio::spawn(async move {
            let _wrpc = wrpc;
            let mut calls = stream::select_all(serving.into_iter().map(|(_, _, calls)| calls));
            while let Some(call) = calls.next().await {
                call.unwrap().await.unwrap();
            }
        });
        told
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// Waits until this is the last that it was told.
    pub(crate) async fn until(&self, host: &Host, last: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.all().last().is_none_or(|told| told != last) {
            assert!(Instant::now() < deadline, "{:?}\n{}", self.all(), host.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Changes something again and again until it is told: so long it takes until a watch has begun.
    pub(crate) async fn begun<F: Future<Output = ()>>(&self, host: &Host, change: impl Fn() -> F) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.all().is_empty() {
            change().await;
            assert!(Instant::now() < deadline, "{}", host.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl watcher::Handler<NatsContext> for Told {
    async fn on_set(
        &self,
        cx: NatsContext,
        bucket: String,
        key: String,
        value: Bytes,
    ) -> Result<()> {
        let headers = cx.headers.unwrap();
        let trace = headers.get("traceparent").unwrap().as_str();
        assert!(trace.starts_with("00-") && trace.len() == 55, "{trace}");
        let source = headers.get("source-id").unwrap().to_string();
        assert_eq!((source.as_str(), bucket.as_str()), (PROVIDER, "0"));
        self.0.lock().unwrap().push(format!("{key}={}", String::from_utf8_lossy(&value)));
        Ok(())
    }

    async fn on_delete(&self, _: NatsContext, _: String, key: String) -> Result<()> {
        self.0.lock().unwrap().push(format!("-{key}"));
        Ok(())
    }
}
