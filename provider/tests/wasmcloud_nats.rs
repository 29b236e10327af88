//! The provider binary on a real NATS JetStream: upstream's manifests and data, every function, servers that are away and killed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

#[allow(dead_code, reason = "other tests use the rest")]
mod host;
#[allow(dead_code, missing_docs, unreachable_pub, reason = "the servers of all tests")]
#[path = "../../tests/src/servers/nats.rs"]
mod nats;

use std::time::{Duration, Instant};

use async_nats::jetstream;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use host::component::{Error, atomics, batch, call, store};
use host::{Host, Server, Start, by, link, port};
use serde_json::{Value, json};

async fn get(host: &Host, link: &str, key: &str) -> Result<Option<Bytes>, Error> {
    call(store::get(&host.wrpc, Some(by("c1", link)), link, key)).await
}

async fn set(host: &Host, link: &str, key: &str, value: &str) -> Result<(), Error> {
    let value = Bytes::copy_from_slice(value.as_bytes());
    call(store::set(&host.wrpc, Some(by("c1", link)), link, key, &value)).await
}

async fn increment(host: &Host, link: &str, key: &str, delta: u64) -> Result<u64, Error> {
    call(atomics::increment(&host.wrpc, Some(by("c1", link)), link, key, delta)).await
}

/// All keys, page by page.
async fn keys(host: &Host, link: &str) -> Vec<String> {
    let (mut keys, mut cursor) = (Vec::new(), None);
    loop {
        let cx = Some(by("c1", link));
        let page = call(store::list_keys(&host.wrpc, cx, link, cursor)).await.unwrap();
        keys.extend(page.keys);
        cursor = page.cursor;
        if cursor.is_none() {
            keys.sort_unstable();
            keys.dedup();
            return keys;
        }
    }
}

fn started(links: Vec<Value>) -> Start {
    Start { links, ..Start::default() }
}

#[tokio::test]
async fn upstreams_manifest_keeps_upstreams_data_and_creates_only_what_it_says() {
    let server = Server::start();
    let js = jetstream::new(server.client().await);
    let config = |bucket: &str| json!({"bucket": bucket, "cluster_uri": server.url});
    let mut created = config("made");
    created["enable_bucket_auto_create"] = json!("true");
    let theirs = jetstream::kv::Config { bucket: "theirs".into(), ..Default::default() };
    let theirs = js.create_key_value(theirs).await.unwrap();
    theirs.put("external.key", "raw".into()).await.unwrap();
    theirs.put("counter", "10".into()).await.unwrap();
    let links = vec![
        link("c1", "default", config("theirs")),
        link("c1", "missing", config("missing")),
        link("c1", "made", created),
    ];
    let host = Host::start(started(links)).await;
    assert_eq!(get(&host, "default", "external.key").await.unwrap().unwrap(), "raw");
    set(&host, "default", "ours", "v").await.unwrap();
    assert_eq!(theirs.get("ours").await.unwrap().unwrap(), "v");
    assert_eq!(increment(&host, "default", "counter", 5).await.unwrap(), 15);
    assert_eq!(theirs.get("counter").await.unwrap().unwrap(), "15");
    let error = increment(&host, "default", "ours", 1).await.unwrap_err();
    assert!(format!("{error:?}").contains("decimal"), "{error:?}");
    assert_eq!(theirs.get("ours").await.unwrap().unwrap(), "v", "unchanged");
    let error = set(&host, "default", "a b:c*", "v").await.unwrap_err();
    assert!(matches!(error, Error::Other(_)), "{error:?}");
    assert!(matches!(get(&host, "missing", "k").await, Err(Error::NoSuchStore)));
    assert!(matches!(set(&host, "missing", "k", "v").await, Err(Error::NoSuchStore)));
    assert!(js.get_key_value("missing").await.is_err(), "nothing was created");
    set(&host, "made", "k", "v").await.unwrap();
    let made = js.get_key_value("made").await.unwrap();
    assert_eq!(made.get("k").await.unwrap().unwrap(), "v", "created, in upstream's layout");

    let (cx, w) = (|| Some(by("c1", "default")), &host.wrpc);
    let pairs: Vec<_> = (0..300).map(|i| (format!("k{i:03}"), vec![b'x'; i % 7 * 4000])).collect();
    let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| (key, Bytes::from(value))).collect();
    let refs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value)).collect();
    call(batch::set_many(w, cx(), "default", &refs)).await.unwrap();
    let names: Vec<_> = refs.iter().rev().map(|(key, _)| *key).collect();
    let got = call(batch::get_many(w, cx(), "default", &names)).await.unwrap();
    let got: Vec<_> = got.into_iter().flatten().collect();
    assert!(got.iter().eq(pairs.iter().rev()), "every one in the order asked");
    assert_eq!(keys(&host, "default").await.len(), 303);
    let bad = call(batch::delete_many(w, cx(), "default", &["a b:c*", "ours"])).await;
    assert!(bad.is_err(), "a failure is reported");
    call(batch::delete_many(w, cx(), "default", &names)).await.unwrap();
    call(store::delete(w, cx(), "default", "never")).await.unwrap();
    assert!(keys(&host, "default").await.starts_with(&["counter".into(), "external.key".into()]));
}

