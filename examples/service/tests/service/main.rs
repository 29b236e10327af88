//! The service over TCP, as its clients see it: the built program, a client of its own, every route.

#![allow(clippy::unwrap_used, reason = "the helpers are tests too")]

mod backends;
mod http;
mod process;

use std::time::Duration;

use http::{Event, request};
use process::{Service, command};
use serde_json::json;

const ADA: &str = r#"{"name":"Ada","email":"ada@example.com"}"#;

fn named(name: &str) -> String {
    json!({ "name": name }).to_string()
}

#[tokio::test]
async fn a_profile_is_written_read_and_deleted() {
    let service = Service::start().await;
    let at = service.at;
    assert_eq!(request("GET", "/profiles/ada").to(at).await.error(404), "not_found");

    let written = request("PUT", "/profiles/ada").json(ADA).to(at).await;
    assert_eq!(written.status, 200, "{}", written.body);
    let read = request("GET", "/profiles/ada").to(at).await;
    assert_eq!((read.status, read.etag()), (200, written.etag()));
    let revision = read.etag().trim_matches('"');
    assert_eq!(
        read.json(),
        json!({ "id": "ada", "name": "Ada", "email": "ada@example.com", "revision": revision })
    );

    assert_eq!(request("DELETE", "/profiles/ada").to(at).await.status, 204);
    assert_eq!(request("GET", "/profiles/ada").to(at).await.status, 404);
    assert_eq!(request("DELETE", "/profiles/ada").to(at).await.status, 204, "again");
}

#[tokio::test]
async fn ids_are_any_text() {
    let at = &Service::start().await;
    for id in ["a%2Fb", "%D0%AF", "..%2F..", "%00", "a%20b", "a+b"] {
        let written = request("PUT", format!("/profiles/{id}")).json(named(id)).to(at.at).await;
        assert_eq!(written.status, 200, "{id}: {}", written.body);
    }
    let listed = request("GET", "/profiles").to(at.at).await.json();
    let ids: Vec<_> = listed["profiles"].as_array().unwrap().iter().map(|p| &p["id"]).collect();
    assert_eq!(ids, ["\0", "../..", "a b", "a+b", "a/b", "Я"]);
    let long = format!("/profiles/{}", "x".repeat(1025));
    assert_eq!(request("PUT", long).json(ADA).to(at.at).await.error(413), "too_large");
}

#[tokio::test]
async fn a_stale_update_is_answered_with_409_and_the_present_etag() {
    let service = Service::start().await;
    let at = service.at;
    let created =
        request("PUT", "/profiles/ada").header("if-none-match", "*").json(ADA).to(at).await;
    assert_eq!(created.status, 201);
    let again = request("PUT", "/profiles/ada").header("if-none-match", "*").json(ADA).to(at).await;
    assert_eq!((again.error(409), again.etag()), ("conflict".into(), created.etag()));

    let update = |tag: &str, name: &str| {
        request("PUT", "/profiles/ada").header("if-match", tag).json(named(name)).to(at)
    };
    let second = update(created.etag(), "Ada 2").await;
    assert_eq!(second.status, 200);
    let stale = update(created.etag(), "Ada 3").await;
    assert_eq!((stale.error(409), stale.etag()), ("conflict".into(), second.etag()));
    assert_eq!(stale.json()["error"]["may_have_happened"], false);
    assert_eq!(request("GET", "/profiles/ada").to(at).await.json()["name"], "Ada 2");
    assert_eq!(update(stale.etag(), "Ada 3").await.status, 200, "with what the conflict said");

    let delete = |tag: &str| request("DELETE", "/profiles/ada").header("if-match", tag).to(at);
    assert_eq!(delete(second.etag()).await.error(409), "conflict");
    let present = request("GET", "/profiles/ada").to(at).await;
    assert_eq!(delete(present.etag()).await.status, 204);
    let gone = update(present.etag(), "Ada 4").await;
    assert_eq!(gone.error(409), "conflict", "a version of before the delete");
}

