//! A real cluster of three primaries with a replica each: the suite, a slot that moves while it is used, a primary that dies.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use store_core::config::Registry;
use store_core::conformance::{Options, run_blocking};
use store_core::{ErrorKind, Event, Outcome, Store, StoreAdmin, Table};
use store_redis::{Config, Layout, Redis, Template};
use tests::redis::ClusterTarget;
use tests::servers::redis_cluster::Cluster;

async fn open(config: Config) -> Table {
    let store: Arc<dyn Store> = Arc::new(Redis::connect(config).await.unwrap());
    store.database("app").unwrap().table("t").unwrap()
}

#[test]
fn conformance_in_a_cluster() {
    let report = run_blocking(ClusterTarget::start(), Options::default());
    println!("{report}");
    assert!(report.is_green(), "not green: see the report above");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_while_it_is_used_loses_nothing() {
    let cluster = Cluster::start();
    let url = format!("redis+cluster://{}/app", cluster.addresses().join(","));
    let opened = Registry::new().with(store_redis::driver()).open(&url).await.unwrap();
    let table = opened.handle().unwrap().table("t").unwrap();
    for i in 0..300 {
        table.write(&format!("before-{i:03}"), "v").await.unwrap();
    }
    table.write("large", vec![7; 50_000]).await.unwrap();
    let mut events = table.watch().changes_only().await.unwrap();
    let from = cluster.owner(0, "{app/t}:before-000");
    let to = (from + 1) % 3;

    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (table, stop) = (table.clone(), Arc::clone(&stop));
        async move {
            let (mut written, mut counted, mut refused) = (BTreeSet::new(), 0, 0);
            let mut i = 0;
            while !stop.load(Ordering::Relaxed) {
                i += 1;
                let key = format!("during-{i:06}");
                // A batch, a counter, a large value: each either done or not at all.
                let batch = table.batch().write(&key, "v").write("last", &key).commit().await;
                let counter = table.increment("n", 1).await;
                counted += i64::from(counter.is_ok());
                let large = table.write("large", vec![i as u8; 20_000]).await;
                match &batch {
                    Ok(_) => assert!(written.insert(key)),
                    Err(_) => refused += 1,
                }
                for error in [batch.err(), counter.err(), large.err()].into_iter().flatten() {
                    assert_eq!(
                        (error.kind(), error.outcome()),
                        (ErrorKind::Unavailable, Outcome::NotApplied),
                        "{error}"
                    );
                }
            }
            (written, counted, refused)
        }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let cluster = tokio::task::spawn_blocking(move || {
        let pause = || std::thread::sleep(Duration::from_millis(300));
        cluster.migrate("{app/t}:before-000", from, to, pause);
        cluster
    });
    let cluster = cluster.await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    let (written, counted, refused) = writer.await.unwrap();
    assert_eq!(cluster.owner(from, "{app/t}:before-000"), to);
    println!("{} batches written, {refused} refused while the slot moved", written.len());

    assert_eq!(table.increment("n", 0).await.unwrap().value, counted, "each increment once");
    let listed: BTreeSet<String> =
        table.list().prefix("during-").limit(1_000_000).await.unwrap().into_iter().collect();
    assert_eq!(listed, written, "listed is what was acknowledged");
    assert_eq!(table.list().prefix("before-").limit(1000).await.unwrap().len(), 300);
    for key in &written {
        assert!(table.value(key).await.unwrap().is_some(), "{key}");
    }
    assert_eq!(table.value("large").await.unwrap().unwrap().len(), 20_000);
    // The watch has followed the slot: it ends with the last batch, or begins anew and says so.
    let last = written.last().unwrap();
    let seen = async {
        loop {
            match events.next().await.unwrap().unwrap() {
                Event::Put(record) if record.key() == *last => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("the watch goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_primary_dies_its_replica_serves_and_nothing_that_it_had_is_lost() {
    let mut cluster = Cluster::start();
    let config = Config::cluster(cluster.addresses()).with_wait_replicas(1);
    let table = open(config).await;
    let mut given = HashSet::new();
    for i in 0..100 {
        let written = table.write(&format!("k{i:03}"), "v").await.unwrap();
        assert!(given.insert(written.revision.unwrap()));
    }
    let stale = table.read("k000").await.unwrap().unwrap().revision().unwrap();
    let dies = cluster.owner(0, "{app/t}:k000");
    cluster.server(dies).kill();

    let begun = Instant::now();
    // Its only replica takes over: from then on there is none to wait for.
    let store: Arc<dyn Store> =
        Arc::new(Redis::lazy(Config::cluster(cluster.addresses())).unwrap());
    let table = store.database("app").unwrap().table("t").unwrap();
    let mut refused = 0;
    let revision = loop {
        assert!(begun.elapsed() < Duration::from_mins(2), "nobody has taken over");
        let asked = Instant::now();
        match table.write("after", "v").await {
            Ok(written) => break written.revision.unwrap(),
            Err(error) => {
                assert!(error.kind().is_transient(), "{error}");
                assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
                refused += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    println!("served again after {:?}, {refused} calls refused", begun.elapsed());
    assert!(given.insert(revision), "a revision was given out twice");
    assert!(given.iter().all(|one| one.sequence() <= revision.sequence()), "revisions go up");
    assert_eq!(table.list().prefix("k").limit(1000).await.unwrap().len(), 100);
    for i in 0..100 {
        assert!(table.read(&format!("k{i:03}")).await.unwrap().is_some());
    }
    table.write("k000", "w").if_revision(stale).await.unwrap();
    let again = table.write("k000", "x").if_revision(stale).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict, "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_a_cluster_that_says_nothing_wait_together() {
    let mut members = Vec::new();
    for _ in 0..6 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        members.push(listener.local_addr().unwrap().to_string());
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                held.push(connection);
            }
        });
    }
    let patience = Duration::from_millis(600);
    let config = Config::cluster(members).with_connect_timeout(patience);
    let store: Arc<dyn Store> = Arc::new(Redis::lazy(config).unwrap());
    let table = store.database("app").unwrap().table("t").unwrap();
    let begun = Instant::now();
    let calls: Vec<_> = (0..50)
        .map(|i| {
            let table = table.clone();
            tokio::spawn(async move { table.read(&format!("k{i}")).await })
        })
        .collect();
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    assert!(begun.elapsed() < 2 * patience, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_a_cluster_cannot_do_is_said() {
    let config = || Config::cluster(["127.0.0.1:1"]);
    let plain = Layout::Plain(Template::key());
    for (config, names) in [
        (config().with_layout(plain), "plain"),
        (config().with_db(3), "numbered"),
        (Config::cluster(["/a/socket"]), "host"),
    ] {
        let error = Redis::lazy(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.message().contains(names), "{error}");
    }
}

#[tokio::test]
async fn tables_of_all_servers_are_one_store_and_a_member_alone_is_no_store() {
    let cluster = Cluster::start();
    // Any member will do to begin with, a replica too.
    let some = cluster.addresses().pop().unwrap();
    let redis = Redis::connect(Config::cluster([some.clone()])).await.unwrap();
    let store: Arc<dyn StoreAdmin> = Arc::new(redis);
    let names: Vec<String> = (0..40).map(|i| format!("t{i:02}")).collect();
    let mut owners = BTreeSet::new();
    for name in &names {
        store.database("app").unwrap().table(name).unwrap().write("k", "v").await.unwrap();
        owners.insert(cluster.owner(0, &format!("{{app/{name}}}:k")));
    }
    assert_eq!(owners, BTreeSet::from([0, 1, 2]), "tables on every primary");
    let admin = store_core::Admin::new(Arc::clone(&store));
    assert_eq!(admin.tables("app").await.unwrap(), names);
    admin.delete("app").await.unwrap();
    assert_eq!(admin.tables("app").await.unwrap(), [""; 0]);
    for primary in cluster.primaries() {
        assert!(!primary.command(&["KEYS", "*:k"]).contains(":k"), "a record was left");
    }

    let error = Redis::connect(Config::new(some)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.message().contains("redis+cluster://"), "{error}");
    let single = tests::servers::redis::Server::start();
    let error = Redis::connect(Config::cluster([single.address()])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.message().contains("redis://"), "{error}");
}
