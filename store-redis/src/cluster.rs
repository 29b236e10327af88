//! Which server of a cluster has a key.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::{Mutex, RwLock};
use redis::{RedisError, Value};
use store_core::{Error, ErrorKind, Result};

use crate::fault::{Effect, refusals, unexpected};
use crate::node::{Node, Shared};
use crate::reply;
use crate::sentinel::address;

/// How many slots the keys of a cluster are spread over.
const SLOTS: u16 = 16_384;

/// The servers of a cluster.
pub(crate) struct Cluster {
    shared: Arc<Shared>,
    nodes: Mutex<HashMap<String, Arc<Node>>>,
    /// Who has each slot, as far as is known.
    owners: RwLock<Vec<Option<Arc<Node>>>>,
    /// Something was found to be otherwise: the servers are asked again before the next call.
    stale: AtomicBool,
    /// When the servers were last asked, and why that failed if it did. Held by who asks; others wait and share what comes of it.
    asked: tokio::sync::Mutex<Option<(Instant, Result<()>)>>,
}

/// Where a server sends a call that it did not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// To the slot's owner.
    Moved(u16, String),
    /// To the server that is taking over the slot, for this once.
    Ask(String),
    /// To itself, a little later: keys of the slot are on their way.
    Again,
}

impl Cluster {
    pub(crate) fn new(shared: &Arc<Shared>) -> Result<Self> {
        let mut nodes = HashMap::new();
        for server in shared.config.servers() {
            nodes.insert(server.to_owned(), Arc::new(Node::at(shared, server)?));
        }
        Ok(Self {
            shared: Arc::clone(shared),
            nodes: Mutex::new(nodes),
            owners: RwLock::new(vec![None; SLOTS.into()]),
            stale: AtomicBool::new(true),
            asked: tokio::sync::Mutex::new(None),
        })
    }

    /// The owner of a key's slot.
    pub(crate) async fn owner(&self, key: &[u8]) -> Result<Arc<Node>> {
        let slot = slot(key);
        if !self.stale.load(Ordering::Acquire)
            && let Some(node) = self.held(slot)
        {
            return Ok(node);
        }
        self.refresh().await?;
        self.held(slot).ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, "no server of the cluster has this table's slot now")
        })
    }

    fn held(&self, slot: u16) -> Option<Arc<Node>> {
        self.owners.read().get(usize::from(slot))?.clone()
    }

    /// Something is not as it was.
    pub(crate) fn doubt(&self) {
        self.stale.store(true, Ordering::Release);
    }

    /// The server at an address.
    pub(crate) fn node(&self, server: &str) -> Result<Arc<Node>> {
        let mut nodes = self.nodes.lock();
        if let Some(node) = nodes.get(server) {
            return Ok(Arc::clone(node));
        }
        let node = Arc::new(Node::at(&self.shared, server)?);
        nodes.insert(server.to_owned(), Arc::clone(&node));
        Ok(node)
    }

    /// A slot has another owner than was known.
    pub(crate) fn moved(&self, slot: u16, server: &str) -> Result<()> {
        let node = self.node(server)?;
        if let Some(owner) = self.owners.write().get_mut(usize::from(slot)) {
            *owner = Some(node);
        }
        Ok(())
    }

    /// Asks the servers who has which slot.
    async fn refresh(&self) -> Result<()> {
        let begun = Instant::now();
        let mut asked = self.asked.lock().await;
        if let Some((when, done)) = &*asked {
            let pause = self.shared.config.reconnect_pause;
            // What failed a moment before would fail again.
            if *when >= begun || (done.is_err() && when.elapsed() < pause) {
                return done.clone();
            }
        }
        let done = self.ask_all().await;
        *asked = Some((Instant::now(), done.clone()));
        done
    }

    /// Asks the servers, those first to which there is a connection. One that takes its time is not waited for: so long after it that
    /// all of them have their turn while connecting to one may take, the next one is asked too. The first answer counts.
    async fn ask_all(&self) -> Result<()> {
        let mut nodes = self.nodes();
        nodes.sort_by_key(|node| node.live().is_none());
        let config = &self.shared.config;
        let turns = u32::try_from(nodes.len().max(1)).unwrap_or(u32::MAX);
        let patience = config.connect_timeout / turns;
        let mut nodes = nodes.into_iter();
        let mut asked = FuturesUnordered::new();
        let mut last = None;
        loop {
            let next = nodes.next();
            let is_last = next.is_none();
            asked.extend(next.map(|node| self.ask(node)));
            let answer = if is_last {
                asked.next().await
            } else {
                match tokio::time::timeout(patience, asked.next()).await {
                    Ok(answer) => answer,
                    Err(_) => continue,
                }
            };
            match answer {
                Some(Ok(owners)) => {
                    self.learn(owners);
                    return Ok(());
                }
                Some(Err(error)) => last = Some(error),
                None if is_last => return Err(last.unwrap_or_else(unexpected)),
                None => {}
            }
        }
    }

    fn learn(&self, owners: Vec<Option<Arc<Node>>>) {
        // Servers that have left are forgotten.
        self.nodes.lock().retain(|server, node| {
            self.shared.config.servers().any(|seed| seed == server)
                || owners.iter().flatten().any(|owner| Arc::ptr_eq(owner, node))
        });
        *self.owners.write() = owners;
        self.stale.store(false, Ordering::Release);
    }

    async fn ask(&self, node: Arc<Node>) -> Result<Vec<Option<Arc<Node>>>> {
        let link = node.link().await?;
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let answer = link.command(&command, Effect::Read).await.map_err(|error| {
            if error.kind() != ErrorKind::Internal {
                return error;
            }
            Error::config("the server is not part of a cluster: its URL begins with redis://")
                .with_source(error)
        })?;
        let mut owners = vec![None; SLOTS.into()];
        for range in reply::array(answer)? {
            let range = reply::array(range)?;
            let [from, to, owner, ..] = &range[..] else {
                return Err(unexpected());
            };
            let place = |value| usize::try_from(reply::int(value)?).map_err(|_| unexpected());
            let (from, to) = (place(from)?, place(to)?);
            let owner = self.node(&announced(owner)?)?;
            let range = owners.get_mut(from..=to).ok_or_else(unexpected)?;
            range.fill(Some(owner));
        }
        if owners.iter().all(Option::is_none) {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the cluster has no slots assigned yet",
            ));
        }
        Ok(owners)
    }

    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        self.nodes.lock().values().cloned().collect()
    }
}

