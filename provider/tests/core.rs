//! The neutral core over the memory store.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use provider::{
    Bucket, Buckets, Change, Create, Error, Expect, Filter, Limits, Place, SetOptions, Swap,
};
use store_core::{DatabaseConfig, Name, Store, StoreAdmin};
use store_memory::Memory;

fn place() -> Place {
    on(&Arc::new(Memory::new()))
}

fn on(store: &Arc<Memory>) -> Place {
    let store: Arc<dyn StoreAdmin> = Arc::<Memory>::clone(store);
    Place::new(store, Name::new("app").unwrap())
}

async fn bucket(place: Place) -> Bucket {
    Buckets::any(place).open("default").await.unwrap()
}

fn strings<const N: usize>(items: [&str; N]) -> Vec<String> {
    items.map(str::to_owned).to_vec()
}

#[tokio::test]
async fn identifiers_lead_where_the_rule_says() {
    let store = Arc::new(Memory::new());
    let (app, other) = (on(&store), on(&store).database(Name::new("other").unwrap()));
    let any = Buckets::any(app.clone());
    let tables = Buckets::tables(app.clone()).named("elsewhere", other);
    let databases = Buckets::databases(app.clone(), "app_");
    any.open("x").await.unwrap().set("k", "any").await.unwrap();
    tables.open("x").await.unwrap().set("k", "table").await.unwrap();
    tables.open("elsewhere").await.unwrap().set("k", "named").await.unwrap();
    databases.open("x").await.unwrap().set("k", "database").await.unwrap();
    let read = async |buckets: &Buckets, identifier: &str| {
        buckets.open(identifier).await.unwrap().get("k").await.unwrap().unwrap()
    };
    for default in ["", "default"] {
        assert_eq!(read(&any, default).await, "any");
        assert_eq!(read(&tables, default).await, "any", "the place itself");
        assert_eq!(read(&databases, default).await, "any", "the place itself");
    }
    assert_eq!(read(&any, "anything").await, "any");
    assert_eq!(read(&tables, "x").await, "table");
    assert_eq!(read(&tables, "elsewhere").await, "named");
    assert_eq!(read(&databases, "x").await, "database");
    let raw = store.list_databases().await.unwrap();
    assert_eq!(raw.iter().map(Name::as_str).collect::<Vec<_>>(), ["app", "app_x", "other"]);
    assert_eq!(databases.open("no such name").await.unwrap_err(), Error::NoSuchStore);
}

#[tokio::test]
async fn what_was_not_granted_is_denied_and_what_is_missing_is_missing() {
    let buckets = Buckets::none().named("", place()).grant(["default", "foo"]);
    buckets.open("").await.unwrap();
    buckets.open("default").await.unwrap();
    assert_eq!(buckets.open("foo").await.unwrap_err(), Error::NoSuchStore);
    assert_eq!(buckets.open("forbidden").await.unwrap_err(), Error::AccessDenied);
    let nothing = Buckets::any(place()).grant::<String>([]);
    assert_eq!(nothing.open("default").await.unwrap_err(), Error::AccessDenied);
}

