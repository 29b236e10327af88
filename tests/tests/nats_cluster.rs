//! The NATS driver on three servers that replicate.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use store_core::{DatabaseConfig, Name, StoreAdmin, Table};
use store_natsjs::Nats;
use tests::servers::nats::Cluster;

/// As long as a new leader may take here: 4 to 8 s on an idle machine, more where tests share two cores.
const BUDGET: Duration = Duration::from_secs(30);

async fn open(url: &str) -> Arc<dyn StoreAdmin> {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let builder = Nats::builder()
            .servers([url])
            .ignore_discovered_servers(true)
            .timeout(BUDGET)
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
    pairs(0, 750).await;
    // Whichever node the store is connected to goes away at some time.
    for node in 0..3 {
        cluster.nodes[node].stop();
        pairs(750 + node as u32 * 50, 800 + node as u32 * 50).await;
        cluster.nodes[node].restart();
        tokio::time::sleep(Duration::from_secs(3)).await;
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
    for i in 0..1500 {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_dies_under_load_and_nobody_notices_but_by_waiting() {
    let mut cluster = Cluster::start();
    let store = open(&cluster.url()).await;
    let t = replicated(&store).await;
    let mut watch = t.watch().changes_only().await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let t = t.clone();
            tokio::spawn(async move {
                let mut done = Vec::new();
                let until = Instant::now() + Duration::from_secs(12);
                while Instant::now() < until {
                    let key = format!("{task}-{}", done.len());
                    t.write(&key, "v").await.unwrap();
                    assert!(t.read(&key).await.unwrap().is_some());
                    done.push(key);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                done
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let name = leader(&store).await;
    cluster.named(&name).unwrap().kill();
    let mut keys = Vec::new();
    for task in tasks {
        keys.extend(task.await.unwrap());
    }
    assert_ne!(leader(&store).await, name);
    for (key, read) in keys.iter().zip(t.read_many(&keys).await) {
        assert!(read.unwrap().is_some(), "{key} was acknowledged and is lost");
    }
    let mut seen = std::collections::HashSet::new();
    while seen.len() < keys.len() {
        let event = tokio::time::timeout(
            Duration::from_secs(20),
            futures_util::StreamExt::next(&mut watch),
        );
        let event = event.await.expect("a watch that misses something").unwrap().unwrap();
        if let Some(key) = event.key() {
            assert!(seen.insert(key.to_owned()), "{key} came twice");
        }
    }
}
