//! A real asynchronous component that speaks `wasmcloud:keyvalue@0.2.0`, over the memory store.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on says so")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Host, buckets, guest, linker, place, store};
use ops::Ops;
use provider::{Buckets, Filter};
use provider_wasmtime::{KvCtx, wasmcloud};
use store_memory::Memory;
use store_memory::testkit::ManualClock;
use wasmtime::Store;

mod ops {
    #![allow(missing_docs, unreachable_pub)]
    wasmtime::component::bindgen!({
        path: "guests/wit/async.wit",
        inline: "package test:host; world ops { export guest:async-ops/async-ops; }",
        world: "test:host/ops",
        exports: { default: async | store },
    });
}

struct Guest {
    store: Store<Host>,
    ops: Ops,
    watcher: wasmcloud::Watcher,
}

type Answer<T> = Result<T, String>;

impl Guest {
    async fn start(kv: KvCtx) -> Self {
        let mut store = store(kv);
        let linker = linker(wasmcloud::add_to_linker::<Host>);
        let instance = linker.instantiate_async(&mut store, &guest("wasmcloud")).await.unwrap();
        let ops = Ops::new(&mut store, &instance).unwrap();
        let watcher = wasmcloud::Watcher::new(&mut store, &instance).unwrap();
        Self { store, ops, watcher }
    }
}

macro_rules! calls {
    ($($name:ident / $call:ident ($($arg:ident: $type:ty => $owned:expr),*) -> $answer:ty;)*) => {
        impl Guest {$(
            async fn $name(&mut self, bucket: &str, $($arg: $type),*) -> Answer<$answer> {
                let (ops, bucket) = (&self.ops, bucket.to_owned());
                self.store
                    .run_concurrent(async move |accessor| {
                        ops.guest_async_ops_async_ops().$call(accessor, bucket, $($owned),*).await
                    })
                    .await
                    .expect("no trap")
                    .expect("no trap")
            }
        )*}
    };
}

calls! {
    get / call_get (key: &str => key.to_owned()) -> Option<Vec<u8>>;
    set / call_set (key: &str => key.to_owned(), value: &[u8] => value.to_vec(), ttl: Option<u64> => ttl, create: bool => create) -> ();
    delete / call_delete (key: &str => key.to_owned()) -> ();
    exists / call_exists (key: &str => key.to_owned()) -> bool;
    list_keys / call_list_keys (prefix: Option<&str> => prefix.map(str::to_owned), cursor: Option<String> => cursor) -> (Vec<String>, Option<String>);
    increment / call_increment (key: &str => key.to_owned(), delta: i64 => delta) -> i64;
    get_many / call_get_many (keys: &[&str] => keys.iter().map(|key| (*key).to_owned()).collect()) -> Vec<Option<(String, Vec<u8>)>>;
    set_many / call_set_many (pairs: &[(&str, &str)] => pairs.iter().map(|(key, value)| pair(key, value)).collect()) -> ();
    delete_many / call_delete_many (keys: &[&str] => keys.iter().map(|key| (*key).to_owned()).collect()) -> ();
    current / call_current (key: &str => key.to_owned()) -> Option<(Vec<u8>, String)>;
    swap / call_swap (key: &str => key.to_owned(), value: &[u8] => value.to_vec(), version: Option<&str> => version.map(str::to_owned), expected: Option<&[u8]> => expected.map(<[u8]>::to_vec)) -> Option<Option<Vec<u8>>>;
    leak / call_leak (times: u32 => times) -> ();
}

fn pair(key: &str, value: &str) -> (String, Vec<u8>) {
    (key.to_owned(), value.into())
}

#[tokio::test]
async fn every_operation_through_a_guest() {
    let memory = Arc::new(Memory::new());
    let mut guest = Guest::start(KvCtx::new(buckets(&memory))).await;
    for b in ["", "cache"] {
        assert_eq!(guest.get(b, "k").await.unwrap(), None);
        guest.set(b, "k", b"v", None, false).await.unwrap();
        assert_eq!(guest.get(b, "k").await.unwrap().unwrap(), b"v");
        assert!(guest.exists(b, "k").await.unwrap());
        guest.delete(b, "k").await.unwrap();
        guest.delete(b, "k").await.unwrap();
        assert!(!guest.exists(b, "k").await.unwrap());
        assert_eq!(guest.increment(b, "n", 5).await.unwrap(), 5);
        assert_eq!(guest.increment(b, "n", 3).await.unwrap(), 8);
        assert_eq!(guest.increment(b, "n", -10).await.unwrap(), -2);
        guest.set_many(b, &[("b1", "1"), ("b2", "2")]).await.unwrap();
        let many = guest.get_many(b, &["b1", "b2", "missing", "b1"]).await.unwrap();
        let b1 = Some(pair("b1", "1"));
        assert_eq!(many, [b1.clone(), Some(pair("b2", "2")), None, b1]);
        guest.delete_many(b, &["b1"]).await.unwrap();
        assert_eq!(guest.list_keys(b, None, None).await.unwrap().0, ["b2", "n"]);
        assert_eq!(guest.list_keys(b, Some("b"), None).await.unwrap(), (vec!["b2".into()], None));
    }
}