#[tokio::test]
async fn a_database_is_created_only_where_the_place_says_so() {
    let store = Arc::new(Memory::builder().auto_create(false).build());
    let never = Buckets::any(on(&store).create(Create::Never, DatabaseConfig::new()));
    assert_eq!(never.open("x").await.unwrap_err(), Error::NoSuchStore);
    let config = DatabaseConfig::new().with_history(3);
    let missing = Buckets::any(on(&store).create(Create::Missing, config));
    missing.open("x").await.unwrap().set("k", "v").await.unwrap();
    let status = store.database_status(&Name::new("app").unwrap()).await.unwrap();
    assert_eq!(status.config.history, Some(3));
    let bucket = never.open("x").await.unwrap();
    assert_eq!(bucket.get("k").await.unwrap().unwrap(), "v");
    store.delete_database(&Name::new("app").unwrap()).await.unwrap();
    assert_eq!(bucket.set("k", "v").await.unwrap_err(), Error::NoSuchStore);
    assert_eq!(never.open("x").await.unwrap_err(), Error::NoSuchStore, "it looks again");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_cannot_be_created_is_tried_again_only_after_a_while() {
    let store = Arc::new(Memory::builder().auto_create(false).build());
    let never = DatabaseConfig::new().with_replicas(3);
    let buckets = Buckets::any(on(&store).create(Create::Try, never));
    assert_eq!(buckets.open("x").await.unwrap_err(), Error::NoSuchStore);
    store.create_database(&Name::new("app").unwrap(), &DatabaseConfig::new()).await.unwrap();
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(buckets.open("x").await.unwrap_err(), Error::NoSuchStore, "nobody looked again");
    tokio::time::advance(Duration::from_secs(2)).await;
    buckets.open("x").await.unwrap().set("k", "v").await.unwrap();
}

#[tokio::test]
async fn values_are_set_read_listed_and_deleted() {
    let bucket = bucket(place()).await;
    assert_eq!(bucket.get("bar").await.unwrap(), None);
    assert!(!bucket.exists("bar").await.unwrap());
    bucket.delete("bar").await.unwrap();
    assert_eq!(bucket.keys_u64(None).await.unwrap(), (vec![], None));
    assert_eq!(bucket.list(None, None).await.unwrap(), (vec![], None));
    bucket.set("bar", "baz").await.unwrap();
    bucket.set("bar", "wow").await.unwrap();
    assert_eq!(bucket.keys_u64(None).await.unwrap().0, ["bar"]);
    assert_eq!(bucket.get("bar").await.unwrap().unwrap(), "wow");
    bucket.set("bar", "").await.unwrap();
    assert_eq!(bucket.get("bar").await.unwrap().unwrap(), "", "empty is a value");
    for odd in ["a b:c*", "é/ü", "\0", "..", "$X.>"] {
        bucket.set(odd, odd.to_owned()).await.unwrap();
        assert_eq!(bucket.get(odd).await.unwrap().unwrap(), odd);
    }
    bucket.delete("bar").await.unwrap();
    bucket.delete("bar").await.unwrap();
    assert!(!bucket.exists("bar").await.unwrap());
    for call in [bucket.set("", "v").await, bucket.delete("").await] {
        assert!(matches!(call, Err(Error::InvalidArgument(_))), "{call:?}");
    }
}

#[tokio::test]
async fn batches_keep_order_and_duplicates_and_report_failures() {
    let bucket = bucket(place().limits(limits(|l| l.max_value_len = 10))).await;
    let items = |items: &[(&str, &str)]| -> Vec<(String, Bytes)> {
        items.iter().map(|(k, v)| ((*k).to_owned(), Bytes::copy_from_slice(v.as_bytes()))).collect()
    };
    bucket
        .set_many(items(&[("a1", "v1"), ("b1", "v2"), ("c1", "v3"), ("a1", "v4")]))
        .await
        .unwrap();
    let values = bucket.get_many(&strings(["c1", "zz", "a1", "c1"])).await.unwrap();
    let expected: Vec<Option<Bytes>> =
        vec![Some("v3".into()), None, Some("v4".into()), Some("v3".into())];
    assert_eq!(values, expected);
    bucket.delete_many(&strings(["a1", "never", "c1"])).await.unwrap();
    assert_eq!(bucket.keys_u64(None).await.unwrap().0, ["b1"]);
    for bad in [[("ok", "1"), ("", "2")], [("ok", "1"), ("k", "longer than ten")]] {
        bucket.set_many(items(&bad)).await.unwrap_err();
        assert!(!bucket.exists("ok").await.unwrap(), "all is checked before anything is written");
    }
    bucket.delete_many(&strings(["b1", ""])).await.unwrap_err();
    assert!(bucket.exists("b1").await.unwrap());
    assert_eq!(bucket.get_many(&[]).await.unwrap(), vec![]);
    bucket.set_many(vec![]).await.unwrap();
    bucket.delete_many(&[]).await.unwrap();
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

#[tokio::test]
async fn answers_and_batches_are_bounded() {
    let store = Arc::new(Memory::new());
    let free = bucket(on(&store)).await;
    for i in 0..300 {
        free.set(&format!("k{i:03}"), vec![b'x'; 1000]).await.unwrap();
    }
    let small = bucket(on(&store).limits(limits(|l| {
        l.max_result_len = 100_000;
        l.max_batch = 300;
    })))
    .await;
    let keys: Vec<_> = (0..300).map(|i| format!("k{i:03}")).collect();
    let error = small.get_many(&keys).await.unwrap_err();
    assert_eq!(error.to_string(), "the result exceeds the limit of 100000 bytes");
    assert_eq!(small.get_many(&keys[..99]).await.unwrap().len(), 99);
    let more: Vec<_> = keys.iter().chain(&keys).cloned().collect();
    assert!(matches!(small.delete_many(&more).await, Err(Error::QuotaExceeded(_))));
    assert!(free.exists("k000").await.unwrap());
    free.set("big", vec![0; 100_001]).await.unwrap();
    assert!(matches!(small.get("big").await, Err(Error::QuotaExceeded(_))));
}

#[tokio::test]
async fn counters_stay_within_the_wire_and_errors_change_nothing() {
    let bucket = bucket(place()).await;
    assert_eq!(bucket.increment_u64("n", 10).await.unwrap(), 10);
    assert_eq!(bucket.increment_u64("n", 5).await.unwrap(), 15);
    assert_eq!(bucket.get("n").await.unwrap().unwrap(), "15");
    assert_eq!(bucket.increment("n", -20).await.unwrap(), -5);
    let max = i64::MAX.to_string();
    let cases = [
        ("-5", 1, "negative"),
        ("-5", 10, "negative"),
        ("-9223372036854775808", 0, "negative"),
        (max.as_str(), 1, "range of i64"),
        ("18446744073709551615", 1, "decimal integer"),
        ("v", 3, "decimal integer"),
        ("", 3, "decimal integer"),
        ("1", u64::MAX, "more than"),
        ("1", 1 << 63, "more than"),
    ];
    for (held, delta, why) in cases {
        bucket.set("c", held.to_owned()).await.unwrap();
        let error = bucket.increment_u64("c", delta).await.unwrap_err();
        assert!(error.to_string().contains(why), "{held} + {delta}: {error}");
        assert_eq!(bucket.get("c").await.unwrap().unwrap(), held, "unchanged");
    }
    // One that was sound when it was last incremented is not looked at before.
    assert_eq!(bucket.increment_u64("m", 3).await.unwrap(), 3);
    for (held, delta) in [("-5", 1), ("-5", 10), ("-1", 0), ("v", 1)] {
        bucket.set("m", held).await.unwrap();
        bucket.increment_u64("m", delta).await.unwrap_err();
        assert_eq!(bucket.get("m").await.unwrap().unwrap(), held, "as it was");
        bucket.set("m", "7").await.unwrap();
        assert_eq!(bucket.increment_u64("m", 1).await.unwrap(), 8);
    }
    assert!(matches!(bucket.increment_u64("new", u64::MAX).await, Err(Error::InvalidArgument(_))));
    assert!(!bucket.exists("new").await.unwrap());
    bucket.set("c", max.clone()).await.unwrap();
    assert_eq!(bucket.increment_u64("c", 0).await.unwrap(), i64::MAX as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_increment_is_lost_and_none_counts_twice() {
    let bucket = bucket(place()).await;
    let workers: Vec<_> = (0..32)
        .map(|_| {
            let bucket = bucket.clone();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                for _ in 0..100 {
                    seen.push(bucket.increment_u64("n", 1).await.unwrap());
                }
                seen
            })
        })
        .collect();
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.unwrap());
    }
    all.sort_unstable();
    assert_eq!(all, (1..=3200).collect::<Vec<_>>());
}

