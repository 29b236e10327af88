//! Real Redis or Valkey servers, each on a free loopback port with a directory of its own.
//!
//! The binary is named by `STORE_TEST_REDIS_SERVER`, else it is the `redis-server` on the path.

use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::port::free_port;

/// How long a server may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server. Dropping it kills the process and removes its data.
pub struct Server {
    child: Option<Child>,
    dir: PathBuf,
    port: u16,
    binary: PathBuf,
    options: Vec<String>,
    /// A Sentinel's settings, which it keeps in a file.
    settings: Option<String>,
}

impl Server {
    /// A server without persistence.
    ///
    /// # Panics
    /// When there is no binary, or it does not begin to serve: a test cannot go on without.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A server with these options, as on its command line: `&["--appendonly", "yes"]`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn with(options: &[&str]) -> Self {
        Self::begin(&binary(), options, None)
    }

    /// A server of another kind or version than the others.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn of(binary: &Path, options: &[&str]) -> Self {
        Self::begin(binary, options, None)
    }

    /// A Sentinel with these settings.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn sentinel(settings: &str) -> Self {
        Self::begin(&binary(), &[], Some(settings))
    }

    fn begin(binary: &Path, options: &[&str], settings: Option<&str>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("store-redis-{}-{n}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let options = options.iter().map(|&option| option.to_owned()).collect();
        // Between the choice of a port and the server's use of it another process may take it.
        for _ in 0..5 {
            let mut server = Self {
                child: None,
                dir: dir.clone(),
                port: free_port(),
                binary: binary.to_owned(),
                options: Vec::clone(&options),
                settings: settings.map(str::to_owned),
            };
            if server.spawn() {
                return server;
            }
            // Its directory is used again.
            server.dir = PathBuf::new();
        }
        panic!("no redis-server would begin to serve; its log is {}", dir.join("log").display());
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Kills it without a warning, as a crash does.
    ///
    /// # Panics
    /// When the process cannot be killed.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again, on the same port and with what it saved.
    ///
    /// # Panics
    /// When it does not begin to serve.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.spawn(), "the server does not begin again; see {}", self.dir.display());
    }

    /// Stops the process until [`resume`](Self::resume): it is there, and says nothing.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// When it does not run.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let child = self.child.as_ref().expect("the server runs");
        let done = Command::new("kill").arg(signal).arg(child.id().to_string()).status().unwrap();
        assert!(done.success());
    }

    /// The server's answer to a command, by a connection of its own, without any client library: as text, as the protocol has it.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn command(&self, parts: &[&str]) -> String {
        self.try_command(parts).unwrap()
    }

    fn try_command(&self, parts: &[&str]) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut request = format!("*{}\r\n", parts.len());
        for part in parts {
            let length = part.len();
            request.extend(["$", &length.to_string(), "\r\n", part, "\r\n"]);
        }
        if self.settings.is_none() {
            request.push_str("*1\r\n$4\r\nQUIT\r\n");
        }
        stream.write_all(request.as_bytes())?;
        if self.settings.is_some() {
            // A Sentinel knows no QUIT, and answers are short.
            stream.shutdown(Shutdown::Write)?;
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        Ok(answer.strip_suffix("+OK\r\n").unwrap_or(&answer).trim_end().to_owned())
    }

    /// A field of `INFO`.
    ///
    /// # Panics
    /// When there is none.
    pub fn info(&self, field: &str) -> String {
        let info = self.command(&["INFO", "all"]);
        let found = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        found.unwrap_or_else(|| panic!("no {field} in INFO")).trim().to_owned()
    }

    /// Watches the commands that the server is given from now on.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn monitor(&self) -> Monitor {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"*1\r\n$7\r\nMONITOR\r\n").unwrap();
        let mut monitor = Monitor(BufReader::new(stream));
        assert_eq!(monitor.line(), "+OK");
        monitor
    }

    fn spawn(&mut self) -> bool {
        let binary = self.binary.clone();
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.dir.join("log")).unwrap();
        let port = self.port.to_string();
        let mut command = Command::new(&binary);
        if let Some(settings) = &self.settings {
            // A Sentinel writes what it learns into its file: one that begins again must not lose it.
            let file = self.dir.join("sentinel.conf");
            if !file.exists() {
                fs::write(&file, format!("port {port}\nbind 127.0.0.1\n{settings}")).unwrap();
            }
            command.arg(file).arg("--sentinel");
        } else {
            command
                .args(["--port", &port, "--bind", "127.0.0.1", "--dir"])
                .arg(&self.dir)
                .args(["--save", "", "--daemonize", "no"])
                .args(&self.options);
        }
        let child =
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        let child = child.unwrap_or_else(|error| {
            panic!(
                "{} cannot be started ({error}): install redis-server, or set STORE_TEST_REDIS_SERVER to a binary",
                binary.display()
            )
        });
        let id = child.id().to_string();
        self.child = Some(child);
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let ended = self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
            if ended {
                return false;
            }
            // Whether it is ours that answers: another process may have the port.
            let answer = self.try_command(&["INFO"]).unwrap_or_default();
            let is_ours = answer.contains(&format!("process_id:{id}\r"));
            // With what it saved, if it saved anything.
            let is_ready = is_ours && !answer.contains("loading:1");
            if is_ready || answer.starts_with("-NOAUTH") {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = (child.kill(), child.wait());
        }
        if !self.dir.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.port)
    }
}

/// The commands that a server is given, as it shows them.
#[derive(Debug)]
pub struct Monitor(BufReader<TcpStream>);

impl Monitor {
    /// The next command that a client sent, not one of a script: its parts.
    ///
    /// # Panics
    /// When there is none for a while.
    pub fn next_command(&mut self) -> Vec<String> {
        loop {
            let line = self.line();
            let Some((source, command)) = line.split_once("] \"") else {
                continue;
            };
            if source.ends_with("lua") {
                continue;
            }
            let command = command.strip_suffix('"').unwrap_or(command);
            return command.split("\" \"").map(str::to_owned).collect();
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

/// The server that tests run: what `STORE_TEST_REDIS_SERVER` names, else the one on the path.
pub fn binary() -> PathBuf {
    std::env::var_os("STORE_TEST_REDIS_SERVER").map_or_else(|| "redis-server".into(), PathBuf::from)
}

/// The servers of all versions that are there: the one that tests run, the one that `STORE_TEST_REDIS_SERVER_6_2` names, and those of
/// `STORE_TEST_REDIS_SERVERS`, with a `:` in between.
pub fn binaries() -> Vec<PathBuf> {
    let mut all = vec![binary()];
    all.extend(std::env::var_os("STORE_TEST_REDIS_SERVER_6_2").map(PathBuf::from));
    if let Some(more) = std::env::var_os("STORE_TEST_REDIS_SERVERS") {
        all.extend(std::env::split_paths(&more));
    }
    all
}
