//! A wasmCloud host as far as a provider can tell: the lattice subjects over a real nats-server, and nothing of wasmCloud.

pub(crate) mod component;
#[expect(unreachable_pub, reason = "a part of the crate `tests`, which depends on this one")]
#[path = "../../../tests/src/servers/port.rs"]
pub(crate) mod port;
pub(crate) mod told;

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::{Client, HeaderMap};
use base64::Engine as _;
use nkeys::XKey;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use port::free_port;

pub(crate) const LATTICE: &str = "fake";
pub(crate) const PROVIDER: &str = "kv";
pub(crate) const HOST: &str = "NHOST";

/// A NATS server of this test.
pub(crate) struct Server {
    child: Child,
    port: u16,
    pub(crate) url: String,
    data: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let port = free_port();
        let child = Self::spawn(port, &data);
        Self { child, port, url: format!("nats://127.0.0.1:{port}"), data }
    }

    fn spawn(port: u16, data: &tempfile::TempDir) -> Child {
        let program = std::env::var("STORE_TEST_NATS_SERVER").unwrap_or("nats-server".to_owned());
        Command::new(&program)
            .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
            .arg(data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|e| panic!("{program}: {e}; set STORE_TEST_NATS_SERVER"))
    }

    /// Kills it without a warning.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again, on the same port and with what it kept.
    pub(crate) fn restart(&mut self) {
        self.child = Self::spawn(self.port, &self.data);
    }

    pub(crate) async fn client(&self) -> Client {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match async_nats::connect(&self.url).await {
                Ok(client) => return client,
                Err(e) => assert!(Instant::now() < deadline, "nats-server: {e}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What the provider is started with.
pub(crate) struct Start {
    pub(crate) links: Vec<Value>,
    pub(crate) config: Value,
    pub(crate) secrets: Value,
    pub(crate) keys: bool,
    pub(crate) log_level: &'static str,
}

impl Default for Start {
    fn default() -> Self {
        let (config, secrets) = (json!({}), json!({}));
        Self { links: Vec::new(), config, secrets, keys: true, log_level: "debug" }
    }
}

/// A host with one running provider.
pub(crate) struct Host {
    pub(crate) server: Server,
    pub(crate) nats: Client,
    pub(crate) wrpc: wrpc_transport_nats::Client,
    pub(crate) provider: Child,
    log: Arc<Mutex<String>>,
    own: XKey,
    theirs: XKey,
    keys: bool,
}

impl Host {
    /// Starts everything and waits until the provider serves.
    pub(crate) async fn start(start: Start) -> Self {
        let server = Server::start();
        let nats = server.client().await;
        let (own, theirs) = (XKey::new(), XKey::new());
        let data = Self::data(&server, &start, &own, &theirs);
        let log = Arc::default();
        let provider = Self::spawn(&data, &log).await;
        let prefix = format!("{LATTICE}.{PROVIDER}");
        let wrpc = wrpc_transport_nats::Client::new(nats.clone(), prefix, None).await.unwrap();
        let host = Self { server, nats, wrpc, provider, log, own, theirs, keys: start.keys };
        host.ready().await;
        host
    }

    fn data(server: &Server, start: &Start, own: &XKey, theirs: &XKey) -> Value {
        let key = |key: String| if start.keys { key } else { String::new() };
        json!({
            "host_id": HOST, "lattice_rpc_prefix": LATTICE, "link_name": "default",
            "lattice_rpc_user_jwt": "", "lattice_rpc_user_seed": "", "lattice_rpc_url": server.url,
            "provider_key": PROVIDER, "env_values": {}, "instance_id": "i",
            "link_definitions": start.links, "cluster_issuers": [],
            "config": start.config, "secrets": start.secrets,
            "host_xkey_public_key": key(own.public_key()),
            "provider_xkey_private_key": key(theirs.seed().unwrap()),
            "default_rpc_timeout_ms": 2000, "structured_logging": false, "log_level": start.log_level,
        })
    }

    /// One more provider of the same name beside the first, as another host of the lattice runs it. Ends when it is dropped.
    pub(crate) async fn another(&self, start: Start) -> Child {
        const SERVES: &str = "serving provider";
        let serving = || self.log().matches(SERVES).count();
        let before = serving();
        let data = Self::data(&self.server, &start, &self.own, &self.theirs);
        let child = Self::spawn(&data, &self.log).await;
        let deadline = Instant::now() + Duration::from_secs(30);
        while serving() == before {
            assert!(Instant::now() < deadline, "it does not serve: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        child
    }

    async fn spawn(data: &Value, log: &Arc<Mutex<String>>) -> Child {
        let line = base64::engine::general_purpose::STANDARD.encode(data.to_string()) + "\r\n";
        spawn(line.as_bytes(), log).await
    }

    async fn ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.health().await.is_none() {
            assert!(Instant::now() < deadline, "the provider does not serve: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills the provider and starts it again, as hosts do, with these links.
    pub(crate) async fn restart(&mut self, start: Start) {
        self.provider.kill().await.unwrap();
        let data = Self::data(&self.server, &start, &self.own, &self.theirs);
        self.provider = Self::spawn(&data, &self.log).await;
        self.ready().await;
    }

    /// All that the provider has logged.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    async fn publish(&self, subject: String, payload: &Value) {
        self.nats.publish(subject, payload.to_string().into()).await.unwrap();
        self.nats.flush().await.unwrap();
    }

    /// Puts a link. There is no answer: what follows polls.
    pub(crate) async fn put(&self, link: &Value) {
        let to = if self.keys { self.theirs.public_key() } else { PROVIDER.to_owned() };
        self.publish(subject(&to, "linkdefs.put"), link).await;
    }

    pub(crate) async fn delete(&self, component: &str, name: &str) {
        let link = link(component, name, json!({}));
        self.publish(subject(PROVIDER, "linkdefs.del"), &link).await;
    }

    /// Deletes a link in which the provider is the source.
    pub(crate) async fn unwatch(&self, component: &str, name: &str) {
        let link = source(component, name, json!({}));
        self.publish(subject(PROVIDER, "linkdefs.del"), &link).await;
    }

    pub(crate) async fn update(&self, config: Value) {
        self.publish(subject(PROVIDER, "config.update"), &config).await;
    }

    /// Secrets as a host seals them for this provider.
    pub(crate) fn seal(&self, secrets: &Value) -> Vec<u8> {
        self.own.seal(secrets.to_string().as_bytes(), &self.theirs).unwrap()
    }

    pub(crate) async fn health(&self) -> Option<Value> {
        let asked = self.nats.request(subject(PROVIDER, "health"), "".into());
        let answer = tokio::time::timeout(Duration::from_secs(2), asked).await.ok()?.ok()?;
        Some(serde_json::from_slice(&answer.payload).unwrap())
    }

    /// Waits until health says this, or that all is well; its answer.
    pub(crate) async fn until_health(&self, wanted: Option<&str>) -> String {
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            let said = self.health().await.unwrap_or_default();
            let is_there = match wanted {
                None => said["healthy"] == true,
                Some(wanted) => said["message"].as_str().is_some_and(|why| why.contains(wanted)),
            };
            if is_there {
                return said.to_string();
            }
            assert!(Instant::now() < deadline, "{wanted:?}: {said}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The lines of the log that warn, or say worse, of this.
    pub(crate) fn warned(&self, of: &str) -> usize {
        let log = self.log();
        let warns = |line: &&str| line.contains("WARN") || line.contains("ERROR");
        log.lines().filter(warns).filter(|line| line.contains(of)).count()
    }

    /// Asks the provider to stop, as this host; its answer, if there is one.
    pub(crate) async fn stop(&self, host: &str) -> Option<String> {
        let asked = json!({"host_id": host}).to_string().into();
        let asked = self.nats.request(subject(PROVIDER, "default.shutdown"), asked);
        let answer = tokio::time::timeout(Duration::from_millis(500), asked).await.ok()?.ok()?;
        Some(String::from_utf8_lossy(&answer.payload).into_owned())
    }
}

/// Starts the provider with this on stdin, and an empty environment, as hosts do.
pub(crate) async fn spawn(stdin: &[u8], log: &Arc<Mutex<String>>) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_provider"))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // A provider that refuses early does not read to the end.
    let _ = pipe.write_all(stdin).await;
    drop(pipe);
    let out = BufReader::new(child.stdout.take().unwrap()).lines();
    let err = BufReader::new(child.stderr.take().unwrap()).lines();
    tokio::spawn(keep(out, Arc::clone(log)));
    tokio::spawn(keep(err, Arc::clone(log)));
    child
}

async fn keep<R: tokio::io::AsyncRead + Unpin>(
    mut lines: tokio::io::Lines<BufReader<R>>,
    log: Arc<Mutex<String>>,
) {
    while let Ok(Some(line)) = lines.next_line().await {
        let mut log = log.lock().unwrap();
        log.push_str(&line);
        log.push('\n');
    }
}

fn subject(to: &str, what: &str) -> String {
    format!("wasmbus.rpc.{LATTICE}.{to}.{what}")
}

/// A link of a component to the provider.
#[expect(clippy::needless_pass_by_value, reason = "callers make it in place")]
pub(crate) fn link(component: &str, name: &str, config: Value) -> Value {
    json!({
        "source_id": component, "target": PROVIDER, "name": name, "wit_namespace": "wasi",
        "wit_package": "keyvalue", "interfaces": ["store", "atomics", "batch"],
        "source_config": {}, "target_config": config, "source_secrets": null, "target_secrets": null,
    })
}

/// A link of the provider to a component that is told of changes.
pub(crate) fn source(component: &str, name: &str, config: Value) -> Value {
    let mut link = link(PROVIDER, name, json!({}));
    link["target"] = json!(component);
    link["source_config"] = config;
    link
}

/// The headers of a component's call.
pub(crate) fn by(component: &str, link: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("source-id", component);
    headers.insert("link-name", link);
    headers
}
