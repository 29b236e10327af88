//! A watch of the layout `plain` beside the programs that write its keys.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use store_core::{ErrorKind, Event, EventStream, Feature, Gone, Name, Store, Table};
use store_redis::{Config, Layout, Redis, Template};
use tests::redis::config;
use tests::servers::proxy::{Proxy, Way};
use tests::servers::redis::{Server, binaries};

const TELLS: &[&str] = &["--notify-keyspace-events", "K$gxe"];
/// As wasmCloud's own provider asks for: it says nothing of what expires.
const TELLS_NO_EXPIRY: &[&str] = &["--notify-keyspace-events", "K$g"];

async fn open(config: Config, template: Template) -> Table {
    let config = config.with_layout(Layout::Plain(template));
    let store: Arc<dyn Store> = Arc::new(Redis::connect(config).await.unwrap());
    store.database("app").unwrap().root()
}

async fn next(events: &mut EventStream) -> Event {
    tokio::time::timeout(Duration::from_secs(10), events.next()).await.unwrap().unwrap().unwrap()
}

/// An event in short.
fn short(event: &Event) -> String {
    match event {
        Event::Put(record) => {
            let value = String::from_utf8_lossy(record.value());
            let life = if record.expires_at().is_some() { " for a while" } else { "" };
            format!("{}={value}{life}", record.key())
        }
        Event::Delete { key, reason, .. } => format!("{key} {reason:?}"),
        Event::Synced { .. } => "synced".to_owned(),
        Event::Resync => "resync".to_owned(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn what_others_do_is_seen() {
    let servers =
        binaries().into_iter().flat_map(|at| [(at.clone(), TELLS), (at, TELLS_NO_EXPIRY)]);
    for (binary, flags) in servers {
        let server = Server::of(&binary, flags);
        let mine = config(server.port()).with_db(3);
        let table = open(mine, Template::bucket()).await;
        let at_3 = |command: &[&str]| {
            let script = "redis.call('SELECT', 3) return redis.call(unpack(ARGV))";
            let mut parts = vec!["EVAL", script, "0"];
            parts.extend(command);
            server.command(&parts);
        };
        at_3(&["SET", "app:old", "0"]);
        let mut events = table.watch().await.unwrap();
        assert_eq!(short(&next(&mut events).await), "old=0");
        assert_eq!(short(&next(&mut events).await), "synced");
        at_3(&["SET", "other:k", "no key of ours"]);
        server.command(&["SET", "app:k", "another database"]);
        for (command, seen) in [
            (&["SET", "app:k:with*letters", "1"][..], &["k:with*letters=1"][..]),
            (&["SET", "app:n", "1"], &["n=1"]),
            (&["INCRBY", "app:n", "41"], &["n=42"]),
            (&["APPEND", "app:n", "0"], &["n=420"]),
            (&["EXPIRE", "app:n", "1000"], &["n=420 for a while"]),
            (&["PERSIST", "app:n"], &["n=420"]),
            (&["SET", "app:n", "2", "EX", "1000"], &["n=2 for a while"]),
            (&["RENAME", "app:n", "app:m"], &["n Deleted", "m=2 for a while"]),
            (&["DEL", "app:m"], &["m Deleted"]),
            (&["UNLINK", "app:old"], &["old Deleted"]),
            (&["MSET", "app:a", "1", "app:b", "2"], &["a=1", "b=2"]),
            (&["SET", "app:h", "1"], &["h=1"]),
            (&["HSET", "other:h", "f", "v"], &[]),
            // No record lies there any more, and nobody deleted it.
            (&["RENAME", "other:h", "app:h"], &["h Deleted"]),
            // Nor is this one.
            (&["RENAME", "app:h", "app:g"], &["h Deleted", "g Deleted"]),
            (&["SET", "app:a", "3", "PX", "1"], &["a=3 for a while", "a Expired"]),
            (&["SET", "app:b", "3", "PX", "200"], &["b=3 for a while", "b Expired"]),
            (&["SET", "app:b", "4", "PX", "200"], &["b=4 for a while"]),
            (&["DEL", "app:b"], &["b Deleted"]),
        ] {
            at_3(command);
            for expected in seen {
                let event = short(&next(&mut events).await);
                // What is over at once may not be seen to begin.
                if event == "a Expired" {
                    break;
                }
                assert_eq!(event, *expected, "{flags:?}: {command:?}");
            }
        }
    }
}

#[tokio::test]
async fn flags_that_are_missing_are_named() {
    let app = Name::new("app").unwrap();
    for (flags, missing) in
        [("", "K$g"), ("Kg$", ""), ("Kgx", "$"), ("EA", "K"), ("KA", ""), ("K$gxn", "")]
    {
        let server = Server::with(&["--notify-keyspace-events", flags]);
        let table = open(config(server.port()), Template::bucket()).await;
        let capability = table.store().capability(&app).await.unwrap();
        assert_eq!(capability.has(Feature::Watch), missing.is_empty(), "{flags}");
        match table.watch().await {
            Ok(_) => assert_eq!(missing, "", "{flags}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
                let named = format!("notify-keyspace-events lacks {missing} ");
                assert!(error.message().contains(&named), "{flags}: {error}");
            }
        }
    }
    // What the server evicts must be told too.
    let evicts = ["--notify-keyspace-events", "K$gx", "--maxmemory-policy", "allkeys-lru"];
    let table = open(config(Server::with(&evicts).port()), Template::bucket()).await;
    assert!(table.watch().await.is_err());
}

#[tokio::test]
async fn a_server_that_may_not_be_asked_for_its_flags_is_trusted() {
    let server = Server::with(TELLS);
    server.command(&["ACL", "SETUSER", "some", "on", ">pw", "~*", "&*", "+@all", "-config"]);
    let some = config(server.port()).with_username("some").with_password("pw");
    let table = open(some, Template::key()).await;
    let mut events = table.watch().key("k").changes_only().await.unwrap();
    server.command(&["SET", "other", "1"]);
    server.command(&["SET", "k", "1"]);
    assert_eq!(short(&next(&mut events).await), "k=1");
}

#[tokio::test]
async fn a_server_that_ceases_to_tell_ends_the_watch() {
    let server = Server::with(TELLS);
    let table = open(config(server.port()), Template::bucket()).await;
    let mut events = table.watch().changes_only().await.unwrap();
    server.command(&["CONFIG", "SET", "notify-keyspace-events", ""]);
    let end = tokio::time::timeout(Duration::from_secs(10), events.next()).await.unwrap();
    assert_eq!(end.unwrap().unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_server_that_ceases_to_tell_of_expiry_alone_is_watched_anew() {
    let server = Server::with(TELLS);
    let table = open(config(server.port()), Template::bucket()).await;
    let mut events = table.watch().changes_only().await.unwrap();
    server.command(&["CONFIG", "SET", "notify-keyspace-events", "K$g"]);
    server.command(&["SET", "app:k", "1", "PX", "3000"]);
    assert_eq!(short(&next(&mut events).await), "k=1 for a while");
    for expected in ["resync", "k=1 for a while", "synced", "k Expired"] {
        assert_eq!(short(&next(&mut events).await), expected);
    }
}

#[tokio::test]
async fn a_lost_connection_is_a_resync_and_never_silence() {
    for way in [Way::Cut, Way::Silent] {
        let server = Server::with(TELLS);
        let proxy = Proxy::to(server.port());
        let patience = Duration::from_millis(500);
        let mine =
            config(proxy.port()).with_answer_timeout(patience).with_connect_timeout(patience);
        let table = open(mine, Template::bucket()).await;
        let mut events = table.watch().changes_only().await.unwrap();
        server.command(&["SET", "app:a", "1"]);
        assert_eq!(short(&next(&mut events).await), "a=1");
        proxy.set(way);
        server.command(&["SET", "app:b", "2"]);
        server.command(&["DEL", "app:a"]);
        let healed = async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            proxy.set(Way::Open);
        };
        let (seen, ()) = tokio::join!(
            async {
                let mut seen = Vec::new();
                while seen.last().is_none_or(|event| event != "synced") {
                    seen.push(short(&next(&mut events).await));
                }
                seen
            },
            healed
        );
        assert_eq!(seen, ["resync", "b=2", "synced"], "{way:?}");
        server.command(&["SET", "app:c", "3"]);
        assert_eq!(short(&next(&mut events).await), "c=3");
    }
}

#[tokio::test]
async fn expiry_is_an_event_in_time_among_many_other_expiring_keys() {
    for flags in [TELLS, TELLS_NO_EXPIRY] {
        expiry_among_many(&Server::with(flags)).await;
    }
}

async fn expiry_among_many(server: &Server) {
    for from in (0..400_000).step_by(50_000) {
        let fill = "for i=ARGV[1],ARGV[1]+49999 do redis.call('SET','other'..i,'v','EX',3600) end";
        server.command(&["EVAL", fill, "0", &from.to_string()]);
    }
    let table = open(config(server.port()), Template::bucket()).await;
    let life = Duration::from_secs(3);
    let begun = Instant::now();
    for i in 0..50 {
        table.write(&format!("before{i}"), "v").ttl(life).await.unwrap();
    }
    let mut events = table.watch().changes_only().await.unwrap();
    for i in 0..50 {
        table.write(&format!("after{i}"), "v").ttl(life).await.unwrap();
    }
    let mut gone = BTreeSet::new();
    while gone.len() < 100 {
        match next(&mut events).await {
            Event::Delete { key, reason: Gone::Expired, .. } => {
                assert!(gone.insert(key.clone()), "{key} expired twice");
            }
            Event::Put(_) => {}
            other => panic!("{other:?}"),
        }
    }
    // The last was written a while after the first.
    assert!(begun.elapsed() < life * 2 + Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn one_that_changes_all_the_time_is_never_older_than_before() {
    let server = Server::with(TELLS);
    let table = open(config(server.port()), Template::bucket()).await;
    let mut events = table.watch().await.unwrap();
    assert_eq!(short(&next(&mut events).await), "synced");
    let writer = tokio::spawn({
        let table = table.clone();
        async move {
            for i in 0..2000 {
                table.write("k", format!("{i:04}")).ttl(Duration::from_mins(1)).await.unwrap();
            }
        }
    });
    let mut last = String::new();
    while last != "k=1999 for a while" {
        let event = short(&next(&mut events).await);
        assert!(event > last, "{event} after {last}");
        last = event;
    }
    writer.await.unwrap();
}
