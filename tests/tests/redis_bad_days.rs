//! What goes wrong with real servers, and what the driver makes of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt as _;
use store_core::{
    Admin, Database, DatabaseConfig, ErrorKind, Event, Gone, Outcome, Store, StoreAdmin, Table,
};
use store_redis::{Config, Redis};
use tests::redis::config;
use tests::servers::proxy::{Proxy, Way};
use tests::servers::redis::Server;

async fn open(config: Config) -> (Redis, Table) {
    let redis = Redis::connect(config).await.unwrap();
    let table = table(&redis);
    (redis, table)
}

fn table(redis: &Redis) -> Table {
    let store: Arc<dyn Store> = Arc::new(redis.clone());
    Database::new(&store, "app").unwrap().table("t").unwrap()
}

async fn value(table: &Table, key: &str) -> Option<Vec<u8>> {
    table.read(key).await.unwrap().map(|record| record.value().to_vec())
}

#[tokio::test]
async fn a_server_that_forgot_everything_gives_out_no_revision_twice() {
    let mut server = Server::start();
    let (redis, table) = open(config(server.port())).await;
    let mut given = HashSet::new();
    for i in 0..50 {
        given.insert(table.write("k", format!("{i}")).await.unwrap().revision.unwrap());
    }
    let last = table.read("k").await.unwrap().unwrap().revision().unwrap();
    let mut events = table.watch().changes_only().await.unwrap();
    server.kill();
    let error = table.write("k", "lost").await.unwrap_err();
    assert!(error.kind().is_transient(), "{error}");
    server.restart();
    assert_eq!(value(&table, "k").await, None);
    let stale = table.write("k", "stale").if_revision(last).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Conflict, "{stale}");
    for i in 0..50 {
        let revision = table.write("k", format!("{i}")).await.unwrap().revision.unwrap();
        assert!(given.insert(revision), "{revision} again");
    }
    let resynced = async {
        while let Some(event) = events.next().await {
            if event.unwrap() == Event::Resync {
                return;
            }
        }
        panic!("the watch ended");
    };
    tokio::time::timeout(Duration::from_secs(5), resynced).await.expect("the watch was told");
    redis.close().await.unwrap();
}

#[tokio::test]
async fn a_server_that_lost_its_latest_writes_gives_out_no_revision_twice() {
    let mut server = Server::with(&["--save", "3600 1000000"]);
    let (_redis, table) = open(config(server.port())).await;
    let mut given = HashSet::new();
    given.insert(table.write("k", "kept").await.unwrap().revision.unwrap());
    server.command(&["SAVE"]);
    let mut lost = None;
    for _ in 0..100 {
        lost = table.write("k", "lost").await.unwrap().revision;
        given.insert(lost.unwrap());
    }
    server.kill();
    server.restart();
    assert_eq!(value(&table, "k").await.as_deref(), Some(&b"kept"[..]));
    // As many as were lost: without care one of these would be the lost one, and the last write here would succeed.
    for _ in 0..100 {
        let revision = table.write("k", "new").await.unwrap().revision.unwrap();
        assert!(given.insert(revision), "{revision} again");
    }
    let stale = table.write("k", "stale").if_revision(lost.unwrap()).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn what_the_server_promised_to_keep_is_there_after_a_crash() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (_redis, table) = open(config(server.port())).await;
    let mut revisions = Vec::new();
    for i in 0..100 {
        let written = table.write(&format!("k{i:03}"), "v").ttl(Duration::from_hours(1)).await;
        revisions.push(written.unwrap().revision);
    }
    table.increment("n", 7).await.unwrap();
    server.kill();
    server.restart();
    let page = table.scan().limit(1000).page().await.unwrap();
    assert_eq!(page.items.len(), 101);
    for (record, revision) in page.items.iter().zip(revisions) {
        assert_eq!(record.revision(), revision, "{}", record.key());
        assert!(record.expires_at().is_some());
    }
    assert_eq!(table.increment("n", 1).await.unwrap().value, 8);
}

