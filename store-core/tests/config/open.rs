use std::sync::Arc;
use std::time::Duration;

use store_core::config::{LimitsConfig, RetryConfig, StoreBuilder};
use store_core::layer::Metrics;
use store_core::{Admin, DatabaseConfig, ErrorKind, Name, Operation};

use crate::Local;

#[tokio::test]
async fn a_url_names_driver_database_and_layers() {
    let local = Local::new();
    let registry = local.registry();
    let opened = registry
        .open("local://u:p@h:1,[::2]/app?colour=blue&timeout=2s&retries=3&trace=on&metrics=on&prefix=p%2F&max_items=2")
        .await
        .unwrap();
    assert_eq!(local.opened(), ["local://***@h:1,[::2]/app Some(2)"]);
    assert_eq!(opened.database.as_ref().unwrap().as_str(), "app");
    let table = opened.handle().unwrap().table("t").unwrap();
    table.write("k", "v").await.unwrap();
    assert_eq!(opened.metrics.as_ref().unwrap().snapshot().calls(Operation::Write), 1);
    let debug = format!("{:?}", opened.store);
    for (layer, inner) in [
        ("Trace", "Metrics"),
        ("Metrics", "Retry"),
        ("Retry", "Timeout"),
        ("Timeout", "Limits"),
        ("Limits", "Prefix"),
        ("Prefix", "Memory"),
    ] {
        assert!(debug.find(layer).unwrap() < debug.find(inner).unwrap(), "{debug}");
    }
    let plain = registry.open("LOCAL://?database=app").await.unwrap();
    let table = plain.handle().unwrap().table("t").unwrap();
    assert_eq!(table.list().await.unwrap(), ["p/k"]);
    assert!(plain.metrics.is_none());
    assert!(!format!("{:?}", plain.store).contains("around"), "no layer that nobody asked for");
}