#[tokio::test]
async fn of_many_writers_with_one_version_one_wins() {
    let service = Service::start().await;
    let at = service.at;
    let first = request("PUT", "/profiles/ada").json(ADA).to(at).await;
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let put = request("PUT", "/profiles/ada").header("if-match", first.etag());
            tokio::spawn(put.json(named(&n.to_string())).to(at))
        })
        .collect();
    let mut statuses = Vec::new();
    for task in tasks {
        statuses.push(task.await.unwrap().status);
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (200, &[409; 15][..]));
}

#[tokio::test]
async fn a_profile_expires_and_watchers_hear_of_it() {
    let service = Service::start().await;
    let at = service.at;
    let mut events = request("GET", "/profiles/events").events(at).await;
    assert_eq!(events.next().await.unwrap().name, "synced");
    let lasting = request("PUT", "/profiles/bob?ttl=1h").json(ADA).to(at).await;
    assert_eq!(lasting.json()["expires_in"], "1h");
    let written = request("PUT", "/profiles/ada?ttl=300ms").json(ADA).to(at).await;
    assert_eq!(written.json()["expires_in"], "300ms");

    assert_eq!(events.next().await.unwrap().data["id"], "bob");
    assert_eq!(events.next().await.unwrap().data["id"], "ada");
    let end = events.next().await.unwrap();
    assert_eq!((&*end.name, end.data), ("delete", json!({ "id": "ada", "reason": "expired" })));
    assert_eq!(request("GET", "/profiles/ada").to(at).await.status, 404);
    let left = request("GET", "/profiles/bob").to(at).await.json();
    assert!(left["expires_in"].as_str().unwrap().starts_with("59m"), "{left}");

    // A write sets everything, the expiry too.
    let lasting = request("PUT", "/profiles/bob").json(ADA).to(at).await;
    assert_eq!(lasting.json().get("expires_in"), None);
}

#[tokio::test]
async fn profiles_are_listed_in_pages() {
    let service = Service::start().await;
    let at = service.at;
    for id in ["b", "a/1", "a/3", "a/2", "a/5", "a/4"] {
        request("PUT", format!("/profiles/{}", id.replace('/', "%2F"))).json(ADA).to(at).await;
    }
    let (mut ids, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = request("GET", format!("/profiles?prefix=a/&limit=2{cursor}")).to(at).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let page = page.json();
        let profiles = page["profiles"].as_array().unwrap();
        assert!(profiles.len() <= 2);
        ids.extend(profiles.iter().map(|p| p["id"].as_str().unwrap().to_owned()));
        pages += 1;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        // What comes and goes meanwhile does not move the pages.
        request("DELETE", "/profiles/a%2F1").to(at).await;
    }
    assert_eq!((ids, pages), (["a/1", "a/2", "a/3", "a/4", "a/5"].map(String::from).to_vec(), 3));
    let none = request("GET", "/profiles?prefix=zzz").to(at).await;
    assert_eq!(none.json(), json!({ "profiles": [] }));
}

#[tokio::test]
async fn counters_count_exactly() {
    let service = Service::start().await;
    let at = service.at;
    assert_eq!(request("GET", "/counters/hits").to(at).await.error(404), "not_found");
    let tasks: Vec<_> =
        (0..32).map(|_| tokio::spawn(request("POST", "/counters/hits?by=3").to(at))).collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await.unwrap().json()["value"].as_i64().unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=32).map(|n| n * 3).collect::<Vec<_>>(), "each sum was given once");
    assert_eq!(request("POST", "/counters/hits").to(at).await.json()["value"], 97);
    let value = request("POST", "/counters/hits?by=-100").to(at).await;
    assert_eq!(value.json(), json!({ "name": "hits", "value": -3 }));
    assert_eq!(request("GET", "/counters/hits").to(at).await.json(), value.json());

    let most = format!("/counters/big?by={}", i64::MAX);
    assert_eq!(request("POST", &*most).to(at).await.status, 200);
    assert_eq!(request("POST", "/counters/big").to(at).await.error(422), "overflow");
    assert_eq!(request("GET", "/counters/big").to(at).await.json()["value"], i64::MAX);
}

