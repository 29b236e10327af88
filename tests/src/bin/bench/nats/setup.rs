//! The server, the two sides' connections, and the buckets.

use std::io::{self, Write as _};
use std::time::Duration;

use async_nats::jetstream::{self, kv};
use bytes::Bytes;
use store_core::{DatabaseConfig, Name, StoreAdmin as _, Table};
use store_natsjs::Nats;
use tests::servers::nats::{Server, Setup, Version};

use super::raw::Raw;
use crate::{Failure, Result};

/// The peer's name where it is async-nats' key-value store.
pub(crate) const KV: &str = "async_nats kv";
/// Records that single reads and writes go over.
pub(crate) const RECORDS: usize = 10_000;
/// Their table.
pub(crate) const TABLE: &str = "t";

/// How large what is listed is.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    /// Records of the large bucket.
    pub(crate) large: usize,
    /// Records of the bucket that it is compared with, of a large table, of a bulk load; tombstones.
    pub(crate) small: usize,
}

impl Scale {
    pub(crate) fn of(quick: bool) -> Self {
        if quick {
            Self { large: 100_000, small: 20_000 }
        } else {
            Self { large: 1_000_000, small: 100_000 }
        }
    }
}

/// What everything is measured on.
pub(crate) struct Ground {
    pub(crate) scale: Scale,
    pub(crate) ours: Nats,
    pub(crate) peer: Peer,
    server: Server,
}

/// async-nats with a bucket of its own.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) client: async_nats::Client,
    pub(crate) js: jetstream::Context,
    pub(crate) kv: kv::Store,
}

impl Peer {
    /// A connection, and the bucket `peer` or the one that is there.
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let client = async_nats::ConnectOptions::new()
            // As many messages of a listing as ours may have on the way.
            .subscription_capacity(1 << 18)
            .connect(url)
            .await?;
        let mut js = jetstream::new(client.clone());
        js.set_timeout(Duration::from_mins(1));
        let config = kv::Config { bucket: "peer".into(), ..kv::Config::default() };
        let kv = js.create_or_update_key_value(config).await?;
        Ok(Self { client, js, kv })
    }
}

impl Ground {
    pub(crate) async fn open(scale: Scale) -> Result<Self> {
        if Version::Newest.binary().is_none() {
            return Err("no nats-server: set STORE_TEST_NATS_SERVER to its path, put it on the PATH, or let \
                 `python3 scripts/test.py` fetch one"
                .into());
        }
        let server = tokio::task::spawn_blocking(|| Server::with(&Setup::default())).await?;
        let ours = connect(&server.url()).await?;
        let peer = Peer::connect(&server.url()).await?;
        Ok(Self { scale, ours, peer, server })
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) fn raw(&self) -> Result<Raw> {
        Raw::connect(self.server.port())
    }

    /// A table of ours.
    pub(crate) fn table(&self, database: &str, table: &str) -> Result<Table> {
        table_of(&self.ours, database, table)
    }

    /// Makes a bucket as the driver does, and puts records into its tables by the raw client.
    pub(crate) async fn bucket(&self, name: &str, tables: &[(&str, usize)]) -> Result<()> {
        progress(&format!("loading {name}"));
        self.ours.create_database(&Name::new(name)?, &DatabaseConfig::default()).await?;
        let mut raw = self.raw()?;
        for (table, records) in tables {
            raw.load((0..*records).map(|i| format!("$KV.{name}.{table}.{}", key(i))))?;
        }
        Ok(())
    }

    /// The same bucket, as the peer opens it.
    pub(crate) async fn peer_bucket(&self, name: &str) -> Result<kv::Store> {
        Ok(self.peer.js.get_key_value(name).await?)
    }
}

/// A store of ours with a connection of its own.
pub(crate) async fn connect(url: &str) -> Result<Nats> {
    Ok(Nats::builder().servers([url]).timeout(Duration::from_mins(1)).connect().await?)
}

pub(crate) fn table_of(store: &Nats, database: &str, table: &str) -> Result<Table> {
    let store: std::sync::Arc<dyn store_core::Store> = std::sync::Arc::new(store.clone());
    Ok(store.database(database)?.table(table)?)
}

/// The key of a record.
pub(crate) fn key(i: usize) -> String {
    format!("k{i:07}")
}

/// The value of every record.
pub(crate) fn value() -> Bytes {
    Bytes::from_static(&[b'v'; 100])
}

/// That a value is the one that was written.
pub(crate) fn check(value: &[u8]) -> Result<()> {
    if value.len() == 100 { Ok(()) } else { Err(wrong("a value is not the one that was written")) }
}

/// A side is wrong, not fast.
pub(crate) fn wrong(what: &str) -> Failure {
    format!("a side is wrong, not fast: {what}").into()
}

/// What is being done, for whoever waits.
pub(crate) fn progress(what: &str) {
    let _ = writeln!(io::stderr(), "  {what}");
}
