//! Components that import `store` several times: plainly, and under labels that each lead to a place of their own.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on says so")]

#[allow(dead_code, reason = "other tests use the rest")]
mod common;

use std::sync::Arc;

use common::labelled::{Guest, interfaces};
use common::{linker, place, store};
use provider::Buckets;
use provider_wasmtime::KvCtx;
use store_memory::Memory;

#[tokio::test]
async fn each_label_leads_to_its_own_place_and_nowhere_else() {
    for interface in interfaces() {
        let stores = [(); 3].map(|()| Arc::new(Memory::new()));
        let [plain, a, b] = [0, 1, 2].map(|i| Buckets::tables(place(&stores[i])));
        let kv = KvCtx::new(plain.clone().grant(["bucket"]))
            .label("team-a", a.clone().grant(["bucket", "own"]))
            .label("team-b", b.clone().grant(["bucket"]));
        let mut guest = interface.start(kv).await.unwrap();
        let places = [("plain", &plain), ("team-a", &a), ("team-b", &b)];
        for (label, _) in places {
            assert_eq!(guest.get(label, "bucket", "k").await.unwrap(), None, "{label}");
            guest.set(label, "bucket", "k", label.as_bytes()).await.unwrap();
        }
        for (label, buckets) in places {
            assert_eq!(guest.get(label, "bucket", "k").await.unwrap().unwrap(), label.as_bytes());
            let bucket = buckets.open("bucket").await.unwrap();
            assert_eq!(bucket.get("k").await.unwrap().unwrap(), label, "where it was bound to");
        }
        // What one may open, the others may not.
        guest.set("team-a", "own", "k", b"v").await.unwrap();
        for label in ["plain", "team-b"] {
            assert_eq!(guest.get(label, "own", "k").await.unwrap_err(), "access-denied");
        }
    }
}

#[tokio::test]
async fn a_label_that_nothing_is_bound_to_is_an_error_that_names_it() {
    for interface in interfaces() {
        let memory = Arc::new(Memory::new());
        let buckets = || Buckets::any(place(&memory));
        let half = || KvCtx::new(buckets()).label("team-a", buckets());
        let error = interface.start(half()).await.err().expect("never the default");
        assert!(error.to_string().contains("`team-b`"), "{error:#}");

        // Another guest of the same linker, with fewer labels than the one it was linked for.
        let mut linker = linker(interface.add);
        let whole = half().label("team-b", buckets());
        (interface.add_labels)(&mut linker, &interface.component, &whole).unwrap();
        let mut store = store(half());
        let instance = linker.instantiate_async(&mut store, &interface.component).await.unwrap();
        let mut guest = Guest { store, instance };
        guest.set("team-a", "bucket", "k", b"v").await.unwrap();
        let error = guest.get("team-b", "bucket", "k").await.unwrap_err();
        assert!(error.contains("`team-b`"), "{error}");
    }
}

#[tokio::test]
async fn the_buckets_of_all_labels_count_as_handles_of_one_guest() {
    for interface in interfaces() {
        let memory = Arc::new(Memory::new());
        let buckets = || Buckets::any(place(&memory));
        let kv = KvCtx::new(buckets()).label("team-a", buckets()).label("team-b", buckets());
        let mut guest = interface.start(kv.max_handles(1)).await.unwrap();
        for _ in 0..10 {
            // Each call lets go of its own.
            guest.set("team-a", "", "k", b"v").await.unwrap();
            assert_eq!(guest.get("team-b", "", "k").await.unwrap().unwrap(), b"v");
        }
    }
}