#[tokio::test]
async fn changes_come_live_and_a_client_that_was_away_goes_on() {
    let service = Service::start().await;
    let at = service.at;
    let put =
        |id: &str, name: &str| request("PUT", format!("/profiles/{id}")).json(named(name)).to(at);
    put("ada", "Ada").await;
    put("bob", "Bob").await;

    let seen = |event: &Event| (event.name.clone(), event.data["id"].clone());
    let mut events = request("GET", "/profiles/events?prefix=a").events(at).await;
    let snapshot = events.next().await.unwrap();
    assert_eq!(seen(&snapshot), ("put".into(), json!("ada")));
    assert_eq!(snapshot.id, None, "a snapshot is no place to go on from");
    let synced = events.next().await.unwrap();
    assert_eq!(synced.name, "synced");

    put("bob", "not watched").await;
    let changed = put("ada", "Ada 2").await;
    let live = events.next().await.unwrap();
    assert_eq!((seen(&live), &live.data["name"]), (("put".into(), json!("ada")), &json!("Ada 2")));
    assert_eq!(live.id.as_deref(), Some(changed.etag().trim_matches('"')));
    drop(events);

    // Away, two things happen.
    request("DELETE", "/profiles/ada").to(at).await;
    put("abe", "Abe").await;
    let mut resumed = request("GET", "/profiles/events?prefix=a")
        .header("last-event-id", live.id.unwrap())
        .events(at)
        .await;
    let deleted = resumed.next().await.unwrap();
    assert_eq!(deleted.data, json!({ "id": "ada", "reason": "deleted" }));
    assert_eq!(seen(&resumed.next().await.unwrap()), ("put".into(), json!("abe")));
    let caught_up = resumed.next().await.unwrap();
    assert_eq!(caught_up.name, "synced");
    request("DELETE", "/profiles/abe").to(at).await;
    let last = resumed.next().await.unwrap();
    assert_eq!(seen(&last), ("delete".into(), json!("abe")));
    assert!(last.id.is_some());
}

#[tokio::test]
async fn bad_input_is_refused_in_json_and_changes_nothing() {
    let service = Service::start().await;
    let at = service.at;
    let put = |body: &str| request("PUT", "/profiles/x").json(body).to(at);
    for body in ["", "{", "[]", "{}", r#"{"name":1}"#, r#"{"name":" "}"#, r#"{"name":"x","a":1}"#] {
        let answer = put(body).await;
        assert!((400..=422).contains(&answer.status), "{body}: {}", answer.status);
        assert_eq!(answer.error(answer.status), "invalid_argument", "{body}");
    }
    let no_type = request("PUT", "/profiles/x").to(at).await;
    assert_eq!(no_type.error(415), "invalid_argument");
    assert_eq!(put(&named(&"x".repeat(70_000))).await.error(413), "too_large");
    for ttl in ["0s", "-1s", "soon", "", "1", "99999999y", "18446744073709551615s"] {
        let answer = request("PUT", format!("/profiles/x?ttl={ttl}")).json(ADA).to(at).await;
        assert_eq!(answer.error(400), "invalid_argument", "{ttl}");
    }
    for tag in ["ada", "*", "W/\"1-1\"", "\"1-1\", \"1-2\"", "\"nonsense\""] {
        let answer = request("PUT", "/profiles/x").header("if-match", tag).json(ADA).to(at).await;
        assert_eq!(answer.error(400), "invalid_argument", "{tag}");
    }
    for query in ["limit=0", "limit=101", "limit=-1", "limit=x", "cursor=", "cursor=!", "page=2"] {
        let answer = request("GET", format!("/profiles?{query}")).to(at).await;
        assert_eq!(answer.error(400), "invalid_argument", "{query}");
    }
    for cursor in ["AAAA", "a", "____", &"A".repeat(4096)] {
        let answer = request("GET", format!("/profiles?cursor={cursor}")).to(at).await;
        assert_eq!(answer.error(400), "invalid_argument", "{cursor}");
    }
    for by in ["x", "1.5", "9223372036854775808", ""] {
        let answer = request("POST", format!("/counters/x?by={by}")).to(at).await;
        assert_eq!(answer.error(400), "invalid_argument", "{by}");
    }
    let answer = request("GET", "/profiles/events").header("last-event-id", "x").to(at).await;
    assert_eq!(answer.error(400), "invalid_argument");
    assert_eq!(request("GET", "/profiles/%FF").to(at).await.error(400), "invalid_argument");
    assert_eq!(request("GET", "/nothing").to(at).await.error(404), "not_found");
    assert_eq!(request("POST", "/profiles/x").to(at).await.error(405), "method_not_allowed");

    assert_eq!(request("GET", "/profiles").to(at).await.json(), json!({ "profiles": [] }));
    assert_eq!(request("GET", "/counters/x").to(at).await.status, 404);
}

