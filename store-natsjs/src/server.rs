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

#[cfg(test)]
pub(crate) fn of_version(version: &str) -> Result<Server> {
    let mut info = ServerInfo::default();
    (info.version, info.max_payload) = (version.into(), 1 << 20);
    Server::new(&info)
}

#[cfg(test)]
mod tests {
    use store_core::ErrorKind;

    use super::*;

    #[test]
    fn a_version_says_what_there_is() {
        let can = |version| {
            let server = of_version(version).unwrap();
            [server.has_multi(), server.has_ttl(), server.has_batches(), server.has_fast_ingest()]
        };
        assert_eq!(can("2.10.29"), [false; 4]);
        assert_eq!(can("2.11.0-RC.1"), [true, true, false, false]);
        assert_eq!(can("2.12.0"), [true, true, true, false]);
        assert_eq!(can("2.14.0"), [true; 4]);
        assert_eq!(can("3.0.0"), [true; 4]);
    }

    #[test]
    fn an_old_server_is_refused_with_what_is_needed() {
        for version in ["2.9.25", "1.4.1", "", "x"] {
            let error = of_version(version).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{version}");
            assert!(error.message().contains("2.10"), "{error}");
        }
    }
}
