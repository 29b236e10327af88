//! The provider binary where a NATS server wants to know who asks: upstream's settings for JWT, TLS and domain, and users who may do
//! little.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

#[allow(dead_code, reason = "other tests use the rest")]
mod host;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../tests/tests/keys/mod.rs"]
mod keys;
#[allow(dead_code, missing_docs, unreachable_pub, reason = "the servers of all tests")]
#[path = "../../tests/src/servers/nats.rs"]
mod nats;

use std::time::Duration;

use bytes::Bytes;
use host::component::{Error, call, store};
use host::{Host, Start, by, link, port};
use keys::{Operator, certificates};
use nats::{Server, Setup};
use nkeys::KeyPair;
use serde_json::{Value, json};

async fn get(host: &Host, link: &str, key: &str) -> Result<Option<Bytes>, Error> {
    call(store::get(&host.wrpc, Some(by("c1", link)), link, key)).await
}

async fn set(host: &Host, link: &str, key: &str, value: &'static str) -> Result<(), Error> {
    let cx = Some(by("c1", link));
    call(store::set(&host.wrpc, cx, link, key, &Bytes::from_static(value.as_bytes()))).await
}

fn server(lines: impl Into<String>) -> Server {
    Server::with(&Setup::default().lines(lines))
}

/// A provider whose component has links with these settings, beside upstream's two that every one has.
async fn linked(server: &Server, links: &[(&str, Value)]) -> Host {
    let link = |(name, more): &(&str, Value)| {
        let mut config = json!({"cluster_uri": server.url(), "bucket": "b", "enable_bucket_auto_create": "true"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        link("c1", name, config)
    };
    Host::start(Start { links: links.iter().map(link).collect(), ..Start::default() }).await
}

/// What this link writes, another reads.
async fn works(host: &Host, link: &str) {
    set(host, link, link, "v").await.unwrap_or_else(|e| panic!("{link}: {e:?}\n{}", host.log()));
    assert_eq!(get(host, link, link).await.unwrap().unwrap(), "v", "{link}");
}

#[tokio::test]
async fn a_jwt_and_its_seed_sign_in() {
    let (operator, stranger) = (Operator::new(), Operator::new());
    let server = server(operator.server_lines());
    let user = KeyPair::new_user();
    let seed = user.seed().unwrap();
    let (good, bad) = (operator.user(&user), stranger.user(&user));
    let parts = |jwt: &str| json!({"client_jwt": jwt, "client_seed": seed});
    let host = linked(
        &server,
        &[("default", parts(&good)), ("wrong", parts(&bad)), ("nobody", json!({}))],
    )
    .await;
    works(&host, "default").await;
    let mut sealed = link("c1", "sealed", json!({"cluster_uri": server.url(), "bucket": "b"}));
    let secret = |value: &str| json!({"kind": "String", "value": value});
    sealed["target_secrets"] =
        json!(host.seal(&json!({"client_jwt": secret(&good), "client_seed": secret(&seed)})));
    host.put(&sealed).await;
    host.until_health(Some("credentials")).await;
    works(&host, "sealed").await;
    for link in ["wrong", "nobody"] {
        let error = format!("{:?}", get(&host, link, "k").await.unwrap_err());
        assert!(error.contains("not connected") && error.contains("credentials"), "{error}");
    }
    for secret in [&seed, &good, &bad] {
        assert!(!host.log().contains(secret.as_str()), "{}", host.log());
    }
    assert_eq!(host.warned("setting=\"client_seed\""), 1, "{}", host.log());
}

#[tokio::test]
async fn tls_trusts_the_certificates_that_a_link_names_as_text_or_file() {
    let (ours, theirs) = (certificates("provider"), certificates("provider-theirs"));
    let server = server(ours.server_lines("server", ""));
    let file = |certificates: &keys::Certificates| certificates.path("ca.pem");
    let host = linked(
        &server,
        &[
            ("default", json!({"tls_ca": ours.ca})),
            ("file", json!({"tls_ca_file": file(&ours)})),
            // The text wins.
            ("both", json!({"tls_ca": ours.ca, "tls_ca_file": file(&theirs)})),
            ("wrong", json!({"tls_ca": theirs.ca})),
        ],
    )
    .await;
    for link in ["default", "file", "both"] {
        works(&host, link).await;
    }
    let error = format!("{:?}", get(&host, "wrong", "k").await.unwrap_err());
    assert!(error.contains("TLS"), "{error}");
}

#[tokio::test]
async fn jetstream_is_found_in_the_domain_that_a_link_names() {
    let setup = Setup { jetstream_lines: "domain: hub".into(), ..Setup::default() };
    let server = Server::with(&setup);
    let host = linked(
        &server,
        &[("default", json!({"js_domain": "hub"})), ("wrong", json!({"js_domain": "nowhere"}))],
    )
    .await;
    works(&host, "default").await;
    host.until_health(Some("domain")).await;
    let error = format!("{:?}", get(&host, "wrong", "k").await.unwrap_err());
    assert!(error.contains("not connected"), "{error}");
}

/// A server whose users may not publish to these subjects.
fn denies(subjects: &str) -> (Server, Value) {
    let server = server(format!(
        "authorization {{ users: [\n\
        {{ user: all, password: pw }},\n\
        {{ user: app, password: pw, permissions: {{ publish: {{ deny: [{subjects}] }} }} }} ] }}"
    ));
    let url = format!("nats://app:pw@127.0.0.1:{}", server.port());
    (server, json!({"cluster_uri": url}))
}

#[tokio::test]
async fn who_may_not_ask_for_the_account_is_as_healthy_as_others() {
    let (server, app) = denies("\"$JS.API.INFO\"");
    let host = linked(&server, &[("default", app)]).await;
    works(&host, "default").await;
    host.until_health(None).await;
    server.pause();
    host.until_health(Some("does not answer")).await;
    server.resume();
    host.until_health(None).await;
}

#[tokio::test]
async fn a_bucket_that_cannot_be_created_is_a_warning_and_no_such_store() {
    let (server, app) = denies("\"$JS.API.STREAM.CREATE.>\"");
    let host = linked(&server, &[("default", app)]).await;
    for _ in 0..20 {
        assert!(matches!(get(&host, "default", "k").await, Err(Error::NoSuchStore)));
    }
    assert_eq!(host.warned("cannot create the database"), 1, "{}", host.log());
    host.until_health(None).await;
    // Who may, makes it: then it is found.
    let config = json!({"cluster_uri": format!("nats://all:pw@127.0.0.1:{}", server.port()),
                        "bucket": "b", "enable_bucket_auto_create": "true"});
    host.put(&link("c1", "all", config)).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(15);
    while set(&host, "all", "k", "v").await.is_err() || get(&host, "default", "k").await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "{}", host.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
