//! Every operation of all interfaces through guests, on every backend: only the URL differs.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on says so")]

#[allow(dead_code, reason = "other tests use the rest")]
mod common;
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    reason = "the servers of all tests"
)]
#[path = "../../tests/src/servers/nats.rs"]
mod nats;
#[expect(unreachable_pub, reason = "the servers of all tests")]
#[path = "../../tests/src/servers/port.rs"]
mod port;
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    reason = "the servers of all tests"
)]
#[path = "../../tests/src/servers/redis.rs"]
mod redis;

use std::time::{Duration, Instant};

use common::asynchronous::AsyncGuest;
use common::drafts::{Guest, drafts, first};
use common::labelled::interfaces;
use common::{Answer, Made, keys, made, pair};
use provider::{Buckets, Limits, Place, Pool};
use provider_wasmtime::KvCtx;
use store_core::Name;

fn pool() -> Pool {
    Pool::new(provider::wasmcloud::drivers(), Duration::from_secs(10))
}

/// The tables of one database at a URL, as an application would grant them; small pages, so that there are several.
fn buckets(pool: &Pool, url: &str) -> Buckets {
    let limits = {
        let mut limits = Limits::default();
        limits.page = 10;
        limits
    };
    let place = Place::at(pool.connect(url).unwrap(), Name::new("app").unwrap()).limits(limits);
    Buckets::tables(place).grant(["default", "cache", "rust", "text", "no table", "another table"])
}

#[tokio::test]
async fn every_operation_on_memory() {
    everything("memory://").await;
}

#[tokio::test]
async fn every_operation_on_nats() {
    let server = nats::Server::start();
    everything(&server.url()).await;
}

#[tokio::test]
async fn every_operation_on_redis() {
    let server = redis::Server::start();
    everything(&format!("redis://{}", server.address())).await;
}

async fn everything(url: &str) {
    let pool = pool();
    let buckets = buckets(&pool, url);
    for draft in drafts() {
        let bucket = if draft.made == Made::Rust { "rust" } else { "text" };
        let mut guest = Guest::start(draft, KvCtx::new(buckets.clone())).await;
        synchronous(&mut guest, bucket, draft.is_second()).await;
    }
    for made in made() {
        let bucket = if made == Made::Rust { "no table" } else { "another table" };
        let mut guest = AsyncGuest::start(made, KvCtx::new(buckets.clone())).await;
        asynchronous(&mut guest, bucket).await;
    }
    assert_eq!(pool.len(), 1, "one connection for all guests");
}

/// All keys, page by page.
async fn listed(guest: &mut Guest, b: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let (keys, next) = guest.list_keys(b, cursor.as_deref()).await.unwrap();
        found.extend(keys);
        cursor = next;
        if cursor.is_none() {
            found.sort_unstable();
            found.dedup();
            return found;
        }
    }
}

