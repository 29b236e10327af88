//! The provider binary under a fake host: every function with its typed errors, links, secrets, configuration, health, shutdown.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

#[allow(dead_code, reason = "other tests use the rest")]
mod host;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use host::component::{Component, Error, call, store};
use host::told::Told;
use host::{HOST, Host, LATTICE, PROVIDER, Start, by, link, source, spawn};
use serde_json::json;

fn memory() -> serde_json::Value {
    json!({"backend": "memory"})
}

fn started(links: Vec<serde_json::Value>) -> Start {
    Start { links, ..Start::default() }
}

#[tokio::test]
async fn every_function_through_wrpc() {
    let host = Host::start(started(vec![link("c1", "default", memory())])).await;
    let c1 = Component::new(&host, "c1");
    assert_eq!(c1.get("k").await.unwrap(), None);
    c1.set("k", "v").await.unwrap();
    assert_eq!(c1.get("k").await.unwrap().unwrap(), "v");
    c1.set("k", "").await.unwrap();
    assert_eq!(c1.get("k").await.unwrap().unwrap(), "");
    assert!(c1.exists("k").await.unwrap() && !c1.exists("nope").await.unwrap());
    c1.delete("k").await.unwrap();
    c1.delete("k").await.unwrap();
    assert!(!c1.exists("k").await.unwrap());
    assert_eq!(c1.increment("n", 5).await.unwrap(), 5);
    assert_eq!(c1.increment("n", 37).await.unwrap(), 42);
    assert_eq!(c1.get("n").await.unwrap().unwrap(), "42");
    c1.set_many(&[("a", "1"), ("b", "2"), ("c", "3")]).await.unwrap();
    let many = c1.get_many(&["c", "zz", "a", "c"]).await.unwrap();
    let pair = |key: &str, value: &'static str| Some((key.to_owned(), Bytes::from(value)));
    assert_eq!(many, [pair("c", "3"), None, pair("a", "1"), pair("c", "3")]);
    c1.delete_many(&["a", "never", "b"]).await.unwrap();
    let (mut keys, cursor) = c1.list_keys(None).await.unwrap();
    keys.sort_unstable();
    assert_eq!((keys, cursor), (vec!["c".to_owned(), "n".to_owned()], None));
    assert_eq!(c1.get_many(&[]).await.unwrap(), []);
    c1.set_many(&[]).await.unwrap();
    c1.delete_many(&[]).await.unwrap();
    for odd in ["a b:c*", "é/ü", "\0", "..", "$X.>"] {
        c1.set(odd, odd.to_owned()).await.unwrap();
        assert_eq!(c1.get(odd).await.unwrap().unwrap(), odd);
    }
    let big = Bytes::from(vec![7; 1_500_000]);
    c1.set("big", big.clone()).await.unwrap();
    assert_eq!(c1.get("big").await.unwrap().unwrap(), big, "over the server's largest message");
}

#[tokio::test]
async fn errors_of_all_functions_are_typed() {
    let links = vec![
        link("c1", "default", json!({"backend": "memory", "buckets": "default,granted"})),
        link("c1", "nats", json!({"backend": "memory", "identifier": "link", "bucket": "b"})),
        link("c1", "odd", json!({"backend": "memory", "colour": "hunter2"})),
        link("c1", "limited", json!({"backend": "memory", "max_value_len": "10"})),
    ];
    let host = Host::start(started(links)).await;
    let c1 = Component::new(&host, "c1");
    c1.clone().bucket("forbidden").refused("AccessDenied").await;
    c1.clone().link("nats").bucket("x").refused("NoSuchStore").await;
    c1.clone().link("odd").refused("no option `colour`").await;
    c1.clone().link("none").refused("no link \\\"none\\\"").await;
    Component::new(&host, "stranger").refused("component \\\"stranger\\\" is not linked").await;
    let nobody = call(store::get(&host.wrpc, None, "default", "k")).await;
    assert!(matches!(nobody, Err(Error::Other(_))), "no headers: {nobody:?}");
    for (held, delta) in [
        ("v", 1),
        ("-5", 1),
        ("9223372036854775807", 1),
        ("1", u64::MAX),
        ("18446744073709551615", 1),
    ] {
        c1.set("n", held).await.unwrap();
        assert!(matches!(c1.increment("n", delta).await, Err(Error::Other(_))), "{held}");
        assert_eq!(c1.get("n").await.unwrap().unwrap(), held, "unchanged");
    }
    assert!(c1.set("", "v").await.is_err() && c1.get("").await.is_err());
    let limited = c1.clone().link("limited");
    assert!(limited.set("k", "longer than ten").await.is_err());
    assert!(limited.set_many(&[("ok", "1"), ("k", "longer than ten")]).await.is_err());
    assert!(limited.set_many(&[("ok", "1"), ("", "2")]).await.is_err());
    assert!(!limited.exists("ok").await.unwrap(), "all is checked before anything is written");
    assert!(limited.delete_many(&["n", ""]).await.is_err());
    assert!(c1.exists("n").await.unwrap());
    assert!(!host.log().contains("hunter2"));
}

