//! The layout `plain` beside the programs whose keys it shares: what they send is what we send, what they wrote is what we read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use store_core::{
    Capability, Condition, ErrorKind, Expiry, Feature, Key, ListOptions, Metadata, Name, Namespace,
    Order, Put, ReadOptions, Remove, Revision, Scope, Start, Store, StoreAdmin, WatchOptions,
};
use store_redis::{Layout, Redis, Template};
use tests::redis::config;
use tests::servers::redis::Server;

fn namespace(database: &str, table: &str) -> Namespace {
    let database = Name::new(database).unwrap();
    if table.is_empty() {
        Namespace::root(database)
    } else {
        Namespace::new(database, table).unwrap()
    }
}

async fn plain(server: &Server, template: Template) -> Redis {
    Redis::connect(config(server.port()).with_layout(Layout::Plain(template))).await.unwrap()
}

fn any_order() -> ListOptions {
    let mut options = ListOptions::default();
    options.order = Order::Any;
    options
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// As `MONITOR` shows a value.
fn shown(value: &[u8]) -> String {
    let byte = |&byte: &u8| match byte {
        b' '..=b'~' => char::from(byte).to_string(),
        byte => format!("\\x{byte:02x}"),
    };
    value.iter().map(byte).collect()
}

fn text<'a>(vector: &'a Json, field: &str) -> Option<&'a str> {
    vector.get(field)?.as_str()
}

/// What Go's expiry of a record means here.
fn expiry(nanos: i64) -> Expiry {
    match nanos {
        // What its Read returns for a record that never expires.
        -1 => Expiry::Keep,
        nanos if nanos <= 0 => Expiry::Never,
        nanos => Expiry::After(Duration::from_nanos(nanos.unsigned_abs())),
    }
}

#[tokio::test]
async fn every_command_of_go_micro_is_ours_too() {
    let vectors: Json = serde_json::from_str(include_str!("go_micro_redis.json")).unwrap();
    let vectors = vectors["redis"].as_array().unwrap();
    assert_eq!(vectors.len(), 14);
    let server = Server::start();
    let store = plain(&server, Template::go_micro()).await;
    let mut seen = 0;
    for vector in vectors {
        let id = text(vector, "id").unwrap();
        let database = text(vector, "call_database").filter(|name| !name.is_empty());
        let table = text(vector, "call_table").or(text(vector, "store_table")).unwrap();
        let ns = namespace(database.or(text(vector, "store_database")).unwrap(), table);
        let key = text(vector, "key").unwrap_or_default();
        let commands = vector["commands"].as_array().unwrap();
        let theirs: Vec<&str> =
            commands[0].as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
        let op = text(vector, "op").unwrap();
        if op.starts_with("write") {
            let value = bytes(text(vector, "value_hex").unwrap());
            let put = Put::new(Key::new(key).unwrap(), &value)
                .with_expiry(expiry(vector["record_expiry_ns"].as_i64().unwrap_or_default()));
            let mut monitor = server.monitor();
            store.write(&ns, put).await.unwrap();
            let ours = monitor.next_command();
            let mut theirs: Vec<String> = theirs.iter().map(|&part| part.to_owned()).collect();
            theirs[2] = shown(&value);
            let same = ours.len() == theirs.len()
                && ours.iter().zip(&theirs).enumerate().all(|(at, (our, their))| match at {
                    1 | 2 => our == their,
                    _ => our.eq_ignore_ascii_case(their),
                });
            assert!(same, "{id}: Go-Micro sends {theirs:?}, we send {ours:?}");
        } else if op == "delete" {
            server.command(&["SET", theirs[1], "v"]);
            let mut monitor = server.monitor();
            store.delete(&ns, Remove::new(Key::new(key).unwrap())).await.unwrap();
            let ours = monitor.next_command();
            assert_eq!((&*ours[0], &*ours[1]), ("DEL", theirs[1]), "{id}");
        } else if op == "read" {
            server.command(&["SET", theirs[1], "myValue", "EX", "100"]);
            let record = store.read(&ns, Key::new(key).unwrap(), ReadOptions::default()).await;
            let record = record.unwrap().unwrap();
            assert_eq!((record.key(), record.value()), (key, &b"myValue"[..]), "{id}");
            let left = record.ttl().unwrap();
            assert!(left > Duration::from_secs(90) && left <= Duration::from_secs(100), "{left:?}");
        } else {
            // Prefix, suffix or both: what matches the pattern that Go-Micro sends.
            server.command(&["SET", "micromyTest", "v"]);
            server.command(&["SET", "micromyOther", "v"]);
            server.command(&["SET", "microTest", "v"]);
            let mut options = any_order();
            match op {
                "read prefix" => options.prefix = key.to_owned(),
                "read suffix" => options.suffix = key.to_owned(),
                _ => (options.prefix, options.suffix) = ("my".to_owned(), "est".to_owned()),
            }
            let mut found = store.list(&ns, &options).await.unwrap().items;
            found.sort();
            let pattern = theirs[3];
            let (start, end) = pattern.split_once('*').unwrap();
            let mut expected: Vec<&str> = ["micromyTest", "micromyOther", "microTest"]
                .into_iter()
                .filter(|name| name.starts_with(start) && name.ends_with(end))
                .map(|name| name.strip_prefix("micro").unwrap())
                .collect();
            expected.sort_unstable();
            assert_eq!(found, expected, "{id}");
        }
        seen += 1;
    }
    assert_eq!(seen, vectors.len());
}