#[tokio::test]
async fn forgotten_scripts_are_loaded_again() {
    let server = Server::start();
    let (redis, table) = open(config(server.port())).await;
    let large = vec![7; 100_000];
    table.write("k", "v").await.unwrap();
    for round in 0..2 {
        server.command(&["SCRIPT", "FLUSH"]);
        table.write("large", &large).await.unwrap();
        server.command(&["SCRIPT", "FLUSH"]);
        for written in table.write_many([("a", "1"), ("b", "2")]).await {
            written.unwrap();
        }
        server.command(&["SCRIPT", "FLUSH"]);
        assert_eq!(table.list().page().await.unwrap().items.len(), 4 + usize::from(round > 0));
        server.command(&["SCRIPT", "FLUSH"]);
        assert_eq!(table.increment("n", 1).await.unwrap().value, round + 1);
        server.command(&["SCRIPT", "FLUSH"]);
        assert_eq!(Admin::new(Arc::new(redis.clone())).tables("app").await.unwrap(), ["t"]);
    }
    assert_eq!(value(&table, "large").await, Some(large));
    // Nothing that waited is left behind.
    assert!(!server.command(&["KEYS", "*~*"]).contains('~'));
}

#[tokio::test]
async fn a_dead_server_is_an_error_within_a_second_and_its_return_is_noticed() {
    let mut server = Server::start();
    let (_redis, table) = open(config(server.port())).await;
    table.write("k", "v").await.unwrap();
    server.kill();
    let begun = Instant::now();
    let calls: Vec<_> = (0..100)
        .map(|i| {
            let table = table.clone();
            tokio::spawn(async move { table.write(&format!("k{i}"), "v").await })
        })
        .collect();
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        assert!(error.kind().is_transient(), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    server.restart();
    table.write("k", "back").await.unwrap();
    assert_eq!(value(&table, "k").await.as_deref(), Some(&b"back"[..]));
}

#[tokio::test]
async fn a_call_waits_for_a_server_that_returns_as_long_as_it_was_told_to() {
    let mut server = Server::start();
    let patient = config(server.port())
        .with_connect_attempts(100)
        .with_reconnect_pause(Duration::from_millis(20));
    let (_redis, table) = open(patient).await;
    table.write("k", "v").await.unwrap();
    server.kill();
    let call = tokio::spawn({
        let table = table.clone();
        async move { table.exists("k").await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!call.is_finished());
    server.restart();
    call.await.unwrap().unwrap();
    table.write("k", "back").await.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_not_asked_by_every_call() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            drop(connection);
        }
    });
    let store = Redis::lazy(config(port).with_reconnect_pause(Duration::from_mins(1))).unwrap();
    let table = (Arc::new(store) as Arc<dyn Store>).database("app").unwrap().table("t").unwrap();
    for _ in 0..100 {
        let error = table.write("k", "v").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_retryable());
    }
    assert_eq!(accepted.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_a_timeout_and_the_next_call_connects_anew() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let patience = Duration::from_millis(300);
    let (_redis, table) = open(config(proxy.port()).with_answer_timeout(patience)).await;
    table.write("k", "v").await.unwrap();
    let before = proxy.accepted();
    proxy.set(Way::Silent);
    let begun = Instant::now();
    let error = table.increment("n", 1).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Unknown), "{error}");
    assert!(!error.is_retryable());
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    proxy.set(Way::Open);
    table.write("k", "w").await.unwrap();
    assert!(proxy.accepted() > before, "the silent connection is not used again");
}

