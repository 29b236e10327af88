//! A primary, its replica, and three Sentinels that watch over them.

use std::thread;
use std::time::{Duration, Instant};

use super::redis::Server;

/// What the Sentinels call the primary.
pub const NAME: &str = "orders";
/// How long the Sentinels may take. They ask a server that they take for a replica every ten seconds what it is, tell it to follow
/// when it was never away for eight seconds before, and do nothing for thirty after the machine has held them up.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// All of them. Ends with it.
#[derive(Debug)]
pub struct Watched {
    /// First the primary of the beginning, then its replica.
    pub servers: Vec<Server>,
    sentinels: Vec<Server>,
}

impl Watched {
    /// With a replica that is in step, and Sentinels that know each other and it.
    ///
    /// # Panics
    /// When they do not come to know each other.
    pub fn start() -> Self {
        let primary = Server::with(&["--repl-diskless-sync-delay", "0"]);
        let port = primary.port().to_string();
        let replica = Server::with(&["--replicaof", "127.0.0.1", &port]);
        let sentinels = (0..3).map(|_| {
            Server::sentinel(&format!(
                "sentinel monitor {NAME} 127.0.0.1 {port} 2\n\
                 sentinel down-after-milliseconds {NAME} 500\n\
                 sentinel failover-timeout {NAME} 3000\n"
            ))
        });
        let watched = Self { sentinels: sentinels.collect(), servers: vec![primary, replica] };
        watched.eventually("the replica is in step", || {
            watched.servers[1].info("master_link_status") == "up"
        });
        watched.eventually("the Sentinels know each other and the replica", || {
            watched.sentinels.iter().all(|sentinel| {
                let known = sentinel.command(&["SENTINEL", "MASTER", NAME]);
                let field = |name: &str| {
                    let mut lines = known.lines().filter(|line| !line.starts_with('$'));
                    lines.find(|line| *line == name)?;
                    lines.next().map(str::to_owned)
                };
                field("num-other-sentinels").as_deref() == Some("2")
                    && field("num-slaves").as_deref() == Some("1")
            })
        });
        watched
    }

    /// The addresses of the Sentinels.
    pub fn sentinels(&self) -> Vec<String> {
        self.sentinels.iter().map(Server::address).collect()
    }

    /// One of the Sentinels.
    pub fn at(&self, at: usize) -> &Server {
        &self.sentinels[at]
    }

    /// One of the Sentinels, to end it and to begin it again.
    pub fn sentinel(&mut self, at: usize) -> &mut Server {
        &mut self.sentinels[at]
    }

    /// The place of the server that the Sentinels name.
    ///
    /// # Panics
    /// When they name another one.
    pub fn primary(&self) -> usize {
        let named = self.sentinels[2].command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]);
        let port = named.lines().last().unwrap_or_default();
        self.servers.iter().position(|server| server.port().to_string() == port).unwrap()
    }

    /// Waits.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn eventually(&self, what: &str, holds: impl Fn() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < until, "{what}: still not so\n{}", self.views());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// What each Sentinel makes of the servers.
    fn views(&self) -> String {
        let view = |sentinel: &Server| {
            let said = ["MASTER", "REPLICAS"].map(|of| sentinel.command(&["SENTINEL", of, NAME]));
            let lines = said.iter().flat_map(|said| said.lines());
            let words: Vec<_> = lines.filter(|line| !line.starts_with(['$', '*'])).collect();
            words.join(" ")
        };
        self.sentinels.iter().map(view).collect::<Vec<_>>().join("\n")
    }
}
