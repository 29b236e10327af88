//! What a component calls, over the lattice.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::Result as Wire;
use bytes::Bytes;

use super::{Host, by};

#[allow(missing_docs, clippy::pedantic, clippy::clone_on_ref_ptr, clippy::use_self)]
#[allow(clippy::future_not_send, unused_qualifications, unreachable_pub)]
pub(crate) mod bindings {
    wit_bindgen_wrpc::generate!({ path: "wit", world: "host" });
}
pub(crate) use bindings::wrpc::keyvalue::{atomics, batch, store};
pub(crate) use store::Error;

pub(crate) type Answer<T> = Result<T, Error>;

/// A call that must be answered: never bare, as a lost answer would hang the test.
pub(crate) async fn call<T>(call: impl Future<Output = Wire<T>>) -> T {
    let answer = tokio::time::timeout(Duration::from_secs(15), call).await;
    answer.expect("an answer in time").expect("an answer, not a failed invocation")
}

/// A component, by one of its links.
#[derive(Clone)]
pub(crate) struct Component<'a> {
    pub(crate) host: &'a Host,
    pub(crate) id: &'a str,
    pub(crate) link: &'a str,
    pub(crate) bucket: &'a str,
}

impl<'a> Component<'a> {
    pub(crate) fn new(host: &'a Host, id: &'a str) -> Self {
        Self { host, id, link: "default", bucket: "default" }
    }

    pub(crate) fn link(mut self, link: &'a str) -> Self {
        self.link = link;
        self
    }

    pub(crate) fn bucket(mut self, bucket: &'a str) -> Self {
        self.bucket = bucket;
        self
    }

    #[expect(clippy::unnecessary_wraps, reason = "as calls take it")]
    pub(crate) fn cx(&self) -> Option<async_nats::HeaderMap> {
        Some(by(self.id, self.link))
    }

    pub(crate) async fn get(&self, key: &str) -> Answer<Option<Bytes>> {
        call(store::get(&self.host.wrpc, self.cx(), self.bucket, key)).await
    }

    pub(crate) async fn set(&self, key: &str, value: impl Into<Bytes>) -> Answer<()> {
        call(store::set(&self.host.wrpc, self.cx(), self.bucket, key, &value.into())).await
    }

    pub(crate) async fn delete(&self, key: &str) -> Answer<()> {
        call(store::delete(&self.host.wrpc, self.cx(), self.bucket, key)).await
    }

    pub(crate) async fn exists(&self, key: &str) -> Answer<bool> {
        call(store::exists(&self.host.wrpc, self.cx(), self.bucket, key)).await
    }

    pub(crate) async fn list_keys(
        &self,
        cursor: Option<u64>,
    ) -> Answer<(Vec<String>, Option<u64>)> {
        let page = call(store::list_keys(&self.host.wrpc, self.cx(), self.bucket, cursor)).await?;
        Ok((page.keys, page.cursor))
    }

    pub(crate) async fn increment(&self, key: &str, delta: u64) -> Answer<u64> {
        call(atomics::increment(&self.host.wrpc, self.cx(), self.bucket, key, delta)).await
    }

    pub(crate) async fn get_many(&self, keys: &[&str]) -> Answer<Vec<Option<(String, Bytes)>>> {
        call(batch::get_many(&self.host.wrpc, self.cx(), self.bucket, keys)).await
    }

    pub(crate) async fn set_many(&self, pairs: &[(&str, &str)]) -> Answer<()> {
        let pairs: Vec<_> =
            pairs.iter().map(|(k, v)| (*k, Bytes::copy_from_slice(v.as_bytes()))).collect();
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (*key, value)).collect();
        call(batch::set_many(&self.host.wrpc, self.cx(), self.bucket, &pairs)).await
    }

    pub(crate) async fn delete_many(&self, keys: &[&str]) -> Answer<()> {
        call(batch::delete_many(&self.host.wrpc, self.cx(), self.bucket, keys)).await
    }

    /// Every function fails, each with a typed error that says this.
    pub(crate) async fn refused(&self, why: &str) {
        let errors = [
            self.get("k").await.map(drop),
            self.set("k", "v").await,
            self.delete("k").await,
            self.exists("k").await.map(drop),
            self.list_keys(None).await.map(drop),
            self.increment("n", 1).await.map(drop),
            self.get_many(&["k"]).await.map(drop),
            self.set_many(&[("k", "v")]).await,
            self.delete_many(&["k"]).await,
        ];
        for error in errors {
            let error = format!("{:?}", error.expect_err(why));
            assert!(error.contains(why), "{error}");
        }
    }

    /// Waits until a call is answered so, as a link's message has no answer.
    pub(crate) async fn until(&self, settled: impl Fn(&Answer<Option<Bytes>>) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = self.get("k").await;
            if settled(&answer) {
                return;
            }
            assert!(Instant::now() < deadline, "{answer:?}\n{}", self.host.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
