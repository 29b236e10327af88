//! Who takes part: ours, the bare client that ours is built on, and OpenDAL. All of them send the same values to the same server, over
//! TCP without delay, from the same runtime.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use opendal_core::Operator;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo as _, ProtocolVersion, Script};
use store_core::{Store, Table};
use store_redis::{Config, Layout, Redis, Template};

use super::server::Server;
use crate::{Failure, Result};

/// A record or a value is not what it should be: the speed of this side is worth nothing.
fn wrong(what: &str) -> Failure {
    format!("a side is wrong, not fast: {what}").into()
}

/// Reads single values.
pub(crate) trait Reads: Send + Sync + 'static {
    /// The length of a value that is there.
    fn read(&self, key: &str) -> impl Future<Output = Result<usize>> + Send;
}

/// Overwrites single records.
pub(crate) trait Writes: Send + Sync + 'static {
    fn write(&self, key: &str, value: &[u8]) -> impl Future<Output = Result<()>> + Send;
}

/// Reads several values at once.
pub(crate) trait ReadsMany: Send + Sync + 'static {
    fn read_many(&self, keys: &[&str]) -> impl Future<Output = Result<usize>> + Send;
}

/// Writes several records at once.
pub(crate) trait WritesMany: Send + Sync + 'static {
    fn write_many(&self, keys: &[&str], value: &[u8]) -> impl Future<Output = Result<()>> + Send;
}

/// Counts at one key.
pub(crate) trait Counts: Send + Sync + 'static {
    fn increment(&self, key: &str) -> impl Future<Output = Result<i64>> + Send;
}

/// Lists the first keys of a table in their order.
pub(crate) trait Pages: Send + Sync + 'static {
    fn first_page(&self, limit: usize) -> impl Future<Output = Result<usize>> + Send;
}

/// A [`Table`] handle on our driver behind `Arc<dyn Store>`, as an application holds it.
pub(crate) struct Ours {
    pub(crate) table: Table,
}

impl Ours {
    async fn open(config: Config, table: &str) -> Result<Arc<Self>> {
        let store: Arc<dyn Store> = Arc::new(Redis::connect(config).await?);
        let database = store.database("bench")?;
        let table = if table.is_empty() { database.root() } else { database.table(table)? };
        Ok(Arc::new(Self { table }))
    }

    pub(crate) async fn table(server: &Server, table: &str) -> Result<Arc<Self>> {
        Self::open(Config::new(server.address()), table).await
    }

    pub(crate) async fn io_thread(server: &Server, table: &str) -> Result<Arc<Self>> {
        Self::open(Config::new(server.address()).with_io_thread(true), table).await
    }

    pub(crate) async fn plain(server: &Server) -> Result<Arc<Self>> {
        let plain = Layout::Plain(Template::bucket());
        Self::open(Config::new(server.address()).with_layout(plain), "").await
    }
}

impl Reads for Ours {
    async fn read(&self, key: &str) -> Result<usize> {
        let value = self.table.value(key).await?;
        Ok(value.ok_or_else(|| wrong("a record is gone"))?.len())
    }
}

impl Writes for Ours {
    async fn write(&self, key: &str, value: &[u8]) -> Result<()> {
        self.table.write(key, value).await?;
        Ok(())
    }
}

impl ReadsMany for Ours {
    async fn read_many(&self, keys: &[&str]) -> Result<usize> {
        let mut bytes = 0;
        for value in self.table.values(keys).await {
            bytes += value?.ok_or_else(|| wrong("a record is gone"))?.len();
        }
        Ok(bytes)
    }
}

impl WritesMany for Ours {
    async fn write_many(&self, keys: &[&str], value: &[u8]) -> Result<()> {
        for done in self.table.write_many(keys.iter().map(|key| (*key, value))).await {
            done?;
        }
        Ok(())
    }
}

impl Counts for Ours {
    async fn increment(&self, key: &str) -> Result<i64> {
        Ok(self.table.increment(key, 1).await?.value)
    }
}

impl Pages for Ours {
    async fn first_page(&self, limit: usize) -> Result<usize> {
        let page = self.table.list().limit(limit).page().await?;
        sorted(&page.items)
    }
}

/// How many there are, if they are in order.
fn sorted(keys: &[String]) -> Result<usize> {
    if keys.is_sorted() { Ok(keys.len()) } else { Err(wrong("a page is not in order")) }
}

/// Our single writes, all of a batch on their way at once.
pub(crate) struct Singles(pub(crate) Arc<Ours>);

impl WritesMany for Singles {
    async fn write_many(&self, keys: &[&str], value: &[u8]) -> Result<()> {
        let writes = keys.iter().map(|key| self.0.table.write(*key, value));
        for done in join_all(writes).await {
            done?;
        }
        Ok(())
    }
}

