//! Real Sentinels: how the primary is found, and what a failover in the middle of the work leaves behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::collections::HashSet;
use std::time::{Duration, Instant};

use store_core::config::Registry;
use store_core::{ErrorKind, Outcome, Table};
use tests::servers::redis_sentinel::{NAME, PATIENCE, Watched};

async fn open(watched: &Watched, primary: &str) -> store_core::Result<Table> {
    let hosts = watched.sentinels().join(",");
    let url = format!("redis+sentinel://{hosts}/app?primary={primary}");
    let opened = Registry::new().with(store_redis::driver()).open(&url).await?;
    opened.handle()?.table("t")
}

/// Writes until it works. What is refused meanwhile passes.
async fn until_served(table: &Table, key: &str) -> store_core::Revision {
    let begun = Instant::now();
    loop {
        match table.write(key, "v").await {
            Ok(written) => return written.revision.unwrap(),
            Err(error) => {
                assert!(error.kind().is_transient(), "{error}");
                assert!(begun.elapsed() < PATIENCE, "nobody has taken over: {error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_primary_is_found_and_found_again_when_it_changes() {
    let mut watched = Watched::start();
    let error = open(&watched, "invoices").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.message().contains("invoices"), "{error}");

    // One Sentinel that is away stops nobody.
    watched.sentinel(0).kill();
    let table = open(&watched, NAME).await.unwrap();
    table.write("k", "v").await.unwrap();
    assert!(watched.servers[0].command(&["EXISTS", "{app/t}:k"]) == ":1");
    watched.sentinel(0).restart();

    // A failover by hand: nobody dies, the primary becomes a replica.
    watched.eventually("the replica has it", || {
        watched.servers[1].command(&["EXISTS", "{app/t}:k"]) == ":1"
    });
    // A Sentinel that does not trust the replica yet says so; one that the machine holds up gives up and has to be asked again.
    watched.eventually("the other one is the primary", || {
        watched.primary() == 1 || {
            watched.at(2).command(&["SENTINEL", "FAILOVER", NAME]);
            false
        }
    });
    // Until it is told, the old one takes writes, and loses them: Redis promises no more.
    watched.eventually("the old one follows it", || watched.servers[0].info("role") == "slave");
    until_served(&table, "after").await;
    assert_eq!(watched.servers[1].command(&["EXISTS", "{app/t}:after"]), ":1");
    assert_eq!(table.value("k").await.unwrap().as_deref(), Some(&b"v"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_in_the_middle_of_batches_leaves_whole_batches_and_no_conflict() {
    let mut watched = Watched::start();
    let table = open(&watched, NAME).await.unwrap();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let table = table.clone();
            tokio::spawn(async move {
                let (mut given, mut unknown) = (Vec::new(), 0);
                let begun = Instant::now();
                for i in 0.. {
                    let (a, b) = (format!("{writer}-{i:06}-a"), format!("{writer}-{i:06}-b"));
                    let large = vec![b'x'; 10_000];
                    // The second passes by the scripts: it waits at a key of its own.
                    let done = table.batch().write(&a, "v").write(&b, large).commit().await;
                    match done {
                        Ok(written) => {
                            given.extend(written.iter().filter_map(|written| written.revision));
                        }
                        Err(error) => {
                            assert_ne!(error.kind(), ErrorKind::Conflict, "{error}");
                            assert!(error.kind().is_transient(), "{error}");
                            unknown += usize::from(error.outcome() == Outcome::Unknown);
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    }
                    if begun.elapsed() > Duration::from_secs(8) {
                        break;
                    }
                }
                (given, unknown)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(700)).await;
    watched.servers[0].kill();
    let mut given = HashSet::new();
    let mut unknown = 0;
    for writer in writers {
        let (revisions, lost) = writer.await.unwrap();
        unknown += lost;
        for revision in revisions {
            assert!(given.insert(revision), "a revision was given out twice");
        }
    }
    println!("{} revisions, {unknown} batches of unknown outcome", given.len());
    watched.eventually("the replica has taken over", || watched.primary() == 1);
    assert!(given.insert(until_served(&table, "last").await));

    // Every batch is there as a whole or not at all, and the listing is what can be read.
    let keys = table.list().limit(1_000_000).await.unwrap();
    let listed: HashSet<&str> = keys.iter().map(String::as_str).collect();
    for key in &keys {
        if let Some(batch) = key.strip_suffix("-a") {
            assert!(listed.contains(&*format!("{batch}-b")), "half of batch {batch}");
        }
        if let Some(batch) = key.strip_suffix("-b") {
            assert!(listed.contains(&*format!("{batch}-a")), "half of batch {batch}");
        }
    }
    for (key, value) in keys.iter().zip(table.values(&keys).await) {
        assert!(value.unwrap().is_some(), "{key} is listed and has no value");
    }
}
