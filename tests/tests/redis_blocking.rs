//! No call of a script keeps the server from others for more than 5 ms, by the server's own word, in a table of 1,000,000 records: with
//! `STORE_TEST_FULL=1`, on a machine that has nothing else to do. Else a smaller table, and what the
//! server works for a call of a script on average, with a limit that neighbours do not break.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use store_core::{Admin, Key, Op, Put, StoreAdmin, Table};
use store_redis::{Config, Layout, Redis, Template};
use tests::is_full;
use tests::servers::redis::Server;

/// The longest that a script may take.
const LIMIT: Duration = Duration::from_millis(5);
/// What the server may work for one, where other tests run beside this one: reading the request is in it, waiting for a core is not.
const LIMIT_IN_A_CROWD: Duration = Duration::from_millis(12);
/// A neighbour on the machine makes a script slow once, the script itself makes it slow each time.
const ROUNDS: usize = 8;

/// The longest call of a script since the last look, in microseconds.
fn longest(server: &Server) -> u64 {
    let log = server.command(&["SLOWLOG", "GET", "-1"]);
    server.command(&["SLOWLOG", "RESET"]);
    let mut longest = 0;
    // An entry has a number, an instant, how long it took, and the command.
    let lines: Vec<&str> = log.lines().collect();
    for at in 3..lines.len() {
        if lines[at..].len() > 2
            && lines[at].starts_with('*')
            && lines[at + 2].eq_ignore_ascii_case("evalsha")
        {
            longest = longest.max(lines[at - 1].trim_start_matches(':').parse().unwrap());
        }
    }
    longest
}

