//! The layouts `GoMicro` beside the real thing: Go-Micro's own `nats-js-kv` store and this driver on the same buckets, both ways.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use store_core::{DatabaseConfig, ErrorKind, Metadata, Name, StoreAdmin, Table};
use store_natsjs::async_nats;
use store_natsjs::{Layout, Nats};
use tests::go_micro::{Answer, Driver, GoMicro, base64};
use tests::servers::nats::Server;

const BUILD: &str = env!("CARGO_TARGET_TMPDIR");
const LAYOUTS: [Layout; 2] = [Layout::GoMicro, Layout::GoMicroBase32];

/// Go-Micro and this driver on one server; `None` where there is no Go.
struct Both {
    go: GoMicro,
    rust: Arc<dyn StoreAdmin>,
    server: Server,
    layout: Layout,
}

impl Both {
    async fn start(layout: Layout) -> Option<Self> {
        let go = GoMicro::start(Driver::Nats, Path::new(BUILD))?;
        let server = Server::start();
        let rust = rust(&server, layout).await;
        let mut both = Self { go, rust, server, layout };
        both.go_opens(&json!({}));
        Some(both)
    }

    /// Opens Go-Micro's store again, with these options.
    fn go_opens(&mut self, options: &Json) -> Answer {
        let mut request = json!({
            "do": "open", "store": "go", "url": self.server.url(),
            "encode_keys": self.layout == Layout::GoMicroBase32,
        });
        merge(&mut request, options);
        self.go.must(&request)
    }

    /// A verb of Go-Micro in a table of the database `app`.
    fn go(&mut self, verb: &str, table: &str, options: &Json) -> Answer {
        let mut request = json!({
            "do": verb, "store": "go", "addressed": true, "database": "app", "table": table,
        });
        merge(&mut request, options);
        self.go.ask(&request)
    }

    fn go_must(&mut self, verb: &str, table: &str, options: &Json) -> Answer {
        let answer = self.go(verb, table, options);
        assert!(answer.error.is_empty(), "Go-Micro: {verb} {options}: {}", answer.error);
        answer
    }

    fn table(&self, name: &str) -> Table {
        table(&self.rust, "app", name)
    }
}

/// How the server has a bucket's stream.
async fn stream_config(server: &Server, bucket: &str) -> Json {
    let client = async_nats::connect(server.url()).await.unwrap();
    let subject = format!("$JS.API.STREAM.INFO.KV_{bucket}");
    let info = client.request(subject, "".into()).await.unwrap();
    serde_json::from_slice::<Json>(&info.payload).unwrap()["config"].take()
}

fn merge(into: &mut Json, from: &Json) {
    for (name, value) in from.as_object().unwrap() {
        into[name] = value.clone();
    }
}

async fn rust(server: &Server, layout: Layout) -> Arc<dyn StoreAdmin> {
    Arc::new(Nats::builder().servers([server.url()]).layout(layout).connect().await.unwrap())
}

fn table(store: &Arc<dyn StoreAdmin>, database: &str, name: &str) -> Table {
    let database = store.database(database).unwrap();
    if name.is_empty() { database.root() } else { database.table(name).unwrap() }
}

/// Keys that this layout can have; in byte order.
fn keys(layout: Layout) -> Vec<&'static str> {
    match layout {
        Layout::GoMicro => vec!["One", "a", "a.b/c=d-e_f", "runs/42/00000000000000000001-start"],
        _ => vec!["ABCDEFGH", "a b", "a.", "ключ: *>", "héllo <&> wörld", "storage-1$id!|@..+"],
    }
}

fn values() -> Vec<Vec<u8>> {
    vec![Vec::new(), b"First value".to_vec(), (0..=255).collect(), vec![7; 100_000]]
}

