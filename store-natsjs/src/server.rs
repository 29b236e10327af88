//! What the server can do, by its version.

use async_nats::ServerInfo;
use store_core::{Error, Result};

/// The server that this store is connected to.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    version: (u64, u64, u64),
    pub(crate) max_payload: usize,
}

impl Server {
    pub(crate) fn new(info: &ServerInfo) -> Result<Self> {
        let mut numbers =
            info.version.split(['.', '-', '+']).map(|part| part.parse::<u64>().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        let version = (next(), next(), next());
        if version < (2, 10, 0) {
            return Err(Error::unsupported(format!(
                "the server is {}; this driver needs nats-server 2.10 or later",
                info.version
            )));
        }
        Ok(Self { version, max_payload: info.max_payload })
    }

    /// Batch direct gets and `multi_last`.
    pub(crate) fn has_multi(&self) -> bool {
        self.version >= (2, 11, 0)
    }

    /// A time to live per message.
    pub(crate) fn has_ttl(&self) -> bool {
        self.version >= (2, 11, 0)
    }

    /// Atomic batches.
    pub(crate) fn has_batches(&self) -> bool {
        self.version >= (2, 12, 0)
    }

    /// Batches that are acknowledged together.
    pub(crate) fn has_fast_ingest(&self) -> bool {
        self.version >= (2, 14, 0)
    }

    pub(crate) fn version(&self) -> String {
        let (major, minor, patch) = self.version;
        format!("{major}.{minor}.{patch}")
    }
}
