use std::ffi::OsString;
use std::time::Duration;

use store_core::ErrorKind;
use store_core::config::Config;

use crate::Local;

#[tokio::test]
async fn the_environment_configures_everything() {
    let config = Config::from_vars(
        "STORE_",
        [
            ("STORE_URL", "local://"),
            ("STORE_DATABASE", "app"),
            ("STORE_TIMEOUT", "2s"),
            ("STORE_RETRIES", "2"),
            ("STORE_TRACE", "on"),
            ("STORE_TRACE_KEYS", "off"),
            ("STORE_METRICS", "1"),
            ("STORE_READ_ONLY", ""),
            ("STORE_PREFIX", "p/"),
            ("STORE_MAX_VALUE_LEN", "1MiB"),
            ("STORE_OPTION_COLOUR", "blue"),
            ("STORES", "no"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.timeout, Some(Duration::from_secs(2)));
    assert_eq!(config.retry.as_ref().unwrap().attempts, Some(3));
    assert_eq!((config.trace_keys, config.read_only), (Some(false), None));
    assert_eq!(config.limits.as_ref().unwrap().max_value_len, Some(1 << 20));
    let local = Local::new();
    let opened = config.open(&local.registry()).await.unwrap();
    assert!(opened.handle().is_ok() && opened.metrics.is_some());
    assert_eq!(local.opened(), ["local:// Some(2)"]);
}

#[test]
fn an_unknown_variable_is_named_with_the_known_ones() {
    for (name, near) in [
        ("STORE_TIMOUT", "did you mean `STORE_TIMEOUT`?"),
        ("STORE_BANANA", "known: STORE_URL, STORE_DATABASE, STORE_TIMEOUT,"),
        ("STORE_", "known: STORE_URL"),
        ("STORE_OPTION_", "STORE_OPTION_"),
        ("STORE_url", "did you mean `STORE_URL`?"),
    ] {
        let error = Config::from_vars("STORE_", [(name, "x")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains(name) && error.message().contains(near), "{error}");
    }
}

#[test]
fn a_bad_value_names_its_variable_and_is_not_shown() {
    for name in ["TIMEOUT", "RETRIES", "TRACE", "MAX_VALUE_LEN", "MAX_CALLS_PER_SECOND"] {
        let error = Config::from_vars("S_", [(format!("S_{name}"), "hunter2")]).unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains(&name.to_lowercase()), "{text}");
        assert!(text.contains("S_*") && !text.contains("hunter2"), "{text}");
    }
    let twice = [("S_OPTION_A", "hunter2"), ("S_OPTION_a", "hunter2")];
    let error = Config::from_vars("S_", twice).unwrap_err();
    assert!(error.message().contains("given twice"), "{error}");
}

#[cfg(unix)]
#[test]
fn what_is_not_utf_8_is_refused_only_where_it_matters() {
    use std::os::unix::ffi::OsStringExt as _;
    let bad = || OsString::from_vec(vec![0xff]);
    let error = Config::from_vars("S_", [(OsString::from("S_URL"), bad())]).unwrap_err();
    assert_eq!(error.message(), "`S_URL` is not UTF-8");
    assert_eq!(Config::from_vars("S_", [(bad(), bad())]).unwrap(), Config::new());
}

#[test]
fn the_process_environment_is_read() {
    // Variables of this name exist in every test that cargo starts.
    let error = Config::from_env("CARGO_PKG_").unwrap_err();
    assert!(error.message().contains("no variable `CARGO_PKG_"), "{error}");
    assert_eq!(Config::from_env("NO_SUCH_PREFIX_").unwrap(), Config::new());
}

/// A Service of the name `s` makes Kubernetes set these in every container of its namespace.
#[test]
fn what_kubernetes_sets_is_left_alone() {
    let set = [
        ("S_SERVICE_HOST", "10.0.0.11"),
        ("S_SERVICE_PORT", "80"),
        ("S_SERVICE_PORT_HTTP", "80"),
        ("S_PORT", "tcp://10.0.0.11:80"),
        ("S_PORT_80_TCP_PROTO", "tcp"),
        ("S_URL", "memory://"),
    ];
    let config = Config::from_vars("S_", set).unwrap();
    assert_eq!(config.url.as_deref(), Some("memory://"));
    assert!(Config::from_vars("S_", [("S_SERVICE", "x")]).is_err());
}
