//! The server that is measured: started for the suite on a free loopback port, and ended with it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Failure, Result};

/// How long it may take to begin, and to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A `redis-server` without persistence: the one that `STORE_TEST_REDIS_SERVER` names, else the one on the path.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> Result<Self> {
        let binary = std::env::var_os("STORE_TEST_REDIS_SERVER")
            .map_or_else(|| PathBuf::from("redis-server"), PathBuf::from);
        // Between the choice of a port and the server's use of it another process may take it.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let child = Command::new(&binary)
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|error| format!("{} cannot be started: {error}", binary.display()))?;
            let mut server = Self { child, port };
            if server.is_up()? {
                return Ok(server);
            }
        }
        Err("no redis-server would begin to serve".into())
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn is_up(&mut self) -> Result<bool> {
        let until = Instant::now() + PATIENCE;
        // Whether it is ours that answers: another process may have the port.
        let ours = format!("process_id:{}\r", self.child.id());
        while Instant::now() < until && self.child.try_wait()?.is_none() {
            if self.command("INFO server").is_ok_and(|answer| answer.contains(&ours)) {
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(false)
    }

    /// The answer to a command, by a connection of its own.
    pub(crate) fn command(&self, line: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{line}\r\nQUIT\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// How many microseconds the server itself took for a call of a command, on average since the last reset of its statistics.
    pub(crate) fn micros_per_call(&self, command: &str) -> Result<f64> {
        let told = self.command("INFO commandstats")?;
        let name = format!("cmdstat_{command}:");
        let missing = || -> Failure { format!("the server has no statistics of {command}").into() };
        let line = told.lines().find_map(|line| line.strip_prefix(&name)).ok_or_else(missing)?;
        let field = line.split(',').find_map(|part| part.strip_prefix("usec_per_call="));
        Ok(field.ok_or_else(missing)?.trim().parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = (self.child.kill(), self.child.wait());
    }
}
