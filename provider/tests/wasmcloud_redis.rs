//! The provider binary on a real Redis: upstream's manifests and data, every function, servers that are away, killed and restarted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

#[allow(dead_code, reason = "other tests use the rest")]
mod host;
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    reason = "the servers of all tests"
)]
#[path = "../../tests/src/servers/redis.rs"]
mod redis;

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use host::component::{Error, atomics, batch, call, store};
use host::told::Told;
use host::{Host, Start, by, link, port, source};
use redis::Server;
use serde_json::{Value, json};

async fn get(host: &Host, link: &str, key: &str) -> Result<Option<Bytes>, Error> {
    call(store::get(&host.wrpc, Some(by("c1", link)), "default", key)).await
}

async fn set(host: &Host, link: &str, key: &str, value: &str) -> Result<(), Error> {
    let value = Bytes::copy_from_slice(value.as_bytes());
    call(store::set(&host.wrpc, Some(by("c1", link)), "default", key, &value)).await
}

fn started(links: Vec<Value>) -> Start {
    Start { links, ..Start::default() }
}

fn url(server: &Server) -> String {
    format!("redis://{}", server.address())
}

/// All keys, page by page.
async fn keys(host: &Host, link: &str) -> Vec<String> {
    let (mut keys, mut cursor) = (Vec::new(), None);
    loop {
        let cx = Some(by("c1", link));
        let page = call(store::list_keys(&host.wrpc, cx, "default", cursor)).await.unwrap();
        keys.extend(page.keys);
        cursor = page.cursor;
        if cursor.is_none() {
            keys.sort_unstable();
            keys.dedup();
            return keys;
        }
    }
}

#[tokio::test]
async fn upstreams_manifest_keeps_upstreams_data() {
    let server = Server::start();
    let config = json!({"URL": url(&server) + "/0", "BACKEND_RESPONSE_TIMEOUT_MS": "1000"});
    let host = Host::start(started(vec![link("c1", "default", config)])).await;
    server.command(&["SET", "external-key", "theirs"]);
    server.command(&["SET", "counter", "10"]);
    assert_eq!(get(&host, "default", "external-key").await.unwrap().unwrap(), "theirs");
    set(&host, "default", "ours", "v").await.unwrap();
    assert!(server.command(&["GET", "ours"]).contains('v'));
    let cx = || Some(by("c1", "default"));
    let w = &host.wrpc;
    assert_eq!(call(atomics::increment(w, cx(), "any", "counter", 5)).await.unwrap(), 15);
    assert!(server.command(&["GET", "counter"]).contains("15"));
    server.command(&["SET", "negative", "-5"]);
    let error = call(atomics::increment(w, cx(), "any", "negative", 1)).await.unwrap_err();
    assert!(format!("{error:?}").contains("negative"), "{error:?}");
    assert!(server.command(&["GET", "negative"]).contains("-5"), "unchanged");
    server.command(&["DEL", "negative"]);
    let pairs: Vec<_> = (0..500).map(|i| (format!("k{i:03}"), Bytes::from("v"))).collect();
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value)).collect();
    call(batch::set_many(w, cx(), "any", &pairs)).await.unwrap();
    let asked = ["k007", "none", "k001", "k007"];
    let got = call(batch::get_many(w, cx(), "any", &asked)).await.unwrap();
    let got: Vec<_> = got.iter().map(|pair| pair.as_ref().map(|(key, _)| key.as_str())).collect();
    assert_eq!(got, [Some("k007"), None, Some("k001"), Some("k007")]);
    assert_eq!(keys(&host, "default").await.len(), 503);
    let names: Vec<_> = pairs.iter().map(|(key, _)| *key).collect();
    call(batch::delete_many(w, cx(), "any", &names)).await.unwrap();
    assert_eq!(keys(&host, "default").await, ["counter", "external-key", "ours"]);
    call(store::delete(w, cx(), "any", "ours")).await.unwrap();
    assert!(!call(store::exists(w, cx(), "any", "ours")).await.unwrap());
    call(batch::get_many(w, cx(), "any", &[])).await.unwrap();
    call(batch::set_many(w, cx(), "any", &[])).await.unwrap();
    call(batch::delete_many(w, cx(), "any", &[])).await.unwrap();
}

