//! A lattice of its own for each test: a nats-server, a real host, the provider from its archive, components and links.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use nkeys::KeyPair;
use tempfile::TempDir;
use tokio::process::Child;
use wasmcloud_control_interface::{Client, ClientBuilder, Link};
use wasmcloud_host::wasmbus::{Host, HostConfig};

pub(crate) mod component;
#[path = "../../../../tests/src/servers/port.rs"]
mod port;
pub(crate) mod secrets;

use component::Component;
use port::free_port;

pub(crate) const LATTICE: &str = "real";
pub(crate) const PROVIDER: &str = "kv-provider";

fn path(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).unwrap_or_else(|| panic!("set {variable}"));
    std::fs::canonicalize(path).unwrap()
}

/// A server that can be killed and started again, with what it kept.
pub(crate) struct Server {
    command: Vec<String>,
    child: Child,
    port: u16,
    _data: TempDir,
}

impl Server {
    pub(crate) async fn nats() -> Self {
        let (data, port) = (tempfile::tempdir().unwrap(), free_port());
        let program = std::env::var("STORE_TEST_NATS_SERVER").unwrap_or("nats-server".to_owned());
        let (js, number) = (data.path().display().to_string(), port.to_string());
        let command = [&program, "-a", "127.0.0.1", "-p", &number, "-js", "-sd", &js];
        Self::start(&command, port, data).await
    }

    pub(crate) async fn redis(password: &str) -> Self {
        let (data, port) = (tempfile::tempdir().unwrap(), free_port());
        let program = std::env::var("STORE_TEST_REDIS_SERVER").unwrap_or("redis-server".to_owned());
        let (kept, number) = (data.path().display().to_string(), port.to_string());
        let command = [&program, "--bind", "127.0.0.1", "--port", &number, "--dir", &kept];
        let more = ["--save", "", "--requirepass", password];
        Self::start(&[&command[..], &more].concat(), port, data).await
    }

    async fn start(command: &[&str], port: u16, data: TempDir) -> Self {
        let command: Vec<_> = command.iter().map(|word| (*word).to_owned()).collect();
        let child = spawn(&command);
        let server = Self { command, child, port, _data: data };
        server.answers().await;
        server
    }

