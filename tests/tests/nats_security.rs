//! Signing in to NATS in every way, TLS, domains and imports, restricted users: on real servers, with keys and certificates that the
//! tests make. What goes wrong is said, and no secret with it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod keys;

use std::error::Error as _;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use keys::{Certificates, Operator, certificates, creds};
use nkeys::KeyPair;
use serde_json::json;
use store_core::config::{Config, Registry, StoreBuilder};
use store_core::{DatabaseConfig, Error, ErrorKind, Key, Name, Outcome, Put, StoreAdmin, Table};
use store_natsjs::{Builder, Credentials, Nats, async_nats};
use tests::servers::nats::{Server, Setup};

fn server(lines: &str) -> Server {
    Server::with(&Setup::default().lines(lines))
}

fn tls_server(certificates: &Certificates, name: &str, more: &str) -> Server {
    server(&certificates.server_lines(name, more))
}

fn builder(server: &Server) -> Builder {
    Nats::builder()
        .servers([server.url()])
        .connect_timeout(Duration::from_secs(5))
        .attempt_timeout(Duration::from_secs(1))
}

fn table(store: impl StoreAdmin, name: &str) -> Table {
    let store: Arc<dyn StoreAdmin> = Arc::new(store);
    store.database("app").unwrap().table(name).unwrap()
}

/// Writes, reads and lists: the store really works.
async fn works(builder: Builder) {
    let t = table(builder.connect().await.unwrap(), "t");
    t.write("k", "v").await.unwrap();
    assert_eq!(t.read("k").await.unwrap().unwrap().value(), b"v");
    assert_eq!(t.list().await.unwrap(), ["k"]);
}

async fn refused(builder: Builder) -> Error {
    builder.connect().await.unwrap_err()
}

/// Everything an error says, in all ways.
fn all_of(error: &Error) -> String {
    let mut text = format!("{error}\n{error:?}\n{error:#?}\n{}", error.message());
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, "\n{cause}\n{cause:?}");
        source = cause.source();
    }
    text
}

