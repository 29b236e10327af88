//! Watches and live maps of a NATS bucket: what they bring, what they leave behind, and what they survive.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use store_core::{DatabaseConfig, ErrorKind, Gone, Metadata, Name, Store, StoreAdmin, Table};
use store_natsjs::{Bucket, Change, LiveMap, Nats, Notice, Operation, Watcher};
use tests::servers::nats::{Server, Setup, Version};

/// As long as anything may take where tests share two cores.
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    server: Server,
    nats: Nats,
    bucket: Bucket,
    table: Table,
}

async fn world(version: Version, history: u32) -> World {
    let server = Server::with(&Setup::default().version(version));
    let nats = Nats::connect(&server.url()).await.unwrap();
    let name = Name::new("app").unwrap();
    nats.create_database(&name, &DatabaseConfig::new().with_history(history)).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(nats.clone());
    let table = store.database("app").unwrap().table("t").unwrap();
    World { server, bucket: nats.bucket(&name), nats, table }
}

/// The versions that there are to run; the newest always.
fn versions() -> Vec<Version> {
    let others = [Version::V2_10, Version::V2_12].into_iter().filter(|v| v.binary().is_some());
    [Version::Newest].into_iter().chain(others).collect()
}

async fn next(watch: &mut Watcher) -> Notice {
    let next = tokio::time::timeout(PATIENCE, watch.next());
    next.await.expect("nothing comes").expect("the watch has ended").unwrap()
}

/// Keys, values and operations up to the end of the beginning.
async fn snapshot(watch: &mut Watcher) -> Vec<(String, String, Operation)> {
    let mut seen = Vec::new();
    loop {
        match next(watch).await {
            Notice::Entry(entry) => {
                let value = String::from_utf8(entry.value.to_vec()).unwrap();
                seen.push((entry.key.to_string(), value, entry.operation));
            }
            Notice::CaughtUp { .. } => return seen,
            other => panic!("{other:?}"),
        }
    }
}

