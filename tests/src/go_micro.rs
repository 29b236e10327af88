//! Go-Micro's own stores as child processes: the program in `tests/interop/go-micro`, built when Go is on this machine.

#![expect(clippy::unwrap_used, reason = "a test cannot go on without its program")]

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::say;

/// How long Go-Micro may take for an answer; its own longest waits are 10 s.
const PATIENCE: Duration = Duration::from_mins(1);

/// Which of Go-Micro's stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// `nats-js-kv`, which comes with Go-Micro 5 and 6.
    Nats,
    /// The plugin `redis`.
    Redis,
}

impl Driver {
    fn program(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Redis => "redis",
        }
    }
}

/// A process of the program, which holds any number of open stores. Dropping it ends it.
pub struct GoMicro {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<String>,
}

/// What Go-Micro returned.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// The error's text; empty when all was well.
    pub error: String,
    /// Whether the error is Go-Micro's `ErrNotFound`, or its like for a bucket.
    pub not_found: bool,
    /// What `read` returned.
    pub records: Vec<Record>,
    /// What `list` returned.
    pub keys: Vec<String>,
    /// Of `read` and `list` with `repeat`, in place of what they returned: how many came the last time.
    pub found: usize,
    /// How long all of them took in the process, in nanoseconds.
    pub nanos: u64,
}

/// A record of Go-Micro.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    /// The key, without its table.
    pub key: String,
    /// The value, as the program writes it.
    value: Option<String>,
    /// The metadata; `None` is Go's nil map.
    pub metadata: Option<Map<String, Json>>,
    /// What is left of its life, in nanoseconds; 0 and less is for ever.
    pub expiry: i64,
}

impl Record {
    /// The value's bytes.
    ///
    /// # Panics
    /// When it is no base64.
    pub fn value(&self) -> Vec<u8> {
        STANDARD.decode(self.value.as_deref().unwrap_or_default()).expect("the program's base64")
    }
}

/// A value as requests have it.
pub fn base64(value: impl AsRef<[u8]>) -> String {
    STANDARD.encode(value)
}

impl GoMicro {
    /// Starts the program, which is built first, into this directory. `None` when Go is not here, which is said in a line that the
    /// test command shows.
    ///
    /// # Panics
    /// When Go is here and the program cannot be built or started.
    pub fn start(driver: Driver, build_in: &Path) -> Option<Self> {
        match Self::build(driver, build_in) {
            Ok(started) => Some(started),
            Err(why) => {
                let test = thread::current().name().unwrap_or("a test").to_owned();
                say(&format!("SKIPPED {test} with the real Go-Micro: {why}"));
                None
            }
        }
    }

    /// As [`start`](Self::start), for those who say themselves that it is not here.
    ///
    /// # Errors
    /// Why the program cannot be had: no Go toolchain, or no way to the modules.
    ///
    /// # Panics
    /// When Go is here and the program cannot be built or started.
    pub fn build(driver: Driver, build_in: &Path) -> Result<Self, String> {
        static BUILT: Mutex<Option<Result<PathBuf, String>>> = Mutex::new(None);
        let mut built = BUILT.lock().unwrap();
        let dir = built.get_or_insert_with(|| build(build_in)).clone();
        drop(built);
        Ok(Self::run(&dir?.join(driver.program())))
    }

    fn run(program: &Path) -> Self {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (requests, replies) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (tell, answers) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(replies).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, requests, answers }
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Panics
    /// When the program ends or does not answer.
    pub fn ask(&mut self, request: &Json) -> Answer {
        writeln!(self.requests, "{request}").unwrap();
        let answer = self.answers.recv_timeout(PATIENCE);
        let answer = answer.unwrap_or_else(|e| panic!("Go-Micro has no answer to {request}: {e}"));
        serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: {answer}"))
    }

    /// Sends a request that must succeed.
    ///
    /// # Panics
    /// As [`ask`](Self::ask), and when Go-Micro returns an error.
    pub fn must(&mut self, request: &Json) -> Answer {
        let answer = self.ask(request);
        assert!(answer.error.is_empty(), "Go-Micro: {} (for {request})", answer.error);
        answer
    }
}

impl Drop for GoMicro {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

impl fmt::Debug for GoMicro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Go-Micro in process {}", self.child.id())
    }
}

/// Builds the programs; `Err` says why they cannot be had here.
fn build(into: &Path) -> Result<PathBuf, String> {
    let Some(go) = toolchain() else {
        return Err("there is no Go toolchain on this machine".to_owned());
    };
    let into = into.join("go-micro");
    let run = |arguments: &[&str]| {
        Command::new(go)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/go-micro"))
            .env("GOFLAGS", "-mod=readonly -trimpath -buildvcs=false")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let since = Instant::now();
    say("building the program that drives the real Go-Micro: a minute or two the first time");
    let fetched = run(&["mod", "download"]);
    if !fetched.status.success() {
        let why = String::from_utf8_lossy(&fetched.stderr);
        return Err(format!("its modules cannot be fetched: {}", why.lines().last().unwrap_or("")));
    }
    let made = run(&["build", "-o", &format!("{}/", into.display()), "./nats", "./redis"]);
    assert!(made.status.success(), "go build: {}", String::from_utf8_lossy(&made.stderr));
    say(&format!("built with Go-Micro in {:.0} s", since.elapsed().as_secs_f32()));
    Ok(into)
}

/// Go: on the path, or where its installer puts it.
fn toolchain() -> Option<&'static Path> {
    static GO: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let named = std::env::var_os("STORE_TEST_GO").map(PathBuf::from);
        let usual = ["go", "/usr/local/go/bin/go"].map(PathBuf::from);
        named.into_iter().chain(usual).find(|go| {
            let said = Command::new(go).arg("version").stderr(Stdio::null()).output();
            said.is_ok_and(|said| said.status.success())
        })
    };
    GO.get_or_init(find).as_deref()
}