#[tokio::test]
async fn errors_have_types() {
    let memory = Arc::new(Memory::new());
    let registry = Buckets::none().named("", place(&memory)).grant(["default", "foo"]);
    let mut guest = Guest::start(KvCtx::new(registry).max_handles(32)).await;
    let is = |answer: Answer<()>, error: &str| assert_eq!(answer.unwrap_err(), error);
    is(guest.delete("foo", "k").await, "no-such-store");
    is(guest.delete("bar", "k").await, "access-denied");
    is(guest.delete("", "").await, "invalid-argument");
    is(guest.set("", "k", b"v", Some(0), false).await, "invalid-argument");
    is(guest.list_keys("", None, Some("garbage".into())).await.map(drop), "invalid-argument");
    is(guest.swap("", "k", b"v", None, None).await.map(drop), "invalid-argument");
    guest.set("", "k", b"v", None, true).await.unwrap();
    is(guest.set("", "k", b"w", None, true).await, "precondition-failed");
    let text = guest.increment("", "k", 1).await.unwrap_err();
    assert!(text.contains("no decimal integer"), "{text}");
    guest.increment("", "max", i64::MAX).await.unwrap();
    guest.increment("", "max", 1).await.unwrap_err();
    assert_eq!(guest.get("", "max").await.unwrap().unwrap(), i64::MAX.to_string().as_bytes());
    is(guest.leak("", 100).await, "quota-exceeded");
}

#[tokio::test]
async fn time_to_live_is_honoured() {
    let clock = ManualClock::new();
    let memory = Arc::new(Memory::builder().clock(clock.clone()).build());
    let mut guest = Guest::start(KvCtx::new(buckets(&memory))).await;
    guest.set("", "lock", b"me", Some(500), true).await.unwrap();
    clock.advance(Duration::from_millis(499));
    guest.set("", "lock", b"you", Some(500), true).await.unwrap_err();
    clock.advance(Duration::from_millis(1));
    assert!(!guest.exists("", "lock").await.unwrap());
    guest.set("", "lock", b"you", Some(500), true).await.unwrap();
}

#[tokio::test]
async fn swaps_notice_a_b_a() {
    let memory = Arc::new(Memory::new());
    let mut guest = Guest::start(KvCtx::new(buckets(&memory))).await;
    assert_eq!(guest.current("", "k").await.unwrap(), None);
    assert_eq!(guest.swap("", "k", b"x", None, Some(b"")).await.unwrap(), Some(None));
    guest.set("", "k", b"A", None, false).await.unwrap();
    let (_, first) = guest.current("", "k").await.unwrap().unwrap();
    guest.set("", "k", b"B", None, false).await.unwrap();
    guest.set("", "k", b"A", None, false).await.unwrap();
    let stale = Some(Some(b"A".to_vec()));
    assert_eq!(guest.swap("", "k", b"C", Some(&first), None).await.unwrap(), stale);
    let (value, now) = guest.current("", "k").await.unwrap().unwrap();
    assert_eq!(value, b"A");
    assert_eq!(guest.swap("", "k", b"C", Some(&now), Some(b"B")).await.unwrap(), stale);
    assert_eq!(guest.swap("", "k", b"C", Some(&now), Some(b"A")).await.unwrap(), None);
    assert_eq!(guest.swap("", "k", b"D", None, Some(b"C")).await.unwrap(), None);
    assert_eq!(guest.get("", "k").await.unwrap().unwrap(), b"D");
}

#[tokio::test]
async fn the_same_bucket_name_of_two_guests_is_isolated_or_shared_as_granted() {
    let memory = Arc::new(Memory::new());
    let registry = |own: &str| {
        Buckets::none()
            .named("bucket", place(&memory).table(own))
            .named("shared", place(&memory).table("shared"))
    };
    let mut a = Guest::start(KvCtx::new(registry("team-a"))).await;
    let mut b = Guest::start(KvCtx::new(registry("team-b"))).await;
    for bucket in ["bucket", "shared"] {
        a.set(bucket, "k", b"a", None, false).await.unwrap();
        b.set(bucket, "k", b"b", None, false).await.unwrap();
    }
    assert_eq!(a.get("bucket", "k").await.unwrap().unwrap(), b"a");
    assert_eq!(b.get("bucket", "k").await.unwrap().unwrap(), b"b");
    assert_eq!(a.get("shared", "k").await.unwrap().unwrap(), b"b");
}

#[tokio::test]
async fn a_guest_is_told_of_changes() {
    let memory = Arc::new(Memory::new());
    let registry = buckets(&memory);
    let bucket = registry.open("watched").await.unwrap();
    let mut guest = Guest::start(KvCtx::new(registry)).await;
    let mut changes = bucket.watch(Filter::parse("SET@job,DEL@job").unwrap()).await.unwrap();
    bucket.set("job", "1").await.unwrap();
    bucket.set("other", "1").await.unwrap();
    bucket.delete("job").await.unwrap();
    let change = changes.next().await.unwrap().unwrap();
    guest.watcher.tell(&mut guest.store, &bucket, change).await.unwrap();
    assert_eq!(bucket.get("seen:job").await.unwrap().unwrap(), "1");
    let change = changes.next().await.unwrap().unwrap();
    guest.watcher.tell(&mut guest.store, &bucket, change).await.unwrap();
    assert!(!bucket.exists("seen:job").await.unwrap());
}
