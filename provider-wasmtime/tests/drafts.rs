//! Real components that speak the drafts of `wasi:keyvalue`, over the memory store.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on says so")]

#[allow(dead_code, reason = "other tests use the rest")]
mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::drafts::ops::Ops;
use common::drafts::{Guest, drafts, first, second};
use common::{Made, buckets, guest, keys, linker, pair, place, store};
use provider::{Buckets, Filter, Limits, Place};
use provider_wasmtime::{KvCtx, draft, draft2};
use store_core::layer::Layers;
use store_core::{Name, StoreAdmin};
use store_memory::Memory;
use store_memory::testkit::{Fault, Faults};

mod cas {
    #![allow(missing_docs, unreachable_pub)]
    wasmtime::component::bindgen!({
        path: "guests/wit/ops.wit",
        inline: "package test:host; world cas { export guest:ops/cas-ops; }",
        world: "test:host/cas",
        exports: { default: async },
    });
}

#[tokio::test]
async fn every_operation_through_a_guest() {
    for draft in drafts() {
        let memory = Arc::new(Memory::new());
        let mut guest = Guest::start(draft, KvCtx::new(buckets(&memory))).await;
        for b in ["", "cache"] {
            guest.set(b, "atomics_key", b"5").await.unwrap();
            assert_eq!(guest.increment(b, "atomics_key", 1).await.unwrap(), "6");
            assert_eq!(guest.list_keys(b, None).await.unwrap(), (keys(["atomics_key"]), None));
            assert_eq!(guest.get(b, "hello").await.unwrap(), None);
            guest.set(b, "hello", b"").await.unwrap();
            assert_eq!(guest.get(b, "hello").await.unwrap().unwrap(), b"");
            guest.set(b, "hello", b"world").await.unwrap();
            assert_eq!(guest.get(b, "hello").await.unwrap().unwrap(), b"world");
            assert!(guest.exists(b, "hello").await.unwrap());
            guest.delete(b, "hello").await.unwrap();
            guest.delete(b, "hello").await.unwrap();
            assert!(!guest.exists(b, "hello").await.unwrap());
            let pairs = [pair("a1", "v1"), pair("b1", "v2"), pair("c1", "v3")];
            guest.set_many(b, &pairs).await.unwrap();
            guest.delete_many(b, &keys(["a1", "c1"])).await.unwrap();
            let many = guest.get_many(b, &keys(["b1", "a1", "b1"])).await.unwrap();
            assert_eq!(many, [Some(pair("b1", "v2")), None, Some(pair("b1", "v2"))]);
            assert_eq!(guest.get_many(b, &[]).await.unwrap(), []);
            for odd in ["a b:c*", "é/ü", "\0", ".."] {
                guest.set(b, odd, odd.as_bytes()).await.unwrap();
                assert_eq!(guest.get(b, odd).await.unwrap().unwrap(), odd.as_bytes());
            }
        }
        assert_eq!(guest.get("default", "b1").await.unwrap().unwrap(), b"v2", "\"\" is default");
    }
}

#[tokio::test]
async fn errors_are_answers_and_never_traps() {
    for draft in drafts() {
        let memory = Arc::new(Memory::new());
        let limits = {
            let mut limits = Limits::default();
            limits.max_value_len = 100;
            limits.max_result_len = 1000;
            limits
        };
        let registry = Buckets::tables(place(&memory).limits(limits)).grant(["default"]);
        let mut guest = Guest::start(draft, KvCtx::new(registry)).await;
        let denied = Err("access-denied".to_owned());
        assert_eq!(guest.get("forbidden", "k").await, denied);
        assert_eq!(guest.set("forbidden", "k", b"v").await.map(|()| None), denied);
        for bad in ["v", "-5", "18446744073709551615", "9223372036854775807"] {
            guest.set("", "n", bad.as_bytes()).await.unwrap();
            let delta = if bad == "-5" && draft.is_second() { i64::MIN } else { 1 };
            assert!(guest.increment("", "n", delta).await.is_err(), "{bad}");
            assert_eq!(guest.get("", "n").await.unwrap().unwrap(), bad.as_bytes(), "unchanged");
        }
        guest.set("", "", b"v").await.unwrap_err();
        guest.set("", "k", &[0; 101]).await.unwrap_err();
        assert!(!guest.exists("", "k").await.unwrap());
        for i in 0..20 {
            guest.set("", &format!("k{i}"), &[0; 100]).await.unwrap();
        }
        let many: Vec<_> = (0..20).map(|i| format!("k{i}")).collect();
        let error = guest.get_many("", &many).await.unwrap_err();
        assert!(error.contains("exceeds the limit"), "{error}");
        if draft.is_second() {
            let error = guest.list_keys("", Some("garbage")).await.unwrap_err();
            assert!(error.contains("cursor"), "{error}");
        } else {
            let error = guest.increment("", "new", -1).await.unwrap_err();
            assert!(error.contains("more than"), "{error}");
            assert!(!guest.exists("", "new").await.unwrap());
        }
        guest.set("", "still", b"alive").await.unwrap();
    }
}

