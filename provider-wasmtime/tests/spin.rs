//! Real components that speak `wasi:keyvalue@0.2.0-draft2` in Spin's form: what Spin's own tests expect of a host. What it shares with
//! the other drafts is tested with them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on says so")]

#[allow(dead_code, reason = "other tests use the rest")]
mod common;

use std::sync::Arc;

use common::drafts::{Guest, spin};
use common::{Answer, keys, made, pair, place};
use provider::Buckets;
use provider_wasmtime::KvCtx;
use store_memory::Memory;

mod ops {
    #![allow(missing_docs, unreachable_pub)]
    wasmtime::component::bindgen!({
        path: "guests/wit/ops.wit",
        inline: "package test:host; world spin { export guest:ops/spin-ops; }",
        world: "test:host/spin",
        exports: { default: async },
    });
}

/// What a batch answers, as it is.
async fn get_many(guest: &mut Guest, keys: &[String]) -> Answer<Vec<(String, Option<Vec<u8>>)>> {
    let ops = ops::Spin::new(&mut guest.store, &guest.instance).unwrap();
    ops.guest_ops_spin_ops().call_get_many(&mut guest.store, "", keys).await.expect("no trap")
}

#[tokio::test]
async fn a_batch_answers_every_key_in_the_order_asked() {
    for made in made() {
        let memory = Arc::new(Memory::new());
        let mut guest = Guest::start(spin(made), KvCtx::new(Buckets::any(place(&memory)))).await;
        guest.set_many("", &[pair("a", "1"), pair("empty", ""), pair("c", "3")]).await.unwrap();
        let found = get_many(&mut guest, &keys(["c", "never", "empty", "c", "a"])).await.unwrap();
        let is = |key: &str, value: Option<&str>| (key.to_owned(), value.map(Into::into));
        let expected = [
            is("c", Some("3")),
            is("never", None),
            is("empty", Some("")),
            is("c", Some("3")),
            is("a", Some("1")),
        ];
        assert_eq!(found, expected);
        assert_eq!(get_many(&mut guest, &[]).await.unwrap(), []);
        guest.delete_many("", &keys(["a", "c"])).await.unwrap();
        let found = get_many(&mut guest, &keys(["a", "empty"])).await.unwrap();
        assert_eq!(found, [is("a", None), is("empty", Some(""))]);
    }
}

#[tokio::test]
async fn what_is_not_granted_is_denied_and_what_is_not_there_is_no_store() {
    for made in made() {
        let memory = Arc::new(Memory::new());
        let registry = Buckets::none().named("default", place(&memory)).grant(["default", "foo"]);
        let mut guest = Guest::start(spin(made), KvCtx::new(registry)).await;
        guest.set("default", "k", b"v").await.unwrap();
        assert_eq!(guest.exists("forbidden", "k").await.unwrap_err(), "access-denied");
        assert_eq!(guest.exists("foo", "k").await.unwrap_err(), "no-such-store");
        assert!(guest.exists("default", "k").await.unwrap(), "it goes on");
    }
}

#[tokio::test]
async fn keys_come_and_go_and_counters_begin_at_nothing() {
    for made in made() {
        let memory = Arc::new(Memory::new());
        let mut guest = Guest::start(spin(made), KvCtx::new(Buckets::any(place(&memory)))).await;
        let listed = async |guest: &mut Guest| guest.list_keys("", None).await.unwrap();
        guest.delete("", "bar").await.unwrap();
        assert!(!guest.exists("", "bar").await.unwrap());
        assert_eq!(guest.get("", "bar").await.unwrap(), None);
        assert_eq!(listed(&mut guest).await, (vec![], None));
        for value in [&b"baz"[..], b"wow"] {
            guest.set("", "bar", value).await.unwrap();
            assert!(guest.exists("", "bar").await.unwrap());
            assert_eq!(guest.get("", "bar").await.unwrap().unwrap(), value);
            assert_eq!(listed(&mut guest).await, (keys(["bar"]), None));
        }
        guest.set("", "qux", b"").await.unwrap();
        assert_eq!(listed(&mut guest).await, (keys(["bar", "qux"]), None));
        for gone in ["bar", "bar", "qux"] {
            guest.delete("", gone).await.unwrap();
        }
        assert_eq!(guest.get("", "qux").await.unwrap(), None);
        assert_eq!(listed(&mut guest).await, (vec![], None));
        for (key, delta, sum) in
            [("n", 10, "10"), ("n", 5, "15"), ("m", 1, "1"), ("m", 2, "3"), ("m", -10, "-7")]
        {
            assert_eq!(guest.increment("", key, delta).await.unwrap(), sum);
        }
    }
}

#[tokio::test]
async fn more_than_an_answer_may_hold_is_an_error() {
    for made in made() {
        let memory = Arc::new(Memory::new());
        let mut guest = Guest::start(spin(made), KvCtx::new(Buckets::any(place(&memory)))).await;
        guest.set("", "big", &vec![7; 1 << 20]).await.unwrap();
        let many = vec!["big".to_owned(); 256];
        let error = get_many(&mut guest, &many).await.unwrap_err();
        assert_eq!(error, "the result exceeds the limit of 134217728 bytes");
        assert_eq!(get_many(&mut guest, &many[..16]).await.unwrap().len(), 16);
    }
}
