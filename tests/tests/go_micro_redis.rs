//! The layout `plain` beside the real thing: Go-Micro's Redis store and this driver on the same database, both ways. What Go-Micro
//! sends is checked in `redis_plain.rs`, also where there is no Go.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use store_core::{ErrorKind, Expiry, StoreAdmin, Table};
use store_redis::{Layout, Redis, Template};
use tests::go_micro::{Answer, Driver, GoMicro, base64};
use tests::redis::config;
use tests::servers::redis::Server;

const BUILD: &str = env!("CARGO_TARGET_TMPDIR");

/// Go-Micro and this driver on one server.
struct Both {
    go: GoMicro,
    rust: Arc<dyn StoreAdmin>,
    _server: Server,
}

impl Both {
    /// `None` where there is no Go.
    async fn start() -> Option<Self> {
        let mut go = GoMicro::start(Driver::Redis, Path::new(BUILD))?;
        let server = Server::start();
        let url = format!("redis://127.0.0.1:{}", server.port());
        go.must(&json!({ "do": "open", "store": "go", "url": url }));
        let config = config(server.port()).with_layout(Layout::Plain(Template::go_micro()));
        let rust = Arc::new(Redis::connect(config).await.unwrap());
        Some(Self { go, rust, _server: server })
    }

    /// A verb of Go-Micro in a table. The database's name means nothing to it.
    fn go(&mut self, verb: &str, table: &str, options: &Json) -> Answer {
        let mut request = json!({
            "do": verb, "store": "go", "addressed": true, "database": "ignored", "table": table,
        });
        for (name, value) in options.as_object().unwrap() {
            request[name] = value.clone();
        }
        self.go.ask(&request)
    }

    fn go_must(&mut self, verb: &str, table: &str, options: &Json) -> Answer {
        let answer = self.go(verb, table, options);
        assert!(answer.error.is_empty(), "Go-Micro: {verb} {options}: {}", answer.error);
        answer
    }