#[tokio::test]
async fn a_bucket_that_is_granted_and_missing_is_no_such_store() {
    let registry = Buckets::none().grant(["foo"]);
    let mut guest = Guest::start(first(Made::Text), KvCtx::new(registry)).await;
    assert_eq!(guest.get("foo", "k").await.unwrap_err(), "no-such-store");
    assert_eq!(guest.get("default", "k").await.unwrap_err(), "access-denied");
    let nothing = Buckets::none().grant(Vec::<String>::new());
    let mut guest = Guest::start(second(Made::Text), KvCtx::new(nothing)).await;
    assert_eq!(guest.get("default", "k").await.unwrap_err(), "access-denied");
}

#[tokio::test]
async fn a_guest_finds_what_its_bucket_was_seeded_with() {
    for draft in drafts() {
        let memory = Arc::new(Memory::new());
        let registry = buckets(&memory);
        registry.seed("", [("hello", "world"), ("visits", "5")]).await.unwrap();
        let denied = registry.seed("forbidden", [("hello", "world")]).await;
        assert_eq!(denied.unwrap_err(), provider::Error::AccessDenied);
        let mut guest = Guest::start(draft, KvCtx::new(registry)).await;
        let (mut listed, next) = guest.list_keys("default", None).await.unwrap();
        listed.sort_unstable();
        assert_eq!((listed, next), (keys(["hello", "visits"]), None));
        assert_eq!(guest.get("", "hello").await.unwrap().unwrap(), b"world");
        assert_eq!(guest.increment("", "visits", 1).await.unwrap(), "6");
        assert!(!guest.exists("cache", "hello").await.unwrap());
    }
}