async fn synchronous(guest: &mut Guest, b: &str, signed: bool) {
    guest.set(b, "atomics_key", b"5").await.unwrap();
    assert_eq!(guest.increment(b, "atomics_key", 1).await.unwrap(), "6");
    assert_eq!(guest.get(b, "atomics_key").await.unwrap().unwrap(), b"6", "as text");
    assert_eq!(guest.get(b, "hello").await.unwrap(), None);
    for value in [&b""[..], b"world", &[0, 255, 10, 13]] {
        guest.set(b, "hello", value).await.unwrap();
        assert_eq!(guest.get(b, "hello").await.unwrap().unwrap(), value);
    }
    assert!(guest.exists(b, "hello").await.unwrap());
    guest.delete(b, "hello").await.unwrap();
    guest.delete(b, "hello").await.unwrap();
    assert!(!guest.exists(b, "hello").await.unwrap());
    assert_eq!(listed(guest, b).await, ["atomics_key"]);

    let pairs: Vec<_> = (0..35).map(|i| pair(&format!("k{i:02}"), &format!("v{i}"))).collect();
    guest.set_many(b, &pairs).await.unwrap();
    let asked = keys(["k07", "never", "k00", "k07"]);
    let found = guest.get_many(b, &asked).await.unwrap();
    let k07 = Some(pair("k07", "v7"));
    assert_eq!(found, [k07.clone(), None, Some(pair("k00", "v0")), k07], "as asked");
    assert_eq!(listed(guest, b).await.len(), 36, "over several pages");
    let names: Vec<_> = pairs.into_iter().map(|(key, _)| key).chain(keys(["never"])).collect();
    guest.delete_many(b, &names).await.unwrap();
    assert_eq!(listed(guest, b).await, ["atomics_key"]);
    assert_eq!(guest.get_many(b, &[]).await.unwrap(), []);
    guest.set_many(b, &[]).await.unwrap();
    guest.delete_many(b, &[]).await.unwrap();

    for odd in ["a b:c*", "é/ü", "\0", "..", ".lead", "$X.>", "[glob]*?", "日本語", "_t/k"] {
        guest.set(b, odd, odd.as_bytes()).await.unwrap();
        assert_eq!(guest.get(b, odd).await.unwrap().unwrap(), odd.as_bytes());
        assert!(listed(guest, b).await.contains(&odd.to_owned()), "{odd:?}");
        guest.delete(b, odd).await.unwrap();
    }
    for bad in ["v", "9223372036854775807", "18446744073709551615"] {
        guest.set(b, "bad", bad.as_bytes()).await.unwrap();
        guest.increment(b, "bad", 1).await.unwrap_err();
        assert_eq!(guest.get(b, "bad").await.unwrap().unwrap(), bad.as_bytes(), "unchanged");
    }
    if signed {
        assert_eq!(guest.increment(b, "atomics_key", -10).await.unwrap(), "-4");
    } else {
        guest.set(b, "bad", b"-5").await.unwrap();
        guest.increment(b, "bad", 1).await.unwrap_err();
        assert_eq!(guest.get(b, "bad").await.unwrap().unwrap(), b"-5", "unchanged");
    }
    for call in [guest.set(b, "", b"v").await, guest.exists(b, "").await.map(drop)] {
        let error = call.unwrap_err();
        assert!(error.contains("empty"), "{error}");
    }
    assert_eq!(guest.get("forbidden", "k").await.unwrap_err(), "access-denied");
    guest.delete_many(b, &keys(["bad", "atomics_key"])).await.unwrap();
}

