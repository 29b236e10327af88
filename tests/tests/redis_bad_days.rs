//! What goes wrong with real servers, and what the driver makes of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt as _;
use store_core::{
    Admin, Database, DatabaseConfig, ErrorKind, Event, EventStream, Feature, Gone, Outcome, Store,
    StoreAdmin, Table,
};
use store_redis::{Config, Layout, Redis, Template};
use tests::redis::config;
use tests::servers::proxy::{Proxy, Way};
use tests::servers::redis::Server;

async fn open(config: Config) -> (Redis, Table) {
    open_at(config, "t").await
}

async fn open_at(config: Config, table: &str) -> (Redis, Table) {
    let redis = Redis::connect(config).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(redis.clone());
    let database = Database::new(&store, "app").unwrap();
    let table = if table.is_empty() { database.root() } else { database.table(table).unwrap() };
    (redis, table)
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
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
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
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    proxy.set(Way::Open);
    table.write("k", "w").await.unwrap();
    assert!(proxy.accepted() > before, "the silent connection is not used again");
}

#[tokio::test]
async fn a_read_is_repeated_when_its_connection_turns_out_to_be_silent() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let patience = Duration::from_millis(300);
    let (_redis, table) = open(config(proxy.port()).with_answer_timeout(patience)).await;
    table.write("k", "v").await.unwrap();
    let before = proxy.accepted();
    proxy.set(Way::Silent);
    let (read, ()) = tokio::join!(async { table.read("k").await }, async {
        tokio::time::sleep(patience * 3 / 2).await;
        proxy.set(Way::Open);
    });
    assert_eq!(read.unwrap().unwrap().value(), b"v");
    assert!(proxy.accepted() > before, "on a new connection");
}