    async fn answers(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            assert!(Instant::now() < deadline, "{:?} does not answer", self.command[0]);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn nats_url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// Kills it without a warning.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again, on the same port and with what it kept.
    pub(crate) async fn restart(&mut self) {
        self.child = spawn(&self.command);
        self.answers().await;
    }
}

fn spawn(command: &[String]) -> Child {
    tokio::process::Command::new(&command[0])
        .args(&command[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", command[0]))
}

/// A host in a lattice, with nothing in it yet.
pub(crate) struct Lattice {
    pub(crate) nats: async_nats::Client,
    url: String,
    control: Client,
    host: Arc<Host>,
    shutdown: std::pin::Pin<Box<dyn Future<Output = Result<()>>>>,
    host_id: String,
    _server: Server,
    _unpacked: Unpacked,
}

/// Where a host unpacks archives, which it leaves behind.
struct Unpacked(PathBuf);

impl Drop for Unpacked {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Lattice {
    pub(crate) async fn start() -> Self {
        let server = Server::nats().await;
        let url = server.nats_url();
        let nats = async_nats::connect(&url).await.unwrap();
        let key = Arc::new(KeyPair::new_server());
        let (host, shutdown) = Host::new(HostConfig {
            ctl_nats_url: url.parse().unwrap(),
            rpc_nats_url: url.parse().unwrap(),
            lattice: LATTICE.into(),
            host_key: Some(Arc::clone(&key)),
            allow_file_load: true,
            provider_shutdown_delay: Some(Duration::from_millis(500)),
            // A call under way to a provider that dies is never answered: this ends it, after what a backend may take.
            max_execution_time: Duration::from_secs(8),
            secrets_topic_prefix: Some(secrets::PREFIX.to_owned()),
            ..HostConfig::default()
        })
        .await
        .unwrap();
        // While a component compiles, this thread's host answers nothing else.
        let control = ClientBuilder::new(nats.clone())
            .lattice(LATTICE)
            .timeout(Duration::from_secs(60))
            .build();
        let shutdown = Box::pin(shutdown);
        let host_id = key.public_key();
        let unpacked = Unpacked(std::env::temp_dir().join("wasmcloudcache").join(&host_id));
        Self { nats, url, control, host, shutdown, host_id, _server: server, _unpacked: unpacked }
    }

    /// Names a configuration, or changes it.
    pub(crate) async fn config(&self, name: &str, settings: &[(&str, &str)]) {
        let settings: HashMap<_, _> = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert!(self.control.put_config(name, settings).await.unwrap().succeeded());
    }

    /// Starts the provider from its archive, with these configurations.
    pub(crate) async fn provider(&self, config: &[&str]) {
        let config = config.iter().map(|name| (*name).to_owned()).collect();
        let reference = format!("file://{}", path("STORE_TEST_ARCHIVE").display());
        let started =
            self.control.start_provider(&self.host_id, &reference, PROVIDER, None, config).await;
        assert!(started.unwrap().succeeded());
    }

    /// Starts a component from this guest.
    pub(crate) async fn component(&self, id: &str, guest: &str) -> Component {
        let guest = path("STORE_TEST_GUESTS").join(format!("guest_{guest}.wasm"));
        let reference = format!("file://{}", guest.display());
        let started = self
            .control
            .scale_component(&self.host_id, &reference, id, 10, None, vec![], false)
            .await;
        assert!(started.unwrap().succeeded());
        Component::new(&self.url, id).await
    }

    /// Links a component to the provider by a name.
    pub(crate) async fn link(&self, component: &str, name: &str, config: &[&str]) {
        self.put(component, PROVIDER, name, &["store", "atomics", "batch"], &[], config).await;
    }

    /// Links the provider to a component that is to be told of changes.
    pub(crate) async fn watch(&self, component: &str, config: &[&str]) {
        self.put(PROVIDER, component, "default", &["watcher"], config, &[]).await;
    }

    async fn put(
        &self,
        source: &str,
        target: &str,
        name: &str,
        interfaces: &[&str],
        source_config: &[&str],
        target_config: &[&str],
    ) {
        let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let link = Link::builder()
            .source_id(source)
            .target(target)
            .name(name)
            .wit_namespace("wasi")
            .wit_package("keyvalue")
            .interfaces(all(interfaces))
            .source_config(all(source_config))
            .target_config(all(target_config))
            .build()
            .unwrap();
        let said = self.control.put_link(link).await.unwrap();
        assert!(said.succeeded(), "{}", said.message());
    }

    /// Deletes the link from this source.
    pub(crate) async fn unlink(&self, source: &str, name: &str) {
        let said = self.control.delete_link(source, name, "wasi", "keyvalue").await.unwrap();
        assert!(said.succeeded(), "{}", said.message());
    }

    /// What the provider says of its health.
    pub(crate) async fn health(&self) -> String {
        let asked = format!("wasmbus.rpc.{LATTICE}.{PROVIDER}.health");
        let said = self.nats.request(asked, "".into()).await.unwrap();
        String::from_utf8_lossy(&said.payload).into_owned()
    }

    /// Kills the provider without a warning: this host's one child from an archive.
    pub(crate) fn kill_provider(&self) {
        let providers = self.providers();
        let [pid] = &providers[..] else { panic!("{} providers", providers.len()) };
        assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
    }

    /// The processes that run what this host unpacked.
    fn providers(&self) -> Vec<String> {
        let unpacked = |entry: &std::fs::DirEntry| {
            let program = std::fs::read_link(entry.path().join("exe")).ok()?;
            program.to_str()?.contains(&format!("/{}/", self.host_id)).then_some(())
        };
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter(|entry| unpacked(entry).is_some())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect()
    }

    /// Stops the provider, then the host, as an operator would.
    pub(crate) async fn stop(self) {
        assert!(self.control.stop_provider(&self.host_id, PROVIDER).await.unwrap().succeeded());
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.providers().is_empty() {
            assert!(Instant::now() < deadline, "the provider does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.control.stop_host(&self.host_id, None).await.unwrap();
        let _ = self.host.stopped().await;
        self.shutdown.await.unwrap();
    }
}