#[tokio::test]
async fn what_is_wrong_with_a_link_is_told_by_its_name_in_every_call() {
    let wrong = [
        ("scheme", json!({"url": "mongodb://u:hunter2@h"}), "there is no backend for `mongodb://`"),
        ("backend", json!({"backend": "hunter2"}), "expected one of: nats, redis, memory"),
        ("nothing", json!({}), "no backend"),
        ("missing", json!({"cluster_uri": "nats://u:hunter2@h"}), "`bucket` is missing"),
        (
            "default",
            json!({"backend": "redis", "DISABLE_DEFAULT_CONNECTION": ""}),
            "`url` is missing",
        ),
        (
            "number",
            json!({"url": "redis://h", "backend_reconnect_num_retries": "hunter2"}),
            "retries`",
        ),
        ("name", json!({"backend": "memory", "database": "hunter2/x"}), "`database`"),
        ("ttl", json!({"backend": "memory", "ttl": "hunter2"}), "`ttl`"),
    ];
    let links = wrong.iter().map(|(name, config, _)| link("c1", name, config.clone()));
    let host = Host::start(started(links.chain([link("c1", "well", memory())]).collect())).await;
    let c1 = Component::new(&host, "c1");
    for (name, _, why) in &wrong {
        c1.clone().link(name).refused(why).await;
    }
    // Of two secrets that come together, one is missing.
    let mut half = link("c2", "default", json!({"bucket": "b"}));
    let secret = json!({"client_jwt": {"kind": "String", "value": "hunter2"}});
    half["target_secrets"] = json!(host.seal(&secret));
    host.put(&half).await;
    let c2 = Component::new(&host, "c2");
    c2.until(|answer| format!("{answer:?}").contains("`client_seed` is missing")).await;
    c1.link("well").set("k", "v").await.expect("broken links disturb no other");
    let health = host.health().await.unwrap();
    assert_eq!(health["healthy"], false);
    assert!(!health.to_string().contains("hunter2"), "{health}");
    assert!(!host.log().contains("hunter2"), "{}", host.log());
}

/// While a link is refused, its bucket's name must not mean another link's bucket.
#[tokio::test]
async fn calls_of_a_refused_link_land_nowhere_else() {
    let refused = json!({"cluster_uri": "nats://h"});
    let links = vec![link("c1", "default", memory()), link("c1", "cache", refused)];
    let host = Host::start(started(links)).await;
    let mut c1 = Component::new(&host, "c1");
    c1.set("k", "v").await.unwrap();
    c1.bucket = "cache";
    c1.refused("`bucket` is missing").await;
    c1.bucket = "another";
    c1.set("k", "v").await.unwrap();
}