#[tokio::test]
async fn more_calls_at_a_time_than_the_store_allows_are_refused_and_later_ones_served() {
    for draft in drafts() {
        let faults = Faults::new();
        faults.add(Fault::hang().key("hangs"));
        let memory: Arc<dyn StoreAdmin> = Arc::new(Memory::new());
        let limits = store_core::layer::Limits::new().max_concurrent_calls(2);
        let layers = Layers::new().layer(faults).limits(limits.max_wait(Duration::ZERO));
        let place = Place::new(layers.wrap(memory), Name::new("app").unwrap());
        let kv = || KvCtx::new(Buckets::any(place.clone()));
        let (mut hung, mut other) =
            (Guest::start(draft, kv()).await, Guest::start(draft, kv()).await);
        other.set("", "k", b"v").await.unwrap();
        let mut third = Guest::start(draft, kv()).await;
        {
            let (one, two) = (hung.get("", "hangs"), third.get("", "hangs"));
            let refused = async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                other.get("", "k").await.unwrap_err()
            };
            tokio::select! {
                _ = one => panic!("it hangs"),
                _ = two => panic!("it hangs"),
                error = refused => assert!(error.contains("too many requests"), "{error}"),
            }
        }
        assert_eq!(other.get("", "k").await.unwrap().unwrap(), b"v", "their turn is over");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_much_is_an_error_and_not_all_of_the_memory() {
    for draft in drafts() {
        let memory = Arc::new(Memory::new());
        let mut guest = Guest::start(draft, KvCtx::new(buckets(&memory))).await;
        guest.set("", "big", &vec![7; 1 << 20]).await.unwrap();
        let error = guest.get_many("", &vec!["big".to_owned(); 256]).await.unwrap_err();
        assert!(error.contains("exceeds the limit"), "{error}");
        assert_eq!(guest.get_many("", &vec!["big".to_owned(); 8]).await.unwrap().len(), 8);
    }
}

#[tokio::test]
async fn a_cursor_that_nobody_gave_is_an_answer() {
    let memory = Arc::new(Memory::new());
    for draft in drafts().into_iter().filter(|draft| !draft.is_second()) {
        let mut guest = Guest::start(draft, KvCtx::new(buckets(&memory))).await;
        guest.set("", "k", b"v").await.unwrap();
        for cursor in [1000, 1 << 40, 1 << 63, u64::MAX] {
            let (keys, next) = guest.list_keys("", Some(&cursor.to_string())).await.unwrap();
            assert!(keys.len() <= 1 && next.is_none(), "{cursor}: {keys:?}");
        }
    }
}

#[tokio::test]
async fn a_guest_that_leaks_handles_hurts_nobody_else() {
    for draft in drafts() {
        let memory = Arc::new(Memory::new());
        let kv = || KvCtx::new(buckets(&memory)).max_handles(64);
        let (mut bad, mut good) =
            (Guest::start(draft, kv()).await, Guest::start(draft, kv()).await);
        let error = bad.leak("", 1000).await.unwrap_err();
        assert!(error.contains("too many open buckets"), "{error}");
        for i in 0..1000 {
            good.set("", "k", format!("{i}").as_bytes()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn listing_pages_through_everything() {
    for draft in drafts() {
        // As many as a page holds, one more, and several pages; first with smaller pages.
        for (page, sizes) in [(100, vec![1005_usize]), (1000, vec![1, 1000, 1001, 2005])] {
            let memory = Arc::new(Memory::new());
            let limits = {
                let mut limits = Limits::default();
                limits.page = page;
                limits
            };
            let registry = Buckets::any(place(&memory).limits(limits));
            let mut guest = Guest::start(draft, KvCtx::new(registry)).await;
            for size in sizes {
                let pairs: Vec<_> = (0..size).map(|i| pair(&format!("k{i:04}"), "v")).collect();
                guest.set_many("", &pairs).await.unwrap();
                let (mut found, mut cursor, mut pages) = (Vec::new(), None, 0);
                loop {
                    let (keys, next) = guest.list_keys("", cursor.as_deref()).await.unwrap();
                    found.extend(keys);
                    pages += 1;
                    cursor = next;
                    if cursor.is_none() {
                        break;
                    }
                }
                found.sort_unstable();
                found.dedup();
                assert_eq!(found, pairs.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>());
                assert!(pages >= size.div_ceil(page), "{pages} pages for {size} keys");
                assert!(size > page || pages == 1, "{pages} pages for {size} keys");
            }
        }
    }
}

#[tokio::test]
async fn the_second_draft_swaps() {
    for draft in drafts().into_iter().filter(|draft| draft.is_second()) {
        let memory = Arc::new(Memory::new());
        let mut guest = Guest::start(draft, KvCtx::new(buckets(&memory))).await;
        let cas = cas::Cas::new(&mut guest.store, &guest.instance).unwrap();
        for _ in 0..2 {
            let found = cas
                .guest_ops_cas_ops()
                .call_race(&mut guest.store, "", "bar", b"theirs", b"swapped")
                .await
                .unwrap();
            assert_eq!(found.unwrap().unwrap(), b"theirs");
            assert_eq!(guest.get("", "bar").await.unwrap().unwrap(), b"swapped");
        }
        for (delta, sum) in [(5, "5"), (-3, "2"), (-10, "-8")] {
            assert_eq!(guest.increment("", "n", delta).await.unwrap(), sum);
        }
        guest.increment("", "max", i64::MAX).await.unwrap();
        guest.increment("", "max", 1).await.unwrap_err();
        assert_eq!(guest.increment("", "max", 0).await.unwrap(), i64::MAX.to_string());
    }
}

#[tokio::test]
async fn a_guest_is_told_of_changes_with_a_handle_that_works() {
    let memory = Arc::new(Memory::new());
    let registry = buckets(&memory);
    let bucket = registry.open("watched").await.unwrap();
    let filter = Filter::parse("SET@job,DEL@job").unwrap();
    for draft in drafts() {
        let mut guest = Guest::start(draft, KvCtx::new(registry.clone())).await;
        let pump = {
            let (watched, filter) = (bucket.clone(), filter.clone());
            // Begun before anything is written, so that nothing is missed.
            let mut changes = watched.watch(filter).await.unwrap();
            let (one, two) = if draft.is_second() {
                (None, Some(draft2::Watcher::new(&mut guest.store, &guest.instance).unwrap()))
            } else {
                (Some(draft::Watcher::new(&mut guest.store, &guest.instance).unwrap()), None)
            };
            tokio::spawn(async move {
                while let Some(change) = changes.next().await.unwrap() {
                    if let Some(watcher) = &one {
                        watcher.tell(&mut guest.store, &watched, change).await.unwrap();
                    } else if let Some(watcher) = &two {
                        watcher.tell(&mut guest.store, &watched, change).await.unwrap();
                    }
                }
            })
        };
        bucket.set("other", "1").await.unwrap();
        for i in 0..2000 {
            // More often than the guest may hold handles: each call's handle is let go.
            bucket.set("job", format!("{i}")).await.unwrap();
            if i % 500 == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        seen(&bucket, Some("1999")).await;
        assert!(!bucket.exists("seen:other").await.unwrap());
        bucket.delete("job").await.unwrap();
        seen(&bucket, None).await;
        pump.abort();
    }
}

async fn seen(bucket: &provider::Bucket, value: Option<&str>) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let seen = bucket.get("seen:job").await.unwrap();
        if seen.as_deref() == value.map(str::as_bytes) {
            return;
        }
        assert!(Instant::now() < deadline, "the guest was not told: {seen:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_components_at_once_lose_no_increment_and_mix_no_data() {
    let memory = Arc::new(Memory::new());
    let draft = drafts()[0];
    let (component, linker) = (guest(draft.name, draft.made), linker(draft.add));
    let pre = linker.instantiate_pre(&component).unwrap();
    let mut running = Vec::new();
    for i in 0..64 {
        let (pre, memory) = (pre.clone(), Arc::clone(&memory));
        running.push(tokio::spawn(async move {
            let place = place(&memory);
            let registry = Buckets::none()
                .named("shared", place.clone().table("shared"))
                .named("own", place.table(format!("own{i}")));
            let mut store = store(KvCtx::new(registry));
            let instance = pre.instantiate_async(&mut store).await.unwrap();
            let ops = Ops::new(&mut store, &instance).unwrap();
            let mut guest = Guest { store, instance, ops };
            for n in 0..50 {
                guest.increment("shared", "n", 1).await.unwrap();
                guest.set("own", "k", format!("{i}/{n}").as_bytes()).await.unwrap();
                let own = guest.get("own", "k").await.unwrap().unwrap();
                assert_eq!(own, format!("{i}/{n}").as_bytes());
            }
        }));
    }
    for guest in running {
        guest.await.unwrap();
    }
    let shared = Buckets::any(place(&memory).table("shared")).open("").await.unwrap();
    assert_eq!(shared.get("n").await.unwrap().unwrap(), "3200");
}

#[tokio::test]
async fn a_get_on_memory_costs_microseconds() {
    // A bound that holds in a debug build on a busy machine; the benchmark has the strict one.
    let memory = Arc::new(Memory::new());
    let mut guest = Guest::start(first(Made::Text), KvCtx::new(buckets(&memory))).await;
    guest.set("", "k", b"v").await.unwrap();
    guest.spin("", "k", 100).await.unwrap();
    let begin = Instant::now();
    guest.spin("", "k", 10_000).await.unwrap();
    let each = begin.elapsed() / 10_000;
    assert!(each < Duration::from_micros(500), "{each:?} for a get");
    println!("{each:?} for a get");
}