    fn table(&self, name: &str) -> Table {
        let database = self.rust.database("app").unwrap();
        if name.is_empty() { database.root() } else { database.table(name).unwrap() }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_go_both_ways_in_every_table() {
    let Some(mut both) = Both::start().await else { return };
    let values = [Vec::new(), b"myValue".to_vec(), (0..=255).collect(), vec![7; 100_000]];
    for table in ["", "micro", "t*[a-c]?", "tablé:"] {
        let t = both.table(table);
        for key in ["One", "a b", "ключ: *>", "runs/42", "{tag}x"] {
            for value in &values {
                let write = json!({ "key": key, "value": base64(value) });
                both.go_must("write", table, &write);
                let ours = t.read(key).await.unwrap().unwrap();
                assert_eq!((ours.key(), ours.value()), (key, &value[..]));
                assert!(ours.expires_at().is_none());
                let back: Vec<u8> = value.iter().rev().copied().collect();
                t.write(key, &back).if_value(&value[..]).await.unwrap();
                let theirs = both.go_must("read", table, &json!({ "key": key })).records;
                assert_eq!((&*theirs[0].key, theirs[0].value()), (key, back));
            }
        }
    }
    // Go-Micro's own default table is `micro`.
    both.table("micro").write("default", "v").await.unwrap();
    let request = json!({ "do": "read", "store": "go", "key": "default" });
    assert_eq!(both.go.must(&request).records[0].value(), b"v");
    // Metadata, which it drops, is refused here.
    let write = json!({ "key": "meta", "value": "dg==", "metadata": { "a": 1 } });
    both.go_must("write", "micro", &write);
    let read = both.table("micro").read("meta").await.unwrap().unwrap();
    assert!(read.metadata().is_empty());
    let metadata = store_core::Metadata::new().with("a", 1).unwrap();
    let refused = both.table("micro").write("meta", "v").metadata(metadata).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_deletes_is_gone_for_the_other() {
    let Some(mut both) = Both::start().await else { return };
    let t = both.table("t");
    let missing = both.go("read", "t", &json!({ "key": "never" }));
    assert!(missing.not_found, "{missing:?}");
    for key in ["a", "b c"] {
        both.go_must("write", "t", &json!({ "key": key, "value": "dg==" }));
        both.go_must("delete", "t", &json!({ "key": key }));
        assert!(t.read(key).await.unwrap().is_none());
        t.write(key, "w").if_absent().await.unwrap();
        t.delete(key).if_value(&b"w"[..]).await.unwrap();
        assert!(both.go("read", "t", &json!({ "key": key })).not_found);
        both.go_must("delete", "t", &json!({ "key": key }));
        t.delete(key).await.unwrap();
    }
    assert!(t.list().any_order().await.unwrap().is_empty());
    assert!(both.go_must("list", "t", &json!({})).keys.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lives_are_the_same_for_both() {
    let Some(mut both) = Both::start().await else { return };
    let t = both.table("t");
    for life in [Duration::from_mins(2), Duration::from_millis(90_500)] {
        let nanos = life.as_nanos() as u64;
        both.go_must("write", "t", &json!({ "key": "go", "value": "dg==", "expiry": nanos }));
        let left = t.read("go").await.unwrap().unwrap().ttl().unwrap();
        assert!(left <= life && left + Duration::from_secs(30) > life, "{left:?} of {life:?}");
        t.write("rust", "v").ttl(life).await.unwrap();
        let left = both.go_must("read", "t", &json!({ "key": "rust" })).records[0].expiry;
        let left = Duration::from_nanos(u64::try_from(left).unwrap());
        // Whole seconds: rounded by the server.
        assert!(left <= life + Duration::from_millis(500), "{left:?} of {life:?}");
        assert!(left + Duration::from_secs(30) > life, "{left:?} of {life:?}");
    }
    // A record of Go-Micro that is written back as it was read keeps living for ever: -1 ns is what it reads then.
    t.write("ever", "v").await.unwrap();
    let read = both.go_must("read", "t", &json!({ "key": "ever" })).records[0].expiry;
    assert_eq!(read, -1);
    t.set_expiry("ever", Expiry::After(Duration::from_mins(1))).await.unwrap().unwrap();
    both.go_must("write", "t", &json!({ "key": "ever", "value": base64("2"), "expiry": -1 }));
    let ever = t.read("ever").await.unwrap().unwrap();
    assert_eq!(ever.value(), b"2");
    assert!(ever.ttl().is_some(), "KEEPTTL keeps what we set");
    both.go_must("write", "t", &json!({ "key": "ever", "value": base64("3") }));
    assert!(t.read("ever").await.unwrap().unwrap().ttl().is_none());
    // These options it drops without a word.
    let write = json!({ "key": "opt", "value": "dg==", "write_ttl": 1_000_000 });
    both.go_must("write", "t", &write);
    assert!(t.read("opt").await.unwrap().unwrap().ttl().is_none());

    let short = Duration::from_millis(300);
    let begun = Instant::now();
    let nanos = short.as_nanos() as u64;
    both.go_must("write", "t", &json!({ "key": "go", "value": "dg==", "expiry": nanos }));
    t.write("rust", "v").ttl(short).await.unwrap();
    let written = Instant::now();
    let seen = (t.read("go").await.unwrap(), both.go("read", "t", &json!({ "key": "rust" })));
    if begun.elapsed() < short {
        assert!(seen.0.is_some() && seen.1.records.len() == 1, "{seen:?}");
    }
    tokio::time::sleep(short.saturating_sub(written.elapsed()) + Duration::from_millis(5)).await;
    assert!(t.read("go").await.unwrap().is_none() && t.read("rust").await.unwrap().is_none());
    assert!(both.go("read", "t", &json!({ "key": "rust" })).not_found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_hold_the_same_keys() {
    let Some(mut both) = Both::start().await else { return };
    let t = both.table("t");
    let names: Vec<String> = (0..300).map(|i| format!("{}{i:03}x", ["a", "b"][i % 2])).collect();
    for (i, name) in names.iter().enumerate() {
        if i % 10 == 0 {
            both.go_must("write", "t", &json!({ "key": name, "value": base64(name) }));
        } else {
            t.write(name, name.as_bytes()).await.unwrap();
        }
    }
    both.go_must("write", "other", &json!({ "key": "a000x", "value": "dg==" }));
    for (prefix, suffix) in [("", ""), ("a", ""), ("b1", ""), ("", "5x"), ("a2", "2x")] {
        let options = json!({ "prefix": prefix, "suffix": suffix });
        // What a scan of Redis repeats, Go-Micro repeats.
        let theirs: BTreeSet<String> =
            both.go_must("list", "t", &options).keys.into_iter().collect();
        let ours = t.list().prefix(prefix).suffix(suffix).any_order().limit(1000).await.unwrap();
        assert_eq!(ours.into_iter().collect::<BTreeSet<_>>(), theirs, "{prefix}*{suffix}");
    }
    for (field, text) in [("read_prefix", "b1"), ("read_suffix", "5x")] {
        let theirs = both.go_must("read", "t", &json!({ "key": text, field: true })).records;
        // Each is named by the text that was asked for, so only the values tell.
        let theirs: BTreeSet<Vec<u8>> = theirs.iter().map(tests::go_micro::Record::value).collect();
        let scan = t.scan().any_order().limit(1000);
        let scan = if field == "read_prefix" { scan.prefix(text) } else { scan.suffix(text) };
        let ours = scan.await.unwrap();
        assert_eq!(ours.iter().map(|r| r.value().to_vec()).collect::<BTreeSet<_>>(), theirs);
    }
    // Our pages are pages: Go-Micro takes the limit for a hint and the offset for a place in the server.
    assert_eq!(t.list().any_order().limit(5).await.unwrap().len(), 5);
    assert_eq!(t.list().any_order().offset(290).limit(100).await.unwrap().len(), 10);
    assert_eq!(both.go_must("list", "t", &json!({ "limit": 5 })).keys.len(), 300);
}

/// As in `go_micro_nats.rs`, by update-if-value: each value is written once only, so that no update can be lost unseen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compare_and_swap_loses_nothing_beside_writers_in_go() {
    const OVERWRITES: usize = 150;
    let Some(mut both) = Both::start().await else { return };
    both.go_must("write", "t", &json!({ "key": "n", "value": base64("first") }));
    let t = both.table("t");
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (t, stopped) = (t.clone(), stopped.clone());
            tokio::spawn(async move {
                let mut done = Vec::new();
                while !*stopped.borrow() {
                    let old = t.read("n").await.unwrap().unwrap().value().to_vec();
                    let text = String::from_utf8(old.clone()).unwrap();
                    let (base, n) = text.split_once('+').unwrap_or((&text, "0"));
                    let n = n.parse::<u64>().unwrap() + 1;
                    match t.write("n", format!("{base}+{n}")).if_value(old).await {
                        Ok(_) => done.push((base.to_owned(), n)),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                    }
                }
                done
            })
        })
        .collect();
    let write =
        json!({ "key": "n", "value": base64("g"), "times": OVERWRITES, "pause": 3_000_000 });
    let both = tokio::task::spawn_blocking(move || {
        both.go_must("write", "t", &write);
        both
    });
    let mut both = both.await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop.send(true).unwrap();
    let mut seen: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for task in tasks {
        for (base, n) in task.await.unwrap() {
            let twice = !seen.entry(base.clone()).or_default().insert(n);
            assert!(!twice, "{base}+{n} was written twice: an update was lost");
        }
    }
    for (base, numbers) in &seen {
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{base}");
    }
    assert!(seen.len() > OVERWRITES / 10, "only {} of Go's writes were seen", seen.len());
    let last = format!("g{}", OVERWRITES - 1);
    let end = format!("{last}+{}", seen[&last].len());
    assert_eq!(t.read("n").await.unwrap().unwrap().value(), end.as_bytes());
    let theirs = both.go_must("read", "t", &json!({ "key": "n" }));
    assert_eq!(theirs.records[0].value(), end.as_bytes());

    // Counters are decimals that Go-Micro reads, and may set.
    both.go_must("write", "t", &json!({ "key": "c", "value": base64("41") }));
    assert_eq!(t.increment("c", 1).await.unwrap().value, 42);
    assert_eq!(both.go_must("read", "t", &json!({ "key": "c" })).records[0].value(), b"42");
}
