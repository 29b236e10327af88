//! The provider in a real wasmCloud 1 host, driven by real components: a real archive, the host's own stdin, links and wRPC.
//!
//! Needs `STORE_TEST_NATS_SERVER` and `STORE_TEST_REDIS_SERVER` (or both servers in the path), `STORE_TEST_ARCHIVE` (what
//! `scripts/archive.py` makes) and `STORE_TEST_GUESTS` (where the guests of provider-wasmtime were built); see docs/provider.md.
//!
//! Every test is on one thread: with several, this host's own transport loses more answers.

mod lattice;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use bytes::Bytes;
use lattice::component::{Component, TRAP};
use lattice::{Lattice, PROVIDER, Server};

/// A bucket of a server, created where it is missing.
fn bucket<'a>(url: &'a str, bucket: &'a str) -> [(&'a str, &'a str); 3] {
    [("cluster_uri", url), ("bucket", bucket), ("enable_bucket_auto_create", "true")]
}

#[tokio::test(flavor = "current_thread")]
async fn every_operation_of_a_component_that_knows_nothing_of_links() {
    let lattice = Lattice::start().await;
    lattice.config("provider", &[("backend", "memory")]).await;
    lattice.config("one", &[("database", "one"), ("page", "2")]).await;
    lattice.provider(&["provider"]).await;
    let guest = lattice.component("guest", "draft").await;
    lattice.link("guest", "default", &["one"]).await;
    let b = "default";
    assert_eq!(guest.ready(b, "k").await, None);

    guest.set(b, "k", "v").await.unwrap();
    assert_eq!(guest.get(b, "k").await.unwrap().unwrap(), "v");
    assert!(guest.exists(b, "k").await.unwrap());
    guest.delete(b, "never").await.unwrap();
    guest.set_many(b, &[("a", "1"), ("b", "2"), ("c", "3")]).await.unwrap();
    let got = guest.get_many(b, &["c", "zz", "a", "c"]).await.unwrap();
    let keys: Vec<_> = got.iter().map(|pair| pair.as_ref().map(|(key, _)| key.as_str())).collect();
    assert_eq!(keys, [Some("c"), None, Some("a"), Some("c")]);
    guest.delete_many(b, &["b", "zz"]).await.unwrap();
    assert_eq!(guest.keys(b).await.unwrap(), ["a", "c", "k"]);
    let (first, next) = guest.page(b, None).await.unwrap();
    assert!(first.len() <= 2 && next.is_some(), "pages of two: {first:?}");
    // Asked again after a lost answer, it counts again.
    let sum = guest.increment(b, "n", 42).await.unwrap();
    assert!(["42", "84"].contains(&&*sum), "{sum}");
    let big = Bytes::from(vec![7; 1_500_000]);
    guest.set(b, "big", big.clone()).await.unwrap();
    assert_eq!(guest.get(b, "big").await.unwrap().unwrap(), big);

    // This host passes on the typed errors of two functions and traps on those of the other seven.
    let error = guest.increment(b, "k", 1).await.unwrap_err();
    assert!(error.contains("no decimal integer"), "{error}");
    let error = guest.get(b, "").await.unwrap_err();
    assert!(error.contains("must not be empty"), "{error}");
    assert_eq!(guest.set(b, "", "v").await.unwrap_err(), TRAP);
    assert_eq!(guest.delete(b, "").await.unwrap_err(), TRAP);
    assert_eq!(guest.exists(b, "").await.unwrap_err(), TRAP);
    assert_eq!(guest.page(b, Some("18446744073709551615")).await.unwrap_or_default().0.len(), 0);
    assert_eq!(guest.get_many(b, &[""]).await.unwrap_err(), TRAP);
    assert_eq!(guest.set_many(b, &[("", "v")]).await.unwrap_err(), TRAP);
    assert_eq!(guest.delete_many(b, &[""]).await.unwrap_err(), TRAP);
    assert_eq!(guest.get(b, "k").await.unwrap().unwrap(), "v", "a trap left nothing behind");
    assert_eq!(lattice.health().await, r#"{"healthy":true}"#);

    // A provider that dies is started again by the host, with its configuration and links.
    lattice.kill_provider();
    assert_eq!(guest.ready(b, "k").await, None, "memory is gone with its process");
    guest.set_many(b, &[("x", "1"), ("y", "2"), ("z", "3")]).await.unwrap();
    assert_eq!(guest.page(b, None).await.unwrap().0.len(), 2, "still pages of two");
    lattice.stop().await;
}

#[tokio::test(flavor = "current_thread")]
async fn links_of_one_component_lead_to_their_own_backends_and_come_and_go_while_it_runs() {
    let (lattice, backend) = (Lattice::start().await, Server::nats().await);
    let url = backend.nats_url();
    lattice.config("memory", &[("backend", "memory"), ("identifier", "any")]).await;
    lattice.config("nats", &bucket(&url, "app")).await;
    lattice.config("other", &bucket(&url, "other")).await;
    // At the start; the others while it runs.
    lattice.link("guest", "default", &["memory"]).await;
    lattice.provider(&[]).await;
    let guest = lattice.component("guest", "lattice").await;
    guest.ready("default/b", "k").await;
    lattice.link("guest", "kept", &["nats"]).await;
    guest.ready("kept/kept", "k").await;
    lattice.link("guest", "more", &["other"]).await;
    guest.ready("more/more", "k").await;

    let buckets = ["default/b", "kept/kept", "more/more"];
    for bucket in buckets {
        guest.set(bucket, "k", bucket).await.unwrap();
        guest.set(bucket, &bucket.replace('/', "."), "own").await.unwrap();
    }
    let js = jetstream::new(async_nats::connect(&url).await.unwrap());
    for bucket in buckets {
        assert_eq!(guest.get(bucket, "k").await.unwrap().unwrap(), bucket);
        let mut keys = [&bucket.replace('/', "."), "k"];
        keys.sort_unstable();
        assert_eq!(guest.keys(bucket).await.unwrap(), keys);
    }
    for (name, value) in [("app", "kept/kept"), ("other", "more/more")] {
        let stored = js.get_key_value(name).await.unwrap();
        assert_eq!(stored.get("k").await.unwrap().unwrap(), value, "as other clients see it");
    }
    let error = guest.get("missing/x", "k").await.unwrap_err();
    assert!(!error.is_empty(), "the host knows no such link: {error}");

    // Another component has memory of its own under the same configuration, and shares the bucket that it names too.
    lattice.link("other", "default", &["memory"]).await;
    lattice.link("other", "kept", &["nats"]).await;
    let other = lattice.component("other", "lattice").await;
    assert_eq!(other.ready("default/b", "k").await, None);
    assert_eq!(other.ready("kept/kept", "k").await.unwrap(), "kept/kept");

    // One link goes, and no other with it.
    lattice.unlink("guest", "kept").await;
    assert!(guest.set("kept/kept", "k", "gone").await.is_err());
    assert_eq!(guest.get("default/b", "k").await.unwrap().unwrap(), "default/b");
    assert_eq!(guest.get("more/more", "k").await.unwrap().unwrap(), "more/more");
    assert_eq!(other.get("kept/kept", "k").await.unwrap().unwrap(), "kept/kept");
    // It comes back with another configuration.
    lattice.link("guest", "kept", &["other"]).await;
    guest.until("kept/kept", "k", Some("more/more")).await;
    lattice.stop().await;
}

#[tokio::test(flavor = "current_thread")]
async fn configuration_of_the_provider_changes_while_it_runs() {
    let lattice = Lattice::start().await;
    lattice.config("provider", &[("backend", "memory"), ("database", "d"), ("page", "2")]).await;
    lattice.config("own", &[("table", "t")]).await;
    lattice.link("guest", "default", &["own"]).await;
    lattice.provider(&["provider"]).await;
    let guest = lattice.component("guest", "draft").await;
    guest.ready("default", "k").await;
    let pairs = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5")];
    guest.set_many("default", &pairs).await.unwrap();
    assert_eq!(guest.page("default", None).await.unwrap().0.len(), 2);

    lattice.config("provider", &[("backend", "memory"), ("database", "d"), ("page", "4")]).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while guest.page("default", None).await.unwrap().0.len() != 4 {
        assert!(Instant::now() < deadline, "the change does not arrive");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(guest.keys("default").await.unwrap(), ["a", "b", "c", "d", "e"], "the same data");

    // What is wrong is said by its name, in the calls of the links that it meets and in health, until it is right again.
    lattice.config("provider", &[("backend", "memory"), ("pages", "4")]).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let error = loop {
        match guest.get("default", "a").await {
            Err(error) => break error,
            Ok(_) => assert!(Instant::now() < deadline, "the mistake does not arrive"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(error.contains("pages"), "{error}");
    let health = lattice.health().await;
    assert!(health.contains(r#""healthy":false"#) && health.contains("pages"), "{health}");
    lattice.config("provider", &[("backend", "memory"), ("database", "d")]).await;
    guest.until("default", "a", Some("1")).await;
    lattice.stop().await;
}

#[tokio::test(flavor = "current_thread")]
async fn secrets_reach_links_and_the_provider_sealed() {
    let (lattice, redis) = (Lattice::start().await, Server::redis("hunter2").await);
    let (right, wrong) = (
        format!("redis://:hunter2@{}/0", redis.address()),
        format!("redis://:wrong@{}/0", redis.address()),
    );
    let second = format!("redis://:hunter2@{}/1", redis.address());
    lattice
        .serve_secrets(&[("path/right", &right), ("path/wrong", &wrong), ("path/second", &second)])
        .await;
    // The provider's own secret is the default of its links, which one of them has another of.
    lattice.secret("SECRET_default", "URL", "path/right").await;
    lattice.secret("SECRET_wrong", "url", "path/wrong").await;
    lattice.secret("SECRET_second", "url", "path/second").await;
    lattice.config("redis", &[("backend", "redis")]).await;
    lattice.provider(&["SECRET_default"]).await;
    let guest = lattice.component("guest", "lattice").await;
    lattice.link("guest", "default", &["redis"]).await;
    guest.ready("default/b", "k").await;
    lattice.link("guest", "second", &["redis", "SECRET_second"]).await;
    guest.ready("second/b", "k").await;
    guest.set("default/b", "k", "first").await.unwrap();
    guest.set("second/b", "k", "second").await.unwrap();
    assert_eq!(guest.get("default/b", "k").await.unwrap().unwrap(), "first");
    assert_eq!(guest.get("second/b", "k").await.unwrap().unwrap(), "second");

    lattice.link("guest", "wrong", &["redis", "SECRET_wrong"]).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let error = loop {
        let error = guest.get("wrong/b", "k").await.unwrap_err();
        if error.contains(&redis.address()) {
            break error;
        }
        assert!(Instant::now() < deadline, "{error}");
    };
    assert!(!error.contains("wrong@") && !error.contains("hunter2"), "{error}");
    let health = lattice.health().await;
    assert!(health.contains(r#""healthy":false"#) && !health.contains("hunter2"), "{health}");

    // A provider that is started again is given its secrets again.
    lattice.kill_provider();
    assert_eq!(guest.ready("default/b", "k").await.unwrap(), "first");
    assert_eq!(guest.ready("second/b", "k").await.unwrap(), "second");
    lattice.stop().await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_component_is_told_of_what_others_change() {
    let (lattice, backend) = (Lattice::start().await, Server::nats().await);
    let url = backend.nats_url();
    let js = jetstream::new(async_nats::connect(&url).await.unwrap());
    let config = jetstream::kv::Config { bucket: "jobs".into(), ..Default::default() };
    let jobs = js.create_key_value(config).await.unwrap();
    lattice.config("notes", &[("backend", "memory")]).await;
    let watched = [("cluster_uri", &*url), ("bucket", "jobs"), ("watch", "SET@next,DEL@next")];
    lattice.config("watched", &watched).await;
    lattice.provider(&[]).await;
    let guest = lattice.component("guest", "lattice").await;
    lattice.link("guest", "default", &["notes"]).await;
    let notes = "default/default";
    guest.ready(notes, "k").await;
    lattice.watch("guest", &["watched"]).await;

    // The watch begins some time after the link was put.
    let deadline = Instant::now() + Duration::from_secs(30);
    while guest.get(notes, "seen:next").await.unwrap().is_none() {
        assert!(Instant::now() < deadline, "the component is not told");
        jobs.put("next", "begin".into()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    jobs.put("unwatched", "x".into()).await.unwrap();
    for round in 0..20 {
        jobs.put("next", format!("job-{round}").into()).await.unwrap();
    }
    guest.until(notes, "seen:next", Some("job-19")).await;
    jobs.delete("next").await.unwrap();
    guest.until(notes, "seen:next", None).await;
    assert!(guest.keys(notes).await.unwrap().is_empty(), "of nothing else");

    // Started again, the provider goes on telling.
    lattice.kill_provider();
    guest.ready(notes, "k").await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while guest.get(notes, "seen:next").await.unwrap().is_none() {
        assert!(Instant::now() < deadline, "the component is not told after a restart");
        jobs.put("next", "again".into()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    lattice.unlink(PROVIDER, "default").await;
    // The host tells the provider some time later.
    let deadline = Instant::now() + Duration::from_secs(20);
    for round in 0.. {
        let unheard = format!("unheard-{round}");
        jobs.put("next", unheard.clone().into()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        if guest.get(notes, "seen:next").await.unwrap().unwrap() != unheard {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let later = guest.get(notes, "seen:next").await.unwrap().unwrap();
            assert_ne!(later, unheard, "it was only late");
            break;
        }
        assert!(Instant::now() < deadline, "the component is told without a link");
    }
    lattice.stop().await;
}

#[tokio::test(flavor = "current_thread")]
async fn nothing_acknowledged_is_lost_when_the_backend_or_the_provider_is_killed_under_calls() {
    let (lattice, mut backend) = (Lattice::start().await, Server::nats().await);
    let url = backend.nats_url();
    lattice.config("memory", &[("backend", "memory")]).await;
    let brief = [("timeout", "2s"), ("layout", "plain")];
    lattice.config("nats", &[&bucket(&url, "app")[..], &brief].concat()).await;
    lattice.provider(&[]).await;
    let guest = lattice.component("guest", "lattice").await;
    lattice.link("guest", "default", &["memory"]).await;
    lattice.link("guest", "nats", &["nats"]).await;
    guest.ready("default/default", "k").await;
    guest.ready("nats/nats", "k").await;

    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..4).map(|lane| tokio::spawn(write(guest.clone(), lane, Arc::clone(&stop)))).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;

    backend.kill().await;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        let other = guest.exists("default/default", "k").await;
        assert!(!other.expect("the other link is not disturbed"));
    }
    let begin = Instant::now();
    let error = guest.get("nats/nats", "k").await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(4), "a brief wait: {:?}", begin.elapsed());
    assert_ne!(error, TRAP);
    backend.restart().await;
    guest.ready("nats/nats", "k").await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    lattice.kill_provider();
    tokio::time::sleep(Duration::from_millis(200)).await;
    guest.ready("nats/nats", "k").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);

    let (mut written, mut failed) = (Vec::new(), 0);
    for writer in writers {
        let (keys, errors) = writer.await.unwrap();
        written.extend(keys);
        failed += errors;
    }
    assert!(written.len() > 100 && failed > 0, "{} written, {failed} failed", written.len());
    let found = guest.keys("nats/nats").await.unwrap();
    for key in written {
        assert!(found.binary_search(&key).is_ok(), "{key} was acknowledged");
    }
    lattice.stop().await;
}

/// Writes keys until told to stop; those that were acknowledged, and how many were not.
async fn write(guest: Component, lane: usize, stop: Arc<AtomicBool>) -> (Vec<String>, usize) {
    let (mut written, mut failed) = (Vec::new(), 0);
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("lane-{lane}-{round}");
        match guest.set("nats/nats", &key, "v").await {
            Ok(()) => written.push(key),
            Err(error) => {
                assert_eq!(error, TRAP);
                failed += 1;
            }
        }
    }
    (written, failed)
}
