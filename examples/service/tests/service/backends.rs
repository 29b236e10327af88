//! The same service on every backend: all that changes is one URL.

use serde_json::json;
use tests::servers::{nats, redis};

use super::{ADA, named};
use crate::http::request;
use crate::process::Service;

#[tokio::test]
async fn in_memory() {
    runs_on("memory://", "memory").await;
}

#[tokio::test]
async fn on_redis() {
    let server = redis::Server::start();
    runs_on(&format!("redis://{}", server.address()), "redis").await;
}

#[tokio::test]
async fn on_nats() {
    let server = nats::Server::start();
    runs_on(&server.url(), "nats").await;
}

async fn runs_on(url: &str, store: &str) {
    let service = Service::start_with(&[("STORE_URL", url)]).await;
    let at = service.at;
    let health = request("GET", "/healthz").to(at).await;
    assert_eq!((health.status, health.json()), (200, json!({ "status": "ok", "store": store })));
    let mut events = request("GET", "/profiles/events").events(at).await;
    assert_eq!(events.next().await.unwrap().name, "synced");

    let created = request("PUT", "/profiles/ada?ttl=2s").json(ADA).to(at).await;
    assert_eq!(created.status, 200, "{}", created.body);
    let read = request("GET", "/profiles/ada").to(at).await;
    assert_eq!((read.status, read.etag()), (200, created.etag()));
    let update = |tag: &str, name: &str| {
        request("PUT", "/profiles/bob").header("if-match", tag).json(named(name)).to(at)
    };
    let bob = request("PUT", "/profiles/bob").json(named("Bob")).to(at).await;
    assert_eq!(update(bob.etag(), "Bob 2").await.status, 200);
    let stale = update(bob.etag(), "Bob 3").await;
    assert_eq!(stale.error(409), "conflict");
    assert_eq!(update(stale.etag(), "Bob 3").await.status, 200, "with what the conflict said");

    let first = request("GET", "/profiles?limit=1").to(at).await.json();
    assert_eq!(first["profiles"][0]["id"], "ada");
    let next = format!("/profiles?limit=1&cursor={}", first["next"].as_str().unwrap());
    let second = request("GET", &*next).to(at).await.json();
    assert_eq!(second["profiles"][0]["name"], "Bob 3");

    let counts = (0..16).map(|_| tokio::spawn(request("POST", "/counters/hits").to(at)));
    for count in counts.collect::<Vec<_>>() {
        assert_eq!(count.await.unwrap().status, 200);
    }
    assert_eq!(request("GET", "/counters/hits").to(at).await.json()["value"], 16);

    let mut seen = Vec::new();
    while seen.last().is_none_or(|(name, _)| name != "delete") {
        let event = events.next().await.unwrap();
        seen.push((event.name, event.data["id"].as_str().unwrap().to_owned()));
    }
    let told = |name: &str, id: &str| (name.to_owned(), id.to_owned());
    assert_eq!(seen.first(), Some(&told("put", "ada")));
    assert_eq!(seen.last(), Some(&told("delete", "ada")), "its time was over");
    drop(events);

    // What was written is there for the next process, except in memory.
    service.signal("-TERM");
    assert!(service.ended().await.0.success());
    let service = Service::start_with(&[("STORE_URL", url)]).await;
    let kept = request("GET", "/profiles/bob").to(service.at).await.status;
    assert_eq!(kept, if store == "memory" { 404 } else { 200 });
}
