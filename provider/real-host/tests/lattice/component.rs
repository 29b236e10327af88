//! A component, as who is linked to it calls it.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::Result as Wire;
use bytes::Bytes;

use super::LATTICE;

mod client {
    wit_bindgen_wrpc::generate!({
        world: "real:host/client",
        path: ["../../provider-wasmtime/guests/wit/ops.wit", "wit/client.wit"],
        generate_all,
    });
}
use client::guest::ops::ops;

/// What a call of a component that trapped says, beside the errors that the component answers.
pub(crate) const TRAP: &str = "the component trapped";

type Answer<T> = Result<T, String>;

#[derive(Clone)]
pub(crate) struct Component {
    wrpc: wrpc_transport_nats::Client,
}

/// Hosts of this age lose an answer now and then (see docs/provider.md): calls are asked again.
async fn asked<T, F: Future<Output = Wire<Answer<T>>>>(mut call: impl FnMut() -> F) -> Answer<T> {
    for _ in 0..5 {
        match tokio::time::timeout(Duration::from_secs(10), call()).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(error)) => {
                eprintln!("{error:#}");
                return Err(TRAP.to_owned());
            }
            Err(_) => eprintln!("an answer was lost"),
        }
    }
    panic!("no answer");
}

impl Component {
    pub(crate) async fn new(url: &str, id: &str) -> Self {
        // While the component compiles, nothing else on this thread goes on.
        let patient =
            async_nats_new::ConnectOptions::new().connection_timeout(Duration::from_secs(60));
        let nats = patient.connect(url).await.unwrap();
        let prefix = format!("{LATTICE}.{id}");
        Self { wrpc: wrpc_transport_nats::Client::new(nats, prefix, None).await.unwrap() }
    }

    /// Waits until a read is answered, and answers that.
    pub(crate) async fn ready(&self, bucket: &str, key: &str) -> Option<Bytes> {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let get = ops::get(&self.wrpc, None, bucket, key);
            match tokio::time::timeout(Duration::from_secs(3), get).await {
                Ok(Ok(Ok(value))) => return value,
                other => assert!(Instant::now() < deadline, "not ready: {other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a key has this value.
    pub(crate) async fn until(&self, bucket: &str, key: &str, value: Option<&str>) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let found = self.get(bucket, key).await;
            if found.as_ref().is_ok_and(|found| found.as_deref() == value.map(str::as_bytes)) {
                return;
            }
            assert!(Instant::now() < deadline, "{bucket}, {key}: {found:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn get(&self, bucket: &str, key: &str) -> Answer<Option<Bytes>> {
        asked(|| ops::get(&self.wrpc, None, bucket, key)).await
    }

    pub(crate) async fn set(&self, bucket: &str, key: &str, value: impl Into<Bytes>) -> Answer<()> {
        let value = value.into();
        asked(|| ops::set(&self.wrpc, None, bucket, key, &value)).await
    }

    pub(crate) async fn delete(&self, bucket: &str, key: &str) -> Answer<()> {
        asked(|| ops::delete(&self.wrpc, None, bucket, key)).await
    }

    pub(crate) async fn exists(&self, bucket: &str, key: &str) -> Answer<bool> {
        asked(|| ops::exists(&self.wrpc, None, bucket, key)).await
    }

    /// One page, and where the next one begins.
    pub(crate) async fn page(
        &self,
        bucket: &str,
        cursor: Option<&str>,
    ) -> Answer<(Vec<String>, Option<String>)> {
        asked(|| ops::list_keys(&self.wrpc, None, bucket, cursor)).await
    }

    /// All keys, sorted.
    pub(crate) async fn keys(&self, bucket: &str) -> Answer<Vec<String>> {
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let (keys, next) = self.page(bucket, cursor.as_deref()).await?;
            found.extend(keys);
            cursor = next;
            if cursor.is_none() {
                found.sort_unstable();
                found.dedup();
                return Ok(found);
            }
        }
    }

    /// Asked again after a lost answer, it counts again.
    pub(crate) async fn increment(&self, bucket: &str, key: &str, delta: i64) -> Answer<String> {
        asked(|| ops::increment(&self.wrpc, None, bucket, key, delta)).await
    }

    pub(crate) async fn get_many(
        &self,
        bucket: &str,
        keys: &[&str],
    ) -> Answer<Vec<Option<(String, Bytes)>>> {
        asked(|| ops::get_many(&self.wrpc, None, bucket, keys)).await
    }

    pub(crate) async fn set_many(&self, bucket: &str, pairs: &[(&str, &str)]) -> Answer<()> {
        let pairs: Vec<_> =
            pairs.iter().map(|(key, value)| (*key, Bytes::from((*value).to_owned()))).collect();
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (*key, value)).collect();
        asked(|| ops::set_many(&self.wrpc, None, bucket, &pairs)).await
    }

    pub(crate) async fn delete_many(&self, bucket: &str, keys: &[&str]) -> Answer<()> {
        asked(|| ops::delete_many(&self.wrpc, None, bucket, keys)).await
    }
}