#[tokio::test]
async fn calls_share_one_connection() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let (_redis, table) = open(config(proxy.port())).await;
    let calls = (0..200).map(|i| {
        let table = table.clone();
        tokio::spawn(async move { table.write(&format!("k{i}"), "v").await.map(drop) })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_the_outcome_open_and_is_no_conflict() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let (_redis, table) = open(config(proxy.port())).await;
    table.write("k", "v").await.unwrap();
    proxy.set(Way::CutReplies);
    let error = table.write("new", "v").if_absent().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
    proxy.set(Way::Open);
    assert_eq!(value(&table, "new").await.as_deref(), Some(&b"v"[..]), "it did happen");
}

#[tokio::test]
async fn another_type_at_a_records_key_is_an_error_of_its_own() {
    let server = Server::start();
    let (_redis, table) = open(config(server.port())).await;
    table.write("good", "v").await.unwrap();
    table.write("bad", "v").await.unwrap();
    server.command(&["DEL", "{app/t}:bad"]);
    server.command(&["LPUSH", "{app/t}:bad", "x"]);
    let corrupt =
        |error: store_core::Error| assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    corrupt(table.read("bad").await.unwrap_err());
    corrupt(table.increment("bad", 1).await.unwrap_err());
    corrupt(table.write("bad", "w").if_value(b"v".as_slice()).await.unwrap_err());
    corrupt(table.value("bad").await.unwrap_err());
    let many = table.read_many(&["good", "bad"]).await;
    assert!(many[0].is_ok());
    corrupt(many.into_iter().nth(1).unwrap().unwrap_err());
    let values = table.values(&["good", "none", "bad"]).await;
    assert_eq!(values[0].as_ref().unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(values[1].as_ref().unwrap(), &None);
    corrupt(values.into_iter().nth(2).unwrap().unwrap_err());
    let created = table.write("bad", "w").if_absent().await.unwrap_err();
    assert_eq!(created.kind(), ErrorKind::Conflict);
    let page = table.scan().page().await.unwrap();
    assert_eq!((page.items.len(), page.faults.len()), (1, 1), "one bad record fails no scan");
    assert_eq!(page.faults[0].key(), Some("bad"));
    table.write("bad", "mended").await.unwrap();
    assert_eq!(value(&table, "bad").await.as_deref(), Some(&b"mended"[..]));
}

#[tokio::test]
async fn a_policy_that_evicts_anything_is_warned_of() {
    let evicting = Server::with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let (redis, _) = open(config(evicting.port())).await;
    assert!(redis.warnings().iter().any(|warning| warning.contains("allkeys-lru")));
    let sound = Server::with(&["--maxmemory", "100mb", "--maxmemory-policy", "noeviction"]);
    let (redis, _) = open(config(sound.port())).await;
    assert_eq!(redis.warnings(), [""; 0]);
}

#[tokio::test]
async fn a_full_server_refuses_writes_and_still_deletes() {
    let server = Server::start();
    let (_redis, table) = open(config(server.port())).await;
    for key in ["a", "b", "c"] {
        table.write(key, "v").await.unwrap();
    }
    let before = table.read("a").await.unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for error in [
        table.write("a", "w").await.unwrap_err(),
        table.write("a", "w").if_value(b"v".as_slice()).await.unwrap_err(),
        table.write("large", vec![0; 20_000]).await.unwrap_err(),
        table.increment("n", 1).await.unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::Full, Outcome::NotApplied),
            "{error}"
        );
    }
    assert_eq!(table.read("a").await.unwrap(), before, "a refused write changes nothing");
    table.delete("b").await.unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(table.list().page().await.unwrap().items, ["a", "c"]);
    table.write("a", "w").await.unwrap();
}