#[tokio::test]
async fn listings_page_statelessly_and_skip_nothing() {
    for (count, page) in [(0, 10), (999, 1000), (1000, 1000), (1001, 1000), (2005, 1000), (57, 10)]
    {
        let store = Arc::new(Memory::new());
        let mut bucket = bucket(on(&store).limits(limits(|l| l.page = page))).await;
        let keys: Vec<_> = (0..count).map(|i| format!("k{i:05}")).collect();
        for key in &keys {
            bucket.set(key, "v").await.unwrap();
        }
        let (mut found, mut cursor, mut text) = (Vec::new(), None, None);
        loop {
            let (keys, next) = bucket.keys_u64(cursor).await.unwrap();
            found.extend(keys);
            // What was there throughout is found although the rest changes, and by another instance of the provider.
            bucket.set(&format!("later{}", found.len()), "v").await.unwrap();
            bucket = self::bucket(on(&store).limits(limits(|l| l.page = page))).await;
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        found.sort_unstable();
        found.dedup();
        found.retain(|key| key.starts_with('k'));
        assert_eq!(found, keys, "{count} keys");
        let mut found = Vec::new();
        loop {
            let (page, next) = bucket.list(Some("k"), text.as_deref()).await.unwrap();
            found.extend(page);
            text = next;
            if text.is_none() {
                break;
            }
        }
        assert_eq!(found, keys, "{count} keys");
    }
}

#[tokio::test]
async fn a_garbage_cursor_is_an_error() {
    let bucket = bucket(place()).await;
    bucket.set("k", "v").await.unwrap();
    for garbage in ["", "0", "garbage", "ä", &"x".repeat(5000)] {
        let error = bucket.list(None, Some(garbage)).await.unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{garbage}: {error:?}");
    }
    for cursor in [1000, u64::MAX] {
        // Past the end there is nothing, or it is refused; either way the answer is clear.
        let _ = bucket.keys_u64(Some(cursor)).await.map(|(_, next)| assert_eq!(next, None));
    }
}

#[tokio::test]
async fn a_prefix_hides_and_is_hidden() {
    let store = Arc::new(Memory::new());
    let (all, mine) = (bucket(on(&store)).await, bucket(on(&store).prefix("app1:")).await);
    mine.set("k", "mine").await.unwrap();
    all.set("app1:external", "raw").await.unwrap();
    all.set("external", "theirs").await.unwrap();
    all.set("app1:", "not a key of mine").await.unwrap();
    assert_eq!(all.get("app1:k").await.unwrap().unwrap(), "mine");
    assert_eq!(mine.get("external").await.unwrap().unwrap(), "raw");
    assert_eq!(all.get("k").await.unwrap(), None);
    assert_eq!(mine.list(None, None).await.unwrap().0, ["external", "k"]);
    assert_eq!(mine.list(Some("ex"), None).await.unwrap().0, ["external"]);
    let mut keys = mine.keys_u64(None).await.unwrap().0;
    keys.sort_unstable();
    assert_eq!(keys, ["external", "k"]);
    assert!(matches!(mine.get("").await, Err(Error::InvalidArgument(_))));
    mine.delete_many(&strings(["external"])).await.unwrap();
    assert!(all.exists("external").await.unwrap());
    assert_eq!(mine.increment("n", 1).await.unwrap(), 1);
    assert!(all.exists("app1:n").await.unwrap());
    assert!(matches!(mine.swap("k", "x", expect(None, Some("mine"))).await, Ok(Swap::Swapped)));
}

#[tokio::test]
async fn time_to_live_and_create_are_honoured() {
    let clock = store_memory::testkit::ManualClock::new();
    let store = Arc::new(Memory::builder().clock(clock.clone()).build());
    let bucket = bucket(on(&store).ttl(Some(Duration::from_secs(10)))).await;
    let options = SetOptions::default();
    bucket.set("default", "v").await.unwrap();
    bucket.set_with("own", "v", options.ttl(Some(Duration::from_secs(20)))).await.unwrap();
    let error = bucket.set_with("own", "w", options.if_absent(true)).await.unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed(_)), "{error:?}");
    let error = bucket.set_with("x", "v", options.ttl(Some(Duration::ZERO))).await.unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
    clock.advance(Duration::from_secs(11));
    assert!(!bucket.exists("default").await.unwrap());
    assert!(bucket.exists("own").await.unwrap());
    clock.advance(Duration::from_secs(10));
    bucket.set_with("own", "w", options.if_absent(true)).await.unwrap();
}