/// The bare client: one multiplexed connection.
pub(crate) struct Bare {
    connection: MultiplexedConnection,
    prefix: String,
}

impl Bare {
    /// The keys that it uses begin with `prefix`.
    pub(crate) async fn connect(server: &Server, prefix: &str) -> Result<Arc<Self>> {
        let settings = redis::RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
        let info = format!("redis://{}", server.address())
            .into_connection_info()?
            .set_tcp_settings(TcpSettings::default().set_nodelay(true))
            .set_redis_settings(settings);
        let options =
            AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(2)));
        let client = Client::open(info)?;
        let connection = client.get_multiplexed_async_connection_with_config(&options).await?;
        Ok(Arc::new(Self { connection, prefix: prefix.to_owned() }))
    }

    fn key(&self, key: &str) -> String {
        [&self.prefix, key].concat()
    }
}

impl Reads for Bare {
    async fn read(&self, key: &str) -> Result<usize> {
        let mut connection = self.connection.clone();
        let value: Option<Vec<u8>> =
            redis::cmd("GET").arg(self.key(key)).query_async(&mut connection).await?;
        Ok(value.ok_or_else(|| wrong("a record is gone"))?.len())
    }
}

impl Writes for Bare {
    async fn write(&self, key: &str, value: &[u8]) -> Result<()> {
        let mut connection = self.connection.clone();
        let set = redis::cmd("SET").arg(self.key(key)).arg(value).exec_async(&mut connection).await;
        Ok(set?)
    }
}

impl ReadsMany for Bare {
    async fn read_many(&self, keys: &[&str]) -> Result<usize> {
        let mut connection = self.connection.clone();
        let mut command = redis::cmd("MGET");
        for key in keys {
            command.arg(self.key(key));
        }
        let values: Vec<Option<Vec<u8>>> = command.query_async(&mut connection).await?;
        let mut bytes = 0;
        for value in values {
            bytes += value.ok_or_else(|| wrong("a record is gone"))?.len();
        }
        Ok(bytes)
    }
}

impl Counts for Bare {
    async fn increment(&self, key: &str) -> Result<i64> {
        let mut connection = self.connection.clone();
        let command = redis::cmd("INCRBY").arg(self.key(key)).arg(1).to_owned();
        Ok(command.query_async(&mut connection).await?)
    }
}

/// Lists by asking the server for every key it has.
pub(crate) struct Scan(pub(crate) Arc<Bare>);

impl Pages for Scan {
    async fn first_page(&self, limit: usize) -> Result<usize> {
        let mut connection = self.0.connection.clone();
        let pattern = format!("{}*", self.0.prefix);
        let (mut cursor, mut keys) = (0u64, Vec::<String>::new());
        loop {
            let mut command = redis::cmd("SCAN");
            command.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(1000);
            let (next, found): (u64, Vec<String>) = command.query_async(&mut connection).await?;
            keys.extend(found);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        keys.sort_unstable();
        keys.dedup();
        keys.truncate(limit);
        sorted(&keys)
    }
}

/// Counts by reading, and writing what was read and one more if nobody else was faster.
pub(crate) struct CompareLoop {
    bare: Arc<Bare>,
    swap: Script,
}

impl CompareLoop {
    pub(crate) fn new(bare: Arc<Bare>) -> Arc<Self> {
        let swap = Script::new(
            "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) return 1 end return 0",
        );
        Arc::new(Self { bare, swap })
    }
}

impl Counts for CompareLoop {
    async fn increment(&self, key: &str) -> Result<i64> {
        let (mut connection, key) = (self.bare.connection.clone(), self.bare.key(key));
        loop {
            let held: Option<i64> =
                redis::cmd("GET").arg(&key).query_async(&mut connection).await?;
            let Some(held) = held else {
                redis::cmd("SETNX").arg(&key).arg(0).exec_async(&mut connection).await?;
                continue;
            };
            let mut call = self.swap.key(&key);
            let swapped: i64 = call.arg(held).arg(held + 1).invoke_async(&mut connection).await?;
            if swapped == 1 {
                return Ok(held + 1);
            }
        }
    }
}

/// OpenDAL's Redis service, as its documentation sets it up.
pub(crate) struct OpenDal(Operator);

impl OpenDal {
    pub(crate) fn connect(server: &Server) -> Result<Arc<Self>> {
        let service = opendal_service_redis::Redis::default()
            .endpoint(&format!("redis://{}", server.address()))
            .root("/opendal");
        Ok(Arc::new(Self(Operator::new(service)?)))
    }
}

impl Reads for OpenDal {
    async fn read(&self, key: &str) -> Result<usize> {
        Ok(self.0.read(key).await?.len())
    }
}

impl Writes for OpenDal {
    async fn write(&self, key: &str, value: &[u8]) -> Result<()> {
        self.0.write(key, Bytes::copy_from_slice(value)).await?;
        Ok(())
    }
}