#[tokio::test]
async fn a_watch_whose_connection_is_silent_goes_on_over_another() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let patience = Duration::from_millis(300);
    let (_redis, table) = open(config(proxy.port()).with_answer_timeout(patience)).await;
    let (_direct, writer) = open(config(server.port())).await;
    let mut events = table.watch().changes_only().await.unwrap();
    writer.write("k", "1").await.unwrap();
    let mut next = async || {
        let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await;
        match event.expect("in time").unwrap().unwrap() {
            Event::Put(record) => String::from_utf8_lossy(record.value()).into_owned(),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(next().await, "1");
    let before = proxy.accepted();
    proxy.set(Way::Silent);
    writer.write("k", "2").await.unwrap();
    // Longer than the connection is ever blocked.
    tokio::time::sleep(Duration::from_secs(2)).await;
    proxy.set(Way::Open);
    assert_eq!(next().await, "2");
    assert!(proxy.accepted() > before, "on a new connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_among_running_writers_is_there_after_a_crash() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (redis, table) = open(config(server.port())).await;
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let table = table.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for i in 0.. {
                    let key = format!("{writer}-{:03}", i % 100);
                    let value = format!("{i}");
                    let done = match i % 3 {
                        0 => table.write(&key, &value).await.map(drop),
                        1 => table.batch().write(&key, &value).commit().await.map(drop),
                        _ => table.write(&key, &value).ttl(Duration::from_hours(1)).await.map(drop),
                    };
                    match done {
                        Ok(()) => acknowledged.push((key, i)),
                        // Its outcome is open.
                        Err(_) => return (acknowledged, key),
                    }
                }
                unreachable!("the server is killed")
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(700)).await;
    server.kill();
    let mut written = Vec::new();
    for writer in writers {
        written.push(writer.await.unwrap());
    }
    server.restart();
    let mut expected = HashSet::new();
    for (acknowledged, open) in written {
        assert!(!acknowledged.is_empty());
        let last: std::collections::BTreeMap<_, _> = acknowledged.into_iter().collect();
        for (key, i) in last {
            let held: u64 =
                String::from_utf8(value(&table, &key).await.unwrap()).unwrap().parse().unwrap();
            assert!(
                held == i || (key == open && held == i + 100),
                "{key}: {held}, acknowledged {i}"
            );
            expected.insert(key);
        }
        if value(&table, &open).await.is_some() {
            expected.insert(open);
        }
    }
    let listed: HashSet<_> = table.list().limit(100_000).await.unwrap().into_iter().collect();
    assert_eq!(listed, expected, "the index is that of the values");
    let count = |command: &[&str]| server.command(command).trim_start_matches(':').parse::<usize>();
    assert_eq!(count(&["ZCARD", "{app/t}#i"]), Ok(expected.len()));
    assert_eq!(count(&["HLEN", "{app/t}#m"]), Ok(expected.len()));
    assert_eq!(redis.reindex(table.namespace()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_unix_socket_serves_as_a_port_does() {
    let path = std::env::temp_dir().join(format!("store-redis-{}.sock", std::process::id()));
    let path = path.to_str().unwrap();
    let server = Server::with(&["--unixsocket", path]);
    let (_redis, table) = open(Config::new(path)).await;
    table.write("k", "v").await.unwrap();
    assert_eq!(server.command(&["GET", "{app/t}:k"]), "$1\r\nv");
    let registry = store_core::config::Registry::new().with(store_redis::driver());
    let opened = registry.open(&format!("redis:///app?socket={path}")).await.unwrap();
    let table = opened.handle().unwrap().table("t").unwrap();
    assert_eq!(value(&table, "k").await.as_deref(), Some(&b"v"[..]));
}

#[tokio::test]
async fn what_would_block_the_server_is_refused_and_changes_nothing() {
    let server = Server::start();
    let (_redis, table) = open(config(server.port())).await;
    let plain = config(server.port()).with_layout(Layout::Plain(Template::bucket()));
    let (_plain, values) = open_at(plain, "").await;
    let most = vec![b'v'; 256 * 1024];
    let more = vec![b'v'; 256 * 1024 + 1];
    for table in [&table, &values] {
        table.write("k", &most).await.unwrap();
        table.write("k", &more).if_value(&most).await.unwrap();
        for error in [
            table.write("k", "w").if_value(&more).await.unwrap_err(),
            table.delete("k").if_value(&more).await.unwrap_err(),
        ] {
            let seen = (error.kind(), error.outcome());
            assert_eq!(seen, (ErrorKind::TooLarge, Outcome::NotApplied), "{error}");
        }
        assert_eq!(value(table, "k").await.as_ref(), Some(&more));
    }
    let half = vec![b'v'; 512 * 1024];
    table.batch().write("a", &half).write("b", &half).commit().await.unwrap();
    for batch in [
        table.batch().write("c", &half).write("d", &half).write("e", "v"),
        (0..501).fold(table.batch(), |batch, _| batch.check("none", store_core::Condition::Absent)),
    ] {
        let error = batch.commit().await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::TooLarge, Outcome::NotApplied));
    }
    assert_eq!(value(&table, "c").await, None);
}

#[tokio::test]
async fn how_long_a_record_lives_is_sent_as_that_and_not_as_an_instant_of_this_clock() {
    let server = Server::start();
    let (_redis, table) = open(config(server.port())).await;
    let plain = config(server.port()).with_layout(Layout::Plain(Template::bucket()));
    let (_plain, values) = open_at(plain, "").await;
    let life = Duration::from_mins(1);
    for table in [&table, &values] {
        table.write("k", "v").await.unwrap();
    }
    let mut monitor = server.monitor();
    table.write("k", "v").ttl(life).await.unwrap();
    table.write("k", "v").if_value(b"v").ttl(life).await.unwrap();
    table.write("k", vec![b'v'; 20_000]).ttl(life).await.unwrap();
    table.set_expiry("k", store_core::Expiry::After(life)).await.unwrap();
    values.write("k", "v").ttl(life).await.unwrap();
    values.write("k", "v").ttl(life + Duration::from_millis(1)).await.unwrap();
    values.write("k", "v").if_value(b"v").ttl(life).await.unwrap();
    values.set_expiry("k", store_core::Expiry::After(life)).await.unwrap();
    server.command(&["PING"]);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    // Any instant of these days, in seconds or milliseconds.
    let day = &now.as_secs().to_string()[..5];
    let (mut relative, mut command) = (0, monitor.next_command());
    while command[0] != "PING" {
        for argument in &command[1..] {
            let number = argument.trim_start_matches('@');
            let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
            // The counter's name, the connection's run and keys are no numbers.
            assert!(!(is_number && number.starts_with(day)), "{command:?}");
        }
        relative += usize::from(
            command.iter().any(|argument| matches!(&**argument, "+60000" | "EX" | "60001")),
        );
        command = monitor.next_command();
    }
    assert_eq!(relative, 8);
}

#[tokio::test]
async fn a_watch_that_lost_its_connection_wakes_nobody_elses() {
    let server = Server::start();
    let (redis, table) = open(config(server.port())).await;
    let mut events = table.watch().changes_only().await.unwrap();
    let blocked = |list: &str| {
        let line = list.lines().find(|line| line.contains("cmd=xread"))?;
        Some(line.split(' ').next()?.trim_start_matches("id=").to_owned())
    };
    let until = Instant::now() + Duration::from_secs(5);
    let old = loop {
        if let Some(id) = blocked(&server.command(&["CLIENT", "LIST"])) {
            break id;
        }
        assert!(Instant::now() < until, "nobody waits");
    };
    let mut monitor = server.monitor();
    server.command(&["CLIENT", "KILL", "ID", &old]);
    tokio::time::sleep(Duration::from_millis(10)).await;
    // The number may be another program's by now.
    let store: Arc<dyn Store> = Arc::new(redis);
    let other = Database::new(&store, "app").unwrap().table("other").unwrap();
    let _more = other.watch().changes_only().await.unwrap();
    table.write("k", "v").await.unwrap();
    let seen = tokio::time::timeout(Duration::from_secs(5), events.next()).await.unwrap();
    assert!(matches!(seen, Some(Ok(_))));
    server.command(&["PING"]);
    loop {
        let command = monitor.next_command();
        let unblocks = command.len() > 2 && command[1].eq_ignore_ascii_case("UNBLOCK");
        assert!(!unblocks || (command[2] != old && command[2] != "0"), "{command:?}");
        if command[0] == "PING" {
            break;
        }
    }
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
    let until = Instant::now() + Duration::from_secs(30);
    while replica.info("master_link_status") != "up" && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (redis, copy) = open(config(replica.port())).await;
    assert!(!redis.warnings().is_empty());
    let app = store_core::Name::new("app").unwrap();
    let can = |capability: store_core::Capability| capability.has(Feature::StrongRead);
    assert!(!can(redis.capability(&app).await.unwrap()), "a replica may be behind");
    let plain = config(replica.port()).with_layout(Layout::Plain(Template::key()));
    let (plain, values) = open_at(plain, "").await;
    assert!(!can(plain.capability(&app).await.unwrap()));
    for error in [
        copy.read("k").strong().await.unwrap_err(),
        copy.value("k").strong().await.unwrap_err(),
        copy.list().strong().page().await.unwrap_err(),
        copy.scan().strong().page().await.unwrap_err(),
        values.read("k").strong().await.unwrap_err(),
        values.list().any_order().strong().page().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
    assert_eq!(table.read("k").strong().await.unwrap().unwrap().value(), b"v");
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
    let event = tokio::time::timeout(Duration::from_secs(5), events.next()).await.unwrap();
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

/// How late the last of 200 records that end together was told to have ended.
async fn latest_event_of_an_end(table: &Table, events: &mut EventStream) -> Duration {
    let due = SystemTime::now() + Duration::from_secs(3);
    for i in 0..200 {
        table.write(&format!("k{i}"), "v").expires_at(due).await.unwrap();
    }
    let (mut gone, mut latest) = (0, Duration::ZERO);
    while gone < 200 {
        let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await;
        match event.expect("in time").unwrap().unwrap() {
            Event::Delete { reason: Gone::Expired, .. } => {
                gone += 1;
                latest = latest.max(SystemTime::now().duration_since(due).unwrap());
            }
            Event::Put(_) => {}
            other => panic!("{other:?}"),
        }
    }
    latest
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
    // The machine may hold up one of the rounds, not all.
    let mut latest = Vec::new();
    while latest.len() < 3 && latest.iter().all(|late| *late >= Duration::from_millis(1500)) {
        latest.push(latest_event_of_an_end(&table, &mut events).await);
    }
    assert!(latest.last().unwrap() < &Duration::from_millis(1500), "{latest:?}");
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