fn expect(version: Option<&str>, value: Option<&'static str>) -> Expect {
    Expect { version: version.map(str::to_owned), value: value.map(Bytes::from) }
}

#[tokio::test]
async fn swaps_notice_a_b_a() {
    let bucket = bucket(place()).await;
    assert_eq!(bucket.current("k").await.unwrap(), None);
    bucket.set("k", "A").await.unwrap();
    let first = bucket.current("k").await.unwrap().unwrap();
    bucket.set("k", "B").await.unwrap();
    bucket.set("k", "A").await.unwrap();
    let now = bucket.current("k").await.unwrap().unwrap();
    assert_eq!(first.value, now.value);
    let stale = Swap::Stale(Some(now.clone()));
    let swap = async |expect| bucket.swap("k", "C", expect).await.unwrap();
    assert_eq!(swap(expect(Some(&first.version), None)).await, stale);
    assert_eq!(swap(expect(Some(&first.version), Some("A"))).await, stale);
    assert_eq!(swap(expect(Some(&now.version), Some("B"))).await, stale);
    assert_eq!(swap(expect(None, Some("B"))).await, stale);
    assert_eq!(swap(expect(Some("no version"), None)).await, stale);
    assert_eq!(swap(expect(Some(&now.version), Some("A"))).await, Swap::Swapped);
    assert_eq!(swap(expect(None, Some("C"))).await, Swap::Swapped);
    bucket.delete("k").await.unwrap();
    assert_eq!(swap(expect(Some(&now.version), None)).await, Swap::Stale(None));
    bucket.set("k", "A").await.unwrap();
    let again = bucket.current("k").await.unwrap().unwrap();
    assert!(![&first.version, &now.version].contains(&&again.version), "never repeats");
    let error = bucket.swap("k", "C", Expect::default()).await.unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)));
}

