use std::time::Duration;

use store_core::WhenFull;
use store_core::config::{Config, LimitsConfig, RetryConfig};

const TOML: &str = r#"
url = "redis://app:hunter2@a,b:1/app"
database = "app"
timeout = "1m 30s"
trace = true
metrics = false
prefix = "p/"

[options]
layout = "plain"
pool = 4
tls = true
password = "hunter2"

[retry]
attempts = 5
first_pause = "10ms"

[limits]
max_value_len = "64KiB"
max_items = 100
max_wait = "1s"

[databases.sessions]
default_ttl = "30m"
when_full = "evict"
"#;

#[test]
fn toml_and_json_say_the_same() {
    let config: Config = toml::from_str(TOML).unwrap();
    assert_eq!(config.timeout, Some(Duration::from_secs(90)));
    assert_eq!(config.options["pool"], "4");
    assert_eq!(config.options["tls"], "true");
    let mut retry = RetryConfig::attempts(5);
    retry.first_pause = Some(Duration::from_millis(10));
    assert_eq!(config.retry, Some(retry));
    let mut limits = LimitsConfig::default();
    (limits.max_value_len, limits.max_items) = (Some(65536), Some(100));
    limits.max_wait = Some(Duration::from_secs(1));
    assert_eq!(config.limits, Some(limits));
    assert_eq!(config.databases["sessions"].when_full, Some(WhenFull::Evict));
    let value: toml::Table = TOML.parse().unwrap();
    let json = serde_json::to_string(&value).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
    assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::new());
}

#[test]
fn what_is_unknown_or_malformed_is_an_error() {
    for (bad, text) in [
        (r#"{"urll": ""}"#, "unknown field `urll`"),
        (r#"{"retry": {"times": 1}}"#, "unknown field `times`"),
        (r#"{"limits": {"max": 1}}"#, "unknown field `max`"),
        (r#"{"databases": {"a": {"ttl": "1s"}}}"#, "unknown field `ttl`"),
        (r#"{"timeout": "fast"}"#, "not a duration"),
        (r#"{"timeout": "0s"}"#, "longer than zero"),
        (r#"{"limits": {"max_value_len": "big"}}"#, "not a size"),
        (r#"{"limits": {"max_value_len": -1}}"#, "negative"),
        (r#"{"limits": {"max_value_len": true}}"#, "a size such as"),
        (r#"{"options": {"a": [1]}}"#, "text, a whole number, true or false"),
        (r#"{"options": {"a": null}}"#, "text, a whole number, true or false"),
    ] {
        let error = serde_json::from_str::<Config>(bad).unwrap_err().to_string();
        assert!(error.contains(text), "{bad}: {error}");
    }
    let null =
        r#"{"url": null, "timeout": null, "retry": null, "limits": {"max_value_len": null}}"#;
    assert!(serde_json::from_str::<Config>(null).is_ok(), "null is not set");
}

#[test]
fn debug_shows_no_secret() {
    let mut config: Config = toml::from_str(TOML).unwrap();
    let debug = format!("{config:?}");
    assert!(debug.contains("redis://***@a,b:1/app") && debug.contains("\"password\""), "{debug}");
    assert!(!debug.contains("hunter2"), "{debug}");
    config.url = Some("hunter2".into());
    assert!(!format!("{config:#?}").contains("hunter2"));
}
