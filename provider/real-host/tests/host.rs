//! The provider in a real wasmCloud 1 host, driven by a real component: a real archive, the host's own stdin, links and wRPC.
//!
//! Needs `STORE_TEST_NATS_SERVER` (or nats-server in the path), `STORE_TEST_PROVIDER` (the provider's binary) and
//! `STORE_TEST_GUEST` (`guest_draft.wasm`); see docs/provider.md for the commands.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use nkeys::KeyPair;
use provider_archive::ProviderArchive;
use wasmcloud_control_interface::{ClientBuilder, Link};
use wasmcloud_host::wasmbus::{Host, HostConfig};

mod client {
    wit_bindgen_wrpc::generate!({
        world: "real:host/client",
        path: ["../../provider-wasmtime/guests/wit/ops.wit", "wit/client.wit"],
        generate_all,
    });
}
use client::guest::ops::ops;

const LATTICE: &str = "real";
const PROVIDER: &str = "kv-provider";
const COMPONENT: &str = "guest";

fn path(variable: &str) -> PathBuf {
    std::env::var_os(variable).unwrap_or_else(|| panic!("set {variable}")).into()
}

/// Hosts of this age lose an answer now and then (see docs/provider.md): calls are asked again.
async fn asked<T, F: Future<Output = Result<T>>>(mut call: impl FnMut() -> F) -> T {
    for _ in 0..5 {
        match tokio::time::timeout(Duration::from_secs(5), call()).await {
            Ok(answer) => return answer.expect("no trap"),
            Err(_) => eprintln!("an answer was lost"),
        }
    }
    panic!("no answer");
}

/// The same for calls that the host turns into a trap of the component.
async fn trapped<T, F: Future<Output = Result<T>>>(mut call: impl FnMut() -> F) {
    for _ in 0..5 {
        match tokio::time::timeout(Duration::from_secs(5), call()).await {
            Ok(Ok(_)) => panic!("a trap was expected"),
            Ok(Err(_)) => return,
            Err(_) => eprintln!("an answer was lost"),
        }
    }
    panic!("no answer");
}