#[tokio::test]
async fn health_is_the_stores() {
    let service = Service::start().await;
    let health = request("GET", "/healthz").to(service.at).await;
    assert_eq!((health.status, health.json()), (200, json!({ "status": "ok", "store": "memory" })));
}

#[tokio::test]
async fn what_the_store_did_is_measured() {
    let service = Service::start().await;
    request("POST", "/counters/hits").to(service.at).await;
    request("POST", "/counters/hits").to(service.at).await;
    let metrics = request("GET", "/metrics").to(service.at).await;
    assert!(metrics.headers["content-type"].starts_with("text/plain"));
    let increments =
        metrics.body.lines().find(|line| line.contains("increment") && line.ends_with(" 2"));
    assert!(increments.is_some(), "{}", metrics.body);
}

#[tokio::test]
async fn the_environment_says_which_store_and_what_is_around_it() {
    let env = [("STORE_URL", "memory:///mine?default_ttl=1h"), ("STORE_MAX_VALUE_LEN", "100")];
    let service = Service::start_with(&env).await;
    let big = request("PUT", "/profiles/ada").json(named(&"x".repeat(200))).to(service.at).await;
    assert_eq!(big.error(413), "too_large");
    request("PUT", "/profiles/ada").json(ADA).to(service.at).await;
    let ada = request("GET", "/profiles/ada").to(service.at).await.json();
    assert!(ada["expires_in"].as_str().is_some_and(|left| left.starts_with("59m")), "{ada}");
    let service = Service::start_with(&[("STORE_READ_ONLY", "on")]).await;
    let refused = request("PUT", "/profiles/ada").json(ADA).to(service.at).await;
    assert_eq!(refused.error(403), "permission_denied");
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_streams_and_the_service_in_good_order() {
    for signal in ["-TERM", "-INT"] {
        let service = Service::start().await;
        let at = service.at;
        request("PUT", "/profiles/ada").json(ADA).to(at).await;
        let mut events = request("GET", "/profiles/events").events(at).await;
        assert_eq!(events.next().await.unwrap().name, "put");
        assert_eq!(events.next().await.unwrap().name, "synced");

        let told = std::time::Instant::now();
        service.signal(signal);
        assert_eq!(events.next().await, None, "the stream ends as a whole response");
        let (status, _, log) = service.ended().await;
        assert!(status.success(), "{status}\n{log}");
        assert!(told.elapsed() < Duration::from_secs(9), "it did not wait for the streams");
        assert!(log.contains("stopping") && log.contains("stopped"), "{log}");
        assert!(log.contains("request{method=PUT path=\"/profiles/ada\"}"), "{log}");
        assert!(!log.contains("ada@example.com"), "no value in the log: {log}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn it_says_what_to_try() {
    let service = Service::start().await;
    let at = service.at;
    service.signal("-TERM");
    let (_, out, _) = service.ended().await;
    let lines: Vec<_> = out.lines().filter(|line| line.contains("curl ")).collect();
    assert_eq!(lines.len(), 3, "{out}");
    assert!(lines.iter().all(|line| line.contains(&format!("http://{at}/"))), "{out}");
}

#[tokio::test]
async fn a_configuration_that_cannot_be_is_refused_without_secrets() {
    for (name, value, says) in [
        ("STORE_URL", "nosuch://ada:sesame@127.0.0.1/", "memory"),
        ("STORE_URL", "sesame", "URL"),
        ("STORE_URL", "memory://?password=sesame", "default_ttl"),
        ("STORE_TIMEOUT", "sesame", "timeout"),
        ("SERVICE_LISTEN", "nowhere", "SERVICE_LISTEN"),
        ("RUST_LOG", "=loud=", "RUST_LOG"),
    ] {
        let ended = command().env(name, value).output().await.unwrap();
        let log = String::from_utf8(ended.stderr).unwrap();
        assert!(!ended.status.success(), "{name}={value}");
        assert!(log.contains(says) && !log.contains("sesame"), "{log}");
    }
}