#[tokio::test]
async fn results_that_are_too_much_and_cursors_that_are_none_are_answers() {
    let small = json!({"backend": "memory", "max_result_len": "1000", "database": "d"});
    let roomy = json!({"backend": "memory", "database": "d"});
    let links = vec![link("c1", "default", small), link("c1", "roomy", roomy)];
    let host = Host::start(started(links)).await;
    let (c1, roomy) = (Component::new(&host, "c1"), Component::new(&host, "c1").link("roomy"));
    roomy.set("big", vec![7; 1001]).await.unwrap();
    for i in 0..100 {
        roomy.set(&format!("a key of twenty {i:03}"), "v").await.unwrap();
    }
    let many: Vec<_> = (0..100).map(|i| format!("a key of twenty {i:03}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for error in [
        c1.get("big").await.map(drop),
        c1.get_many(&many).await.map(drop),
        c1.list_keys(None).await.map(drop),
    ] {
        let error = format!("{:?}", error.unwrap_err());
        assert!(error.contains("exceeds the limit of 1000 bytes"), "{error}");
    }
    assert_eq!(roomy.get_many(&many).await.unwrap().len(), 100);
    for odd in [1, 1 << 40, 1 << 63, u64::MAX] {
        let (keys, next) = roomy.list_keys(Some(odd)).await.unwrap();
        assert!(keys.len() <= 101 && next.is_none(), "{odd}: {next:?}");
    }
    let long = "k".repeat(100_000);
    let error = format!("{:?}", roomy.set(&long, "v").await.unwrap_err());
    assert!(error.contains("at most") && error.len() < 1000, "{error}");
}

#[tokio::test]
async fn a_callers_trace_goes_on() {
    let host = Host::start(started(vec![link("c1", "default", memory())])).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut headers = by("c1", "default");
    headers.insert("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    // Only what fails is logged, and with its span.
    let failed = call(store::get(&host.wrpc, Some(headers), "default", "")).await;
    assert!(failed.is_err());
    let deadline = Instant::now() + Duration::from_secs(30);
    while !host.log().contains(trace) {
        assert!(Instant::now() < deadline, "{}", host.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!host.log().contains("00f067aa0ba902b7"), "it is a span of its own: {}", host.log());
    let mut garbage = by("c1", "default");
    garbage.insert("traceparent", "garbage");
    call(store::get(&host.wrpc, Some(garbage), "default", "k")).await.unwrap();
}

#[tokio::test]
async fn the_warning_of_a_failed_call_is_of_the_callers_trace() {
    let links = vec![link("c1", "default", json!({"backend": "nowhere"}))];
    let host = Host::start(Start { links, log_level: "info", ..Start::default() }).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut headers = by("c1", "default");
    headers.insert("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    assert!(call(store::get(&host.wrpc, Some(headers), "default", "k")).await.is_err());
    let deadline = Instant::now() + Duration::from_secs(30);
    while !host.log().contains(trace) {
        assert!(Instant::now() < deadline, "{}", host.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn order_pages_and_counters_hold_under_load() {
    let config = json!({"backend": "memory", "database": "load", "page": "100"});
    let links = (0..64).map(|i| link(&format!("c{i}"), "default", config.clone())).collect();
    let host = Host::start(started(links)).await;
    let c1 = Component::new(&host, "c1");
    let keys: Vec<_> = (0..1005).map(|i| format!("k{i:04}")).collect();
    let pairs: Vec<_> = keys.iter().map(|key| (key.as_str(), key.as_str())).collect();
    c1.set_many(&pairs).await.unwrap();
    let asked: Vec<_> = keys.iter().rev().map(String::as_str).collect();
    for (asked, (key, value)) in
        asked.iter().zip(c1.get_many(&asked).await.unwrap().into_iter().flatten())
    {
        assert_eq!((key.as_str(), value.as_ref()), (*asked, asked.as_bytes()));
    }
    let (mut found, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let (page, next) = c1.list_keys(cursor).await.unwrap();
        found.extend(page);
        pages += 1;
        // Other components are served from other cursors in between.
        Component::new(&host, "c2").set(&format!("x{pages}"), "v").await.unwrap();
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    found.retain(|key| key.starts_with('k'));
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, keys);
    assert!(pages > 8, "{pages} pages");

    let calls = (0..64).flat_map(|i| (0..20).map(move |_| format!("c{i}")));
    let sums: Vec<_> = stream::iter(calls)
        .map(|component| {
            let host = &host;
            async move { Component::new(host, &component).increment("n", 1).await.unwrap() }
        })
        .buffer_unordered(64)
        .collect()
        .await;
    let mut sums = sums;
    sums.sort_unstable();
    assert_eq!(sums, (1..=1280).collect::<Vec<_>>(), "64 components at once lose no increment");
}

#[tokio::test]
async fn components_are_isolated_unless_they_name_the_same_database() {
    let shared = json!({"backend": "memory", "database": "shared"});
    let links = vec![
        link("c1", "default", memory()),
        link("c2", "default", memory()),
        link("c1", "shared", shared.clone()),
        link("c2", "shared", shared),
    ];
    let host = Host::start(started(links)).await;
    let (c1, c2) = (Component::new(&host, "c1"), Component::new(&host, "c2"));
    c1.set("k", "one").await.unwrap();
    assert_eq!(c2.get("k").await.unwrap(), None);
    c1.clone().bucket("other").set("k", "two").await.unwrap();
    assert_eq!(c1.get("k").await.unwrap().unwrap(), "one", "a bucket is a table of its own");
    c1.clone().link("shared").set("k", "both").await.unwrap();
    assert_eq!(c2.clone().link("shared").get("k").await.unwrap().unwrap(), "both");
}

#[tokio::test]
async fn identifiers_mean_what_users_of_each_upstream_provider_expect() {
    let nats = |bucket: &str| json!({"backend": "memory", "identifier": "link", "bucket": bucket});
    let redis = json!({"backend": "memory", "identifier": "any", "database": "redis"});
    let databases = json!({"backend": "memory", "identifier": "database", "database": "home",
                           "bucket_prefix": "app_", "buckets": "default,x"});
    let links = vec![
        link("c1", "default", nats("b1")),
        link("c1", "second", nats("b2")),
        link("c1", "redis", redis),
        link("c1", "databases", databases),
    ];
    let host = Host::start(started(links)).await;
    let c1 = Component::new(&host, "c1");
    c1.set("k", "in b1").await.unwrap();
    // The bucket names the link, whatever link the call came by.
    c1.clone().bucket("second").set("k", "in b2").await.unwrap();
    let get = async |c: Component<'_>| {
        c.get("k").await.unwrap().map(|v| String::from_utf8(v.into()).unwrap())
    };
    assert_eq!(get(c1.clone().link("second").bucket("second")).await.unwrap(), "in b2");
    assert_eq!(get(c1.clone().link("second").bucket("default")).await.unwrap(), "in b1");
    // What upstream refuses: no name, and the bucket's own name, by the link of the call.
    assert_eq!(get(c1.clone().link("second").bucket("")).await.unwrap(), "in b2");
    assert_eq!(get(c1.clone().link("second").bucket("b2")).await.unwrap(), "in b2");
    // Redis: any name, one place.
    let redis = c1.clone().link("redis");
    redis.clone().bucket("a").set("k", "anywhere").await.unwrap();
    assert_eq!(get(redis.clone().bucket("b")).await.unwrap(), "anywhere");
    assert_eq!(get(redis.clone().bucket("")).await.unwrap(), "anywhere");
    // A bucket as a database.
    let databases = c1.clone().link("databases");
    databases.clone().bucket("x").set("k", "in app_x").await.unwrap();
    assert_eq!(get(databases.clone().bucket("")).await, None);
    databases.bucket("y").refused("AccessDenied").await;
}

#[tokio::test]
async fn links_come_change_and_go_one_at_a_time() {
    let host = Host::start(Start::default()).await;
    let c1 = Component::new(&host, "c1");
    c1.refused("not linked").await;
    let shared = |database: &str| json!({"backend": "memory", "database": database});
    for name in ["default", "second"] {
        // Hosts may send everything twice.
        host.put(&link("c1", name, shared("a"))).await;
        host.put(&link("c1", name, shared("a"))).await;
    }
    c1.until(Result::is_ok).await;
    c1.clone().link("second").until(Result::is_ok).await;
    c1.set("k", "v").await.unwrap();
    host.put(&link("c1", "default", shared("a"))).await;
    host.put(&link("c1", "second", shared("b"))).await;
    c1.clone().link("second").until(|answer| matches!(answer, Ok(None))).await;
    assert_eq!(c1.get("k").await.unwrap().unwrap(), "v");
    for _ in 0..2 {
        host.delete("c1", "second").await;
        host.delete("nobody", "second").await;
    }
    c1.clone().link("second").until(Result::is_err).await;
    assert_eq!(c1.get("k").await.unwrap().unwrap(), "v", "the other link is as it was");
    host.delete("c1", "default").await;
    c1.until(Result::is_err).await;
    for garbage in [json!("garbage"), json!({"name": 5}), json!([])] {
        host.put(&garbage).await;
    }
    host.put(&link("c1", "default", shared("a"))).await;
    c1.until(Result::is_ok).await;
    assert_eq!(c1.get("k").await.unwrap().unwrap(), "v", "memory lives as long as the provider");
}

#[tokio::test]
async fn secrets_are_used_and_never_shown() {
    let host = Host::start(Start {
        links: vec![link("c2", "default", json!({"url": "redis://:hunter2@127.0.0.1:1"}))],
        ..Start::default()
    })
    .await;
    let mut sealed = link("c1", "default", memory());
    sealed["target_secrets"] =
        json!(host.seal(&json!({"DATABASE": {"kind": "String", "value": "hidden"}})));
    host.put(&sealed).await;
    host.put(&link("c3", "default", json!({"backend": "memory", "database": "hidden"}))).await;
    let (c1, c3) = (Component::new(&host, "c1"), Component::new(&host, "c3"));
    c1.until(Result::is_ok).await;
    c3.until(Result::is_ok).await;
    c1.set("k", "v").await.unwrap();
    assert_eq!(c3.get("k").await.unwrap().unwrap(), "v", "the secret was used");
    let mut broken = link("c4", "default", memory());
    broken["target_secrets"] = json!(vec![1, 2, 3]);
    host.put(&broken).await;
    let c4 = Component::new(&host, "c4");
    c4.until(|answer| format!("{answer:?}").contains("sealed")).await;
    c4.refused("were not sealed by this host").await;
    let error = format!("{:?}", Component::new(&host, "c2").set("k", "v").await.unwrap_err());
    assert!(error.contains("redis://***@127.0.0.1:1 is not connected"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    let warnings = host.log().matches("a secret came in plain configuration").count();
    assert_eq!(warnings, 1, "{}", host.log());
    assert!(host.log().contains("setting=\"url\""), "it is named: {}", host.log());
    assert!(!host.log().contains("hunter2") && !host.log().contains("hidden"), "{}", host.log());
}

#[tokio::test]
async fn a_host_without_keys_sends_links_to_the_providers_name() {
    let host = Host::start(Start { keys: false, ..Start::default() }).await;
    host.put(&link("c1", "default", memory())).await;
    Component::new(&host, "c1").until(Result::is_ok).await;
    let mut sealed = link("c2", "default", memory());
    sealed["target_secrets"] = json!(vec![1, 2, 3]);
    host.put(&sealed).await;
    let c2 = Component::new(&host, "c2");
    c2.until(|answer| format!("{answer:?}").contains("no key")).await;
}

#[tokio::test]
async fn the_providers_own_configuration_lies_below_every_link_and_changes() {
    let host = Host::start(Start {
        links: vec![
            link("c1", "default", json!({})),
            link("c2", "default", json!({"database": "own"})),
        ],
        config: json!({"backend": "memory", "database": "first"}),
        secrets: json!({"page": {"kind": "String", "value": "10"}}),
        ..Start::default()
    })
    .await;
    let (c1, c2) = (Component::new(&host, "c1"), Component::new(&host, "c2"));
    c1.set("k", "first").await.unwrap();
    c2.set("k", "own").await.unwrap();
    let second = json!({"backend": "memory", "database": "second"});
    host.update(second.clone()).await;
    host.update(second).await;
    c1.until(|answer| matches!(answer, Ok(None))).await;
    assert_eq!(c2.get("k").await.unwrap().unwrap(), "own");
    host.update(json!(["garbage"])).await;
    host.update(json!({"backend": "memory", "database": "first"})).await;
    c1.until(|answer| matches!(answer, Ok(Some(_)))).await;
}

#[tokio::test]
async fn health_tells_what_is_wrong() {
    let host = Host::start(started(vec![link("c1", "default", memory())])).await;
    assert_eq!(host.health().await.unwrap(), json!({"healthy": true}));
    host.put(&link("c1", "broken", json!({"backend": "memory", "url": "memory://h?x=hunter2"})))
        .await;
    let c1 = Component::new(&host, "c1");
    c1.clone().link("broken").until(|answer| format!("{answer:?}").contains("`x`")).await;
    let health = host.health().await.unwrap();
    assert_eq!(health["healthy"], false);
    assert!(health["message"].as_str().unwrap().contains("no option `x`"), "{health}");
    assert!(!health.to_string().contains("hunter2"), "{health}");
    c1.set("k", "v").await.expect("a broken link disturbs no other");
    host.delete("c1", "broken").await;
    c1.link("broken").until(|answer| format!("{answer:?}").contains("no link")).await;
    assert_eq!(host.health().await.unwrap(), json!({"healthy": true}));
}

#[tokio::test]
async fn only_its_own_host_stops_it_and_cleanly() {
    let mut host = Host::start(started(vec![link("c1", "default", memory())])).await;
    assert_eq!(host.stop("another host").await, None);
    Component::new(&host, "c1").set("k", "v").await.unwrap();
    let (first, _second) = tokio::join!(host.stop(HOST), host.stop(HOST));
    assert_eq!(first.unwrap(), "shutting down");
    let exit = tokio::time::timeout(Duration::from_secs(5), host.provider.wait()).await;
    assert!(exit.unwrap().unwrap().success(), "{}", host.log());
}

#[tokio::test]
async fn killed_and_restarted_it_serves_the_same_links() {
    let links = || vec![link("c1", "default", memory())];
    let mut host = Host::start(started(links())).await;
    Component::new(&host, "c1").set("k", "v").await.unwrap();
    host.restart(started(links())).await;
    let c1 = Component::new(&host, "c1");
    assert_eq!(c1.get("k").await.unwrap(), None, "memory is gone with its process");
    c1.set("k", "v").await.unwrap();
}

#[tokio::test]
async fn cancelled_calls_hurt_nobody() {
    let host = Host::start(started(vec![link("c1", "default", memory())])).await;
    let c1 = Component::new(&host, "c1");
    for i in 0..200 {
        let value = Bytes::from(vec![0; 100_000]);
        let set = store::set(&host.wrpc, c1.cx(), "default", "big", &value);
        let _ = tokio::time::timeout(Duration::from_micros(i * 20), set).await;
    }
    c1.set("k", "v").await.unwrap();
    assert_eq!(c1.get("k").await.unwrap().unwrap(), "v");
    if let Some(value) = c1.get("big").await.unwrap() {
        assert_eq!(value.len(), 100_000, "whole or not at all");
    }
    assert_eq!(host.health().await.unwrap(), json!({"healthy": true}));
}

#[tokio::test]
async fn components_are_told_of_changes() {
    let shared = json!({"backend": "memory", "database": "w"});
    let host = Host::start(started(vec![link("c1", "default", shared)])).await;
    let c1 = Component::new(&host, "c1");
    let mut told = Vec::new();
    for watcher in ["w1", "w2"] {
        told.push(Told::listen(&host, watcher).await);
        let config = json!({"backend": "memory", "database": "w", "WATCH": "SET@job,DEL@job"});
        host.put(&source(watcher, "default", config)).await;
        assert!(host.health().await.is_some(), "a second watcher blocks nothing");
    }
    for told in &told {
        told.begun(&host, async || c1.set("job", "begin").await.unwrap()).await;
    }
    c1.set("job", "ready").await.unwrap();
    for told in &told {
        told.until(&host, "job=ready").await;
        told.clear();
    }
    c1.set("other", "not told").await.unwrap();
    for i in 0..20 {
        c1.set("job", format!("{i}")).await.unwrap();
    }
    c1.delete("job").await.unwrap();
    let expected: Vec<_> = (0..20).map(|i| format!("job={i}")).chain(["-job".to_owned()]).collect();
    for told in &told {
        told.until(&host, "-job").await;
        assert_eq!(told.all(), expected);
    }
    // One of them is unlinked: the other goes on.
    host.unwatch("w1", "default").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    c1.set("job", "after").await.unwrap();
    told[1].until(&host, "job=after").await;
    assert_eq!(told[0].all(), expected);
}

#[tokio::test]
async fn a_watchers_link_that_is_put_again_misses_nothing() {
    let shared = json!({"backend": "memory", "database": "w"});
    let host = Host::start(started(vec![link("c1", "default", shared)])).await;
    let c1 = Component::new(&host, "c1");
    let told = Told::listen(&host, "w1").await;
    let config = |more: &str| json!({"backend": "memory", "database": "w", "watch": "*", "flamegraph_path": more});
    host.put(&source("w1", "default", config(""))).await;
    told.begun(&host, async || c1.set("k", "begin").await.unwrap()).await;
    for i in 0..30 {
        // As it was, and with a setting that changes nothing.
        host.put(&source("w1", "default", config(if i % 2 == 0 { "" } else { "/x" }))).await;
        c1.set("k", format!("{i}")).await.unwrap();
    }
    told.until(&host, "k=29").await;
    let all = told.all();
    let expected: Vec<_> = (0..30).map(|i| format!("k={i}")).collect();
    assert!(all.ends_with(&expected), "{all:?}");
    assert_eq!(host.log().matches("a component is told of changes").count(), 1, "{}", host.log());
}

#[tokio::test]
async fn the_providers_configuration_and_health_are_about_watchers_too() {
    let shared = |database: &str| json!({"backend": "memory", "database": database});
    let links = vec![link("c1", "default", shared("a")), link("c1", "second", shared("b"))];
    let host = Host::start(Start { links, config: shared("a"), ..Start::default() }).await;
    let (a, b) = (Component::new(&host, "c1"), Component::new(&host, "c1").link("second"));
    let told = Told::listen(&host, "w1").await;
    host.put(&source("w1", "default", json!({"watch": "*"}))).await;
    told.begun(&host, async || a.set("k", "in a").await.unwrap()).await;
    host.update(shared("b")).await;
    told.clear();
    told.begun(&host, async || b.set("k", "in b").await.unwrap()).await;
    a.set("k", "not told").await.unwrap();
    b.set("k", "last").await.unwrap();
    told.until(&host, "k=last").await;
    assert!(!told.all().contains(&"k=not told".to_owned()), "{:?}", told.all());
    host.until_health(None).await;

    // What is refused, what is away, and what cannot be watched yet.
    let away = json!({"url": "redis://:hunter2@127.0.0.1:1", "watch": "*"});
    let missing = json!({"backend": "memory", "create": "never", "database": "none", "watch": "*"});
    for (config, why) in [
        (json!({"backend": "memory"}), "link other of w1: `watch` is missing"),
        (json!({"watch": "hunter2"}), "link other of w1: setting `watch`"),
        (away, "redis://***@127.0.0.1:1"),
        (missing, "link other of w1: no such store"),
    ] {
        host.put(&source("w1", "other", config)).await;
        let said = host.until_health(Some(why)).await;
        assert!(!said.contains("hunter2"), "{said}");
        host.unwatch("w1", "other").await;
        host.until_health(None).await;
    }
    assert!(!host.log().contains("hunter2"), "{}", host.log());
}

#[tokio::test]
async fn why_a_call_failed_is_in_the_log_and_not_a_thousand_times() {
    let links = vec![
        link("c1", "default", json!({"backend": "memory", "max_value_len": "3"})),
        link("c1", "never", json!({"backend": "memory", "create": "never", "database": "none"})),
    ];
    let host = Host::start(started(links)).await;
    let c1 = Component::new(&host, "c1");
    for _ in 0..50 {
        c1.set("k", "hunter2").await.unwrap_err();
    }
    // What a component may well expect is no matter for whoever runs the provider.
    c1.get("").await.unwrap_err();
    c1.clone().link("never").get("k").await.unwrap_err();
    let deadline = Instant::now() + Duration::from_secs(30);
    while host.log().matches("a call failed").count() < 52 {
        assert!(Instant::now() < deadline, "{}", host.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let warned = host.warned("a call failed");
    assert!((1..=20).contains(&warned), "{warned}: {}", host.log());
    assert_eq!(host.warned("a value has at most 3 bytes"), warned, "{}", host.log());
    assert!(!host.log().contains("hunter2"), "{}", host.log());
}

/// A call as the transport sends it, whose parameters end after so many bytes of the value in the first message; where the rest goes.
async fn begin_set(host: &Host, len: usize, sent: usize) {
    let mut message = b"\x07default\x01k".to_vec();
    let mut rest = len;
    while rest >= 0x80 {
        message.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    message.push(rest as u8);
    message.resize(message.len() + sent, 7);
    let subject = format!("{LATTICE}.{PROVIDER}.wrpc.0.0.1.wrpc:keyvalue/store@0.2.0-draft.set");
    let (reply, headers) = (host.nats.new_inbox(), by("c1", "default"));
    let sent = host.nats.publish_with_reply_and_headers(subject, reply, headers, message.into());
    sent.await.unwrap();
    host.nats.flush().await.unwrap();
}

#[tokio::test]
async fn calls_whose_parameters_are_lost_hold_up_nobody() {
    let host = Host::start(started(vec![link("c1", "default", memory())])).await;
    let c1 = Component::new(&host, "c1");
    // A full first message, and nothing after it: others of the same function are served before it is given up after two seconds.
    // The machine may hold up one of the rounds, not all.
    let mut took = Vec::new();
    while took.len() < 3 && took.iter().all(|took| *took >= Duration::from_millis(1500)) {
        for _ in 0..5 {
            begin_set(&host, 5_000_000, 1_000_000).await;
        }
        let begin = Instant::now();
        for _ in 0..20 {
            c1.set("k", "v").await.unwrap();
        }
        took.push(begin.elapsed());
    }
    assert!(took.last().unwrap() < &Duration::from_millis(1500), "{took:?}");
    // A short one can only be waited for, and not for ever.
    begin_set(&host, 100, 10).await;
    let begin = Instant::now();
    c1.set("k", "after").await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    let deadline = Instant::now() + Duration::from_secs(30);
    while host.warned("the rest of the parameters did not come") < 5 * took.len() + 1 {
        assert!(Instant::now() < deadline, "{}", host.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(c1.get("k").await.unwrap().unwrap(), "after");
}

#[tokio::test]
async fn what_is_no_host_data_ends_it_with_a_reason() {
    let garbage: [&[u8]; 7] = [
        b"",
        b"\r\n",
        b"hunter2\r\n",
        b"aHVudGVyMg==\r\n",
        b"e30=\r\n",
        b"\x00\x01",
        b"hunter2\xff\xfe\r\n",
    ];
    for garbage in garbage {
        let log = Arc::default();
        let mut provider = spawn(garbage, &log).await;
        let exit = tokio::time::timeout(Duration::from_secs(10), provider.wait()).await.unwrap();
        assert!(!exit.unwrap().success());
        tokio::time::sleep(Duration::from_millis(50)).await;
        let log = log.lock().unwrap().clone();
        assert!(log.starts_with("Error: ") && !log.contains("hunter2"), "{garbage:?}: {log}");
        assert!(!log.contains("panicked"), "{log}");
        assert!(!garbage.contains(&0xff) || log.contains("is not base64 of host data"), "{log}");
    }
}

#[tokio::test]
async fn arguments_are_refused_with_a_hint() {
    let program = env!("CARGO_BIN_EXE_provider");
    for arguments in [&["--hepl"][..], &["start", "now"]] {
        let done = tokio::process::Command::new(program).args(arguments).output().await.unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(!done.status.success() && said.contains("see --help"), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn help_explains_it() {
    let program = env!("CARGO_BIN_EXE_provider");
    let help = tokio::process::Command::new(program).arg("--help").output().await.unwrap();
    assert!(help.status.success());
    let text = String::from_utf8(help.stdout).unwrap();
    for word in [
        "wasi:keyvalue@0.2.0-draft",
        "enable_bucket_auto_create",
        "Backends in this build: memory, nats, redis",
    ] {
        assert!(text.contains(word), "{word}");
    }
}
