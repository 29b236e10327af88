//! Real asynchronous components that speak `wasmcloud:keyvalue@0.2.0`, over the memory store.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on says so")]

#[allow(dead_code, reason = "other tests use the rest")]
mod common;

use std::sync::Arc;
use std::time::Duration;

use common::asynchronous::AsyncGuest as Guest;
use common::{Answer, buckets, made, pair, place};
use provider::{Buckets, Filter};
use provider_wasmtime::KvCtx;
use store_memory::Memory;
use store_memory::testkit::ManualClock;

#[tokio::test]
async fn every_operation_through_a_guest() {
    for made in made() {
        let memory = Arc::new(Memory::new());
        let mut guest = Guest::start(made, KvCtx::new(buckets(&memory))).await;
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
            assert_eq!(
                guest.list_keys(b, Some("b"), None).await.unwrap(),
                (vec!["b2".into()], None)
            );
        }
    }
}

#[tokio::test]
async fn errors_have_types() {
    for made in made() {
        let memory = Arc::new(Memory::new());
        let registry = Buckets::none().named("", place(&memory)).grant(["default", "foo"]);
        let mut guest = Guest::start(made, KvCtx::new(registry).max_handles(32)).await;
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
}

#[tokio::test]
async fn time_to_live_is_honoured() {
    for made in made() {
        let clock = ManualClock::new();
        let memory = Arc::new(Memory::builder().clock(clock.clone()).build());
        let mut guest = Guest::start(made, KvCtx::new(buckets(&memory))).await;
        guest.set("", "lock", b"me", Some(500), true).await.unwrap();
        clock.advance(Duration::from_millis(499));
        guest.set("", "lock", b"you", Some(500), true).await.unwrap_err();
        clock.advance(Duration::from_millis(1));
        assert!(!guest.exists("", "lock").await.unwrap());
        guest.set("", "lock", b"you", Some(500), true).await.unwrap();
    }
}

#[tokio::test]
async fn swaps_notice_a_b_a() {
    for made in made() {
        let memory = Arc::new(Memory::new());
        let mut guest = Guest::start(made, KvCtx::new(buckets(&memory))).await;
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
}

#[tokio::test]
async fn the_same_bucket_name_of_two_guests_is_isolated_or_shared_as_granted() {
    for made in made() {
        let memory = Arc::new(Memory::new());
        let registry = |own: &str| {
            Buckets::none()
                .named("bucket", place(&memory).table(own))
                .named("shared", place(&memory).table("shared"))
        };
        let mut a = Guest::start(made, KvCtx::new(registry("team-a"))).await;
        let mut b = Guest::start(made, KvCtx::new(registry("team-b"))).await;
        for bucket in ["bucket", "shared"] {
            a.set(bucket, "k", b"a", None, false).await.unwrap();
            b.set(bucket, "k", b"b", None, false).await.unwrap();
        }
        assert_eq!(a.get("bucket", "k").await.unwrap().unwrap(), b"a");
        assert_eq!(b.get("bucket", "k").await.unwrap().unwrap(), b"b");
        assert_eq!(a.get("shared", "k").await.unwrap().unwrap(), b"b");
    }
}

#[tokio::test]
async fn a_guest_is_told_of_changes() {
    for made in made() {
        let memory = Arc::new(Memory::new());
        let registry = buckets(&memory);
        let bucket = registry.open("watched").await.unwrap();
        let mut guest = Guest::start(made, KvCtx::new(registry)).await;
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
}
