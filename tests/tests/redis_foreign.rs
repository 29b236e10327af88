//! What other programs do to the keys of a table, and what the driver makes of it, on every version of the server that is there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use store_core::{Admin, Event, EventStream, Expiry, Gone, Op, Put, Store, StoreAdmin, Table};
use store_redis::Redis;
use tests::redis::config;
use tests::servers::redis::{Server, binaries};

async fn open(server: &Server) -> (Redis, Table) {
    let redis = Redis::connect(config(server.port())).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(redis.clone());
    (redis, store.database("app").unwrap().table("t").unwrap())
}

/// How long the first life of a record is in these tests, and a pause that outlasts it.
const LIFE: Duration = Duration::from_millis(250);
const AFTER: Duration = Duration::from_millis(400);

async fn next(events: &mut EventStream) -> Event {
    tokio::time::timeout(Duration::from_secs(5), events.next()).await.unwrap().unwrap().unwrap()
}

/// The keys that others give another life, each in its own way.
fn disturb(server: &Server, key: impl Fn(&str) -> String) {
    server.command(&["SET", &key("set"), "theirs"]);
    server.command(&["PERSIST", &key("persisted")]);
    server.command(&["PEXPIRE", &key("longer"), "600000"]);
    server.command(&["PEXPIRE", &key("given"), "600000"]);
}

const DISTURBED: [&str; 4] = ["set", "persisted", "longer", "given"];

#[tokio::test]
async fn a_write_that_keeps_the_expiry_goes_by_the_values_own_key() {
    for binary in binaries() {
        let server = Server::of(&binary, &[]);
        let (_redis, table) = open(&server).await;
        let ways = ["alone", "large", "several", "atomic"];
        let name = |way: &str, key: &str| format!("{way}-{key}");
        for way in ways {
            for key in DISTURBED {
                let named = name(way, key);
                let write = table.write(&named, "ours");
                if key == "given" { write.await } else { write.ttl(LIFE).await }.unwrap();
            }
            disturb(&server, |key| format!("{{app/t}}:{}", name(way, key)));
        }
        tokio::time::sleep(AFTER).await;
        for way in ways {
            let keys: Vec<String> = DISTURBED.iter().map(|key| name(way, key)).collect();
            let value = vec![7; if way == "large" { 20_000 } else { 10 }];
            let put = |key| {
                Put::new(store_core::Key::new(key).unwrap(), &value[..]).with_expiry(Expiry::Keep)
            };
            let puts = keys.iter().map(put);
            match way {
                "several" => {
                    for done in table.put_many(puts.collect()).await {
                        done.unwrap();
                    }
                }
                "atomic" => {
                    let ops = puts.map(Op::Put).collect();
                    table.store().atomic(table.namespace(), ops).await.unwrap();
                }
                _ => {
                    for key in &keys {
                        table.write(key, &value).expiry(Expiry::Keep).await.unwrap();
                    }
                }
            }
            for (key, what) in keys.iter().zip(DISTURBED) {
                let record =
                    table.read(key).await.unwrap().unwrap_or_else(|| panic!("{key} is gone"));
                assert_eq!(record.value(), &value, "{key}");
                let lives = matches!(what, "longer" | "given");
                let left = record.ttl();
                assert_eq!(
                    left.is_some_and(|left| left > Duration::from_secs(500)),
                    lives,
                    "{key}"
                );
                assert_eq!(left.is_some(), lives, "{key}");
            }
        }
        assert_eq!(table.list().limit(100).await.unwrap().len(), 16);
    }
}

#[tokio::test]
async fn a_counter_goes_by_the_values_own_key() {
    for binary in binaries() {
        let server = Server::of(&binary, &[]);
        let (_redis, table) = open(&server).await;
        table.write("n", "1").ttl(LIFE).await.unwrap();
        server.command(&["PERSIST", "{app/t}:n"]);
        tokio::time::sleep(AFTER).await;
        assert_eq!(table.increment("n", 1).await.unwrap().value, 2);
        assert_eq!(table.read("n").await.unwrap().unwrap().expires_at(), None);
        server.command(&["PEXPIRE", "{app/t}:n", "600000"]);
        assert_eq!(table.increment("n", 1).await.unwrap().value, 3);
        assert!(table.read("n").await.unwrap().unwrap().ttl().unwrap() > Duration::from_secs(500));
    }
}

#[tokio::test]
async fn an_exact_expiry_that_is_kept_stays_exact() {
    for binary in binaries() {
        let server = Server::of(&binary, &[]);
        let (_redis, table) = open(&server).await;
        table.write("k", "0").ttl(Duration::from_mins(10)).await.unwrap();
        let at = table.read("k").await.unwrap().unwrap().expires_at();
        for i in 1..200 {
            table.write("k", format!("{i}")).expiry(Expiry::Keep).await.unwrap();
        }
        assert_eq!(table.read("k").await.unwrap().unwrap().expires_at(), at);
    }
}