// On one thread: with several, this host's own transport loses more answers.
#[tokio::test(flavor = "current_thread")]
async fn a_real_component_uses_the_provider_through_a_real_host() {
    let temporary = tempfile::tempdir().unwrap();
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let server = std::env::var("STORE_TEST_NATS_SERVER").unwrap_or("nats-server".to_owned());
    let _server = tokio::process::Command::new(server)
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
        .arg(temporary.path().join("js"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let url = format!("nats://127.0.0.1:{port}");
    let nats = loop {
        match async_nats::connect(&url).await {
            Ok(nats) => break nats,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let key = Arc::new(KeyPair::new_server());
    let (host, shutdown) = Host::new(HostConfig {
        ctl_nats_url: url.parse().unwrap(),
        rpc_nats_url: url.parse().unwrap(),
        lattice: LATTICE.into(),
        host_key: Some(Arc::clone(&key)),
        allow_file_load: true,
        provider_shutdown_delay: Some(Duration::from_millis(500)),
        ..HostConfig::default()
    })
    .await
    .unwrap();
    let host_id = key.public_key();
    let control =
        ClientBuilder::new(nats.clone()).lattice(LATTICE).timeout(Duration::from_secs(30)).build();

    let mut par = ProviderArchive::new("keyvalue", "test", Some(1), None);
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    par.add_library(&target, &std::fs::read(path("STORE_TEST_PROVIDER")).unwrap()).unwrap();
    let archive = temporary.path().join("keyvalue.par.gz");
    par.write(&archive, &KeyPair::new_account(), &KeyPair::new_service(), true).await.unwrap();

    let config = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    control.put_config("provider", config(&[("backend", "memory")])).await.unwrap();
    control.put_config("link", config(&[("database", "one"), ("page", "2")])).await.unwrap();
    let reference = format!("file://{}", archive.display());
    control
        .start_provider(&host_id, &reference, PROVIDER, None, vec!["provider".to_owned()])
        .await
        .unwrap();
    let guest = std::fs::canonicalize(path("STORE_TEST_GUEST")).unwrap();
    let reference = format!("file://{}", guest.display());
    control
        .scale_component(&host_id, &reference, COMPONENT, 10, None, vec![], false)
        .await
        .unwrap();
    let link = Link::builder()
        .source_id(COMPONENT)
        .target(PROVIDER)
        .name("default")
        .wit_namespace("wasi")
        .wit_package("keyvalue")
        .interfaces(vec!["store".into(), "atomics".into(), "batch".into()])
        .target_config(vec!["link".into()])
        .build()
        .unwrap();
    assert!(control.put_link(link).await.unwrap().succeeded());

    let nats_new = async_nats_new::connect(&url).await.unwrap();
    let prefix = format!("{LATTICE}.{COMPONENT}");
    let wrpc = &wrpc_transport_nats::Client::new(nats_new, prefix, None).await.unwrap();
    let ready = async || {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let get = ops::get(wrpc, None, "default", "k");
            match tokio::time::timeout(Duration::from_secs(2), get).await {
                Ok(Ok(Ok(value))) => return value,
                other => assert!(Instant::now() < deadline, "not ready: {other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert_eq!(ready().await, None);

    let (b, v, w) = ("default", Bytes::from("v"), Bytes::from("w"));
    asked(|| ops::set(wrpc, None, b, "k", &v)).await.unwrap();
    assert_eq!(asked(|| ops::get(wrpc, None, b, "k")).await.unwrap().unwrap(), "v");
    assert!(asked(|| ops::exists(wrpc, None, b, "k")).await.unwrap());
    asked(|| ops::delete(wrpc, None, b, "never")).await.unwrap();
    let many = [("a", &Bytes::from("1")), ("b", &Bytes::from("2")), ("c", &Bytes::from("3"))];
    asked(|| ops::set_many(wrpc, None, b, &many)).await.unwrap();
    let got = asked(|| ops::get_many(wrpc, None, b, &["c", "zz", "a", "c"])).await.unwrap();
    let keys: Vec<_> = got.iter().map(|pair| pair.as_ref().map(|(key, _)| key.as_str())).collect();
    assert_eq!(keys, [Some("c"), None, Some("a"), Some("c")]);
    asked(|| ops::delete_many(wrpc, None, b, &["b", "zz"])).await.unwrap();
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let (keys, next) =
            asked(|| ops::list_keys(wrpc, None, b, cursor.as_deref())).await.unwrap();
        found.extend(keys);
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, ["a", "c", "k"]);
    // Asked again after a lost answer, it counts again.
    let sum = asked(|| ops::increment(wrpc, None, b, "n", 42)).await.unwrap();
    assert!(["42", "84"].contains(&&*sum), "{sum}");
    let big = Bytes::from(vec![7; 1_500_000]);
    asked(|| ops::set(wrpc, None, b, "big", &big)).await.unwrap();
    assert_eq!(asked(|| ops::get(wrpc, None, b, "big")).await.unwrap().unwrap(), big);

    // This host passes on the typed errors of two functions and traps on those of the other seven.
    let error = asked(|| ops::increment(wrpc, None, b, "k", 1)).await.unwrap_err();
    assert!(error.contains("no decimal integer"), "{error}");
    let error = asked(|| ops::get(wrpc, None, b, "")).await.unwrap_err();
    assert!(error.contains("must not be empty"), "{error}");
    trapped(|| ops::set(wrpc, None, b, "", &big)).await;
    trapped(|| ops::delete(wrpc, None, b, "")).await;
    trapped(|| ops::exists(wrpc, None, b, "")).await;
    trapped(|| ops::get_many(wrpc, None, b, &[""])).await;
    let unnamed = [("", &big)];
    trapped(|| ops::set_many(wrpc, None, b, &unnamed)).await;
    trapped(|| ops::delete_many(wrpc, None, b, &[""])).await;
    assert_eq!(asked(|| ops::get(wrpc, None, b, "k")).await.unwrap().unwrap(), "v");

    let health = format!("wasmbus.rpc.{LATTICE}.{PROVIDER}.health");
    let health = nats.request(health, "".into()).await.unwrap();
    assert_eq!(health.payload, r#"{"healthy":true}"#);

    // A provider that dies is started again by the host, with its links.
    kill_child();
    assert_eq!(ready().await, None, "memory is gone with its process");
    asked(|| ops::set(wrpc, None, b, "k", &w)).await.unwrap();

    assert!(
        control.delete_link(COMPONENT, "default", "wasi", "keyvalue").await.unwrap().succeeded()
    );
    assert!(control.stop_provider(&host_id, PROVIDER).await.unwrap().succeeded());
    control.stop_host(&host_id, None).await.unwrap();
    let _ = host.stopped().await;
    shutdown.await.unwrap();
}

/// Kills the provider: the one child of this process that is no nats-server.
fn kill_child() {
    let own = std::process::id().to_string();
    let mut killed = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(status) = std::fs::read_to_string(entry.path().join("status")) else { continue };
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
                .unwrap_or_default()
        };
        if field("PPid:") == own && !field("Name:").starts_with("nats-server") {
            let pid = entry.file_name().into_string().unwrap();
            assert!(
                std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success()
            );
            killed += 1;
        }
    }
    assert_eq!(killed, 1, "the provider is the only other child");
}
