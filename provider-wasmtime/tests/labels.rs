//! Components that import `store` several times: plainly, and under labels that each lead to a place of their own.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on says so")]

#[allow(dead_code, reason = "other tests use the rest")]
mod common;

use std::sync::Arc;

use common::wat::labels;
use common::{Answer, Host, engine, linker, place, store};
use provider::Buckets;
use provider_wasmtime::{KvCtx, draft, draft2, spin, wasmcloud};
use store_memory::Memory;
use wasmtime::Store;
use wasmtime::component::{Component, Instance, Linker};

type Add = fn(&mut Linker<Host>) -> wasmtime::Result<()>;
type AddLabels = fn(&mut Linker<Host>, &Component, &KvCtx) -> wasmtime::Result<()>;

/// A guest of each interface, and how it is linked.
fn interfaces() -> Vec<(Component, Add, AddLabels)> {
    let component =
        |bytes: Result<Vec<u8>, String>| Component::from_binary(engine(), &bytes.unwrap()).unwrap();
    let second = component(labels::draft2());
    vec![
        (component(labels::draft()), draft::add_to_linker, draft::add_labels_to_linker),
        (second.clone(), draft2::add_to_linker, draft2::add_labels_to_linker),
        (second, spin::add_to_linker, spin::add_labels_to_linker),
        (component(labels::wasmcloud()), wasmcloud::add_to_linker, wasmcloud::add_labels_to_linker),
    ]
}

struct Guest {
    store: Store<Host>,
    instance: Instance,
}

impl Guest {
    async fn get(&mut self, label: &str, bucket: &str, key: &str) -> Answer<Option<Vec<u8>>> {
        let name = format!("{label}-get");
        let get = self
            .instance
            .get_typed_func::<(&str, &str), (Answer<Option<Vec<u8>>>,)>(&mut self.store, &name);
        get.unwrap().call_async(&mut self.store, (bucket, key)).await.expect("no trap").0
    }

    async fn set(&mut self, label: &str, bucket: &str, key: &str, value: &[u8]) -> Answer<()> {
        let name = format!("{label}-set");
        let set = self
            .instance
            .get_typed_func::<(&str, &str, &[u8]), (Answer<()>,)>(&mut self.store, &name);
        set.unwrap().call_async(&mut self.store, (bucket, key, value)).await.expect("no trap").0
    }
}

async fn start(
    (component, add, add_labels): &(Component, Add, AddLabels),
    kv: KvCtx,
) -> wasmtime::Result<Guest> {
    let mut linker = linker(add);
    add_labels(&mut linker, component, &kv)?;
    let mut store = store(kv);
    let instance = linker.instantiate_async(&mut store, component).await?;
    Ok(Guest { store, instance })
}

#[tokio::test]
async fn each_label_leads_to_its_own_place_and_nowhere_else() {
    for interface in interfaces() {
        let stores = [(); 3].map(|()| Arc::new(Memory::new()));
        let [plain, a, b] = [0, 1, 2].map(|i| Buckets::tables(place(&stores[i])));
        let kv = KvCtx::new(plain.clone().grant(["bucket"]))
            .label("team-a", a.clone().grant(["bucket", "own"]))
            .label("team-b", b.clone().grant(["bucket"]));
        let mut guest = start(&interface, kv).await.unwrap();
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
        let error = start(&interface, half()).await.err().expect("never the default");
        assert!(error.to_string().contains("`team-b`"), "{error:#}");

        // Another guest of the same linker, with fewer labels than the one it was linked for.
        let (component, add, add_labels) = &interface;
        let mut linker = linker(add);
        let whole = half().label("team-b", buckets());
        add_labels(&mut linker, component, &whole).unwrap();
        let mut store = store(half());
        let instance = linker.instantiate_async(&mut store, component).await.unwrap();
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
        let mut guest = start(&interface, kv.max_handles(1)).await.unwrap();
        for _ in 0..10 {
            // Each call lets go of its own.
            guest.set("team-a", "", "k", b"v").await.unwrap();
            assert_eq!(guest.get("team-b", "", "k").await.unwrap().unwrap(), b"v");
        }
    }
}
