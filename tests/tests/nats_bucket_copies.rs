//! Mirrors and aggregates of NATS buckets: in one place, across domains and across accounts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use store_core::{DatabaseConfig, ErrorKind, Name, Store, StoreAdmin, Table};
use store_natsjs::{Access, Bucket, Layout, Nats, Origin};
use tests::servers::nats::{Server, Setup, Version};
use tests::servers::port::free_port;

const PATIENCE: Duration = Duration::from_secs(20);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn table(nats: &Nats, database: &str) -> Table {
    let store: Arc<dyn Store> = Arc::new(nats.clone());
    store.database(database).unwrap().table("t").unwrap()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let since = Instant::now();
    while !holds().await {
        assert!(since.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn read(t: &Table, key: &str) -> Option<String> {
    let record = t.read(key).await.unwrap();
    record.map(|record| String::from_utf8(record.value().to_vec()).unwrap())
}

async fn shows(t: &Table, key: &str, value: Option<&str>) {
    until(key, async || read(t, key).await.as_deref() == value).await;
}

fn versions() -> Vec<Version> {
    let others = [Version::V2_10, Version::V2_11, Version::V2_12];
    let others = others.into_iter().filter(|version| version.binary().is_some());
    [Version::Newest].into_iter().chain(others).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_answers_reads_of_its_origin() {
    for version in versions() {
        let server = Server::with(&Setup::default().version(version));
        let nats = Nats::connect(&server.url()).await.unwrap();
        nats.create_database(&name("app"), &DatabaseConfig::new()).await.unwrap();
        let t = table(&nats, "app");
        for i in 0..50 {
            t.write(&format!("k{i}"), i.to_string()).await.unwrap();
        }
        t.write("brief", "x").ttl(Duration::from_hours(1)).await.unwrap();
        let origin = Origin::bucket(&name("app"));
        let config = DatabaseConfig::new().with_description("a mirror".to_owned());
        nats.create_mirror("any-name", &origin, &config).await.unwrap();
        nats.create_mirror("any-name", &origin, &config).await.unwrap();
        let bucket = nats.bucket(&name("app"));
        let wanted = bucket.status().await.unwrap().last_sequence;
        until("the mirror has all", async || {
            nats.mirror_status("any-name").await.unwrap().last_sequence == wanted
        })
        .await;
        let status = nats.mirror_status("any-name").await.unwrap();
        let up = status.mirror.unwrap();
        assert_eq!((&*up.stream, up.bucket.as_deref()), ("KV_app", Some("app")));
        assert!(status.is_read_only);
        assert_eq!(bucket.mirrors().await.unwrap(), ["any-name"]);

        // The origin goes: only the mirror is there to answer.
        let reader = Nats::connect(&server.url()).await.unwrap();
        let seen = table(&reader, "app");
        assert_eq!(read(&seen, "k7").await.as_deref(), Some("7"));
        let client = async_nats::connect(server.url()).await.unwrap();
        client.request("$JS.API.STREAM.DELETE.KV_app", "".into()).await.unwrap();
        for i in 0..50 {
            let subject = format!("$JS.API.DIRECT.GET.KV_app.$KV.app.t.k{i}");
            let answer = client.request(subject, "".into()).await.unwrap();
            assert_eq!(answer.payload, i.to_string());
            assert_eq!(answer.headers.unwrap().get("Nats-Stream").unwrap().as_str(), "any-name");
            assert_eq!(
                read(&seen, &format!("k{i}")).await,
                Some(i.to_string()),
                "through the store"
            );
        }

        nats.delete_mirror("any-name").await.unwrap();
        nats.delete_mirror("any-name").await.unwrap();
        let gone = nats.mirror_status("any-name").await.unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_a_mirror_is_refused() {
    let server = Server::start();
    let nats = Nats::connect(&server.url()).await.unwrap();
    let (app, config) = (name("app"), DatabaseConfig::new());
    let origin = Origin::bucket(&app);
    let error = nats.create_mirror("m", &origin, &config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    nats.create_database(&app, &config).await.unwrap();
    for bad in ["", "a.b", "a b", "a/b", "*", "KV_app", "KV_other"] {
        let error = nats.create_mirror(bad, &origin, &config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad:?}");
    }
    // A bucket is not deleted by mistake.
    let error = nats.delete_mirror("KV_app").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    nats.create_mirror("m", &origin, &config).await.unwrap();
    let other = config.clone().with_max_bytes(1 << 20);
    let error = nats.create_mirror("m", &origin, &other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);

    // Servers let every mirror answer reads of its origin: one with some keys would deny the others.
    let part = Origin::bucket(&app).keys(["t.in.>"]);
    let error = nats.create_mirror("part", &part, &config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aggregates_show_their_origins_and_take_writes_when_they_may() {
    for version in versions() {
        for layout in Layout::ALL {
            let server = Server::with(&Setup::default().version(version));
            let builder = Nats::builder().servers([server.url()]).layout(layout);
            let nats = builder.timeout(Duration::from_secs(5)).connect().await.unwrap();
            println!("{version:?} {layout}");
            aggregates(&nats, layout).await;
        }
    }
}

async fn aggregates(nats: &Nats, layout: Layout) {
    let none = DatabaseConfig::new();
    let store: Arc<dyn Store> = Arc::new(nats.clone());
    let tab = |database: &str| {
        let database = store.database(database).unwrap();
        if layout == Layout::Plain { database.root() } else { database.table("t").unwrap() }
    };
    let (a, b) = (tab("a"), tab("b"));
    for (t, value) in [(&a, "of-a"), (&b, "of-b")] {
        t.write(&format!("new.{value}"), value).await.unwrap();
        t.write(&format!("old.{value}"), value).await.unwrap();
        t.write("both", value).await.unwrap();
    }
    if layout == Layout::Native {
        a.write("new.brief", "x").ttl(Duration::from_secs(2)).await.unwrap();
    }
    let revision = a.read("both").await.unwrap().unwrap().revision().unwrap();
    a.write("both", "of-a again").if_revision(revision).await.unwrap();

    let all = nats.bucket(&name("all"));
    let origins = [Origin::bucket(&name("a")), Origin::bucket(&name("b"))];
    all.create_aggregate(&origins, Access::ReadOnly, &none).await.unwrap();
    let t = tab("all");
    for (key, value) in [("new.of-a", "of-a"), ("old.of-b", "of-b")] {
        shows(&t, key, Some(value)).await;
    }
    a.delete("old.of-a").await.unwrap();
    shows(&t, "old.of-a", None).await;
    let status = all.status().await.unwrap();
    assert!(status.is_read_only && status.mirror.is_none());
    let streams: Vec<_> = status.sources.iter().map(|up| &*up.stream).collect();
    assert_eq!(streams, ["KV_a", "KV_b"]);
    let since = Instant::now();
    for error in [
        t.write("mine", "x").await.unwrap_err(),
        t.delete("new.of-b").await.unwrap_err(),
        t.increment("n", 1).await.unwrap_err(),
        all.put("mine", "x", &[]).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("origin"), "says what to do: {error}");
    }
    assert!(since.elapsed() < Duration::from_secs(4), "and does not try for long");
    if layout == Layout::Native {
        shows(&t, "new.brief", None).await;
    }

    // Some keys only, and writes of its own.
    let some = nats.bucket(&name("some"));
    let filter = some_filter(nats, layout).await;
    let origin = Origin::bucket(&name("b")).keys([filter]);
    some.create_aggregate(&[origin], Access::Writable, &none).await.unwrap();
    let t = tab("some");
    if layout == Layout::GoMicroBase32 {
        shows(&t, "old.of-b", Some("of-b")).await;
    } else {
        shows(&t, "new.of-b", Some("of-b")).await;
        assert!(
            t.read("old.of-b").await.unwrap().is_none() && t.read("both").await.unwrap().is_none()
        );
    }
    let first = t.write("mine", "1").await.unwrap().revision.unwrap();
    t.write("mine", "2").if_revision(first).await.unwrap();
    assert_eq!(read(&t, "mine").await.as_deref(), Some("2"));
    assert!(b.read("mine").await.unwrap().is_none(), "no origin sees it");
    let later = if layout == Layout::GoMicroBase32 { "old.of-b" } else { "new.later" };
    b.write(later, "x").await.unwrap();
    shows(&t, later, Some("x")).await;

    let mut names: Vec<_> = nats.buckets().await.unwrap().into_iter().map(|s| s.bucket).collect();
    names.sort();
    assert_eq!(names, ["a", "all", "b", "some"]);
    let listed = nats.list_databases().await.unwrap();
    assert_eq!(listed.iter().map(Name::as_str).collect::<Vec<_>>(), ["a", "all", "b", "some"]);
    for bad in [
        some.create_aggregate(&[], Access::ReadOnly, &none).await,
        some.create_aggregate(&[Origin::bucket(&name("some"))], Access::ReadOnly, &none).await,
        some.create_aggregate(&[Origin::bucket(&name("a")).deliver("d")], Access::ReadOnly, &none)
            .await,
    ] {
        assert_eq!(bad.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    let taken = all.create_aggregate(&origins, Access::Writable, &none).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
}

async fn some_filter(nats: &Nats, layout: Layout) -> String {
    match layout {
        Layout::Plain => "new.>".to_owned(),
        Layout::GoMicro => "t_new.>".to_owned(),
        // One token a key: a filter names whole keys.
        Layout::GoMicroBase32 => nats.bucket(&name("b")).key_of("t", "old.of-b").await.unwrap(),
        Layout::Native => "t.new.>".to_owned(),
    }
}

/// A database that is a mirror by its settings is read under its own name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_may_be_a_copy() {
    for version in versions() {
        let server = Server::with(&Setup::default().version(version));
        let nats = Nats::connect(&server.url()).await.unwrap();
        let t = table(&nats, "app");
        t.write("a", "1").await.unwrap();
        let mut config = DatabaseConfig::new();
        config.driver.insert("mirror".to_owned(), "app".to_owned());
        nats.create_database(&name("copy"), &config).await.unwrap();
        let copy = table(&nats, "copy");
        shows(&copy, "a", Some("1")).await;
        t.write("b", "2").await.unwrap();
        shows(&copy, "b", Some("2")).await;
        assert_eq!(copy.list().await.unwrap(), ["a", "b"]);
        assert_eq!(copy.write("c", "3").await.unwrap_err().kind(), ErrorKind::Unsupported);
        // What origins wrote may be older than what is here: nothing is left to the server to remove.
        nats.update_database(&name("copy"), &config).await.unwrap();
        let status = nats.bucket(&name("copy")).status().await.unwrap();
        assert!(!status.message_ttl);
        let asked = config.driver.insert("allow_msg_ttl".to_owned(), "on".to_owned());
        assert!(asked.is_none());
        if version != Version::V2_10 {
            let refused = nats.update_database(&name("copy"), &config).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
        }
        let other = table(&Nats::connect(&server.url()).await.unwrap(), "app");
        for _ in 0..20 {
            let now = read(&other, "b").await;
            assert_eq!(now.as_deref(), Some("2"), "the origin is read as before");
        }
    }
}

// ------------------------------------------------------------------ domains

struct Domains {
    hub: Server,
    leaf: Server,
}

/// A hub and a leaf with JetStream domains of their own.
fn domains(version: Version) -> Domains {
    let port = free_port();
    let accounts = "accounts {\nACC { jetstream: enabled, users: [ { user: acc, password: acc } ] }\n\
                    SYS { users: [ { user: sys, password: sys } ] }\n}\nsystem_account: SYS\n";
    let domain = |domain: &str, lines: String| {
        let mut setup = Setup::default().version(version).lines(lines);
        setup.jetstream_lines = format!("domain: {domain}");
        Server::with(&setup)
    };
    let hub = domain("hub", format!("{accounts}leafnodes {{ listen: \"127.0.0.1:{port}\" }}"));
    let remote =
        format!("remotes: [ {{ urls: [\"nats://acc:acc@127.0.0.1:{port}\"], account: ACC }} ]");
    let leaf = domain("leaf", format!("{accounts}leafnodes {{ {remote} }}"));
    Domains { hub, leaf }
}

async fn sign_in(server: &Server, user: &str) -> Nats {
    let url = format!("nats://{user}:{user}@127.0.0.1:{}", server.port());
    Nats::builder().servers([url]).timeout(Duration::from_secs(5)).connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buckets_of_another_domain_are_read_mirrored_and_aggregated() {
    for version in versions() {
        let mut world = domains(version);
        let (hub, leaf) = (sign_in(&world.hub, "acc").await, sign_in(&world.leaf, "acc").await);
        let none = DatabaseConfig::new();
        let orders = table(&hub, "orders");
        for i in 0..20 {
            orders.write(&format!("new.{i}"), i.to_string()).await.unwrap();
            orders.write(&format!("done.{i}"), i.to_string()).await.unwrap();
        }

        // The hub's bucket over the leaf's connection.
        let url = format!("nats://acc:acc@127.0.0.1:{}", world.leaf.port());
        let across = Nats::builder().servers([url]).domain("hub".to_owned()).timeout(PATIENCE);
        let since = Instant::now();
        let across = loop {
            match across.clone().connect().await {
                Ok(across) => break across,
                Err(error) => assert!(since.elapsed() < PATIENCE, "{error:?}"),
            }
        };
        let remote = table(&across, "orders");
        shows(&remote, "new.3", Some("3")).await;
        remote.write("new.20", "20").await.unwrap();
        shows(&orders, "new.20", Some("20")).await;

        // Under its own name, its mirror is read as the bucket itself, and writes reach the origin.
        let origin = Origin::bucket(&name("orders")).domain("hub");
        leaf.create_mirror("KV_orders", &origin, &none).await.unwrap();
        let local = table(&leaf, "orders");
        shows(&local, "new.20", Some("20")).await;
        let status = leaf.bucket(&name("orders")).status().await.unwrap();
        let up = status.mirror.unwrap();
        assert_eq!((up.domain.as_deref(), up.bucket.as_deref()), (Some("hub"), Some("orders")));
        local.write("new.21", "21").await.unwrap();
        shows(&orders, "new.21", Some("21")).await;
        shows(&local, "new.21", Some("21")).await;
        // Who asks for the last word gets the origin's, however far the mirror is; and so does who wrote.
        for i in 0..50 {
            let value = i.to_string();
            orders.write("strong", value.clone()).await.unwrap();
            let found = local.read("strong").strong().await.unwrap().unwrap();
            assert_eq!(found.value(), value.as_bytes());
            local.write("own", value.clone()).await.unwrap();
            assert_eq!(read(&local, "own").await.as_ref(), Some(&value));
        }

        // Some keys, with others of its own.
        let fresh = leaf.bucket(&name("fresh"));
        let new = Origin::bucket(&name("orders")).domain("hub").keys(["t.new.>"]);
        fresh.create_aggregate(&[new], Access::Writable, &none).await.unwrap();
        let t = table(&leaf, "fresh");
        shows(&t, "new.21", Some("21")).await;
        assert!(t.read("done.1").await.unwrap().is_none());
        t.write("own", "x").await.unwrap();
        let up = &fresh.status().await.unwrap().sources[0];
        assert_eq!((up.domain.as_deref(), &*up.stream), (Some("hub"), "KV_orders"));

        // From a mirror instead of the bucket.
        hub.create_mirror("M", &Origin::bucket(&name("orders")), &none).await.unwrap();
        let second = leaf.bucket(&name("second"));
        let through = Origin::bucket(&name("orders")).stream("M").domain("hub");
        second.create_aggregate(&[through], Access::ReadOnly, &none).await.unwrap();
        shows(&table(&leaf, "second"), "done.7", Some("7")).await;

        // Without the hub, the copies go on.
        world.hub.kill();
        for i in 0..20 {
            assert_eq!(read(&local, &format!("done.{i}")).await, Some(i.to_string()));
        }
        assert_eq!(read(&t, "own").await.as_deref(), Some("x"));
        let error = local.write("new.22", "x").await.unwrap_err();
        assert!(error.kind().is_transient(), "it may be there again: {error}");
        leaf.delete_mirror("KV_orders").await.unwrap();
    }
}

// ------------------------------------------------------------------ accounts

/// Account A keeps a bucket, B imports what copying it needs.
const ACCOUNTS: &str = r#"
accounts {
  A {
    jetstream: enabled
    users: [ { user: a, password: a } ]
    exports: [
      { service: "$JS.API.CONSUMER.CREATE.>", accounts: [B] }
      { service: "$JS.FC.>", accounts: [B] }
      { stream: "deliver.b.>", accounts: [B] }
    ]
  }
  B {
    jetstream: enabled
    users: [ { user: b, password: b } ]
    imports: [
      { service: { account: A, subject: "$JS.API.CONSUMER.CREATE.>" }, to: "A.API.CONSUMER.CREATE.>" }
      { service: { account: A, subject: "$JS.FC.>" } }
      { stream: { account: A, subject: "deliver.b.>" } }
    ]
  }
}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buckets_of_another_account_are_mirrored_and_aggregated() {
    for version in versions() {
        let server = Server::with(&Setup::default().version(version).lines(ACCOUNTS));
        let (a, b) = (sign_in(&server, "a").await, sign_in(&server, "b").await);
        let none = DatabaseConfig::new();
        let orders = table(&a, "orders");
        for i in 0..20 {
            orders.write(&format!("new.{i}"), i.to_string()).await.unwrap();
            orders.write(&format!("done.{i}"), i.to_string()).await.unwrap();
        }
        assert!(b.buckets().await.unwrap().is_empty(), "another account sees nothing");

        let origin = || Origin::bucket(&name("orders")).api_prefix("A.API").deliver("deliver.b.x");
        let copy: Bucket = b.bucket(&name("copy"));
        let some = origin().keys(["t.new.>"]);
        copy.create_aggregate(&[some], Access::Writable, &none).await.unwrap();
        let t = table(&b, "copy");
        shows(&t, "new.19", Some("19")).await;
        assert!(t.read("done.1").await.unwrap().is_none());
        t.write("own", "x").await.unwrap();
        orders.write("new.20", "20").await.unwrap();
        shows(&t, "new.20", Some("20")).await;
        let status = copy.status().await.unwrap();
        let up = &status.sources[0];
        assert_eq!((up.api_prefix.as_deref(), up.domain.as_deref()), (Some("A.API"), None));
        assert_eq!(up.lag, Some(0));
        let deliver = &status.stream_config["sources"][0]["external"]["deliver"];
        assert_eq!(deliver, "deliver.b.x");

        b.create_mirror("KV_orders", &origin(), &none).await.unwrap();
        let local = table(&b, "orders");
        shows(&local, "done.19", Some("19")).await;
        orders.delete("done.19").await.unwrap();
        shows(&local, "done.19", None).await;
        assert_eq!(b.mirror_status("KV_orders").await.unwrap().mirror.unwrap().lag, Some(0));
    }
}