#[tokio::test]
async fn a_replica_serves_reads_and_refuses_writes() {
    let primary = Server::start();
    let (_first, table) = open(config(primary.port())).await;
    table.write("k", "v").await.unwrap();
    let port = primary.port().to_string();
    let replica = Server::with(&["--replicaof", "127.0.0.1", &port]);
    let until = Instant::now() + Duration::from_secs(10);
    while replica.info("master_link_status") != "up" && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (redis, copy) = open(config(replica.port())).await;
    assert!(!redis.warnings().is_empty());
    assert_eq!(value(&copy, "k").await.as_deref(), Some(&b"v"[..]));
    assert_eq!(copy.list().page().await.unwrap().items, ["k"]);
    let error = copy.write("k", "w").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    // The primary knows of one replica: two cannot have a change, and that is said.
    let (_second, careful) = open(config(primary.port()).with_wait_replicas(1)).await;
    careful.write("k", "both").await.unwrap();
    assert_eq!(value(&copy, "k").await.as_deref(), Some(&b"both"[..]));
    let two = config(primary.port())
        .with_wait_replicas(2)
        .with_answer_timeout(Duration::from_millis(400));
    let (_third, strict) = open(two).await;
    let error = strict.write("k", "all").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
}

#[tokio::test]
async fn rights_that_are_missing_are_named() {
    let server = Server::start();
    server.command(&["ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@all", "-@scripting"]);
    let (_redis, owner) = open(config(server.port())).await;
    owner.write("k", "v").await.unwrap();
    let reader = config(server.port()).with_username("reader").with_password("pw");
    let (_reader, table) = open(reader).await;
    assert_eq!(value(&table, "k").await.as_deref(), Some(&b"v"[..]));
    let error = table.write("k", "w").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::PermissionDenied, Outcome::NotApplied));
    assert!(error.message().contains("EVALSHA"), "{error}");
    let wrong = config(server.port()).with_username("reader").with_password("hunter2");
    let error = Redis::connect(wrong).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn what_others_write_is_read_at_once_and_listed_after_a_reindex() {
    let server = Server::start();
    let (redis, table) = open(config(server.port())).await;
    table.write("ours", "v").await.unwrap();
    server.command(&["SET", "{app/t}:theirs", "x"]);
    server.command(&["SET", "{app/t}:soon", "x", "PX", "600000"]);
    server.command(&["SET", "{app/t}", "no record"]);
    server.command(&["LPUSH", "{app/t}:list", "x"]);
    let record = table.read("theirs").await.unwrap().unwrap();
    assert_eq!((record.value(), record.revision()), (&b"x"[..], None));
    let created = table.write("theirs", "y").if_absent().await.unwrap_err();
    assert_eq!(created.kind(), ErrorKind::Conflict);
    assert_eq!(table.list().page().await.unwrap().items, ["ours"]);
    assert_eq!(redis.reindex(table.namespace()).await.unwrap(), 2);
    assert_eq!(redis.reindex(table.namespace()).await.unwrap(), 0);
    assert_eq!(table.list().page().await.unwrap().items, ["ours", "soon", "theirs"]);
    let soon = table.read("soon").await.unwrap().unwrap();
    assert!(soon.revision().is_some() && soon.ttl().unwrap() > Duration::from_secs(500));
}

#[tokio::test]
async fn what_others_delete_leaves_the_listing_at_once_and_the_index_with_it() {
    let server = Server::start();
    let (_redis, table) = open(config(server.port())).await;
    for key in ["a", "b", "c"] {
        table.write(key, "v").await.unwrap();
    }
    let mut events = table.watch().changes_only().await.unwrap();
    server.command(&["DEL", "{app/t}:b"]);
    assert_eq!(table.list().page().await.unwrap().items, ["a", "c"]);
    assert_eq!(server.command(&["ZCARD", "{app/t}#i"]), ":2");
    assert_eq!(server.command(&["HLEN", "{app/t}#m"]), ":2");
    let event = tokio::time::timeout(Duration::from_secs(2), events.next()).await.unwrap();
    let is_gone = matches!(
        event.unwrap().unwrap(),
        Event::Delete { key, reason: Gone::Evicted, .. } if key == "b"
    );
    assert!(is_gone);
}

