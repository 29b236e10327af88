//! Bad input and bad days: the NATS driver on servers that are killed, paused, misconfigured or shared with others.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use store_core::config::Registry;
use store_core::{Database, DatabaseConfig, ErrorKind, Event, Name, Outcome, StoreAdmin, Table};
use store_natsjs::async_nats::{self, HeaderMap};
use store_natsjs::{Credentials, Layout, Nats};
use tests::servers::nats::{Server, Setup, free_port};
use tests::servers::nats_proxy::{Proxy, Way};

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

/// Does something for many keys, 128 at a time.
async fn each<F, Fut, T>(keys: usize, work: F)
where
    F: Fn(String) -> Fut + Send + Sync,
    Fut: Future<Output = T> + Send,
{
    stream::iter((0..keys).map(|i| work(format!("k{i}")))).buffer_unordered(128).count().await;
}

/// The keys that can be read, by reads and by a listing, which must agree.
async fn alive(table: &Table) -> usize {
    let listed = table.list().limit(1_000_000).await.unwrap();
    for key in listed.iter().take(20) {
        assert!(table.read(key).await.unwrap().is_some(), "{key} is listed and cannot be read");
    }
    listed.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_or_expired_does_not_come_back_after_a_kill() {
    const KEYS: usize = 20_000;
    let mut server = Server::start();
    let store = Nats::builder()
        .servers([server.url()])
        // So that the server really removes within this test.
        .expired_retention(Duration::from_secs(1))
        .connect()
        .await
        .unwrap();
    let store: Arc<dyn StoreAdmin> = Arc::new(store);
    let (deleted, fresh, over, again, live) = (
        table(&store, "deleted"),
        table(&store, "expires-new"),
        table(&store, "expires-over-old"),
        table(&store, "value-delete-value"),
        table(&store, "live"),
    );
    let ttl = Duration::from_secs(2);
    for round in 0..3 {
        each(KEYS, async |k| deleted.write(&k, format!("old{round}")).await.unwrap()).await;
        each(KEYS / 4, async |k| over.write(&k, format!("old{round}")).await.unwrap()).await;
        each(KEYS / 4, async |k| again.write(&k, format!("old{round}")).await.unwrap()).await;
        each(KEYS / 4, async |k| live.write(&k, format!("v{round}")).await.unwrap()).await;
    }
    each(KEYS, async |k| deleted.delete(&k).await.unwrap()).await;
    each(KEYS / 4, async |k| again.delete(&k).await.unwrap()).await;
    each(KEYS / 4, async |k| again.write(&k, "new").ttl(ttl).await.unwrap()).await;
    each(KEYS / 4, async |k| over.write(&k, "new").ttl(ttl).await.unwrap()).await;
    // Longer, then shorter: the older version must not outlive the newer one.
    each(KEYS / 4, async |k| fresh.write(&k, "first").ttl(Duration::from_secs(3)).await.unwrap())
        .await;
    each(KEYS / 4, async |k| fresh.write(&k, "second").ttl(ttl).await.unwrap()).await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    for kill in 0..3 {
        let gone = [&deleted, &fresh, &over, &again];
        for table in gone {
            assert_eq!(alive(table).await, 0, "{table:?} after {kill} kills");
        }
        assert_eq!(alive(&live).await, KEYS / 4, "after {kill} kills");
        assert_eq!(live.read("k7").await.unwrap().unwrap().value(), b"v2");
        server.kill();
        server.restart();
    }
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
    assert!(since.elapsed() < Duration::from_secs(1), "it is said at once");
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
    assert_eq!(status.config.default_ttl, Some(Duration::from_secs(3600)));
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
