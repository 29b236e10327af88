//! Compacting and emptying NATS buckets: what was deleted must not come back when servers are killed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use store_core::{DatabaseConfig, ErrorKind, Name, Storage, Store, StoreAdmin, Table};
use store_natsjs::{Access, Bucket, Kept, Nats, Notice, Origin, Watcher};
use tests::servers::nats::{Cluster, Server, Setup, Version};

const PATIENCE: Duration = Duration::from_secs(30);

fn app() -> Name {
    Name::new("app").unwrap()
}

fn table(nats: &Nats) -> Table {
    let store: Arc<dyn Store> = Arc::new(nats.clone());
    store.database("app").unwrap().table("t").unwrap()
}

/// Writes every key of a name, a few at a time.
async fn fill(t: &Table, name: &str, n: usize, value: &str) {
    let puts: Vec<_> = (0..n).map(|i| (format!("{name}.{i}"), value.to_owned())).collect();
    for chunk in puts.chunks(1000) {
        for written in t.write_many(chunk.iter().map(|(k, v)| (&**k, &**v))).await {
            written.unwrap();
        }
    }
}

async fn delete(t: &Table, name: &str, n: usize) {
    let keys: Vec<_> = (0..n).map(|i| format!("{name}.{i}")).collect();
    for deleted in t.delete_many(&keys).await {
        deleted.unwrap();
    }
}

/// How many keys of a name can be read, asked until the server answers.
async fn readable(t: &Table, name: &str, n: usize) -> usize {
    let keys: Vec<_> = (0..n).map(|i| format!("{name}.{i}")).collect();
    let since = Instant::now();
    'again: loop {
        let mut found = 0;
        for chunk in keys.chunks(1000) {
            for record in t.read_many(chunk).await {
                match record {
                    Ok(record) => found += usize::from(record.is_some()),
                    Err(error) => {
                        assert!(since.elapsed() < PATIENCE, "{error:?}");
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        continue 'again;
                    }
                }
            }
        }
        return found;
    }
}

/// Keys `d.*` are deleted among live `l.*`, with older versions of all of them on disk.
async fn litter(t: &Table, n: usize) {
    for round in ["1", "2", "3"] {
        fill(t, "d", n, round).await;
        fill(t, "l", n, round).await;
    }
    delete(t, "d", n).await;
    fill(t, "l", n / 2, "4").await;
}

async fn kill_twice_and_count(server: &mut Server, t: &Table, n: usize, live: usize) {
    for _ in 0..2 {
        server.restart();
        assert_eq!(readable(t, "d", n).await, 0, "deleted records came back");
        assert_eq!(readable(t, "l", n).await, live);
        assert_eq!(readable(t, "w", 20).await, 20);
    }
}

async fn single(version: Version, config: DatabaseConfig) -> (Server, Nats, Bucket, Table) {
    let server = Server::with(&Setup::default().version(version));
    let nats = Nats::connect(&server.url()).await.unwrap();
    nats.create_database(&app(), &config).await.unwrap();
    let (bucket, t) = (nats.bucket(&app()), table(&nats));
    (server, nats, bucket, t)
}

/// The versions that there are to run; the newest always.
fn versions() -> Vec<Version> {
    let others = [Version::V2_10].into_iter().filter(|v| v.binary().is_some());
    [Version::Newest].into_iter().chain(others).collect()
}