async fn entry(watch: &mut Watcher) -> (String, String) {
    match next(watch).await {
        Notice::Entry(entry) => {
            (entry.key.to_string(), String::from_utf8(entry.value.to_vec()).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let since = Instant::now();
    while !holds().await {
        assert!(since.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn row(key: &str, value: &str, operation: Operation) -> (String, String, Operation) {
    (key.to_owned(), value.to_owned(), operation)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_brings_what_its_options_say() {
    use Operation::{Delete, Put};
    for version in versions() {
        let world = world(version, 5).await;
        let (t, bucket) = (&world.table, &world.bucket);
        let mut empty = bucket.watch(">").await.unwrap();
        assert_eq!(snapshot(&mut empty).await, [], "the end comes also when there is nothing");
        t.write("a.x", "1").await.unwrap();
        let second = t.write("a.x", "2").await.unwrap().revision.unwrap();
        t.write("b", "3").await.unwrap();
        t.delete("b").await.unwrap();
        t.write("c.y.z", "4").await.unwrap();
        assert_eq!(
            entry(&mut empty).await,
            ("t.a.x".to_owned(), "1".to_owned()),
            "and then changes"
        );

        let mut newest = bucket.watch(">").await.unwrap();
        let want = [row("t.a.x", "2", Put), row("t.b", "", Delete), row("t.c.y.z", "4", Put)];
        assert_eq!(snapshot(&mut newest).await, want);

        let mut history = bucket.watch("t.a.x").and("t.b").with_history().await.unwrap();
        let want = [
            row("t.a.x", "1", Put),
            row("t.a.x", "2", Put),
            row("t.b", "3", Put),
            row("t.b", "", Delete),
        ];
        assert_eq!(snapshot(&mut history).await, want);

        let mut puts = bucket.watch("t.*").and("t.c.>").ignore_deletes().await.unwrap();
        assert_eq!(snapshot(&mut puts).await, [row("t.c.y.z", "4", Put)]);

        let mut names = bucket.watch("t.>").metadata_only().ignore_deletes().await.unwrap();
        assert_eq!(snapshot(&mut names).await, [row("t.a.x", "", Put), row("t.c.y.z", "", Put)]);

        let mut updates = bucket.watch("t.>").updates_only().await.unwrap();
        assert_eq!(snapshot(&mut updates).await, []);

        let mut later = bucket.watch("t.>").after(second).await.unwrap();
        let want = [row("t.b", "3", Put), row("t.b", "", Delete), row("t.c.y.z", "4", Put)];
        assert_eq!(snapshot(&mut later).await, want);

        t.write("c.y.z", "5").await.unwrap();
        let five = ("t.c.y.z".to_owned(), "5".to_owned());
        for watch in [&mut newest, &mut puts, &mut updates, &mut later] {
            assert_eq!(entry(watch).await, five);
        }
        assert_eq!(entry(&mut names).await, ("t.c.y.z".to_owned(), String::new()));

        for overlap in [bucket.watch("t.>").and("t.*"), bucket.watch("t.*").and("t.a")] {
            assert_eq!(overlap.await.unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
        for bad in ["", "a*", "a.>.b", "a b", "_kv.x"] {
            let error = bucket.watch(bad).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad:?}");
        }
        let hasty = bucket.watch(">").heartbeat(Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(hasty.kind(), ErrorKind::InvalidArgument);
        let nowhere = world.nats.bucket(&Name::new("none").unwrap()).watch(">").await;
        assert_eq!(nowhere.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_has_one_consumer_that_goes_with_it() {
    let world = world(Version::Newest, 1).await;
    let consumers = async || world.bucket.status().await.unwrap().consumers;
    let beat = Duration::from_millis(750);
    let mut watch = world.bucket.watch("t.>").heartbeat(beat).await.unwrap();
    snapshot(&mut watch).await;
    let info = watch.consumer_info().await.unwrap();
    assert_eq!(info["name"].as_str(), watch.consumer());
    assert_eq!(info["config"]["idle_heartbeat"], 750_000_000);
    assert_eq!(info["config"]["filter_subject"], "$KV.app.t.>");
    assert_eq!(consumers().await, 1);

    let mut many = Vec::new();
    for _ in 0..20 {
        many.push(world.bucket.watch(">").await.unwrap());
        many.push(world.bucket.watch(">").metadata_only().await.unwrap());
    }
    let maps: Vec<LiveMap> = vec![world.bucket.map("t.>").await.unwrap(); 3];
    assert_eq!(consumers().await, 42);
    drop(many);
    until("the watches' consumers go", async || consumers().await == 2).await;
    drop(maps);
    until("the map's consumer goes", async || consumers().await == 1).await;
    drop(watch);
    until("the last one goes", async || consumers().await == 0).await;

    let mut watch = world.bucket.watch("t.>").await.unwrap();
    world.nats.close().await.unwrap();
    snapshot_or_closed(&mut watch).await;
    assert!(watch.next().await.is_none());
}

async fn snapshot_or_closed(watch: &mut Watcher) {
    while let Some(notice) = watch.next().await {
        if let Err(error) = notice {
            assert_eq!(error.kind(), ErrorKind::Closed);
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_after_the_server_was_killed_and_after_its_consumer_was_deleted() {
    for version in versions() {
        let mut world = world(version, 64).await;
        let (t, beat) = (world.table.clone(), Duration::from_millis(200));
        let mut watch = world.bucket.watch("t.>").heartbeat(beat).await.unwrap();
        snapshot(&mut watch).await;
        let mut expected = 0;
        for round in 0..3 {
            match round {
                1 => world.server.restart(),
                2 => delete_consumer(&world.server, watch.consumer().unwrap()).await,
                _ => {}
            }
            for i in 0..20 {
                t.write(&format!("k{i}"), round.to_string()).await.unwrap();
            }
            for i in 0..20 {
                assert_eq!(
                    entry(&mut watch).await,
                    (format!("t.k{i}"), round.to_string()),
                    "no gap and no duplicate"
                );
                expected += 1;
            }
        }
        assert_eq!(expected, 60);
    }
}

async fn delete_consumer(server: &Server, name: &str) {
    let client = async_nats::connect(server.url()).await.unwrap();
    let subject = format!("$JS.API.CONSUMER.DELETE.KV_app.{name}");
    let answer = client.request(subject, "".into()).await.unwrap();
    assert!(
        answer.payload.starts_with(b"{") && !answer.payload.windows(7).any(|w| w == b"\"error\"")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_says_when_the_bucket_is_another_one() {
    let world = world(Version::Newest, 1).await;
    world.table.write("a", "1").await.unwrap();
    let beat = Duration::from_millis(200);
    let mut watch = world.bucket.watch("t.>").heartbeat(beat).await.unwrap();
    assert_eq!(snapshot(&mut watch).await.len(), 1);
    let name = world.bucket.name().clone();
    world.nats.delete_database(&name).await.unwrap();
    assert!(matches!(next(&mut watch).await, Notice::Resync));
    assert!(matches!(next(&mut watch).await, Notice::CaughtUp { revision: None }));
    world.table.write("b", "2").await.unwrap();
    assert_eq!(entry(&mut watch).await, ("t.b".to_owned(), "2".to_owned()));

    let other = world.nats.bucket(&Name::new("other").unwrap());
    world.nats.create_database(other.name(), &DatabaseConfig::new()).await.unwrap();
    let stranger = store_core::Revision::from_parts(77, 5);
    let mut lost = other.watch(">").after(stranger).await.unwrap();
    assert!(matches!(next(&mut lost).await, Notice::Resync));
    assert!(matches!(next(&mut lost).await, Notice::CaughtUp { .. }));
}

type Log = Arc<Mutex<Vec<String>>>;

fn logging(log: &Log) -> impl FnMut(&Change) + Send + 'static {
    let log = Arc::clone(log);
    move |change| {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        log.lock().push(match change {
            Change::Put { entry, before } => {
                let before = before.as_ref().map(|before| text(&before.value));
                format!("{} {before:?} -> {}", entry.key, text(&entry.value))
            }
            Change::Removed { before, reason } => format!("{} {reason:?}", before.key),
            Change::Synced(revision) => format!("synced {}", revision.is_some()),
            other => format!("{other:?}"),
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_map_is_read_from_memory_and_told_of_changes() {
    for version in versions() {
        let world = world(version, 1).await;
        let (t, bucket) = (&world.table, &world.bucket);
        let me = Metadata::new().with("who", "me").unwrap();
        t.write("a", "1").metadata(me).await.unwrap();
        t.write("b.c", "2").await.unwrap();
        t.write("gone", "x").await.unwrap();
        t.delete("gone").await.unwrap();
        let log = Log::default();
        let filter = bucket.filter_of("t", "").await.unwrap();
        let map = bucket.map(filter).on_change(logging(&log)).await.unwrap();
        assert!(map.is_synced());
        assert_eq!(map.len(), 2);
        assert_eq!(&map.get("t.a").unwrap().value[..], b"1");
        assert!(map.get("t.gone").is_none() && map.get("t.x").is_none());
        let record = map.record("t", "a").unwrap().unwrap();
        assert_eq!(Some(record), t.read("a").await.unwrap(), "as a read gives it, metadata too");
        assert!(map.record("t", "").is_err());

        let revision = t.write("a", "3").await.unwrap().revision.unwrap();
        map.wait_for(revision, PATIENCE).await.unwrap();
        assert_eq!(&map.get("t.a").unwrap().value[..], b"3");
        t.delete("b.c").await.unwrap();
        let last = t.write("b.d", "4").await.unwrap().revision.unwrap();
        map.wait_for(last, PATIENCE).await.unwrap();
        let keys: Vec<_> = map.entries("t.b.").iter().map(|e| e.key.to_string()).collect();
        assert_eq!(keys, ["t.b.d"]);
        let want = [
            "t.a None -> 1",
            "t.b.c None -> 2",
            "synced true",
            "t.a Some(\"1\") -> 3",
            "t.b.c Deleted",
            "t.b.d None -> 4",
        ];
        assert_eq!(*log.lock(), want);

        // A revision that the filter does not let pass: the server tells how far it has looked.
        let other = world.nats.bucket(bucket.name()).put("u.x", "5", &[]).await.unwrap();
        map.wait_for(other, PATIENCE).await.unwrap();
        assert_eq!(map.len(), 2);
        let far = store_core::Revision::from_parts(other.incarnation(), other.sequence() + 9);
        let late = map.wait_for(far, Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Timeout);
        let strange = store_core::Revision::from_parts(other.incarnation() + 1, 1);
        let error = map.wait_for(strange, PATIENCE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        world.nats.close().await.unwrap();
        until("the map says that it ended", async || map.error().is_some()).await;
        assert_eq!(map.error().unwrap().kind(), ErrorKind::Closed);
        assert!(map.wait_for(other, PATIENCE).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_map_drops_what_expires_at_its_instant() {
    for version in versions() {
        let world = world(version, 1).await;
        let (t, log) = (&world.table, Log::default());
        let lives = Duration::from_millis(700);
        t.write("a", "1").ttl(lives).await.unwrap();
        let map = world.bucket.map("t.>").on_change(logging(&log)).await.unwrap();
        let since = Instant::now();
        t.write("b", "2").ttl(lives).await.unwrap();
        let last = t.write("b", "3").ttl(lives * 4).await.unwrap().revision.unwrap();
        map.wait_for(last, PATIENCE).await.unwrap();
        assert_eq!(map.len(), 2);
        until("a expires", async || map.len() == 1).await;
        assert!(map.get("t.a").is_none() && map.get("t.b").is_some());
        until("b expires", async || map.is_empty()).await;
        assert!(since.elapsed() >= lives * 4, "never early: {:?}", since.elapsed());
        until("the callbacks", async || log.lock().len() == 6).await;
        assert_eq!(log.lock()[4..], ["t.a Expired", "t.b Expired"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_map_survives_the_server_and_finds_what_it_missed() {
    for version in versions() {
        let mut world = world(version, 1).await;
        let t = world.table.clone();
        for i in 0..200 {
            t.write(&format!("k{i}"), "0").await.unwrap();
        }
        let log = Log::default();
        let beat = Duration::from_millis(200);
        let map = world.bucket.map("t.>").heartbeat(beat).on_change(logging(&log)).await.unwrap();
        for round in 1..=3 {
            world.server.restart();
            for i in 0..200 {
                t.write(&format!("k{i}"), round.to_string()).await.unwrap();
            }
            t.delete(&format!("k{round}")).await.unwrap();
            let last = t.write("last", round.to_string()).await.unwrap().revision.unwrap();
            map.wait_for(last, PATIENCE).await.unwrap();
            assert_eq!(map.len(), 200);
            let all = t.scan().limit(1000).await.unwrap();
            assert_eq!(all.len(), 200);
            for record in all {
                assert_eq!(map.record("t", record.key()).unwrap(), Some(record));
            }
        }
        let synced = log.lock().iter().filter(|line| line.starts_with("synced")).count();
        assert_eq!(synced, 1, "it went on, it did not begin anew");
        until("one consumer", async || world.bucket.status().await.unwrap().consumers == 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_map_begins_anew_when_the_bucket_was_emptied_or_made_again() {
    let world = world(Version::Newest, 1).await;
    let (t, log) = (&world.table, Log::default());
    for i in 0..10 {
        t.write(&format!("k{i}"), "0").await.unwrap();
    }
    let map = world.bucket.map("t.>").on_change(logging(&log)).await.unwrap();
    world.bucket.empty().await.unwrap();
    until("all are gone", async || map.is_empty()).await;
    let name = world.bucket.name();
    t.write("a", "1").await.unwrap();
    until("a comes", async || map.len() == 1).await;
    world.nats.delete_database(name).await.unwrap();
    until("it is empty again", async || map.is_empty()).await;
    let last = t.write("b", "2").await.unwrap().revision.unwrap();
    until("it follows the new bucket", async || map.wait_for(last, PATIENCE).await.is_ok()).await;
    assert_eq!(map.entries("").len(), 1);
    assert!(log.lock().iter().filter(|line| line.ends_with("Deleted")).count() == 11);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_map_leaves_no_task_behind() {
    let world = world(Version::Newest, 1).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    world.table.write("a", "1").ttl(Duration::from_mins(10)).await.unwrap();
    let before = tasks();
    let held = Arc::new(());
    let maps: Vec<LiveMap> = {
        let mut maps = Vec::new();
        for _ in 0..10 {
            let held = Arc::clone(&held);
            let call = move |_: &Change| drop(Arc::clone(&held));
            maps.push(world.bucket.map("t.>").on_change(call).await.unwrap());
        }
        maps
    };
    let clone = maps[0].clone();
    assert!(tasks() >= before + 10);
    drop(maps);
    until("nine tasks end", async || tasks() <= before + 1).await;
    assert_eq!(&clone.get("t.a").unwrap().value[..], b"1");
    drop(clone);
    until("the last task ends", async || tasks() <= before).await;
    until("the callbacks are gone", async || Arc::strong_count(&held) == 1).await;
    until("no consumer", async || world.bucket.status().await.unwrap().consumers == 0).await;
    // A map whose beginning was given up leaves nothing either.
    drop(
        tokio::time::timeout(Duration::from_micros(200), world.bucket.map("t.>").into_future())
            .await,
    );
    until("nothing is left", async || tasks() <= before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_map_that_panics_says_so() {
    let world = world(Version::Newest, 1).await;
    let call = |change: &Change| {
        assert!(!matches!(change, Change::Removed { reason: Gone::Deleted, .. }), "on purpose");
    };
    world.table.write("a", "1").await.unwrap();
    let map = world.bucket.map("t.>").on_change(call).await.unwrap();
    world.table.delete("a").await.unwrap();
    until("it ends", async || map.error().is_some()).await;
    assert!(!map.is_synced());
}
