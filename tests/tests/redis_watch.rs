//! What a watch of the layout `table` tells when its changelog has ended meanwhile, or a server that does not answer is in its way.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use store_core::{Admin, Database, Event, EventStream, Revision, Store, Table};
use store_redis::{Config, Redis};
use tests::redis::config;
use tests::servers::redis::Server;

async fn open(config: Config) -> (Admin, Database) {
    let redis = Arc::new(Redis::connect(config).await.unwrap());
    let store: Arc<dyn Store> = Arc::<Redis>::clone(&redis);
    (Admin::new(redis), Database::new(&store, "app").unwrap())
}

async fn next(watch: &mut EventStream) -> Event {
    let event = tokio::time::timeout(Duration::from_secs(10), watch.next()).await;
    event.expect("an event in time").expect("no end").unwrap()
}

/// What a watch tells that goes on after a revision, up to its `Synced`.
async fn resumed(table: &Table, after: Revision) -> Vec<Event> {
    let mut watch = table.watch().after(after).await.unwrap();
    let mut told = Vec::new();
    loop {
        match next(&mut watch).await {
            Event::Synced { .. } => return told,
            event => told.push(event),
        }
    }
}

fn ends_a(event: &Event) -> bool {
    matches!(event, Event::Delete { key, .. } if key == "a")
}

async fn until_forgotten(server: &Server, table: &str) {
    for _ in 0..100 {
        if server.command(&["EXISTS", &format!("{{app/{table}}}#l")]).trim().ends_with('0') {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the changelog is still there");
}

/// How a record can end, each beside a watcher, so that the changelog has it.
#[tokio::test]
async fn what_ended_in_a_changelog_that_ended_too_is_not_missed() {
    let server = Server::start();
    let config = config(server.port()).with_watch_keep(Duration::from_secs(2));
    let (admin, database) = open(config).await;
    for way in ["deleted", "batch", "expired", "evicted", "dropped"] {
        let table = database.table(way).unwrap();
        for key in ["a", "b"] {
            table.write(key, "v").await.unwrap();
        }
        let mut watch = table.watch().changes_only().await.unwrap();
        let write = table.write("a", "w");
        let write = if way == "expired" { write.ttl(Duration::from_millis(300)) } else { write };
        let before = write.await.unwrap().revision.unwrap();
        match way {
            "deleted" => drop(table.delete("a").await.unwrap()),
            "batch" => drop(table.batch().delete("a").write("c", "v").commit().await.unwrap()),
            "evicted" => {
                server.command(&["DEL", "{app/evicted}:a"]);
                assert_eq!(table.list().await.unwrap(), ["b"]);
            }
            "dropped" => admin.delete_table("app", way).await.unwrap(),
            _ => {}
        }
        while !ends_a(&next(&mut watch).await) {}
        let told = resumed(&table, before).await;
        assert!(told.iter().any(ends_a), "{way}: as long as the changelog is there: {told:?}");
        assert!(
            !told.contains(&Event::Resync),
            "{way}: as long as the changelog is there: {told:?}"
        );
        drop(watch);
        until_forgotten(&server, way).await;
        let told = resumed(&table, before).await;
        assert_eq!(told[0], Event::Resync, "{way}: a watch that goes on after {before}: {told:?}");
        // Who begins after that misses nothing by going on, though the changelog has ended again.
        let after = table.write("d", "v").await.unwrap().revision.unwrap();
        until_forgotten(&server, way).await;
        table.write("e", "v").await.unwrap();
        let told = resumed(&table, after).await;
        assert!(
            matches!(&told[..], [Event::Put(record)] if record.key() == "e"),
            "{way}: {told:?}"
        );
    }
}

#[tokio::test]
async fn a_value_that_could_not_be_read_is_told_when_the_server_answers_again() {
    let server = Server::start();
    let config = config(server.port()).with_answer_timeout(Duration::from_millis(300));
    let table = open(config).await.1.table("t").unwrap();
    let mut watch = table.watch().changes_only().await.unwrap();
    table.write("first", "v").await.unwrap();
    assert!(matches!(next(&mut watch).await, Event::Put(record) if record.key() == "first"));
    // It has read all of the changelog, and waits for more.
    assert!(tokio::time::timeout(Duration::from_millis(300), watch.next()).await.is_err());
    // Too large for the changelog, so that the watcher reads it; it does not before its stream is polled.
    table.write("large", vec![7; 4096]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.pause();
    let early = tokio::time::timeout(Duration::from_millis(2500), watch.next()).await;
    server.resume();
    assert!(early.is_err(), "{early:?}");
    assert!(matches!(next(&mut watch).await, Event::Put(record) if record.value().len() == 4096));
}