#[tokio::test]
async fn names_with_the_letters_of_patterns_match_themselves_only() {
    let server = Server::start();
    let store = plain(&server, Template::go_micro()).await;
    let ns = namespace("db", "t*[a-c]?");
    store.write(&ns, Put::new(Key::new("x*y").unwrap(), "v")).await.unwrap();
    for other in ["txa1x*y", "tZaZx*y", "t*a?x*y", "t*[a-c]?xZZy"] {
        server.command(&["SET", other, "v"]);
    }
    let mut options = any_order();
    options.prefix = "x*".to_owned();
    assert_eq!(store.list(&ns, &options).await.unwrap().items, ["x*y"]);
}

#[tokio::test]
async fn templates_put_values_where_others_look() {
    let server = Server::start();
    for (template, at) in [
        (Template::bucket(), "app:k"),
        (Template::key(), "k"),
        ("x/{database}/{table}/{key}".parse().unwrap(), "x/app//k"),
    ] {
        let store = plain(&server, template).await;
        let ns = namespace("app", "");
        store.write(&ns, Put::new(Key::new("k").unwrap(), "raw")).await.unwrap();
        assert_eq!(server.command(&["GET", at]), "$3\r\nraw");
        assert!(store.exists(&ns, Key::new("k").unwrap()).await.unwrap());
    }
    let store = plain(&server, Template::bucket()).await;
    let table = namespace("app", "table");
    let error = store.write(&table, Put::new(Key::new("k").unwrap(), "v")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

#[tokio::test]
async fn what_needs_more_than_a_value_is_refused_and_changes_nothing() {
    let server = Server::start();
    let store = plain(&server, Template::bucket()).await;
    let capability: Capability = store.capability(&Name::new("app").unwrap()).await.unwrap();
    for lacking in [Feature::Metadata, Feature::Revisions, Feature::ByteOrder, Feature::Watch] {
        assert!(!capability.has(lacking), "{lacking}");
    }
    let (ns, key) = (namespace("app", ""), Key::new("k").unwrap());
    let metadata = Metadata::new().with("a", 1).unwrap();
    let revision = Condition::Revision(Revision::from_parts(0, 1));
    let name = Name::new("app").unwrap();
    let refused = [
        store.write(&ns, Put::new(key, "v").with_metadata(metadata)).await.map(drop),
        store.write(&ns, Put::new(key, "v").with_condition(revision.clone())).await.map(drop),
        store.delete(&ns, Remove::new(key).with_condition(revision)).await.map(drop),
        store.list(&ns, &ListOptions::default()).await.map(drop),
        store.watch(&ns, WatchOptions::new(Scope::Table, Start::Changes)).await.map(drop),
        store.atomic(&ns, Vec::new()).await.map(drop),
        store.list_databases().await.map(drop),
        store.delete_database(&name).await,
        store.reindex(&ns).await.map(drop),
    ];
    for (at, result) in refused.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{at}: {error}");
    }
    assert_eq!(server.command(&["DBSIZE"]), ":0");
    let go: Arc<dyn StoreAdmin> = Arc::new(plain(&server, Template::go_micro()).await);
    // Table `a` with key `bc` and table `ab` with key `c` are one: neither can be deleted as a whole.
    let error = go.delete_table(&namespace("app", "a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(go.capability(&name).await.unwrap().alphabet.is_some());
}

#[tokio::test]
async fn large_values_pass_through_no_script() {
    let server = Server::start();
    let store = plain(&server, Template::key()).await;
    let (ns, key) = (namespace("app", ""), Key::new("k").unwrap());
    let large = vec![b'v'; (1 << 20) + 1];
    for expiry in [Expiry::Never, Expiry::After(Duration::from_mins(1)), Expiry::Keep] {
        let create =
            Put::new(key, &large[..]).with_condition(Condition::Absent).with_expiry(expiry);
        let mut monitor = server.monitor();
        store.write(&ns, create.clone()).await.unwrap();
        let sent = monitor.next_command();
        assert!(sent[0] == "SET" && sent[3] == "NX", "{:?}", &sent[3..]);
        let again = store.write(&ns, create.clone()).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Conflict, "{again}");
        let both = store.write_many(&ns, vec![create.clone(), Put::new(key, "small")]).await;
        assert_eq!(both[0].as_ref().unwrap_err().kind(), ErrorKind::Conflict);
        both.into_iter().nth(1).unwrap().unwrap();
        let condition = Condition::Value(b"small".into());
        let replace = Put::new(key, &large[..]).with_condition(condition);
        let error = store.write(&ns, replace).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
        assert_eq!(server.command(&["GETDEL", "k"]), "$5\r\nsmall");
    }
}