/// Not even a write makes a bucket anew that was deleted while it was in use, unless the link says so, and then as the link says.
#[tokio::test]
async fn a_bucket_that_is_deleted_meanwhile_is_met_by_the_links_rule() {
    let server = Server::start();
    let js = jetstream::new(server.client().await);
    let made = async |bucket: &str| {
        let config = jetstream::kv::Config { bucket: bucket.into(), ..Default::default() };
        js.create_key_value(config).await.unwrap();
    };
    made("kept").await;
    let small = json!({"url": server.url, "database": "small", "layout": "native", "history": "7"});
    let kept = json!({"bucket": "kept", "cluster_uri": server.url});
    let host =
        Host::start(started(vec![link("c1", "kept", kept), link("c1", "small", small)])).await;
    for link in ["kept", "small"] {
        set(&host, link, "k", "v").await.unwrap();
        js.delete_key_value(link).await.unwrap();
    }
    // What is known of a bucket is taken as it is for a moment; the first call that meets it gone may fail.
    for _ in 0..3 {
        let error = set(&host, "kept", "k", "v").await.unwrap_err();
        assert!(matches!(error, Error::NoSuchStore), "{error:?}");
    }
    assert!(js.get_key_value("kept").await.is_err(), "nothing was created");
    let first = set(&host, "small", "k", "v").await;
    assert!(matches!(first, Ok(()) | Err(Error::NoSuchStore)), "{first:?}");
    set(&host, "small", "k", "v").await.unwrap();
    let mut stream = js.get_stream("KV_small").await.unwrap();
    assert_eq!(stream.info().await.unwrap().config.max_messages_per_subject, 7);
    made("kept").await;
    set(&host, "kept", "k", "again").await.unwrap();
}

#[tokio::test]
async fn counters_are_exact_and_keys_any_text_in_our_layout() {
    let server = Server::start();
    let config = json!({"url": server.url, "database": "app", "identifier": "any", "page": "100"});
    let host = Host::start(started(vec![link("c1", "default", config)])).await;
    let sums: Vec<_> = stream::iter(0..400)
        .map(|_| increment(&host, "default", "n", 1))
        .buffer_unordered(32)
        .collect()
        .await;
    let mut sums: Vec<_> = sums.into_iter().map(Result::unwrap).collect();
    sums.sort_unstable();
    assert_eq!(sums, (1..=400).collect::<Vec<_>>());
    set(&host, "default", "a b:c*\0é", "odd").await.unwrap();
    for i in 0..350 {
        set(&host, "default", &format!("k{i:03}"), "v").await.unwrap();
    }
    let found = keys(&host, "default").await;
    assert_eq!(found.len(), 352);
    assert_eq!(found[0], "a b:c*\0é");
}

