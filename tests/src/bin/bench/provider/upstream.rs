//! Providers to measure against: one that answers at once, and one that does as wasmCloud's own provider for NATS does.

use std::time::Duration;

use anyhow::{Context as _, Result as Wire, bail};
use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, TryStreamExt as _};
use wrpc_nats::jetstream::{self, kv};
use wrpc_transport_nats::NatsContext;

use self::exports::wrpc::keyvalue::{atomics, batch, store};
use super::wire::VALUE;
use store::Error;

#[allow(missing_docs, missing_debug_implementations, clippy::pedantic, unreachable_pub)]
#[allow(clippy::clone_on_ref_ptr, clippy::use_self, clippy::future_not_send, unused_qualifications)]
mod bindings {
    wit_bindgen_wrpc::generate!({ path: "../provider/wit", world: "provider" });
}
pub(crate) use bindings::{exports, serve};

type Answer<T> = Wire<Result<T, Error>>;

/// Answers at once, with the bytes that a store would answer.
#[derive(Clone)]
pub(crate) struct Echo;

impl store::Handler<NatsContext> for Echo {
    async fn get(&self, _: NatsContext, _: String, _: String) -> Answer<Option<Bytes>> {
        Ok(Ok(Some(Bytes::from_static(VALUE))))
    }

    async fn set(&self, _: NatsContext, _: String, _: String, _: Bytes) -> Answer<()> {
        Ok(Ok(()))
    }

    async fn delete(&self, _: NatsContext, _: String, _: String) -> Answer<()> {
        Ok(Ok(()))
    }

    async fn exists(&self, _: NatsContext, _: String, _: String) -> Answer<bool> {
        Ok(Ok(true))
    }

    async fn list_keys(
        &self,
        _: NatsContext,
        _: String,
        _: Option<u64>,
    ) -> Answer<store::KeyResponse> {
        Ok(Ok(store::KeyResponse { keys: Vec::new(), cursor: None }))
    }
}

impl atomics::Handler<NatsContext> for Echo {
    async fn increment(&self, _: NatsContext, _: String, _: String, delta: u64) -> Answer<u64> {
        Ok(Ok(delta))
    }
}

impl batch::Handler<NatsContext> for Echo {
    async fn get_many(
        &self,
        _: NatsContext,
        _: String,
        keys: Vec<String>,
    ) -> Answer<Vec<Option<(String, Bytes)>>> {
        Ok(Ok(keys.into_iter().map(|key| Some((key, Bytes::from_static(VALUE)))).collect()))
    }

    async fn set_many(&self, _: NatsContext, _: String, _: Vec<(String, Bytes)>) -> Answer<()> {
        Ok(Ok(()))
    }

    async fn delete_many(&self, _: NatsContext, _: String, _: Vec<String>) -> Answer<()> {
        Ok(Ok(()))
    }
}

/// A bucket by async-nats' own key-value client: batches are single calls, a listing is one answer, a counter is tried five times.
#[derive(Clone)]
pub(crate) struct Upstream(kv::Store);

impl Upstream {
    pub(crate) async fn open(nats: wrpc_nats::Client, bucket: &str) -> Wire<Self> {
        let js = jetstream::new(nats);
        // The benchmark makes the bucket while this begins.
        for _ in 0..400 {
            if let Ok(bucket) = js.get_key_value(bucket).await {
                return Ok(Self(bucket));
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        bail!("there is no bucket")
    }
}

fn other(error: impl std::fmt::Display) -> Error {
    Error::Other(error.to_string())
}

impl store::Handler<NatsContext> for Upstream {
    async fn get(&self, _: NatsContext, _: String, key: String) -> Answer<Option<Bytes>> {
        Ok(self.0.get(key).await.map_err(other))
    }

    async fn set(&self, _: NatsContext, _: String, key: String, value: Bytes) -> Answer<()> {
        Ok(self.0.put(key, value).await.map(drop).map_err(other))
    }

    async fn delete(&self, _: NatsContext, _: String, key: String) -> Answer<()> {
        Ok(self.0.purge(key).await.map_err(other))
    }

    async fn exists(&self, _: NatsContext, _: String, key: String) -> Answer<bool> {
        Ok(self.0.get(key).await.map(|value| value.is_some()).map_err(other))
    }

    async fn list_keys(
        &self,
        _: NatsContext,
        _: String,
        _: Option<u64>,
    ) -> Answer<store::KeyResponse> {
        let keys = async { self.0.keys().await.map_err(other)?.try_collect().await.map_err(other) };
        Ok(keys.await.map(|keys| store::KeyResponse { keys, cursor: None }))
    }
}

impl atomics::Handler<NatsContext> for Upstream {
    async fn increment(&self, _: NatsContext, _: String, key: String, delta: u64) -> Answer<u64> {
        let mut pause = Duration::from_millis(5);
        for attempt in 1..=5 {
            let entry = self.0.entry(&key).await?;
            let (revision, now) = match &entry {
                Some(entry) if entry.operation == kv::Operation::Put => (
                    entry.revision,
                    std::str::from_utf8(&entry.value)?.parse().context("no number")?,
                ),
                Some(entry) => (entry.revision, 0),
                None => (0, 0),
            };
            let sum: u64 = now + delta;
            if self.0.update(&key, sum.to_string().into(), revision).await.is_ok() {
                return Ok(Ok(sum));
            }
            if attempt > 1 {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
        bail!("Failed to increment the value after 5 attempts")
    }
}

impl batch::Handler<NatsContext> for Upstream {
    async fn get_many(
        &self,
        _: NatsContext,
        _: String,
        keys: Vec<String>,
    ) -> Answer<Vec<Option<(String, Bytes)>>> {
        let gets: FuturesUnordered<_> = keys
            .into_iter()
            .map(|key| async {
                let value = self.0.get(&key).await.map_err(other)?;
                Ok(value.map(|value| (key, value)))
            })
            .collect();
        Ok(gets.try_collect().await)
    }

    async fn set_many(&self, _: NatsContext, _: String, pairs: Vec<(String, Bytes)>) -> Answer<()> {
        let puts: FuturesUnordered<_> =
            pairs.into_iter().map(|(key, value)| self.0.put(key, value)).collect();
        let _: Vec<_> = puts.collect().await;
        Ok(Ok(()))
    }

    async fn delete_many(&self, _: NatsContext, _: String, keys: Vec<String>) -> Answer<()> {
        let purges: FuturesUnordered<_> = keys.into_iter().map(|key| self.0.purge(key)).collect();
        let _: Vec<_> = purges.collect().await;
        Ok(Ok(()))
    }
}