#[tokio::test]
async fn what_the_index_says_of_an_expiry_is_mended_when_it_is_met() {
    for binary in binaries() {
        let server = Server::of(&binary, &[]);
        let (redis, table) = open(&server).await;
        let admin = Admin::new(Arc::new(redis.clone()) as Arc<dyn StoreAdmin>);
        for key in DISTURBED {
            let life = if key == "given" { Duration::from_hours(1) } else { LIFE };
            table.write(key, "ours").ttl(life).await.unwrap();
        }
        let before = table.read("given").await.unwrap().unwrap();
        disturb(&server, |key| format!("{{app/t}}:{key}"));
        tokio::time::sleep(AFTER).await;
        assert_eq!(admin.status("app").await.unwrap().records, Some(4));
        for (key, lives) in [("set", false), ("persisted", false), ("longer", true)] {
            let left = table.read(key).await.unwrap().unwrap().ttl();
            assert_eq!(left.is_some_and(|left| left > Duration::from_secs(500)), lives, "{key}");
        }
        assert_eq!(server.command(&["ZCARD", "{app/t}#x"]), ":2");
        // Not due: only who looks at all keys finds it.
        assert_eq!(redis.reindex(table.namespace()).await.unwrap(), 1);
        let given = table.read("given").await.unwrap().unwrap();
        assert!(given.ttl().unwrap() < Duration::from_secs(601));
        assert!(given.revision() != before.revision());
        assert_eq!(redis.reindex(table.namespace()).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn what_others_delete_leaves_the_index_with_the_page_that_meets_it() {
    for binary in binaries() {
        let server = Server::of(&binary, &[]);
        let (redis, table) = open(&server).await;
        let admin = Admin::new(Arc::new(redis.clone()) as Arc<dyn StoreAdmin>);
        for key in ["a", "b", "c", "d"] {
            table.write(key, "v").ttl(Duration::from_hours(1)).await.unwrap();
        }
        table.write("e", "v").await.unwrap();
        let mut events = table.watch().changes_only().await.unwrap();
        server.command(&["DEL", "{app/t}:a"]);
        assert_eq!(table.list().offset(1).page().await.unwrap().items, ["c", "d", "e"]);
        server.command(&["DEL", "{app/t}:c", "{app/t}:e"]);
        assert_eq!(table.list().page().await.unwrap().items, ["b", "d"]);
        assert_eq!(admin.status("app").await.unwrap().records, Some(2));
        for (structure, left) in [("i", ":2"), ("x", ":2")] {
            assert_eq!(server.command(&["ZCARD", &format!("{{app/t}}#{structure}")]), left);
        }
        assert_eq!(server.command(&["HLEN", "{app/t}#m"]), ":2");
        for gone in ["a", "c", "e"] {
            let event = next(&mut events).await;
            let is_gone = matches!(
                &event,
                Event::Delete { key, reason: Gone::Evicted, .. } if key == gone
            );
            assert!(is_gone, "{gone}: {event:?}");
        }
        // Met by a write instead of a page.
        for key in ["b", "d"] {
            server.command(&["DEL", &format!("{{app/t}}:{key}")]);
        }
        table.write("b", "new").await.unwrap();
        table.batch().write("d", "new").commit().await.unwrap();
        for key in ["b", "d"] {
            let end = next(&mut events).await;
            assert!(matches!(end, Event::Delete { reason: Gone::Evicted, .. }), "{key}: {end:?}");
            assert!(matches!(next(&mut events).await, Event::Put(record) if record.key() == key));
        }
    }
}

#[tokio::test]
async fn what_a_volatile_policy_evicts_leaves_the_index_with_the_page_that_meets_it() {
    let server = Server::with(&["--maxmemory-policy", "volatile-lru"]);
    let (redis, table) = open(&server).await;
    assert_eq!(redis.warnings(), [""; 0]);
    for i in 0..50 {
        table.write(&format!("k{i:02}"), "v").ttl(Duration::from_hours(1)).await.unwrap();
    }
    table.write("lasts", "v").await.unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    server.command(&["SET", "any", "v"]);
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(server.command(&["EXISTS", "{app/t}:k00", "{app/t}:k49"]), ":0", "all are evicted");
    assert_eq!(table.list().offset(1).page().await.unwrap().items, [""; 0]);
    assert_eq!(table.list().page().await.unwrap().items, ["lasts"]);
    assert_eq!(server.command(&["ZCARD", "{app/t}#i"]), ":1");
    assert_eq!(server.command(&["ZCARD", "{app/t}#x"]), ":0");
}

#[tokio::test]
async fn a_process_that_comes_to_a_full_server_reads_and_deletes() {
    for binary in binaries() {
        let server = Server::of(&binary, &[]);
        let (_first, table) = open(&server).await;
        for key in ["a", "b", "c", "d"] {
            table.write(key, "v").await.unwrap();
        }
        server.command(&["CONFIG", "SET", "maxmemory", "1"]);
        let (_second, table) = open(&server).await;
        assert_eq!(table.read("a").await.unwrap().unwrap().value(), b"v");
        for read in table.read_many(&["a", "b"]).await {
            assert!(read.unwrap().is_some());
        }
        assert_eq!(table.list().page().await.unwrap().items, ["a", "b", "c", "d"]);
        assert_eq!(table.scan().page().await.unwrap().items.len(), 4);
        let (_third, table) = open(&server).await;
        table.delete("a").await.unwrap();
        for done in table.delete_many(&["b", "c"]).await {
            done.unwrap();
        }
        assert_eq!(table.list().page().await.unwrap().items, ["d"]);
        let error = table.write("d", "w").await.unwrap_err();
        assert_eq!(error.kind(), store_core::ErrorKind::Full, "{error}");
    }
}