async fn asynchronous(guest: &mut AsyncGuest, b: &str) {
    let is = |answer: Answer<()>, error: &str| assert_eq!(answer.unwrap_err(), error);
    assert_eq!(guest.get(b, "k").await.unwrap(), None);
    guest.set(b, "k", b"v", None, true).await.unwrap();
    is(guest.set(b, "k", b"w", None, true).await, "precondition-failed");
    assert_eq!(guest.get(b, "k").await.unwrap().unwrap(), b"v");
    assert!(guest.exists(b, "k").await.unwrap());
    for (delta, sum) in [(5, 5), (3, 8), (-10, -2)] {
        assert_eq!(guest.increment(b, "n", delta).await.unwrap(), sum);
    }
    guest.set_many(b, &[("b/1", "1"), ("b/2", "2")]).await.unwrap();
    let many = guest.get_many(b, &["b/2", "missing", "b/1", "b/2"]).await.unwrap();
    let two = Some(pair("b/2", "2"));
    assert_eq!(many, [two.clone(), None, Some(pair("b/1", "1")), two]);
    assert_eq!(guest.list_keys(b, Some("b/"), None).await.unwrap().0, ["b/1", "b/2"]);
    guest.delete_many(b, &["b/1", "b/2"]).await.unwrap();
    assert_eq!(guest.list_keys(b, None, None).await.unwrap(), (keys(["k", "n"]), None));
    is(guest.list_keys(b, None, Some("garbage".into())).await.map(drop), "invalid-argument");

    // A value that comes back has another version.
    let (_, first) = guest.current(b, "k").await.unwrap().unwrap();
    guest.delete(b, "k").await.unwrap();
    guest.set(b, "k", b"v", None, false).await.unwrap();
    let stale = Some(Some(b"v".to_vec()));
    assert_eq!(guest.swap(b, "k", b"x", Some(&first), None).await.unwrap(), stale);
    let (value, now) = guest.current(b, "k").await.unwrap().unwrap();
    assert_ne!(now, first);
    assert_eq!(guest.swap(b, "k", b"x", Some(&now), Some(&value)).await.unwrap(), None);
    assert_eq!(guest.swap(b, "k", b"y", None, Some(b"x")).await.unwrap(), None);
    assert_eq!(guest.swap(b, "gone", b"y", None, Some(b"x")).await.unwrap(), Some(None));
    assert_eq!(guest.get(b, "k").await.unwrap().unwrap(), b"y");

    let since = Instant::now();
    guest.set(b, "lock", b"me", Some(2000), true).await.unwrap();
    is(guest.set(b, "lock", b"you", Some(2000), true).await, "precondition-failed");
    while guest.exists(b, "lock").await.unwrap() {
        assert!(since.elapsed() < Duration::from_secs(20), "it does not expire");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(since.elapsed() >= Duration::from_secs(2), "it has expired early");
    guest.set(b, "lock", b"you", Some(60_000), true).await.unwrap();
    assert_eq!(guest.get(b, "lock").await.unwrap().unwrap(), b"you");
}

#[tokio::test]
async fn labels_lead_to_a_backend_each() {
    let (nats, redis) = (nats::Server::start(), redis::Server::start());
    let pool = pool();
    let [plain, a, b] =
        ["memory://".to_owned(), nats.url(), format!("redis://{}", redis.address())]
            .map(|url| buckets(&pool, &url));
    for interface in interfaces() {
        let kv = KvCtx::new(plain.clone()).label("team-a", a.clone()).label("team-b", b.clone());
        let mut guest = interface.start(kv).await.unwrap();
        for (label, buckets) in [("plain", &plain), ("team-a", &a), ("team-b", &b)] {
            guest.set(label, "cache", "k", label.as_bytes()).await.unwrap();
            guest.set(label, "cache", label, b"").await.unwrap();
            let bucket = buckets.open("cache").await.unwrap();
            assert_eq!(bucket.get("k").await.unwrap().unwrap(), label);
        }
        for (label, buckets) in [("plain", &plain), ("team-a", &a), ("team-b", &b)] {
            let bucket = buckets.open("cache").await.unwrap();
            assert_eq!(bucket.list(None, None).await.unwrap().0, keys(["k", label]));
            assert_eq!(guest.get(label, "cache", "k").await.unwrap().unwrap(), label.as_bytes());
            bucket.delete_many(&keys(["k", label])).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_guest_that_is_cancelled_in_a_call_hurts_nobody_and_a_backend_comes_back_under_others() {
    let mut server = redis::Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let pool = pool();
    let buckets = buckets(&pool, &format!("redis://{}?timeout=1s", server.address()));
    let mut other = Guest::start(first(Made::Text), KvCtx::new(buckets.clone())).await;
    other.set("", "k", b"v").await.unwrap();
    for i in 0..50 {
        let mut cancelled = Guest::start(first(Made::Text), KvCtx::new(buckets.clone())).await;
        let pairs: Vec<_> = (0..200).map(|n| pair(&format!("c{n}"), &"x".repeat(1000))).collect();
        let call = cancelled.set_many("cache", &pairs);
        let _ = tokio::time::timeout(Duration::from_micros(i * 100), call).await;
        drop(cancelled);
        assert_eq!(other.get("", "k").await.unwrap().unwrap(), b"v");
    }
    for (_, value) in
        other.get_many("cache", &keys(["c0", "c199"])).await.unwrap().into_iter().flatten()
    {
        assert_eq!(value.len(), 1000, "whole or not at all");
    }
    server.kill();
    let error = other.get("", "k").await.expect_err("an answer, although nobody is there");
    assert!(error.contains(&server.address()), "{error}");
    server.restart();
    let deadline = Instant::now() + Duration::from_secs(30);
    while other.get("", "k").await.is_err() {
        assert!(Instant::now() < deadline, "the backend did not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(other.get("", "k").await.unwrap().unwrap(), b"v", "the same guest goes on");
}
