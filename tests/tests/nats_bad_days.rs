//! Bad input and bad days: the NATS driver on servers that are killed, paused, misconfigured or shared with others.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use store_core::config::Registry;
use store_core::{
    Database, DatabaseConfig, ErrorKind, Event, Key, Metadata, Name, Namespace, Outcome,
    StoreAdmin, Table,
};
use store_natsjs::async_nats::{self, HeaderMap};
use store_natsjs::{Credentials, Layout, Nats};
use tests::servers::nats::{Server, Setup};
use tests::servers::nats_proxy::{Proxy, Way};
use tests::servers::port::free_port;

async fn open(server: &Server) -> Arc<dyn StoreAdmin> {
    let builder = Nats::builder().servers([server.url()]).attempt_timeout(Duration::from_secs(1));
    Arc::new(builder.connect().await.unwrap())
}

fn table(store: &Arc<dyn StoreAdmin>, name: &str) -> Table {
    database(store).table(name).unwrap()
}

fn database(store: &Arc<dyn StoreAdmin>) -> Database {
    store.database("app").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_and_lost_answers_are_said_to_be_unknown() {
    let mut server = Server::start();
    let store = open(&server).await;
    let writers = table(&store, "t");
    writers.write("begin", "").await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let table = writers.clone();
            tokio::spawn(async move {
                let (mut acked, mut unknown) = (Vec::new(), Vec::new());
                let until = Instant::now() + Duration::from_secs(6);
                for i in 0.. {
                    if Instant::now() > until {
                        break;
                    }
                    let key = format!("{task}-{i}");
                    match table.write(&key, "v").await {
                        Ok(_) => acked.push(key),
                        Err(error) => {
                            assert!(error.is_retryable(), "{error:?}");
                            if error.outcome() == Outcome::Unknown {
                                unknown.push(key);
                            }
                        }
                    }
                }
                (acked, unknown)
            })
        })
        .collect();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.restart();
    }
    let mut acked = 0;
    for task in tasks {
        let (keys, _) = task.await.unwrap();
        acked += keys.len();
        for (key, read) in keys.iter().zip(writers.read_many(&keys).await) {
            assert!(read.unwrap().is_some(), "{key} was acknowledged and is lost");
        }
    }
    assert!(acked > 100, "only {acked} writes came through");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_are_exact_through_kills() {
    let mut server = Server::start();
    let store = open(&server).await;
    let counters = table(&store, "t");
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let table = counters.clone();
            tokio::spawn(async move {
                let (mut sure, mut unknown) = (0_i64, 0_i64);
                let until = Instant::now() + Duration::from_secs(4);
                while Instant::now() < until {
                    match table.increment("n", 1).await {
                        Ok(_) => sure += 1,
                        Err(error) if error.outcome() == Outcome::Unknown => unknown += 1,
                        Err(error) => assert!(error.kind().is_transient(), "{error:?}"),
                    }
                }
                (sure, unknown)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    server.kill();
    server.restart();
    let (mut sure, mut unknown) = (0, 0);
    for task in tasks {
        let (s, u) = task.await.unwrap();
        (sure, unknown) = (sure + s, unknown + u);
    }
    let value = counters.increment("n", 0).await.unwrap().value;
    assert!((sure..=sure + unknown).contains(&value), "{value}: {sure} sure, {unknown} unknown");
    assert!(sure > 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_after_a_restart_and_nothing_stays_on_the_server() {
    let mut server = Server::start();
    let store = open(&server).await;
    let t = table(&store, "t");
    t.write("a", "1").await.unwrap();
    let mut events = t.watch().await.unwrap();
    let wait = Duration::from_secs(20);
    let next = async |watch: &mut store_core::EventStream| -> Event {
        tokio::time::timeout(wait, watch.next()).await.unwrap().unwrap().unwrap()
    };
    assert!(matches!(next(&mut events).await, Event::Put(r) if r.key() == "a"));
    assert!(matches!(next(&mut events).await, Event::Synced { .. }));
    server.kill();
    server.restart();
    t.write("b", "2").await.unwrap();
    assert!(matches!(next(&mut events).await, Event::Put(r) if r.key() == "b"));
    drop(events);
    for _ in 0..20 {
        // A listing of this size takes a consumer, too.
        assert!(t.list().await.unwrap().len() == 2);
    }
    let consumers = async || {
        let status = store.database_status(&Name::new("app").unwrap()).await.unwrap();
        status.details["state"]["consumer_count"].as_u64().unwrap()
    };
    let until = Instant::now() + Duration::from_secs(15);
    while consumers().await > 0 {
        assert!(Instant::now() < until, "{} consumers are left", consumers().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_deleted_under_a_store_is_absent_and_then_made_again() {
    let server = Server::start();
    let (one, two) = (open(&server).await, open(&server).await);
    let t = table(&one, "t");
    let old = t.write("k", "v").await.unwrap().revision.unwrap();
    let name = Name::new("app").unwrap();
    two.delete_database(&name).await.unwrap();
    assert!(t.read("k").await.unwrap().is_none());
    assert!(t.list().await.unwrap().is_empty());
    let new = t.write("k", "v").await.unwrap().revision.unwrap();
    assert_ne!(old, new);
    let stale = t.write("k", "w").if_revision(old).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Conflict);
    assert_eq!(stale.current_revision(), Some(new));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_server_is_a_timeout_within_the_deadline() {
    let server = Server::start();
    let store = Nats::builder()
        .servers([server.url()])
        .timeout(Duration::from_secs(2))
        .attempt_timeout(Duration::from_millis(500))
        .connect()
        .await
        .unwrap();
    let store: Arc<dyn StoreAdmin> = Arc::new(store);
    let t = table(&store, "t");
    t.write("k", "v").await.unwrap();
    server.pause();
    let since = Instant::now();
    let error = t.write("k", "w").await.unwrap_err();
    assert!(since.elapsed() < Duration::from_secs(6), "{:?}", since.elapsed());
    assert!(error.kind().is_transient() && error.outcome() == Outcome::Unknown, "{error:?}");
    assert!(t.read("k").await.unwrap_err().kind().is_transient());
    server.resume();
    t.write("k", "x").await.unwrap();
    assert_eq!(t.read("k").await.unwrap().unwrap().value(), b"x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_waits_for_a_lost_connection_as_long_as_it_is_told() {
    let mut server = Server::start();
    let wait = Duration::from_millis(600);
    let builder = Nats::builder().servers([server.url()]).reconnect_wait(wait);
    let store: Arc<dyn StoreAdmin> = Arc::new(builder.connect().await.unwrap());
    let t = table(&store, "t");
    t.write("a", "1").await.unwrap();
    server.kill();
    for change in [false, true] {
        let since = Instant::now();
        let done =
            if change { t.write("a", "2").await.map(drop) } else { t.read("a").await.map(drop) };
        let error = done.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::NotApplied));
        let waited = since.elapsed();
        // Far from the ten seconds that a call may take in all.
        assert!(waited >= wait / 2 && waited < Duration::from_secs(5), "{waited:?}");
    }
    server.restart();
    let back = Instant::now() + Duration::from_secs(20);
    while t.write("a", "3").await.is_err() {
        assert!(Instant::now() < back, "it does not come back");
    }
    assert_eq!(t.read("a").await.unwrap().unwrap().value(), b"3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_way_only_takes_longer() {
    let server = Server::start();
    let proxy = Proxy::start(server.port()).await;
    let store: Arc<dyn StoreAdmin> = Arc::new(Nats::connect(&proxy.url()).await.unwrap());
    let t = table(&store, "t");
    proxy.set(Way::Slow(Duration::from_millis(100)));
    t.write("k", "v").await.unwrap();
    assert_eq!(t.increment("n", 2).await.unwrap().value, 2);
    assert_eq!(t.list().await.unwrap(), ["k", "n"]);
}

/// Stopped most of the time, as on a machine that has too much to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stutters_only_takes_longer() {
    let server = Arc::new(Server::start());
    let store: Arc<dyn StoreAdmin> = Arc::new(Nats::connect(&server.url()).await.unwrap());
    let t = table(&store, "t");
    t.write("k", "0").await.unwrap();
    let mut watch = t.watch().changes_only().await.unwrap();
    let stutter = {
        let server = Arc::clone(&server);
        std::thread::spawn(move || {
            for _ in 0..12 {
                server.pause();
                std::thread::sleep(Duration::from_millis(300));
                server.resume();
                std::thread::sleep(Duration::from_millis(60));
            }
        })
    };
    let mut last = 0;
    while !stutter.is_finished() {
        last += 1;
        let value = last.to_string();
        t.write("k", &value).await.unwrap();
        assert_eq!(t.read("k").await.unwrap().unwrap().value(), value.as_bytes());
        assert_eq!(t.increment("n", 1).await.unwrap().value, last);
        assert_eq!(t.list().await.unwrap(), ["k", "n"]);
    }
    stutter.join().unwrap();
    let end = last.to_string();
    loop {
        let event = tokio::time::timeout(Duration::from_secs(20), watch.next()).await;
        if let Event::Put(record) = event.expect("an event in time").unwrap().unwrap()
            && record.key() == "k"
            && record.value() == end.as_bytes()
        {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_server_is_said() {
    let kind = async |url: &str| {
        let builder = Nats::builder().servers([url]).connect_timeout(Duration::from_secs(2));
        builder.connect().await.unwrap_err().kind()
    };
    assert_eq!(kind(&format!("nats://127.0.0.1:{}", free_port())).await, ErrorKind::Unavailable);
    let off = Server::with(&Setup { jetstream: false, ..Setup::default() });
    let error = Nats::connect(&off.url()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("JetStream is not enabled"), "{error}");

    let users = "authorization { users: [\n\
        { user: all, password: pw }\n\
        { user: some, password: pw, permissions: { publish: { deny: [\"$KV.app.secret.>\"] } } }\n\
        ] }";
    let server = Server::with(&Setup::default().lines(users));
    let wrong = format!("nats://all:hidden@127.0.0.1:{}", server.port());
    let error = Nats::connect(&wrong).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(!format!("{error:?}").contains("hidden"));
    let some = Nats::builder()
        .servers([server.url()])
        .credentials(Credentials::UserPassword("some".into(), "pw".into()));
    let store: Arc<dyn StoreAdmin> = Arc::new(some.connect().await.unwrap());
    table(&store, "open").write("k", "v").await.unwrap();
    let since = Instant::now();
    let error = table(&store, "secret").write("k", "v").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
    assert!(since.elapsed() < Duration::from_secs(5), "it is not asked again until the deadline");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_of_another_layout_is_refused_with_what_to_do() {
    let server = Server::start();
    let with = async |layout| {
        let store = Nats::builder().servers([server.url()]).layout(layout).connect().await;
        let store: Arc<dyn StoreAdmin> = Arc::new(store.unwrap());
        store
    };
    table(&with(Layout::Native).await, "t").write("k", "v").await.unwrap();
    for layout in [Layout::GoMicro, Layout::GoMicroBase32, Layout::Plain] {
        let root = database(&with(layout).await).root();
        let error = root.read("k").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("layout=native"), "{error}");
    }
    let go = with(Layout::GoMicro).await;
    let go = go.database("go").unwrap();
    go.root().write("k", "v").await.unwrap();
    let native = with(Layout::Native).await;
    let error = native.database("go").unwrap().root().read("k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    for word in ["layout=go-micro", "layout=plain", "Go-Micro made it"] {
        assert!(error.message().contains(word), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_records_fail_no_scan_and_other_clients_read_ours() {
    let server = Server::start();
    let store = open(&server).await;
    let t = table(&store, "t");
    t.write("good", "value").await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Store-Metadata", "not json");
    client.publish_with_headers("$KV.app.t.bad", headers, "x".into()).await.unwrap();
    client.publish("$KV.app.t.=zz", "x".into()).await.unwrap();
    client.publish("$KV.app.t.theirs", "plain".into()).await.unwrap();
    client.flush().await.unwrap();
    while t.read("theirs").await.unwrap().is_none() {}
    let page = t.scan().page().await.unwrap();
    let keys: Vec<_> = page.items.iter().map(store_core::Record::key).collect();
    assert_eq!(keys, ["good", "theirs"]);
    assert_eq!(page.faults.len(), 2, "{:?}", page.faults);
    assert!(page.faults.iter().all(|fault| fault.kind() == ErrorKind::Corrupt));
    assert_eq!(t.read("bad").await.unwrap_err().kind(), ErrorKind::Corrupt);
    let raw = client.request("$JS.API.DIRECT.GET.KV_app.$KV.app.t.good", "".into()).await.unwrap();
    assert_eq!(&raw.payload[..], b"value");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_or_too_large_is_said_and_deletes_still_work() {
    let server = Server::start();
    let store = open(&server).await;
    let config = DatabaseConfig::new().with_max_bytes(64 * 1024);
    store.create_database(&Name::new("app").unwrap(), &config).await.unwrap();
    let t = table(&store, "t");
    let value = vec![7; 4096];
    let mut full = None;
    for i in 0..64 {
        if let Err(error) = t.write(&format!("k{i}"), &value).await {
            full = Some(error);
            break;
        }
    }
    assert_eq!(full.unwrap().kind(), ErrorKind::Full);
    t.delete("k0").await.unwrap();
    let error = t.write("big", vec![0; 2 << 20]).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::TooLarge, Outcome::NotApplied));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_opens_a_store_with_every_option_checked() {
    let server = Server::start();
    let registry = Registry::new().with(store_natsjs::driver());
    let url = |query: &str| format!("{}/app?{query}", server.url());
    let opened = registry
        .open(&url(
            "history=3&default_ttl=1h&compression=s2&storage=memory&timeout=3s&create=other",
        ))
        .await
        .unwrap();
    let t = opened.handle().unwrap().table("t").unwrap();
    t.write("k", "v").await.unwrap();
    let status = opened.store.database_status(&Name::new("app").unwrap()).await.unwrap();
    assert_eq!(status.config.history, Some(3));
    assert_eq!(status.config.default_ttl, Some(Duration::from_hours(1)));
    assert_eq!(status.config.driver["compression"], "s2");
    assert_eq!(status.records, Some(1));
    let names = opened.store.list_databases().await.unwrap();
    assert!(names.iter().any(|name| name.as_str() == "other"));
    for (wrong, says) in [
        ("histroy=3", "did you mean `history`"),
        ("layout=raw", "go-micro-base32"),
        ("jwt=x", "go together"),
        ("token=a&nkey=b", "one kind"),
        ("timeout=0s", "`timeout`"),
    ] {
        let error = registry.open(&url(wrong)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{wrong}");
        assert!(error.message().contains(says), "{error}");
    }
}

/// A large value takes several pieces on the wire: the server gets half of one, and the connection ends. Again and again, also while
/// the client signs in anew.
/// The body of an answer of the server's monitoring.
async fn monitored(port: u16, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_connection_republishes_and_gives_up_when_it_is_told_to() {
    let port = free_port();
    let setup = Setup::default().lines(format!("http: \"127.0.0.1:{port}\""));
    let mut server = Server::with(&setup);
    let registry = Registry::new().with(store_natsjs::driver());
    let url = format!(
        "{}/app?name=the-shop&republish_destination=copy.%3E&max_reconnects=3&reconnect_delay=5ms&reconnect_delay_max=10ms",
        server.url()
    );
    let store = registry.open(&url).await.unwrap().store;
    assert!(monitored(port, "/connz").await.contains("the-shop"));
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut copies = client.subscribe("copy.>").await.unwrap();
    client.flush().await.unwrap();
    let t = table(&store, "t");
    t.write("k", "v").await.unwrap();
    let copy = tokio::time::timeout(Duration::from_secs(10), copies.next()).await.unwrap().unwrap();
    assert_eq!((&*copy.subject, &copy.payload[..]), ("copy.$KV.app.t.k", &b"v"[..]));
    server.kill();
    let until = Instant::now() + Duration::from_secs(20);
    while t.read("k").await.unwrap_err().kind() != ErrorKind::Closed {
        assert!(Instant::now() < until, "it does not give up");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_in_the_middle_of_a_request_leaves_nothing_half_done() {
    let server = Server::start();
    let proxy = Proxy::start(server.port()).await;
    let store = Nats::builder()
        .servers([proxy.url()])
        .timeout(Duration::from_secs(20))
        .attempt_timeout(Duration::from_secs(1))
        .connect()
        .await
        .unwrap();
    let store: Arc<dyn StoreAdmin> = Arc::new(store);
    let t = table(&store, "t");
    let value = |i: u32| vec![i as u8; 200_000];
    t.write("k", value(0)).await.unwrap();
    let mut sum = t.increment("n", 1).await.unwrap().value;
    for round in 1..=4 {
        proxy.set(Way::HalfARequest);
        let healing = {
            let proxy = proxy.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                proxy.set(Way::Open);
            })
        };
        let (key, before) = (format!("new{round}"), t.clone());
        let (write, create, increment) = tokio::join!(
            async { t.write("k", value(round)).await },
            async { before.write(&key, value(round)).if_absent().await },
            async { t.increment("n", 1).await },
        );
        healing.await.unwrap();
        // The way is open again within their time, and all of them can be repeated safely.
        write.unwrap();
        create.unwrap();
        sum += 1;
        match increment {
            Ok(counter) => assert_eq!(counter.value, sum),
            // Not a guess: what became of it cannot be told.
            Err(error) => {
                assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
                sum = t.increment("n", 0).await.unwrap().value;
            }
        }
        assert_eq!(t.read("k").await.unwrap().unwrap().value(), value(round));
        assert_eq!(t.read(&key).await.unwrap().unwrap().value(), value(round));
        let mine = store.database_status(&Name::new("app").unwrap()).await.unwrap();
        assert_eq!(mine.records, Some(u64::from(round) + 2), "each was created once");
    }
}

/// A value alone has no id that the server would know: the record shows whether it was written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_was_lost_is_done_once() {
    let server = Server::start();
    let proxy = Proxy::start(server.port()).await;
    let store = Nats::builder()
        .servers([proxy.url()])
        .timeout(Duration::from_secs(20))
        .attempt_timeout(Duration::from_millis(500))
        .connect()
        .await
        .unwrap();
    let store: Arc<dyn StoreAdmin> = Arc::new(store);
    let app = Name::new("app").unwrap();
    store.create_database(&app, &DatabaseConfig::new().with_history(16)).await.unwrap();
    let t = table(&store, "t");
    let ns = Namespace::new(app, "t").unwrap();
    let versions = async |key: &str| {
        let found = store.history(&ns, Key::new(key).unwrap()).await.unwrap();
        found.iter().map(|record| record.value().to_vec()).collect::<Vec<_>>()
    };
    let by = Metadata::new().with("by", "test").unwrap();
    let keys = ["bare", "told", "many1", "many2", "many3"];
    let mut expected = Vec::new();
    for round in 0..6_u8 {
        // The server does what it is told and cannot say so; in the other rounds it does not even hear of it.
        let way = if round % 2 == 0 { Way::NoReplies } else { Way::HalfARequest };
        // Twice the same: what was there before is not taken for what is written now.
        let value = vec![round / 3; 10];
        expected.push(value.clone());
        proxy.set(way);
        let healing = {
            let proxy = proxy.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(700)).await;
                proxy.set(Way::Open);
            })
        };
        let (bare, told, many) = tokio::join!(
            async { t.write("bare", value.clone()).await },
            async { t.write("told", value.clone()).metadata(by.clone()).await },
            t.write_many(keys[2..].iter().map(|key| (*key, value.clone()))),
        );
        healing.await.unwrap();
        bare.unwrap();
        told.unwrap();
        for written in many {
            written.unwrap();
        }
        for key in keys {
            assert_eq!(versions(key).await, expected, "{key} after {way:?}");
        }
    }
}

/// What the server counts of one connection.
fn subscriptions(monitor: u16) -> Vec<u64> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", monitor)).unwrap();
    stream.write_all(b"GET /connz HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let all: serde_json::Value = serde_json::from_str(body).unwrap();
    let counts = all["connections"].as_array().unwrap();
    counts.iter().map(|one| one["subscriptions"].as_u64().unwrap_or(0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_ends_or_is_given_up_leaves_a_subscription_or_a_consumer() {
    let monitor = free_port();
    let server = Server::with(&Setup::default().lines(format!("http: \"127.0.0.1:{monitor}\"")));
    let store = open(&server).await;
    let (t, counters) = (table(&store, "t"), table(&store, "counters"));
    let keys: Vec<String> = (0..3000).map(|i| format!("k{i}")).collect();
    for written in t.write_many(keys.iter().map(|key| (key.as_str(), "v"))).await {
        written.unwrap();
    }
    let before = subscriptions(monitor);
    assert_eq!(before.len(), 1, "one connection");
    let mut open_watches = Vec::new();
    for round in 0..10 {
        open_watches.push(t.watch().await.unwrap());
        // Ended early, at once, and after everything was seen.
        drop(t.watch().changes_only().await.unwrap());
        let mut watch = t.watch().await.unwrap();
        while !matches!(watch.next().await.unwrap().unwrap(), Event::Synced { .. }) {}
        drop(watch);
        assert_eq!(t.list().limit(10_000).await.unwrap().len(), keys.len());
        assert_eq!(t.scan().limit(2_000).await.unwrap().len(), 2_000);
        assert!(t.read_many(&keys).await.iter().all(Result::is_ok));
        // Given up in the middle, at another moment each time.
        let patience = Duration::from_micros(200 * (round + 1));
        let _ = tokio::time::timeout(patience, t.list().limit(10_000).into_future()).await;
        let _ = tokio::time::timeout(patience, t.scan().limit(10_000).into_future()).await;
        let _ = tokio::time::timeout(patience, t.read_many(&keys)).await;
        let _ = tokio::time::timeout(patience, t.watch().into_future()).await;
        let _ = tokio::time::timeout(patience, counters.increment("n", 1)).await;
    }
    let with_watches = subscriptions(monitor);
    assert!(with_watches[0] > before[0], "ten watches are open: {with_watches:?}, {before:?}");
    drop(open_watches);
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        let now = subscriptions(monitor);
        let status = store.database_status(&Name::new("app").unwrap()).await.unwrap();
        let consumers = status.details["state"]["consumer_count"].as_u64().unwrap();
        if now == before && consumers == 0 {
            break;
        }
        assert!(
            Instant::now() < until,
            "{now:?} of {before:?} subscriptions, {consumers} consumers"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    store.close().await.unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while !subscriptions(monitor).is_empty() {
        assert!(Instant::now() < until, "the connection stays");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_says_that_its_bucket_is_another_one_now() {
    let server = Server::start();
    let (one, two) = (open(&server).await, open(&server).await);
    let t = table(&one, "t");
    t.write("old", "v").await.unwrap();
    let mut watch = t.watch().await.unwrap();
    while !matches!(watch.next().await.unwrap().unwrap(), Event::Synced { .. }) {}
    two.delete_database(&Name::new("app").unwrap()).await.unwrap();
    table(&two, "t").write("new", "v").await.unwrap();
    let (mut resync, mut seen) = (false, false);
    while !(resync && seen) {
        let event = tokio::time::timeout(Duration::from_mins(1), watch.next()).await;
        match event.expect("not silence").unwrap().unwrap() {
            Event::Resync => resync = true,
            Event::Put(record) => {
                assert_eq!(record.key(), "new");
                assert!(resync, "what was seen before is void, and that is said first");
                seen = true;
            }
            _ => {}
        }
    }
    // The handle whose bucket it was goes on too.
    assert_eq!(t.list().await.unwrap(), ["new"]);
    assert_eq!(t.increment("n", 1).await.unwrap().value, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_comes_back_in_another_layout_is_refused_and_not_written_to() {
    let server = Server::start();
    let store = open(&server).await;
    let t = table(&store, "t");
    t.write("k", "v").await.unwrap();
    let plain =
        Nats::builder().servers([server.url()]).layout(Layout::Plain).connect().await.unwrap();
    let plain: Arc<dyn StoreAdmin> = Arc::new(plain);
    let name = Name::new("app").unwrap();
    plain.delete_database(&name).await.unwrap();
    plain.create_database(&name, &DatabaseConfig::new()).await.unwrap();
    plain.database("app").unwrap().root().write("theirs", "v").await.unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match t.read("k").await {
            Err(error) if error.kind() == ErrorKind::Config => break,
            Ok(read) => assert!(read.is_none(), "a record of the bucket that was"),
            Err(error) => panic!("{error:?}"),
        }
        assert!(Instant::now() < until, "it is not noticed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(t.write("k", "v").await.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(plain.database("app").unwrap().root().list().await.unwrap(), ["theirs"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_record_of_go_micro_fails_only_itself() {
    let server = Server::start();
    let client = async_nats::connect(server.url()).await.unwrap();
    for (layout, key) in [(Layout::GoMicro, "t_bad"), (Layout::GoMicroBase32, "ORPWEYLE")] {
        let store = Nats::builder().servers([server.url()]).layout(layout).connect().await.unwrap();
        let store: Arc<dyn StoreAdmin> = Arc::new(store);
        let database = store.database(layout.as_str()).unwrap();
        let t = database.table("t").unwrap();
        t.write("good", "v").await.unwrap();
        let subject = format!("$KV.{}.{key}", layout.as_str());
        for bad in [
            "not json",
            "",
            "[1]",
            "{\"key\":\"bad\"",
            "{\"key\":\"bad\",\"data\":\"no base64!\",\"metadata\":null}",
            "{\"key\":\"bad\",\"data\":null,\"metadata\":7}",
        ] {
            client.request(subject.clone(), bad.into()).await.unwrap();
            let page = t.scan().page().await.unwrap();
            let keys: Vec<_> = page.items.iter().map(store_core::Record::key).collect();
            assert_eq!(keys, ["good"], "{layout}: {bad}");
            assert_eq!(page.faults.len(), 1, "{layout}: {bad}: {:?}", page.faults);
            let error = t.read("bad").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{layout}: {bad}");
            assert!(
                bad.is_empty() || !format!("{error:?}").contains(bad),
                "a value is never shown"
            );
        }
        // A purge and a server's own marker are deletions.
        for (name, value) in [("KV-Operation", "PURGE"), ("Nats-Marker-Reason", "MaxAge")] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value);
            client.request_with_headers(subject.clone(), headers, "".into()).await.unwrap();
            assert!(t.read("bad").await.unwrap().is_none(), "{layout}: {name}");
            assert_eq!(t.list().await.unwrap(), ["good"], "{layout}: {name}");
        }
        t.write("bad", "good again").if_absent().await.unwrap();
        t.write("n", "no number").await.unwrap();
        assert_eq!(t.increment("n", 1).await.unwrap_err().kind(), ErrorKind::NotACounter);
    }
}