#[tokio::test]
async fn a_cas_replaces_what_it_saw_or_tells_what_is_there() {
    let bucket = bucket(place()).await;
    let cas = bucket.cas("bar").await.unwrap();
    assert_eq!(cas.current(), None);
    bucket.set("bar", "wow").await.unwrap();
    let fresh = cas.swap("lost").await.unwrap().expect("somebody was faster");
    assert_eq!(fresh.current().unwrap(), "wow");
    assert!(fresh.swap("swapped").await.unwrap().is_none());
    assert_eq!(bucket.get("bar").await.unwrap().unwrap(), "swapped");
    let cas = bucket.cas("bar").await.unwrap();
    bucket.delete("bar").await.unwrap();
    let fresh = cas.swap("lost").await.unwrap().unwrap();
    assert_eq!(fresh.current(), None);
    assert!(fresh.swap("created").await.unwrap().is_none());
}

#[tokio::test]
async fn a_watch_tells_of_what_was_asked_for_in_order() {
    let bucket = bucket(place().prefix("p/")).await;
    bucket.set("before", "v").await.unwrap();
    for (filter, expected) in [
        (Filter::all(), vec!["a=1", "b=2", "-a", "n=5", "end="]),
        (Filter::parse("SET@a,DEL@a,set@end").unwrap(), vec!["a=1", "-a", "end="]),
        (Filter::parse("DEL@a,SET@end").unwrap(), vec!["-a", "end="]),
        (Filter::parse("SET@end").unwrap(), vec!["end="]),
    ] {
        let mut watching = bucket.watch(filter).await.unwrap();
        bucket.set("a", "1").await.unwrap();
        bucket.set("b", "2").await.unwrap();
        bucket.delete("a").await.unwrap();
        bucket.increment("n", 5).await.unwrap();
        bucket.set("end", "").await.unwrap();
        let mut seen = Vec::new();
        while seen.last().is_none_or(|last| last != "end=") {
            let next = tokio::time::timeout(Duration::from_secs(5), watching.next()).await;
            seen.push(match next.unwrap().unwrap().unwrap() {
                Change::Set { key, value } => format!("{key}={}", String::from_utf8_lossy(&value)),
                Change::Delete { key } => format!("-{key}"),
            });
        }
        assert_eq!(seen, expected);
        bucket.delete("n").await.unwrap();
    }
}

#[tokio::test]
async fn a_watch_ends_with_its_store() {
    let store = Arc::new(Memory::new());
    let bucket = bucket(on(&store)).await;
    let mut watching = bucket.watch(Filter::all()).await.unwrap();
    store.close().await.unwrap();
    let next = tokio::time::timeout(Duration::from_secs(5), watching.next()).await.unwrap();
    assert_eq!(next.unwrap(), None);
}
