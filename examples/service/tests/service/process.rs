//! The service as users start it: the built program, on a free port.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

pub(crate) struct Service {
    pub(crate) at: SocketAddr,
    child: Child,
    out: BufReader<ChildStdout>,
}

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_service"));
    // Also what tells tests where their servers are: the service knows every variable of this prefix.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("STORE_") {
            command.env_remove(name);
        }
    }
    command
        .env_remove("RUST_LOG")
        .env("SERVICE_LISTEN", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(env: &[(&str, &str)]) -> Self {
        let mut child = command().envs(env.iter().copied()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let read = timeout(Duration::from_secs(20), out.read_line(&mut line)).await;
        read.expect("it says where it listens").unwrap();
        let at = line.split("http://").nth(1).and_then(|rest| rest.split(',').next());
        let at = at.unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
        Self { at, child, out }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args([name, &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; returns status, what was left of standard output, and the log.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String, String) {
        let (mut out, mut log) = (String::new(), String::new());
        let mut stderr = self.child.stderr.take().unwrap();
        let all = async {
            let _ =
                tokio::join!(self.out.read_to_string(&mut out), stderr.read_to_string(&mut log));
            self.child.wait().await.unwrap()
        };
        let status = timeout(Duration::from_secs(20), all).await.expect("it ends");
        (status, out, log)
    }
}
