//! What was deleted or has expired stays away when servers are killed, and what lives stays: on one server and on three. The
//! obvious ways to delete do not survive this (`docs/nats.md`). `STORE_TEST_FULL` makes the numbers those of the project's goals.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use store_core::{DatabaseConfig, Name, StoreAdmin, Table};
use store_natsjs::Nats;
use tests::is_full;
use tests::servers::nats::{Cluster, Server};

const DATABASE: &str = "app";

async fn open(url: &str) -> Arc<dyn StoreAdmin> {
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        let builder = Nats::builder()
            .servers([url])
            .timeout(Duration::from_mins(1))
            // So that the server really removes within this test.
            .expired_retention(Duration::from_secs(1));
        match builder.connect().await {
            Ok(store) => return Arc::new(store),
            // The nodes have to find each other first.
            Err(error) if Instant::now() > until => panic!("{error:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Does something for many keys, 128 at a time.
async fn each<F, Fut, T>(keys: usize, work: F)
where
    F: Fn(String) -> Fut + Send + Sync,
    Fut: Future<Output = T> + Send,
{
    stream::iter((0..keys).map(|i| work(format!("k{i}")))).buffer_unordered(128).count().await;
}

/// The answer to a question that may be asked again: servers that have just been started need their time.
async fn patiently<T, F: Future<Output = store_core::Result<T>>>(ask: impl Fn() -> F) -> T {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.is_retryable() && Instant::now() < deadline, "{error:?}"),
        }
    }
}

/// How many keys are listed, by any copy or by the leader, whichever has more; what is listed can be read.
async fn alive(table: &Table) -> Result<usize, String> {
    let listed = patiently(|| table.list().limit(1_000_000).into_future()).await;
    let strong = patiently(|| table.list().strong().limit(1_000_000).into_future()).await;
    for key in listed.iter().take(20) {
        if patiently(|| table.read(key)).await.is_none() {
            return Err(format!("{key} is listed in {} and cannot be read", table.name()));
        }
    }
    Ok(listed.len().max(strong.len()))
}

/// Tables whose records end in every way, and one whose records live.
struct Ends {
    deleted: Table,
    /// Had two values, of which the older would have lived longer.
    shorter: Table,
    /// An expiry over values that would have lived for ever.
    over: Table,
    /// Value, deletion, value that expires.
    again: Table,
    live: Table,
    keys: usize,
}

/// How many records live.
const LIVE: usize = 500;

impl Ends {
    async fn write(store: &Arc<dyn StoreAdmin>, keys: usize) -> Self {
        let table = |name: &str| store.database(DATABASE).unwrap().table(name).unwrap();
        let ends = Self {
            deleted: table("deleted"),
            shorter: table("expires-new"),
            over: table("expires-over-old"),
            again: table("value-delete-value"),
            live: table("live"),
            keys,
        };
        let Self { deleted, shorter, over, again, live, .. } = &ends;
        let (ttl, longer) = (Duration::from_secs(2), Duration::from_secs(3));
        // Several versions, so that the older ones fill files that the newer ones are not in.
        for round in 0..3 {
            for table in [deleted, over, again] {
                each(keys, async |k| table.write(&k, format!("old{round}")).await.unwrap()).await;
            }
            each(LIVE, async |k| live.write(&k, format!("v{round}")).await.unwrap()).await;
        }
        each(keys, async |k| deleted.delete(&k).await.unwrap()).await;
        each(keys, async |k| again.delete(&k).await.unwrap()).await;
        each(keys, async |k| again.write(&k, "new").ttl(ttl).await.unwrap()).await;
        each(keys, async |k| over.write(&k, "new").ttl(ttl).await.unwrap()).await;
        each(keys, async |k| shorter.write(&k, "first").ttl(longer).await.unwrap()).await;
        each(keys, async |k| shorter.write(&k, "second").ttl(ttl).await.unwrap()).await;
        // The longest life, the retention, and what the server takes to remove.
        tokio::time::sleep(longer + Duration::from_secs(4)).await;
        ends
    }

    /// What came back or is lost; nothing when all is as it was.
    async fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for table in [&self.deleted, &self.shorter, &self.over, &self.again] {
            match alive(table).await {
                Ok(0) => {}
                Ok(n) => wrong.push(format!("{n} of {} back in {}", self.keys, table.name())),
                Err(why) => wrong.push(why),
            }
        }
        let (live, value) = (alive(&self.live).await, self.live.read("k7").await.unwrap());
        if live != Ok(LIVE) || value.is_none_or(|record| record.value() != b"v2") {
            wrong.push(format!("{live:?} of {LIVE} live"));
        }
        wrong
    }

    async fn check(&self, when: &str) {
        let wrong = self.wrong().await;
        assert!(wrong.is_empty(), "{when}: {wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_ended_on_one_server_does_not_come_back_after_a_kill() {
    let mut server = Server::start();
    let store = open(&server.url()).await;
    let ends = Ends::write(&store, if is_full() { 20_000 } else { 4_000 }).await;
    ends.check("before").await;
    for kill in 1..=3 {
        server.kill();
        server.restart();
        ends.check(&format!("after kill {kill}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_ended_on_three_servers_does_not_come_back_after_kills() {
    let mut cluster = Cluster::start();
    let store = open(&cluster.url()).await;
    let config = DatabaseConfig::new().with_replicas(3);
    let until = Instant::now() + Duration::from_mins(1);
    while let Err(error) = store.create_database(&Name::new(DATABASE).unwrap(), &config).await {
        assert!(Instant::now() < until, "{error:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let ends = Ends::write(&store, if is_full() { 20_000 } else { 1_500 }).await;
    ends.check("before").await;
    // In turn, and while a node is away the others have what it will have to learn.
    for node in 0..3 {
        cluster.nodes[node].kill();
        ends.check(&format!("without node {node}")).await;
        cluster.nodes[node].restart();
        ends.check(&format!("after the kill of node {node}")).await;
    }
    for node in &mut cluster.nodes {
        node.kill();
    }
    for node in &mut cluster.nodes {
        node.start_again();
    }
    for node in &mut cluster.nodes {
        node.wait_ready();
    }
    ends.check("after the kill of all nodes").await;
    // Each node's own copy, read by clients of that node.
    for (number, node) in cluster.nodes.iter().enumerate() {
        let store = open(&node.url()).await;
        let table = |name: &str| store.database(DATABASE).unwrap().table(name).unwrap();
        let at = Ends {
            deleted: table("deleted"),
            shorter: table("expires-new"),
            over: table("expires-over-old"),
            again: table("value-delete-value"),
            live: table("live"),
            keys: ends.keys,
        };
        // A store that wrote nothing reads any copy, and this one may still have to catch up.
        let until = Instant::now() + Duration::from_mins(1);
        loop {
            let wrong = at.wrong().await;
            if wrong.is_empty() {
                break;
            }
            assert!(Instant::now() < until, "by node {number}: {wrong:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
