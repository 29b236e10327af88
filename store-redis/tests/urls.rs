//! What a URL can say, and what it is told when it is wrong.

use store_core::ErrorKind;
use store_core::config::Registry;

async fn refused(url: &str) -> store_core::Error {
    let registry = Registry::new().with(store_redis::driver());
    let error = registry.open(url).await.expect_err(url);
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    error
}

#[tokio::test]
async fn what_can_never_work_is_refused_before_anything_is_opened() {
    for (url, names) in [
        ("redis://a,b/app", "one server"),
        ("redis+sentinel://a,b/app", "primary"),
        ("redis+sentinel:///app?primary=orders", "host"),
        ("redis+cluster:///app", "host"),
        ("redis+cluster://a,b/app?db=1", "db"),
        ("redis+cluster://a/app?layout=plain", "plain"),
        ("redis+cluster://a/app?primary=orders", "primary"),
        ("redis://a/app?primary=orders", "primary"),
        ("redis+cluster://a/app?socket=/s", "socket"),
        ("redis://h/app?layout=hash", "layout"),
        ("redis://h/app?layout=plain&template={table}", "template"),
        ("redis://h/app?template={key}", "template"),
        ("redis://h/app?key_prefix=a{b", "key_prefix"),
        ("redis://h/app?answer_timeout=0s", "answer_timeout"),
        ("redis://h/app?connect_attempts=0", "connect_attempts"),
        ("redis://h/app?reconnect_pause=soon", "reconnect_pause"),
        ("redis://h/app?layout=plain&wait_replicas=1", "wait_replicas"),
        ("redis://h/app?layout=plain&watch_keep=1m", "watch_keep"),
        ("redis://h/app?layout=plain&auto_create=off", "auto_create"),
        ("redis://h/app?layout=plain&default_ttl=1h", "default_ttl"),
        ("redis://h/app?sentinel_username=u", "sentinel_username"),
        ("redis+cluster://a,b/app?sentinel_password=hunter2", "sentinel_password"),
        ("redis://h/app?db=99999999999", "db"),
        ("redis://h/app?socket=relative", "socket"),
        ("redis://h/app?tls_ca=/nowhere/ca.pem", "tls_ca"),
        ("redis://h/app?io_thred=on", "io_thread"),
    ] {
        let error = refused(url).await;
        assert_eq!(error.kind(), ErrorKind::Config, "{url}: {error}");
        assert!(error.message().contains(names), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let error = refused("redis://app:hunter2@127.0.0.1:1/app").await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("127.0.0.1:1"), "{error}");
}
