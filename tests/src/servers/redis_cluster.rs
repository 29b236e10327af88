//! A Redis Cluster on loopback: three primaries with a replica each.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::redis::{Server, binary};

/// How many servers have slots.
const PRIMARIES: usize = 3;
/// How many slots there are.
const SLOTS: usize = 16_384;
/// How long the servers may take to agree.
const PATIENCE: Duration = Duration::from_mins(2);

/// A cluster. Ends with it.
#[derive(Debug)]
pub struct Cluster {
    /// The primaries, in the order of their slots, then the replica of each.
    servers: Vec<Server>,
}

impl Cluster {
    /// A cluster whose slots are all served, and whose replicas are in step.
    ///
    /// # Panics
    /// When the servers do not become one.
    pub fn start() -> Self {
        Self::of(&binary())
    }

    /// The same, of servers of another kind or version than the others.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn of(binary: &Path) -> Self {
        let options = [
            "--cluster-enabled",
            "yes",
            "--cluster-config-file",
            "nodes.conf",
            "--cluster-node-timeout",
            "1000",
            "--cluster-replica-validity-factor",
            "0",
            "--repl-diskless-sync-delay",
            "0",
        ];
        let servers: Vec<Server> =
            (0..2 * PRIMARIES).map(|_| Server::of(binary, &options)).collect();
        let cluster = Self { servers };
        for (i, server) in cluster.primaries().iter().enumerate() {
            let (from, to) = (i * SLOTS / PRIMARIES, (i + 1) * SLOTS / PRIMARIES);
            let slots: Vec<String> = (from..to).map(|slot| slot.to_string()).collect();
            let mut command = vec!["CLUSTER", "ADDSLOTS"];
            command.extend(slots.iter().map(String::as_str));
            done(&server.command(&command));
            done(&server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(i + 1).to_string()]));
        }
        let first = &cluster.servers[0];
        for other in &cluster.servers[1..] {
            done(&other.command(&["CLUSTER", "MEET", "127.0.0.1", &first.port().to_string()]));
        }
        cluster.eventually("all servers know each other", |server| {
            server.command(&["CLUSTER", "INFO"]).contains("cluster_known_nodes:6")
        });
        for (primary, replica) in cluster.primaries().iter().zip(&cluster.servers[PRIMARIES..]) {
            let id = text(&primary.command(&["CLUSTER", "MYID"]));
            done(&replica.command(&["CLUSTER", "REPLICATE", &id]));
        }
        cluster.settle();
        cluster
    }

    /// The servers that begin with the slots.
    pub fn primaries(&self) -> &[Server] {
        &self.servers[..PRIMARIES]
    }

    /// Some addresses of the cluster.
    pub fn addresses(&self) -> Vec<String> {
        self.servers.iter().map(Server::address).collect()
    }

    /// The place among the servers of the one that has a key, by the word of the server at `ask`.
    ///
    /// # Panics
    /// When it does not say.
    pub fn owner(&self, ask: usize, key: &str) -> usize {
        let answer = self.servers[ask].command(&["GET", key]);
        let Some(moved) = answer.strip_prefix("-MOVED ") else {
            return ask;
        };
        let port = moved.rsplit(':').next().unwrap();
        self.servers.iter().position(|server| server.port().to_string() == port).unwrap()
    }

    /// The server at a place.
    pub fn server(&mut self, at: usize) -> &mut Server {
        &mut self.servers[at]
    }

    /// Moves a key's slot from one server to another, a few keys at a time, as `redis-cli --cluster reshard` does it. `between` is
    /// called when it is half done.
    ///
    /// # Panics
    /// When a server refuses.
    pub fn migrate(&self, key: &str, from: usize, to: usize, mut between: impl FnMut()) {
        let (source, target) = (&self.servers[from], &self.servers[to]);
        let slot = text(&source.command(&["CLUSTER", "KEYSLOT", key]));
        let id = |server: &Server| text(&server.command(&["CLUSTER", "MYID"]));
        let (source_id, target_id) = (id(source), id(target));
        done(&target.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id]));
        done(&source.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id]));
        let port = target.port().to_string();
        let mut is_half = false;
        loop {
            let answer = source.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "10"]);
            let keys: Vec<&str> =
                answer.lines().filter(|line| !line.starts_with(['*', '$'])).collect();
            if keys.is_empty() {
                break;
            }
            let mut command = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            command.extend(keys);
            let moved = source.command(&command);
            assert!(moved == "+OK" || moved == "+NOKEY", "{moved}");
            if !std::mem::replace(&mut is_half, true) {
                between();
            }
        }
        for server in [target, source] {
            done(&server.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]));
        }
        for server in self.primaries() {
            let _ = server.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]);
        }
    }

    /// Waits until every server says that all is well, and the replicas have what the primaries have.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn settle(&self) {
        self.eventually("the cluster serves", |server| {
            server.command(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
        });
        self.eventually("replicas are in step", |server| {
            server.info("role") == "master" || server.info("master_link_status") == "up"
        });
        self.eventually("every primary has a replica", |server| {
            server.info("role") == "slave" || server.info("connected_slaves") != "0"
        });
    }

    fn eventually(&self, what: &str, holds: impl Fn(&Server) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !self.servers.iter().all(&holds) {
            assert!(Instant::now() < until, "{what}: still not so");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn done(answer: &str) {
    assert_eq!(answer, "+OK");
}

/// The text of an answer that is one string or number.
fn text(answer: &str) -> String {
    let line = answer.lines().last().unwrap_or_default();
    line.trim_start_matches([':', '+']).to_owned()
}