/// The address of a server in the answer to CLUSTER SLOTS.
fn announced(owner: &Value) -> Result<String> {
    let Value::Array(parts) = owner else {
        return Err(unexpected());
    };
    let [host, port, ..] = &parts[..] else {
        return Err(unexpected());
    };
    let host = std::str::from_utf8(reply::bytes(host)?).map_err(|_| unexpected())?;
    Ok(address(host, reply::int(port)?))
}

/// Where a server sends a call, if that is why it did not do it.
pub(crate) fn turn(error: &RedisError) -> Option<Turn> {
    refusals(error).into_iter().find_map(|(code, detail)| {
        let mut words = detail.split_ascii_whitespace();
        match &*code {
            "MOVED" => {
                let slot = words.next()?.parse().ok()?;
                Some(Turn::Moved(slot, words.next()?.to_owned()))
            }
            "ASK" => Some(Turn::Ask(words.nth(1)?.to_owned())),
            "TRYAGAIN" => Some(Turn::Again),
            // What a script is told of a key that is on its way.
            _ if detail.contains("non local key") => Some(Turn::Again),
            _ => None,
        }
    })
}

/// The slot of a key: of the part in its first braces, if there is one.
fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|&b| b == b'{').and_then(|begin| {
        let rest = &key[begin + 1..];
        let end = rest.iter().position(|&b| b == b'}')?;
        (end > 0).then(|| &rest[..end])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC16 of the XMODEM kind, as the cluster's specification has it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |mut crc, &byte| {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
        crc
    })
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cluster({:?})", self.nodes.lock().keys())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_the_servers_own() {
        // As CLUSTER KEYSLOT gives them.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, want) in [
            (&b"foo"[..], 12_182),
            (b"{user1000}.following", 3_443),
            (b"{user1000}.followers", 3_443),
            (b"foo{}{bar}", 8_363),
            (b"foo{{bar}}zap", 4_015),
            (b"", 0),
        ] {
            assert_eq!(slot(key), want, "{}", String::from_utf8_lossy(key));
        }
    }
}