#[tokio::test]
async fn a_server_that_is_away_breaks_only_its_own_link_and_comes_up_by_itself() {
    let (mut server, well) = (Server::start(), Server::start());
    server.client().await;
    server.kill().await;
    let config = |server: &Server, bucket: &str| json!({"cluster_uri": server.url, "bucket": bucket, "enable_bucket_auto_create": "true"});
    let links =
        vec![link("c1", "default", config(&server, "b")), link("c1", "well", config(&well, "b"))];
    let host = Host::start(started(links)).await;
    let begin = Instant::now();
    let error = format!("{:?}", get(&host, "default", "k").await.unwrap_err());
    assert!(error.contains("not connected"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    set(&host, "well", "k", "v").await.unwrap();
    assert_eq!(host.health().await.unwrap()["healthy"], false);
    server.restart();
    until_ok(&host).await;
    let mut written = Vec::new();
    for i in 0..60 {
        if i == 20 {
            server.kill().await;
            server.restart();
        }
        let key = format!("k{i}");
        if set(&host, "default", &key, "v").await.is_ok() {
            written.push(key);
        }
        set(&host, "well", "k", "v").await.expect("the other link is not disturbed");
    }
    until_ok(&host).await;
    for key in &written[20..] {
        assert!(get(&host, "default", key).await.unwrap().is_some(), "{key} was acknowledged");
    }
    assert!(written.len() >= 50, "{} of 60 written", written.len());
    assert_eq!(host.health().await.unwrap(), json!({"healthy": true}));
}

#[tokio::test]
async fn a_listing_goes_on_after_the_provider_was_killed_and_nothing_is_lost() {
    let server = Server::start();
    for layout in ["native", "plain"] {
        let config = json!({"url": server.url, "database": format!("app-{layout}"), "layout": layout,
                            "identifier": "any", "page": "20"});
        let links = || vec![link("c1", "default", config.clone())];
        let mut host = Host::start(started(links())).await;
        let written: Vec<_> = (0..95).map(|i| format!("k{i:03}")).collect();
        for key in &written {
            set(&host, "default", key, "v").await.unwrap();
        }
        assert_eq!(increment(&host, "default", "n", 41).await.unwrap(), 41);
        let (mut found, mut cursor, mut pages) = (Vec::new(), None, 0);
        loop {
            let cx = Some(by("c1", "default"));
            let page = call(store::list_keys(&host.wrpc, cx, "default", cursor)).await.unwrap();
            found.extend(page.keys);
            pages += 1;
            // Whoever goes on knows nothing of who began; meanwhile keys are written again, come and go.
            host.restart(started(links())).await;
            set(&host, "default", &written[pages], "again").await.unwrap();
            set(&host, "default", &format!("new{pages}"), "v").await.unwrap();
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        for key in &written {
            assert!(found.contains(key), "{layout}: {key} was skipped");
        }
        assert!(pages >= 5, "{pages} pages");
        assert_eq!(increment(&host, "default", "n", 1).await.unwrap(), 42, "{layout}");
        for odd in [1 << 40, 1 << 63, u64::MAX] {
            let cx = Some(by("c1", "default"));
            let page = call(store::list_keys(&host.wrpc, cx, "default", Some(odd))).await;
            // Of no listing of this bucket: nothing, or what a new one begins with.
            let page = page.unwrap();
            assert!(page.keys.len() <= 20, "{layout}: {odd}: {page:?}");
        }
    }
}

#[tokio::test]
async fn what_is_too_big_for_the_server_is_an_error_that_changes_nothing() {
    let server = Server::start();
    let config = json!({"url": server.url, "database": "app", "identifier": "any"});
    let host = Host::start(started(vec![link("c1", "default", config)])).await;
    set(&host, "default", "k", "before").await.unwrap();
    // Larger than one message of the backend, which the lattice carries in several.
    let error = set(&host, "default", "k", &"x".repeat(3 << 20)).await.unwrap_err();
    let error = format!("{error:?}");
    assert!(error.contains("too_large") && error.len() < 500, "{error}");
    assert_eq!(get(&host, "default", "k").await.unwrap().unwrap(), "before");
    let values: Vec<_> = (0..40).map(|i| (format!("b{i}"), "y".repeat(500_000))).collect();
    for (key, value) in &values {
        set(&host, "default", key, value).await.unwrap();
    }
    let asked: Vec<_> = values.iter().map(|(key, _)| key.as_str()).collect();
    let cx = Some(by("c1", "default"));
    let got = call(batch::get_many(&host.wrpc, cx, "default", &asked)).await.unwrap();
    assert!(got.iter().flatten().all(|(_, value)| value.len() == 500_000), "20 MB in one answer");
    assert_eq!(got.len(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_waits_briefly_for_a_lost_server_and_then_fails_clearly() {
    let mut server = nats::Server::start();
    let config =
        json!({"cluster_uri": server.url(), "bucket": "b", "enable_bucket_auto_create": "true"});
    let host = Host::start(started(vec![link("c1", "default", config)])).await;
    set(&host, "default", "k", "v").await.unwrap();
    server.kill();
    for _ in 0..2 {
        let begin = Instant::now();
        let error = format!("{:?}", get(&host, "default", "k").await.unwrap_err());
        assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
        assert!(error.contains("connect"), "{error}");
    }
    // One that is back in time is waited for.
    let back = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        tokio::task::block_in_place(|| server.restart());
    };
    let ((), _) = tokio::join!(back, get(&host, "default", "k"));
    until_ok(&host).await;
    assert_eq!(get(&host, "default", "k").await.unwrap().unwrap(), "v");
    host.until_health(None).await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_an_error_in_time() {
    let server = nats::Server::start();
    let config = |timeout: &str| json!({"url": server.url(), "database": "b", "identifier": "any", "timeout": timeout});
    let links = vec![link("c1", "default", config("1s")), link("c1", "patient", config("8s"))];
    let host = Host::start(started(links)).await;
    set(&host, "default", "k", "v").await.unwrap();
    set(&host, "patient", "k", "v").await.unwrap();
    server.pause();
    let begin = Instant::now();
    let (hasty, patient, ()) =
        tokio::join!(get(&host, "default", "k"), get(&host, "patient", "k"), async {
            tokio::time::sleep(Duration::from_millis(3500)).await;
            server.resume();
        });
    let error = format!("{:?}", hasty.unwrap_err());
    assert!(error.contains("timeout") || error.contains("in time"), "{error}");
    assert_eq!(patient.unwrap().unwrap(), "v", "it waited: {:?}", begin.elapsed());
    host.until_health(None).await;
}

#[tokio::test]
async fn two_providers_of_one_name_share_the_calls_and_go_on_with_each_others_pages() {
    let server = Server::start();
    let links = || {
        let config =
            json!({"url": server.url, "database": "app", "identifier": "any", "page": "20"});
        vec![link("c1", "default", config), link("c1", "own", json!({"backend": "memory"}))]
    };
    let host = Host::start(started(links())).await;
    let mut other = host.another(started(links())).await;
    let written: Vec<_> = (0..150).map(|i| format!("k{i:03}")).collect();
    for key in &written {
        set(&host, "default", key, "v").await.unwrap();
        set(&host, "own", key, "v").await.unwrap();
    }
    assert_eq!(keys(&host, "default").await, written);
    // What each keeps in memory shows that both were asked.
    let mut found = 0;
    for key in &written {
        found += usize::from(get(&host, "own", key).await.unwrap().is_some());
    }
    assert!((1..150).contains(&found), "{found}");
    let sums: Vec<_> = stream::iter(0..200)
        .map(|_| increment(&host, "default", "n", 1))
        .buffer_unordered(16)
        .collect()
        .await;
    let mut sums: Vec<_> = sums.into_iter().map(Result::unwrap).collect();
    sums.sort_unstable();
    assert_eq!(sums, (1..=200).collect::<Vec<_>>());
    other.kill().await.unwrap();
}

async fn until_ok(host: &Host) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while get(host, "default", "k").await.is_err() {
        assert!(Instant::now() < deadline, "{}", host.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