async fn moved_records(version: Version, n: usize, compression: &str) {
    let mut config = DatabaseConfig::new();
    config.driver.insert("compression".to_owned(), compression.to_owned());
    let (mut server, _nats, bucket, t) = single(version, config).await;
    litter(&t, n).await;
    let before = bucket.status().await.unwrap();
    let plain = bucket.compact().older_than(Duration::ZERO).await.unwrap();
    assert_eq!((plain.removed, plain.kept, plain.why), (0, n as u64, Some(Kept::Records)));
    let alone = bucket.compact().older_than(Duration::ZERO).one_by_one().await.unwrap_err();
    assert_eq!(alone.kind(), ErrorKind::Unsupported);
    let young = bucket.compact().move_records().await.unwrap();
    assert_eq!((young.removed, young.kept), (0, n as u64), "they are younger than half an hour");

    let done = bucket.compact().older_than(Duration::ZERO).move_records().await.unwrap();
    assert_eq!((done.removed, done.kept, done.moved), (n as u64, 0, n as u64));
    let after = bucket.status().await.unwrap();
    assert_eq!((before.values, after.values), (2 * n as u64, n as u64));
    assert!(after.last_sequence > before.last_sequence);
    fill(&t, "w", 20, "x").await;
    kill_twice_and_count(&mut server, &t, n, n).await;
    assert_eq!(t.read("l.0").await.unwrap().unwrap().value(), b"4");
    assert_eq!(t.list().await.unwrap().len(), n + 20, "nothing of the compaction is listed");
    assert_eq!(bucket.history(">").await.unwrap().len(), n + 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compacted_records_do_not_come_back_after_a_kill() {
    for version in versions() {
        moved_records(version, 200, "none").await;
    }
    moved_records(Version::Newest, 200, "s2").await;
}

/// Several blocks of the stream's file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compacted_records_of_a_large_bucket_do_not_come_back_after_a_kill() {
    moved_records(Version::Newest, 20_000, "none").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_bucket_stays_empty_after_a_kill_and_goes_on_counting() {
    for version in versions() {
        for history in [1, 5] {
            let n = 2000;
            let config = DatabaseConfig::new().with_history(history);
            let (mut server, _nats, bucket, t) = single(version, config).await;
            litter(&t, n).await;
            let last = t.write("l.0", "5").await.unwrap().revision.unwrap();
            let done = bucket.empty().await.unwrap();
            assert_eq!((done.removed, done.kept, done.why), (2 * n as u64, 0, None));
            let status = bucket.status().await.unwrap();
            assert_eq!((status.values, status.keys), (0, 0));
            assert!(status.last_sequence > last.sequence());
            server.restart();
            let again = bucket.status().await.unwrap();
            assert_eq!(again.last_sequence, status.last_sequence, "also after a kill");
            fill(&t, "w", 20, "x").await;
            kill_twice_and_count(&mut server, &t, n, 0).await;
            let new = t.write("l.0", "6").await.unwrap().revision.unwrap();
            assert!(new.sequence() > last.sequence());
            let error = t.write("l.0", "7").if_revision(last).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict);
        }
    }
}

/// In memory a kill leaves nothing; deletions go one by one, and nothing else does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory_deletions_go_one_by_one() {
    let config = DatabaseConfig::new().with_storage(Storage::Memory).with_history(3);
    let (_server, _nats, bucket, t) = single(Version::Newest, config).await;
    litter(&t, 100).await;
    let young = bucket.compact().await.unwrap();
    assert_eq!((young.removed, young.kept, young.why), (0, 100, Some(Kept::Young)));
    let done = bucket.compact().older_than(Duration::ZERO).await.unwrap();
    assert_eq!((done.removed, done.kept, done.moved, done.why), (100, 0, 0, None));
    assert_eq!(readable(&t, "d", 100).await, 0);
    assert_eq!(readable(&t, "l", 100).await, 100);
    assert_eq!(bucket.history("t.d.>").await.unwrap().len(), 0);
    assert_eq!(bucket.history("t.l.1").await.unwrap().len(), 3, "histories of live keys stay");
    let again = bucket.compact().older_than(Duration::ZERO).await.unwrap();
    assert_eq!((again.removed, again.kept), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moves_keeps_its_value_metadata_headers_and_end() {
    let (_server, nats, bucket, t) = single(Version::Newest, DatabaseConfig::new()).await;
    t.write("d", "1").await.unwrap();
    t.delete("d").await.unwrap();
    let metadata = store_core::Metadata::new().with("a", "ü").unwrap();
    t.write("meta", "1").metadata(metadata).await.unwrap();
    t.write("server", "2").ttl(Duration::from_mins(10)).await.unwrap();
    t.write("old", "x").await.unwrap();
    t.write("old", "3").ttl(Duration::from_mins(10)).await.unwrap();
    t.write("soon", "4").ttl(Duration::from_millis(1500)).await.unwrap();
    bucket.put("t.user", "5", &[("Trace", "x")]).await.unwrap();
    let before = t.scan().await.unwrap();
    let done = bucket.compact().older_than(Duration::ZERO).move_records().await.unwrap();
    assert_eq!((done.removed, done.moved), (1, 5));
    let after = t.scan().await.unwrap();
    assert_eq!(before.len(), after.len());
    for (a, b) in before.iter().zip(&after) {
        assert_eq!((a.key(), a.value(), a.metadata()), (b.key(), b.value(), b.metadata()));
        assert_eq!(a.expires_at(), b.expires_at());
        assert_ne!(a.revision(), b.revision());
    }
    assert_eq!(bucket.entry("t.user").await.unwrap().unwrap().header("trace"), Some("x"));
    let server = bucket.entry("t.server").await.unwrap().unwrap();
    assert!(server.header("Nats-TTL").is_some(), "still the server's to remove");
    let old = bucket.entry("t.old").await.unwrap().unwrap();
    assert!(old.header("Nats-TTL").is_none(), "still not");
    let since = Instant::now();
    while t.read("soon").await.unwrap().is_some() {
        assert!(since.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Histories and ages would be lost.
    let name = Name::new("kept").unwrap();
    nats.create_database(&name, &DatabaseConfig::new().with_history(2)).await.unwrap();
    let kept = nats.bucket(&name);
    kept.put("t.a", "1", &[]).await.unwrap();
    kept.put("t.b", "1", &[]).await.unwrap();
    kept.purge("t.b").await.unwrap();
    let error = kept.compact().older_than(Duration::ZERO).move_records().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

async fn next(watch: &mut Watcher) -> Notice {
    tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap()
}

/// A watch that was away while a deletion was compacted begins anew; one that was there has heard of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_misses_a_deletion_that_is_compacted() {
    let (server, nats, bucket, t) = single(Version::Newest, DatabaseConfig::new()).await;
    let first = t.write("a", "1").await.unwrap().revision.unwrap();
    let mut there = bucket.watch("t.>").await.unwrap();
    while !matches!(next(&mut there).await, Notice::CaughtUp { .. }) {}
    let map = bucket.map("t.>").await.unwrap();
    let done = bucket.empty().await.unwrap();
    assert_eq!((done.removed, done.kept), (1, 0));
    let Notice::Entry(gone) = next(&mut there).await else { panic!("the deletion comes first") };
    assert_eq!((&*gone.key, gone.is_live()), ("t.a", false));
    let since = Instant::now();
    while !map.is_empty() {
        assert!(since.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    t.write("b", "2").await.unwrap();
    let mut away = bucket.watch("t.>").after(first).await.unwrap();
    assert!(matches!(next(&mut away).await, Notice::Resync));
    let mut portable = t.watch().after(first).await.unwrap();
    let event = tokio::time::timeout(PATIENCE, portable.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(event, store_core::Event::Resync), "{event:?}");

    // A consumer that does not take its messages holds the compaction up.
    t.write("c", "3").await.unwrap();
    t.delete("c").await.unwrap();
    t.delete("b").await.unwrap();
    let js = async_nats::connect(server.url()).await.unwrap();
    let request =
        r#"{"stream_name":"KV_app","config":{"durable_name":"slow","ack_policy":"none"}}"#;
    let made =
        js.request("$JS.API.CONSUMER.DURABLE.CREATE.KV_app.slow", request.into()).await.unwrap();
    assert!(!String::from_utf8_lossy(&made.payload).contains("error"));
    let impatient = Nats::builder()
        .servers([server.url()])
        .timeout(Duration::from_secs(1))
        .connect()
        .await
        .unwrap();
    let held = impatient.bucket(&app()).compact().older_than(Duration::ZERO).await.unwrap();
    assert_eq!((held.removed, held.kept, held.why), (0, 2, Some(Kept::Watchers)));
    js.request("$JS.API.CONSUMER.DELETE.KV_app.slow", "".into()).await.unwrap();
    let done = bucket.compact().older_than(Duration::ZERO).await.unwrap();
    assert_eq!((done.removed, done.kept), (2, 0));
    drop(nats);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirrors_are_waited_for_and_copies_are_not_compacted() {
    let (_server, nats, bucket, t) = single(Version::Newest, DatabaseConfig::new()).await;
    t.write("a", "1").await.unwrap();
    let origin = Origin::bucket(&app());
    nats.create_mirror("M", &origin, &DatabaseConfig::new()).await.unwrap();
    let copy = nats.bucket(&Name::new("copy").unwrap());
    copy.create_aggregate(&[origin], Access::ReadOnly, &DatabaseConfig::new()).await.unwrap();
    fill(&t, "d", 200, "1").await;
    delete(&t, "d", 200).await;
    t.delete("a").await.unwrap();
    let done = bucket.compact().older_than(Duration::ZERO).await.unwrap();
    assert_eq!((done.removed, done.kept), (201, 0));
    let mirror = nats.mirror_status("M").await.unwrap();
    assert!(mirror.last_sequence >= bucket.status().await.unwrap().first_sequence - 1);
    assert_eq!(readable(&t, "d", 200).await, 0, "the mirror answers, too");
    let error = copy.compact().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// Expired records that nobody has met count as deletions, those that the server removes do not matter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_records_are_compacted_and_stay_away_after_a_kill() {
    let (mut server, _nats, bucket, t) = single(Version::Newest, DatabaseConfig::new()).await;
    for i in 0..50 {
        t.write(&format!("d.{i}"), "old").await.unwrap();
        t.write(&format!("d.{i}"), "new").ttl(Duration::from_millis(300)).await.unwrap();
        t.write(&format!("l.{i}"), "short").ttl(Duration::from_millis(300)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(400)).await;
    let done = bucket.compact().older_than(Duration::ZERO).await.unwrap();
    assert_eq!((done.removed, done.kept), (50, 0));
    fill(&t, "w", 20, "x").await;
    kill_twice_and_count(&mut server, &t, 50, 0).await;
}

// ------------------------------------------------------------------ three servers

async fn open(url: &str) -> Nats {
    let since = Instant::now();
    loop {
        let builder = Nats::builder()
            .servers([url])
            .timeout(PATIENCE)
            .attempt_timeout(Duration::from_secs(1));
        match builder.connect().await {
            Ok(nats) => return nats,
            Err(error) => assert!(since.elapsed() < PATIENCE, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn cluster() -> (Cluster, Nats, Bucket, Table) {
    let cluster = Cluster::start();
    let nats = open(&cluster.url()).await;
    let config = DatabaseConfig::new().with_replicas(3);
    let since = Instant::now();
    while let Err(error) = nats.create_database(&app(), &config).await {
        assert!(since.elapsed() < PATIENCE, "{error:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (bucket, t) = (nats.bucket(&app()), table(&nats));
    (cluster, nats, bucket, t)
}

async fn kill_all_and_count(cluster: &mut Cluster, t: &Table, n: usize) {
    for node in &mut cluster.nodes {
        node.kill();
    }
    for node in &mut cluster.nodes {
        node.restart();
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    // Any copy may answer, so several times.
    for _ in 0..3 {
        assert_eq!(readable(t, "d", n).await, 0, "deleted records came back");
        assert_eq!(readable(t, "l", n).await, n);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_three_servers_what_was_compacted_one_by_one_does_not_come_back() {
    let n = 1000;
    let (mut cluster, _nats, bucket, t) = cluster().await;
    litter(&t, n).await;
    let done = bucket.compact().older_than(Duration::ZERO).one_by_one().await.unwrap();
    assert_eq!((done.removed, done.kept, done.moved), (n as u64, 0, 0));
    fill(&t, "w", 20, "x").await;
    for i in 0..3 {
        cluster.nodes[i].restart();
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(readable(&t, "d", n).await, 0, "deleted records came back");
    }
    kill_all_and_count(&mut cluster, &t, n).await;
}

/// The copies' log is gone then, so the files alone must have forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cut_off_does_not_come_back_when_three_servers_become_one() {
    let n = 1000;
    let (mut cluster, _nats, bucket, t) = cluster().await;
    litter(&t, n).await;
    let done = bucket.compact().older_than(Duration::ZERO).move_records().await.unwrap();
    assert_eq!((done.removed, done.kept, done.moved), (n as u64, 0, n as u64));
    bucket.configure(|config| config.replicas = Some(1)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    fill(&t, "w", 20, "x").await;
    kill_all_and_count(&mut cluster, &t, n).await;
}