#[tokio::test]
async fn a_database_that_another_process_changes_is_changed_for_all_at_once() {
    let server = Server::start();
    let (one, mine) = open(config(server.port())).await;
    let (two, theirs) = open(config(server.port())).await;
    let (one, two) = (Admin::new(Arc::new(one)), Admin::new(Arc::new(two)));
    mine.write("k", "v").await.unwrap();
    theirs.write("k", "v").await.unwrap();
    let hour =
        DatabaseConfig::new().with_default_ttl(Duration::from_hours(1)).with_max_value_len(10);
    two.update("app", &hour).await.unwrap();
    mine.write("k", "v").await.unwrap();
    assert!(mine.read("k").await.unwrap().unwrap().expires_at().is_some());
    let error = mine.write("k", "longer than ten").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let old = mine.write("k", "v").await.unwrap().revision.unwrap();
    two.delete("app").await.unwrap();
    assert!(one.list().await.unwrap().is_empty());
    assert_eq!(value(&mine, "k").await, None);
    mine.write("k", "longer than ten").await.unwrap();
    let record = theirs.read("k").await.unwrap().unwrap();
    assert!(record.expires_at().is_none() && record.revision() != Some(old));
    assert_eq!(two.tables("app").await.unwrap(), ["t"]);
}

#[tokio::test]
async fn expiry_is_an_event_in_time_among_very_many_other_expiring_keys() {
    let server = Server::start();
    let (_redis, table) = open(config(server.port())).await;
    for from in (0..1_000_000).step_by(50_000) {
        let fill = "for i=ARGV[1],ARGV[1]+49999 do redis.call('SET','other'..i,'v','EX',3600) end";
        server.command(&["EVAL", fill, "0", &from.to_string()]);
    }
    let mut events = table.watch().changes_only().await.unwrap();
    let due = SystemTime::now() + Duration::from_millis(1500);
    for i in 0..200 {
        table.write(&format!("k{i}"), "v").expires_at(due).await.unwrap();
    }
    let mut gone = 0;
    while gone < 200 {
        let event = tokio::time::timeout(Duration::from_secs(5), events.next()).await;
        match event.expect("in time").unwrap().unwrap() {
            Event::Delete { reason: Gone::Expired, .. } => {
                gone += 1;
                let late = SystemTime::now().duration_since(due).unwrap();
                assert!(late < Duration::from_millis(1500), "{late:?}");
            }
            Event::Put(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(table.list().page().await.unwrap().items.is_empty());
}

#[tokio::test]
async fn the_io_thread_and_a_prefix_change_nothing_else() {
    let server = Server::start();
    let config = config(server.port()).with_io_thread(true).with_key_prefix("shop:");
    let (redis, table) = open(config).await;
    table.write("k", "v").await.unwrap();
    assert_eq!(server.command(&["GET", "shop:{app/t}:k"]), "$1\r\nv");
    assert_eq!(value(&table, "k").await.as_deref(), Some(&b"v"[..]));
    let admin: Arc<dyn StoreAdmin> = Arc::new(redis.clone());
    Admin::new(admin).delete("app").await.unwrap();
    assert_eq!(server.command(&["KEYS", "*:k"]), "*0");
    redis.close().await.unwrap();
    assert_eq!(table.read("k").await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_clock_that_was_set_back_gives_out_no_revision_twice_and_expires_nothing_early() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (_redis, table) = open(config(server.port())).await;
    table.write("k", "v").await.unwrap();
    // As a server's clock that was an hour ahead leaves it: the counter is ahead of what the clock says from now on.
    let names = server.command(&["KEYS", "{app/t}#r*"]);
    let counter = names.lines().last().unwrap().to_owned();
    let ahead = SystemTime::now() + Duration::from_hours(1);
    let ahead = ahead.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
    server.command(&["SET", &counter, &ahead.to_string()]);
    let mut events = table.watch().changes_only().await.unwrap();
    let mut last = table.write("k", "1").await.unwrap().revision.unwrap();
    for round in 0..3 {
        for i in 0..20 {
            let next = table.write("k", format!("{round} {i}")).await.unwrap().revision.unwrap();
            assert!(next.sequence() > last.sequence(), "{next} after {last}");
            last = next;
        }
        for done in table.write_many((0..20).map(|i| (format!("m{i}"), "v"))).await {
            let next = done.unwrap().revision.unwrap();
            assert!(next.sequence() > last.sequence(), "{next} after {last}");
            last = next;
        }
        // A server that begins again puts its counters ahead of its clock, never back to it.
        server.kill();
        server.restart();
        // A read finds the new connection: it is repeated.
        assert!(table.value("k").await.unwrap().is_some());
    }
    let seen = async {
        loop {
            match events.next().await.unwrap().unwrap() {
                Event::Put(record) if record.revision() == Some(last) => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), seen).await.expect("the watch goes on");

    // How long a record lives is the server's to say: what this process takes for the time has no part in it.
    table.write("soon", "v").ttl(Duration::from_mins(1)).await.unwrap();
    let left = server.command(&["PTTL", "{app/t}:soon"]);
    let left: i64 = left.trim_start_matches(':').parse().unwrap();
    // An expiry is rounded up to whole milliseconds.
    assert!((50_000..=60_001).contains(&left), "{left}");
}

#[tokio::test]
async fn foreign_keys_beside_a_table_are_never_taken_for_its_own() {
    let server = Server::start();
    let (redis, table) = open(config(server.port())).await;
    table.write("k", "v").await.unwrap();
    for key in ["{app/t}", "{app/t}k", "{app/t}/k", "{app/tt}:k", "app/t:k", "{app/t}~k", "k"] {
        server.command(&["SET", key, "foreign"]);
    }
    assert_eq!(redis.reindex(table.namespace()).await.unwrap(), 0);
    assert_eq!(table.list().page().await.unwrap().items, ["k"]);
    Admin::new(Arc::new(redis.clone())).delete("app").await.unwrap();
    assert_eq!(server.command(&["EXISTS", "{app/t}", "{app/tt}:k", "app/t:k", "k"]), ":4");
}

#[tokio::test]
async fn many_writes_have_each_their_own_condition_expiry_and_event() {
    let server = Server::start();
    let (_redis, table) = open(config(server.port())).await;
    // The short script must see what the long one left, and the other way round.
    table.write("had", "v").ttl(Duration::from_millis(80)).await.unwrap();
    table.write("has", "v").ttl(Duration::from_mins(10)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(120)).await;
    let mut events = table.watch().changes_only().await.unwrap();
    for done in table.write_many([("new", "1"), ("had", "2"), ("has", "3"), ("new", "4")]).await {
        done.unwrap();
    }
    for key in ["new", "had", "has"] {
        assert_eq!(table.read(key).await.unwrap().unwrap().expires_at(), None, "{key}");
    }
    assert_eq!(value(&table, "new").await.as_deref(), Some(&b"4"[..]), "the last one counts");
    assert_eq!(server.command(&["ZCARD", "{app/t}#x"]), ":0");
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let event = tokio::time::timeout(Duration::from_secs(5), events.next()).await.unwrap();
        if let Event::Put(record) = event.unwrap().unwrap() {
            seen.push(format!("{}={}", record.key(), String::from_utf8_lossy(record.value())));
        }
    }
    assert_eq!(seen, ["new=1", "had=2", "has=3", "new=4"]);
    table.write("has", "5").ttl(Duration::from_millis(100)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    table.write("has", "6").await.unwrap();
    let mut after = Vec::new();
    while after.len() < 3 {
        let event = tokio::time::timeout(Duration::from_secs(5), events.next()).await.unwrap();
        after.push(match event.unwrap().unwrap() {
            Event::Put(record) => String::from_utf8_lossy(record.value()).into_owned(),
            Event::Delete { reason: Gone::Expired, key, .. } => format!("{key} expired"),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(after, ["5", "has expired", "6"], "its end comes before what follows");
}
