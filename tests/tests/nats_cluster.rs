//! The NATS driver on three servers that replicate.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::HashSet;
use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use store_core::{DatabaseConfig, ErrorKind, Name, StoreAdmin, Table};
use store_natsjs::{Nats, async_nats};
use tests::is_full;
use tests::servers::nats::Cluster;

/// Longer than a new leader takes where tests share two cores.
const PATIENCE: Duration = Duration::from_secs(30);

/// Within this nothing that may be repeated fails when a leader dies: the driver's own default.
const BUDGET: Duration = Duration::from_secs(10);

async fn open(url: &str) -> Arc<dyn StoreAdmin> {
    open_for(url, PATIENCE).await
}

async fn open_for(url: &str, timeout: Duration) -> Arc<dyn StoreAdmin> {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let builder = Nats::builder()
            .servers([url])
            .ignore_discovered_servers(true)
            .timeout(timeout)
            .attempt_timeout(Duration::from_secs(1));
        match builder.connect().await {
            Ok(store) => return Arc::new(store),
            // The nodes have to find each other first.
            Err(error) if Instant::now() > until => panic!("{error:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

async fn replicated(store: &Arc<dyn StoreAdmin>) -> Table {
    let name = Name::new("app").unwrap();
    let config = DatabaseConfig::new().with_replicas(3);
    let until = Instant::now() + Duration::from_secs(30);
    while let Err(error) = store.create_database(&name, &config).await {
        if error.kind() == ErrorKind::AlreadyExists {
            break;
        }
        assert!(Instant::now() < until, "{error:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    store.database("app").unwrap().table("t").unwrap()
}

async fn leader(store: &Arc<dyn StoreAdmin>) -> String {
    let status = store.database_status(&Name::new("app").unwrap()).await.unwrap();
    status.details["cluster"]["leader"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_reads_its_own_writes_also_after_it_changes_the_node() {
    let mut cluster = Cluster::start();
    let store = open(&cluster.url()).await;
    let t = replicated(&store).await;
    let pairs = async |from: u32, to: u32| {
        let tasks = (0..8).map(|task| {
            let t = t.clone();
            tokio::spawn(async move {
                let key = format!("k{task}");
                for i in from..to {
                    let value = i.to_string();
                    t.write(&key, &value).await.unwrap();
                    let read = t.read(&key).await.unwrap().map(|r| r.bytes());
                    assert_eq!(read.as_deref(), Some(value.as_bytes()), "a stale read");
                    if i % 16 == 0 {
                        let many = t.read_many(&[&key]).await.remove(0).unwrap().unwrap();
                        assert_eq!(many.value(), value.as_bytes(), "a stale batch read");
                        assert!(t.list().await.unwrap().contains(&key), "a stale listing");
                        t.delete(&key).await.unwrap();
                        assert!(t.read(&key).await.unwrap().is_none(), "a stale read");
                        assert!(!t.list().await.unwrap().contains(&key), "a stale listing");
                    }
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    };
    // Eight tasks: 12,000 pairs in a full run.
    let (many, few) = if is_full() { (1200, 100) } else { (400, 50) };
    pairs(0, many).await;
    // Whichever node the store is connected to goes away at some time.
    for node in 0..3 {
        cluster.nodes[node].stop();
        pairs(many + node as u32 * few, many + (node as u32 + 1) * few).await;
        cluster.nodes[node].restart();
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

/// More records than a server looks up by one request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_shows_its_stores_writes_and_waits_for_no_node_that_is_away() {
    let mut cluster = Cluster::start();
    let store = open(&cluster.url()).await;
    let t = replicated(&store).await;
    let keys: Vec<String> = (0..1500).map(|i| format!("k{i:04}")).collect();
    for written in t.write_many(keys.iter().map(|key| (key, "old"))).await {
        written.unwrap();
    }
    for away in 0..3 {
        cluster.nodes[away].kill();
        t.delete("k0000").await.unwrap();
        t.write("k0001", away.to_string()).await.unwrap();
        let since = Instant::now();
        assert_eq!(t.list().page_size(usize::MAX).await.unwrap(), keys[1..], "names");
        let records = t.scan().page_size(usize::MAX).await.unwrap();
        assert_eq!((records.len(), records[0].value()), (1499, away.to_string().as_bytes()));
        let mut any = t.list().any_order().page_size(100).await.unwrap();
        any.sort_unstable();
        assert_eq!(any, keys[1..], "in any order");
        // A leader may have to be found.
        assert!(since.elapsed() + Duration::from_secs(5) < PATIENCE, "{:?}", since.elapsed());
        cluster.nodes[away].restart();
        t.write("k0000", "back").await.unwrap();
        assert_eq!(t.list().prefix("k000").await.unwrap().len(), 10);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strong_reads_agree_across_nodes() {
    let cluster = Cluster::start();
    let mut stores = Vec::new();
    for node in &cluster.nodes {
        stores.push(open(&node.url()).await);
    }
    let writer = replicated(&stores[0]).await;
    for i in 0..if is_full() { 12_000 } else { 1500 } {
        let reader = stores[1 + i % 2].database("app").unwrap().table("t").unwrap();
        let value = i.to_string();
        writer.write("k", &value).await.unwrap();
        let read = reader.read("k").strong().await.unwrap().unwrap();
        assert_eq!(read.value(), value.as_bytes(), "pair {i}");
        if i % 100 == 0 {
            let key = format!("new{i}");
            writer.write(&key, "v").await.unwrap();
            assert!(reader.list().strong().await.unwrap().contains(&key), "listing {i}");
        }
    }
}

/// When the stream took a message again after it had no leader, by a client without any patience: how long that was.
async fn outage(url: String, until: Instant) -> Duration {
    let client = async_nats::connect(url).await.unwrap();
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    while Instant::now() < until {
        let ask = client.request("$KV.app.probe.p", "".into());
        let answer = tokio::time::timeout(Duration::from_millis(300), ask).await;
        if let Ok(Ok(answer)) = answer
            && answer.payload.starts_with(b"{\"stream\"")
        {
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    longest.max(last.elapsed())
}

/// Kills the leader under load and tells how long there was none. If that was clearly less than the budget, no call may have failed;
/// a watch misses nothing in any case, and nothing that was acknowledged is lost.
async fn leader_dies(cluster: &mut Cluster, run: u32) -> Duration {
    let store = open_for(&cluster.url(), BUDGET).await;
    let t = replicated(&store).await;
    let mut watch = t.watch().changes_only().await.unwrap();
    let until = Instant::now() + Duration::from_secs(16);
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let t = t.clone();
            tokio::spawn(async move {
                let (mut done, mut failed) = (Vec::new(), Vec::new());
                while Instant::now() < until {
                    let key = format!("{run}-{task}-{}", done.len() + failed.len());
                    match t.write(&key, "v").await {
                        Ok(_) => done.push(key.clone()),
                        Err(error) => failed.push(error),
                    }
                    match t.read(&key).await {
                        Ok(read) => assert!(read.is_some() || !failed.is_empty(), "{key} is lost"),
                        Err(error) => failed.push(error),
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                (done, failed)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let name = leader(&store).await;
    // By a node that stays, so that the client's own way is not what is measured.
    let stays = cluster.nodes.iter().enumerate().find(|(i, _)| format!("n{i}") != name);
    let probe = tokio::spawn(outage(stays.unwrap().1.url(), until));
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.named(&name).unwrap().kill();
    let (mut keys, mut failed) = (Vec::new(), Vec::new());
    for task in tasks {
        let (done, errors) = task.await.unwrap();
        keys.extend(done);
        failed.extend(errors);
    }
    let outage = probe.await.unwrap();
    if outage + Duration::from_secs(1) < BUDGET {
        assert!(
            failed.is_empty(),
            "{} failed, there was no leader for {outage:?}: {:?}",
            failed.len(),
            failed[0]
        );
    }
    for error in failed {
        assert!(error.kind().is_transient(), "{error:?}");
    }
    assert_ne!(leader(&store).await, name);
    for (key, read) in keys.iter().zip(t.read_many(&keys).await) {
        assert!(read.unwrap().is_some(), "{key} was acknowledged and is lost");
    }
    let mut missing: HashSet<String> = keys.into_iter().collect();
    let mut seen = HashSet::new();
    while !missing.is_empty() {
        let event = tokio::time::timeout(Duration::from_secs(30), watch.next());
        let event = event.await.expect("a watch that misses something").unwrap().unwrap();
        if let Some(key) = event.key() {
            assert!(seen.insert(key.to_owned()), "{key} came twice");
            missing.remove(key);
        }
    }
    cluster.named(&name).unwrap().restart();
    outage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_dies_under_load_and_nobody_notices_but_by_waiting() {
    let mut cluster = Cluster::start();
    let kills = if is_full() { 5 } else { 1 };
    let mut short = 0;
    // An election may take longer than the budget, when votes split; then the next has to show it.
    for run in 0..kills + 3 {
        let outage = leader_dies(&mut cluster, run).await;
        short += u32::from(outage + Duration::from_secs(1) < BUDGET);
        if short >= kills {
            return;
        }
    }
    panic!("only {short} elections took less than the budget of {BUDGET:?}");
}

/// A consumer that the server gives to a node that hangs never comes to be; by another name it may lie elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_does_not_wait_for_a_node_that_hangs() {
    let mut cluster = Cluster::start();
    let store = open(&cluster.nodes[0].url()).await;
    let t = replicated(&store).await;
    // So many that a listing takes a consumer.
    let keys: Vec<String> = (0..1500).map(|i| format!("k{i:04}")).collect();
    for written in t.write_many(keys.iter().map(|key| (key.as_str(), "v"))).await {
        written.unwrap();
    }
    let leader = leader(&store).await;
    // Neither the node that the store is connected to nor the one that leads.
    let hangs = if leader == "n2" { "n1" } else { "n2" };
    cluster.named(hangs).unwrap().pause();
    for turn in 0..10 {
        let since = Instant::now();
        let listed = t.list().limit(10_000).await;
        assert_eq!(
            listed.unwrap_or_else(|e| panic!("{turn}: {e:?}")),
            keys,
            "after {:?}",
            since.elapsed()
        );
    }
    cluster.named(hangs).unwrap().resume();
}

/// Without an answer a write is sent again, and the leader says of the first try that it is still under way: that is no refusal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_waits_for_hanging_followers_is_done_once() {
    let mut cluster = Cluster::start();
    let any = open(&cluster.url()).await;
    replicated(&any).await.write("old", "1").await.unwrap();
    let leader = leader(&any).await;
    let store = open(&cluster.named(&leader).unwrap().url()).await;
    let t = store.database("app").unwrap().table("t").unwrap();
    let old = t.read("old").await.unwrap().unwrap();
    t.increment("sum", 1).await.unwrap();
    let leads: usize = leader[1..].parse().unwrap();
    let followers = [(leads + 1) % 3, (leads + 2) % 3].map(|i| &cluster.nodes[i]);
    for node in followers {
        node.pause();
    }
    let hanging = async {
        let (created, changed, many, sum) = tokio::join!(
            t.write("new", "1").if_absent().into_future(),
            t.write("old", "2").if_revision(old.revision().unwrap()).into_future(),
            t.write_many([("a", "1"), ("b", "2")]).into_future(),
            t.increment("sum", 1).into_future(),
        );
        created.unwrap();
        changed.unwrap();
        for written in many {
            written.unwrap();
        }
        assert_eq!(sum.unwrap().value, 2);
    };
    let resuming = async {
        // Longer than one try, shorter than a leader without followers stays one.
        tokio::time::sleep(Duration::from_secs(4)).await;
        for node in followers {
            node.resume();
        }
    };
    tokio::join!(hanging, resuming);
    assert_eq!(t.list().strong().await.unwrap(), ["a", "b", "new", "old", "sum"]);
    assert_eq!(t.increment("sum", 1).await.unwrap().value, 3);
}