#[tokio::test]
async fn counters_are_exact_across_links_and_layouts() {
    let server = Server::start();
    let plain = json!({"url": url(&server)});
    let table = json!({"url": url(&server), "layout": "table", "database": "app", "ttl": "1h"});
    let links = vec![link("c1", "default", plain), link("c1", "table", table)];
    let host = Host::start(started(links)).await;
    for name in ["default", "table"] {
        let sums: Vec<_> = stream::iter(0..400)
            .map(|_| {
                let wrpc = &host.wrpc;
                async move {
                    call(atomics::increment(wrpc, Some(by("c1", name)), "default", "n", 1)).await
                }
            })
            .buffer_unordered(32)
            .collect()
            .await;
        let mut sums: Vec<_> = sums.into_iter().map(Result::unwrap).collect();
        sums.sort_unstable();
        assert_eq!(sums, (1..=400).collect::<Vec<_>>(), "{name}");
    }
    set(&host, "table", "a b:c*\0é", "odd").await.unwrap();
    assert_eq!(keys(&host, "table").await, ["a b:c*\0é", "n"]);
    assert_eq!(keys(&host, "default").await.iter().filter(|key| *key == "n").count(), 1);
}

#[tokio::test]
async fn a_server_that_is_away_breaks_only_its_own_link_and_comes_up_by_itself() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let well = Server::start();
    server.kill();
    let away = url(&server);
    let links = vec![
        link("c1", "default", json!({"url": away})),
        link("c1", "well", json!({"url": url(&well)})),
    ];
    let host = Host::start(started(links)).await;
    let begin = Instant::now();
    let error = format!("{:?}", get(&host, "default", "k").await.unwrap_err());
    assert!(error.contains(&server.address()) && error.contains("not connected"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    set(&host, "well", "k", "v").await.unwrap();
    assert_eq!(host.health().await.unwrap()["healthy"], false);
    server.restart();
    until_ok(&host).await;
    assert_eq!(host.health().await.unwrap(), json!({"healthy": true}));

    // Killed and started again under calls: what was answered is there.
    let (mut written, mut failed) = (0, 0);
    for i in 0..300 {
        if i == 100 {
            server.kill();
        }
        if i == 102 {
            server.restart();
        }
        match set(&host, "default", &format!("k{i}"), "v").await {
            Ok(()) => {
                written += 1;
                assert!(
                    get(&host, "default", &format!("k{i}")).await.is_ok_and(|v| v.is_some())
                        || i >= 100
                );
            }
            Err(_) => failed += 1,
        }
        set(&host, "well", "k", "v").await.expect("the other link is not disturbed");
    }
    until_ok(&host).await;
    assert!(written >= 250 && failed <= 50, "{written} written, {failed} failed");
    assert_eq!(host.health().await.unwrap(), json!({"healthy": true}));
}

/// How many connections the provider has to the server, as the server sees it: this test's own are gone with their command.
fn connections(server: &Server) -> usize {
    let own = 1;
    server.command(&["CLIENT", "LIST"]).lines().filter(|line| line.contains("addr=")).count() - own
}

async fn until_connections(server: &Server, wanted: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while connections(server) != wanted {
        assert!(Instant::now() < deadline, "{} connections", connections(server));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn connections_are_shared_and_end_with_their_last_link() {
    let server = Server::start();
    let config = json!({"url": url(&server)});
    let links = (0..8).map(|i| link(&format!("c{i}"), "default", config.clone())).collect();
    let host = Host::start(started(links)).await;
    for round in 0..5 {
        for i in 0..8 {
            let cx = Some(by(&format!("c{i}"), "default"));
            let value = Bytes::from(format!("{round}"));
            call(store::set(&host.wrpc, cx, "default", "k", &value)).await.unwrap();
        }
    }
    until_connections(&server, 1).await;
    // Another database of the server is another configuration.
    host.put(&link("c1", "other", json!({"url": url(&server) + "/5"}))).await;
    until_linked(&host, "other").await;
    set(&host, "other", "k", "five").await.unwrap();
    assert_eq!(get(&host, "default", "k").await.unwrap().unwrap(), "4");
    let in_five = "redis.call('SELECT', 5) return redis.call('GET', 'k')";
    assert!(server.command(&["EVAL", in_five, "0"]).contains("five"));
    until_connections(&server, 2).await;
    host.delete("c1", "other").await;
    until_connections(&server, 1).await;
    for i in 0..7 {
        host.delete(&format!("c{i}"), "default").await;
    }
    let cx = Some(by("c7", "default"));
    assert!(call(store::exists(&host.wrpc, cx, "default", "k")).await.unwrap(), "still linked");
    until_connections(&server, 1).await;
    host.delete("c7", "default").await;
    until_connections(&server, 0).await;
}

async fn until_linked(host: &Host, link: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = get(host, link, "k").await {
        assert!(Instant::now() < deadline, "{error:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_password_is_used_and_never_shown() {
    let server = Server::start();
    server.command(&["ACL", "SETUSER", "app", "on", ">hunter2", "~*", "+@all"]);
    let secret = |password: &str| {
        let url = format!("redis://app:{password}@{}", server.address());
        json!({"URL": {"kind": "String", "value": url}})
    };
    let host = Host::start(Start { secrets: secret("hunter2"), ..Start::default() }).await;
    // As the provider's own default, as a link's secret, and wrong.
    host.put(&link("c1", "shared", json!({"backend": "redis"}))).await;
    for (name, password) in [("own", "hunter2"), ("wrong", "hunter2-not")] {
        let mut sealed = link("c1", name, json!({"backend": "redis"}));
        sealed["target_secrets"] = json!(host.seal(&secret(password)));
        host.put(&sealed).await;
    }
    until_linked(&host, "shared").await;
    until_linked(&host, "own").await;
    set(&host, "own", "k", "v").await.unwrap();
    assert_eq!(get(&host, "shared", "k").await.unwrap().unwrap(), "v");
    server.command(&["CLIENT", "KILL", "USER", "app"]);
    until_linked(&host, "own").await;
    let error = format!("{:?}", get(&host, "wrong", "k").await.unwrap_err());
    assert!(error.contains(&server.address()) && !error.contains("hunter2"), "{error}");
    let health = host.health().await.unwrap();
    assert_eq!(health["healthy"], false);
    assert!(!health.to_string().contains("hunter2"), "{health}");
    assert!(!host.log().contains("hunter2"), "{}", host.log());
    assert!(!host.log().contains("plain configuration"), "they were secrets: {}", host.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_for_a_connection_as_their_link_says() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let waits = |retries: &str, delay: &str| {
        json!({"url": url(&server), "backend_reconnect_num_retries": retries,
               "backend_reconnect_max_delay_ms": delay})
    };
    let links =
        vec![link("c1", "hasty", waits("0", "5000")), link("c1", "patient", waits("40", "30"))];
    let host = Host::start(started(links)).await;
    set(&host, "hasty", "k", "v").await.unwrap();
    set(&host, "patient", "k", "v").await.unwrap();
    server.kill();
    // The first call may still find out that the connection is gone.
    let _ = get(&host, "hasty", "k").await;
    let begin = Instant::now();
    get(&host, "hasty", "k").await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    let patient = get(&host, "patient", "k");
    let back = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        tokio::task::block_in_place(|| server.restart());
    };
    let (got, ()) = tokio::join!(patient, back);
    assert_eq!(got.unwrap().unwrap(), "v", "the call waited until the server was back");
}

#[tokio::test]
async fn a_prefix_and_odd_data_of_others_do_no_harm() {
    let server = Server::start();
    let prefixed = json!({"url": url(&server), "prefix": "app1:", "layout": "plain"});
    let links =
        vec![link("c1", "default", json!({"url": url(&server)})), link("c1", "app1", prefixed)];
    let host = Host::start(started(links)).await;
    set(&host, "app1", "k", "v").await.unwrap();
    assert!(server.command(&["GET", "app1:k"]).contains('v'));
    server.command(&["SET", "app1:external", "theirs"]);
    server.command(&["SET", "alone", "x"]);
    assert_eq!(get(&host, "app1", "external").await.unwrap().unwrap(), "theirs");
    assert_eq!(get(&host, "default", "external").await.unwrap(), None);
    assert_eq!(keys(&host, "app1").await, ["external", "k"]);
    // A list, and a key that is no text.
    server.command(&["RPUSH", "list", "a"]);
    server.command(&["EVAL", "redis.call('SET', '\\255\\254', 'x')", "0"]);
    let error = format!("{:?}", get(&host, "default", "list").await.unwrap_err());
    assert!(error.contains("other"), "{error}");
    let all = keys(&host, "default").await;
    assert!(all.contains(&"alone".to_owned()) && all.contains(&"app1:k".to_owned()), "{all:?}");
    for odd in [1, 1 << 40, u64::MAX] {
        let cx = Some(by("c1", "default"));
        // Redis knows no wrong cursor: whatever it makes of one is an answer.
        let page = call(store::list_keys(&host.wrpc, cx, "default", Some(odd))).await;
        assert!(page.is_ok(), "{odd}: {page:?}");
    }
}

#[tokio::test]
async fn a_provider_that_was_killed_goes_on_with_what_was_acknowledged() {
    let server = Server::start();
    let links = || vec![link("c1", "default", json!({"url": url(&server)}))];
    let mut host = Host::start(started(links())).await;
    for i in 0..20 {
        set(&host, "default", &format!("k{i}"), "v").await.unwrap();
        if i % 10 == 5 {
            host.restart(started(links())).await;
        }
    }
    assert_eq!(keys(&host, "default").await.len(), 20);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_waited_for_as_long_as_the_link_says() {
    let server = Server::start();
    let config = |wait: &str| json!({"URL": url(&server), "BACKEND_RESPONSE_TIMEOUT_MS": wait});
    let links = vec![link("c1", "default", config("200")), link("c1", "patient", config("6000"))];
    let host = Host::start(started(links)).await;
    set(&host, "default", "k", "v").await.unwrap();
    set(&host, "patient", "k", "v").await.unwrap();
    server.pause();
    let hasty = async {
        let begin = Instant::now();
        (get(&host, "default", "k").await, begin.elapsed())
    };
    let ((hasty, waited), patient, ()) = tokio::join!(hasty, get(&host, "patient", "k"), async {
        tokio::time::sleep(Duration::from_millis(3500)).await;
        server.resume();
    });
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    let error = format!("{:?}", hasty.unwrap_err());
    assert!(error.contains(&server.address()), "{error}");
    assert_eq!(patient.unwrap().unwrap(), "v", "longer than the driver's own two seconds");
    host.until_health(None).await;
}

/// With upstream's settings only, of the link and of the server.
#[tokio::test]
async fn components_are_told_what_others_write_by_upstreams_settings() {
    let server = Server::with(&["--notify-keyspace-events", "Kg$"]);
    let host = Host::start(Start::default()).await;
    let told = Told::listen(&host, "w1").await;
    host.put(&source("w1", "default", json!({"URL": url(&server), "WATCH": "SET@k,DEL@k"}))).await;
    told.begun(&host, async || drop(server.command(&["SET", "k", "begin"]))).await;
    server.command(&["SET", "k", "ready"]);
    told.until(&host, "k=ready").await;
    told.clear();
    server.command(&["SET", "k", "v"]);
    server.command(&["SET", "other", "not told"]);
    told.until(&host, "k=v").await;
    server.command(&["DEL", "k"]);
    told.until(&host, "-k").await;
    assert_eq!(told.all(), ["k=v", "-k"]);
    told.clear();
    server.command(&["SET", "k", "short", "PX", "300"]);
    told.until(&host, "-k").await;
    host.until_health(None).await;
}

/// On a server that tells of nothing.
#[tokio::test]
async fn what_cannot_be_watched_is_said_once_and_shows_in_health() {
    let server = Server::start();
    let host = Host::start(Start::default()).await;
    host.put(&source("w1", "default", json!({"URL": url(&server), "WATCH": "SET@k,DEL@k"}))).await;
    let said = host.until_health(Some("link default of w1: ")).await;
    assert!(said.contains("unsupported"), "{said}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(host.warned("a component is told of changes no more"), 1, "{}", host.log());
    assert_eq!(host.warned("a watch cannot begin yet"), 0, "{}", host.log());
    // In the layout that can, it works.
    let table = |more: Value| {
        let mut config = json!({"url": url(&server), "layout": "table", "database": "app"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    };
    let told = Told::listen(&host, "w1").await;
    host.put(&link("c1", "default", table(json!({})))).await;
    until_linked(&host, "default").await;
    host.put(&source("w1", "default", table(json!({"watch": "SET@k,DEL@k"})))).await;
    told.begun(&host, async || set(&host, "default", "k", "v").await.unwrap()).await;
    host.until_health(None).await;
}

#[tokio::test]
async fn two_providers_of_one_name_go_on_with_each_others_pages() {
    let server = Server::start();
    let links = || {
        let config =
            json!({"url": url(&server), "layout": "table", "database": "app", "page": "20"});
        vec![link("c1", "default", config)]
    };
    let host = Host::start(started(links())).await;
    let mut other = host.another(started(links())).await;
    let written: Vec<_> = (0..150).map(|i| format!("k{i:03}")).collect();
    for key in &written {
        set(&host, "default", key, "v").await.unwrap();
    }
    assert_eq!(keys(&host, "default").await, written);
    until_connections(&server, 2).await;
    other.kill().await.unwrap();
    // Calls go to it until the lattice has heard that its connection has ended, and get no answer.
    let (deadline, mut answered) = (Instant::now() + Duration::from_secs(30), 0);
    while answered < 20 {
        assert!(Instant::now() < deadline, "{}", host.log());
        let ask = store::exists(&host.wrpc, Some(by("c1", "default")), "default", "k000");
        let answer = tokio::time::timeout(Duration::from_secs(1), ask).await;
        answered = if matches!(answer, Ok(Ok(_))) { answered + 1 } else { 0 };
    }
    assert_eq!(keys(&host, "default").await, written);
}

#[tokio::test]
async fn a_first_call_looks_at_no_record_to_see_whether_its_database_exists() {
    let server = Server::start();
    let config = |more: Value| {
        let mut config = json!({"url": url(&server), "layout": "table", "database": "app"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    };
    let links = vec![link("c1", "default", config(json!({"default_ttl": "1h"})))];
    let mut host = Host::start(started(links.clone())).await;
    set(&host, "default", "k", "v").await.unwrap();
    host.restart(started(links)).await;
    assert_eq!(get(&host, "default", "k").await.unwrap().unwrap(), "v");
    let used = server.command(&["INFO", "commandstats"]);
    for dear in ["cmdstat_sscan", "cmdstat_zcard"] {
        assert!(used.contains("cmdstat_hget") && !used.contains(dear), "{dear}: {used}");
    }
}

async fn until_ok(host: &Host) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while get(host, "default", "k").await.is_err() {
        assert!(Instant::now() < deadline, "{}", host.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