fn metadata() -> Json {
    json!({ "text": "<&> \u{2028} ünï \u{1}", "int": 5, "float": 0.25, "nested": { "a": [1, null, true] } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_go_writes_rust_reads_and_the_other_way_round() {
    for layout in LAYOUTS {
        let Some(mut both) = Both::start(layout).await else { return };
        for table_name in ["", "users", "service-registry"] {
            let t = both.table(table_name);
            for key in keys(layout) {
                for value in values() {
                    let about = format!("{layout}: {table_name}/{key}, {} bytes", value.len());
                    let write =
                        json!({ "key": key, "value": base64(&value), "metadata": metadata() });
                    both.go_must("write", table_name, &write);
                    let ours = t.read(key).await.unwrap().unwrap();
                    assert_eq!((ours.key(), ours.value()), (key, &value[..]), "{about}");
                    assert_eq!(*ours.metadata(), Metadata::from_json(metadata()).unwrap());
                    assert!(ours.expires_at().is_none());

                    let back: Vec<u8> = value.iter().rev().copied().collect();
                    let meta = Metadata::from_json(json!({ "back": 1 })).unwrap();
                    let from = ours.revision().unwrap();
                    t.write(key, &back).metadata(meta).if_revision(from).await.unwrap();
                    let theirs = both.go_must("read", table_name, &json!({ "key": key }));
                    let [theirs] = &theirs.records[..] else { panic!("{about}: {theirs:?}") };
                    assert_eq!((&*theirs.key, theirs.value()), (key, back), "{about}");
                    assert_eq!(
                        Json::from(theirs.metadata.clone()),
                        json!({ "back": 1 }),
                        "{about}"
                    );
                }
            }
            // Without metadata, both say so in their own way.
            t.write("none", "v").await.unwrap();
            let theirs = both.go_must("read", table_name, &json!({ "key": "none" }));
            assert_eq!(theirs.records[0].metadata.clone().unwrap_or_default().len(), 0);
            both.go_must("write", table_name, &json!({ "key": "none", "value": "dg==" }));
            assert!(t.read("none").await.unwrap().unwrap().metadata().is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_deletes_is_gone_for_the_other() {
    for layout in LAYOUTS {
        let Some(mut both) = Both::start(layout).await else { return };
        let t = both.table("t");
        both.go_must("write", "t", &json!({ "key": "keep", "value": "dg==" }));
        let missing = both.go("read", "t", &json!({ "key": "never" }));
        assert!(missing.not_found, "{missing:?}");
        for key in keys(layout) {
            both.go_must("write", "t", &json!({ "key": key, "value": "dg==" }));
            let read = t.read(key).await.unwrap().unwrap();
            both.go_must("delete", "t", &json!({ "key": key }));
            assert!(t.read(key).await.unwrap().is_none(), "{layout}: {key}");
            let stale = t.write(key, "w").if_revision(read.revision().unwrap()).await.unwrap_err();
            assert_eq!(stale.kind(), ErrorKind::Conflict);
            // A tombstone of Go's is no record: a create succeeds over it.
            t.write(key, "again").if_absent().await.unwrap();
            let theirs = both.go_must("read", "t", &json!({ "key": key }));
            assert_eq!(theirs.records[0].value(), b"again");
            t.delete(key).await.unwrap();
            let gone = both.go("read", "t", &json!({ "key": key }));
            assert!(gone.not_found && gone.records.is_empty(), "{layout}: {key}: {gone:?}");
            // Go writes over a tombstone of ours, and both delete what is not there.
            both.go_must("write", "t", &json!({ "key": key, "value": "dg==" }));
            assert_eq!(t.read(key).await.unwrap().unwrap().value(), b"v");
            both.go_must("delete", "t", &json!({ "key": key }));
            t.delete(key).await.unwrap();
            both.go_must("delete", "t", &json!({ "key": key }));
        }
        assert_eq!(t.list().await.unwrap(), ["keep"]);
        assert_eq!(both.go_must("list", "t", &json!({})).keys, ["keep"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_agree_with_every_option() {
    for layout in LAYOUTS {
        let Some(mut both) = Both::start(layout).await else { return };
        // In byte order, since that of Go-Micro is the order of the last writes; by turns from both sides.
        let names: Vec<String> =
            (0..40).map(|i| format!("{}{i:02}x", ["a", "b"][i / 20])).collect();
        for (i, name) in names.iter().enumerate() {
            if i % 2 == 0 {
                both.go_must("write", "t", &json!({ "key": name, "value": base64(name) }));
            } else {
                both.table("t").write(name, name.as_bytes()).await.unwrap();
            }
        }
        both.go_must("write", "other", &json!({ "key": "a00x", "value": "dg==" }));
        for gone in [3, 4, 25] {
            both.go_must("delete", "t", &json!({ "key": names[gone] }));
        }
        both.table("t").delete(&names[30]).await.unwrap();
        let t = both.table("t");
        for (prefix, suffix) in
            [("", ""), ("a", ""), ("b2", ""), ("", "x"), ("", "5x"), ("a", "7x")]
        {
            for (limit, offset) in [(0, 0), (5, 0), (0, 7), (3, 4), (100, 0), (1, 35), (0, 99)] {
                let about = format!("{layout}: {prefix}*{suffix}, limit {limit}, offset {offset}");
                let options = json!({
                    "prefix": prefix, "suffix": suffix, "limit": limit, "offset": offset,
                });
                let theirs = both.go_must("list", "t", &options).keys;
                let most = if limit == 0 { 1000 } else { limit };
                let ours = t.list().prefix(prefix).suffix(suffix).offset(offset).limit(most);
                assert_eq!(ours.await.unwrap(), theirs, "{about}");
                if prefix.is_empty() == suffix.is_empty() {
                    continue;
                }
                // Go-Micro's Read has one text for both.
                let read = json!({
                    "key": format!("{prefix}{suffix}"), "read_prefix": !prefix.is_empty(),
                    "read_suffix": !suffix.is_empty(), "limit": limit, "offset": offset,
                });
                let theirs = both.go_must("read", "t", &read).records;
                let theirs: Vec<_> = theirs.iter().map(|r| (r.key.clone(), r.value())).collect();
                let ours = t.scan().prefix(prefix).suffix(suffix).offset(offset).limit(most);
                let ours: Vec<_> = ours.await.unwrap();
                let ours: Vec<_> =
                    ours.iter().map(|r| (r.key().to_owned(), r.value().to_vec())).collect();
                assert_eq!(ours, theirs, "{about}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_tables_meet_in_go_rust_says_so_and_mixes_nothing() {
    for layout in LAYOUTS {
        let Some(mut both) = Both::start(layout).await else { return };
        both.go_must("write", "user_settings", &json!({ "key": "u2", "value": base64("theirs") }));
        both.go_must("write", "user", &json!({ "key": "u1", "value": "dg==" }));
        // Go-Micro lists a record of another table here.
        let mut leaked = both.go_must("list", "user", &json!({})).keys;
        leaked.sort();
        assert_eq!(leaked, ["settings_u2", "u1"]);
        let user = both.table("user");
        assert_eq!(user.list().await.unwrap(), ["u1"]);
        assert!(user.read("settings_u2").await.unwrap().is_none());
        let error = user.write("settings_u2", "mine").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        let kept = both.go_must("read", "user_settings", &json!({ "key": "u2" }));
        assert_eq!(kept.records[0].value(), b"theirs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_of_either_is_the_same_for_both() {
    for layout in LAYOUTS {
        let Some(mut both) = Both::start(layout).await else { return };
        // Go-Micro makes `default` when it is opened; the database of a write when it writes.
        let theirs = stream_config(&both.server, "default").await;
        both.rust
            .create_database(&Name::new("ours").unwrap(), &DatabaseConfig::new())
            .await
            .unwrap();
        let mut ours = stream_config(&both.server, "ours").await;
        ours["name"] = theirs["name"].clone();
        ours["subjects"] = theirs["subjects"].clone();
        assert_eq!(ours, theirs, "{layout}");
        // With options, too.
        let ttl = Duration::from_millis(1500);
        both.go_opens(&json!({
            "addressed": true, "database": "theirs", "table": "", "memory": true,
            "default_ttl": ttl.as_nanos() as u64, "description": "mine",
        }));
        let theirs = stream_config(&both.server, "theirs").await;
        let config = DatabaseConfig::new()
            .with_storage(store_core::Storage::Memory)
            .with_default_ttl(ttl)
            .with_description("mine".into());
        both.rust.create_database(&Name::new("ours2").unwrap(), &config).await.unwrap();
        let mut ours = stream_config(&both.server, "ours2").await;
        ours["name"] = theirs["name"].clone();
        ours["subjects"] = theirs["subjects"].clone();
        assert_eq!(ours, theirs, "{layout}");
        // A process that begins later uses what is there, from both sides.
        let status = both.rust.database_status(&Name::new("theirs").unwrap()).await.unwrap();
        assert_eq!(status.config.default_ttl, Some(ttl));
        both.go_opens(&json!({ "addressed": true, "database": "ours", "table": "" }));
        both.go_must("write", "t", &json!({ "key": "k", "value": "dg==", "database": "ours" }));
        let k = table(&both.rust, "ours", "t").read("k").await.unwrap().unwrap();
        assert_eq!(k.value(), b"v");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_a_bucket_with_a_time_to_live_expire_for_both() {
    const TTL: Duration = Duration::from_secs(2);
    for layout in LAYOUTS {
        let Some(mut both) = Both::start(layout).await else { return };
        both.go_opens(&json!({
            "addressed": true, "database": "app", "table": "", "default_ttl": TTL.as_nanos() as u64,
        }));
        let t = both.table("t");
        let before = Instant::now();
        both.go_must("write", "t", &json!({ "key": "go", "value": "dg==" }));
        t.write("rust", "v").await.unwrap();
        for key in ["go", "rust"] {
            let read = t.read(key).await.unwrap();
            let theirs = both.go("read", "t", &json!({ "key": key }));
            if before.elapsed() < TTL {
                let left = read.unwrap().ttl().unwrap();
                assert!(left <= TTL, "{key}: {left:?}");
                assert_eq!(theirs.records.len(), 1, "{layout}: {key}: {theirs:?}");
            }
        }
        tokio::time::sleep(TTL).await;
        for key in ["go", "rust"] {
            // Here to the instant, at the server when it gets to it.
            assert!(t.read(key).await.unwrap().is_none(), "{layout}: {key}");
            let until = Instant::now() + Duration::from_secs(20);
            while !both.go("read", "t", &json!({ "key": key })).not_found {
                assert!(Instant::now() < until, "{layout}: {key} does not expire for Go-Micro");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        assert!(t.list().await.unwrap().is_empty());
        // What Go-Micro drops without a word is refused here.
        let error = t.write("k", "v").ttl(Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let ignored = json!({ "key": "k", "value": "dg==", "expiry": 1, "write_ttl": 1 });
        both.go_must("write", "t", &ignored);
        assert!(t.read("k").await.unwrap().is_some());
    }
}

/// Go-Micro writes a key blindly, again and again, while tasks here add one to it by compare and swap. Its values are `g<i>`, ours
/// `g<i>+<n>`: for each `i` that one of ours saw, the `n` must be 1, 2, 3 without a gap and each by one task only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compare_and_swap_loses_nothing_beside_writers_in_go() {
    const OVERWRITES: usize = 150;
    for layout in LAYOUTS {
        let Some(mut both) = Both::start(layout).await else { return };
        both.go_must("write", "t", &json!({ "key": "n", "value": base64("first") }));
        let t = both.table("t");
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let noticed = Arc::new(Mutex::new(BTreeSet::new()));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (t, stopped, noticed) = (t.clone(), stopped.clone(), Arc::clone(&noticed));
                tokio::spawn(async move {
                    let mut done = Vec::new();
                    while !*stopped.borrow() {
                        let read = t.read("n").strong().await.unwrap().unwrap();
                        let text = String::from_utf8(read.value().to_vec()).unwrap();
                        let (base, n) = text.split_once('+').unwrap_or((&text, "0"));
                        let n = n.parse::<u64>().unwrap() + 1;
                        let new = format!("{base}+{n}");
                        match t.write("n", &new).if_revision(read.revision().unwrap()).await {
                            Ok(_) => {
                                noticed.lock().unwrap().insert(base.to_owned());
                                done.push((base.to_owned(), n));
                            }
                            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                        }
                    }
                    done
                })
            })
            .collect();
        let counters = {
            let (t, mut stopped) = (both.table("counters"), stopped.clone());
            tokio::spawn(async move {
                let mut sum = 0;
                while !*stopped.borrow_and_update() {
                    sum += 1;
                    assert_eq!(t.increment("sum", 1).await.unwrap().value, sum);
                }
                sum
            })
        };
        // Go writes on until enough of it was seen: how much that is at a time is a matter of the machine.
        let until = Instant::now() + Duration::from_mins(1);
        let mut last = String::new();
        for turn in 0.. {
            let value = format!("turn {turn}, ");
            let write = json!({
                "key": "n", "value": base64(&value), "times": OVERWRITES, "pause": 3_000_000,
            });
            let writing = tokio::task::spawn_blocking(move || {
                both.go_must("write", "t", &write);
                both
            });
            both = writing.await.unwrap();
            last = format!("{value}{}", OVERWRITES - 1);
            if noticed.lock().unwrap().len() > OVERWRITES / 10 {
                break;
            }
            assert!(Instant::now() < until, "{layout}: too few of Go's writes were seen");
        }
        while !noticed.lock().unwrap().contains(&last) {
            assert!(Instant::now() < until, "{layout}: the last of Go's writes was not seen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stop.send(true).unwrap();
        let mut seen: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for task in tasks {
            for (base, n) in task.await.unwrap() {
                let twice = !seen.entry(base.clone()).or_default().insert(n);
                assert!(!twice, "{layout}: {base}+{n} was written twice: an update was lost");
            }
        }
        for (base, numbers) in &seen {
            assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{layout}: {base}");
        }
        let end = format!("{last}+{}", seen[&last].len());
        assert_eq!(t.read("n").await.unwrap().unwrap().value(), end.as_bytes(), "{layout}");
        let theirs = both.go_must("read", "t", &json!({ "key": "n" }));
        assert_eq!(theirs.records[0].value(), end.as_bytes());
        let sum = counters.await.unwrap();
        let theirs = both.go_must("read", "counters", &json!({ "key": "sum" }));
        assert_eq!(theirs.records[0].value(), sum.to_string().as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_sees_what_go_writes_and_deletes() {
    use futures_util::StreamExt as _;
    use store_core::Event;
    for layout in LAYOUTS {
        let Some(mut both) = Both::start(layout).await else { return };
        both.go_must("write", "t", &json!({ "key": "old", "value": "dg==" }));
        let mut events = both.table("t").watch().await.unwrap();
        let mut next = async || {
            let event = tokio::time::timeout(Duration::from_secs(20), events.next()).await;
            event.expect("an event in time").unwrap().unwrap()
        };
        assert!(matches!(next().await, Event::Put(record) if record.key() == "old"));
        assert!(matches!(next().await, Event::Synced { .. }));
        both.go_must("write", "other", &json!({ "key": "k", "value": "dg==" }));
        both.go_must("write", "t", &json!({ "key": "new", "value": base64("2") }));
        let event = next().await;
        assert!(
            matches!(&event, Event::Put(r) if r.key() == "new" && r.value() == b"2"),
            "{event:?}"
        );
        both.go_must("delete", "t", &json!({ "key": "old" }));
        let event = next().await;
        assert!(matches!(&event, Event::Delete { key, .. } if key == "old"), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_go_deletes_is_gone_for_a_live_handle_and_made_again() {
    for layout in LAYOUTS {
        let Some(mut both) = Both::start(layout).await else { return };
        let t = both.table("t");
        both.go_must("write", "t", &json!({ "key": "k", "value": "dg==" }));
        let old = t.read("k").await.unwrap().unwrap().revision().unwrap();
        both.go_must("delete_bucket", "", &json!({ "key": "app" }));
        assert!(t.read("k").await.unwrap().is_none(), "{layout}");
        assert!(t.list().await.unwrap().is_empty());
        let stale = t.write("k", "w").if_revision(old).await.unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::Conflict);
        let new = t.write("k", "new").await.unwrap().revision.unwrap();
        assert_ne!(old, new);
        let stale = t.write("k", "w").if_revision(old).await.unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::Conflict);
        // Go-Micro forgot the bucket by its own deletion, and finds it again with a write.
        both.go_must("write", "t", &json!({ "key": "go", "value": "dg==" }));
        let theirs = both.go_must("read", "t", &json!({ "key": "k" }));
        assert_eq!(theirs.records[0].value(), b"new");
        assert_eq!(t.list().await.unwrap(), ["go", "k"]);
        // And the other way round.
        both.rust.delete_database(&Name::new("app").unwrap()).await.unwrap();
        assert!(!both.go("read", "t", &json!({ "key": "k" })).error.is_empty());
    }
}