#[tokio::test]
async fn read_only_refuses() {
    let registry = Local::new().registry();
    let opened = registry.open("local:///app?read_only=YES").await.unwrap();
    let table = opened.handle().unwrap().table("t").unwrap();
    assert_eq!(table.write("k", "v").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let opened = registry.open("local:///app?read_only=0").await.unwrap();
    opened.handle().unwrap().table("t").unwrap().write("k", "v").await.unwrap();
}

#[tokio::test]
async fn a_driver_may_keep_the_path() {
    let local = Local::new();
    let opened = local.registry().open("local+socket:///run/x.sock?database=app").await.unwrap();
    assert_eq!(opened.database.unwrap().as_str(), "app");
    assert_eq!(local.opened(), ["local+socket:///run/x.sock None"]);
}

#[tokio::test]
async fn what_is_wrong_is_told_by_name_before_anything_is_opened() {
    let local = Local::new();
    let registry = local.registry();
    for (url, text) in [
        ("lokal://", "no driver for `lokal://`; did you mean `local`? Known: local, local+socket"),
        ("nats://h", "no driver for `nats://`; known: local, local+socket"),
        (
            "local://?color=red",
            "no option `color`; did you mean `colour`? Known: colour, database,",
        ),
        ("local://?retry=3", "no option `retry`; did you mean `retries`?"),
        ("local://?colour=green", "option `colour`: expected one of: red, blue"),
        ("local://?colour=red&colour=red", "option `colour` is given twice"),
        ("local://?timeout=fast", "option `timeout`: expected a duration"),
        ("local://?timeout=0s", "option `timeout`: expected a duration"),
        ("local://?retries=-1", "option `retries`: expected a number"),
        ("local://?retries=99999999999", "option `retries`: expected a number"),
        ("local://?trace=maybe", "option `trace`: expected on or off"),
        ("local://?trace=off&trace_keys=on", "`trace_keys` is on, but `trace` is off"),
        ("local://?max_value_len=big", "option `max_value_len`: expected a size"),
        ("local://?max_wait=0s", "option `max_wait`: expected a duration"),
        ("local://?max_page=0", "`max_page` must be 1 or more"),
        ("local://?prefix=", "`prefix`: a key prefix must not be empty"),
        ("local:///app?database=app", "`database` is given twice"),
        ("local:///a/b", "a database name consists of"),
        ("local:///a%00", "a database name consists of"),
    ] {
        let error = registry.open(url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        assert!(error.message().starts_with(text), "{url}: {error}");
    }
    assert!(local.opened().is_empty());
    let error = registry.open("local://?unused=1").await.unwrap_err();
    assert_eq!(error.message(), "option `unused` does not apply here");
    assert_eq!(local.opened().len(), 1, "only the driver knows that");
    assert!(
        registry.open("local://?password=wrong").await.unwrap_err().kind()
            == ErrorKind::Unauthenticated
    );
    assert!(
        registry.open("local://").await.unwrap().handle().unwrap_err().kind() == ErrorKind::Config
    );
}

#[tokio::test]
async fn a_builder_adds_to_what_is_configured() {
    let local = Local::new();
    let own = Metrics::new();
    let opened = StoreBuilder::new("local://")
        .or(StoreBuilder::new("unknown://"))
        .database("app")
        .option("colour", "red")
        .timeout(Duration::from_secs(2))
        .retry(RetryConfig::attempts(2))
        .trace(true)
        .metrics(true)
        .read_only(false)
        .limits(LimitsConfig::default())
        .create("app", DatabaseConfig::new().with_history(5))
        .create("other", DatabaseConfig::new())
        .layer(own.clone())
        .open(&local.registry())
        .await
        .unwrap();
    assert_eq!(local.opened(), ["local:// Some(1)"]);
    let admin = Admin::new(Arc::clone(&opened.store));
    assert_eq!(admin.list().await.unwrap().len(), 2);
    assert_eq!(admin.status("app").await.unwrap().config.history, Some(5));
    assert_eq!(own.snapshot().calls(Operation::CreateDatabase), 2);
    // Again: they exist already, just so.
    let again = || StoreBuilder::new("local://");
    let same = again().create("app", DatabaseConfig::new().with_history(5));
    same.open(&local.registry()).await.unwrap();
    let other = again().create("app", DatabaseConfig::new().with_history(6));
    let error = other.open(&local.registry()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(error.database(), Some("app"));
    let error = admin.list().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "what was opened in vain was closed");
}

#[tokio::test]
async fn defaults_hold_where_nothing_else_is_said() {
    let local = Local::new();
    let registry = local.registry();
    let defaults = || {
        StoreBuilder::new("local:///fallback?colour=blue")
            .option("size", "3")
            .timeout(Duration::from_secs(2))
            .create("made", DatabaseConfig::new())
    };
    // What the URL says goes before, and is not given twice; the driver's options go with the URL.
    let said = StoreBuilder::new("local:///app?timeout=1s").or(defaults());
    let opened = said.open(&registry).await.unwrap();
    assert_eq!(opened.database.as_ref().map(Name::as_str), Some("app"));
    let made = Admin::new(opened.store).list().await.unwrap();
    assert_eq!(made.iter().map(Name::as_str).collect::<Vec<_>>(), ["made"]);
    // The first default counts.
    let second = StoreBuilder::new("lokal://").timeout(Duration::from_secs(3));
    let error = StoreBuilder::default().or(defaults()).or(second).open(&registry).await;
    assert!(error.unwrap_err().message().contains("no option `size`"));
}

#[tokio::test]
async fn contradictions_are_refused() {
    let local = Local::new();
    let registry = local.registry();
    let at = StoreBuilder::new;
    for (builder, text) in [
        (StoreBuilder::default(), "no URL is set"),
        (at("local://?timeout=1s").timeout(Duration::from_secs(1)), "`timeout` is given twice"),
        (at("local://?colour=red").option("colour", "red"), "option `colour` is given twice"),
        (at("local:///app").database("app"), "`database` is given twice"),
        (at("local://").database("a.b"), "a database name consists of"),
        (at("local://").create("a.b", DatabaseConfig::new()), "a database name consists of"),
        (at("local://").retry(RetryConfig::attempts(0)), "`retry.attempts` must be 1 or more"),
        (
            at("local://").read_only(true).create("a", DatabaseConfig::new()),
            "`databases` cannot be created with `read_only`",
        ),
    ] {
        let error = builder.open(&registry).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().starts_with(text), "{error}");
    }
    assert!(local.opened().is_empty());
}

#[tokio::test]
async fn of_two_drivers_for_a_scheme_the_later_opens_it() {
    let (first, second) = (Local::new(), Local::new());
    let registry = first.registry().with(second.clone());
    registry.open("local://").await.unwrap();
    assert_eq!((first.opened().len(), second.opened().len()), (0, 1));
    assert_eq!(registry.schemes(), ["local", "local+socket"]);
}
