//! Ports for servers that are told theirs before they begin, and that come back on it after a kill.

use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that systems give to connections (from 32768 on Linux, from 49152 elsewhere): a port from there may be the near end of
/// somebody's connection by the time that the server wants it, even of one that looks for this very server.
const FIRST: u16 = 12_000;
const COUNT: u16 = 10_000;
/// The members of a Redis Cluster talk to each other so far above their port.
const BUS: u16 = 10_000;

/// A port that nobody has now. This process hands out each once; others begin elsewhere.
///
/// # Panics
/// When none is free.
pub fn free_port() -> u16 {
    static START: OnceLock<u16> = OnceLock::new();
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = *START.get_or_init(|| {
        use std::hash::{BuildHasher as _, RandomState};
        (RandomState::new().hash_one(std::process::id()) % u64::from(COUNT)) as u16
    });
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    for _ in 0..COUNT {
        let next = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + next) % COUNT;
        if is_free(port) && is_free(port + BUS) {
            return port;
        }
    }
    panic!("none of {COUNT} ports is free");
}