/// What its one thread has worked so far, in microseconds, and how many calls of scripts it has done.
fn worked(server: &Server) -> (f64, f64) {
    let seconds = |field: &str| server.info(field).parse::<f64>().unwrap();
    let work = seconds("used_cpu_user_main_thread") + seconds("used_cpu_sys_main_thread");
    let stats = server.command(&["INFO", "commandstats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    (work * 1e6, line.unwrap().split(',').next().unwrap().parse().unwrap())
}

/// Runs something several times, and takes the best of what its longest script took; in a crowd what the server worked for each call.
async fn measure<F: Future<Output = ()>>(
    found: &mut BTreeMap<&'static str, u64>,
    server: &Server,
    what: &'static str,
    mut run: impl FnMut(usize) -> F,
) {
    let mut best = u64::MAX;
    for round in 0..ROUNDS {
        server.command(&["SLOWLOG", "RESET"]);
        let (work, calls) = worked(server);
        run(round).await;
        let took = if is_full() {
            longest(server)
        } else {
            let after = worked(server);
            ((after.0 - work) / (after.1 - calls).max(1.0)) as u64
        };
        best = best.min(took);
    }
    found.insert(what, best);
}

async fn fill(table: &Table, from: usize, to: usize) {
    let keys: Vec<String> = (from..to).map(|i| format!("k{i:07}")).collect();
    for chunk in keys.chunks(5000) {
        for done in table.write_many(chunk.iter().map(|key| (key, "v"))).await {
            done.unwrap();
        }
    }
}

#[tokio::test]
async fn no_script_blocks_the_server_for_more_than_5_ms() {
    let (records, limit) = if is_full() { (1_000_000, LIMIT) } else { (50_000, LIMIT_IN_A_CROWD) };
    let server = Server::with(&["--slowlog-log-slower-than", "100", "--slowlog-max-len", "5000"]);
    let redis = Redis::connect(Config::new(server.address())).await.unwrap();
    let store: Arc<dyn StoreAdmin> = Arc::new(redis.clone());
    let table = store.database("app").unwrap().table("t").unwrap();
    fill(&table, 0, records).await;

    let mut found = BTreeMap::new();
    let (t, s) = (&table, &server);
    let key = |i: usize| format!("k{:07}", i * 7919 % records);
    measure(&mut found, s, "writes of 500", |_| async {
        let puts: Vec<_> = (0..500).map(|i| (key(i), vec![b'w'; 1000])).collect();
        t.write_many(puts).await.into_iter().for_each(|done| assert!(done.is_ok(), "{done:?}"));
    })
    .await;
    measure(&mut found, s, "new records, 500 with metadata and expiry", |round| async move {
        let keys: Vec<String> = (0..500).map(|i| format!("new{round}-{i}")).collect();
        let put = |key| {
            let mut put = Put::new(Key::new(key).unwrap(), "v");
            put.metadata = store_core::Metadata::new().with("m", "x".repeat(100)).unwrap();
            put.expiry = store_core::Expiry::After(Duration::from_millis(100));
            put
        };
        t.put_many(keys.iter().map(put).collect())
            .await
            .into_iter()
            .for_each(|done| assert!(done.is_ok(), "{done:?}"));
        tokio::time::sleep(Duration::from_millis(150)).await;
        // What has expired is removed on the way.
        t.list().offset(records / 2).limit(10).page().await.unwrap();
    })
    .await;
    measure(&mut found, s, "atomic batches of 500 and 1 MiB", |_| async {
        let keys: Vec<String> = (0..500).map(key).collect();
        let value = vec![b'a'; 1024 * 1024 / 500];
        let put = |key| Op::Put(Put::new(Key::new(key).unwrap(), &value[..]));
        let ops = keys.iter().collect::<std::collections::BTreeSet<_>>();
        store.atomic(t.namespace(), ops.into_iter().map(put).collect()).await.unwrap();
    })
    .await;
    measure(
        &mut found,
        s,
        "atomic batches of 500 with conditions and expiry",
        |round| async move {
            let keys: Vec<String> = (0..500).map(|i| format!("c{i}")).collect();
            let value = (round > 0).then_some(b"v".as_slice());
            let put = |key| {
                let mut put = Put::new(Key::new(key).unwrap(), "v");
                put.condition = match value {
                    Some(value) => store_core::Condition::Value(value.into()),
                    None => store_core::Condition::Absent,
                };
                put.expiry = store_core::Expiry::After(Duration::from_mins(10));
                Op::Put(put)
            };
            t.store().atomic(t.namespace(), keys.iter().map(put).collect()).await.unwrap();
        },
    )
    .await;
    measure(&mut found, s, "update if value, 256 KiB", |_| async {
        let value = vec![b'c'; 256 * 1024];
        t.write("compared", &value).await.unwrap();
        t.write("compared", &value).if_value(&value).await.unwrap();
    })
    .await;
    let layout = Layout::Plain(Template::key());
    let plain = Redis::connect(Config::new(server.address()).with_layout(layout)).await.unwrap();
    let plain: Arc<dyn StoreAdmin> = Arc::new(plain);
    let values = plain.database("app").unwrap().root();
    let values = &values;
    measure(&mut found, s, "update if value in the layout plain, 256 KiB to 1 MiB", |_| async {
        let old = vec![b'c'; 256 * 1024];
        values.write("plain", &old).await.unwrap();
        values.write("plain", vec![b'n'; 1024 * 1024]).if_value(&old).await.unwrap();
    })
    .await;
    measure(&mut found, s, "a value of 8 MiB", |_| async {
        t.write("large", vec![b'c'; 8 << 20]).await.unwrap();
    })
    .await;
    measure(&mut found, s, "pages of 1000 anywhere", |round| async move {
        let after = format!("k{:07}", records / 3 * round / ROUNDS);
        t.list().start_after(after).limit(1000).page().await.unwrap();
        t.list().offset(records - 2000).limit(1000).page().await.unwrap();
        t.scan().prefix("k00").limit(1000).page().await.unwrap();
        t.list().suffix("999").limit(20).page().await.unwrap();
    })
    .await;
    measure(&mut found, s, "counters and deletes", |round| async move {
        t.increment("n", 1).await.unwrap();
        let keys: Vec<String> = (0..500).map(|i| format!("k{:07}", round * 500 + i)).collect();
        t.delete_many(&keys).await.into_iter().for_each(|done| assert!(done.is_ok(), "{done:?}"));
    })
    .await;
    measure(&mut found, s, "a watch that begins", |_| async {
        drop(t.watch().changes_only().await.unwrap());
    })
    .await;
    // Once, and in many steps: on average.
    server.command(&["CONFIG", "RESETSTAT"]);
    Admin::new(Arc::clone(&store)).delete("app").await.unwrap();
    let stats = server.command(&["INFO", "commandstats"]);
    let line = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap();
    let average = line.split("usec_per_call=").nth(1).unwrap().split(',').next().unwrap();
    found.insert("deleting the database, on average", average.parse::<f64>().unwrap() as u64);

    for (what, micros) in &found {
        println!("{micros:>6} us  {what}");
    }
    let most = limit.as_micros() as u64;
    let slow: Vec<_> = found.iter().filter(|(_, micros)| **micros > most).collect();
    assert!(slow.is_empty(), "these block the server for more than {limit:?}: {slow:?}");
}