/// Right credentials work; wrong ones are `Unauthenticated`, and neither the error nor the builder shows the secrets.
async fn signs_in(server: &Server, right: Credentials, wrong: Credentials, secrets: &[&str]) {
    works(builder(server).credentials(right)).await;
    let wrong = builder(server).credentials(wrong);
    let shown = format!("{wrong:?} {wrong:#?}");
    let error = refused(wrong).await;
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
    for secret in secrets {
        assert!(!all_of(&error).contains(secret), "{error:?}");
        assert!(!shown.contains(secret), "{shown}");
    }
    let none = refused(builder(server)).await;
    assert_eq!(none.kind(), ErrorKind::Unauthenticated, "{none:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_and_password_sign_in() {
    let server = server("authorization { user: app, password: \"s3cr=t\" }");
    let user = |password: &str| Credentials::UserPassword("app".into(), password.into());
    signs_in(&server, user("s3cr=t"), user("wr0ng"), &["s3cr=t", "wr0ng"]).await;
    // In the URL of a server, too, where what is special is escaped.
    let url = |password: &str| format!("nats://app:{password}@127.0.0.1:{}", server.port());
    works(Nats::builder().servers([url("s3cr%3Dt")])).await;
    let error = refused(Nats::builder().servers([url("wr0ng")])).await;
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(!all_of(&error).contains("wr0ng"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_signs_in() {
    let server = server("authorization { token: t0ken }");
    let token = |text: &str| Credentials::Token(text.into());
    signs_in(&server, token("t0ken"), token("wr0ng"), &["t0ken", "wr0ng"]).await;
    works(Nats::builder().servers([format!("nats://t0ken@127.0.0.1:{}", server.port())])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_nkey_signs_in() {
    let (right, wrong) = (KeyPair::new_user(), KeyPair::new_user());
    let server =
        server(&format!("authorization {{ users: [ {{ nkey: {} }} ] }}", right.public_key()));
    let (right, wrong) = (right.seed().unwrap(), wrong.seed().unwrap());
    let key = |seed: &str| Credentials::NKey(seed.into());
    signs_in(&server, key(&right), key(&wrong), &[&right, &wrong]).await;
    let error = refused(builder(&server).credentials(key("SUnoseedatall"))).await;
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
    assert!(!all_of(&error).contains("noseedatall"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jwt_signs_in_by_its_parts_by_file_and_by_text() {
    let (operator, stranger) = (Operator::new(), Operator::new());
    let server = server(&operator.server_lines());
    let (user, other) = (KeyPair::new_user(), KeyPair::new_user());
    let (seed, other_seed) = (user.seed().unwrap(), other.seed().unwrap());
    let (good, bad) = (operator.user(&user), stranger.user(&user));
    let secrets = [&*seed, &*other_seed, &*good, &*bad];
    let parts = |jwt: &str, seed: &str| Credentials::Jwt(jwt.into(), seed.into());
    // Of an operator that the server does not know, or with the seed of another user.
    signs_in(&server, parts(&good, &seed), parts(&bad, &seed), &secrets).await;
    signs_in(&server, parts(&good, &seed), parts(&good, &other_seed), &secrets).await;
    let text = |jwt: &str| Credentials::Text(creds(jwt, &seed));
    signs_in(&server, text(&good), text(&bad), &secrets).await;
    let file = |name: &str, text: &str| {
        let path = server.dir().join(name);
        std::fs::write(&path, text).unwrap();
        Credentials::File(path)
    };
    let (good, bad) = (file("good", &creds(&good, &seed)), file("bad", &creds(&bad, &seed)));
    signs_in(&server, good.clone(), bad, &secrets).await;

    // What is no such file is a mistake of the configuration, not of the server.
    for wrong in [file("junk", &format!("junk {seed}")), Credentials::File("/nonexistent".into())] {
        let error = refused(builder(&server).credentials(wrong)).await;
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(!all_of(&error).contains(&seed), "{error:?}");
    }
    // By URL as well, with the same care.
    let Credentials::File(path) = good else { unreachable!() };
    let url = format!("{}/app?credentials_file={}", server.url(), path.display());
    let opened = Registry::new().with(store_natsjs::driver()).open(&url).await.unwrap();
    opened.handle().unwrap().root().write("k", "v").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_trusts_the_authorities_of_a_file_or_of_a_text_and_no_others() {
    let (ours, theirs) = (certificates("ours"), certificates("theirs"));
    let server = tls_server(&ours, "server", "");
    works(builder(&server).tls_ca_file(ours.path("ca.pem"))).await;
    works(builder(&server).tls_ca_text(&*ours.ca).require_tls(true)).await;
    let tls = format!("tls://127.0.0.1:{}", server.port());
    works(Nats::builder().servers([tls]).tls_ca_text(&*ours.ca)).await;

    // By nobody we trust: the system's authorities, another file, another text; for another host.
    let elsewhere = tls_server(&ours, "elsewhere", "");
    for wrong in [
        builder(&server),
        builder(&server).tls_ca_file(theirs.path("ca.pem")),
        builder(&server).tls_ca_text(&*theirs.ca),
        builder(&elsewhere).tls_ca_text(&*ours.ca),
    ] {
        let error = refused(wrong).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(all_of(&error).contains("TLS"), "{error:?}");
    }
    for wrong in [
        builder(&server).tls_ca_text(&*ours.ca).tls_ca_file(ours.path("ca.pem")),
        builder(&server).tls_ca_text("no certificate"),
        builder(&server).tls_ca_file(ours.path("missing.pem")),
        builder(&server).tls_ca_file(ours.path("server.key")),
    ] {
        let error = refused(wrong).await;
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(error.message().contains("authorities"), "{error:?}");
    }
    // A server without TLS, where it is insisted upon.
    let plain = Server::start();
    let error = refused(builder(&plain).require_tls(true).tls_ca_text(&*ours.ca)).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_shows_its_certificate_where_the_server_wants_one() {
    let certificates = certificates("client");
    let server = tls_server(&certificates, "server", "verify: true");
    let own = |builder: Builder| {
        builder.tls_certificate(certificates.path("client.pem"), certificates.path("client.key"))
    };
    works(own(builder(&server).tls_ca_text(&*certificates.ca))).await;
    works(own(builder(&server).tls_ca_file(certificates.path("ca.pem")))).await;
    let error = refused(builder(&server).tls_ca_text(&*certificates.ca)).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let mixed = builder(&server)
        .tls_ca_text(&*certificates.ca)
        .tls_certificate(certificates.path("client.pem"), certificates.path("server.key"));
    let error = refused(mixed).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    let key = std::fs::read_to_string(certificates.path("server.key")).unwrap();
    assert!(!all_of(&error).contains(key.lines().nth(1).unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_can_come_before_anything_else() {
    let certificates = certificates("first");
    let server = tls_server(&certificates, "server", "handshake_first: true");
    works(builder(&server).tls_ca_text(&*certificates.ca).tls_first(true)).await;
    let late = builder(&server)
        .tls_ca_text(&*certificates.ca)
        .connect_timeout(Duration::from_secs(1))
        .connect();
    assert!(late.await.unwrap_err().kind().is_transient());
    // All by URL, where the text has its line ends escaped.
    let ca: String = url_escaped(&certificates.ca);
    let url = format!("tls://127.0.0.1:{}/app?tls_first=on&tls_ca={ca}", server.port());
    let opened = Registry::new().with(store_natsjs::driver()).open(&url).await.unwrap();
    opened.handle().unwrap().root().write("k", "v").await.unwrap();
}

fn url_escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jetstream_is_found_in_its_domain_and_behind_an_import() {
    let setup = Setup { jetstream_lines: "domain: hub".into(), ..Setup::default() };
    let server = Server::with(&setup);
    works(builder(&server).domain("hub")).await;
    works(builder(&server).api_prefix("$JS.hub.API")).await;
    let error = refused(builder(&server).domain("nowhere")).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("domain"), "{error}");
    let error = refused(builder(&server).domain("hub").api_prefix("$JS.API")).await;
    assert_eq!(error.kind(), ErrorKind::Config);

    // The API of another account, under a name of its own.
    let accounts = "accounts {\n\
        DATA: { jetstream: enabled, users: [{ user: data, password: d }],\n\
          exports: [{ service: \"$JS.API.>\", response_type: stream }, { service: \"$KV.>\" }] },\n\
        APP: { users: [{ user: app, password: a }],\n\
          imports: [{ service: { account: DATA, subject: \"$JS.API.>\" }, to: \"DATA.API.>\" },\n\
                    { service: { account: DATA, subject: \"$KV.>\" }, to: \"DATA.API.$KV.>\" }] }\n}";
    let server = self::server(accounts);
    let user = |user: &str, password: &str| {
        let credentials = Credentials::UserPassword(user.into(), password.into());
        builder(&server).credentials(credentials)
    };
    works(user("app", "a").api_prefix("DATA.API")).await;
    let t = table(user("data", "d").connect().await.unwrap(), "t");
    assert_eq!(t.read("k").await.unwrap().unwrap().value(), b"v");
    let error = refused(user("app", "a")).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("JetStream is not enabled"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_handed_in_is_used_and_left_open() {
    let server = server("authorization { user: app, password: pw }");
    let options = async_nats::ConnectOptions::with_user_and_password("app".into(), "pw".into());
    let client = options.connect(server.url()).await.unwrap();
    // Nothing about connecting counts then, not even what is wrong.
    let credentials = Credentials::Token("wrong".into());
    let with = |client| {
        Nats::builder()
            .servers(["nats://127.0.0.1:1"])
            .credentials(credentials.clone())
            .client(client)
    };
    works(with(client.clone())).await;
    let store: Arc<dyn StoreAdmin> = Arc::new(with(client.clone()).connect().await.unwrap());
    store.close().await.unwrap();
    let closed = store.database("app").unwrap().root().read("k").await.unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
    assert_eq!(client.connection_state(), async_nats::connection::State::Connected);
    works(with(client)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_user_may_not_do_is_said_at_once_and_the_rest_works() {
    let server = server(
        "authorization { users: [\n\
        { user: writer, password: pw, permissions: { publish: { deny: [\"$KV.app.secret.>\", \"$KV.app.part.hidden\"] } } },\n\
        { user: reader, password: pw, permissions: { publish: { deny: [\"$KV.>\", \"$JS.API.STREAM.CREATE.>\", \"$JS.API.STREAM.DELETE.>\"] } } },\n\
        { user: inbox, password: pw, permissions: { subscribe: { allow: [\"_MINE.>\"] } } },\n\
        ] }",
    );
    let user = |user: &str| {
        builder(&server).credentials(Credentials::UserPassword(user.into(), "pw".into()))
    };
    let nats = user("writer").connect().await.unwrap();
    let writer: Arc<dyn StoreAdmin> = Arc::new(nats.clone());
    let database = writer.database("app").unwrap();
    let (open, secret) = (database.table("open").unwrap(), database.table("secret").unwrap());
    open.write("k", "v").await.unwrap();
    let since = Instant::now();
    let denied = secret.write("hidden-key", "hidden-value").await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied, "{denied:?}");
    assert_eq!(denied.outcome(), Outcome::NotApplied);
    assert!(!all_of(&denied).contains("hidden-value"), "{denied:?}");
    let denied = secret.increment("n", 1).await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied, "{denied:?}");
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    let many = database.table("open").unwrap();
    assert!(many.write_many([("a", "1"), ("b", "2")]).await.iter().all(Result::is_ok));

    // Of many at once, only what is denied is refused, and of all or nothing, all.
    let part = database.table("part").unwrap();
    let three = ["a", "hidden", "z"];
    let done = part.write_many(three.map(|key| (key, "1"))).await;
    let denied = done[1].as_ref().unwrap_err();
    assert_eq!(
        (denied.kind(), denied.outcome()),
        (ErrorKind::PermissionDenied, Outcome::NotApplied)
    );
    assert!(done[0].is_ok() && done[2].is_ok(), "{done:?}");
    let batch = three.iter().fold(part.batch(), |batch, key| batch.write(*key, "2"));
    let denied = batch.commit().await.unwrap_err();
    assert_eq!(
        (denied.kind(), denied.outcome()),
        (ErrorKind::PermissionDenied, Outcome::NotApplied)
    );
    let puts = three.iter().map(|key| Put::new(Key::new(key).unwrap(), "3"));
    let stopped = nats.import(part.namespace(), puts).await.unwrap().stopped.unwrap();
    assert_eq!(stopped.kind(), ErrorKind::PermissionDenied, "{stopped:?}");
    assert!(part.read("hidden").await.unwrap().is_none());

    let reader: Arc<dyn StoreAdmin> = Arc::new(user("reader").connect().await.unwrap());
    let t = reader.database("app").unwrap().table("open").unwrap();
    assert_eq!(t.read("k").await.unwrap().unwrap().value(), b"v");
    assert_eq!(t.list().await.unwrap(), ["a", "b", "k"]);
    assert_eq!(t.write("k", "w").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(t.delete("k").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let name = Name::new("other").unwrap();
    let denied = reader.create_database(&name, &DatabaseConfig::new()).await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied, "{denied:?}");
    let name = Name::new("app").unwrap();
    let denied = reader.delete_database(&name).await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied, "{denied:?}");

    works(user("inbox").inbox_prefix("_MINE")).await;
    let deaf = refused(user("inbox")).await;
    assert_eq!(deaf.kind(), ErrorKind::PermissionDenied, "{deaf:?}");
    assert!(deaf.message().contains("inbox_prefix"), "{deaf}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_and_serde_configure_everything() {
    let server = server("authorization { user: app, password: s3cret }");
    let registry = Registry::new().with(store_natsjs::driver());
    let url = format!("nats://app:s3cret@127.0.0.1:{}/app", server.port());
    let vars = [
        ("STORE_URL", &*url),
        ("STORE_TIMEOUT", "3s"),
        ("STORE_OPTION_HISTORY", "4"),
        ("STORE_OPTION_STORAGE", "memory"),
        ("STORE_OPTION_DEFAULT_TTL", "1h"),
        ("STORE_OPTION_NAME", "by environment"),
    ];
    let config = Config::from_vars("STORE_", vars).unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
    let opened = StoreBuilder::from(config).open(&registry).await.unwrap();
    opened.handle().unwrap().table("t").unwrap().write("k", "v").await.unwrap();
    let name = Name::new("app").unwrap();
    let status = opened.store.database_status(&name).await.unwrap();
    assert_eq!(status.config.history, Some(4));
    assert_eq!(status.config.storage, Some(store_core::Storage::Memory));
    assert_eq!(status.config.default_ttl, Some(Duration::from_hours(1)));

    let config: Config = serde_json::from_value(json!({
        "url": url,
        "database": "other",
        "options": { "layout": "go-micro", "auto_create": false },
        "databases": {
            "other": { "history": 2, "description": "by serde", "max_value_len": 1000 },
        },
    }))
    .unwrap_or_else(|_| panic!("a configuration that serde reads"));
    // The database is in the URL, too.
    assert_eq!(
        StoreBuilder::from(config.clone()).open(&registry).await.unwrap_err().kind(),
        ErrorKind::Config
    );
    let mut config = config;
    config.url = Some(url.trim_end_matches("/app").to_owned());
    let opened = StoreBuilder::from(config).open(&registry).await.unwrap();
    opened.handle().unwrap().root().write("k", "v").await.unwrap();
    let status = opened.store.database_status(&Name::new("other").unwrap()).await.unwrap();
    assert_eq!(status.config.history, Some(2));
    assert_eq!(status.config.description.as_deref(), Some("by serde"));
    let missing =
        opened.store.database("missing").unwrap().root().write("k", "v").await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(missing.message().contains("auto_create"), "{missing}");

    for (option, value) in [("NKEY", "SUA"), ("TOKEN", "x"), ("CREDENTIALS", "x")] {
        let vars =
            [("STORE_URL", url.clone()), (&*format!("STORE_OPTION_{option}"), value.to_owned())];
        let config = Config::from_vars("STORE_", vars).unwrap();
        let error = StoreBuilder::from(config).open(&registry).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{option}: {error:?}");
        assert!(!all_of(&error).contains("s3cret"), "{error:?}");
    }
}

/// What is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a connect logs on this thread.
async fn logged(builder: Builder) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::WARN)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    builder.connect().await.unwrap();
    drop(guard);
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn a_temporary_directory_is_warned_of_where_it_can_be_seen() {
    const WARNING: &str = "temporary directory";
    let server = server(
        "system_account: SYS\naccounts {\n\
        SYS: { users: [{ user: sys, password: pw }],\n\
          exports: [{ service: \"$SYS.REQ.SERVER.PING.JSZ\", response_type: stream }] },\n\
        APP: { jetstream: enabled, users: [{ user: app, password: pw }],\n\
          imports: [{ service: { account: SYS, subject: \"$SYS.REQ.SERVER.PING.JSZ\" } }] },\n\
        BLIND: { jetstream: enabled, users: [{ user: blind, password: pw, permissions: { publish: { deny: \"$SYS.>\" } } }] }\n}",
    );
    let user = |user: &str| {
        builder(&server).credentials(Credentials::UserPassword(user.into(), "pw".into()))
    };
    let log = logged(user("app")).await;
    assert!(log.contains(WARNING), "{log}");
    assert!(log.contains(&*server.dir().join("js").display().to_string()), "{log}");
    // Who cannot see it is told nothing, and waits for nothing.
    let since = Instant::now();
    let log = logged(user("blind")).await;
    assert!(log.is_empty(), "{log}");
    let log = logged(builder(&Server::start())).await;
    assert!(log.is_empty(), "{log}");
    assert!(since.elapsed() < Duration::from_secs(8));
}
