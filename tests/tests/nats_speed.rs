//! What the NATS driver does to be fast must not show in what it answers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use store_core::{
    Condition, ErrorKind, Expiry, Key, Metadata, Name, Namespace, Put, Store, StoreAdmin as _,
    Table,
};
use store_natsjs::{Layout, Nats, async_nats};
use tests::servers::nats::{Server, Setup, Version};

async fn connect(server: &Server) -> Nats {
    Nats::builder().servers([server.url()]).connect().await.unwrap()
}

fn table(store: &Nats, name: &str) -> Table {
    let store: Arc<dyn Store> = Arc::new(store.clone());
    let app = store.database("app").unwrap();
    if name.is_empty() { app.root() } else { app.table(name).unwrap() }
}

fn key(i: usize) -> String {
    format!("k{i:05}")
}

async fn fill(table: &Table, count: usize) {
    for written in table.write_many((0..count).map(|i| (key(i), i.to_string()))).await {
        written.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_reads_get_each_its_own_answer() {
    let server = Server::start();
    let store = connect(&server).await;
    let table = table(&store, "t");
    fill(&table, 500).await;
    // Some are there, some are not, many are asked for twice.
    let reads = (0..2000).map(|n| {
        let table = table.clone();
        tokio::spawn(async move { (n % 700, table.read(&key(n % 700)).await.unwrap()) })
    });
    for read in join_all(reads).await {
        let (i, record) = read.unwrap();
        let value = record.map(|record| String::from_utf8(record.value().to_vec()).unwrap());
        assert_eq!(value, (i < 500).then(|| i.to_string()));
    }
    assert!(format!("{store:?}").contains(" 0 waiting"), "{store:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_readers_see_what_they_wrote() {
    let server = Server::start();
    let store = connect(&server).await;
    let table = table(&store, "t");
    let tasks = (0..64).map(|task| {
        let table = table.clone();
        tokio::spawn(async move {
            let key = key(task);
            for n in 0..50 {
                table.write(&key, n.to_string()).await.unwrap();
                let record = table.read(&key).await.unwrap().unwrap();
                assert_eq!(record.value(), n.to_string().as_bytes());
            }
            table.delete(&key).await.unwrap();
            assert!(table.read(&key).await.unwrap().is_none());
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_reader_s_trouble_is_not_another_s() {
    let server = Server::start();
    let store = connect(&server).await;
    let table = table(&store, "t");
    fill(&table, 100).await;
    // A record that cannot be read.
    let raw = async_nats::connect(server.url()).await.unwrap();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Store-Metadata", "{");
    let subject = format!("$KV.app.t.{}", key(7));
    raw.request_with_headers(subject, headers, "x".into()).await.unwrap();

    let reads = (0..1000).map(|n| {
        let table = table.clone();
        tokio::spawn(async move { (n % 100, table.read(&key(n % 100)).await) })
    });
    let mut reads: Vec<_> = reads.collect();
    // Readers that give up at any time.
    for read in reads.iter().step_by(3) {
        tokio::task::yield_now().await;
        read.abort();
    }
    for (n, read) in reads.drain(..).enumerate() {
        match read.await {
            Ok((7, read)) => assert_eq!(read.unwrap_err().kind(), ErrorKind::Corrupt),
            Ok((i, read)) => assert_eq!(read.unwrap().unwrap().value(), i.to_string().as_bytes()),
            Err(gone) => assert!(gone.is_cancelled() && n % 3 == 0),
        }
    }
    assert_eq!(table.read(&key(8)).await.unwrap().unwrap().value(), b"8");
    assert!(format!("{store:?}").contains(" 0 waiting"), "{store:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_go_on_after_the_server_was_away() {
    let mut server = Server::start();
    let store = connect(&server).await;
    let table = table(&store, "t");
    fill(&table, 100).await;
    let reads: Vec<_> = (0..200)
        .map(|n| {
            let table = table.clone();
            tokio::spawn(async move {
                for turn in 0..200 {
                    let i = (n + turn) % 100;
                    let record = table.read(&key(i)).await.unwrap().unwrap();
                    assert_eq!(record.value(), i.to_string().as_bytes());
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let server = tokio::task::spawn_blocking(move || {
        server.restart();
        server
    });
    let _server = server.await.unwrap();
    for read in reads {
        read.await.unwrap();
    }
}

/// All keys, page by page, with what happens between the first page and the next.
async fn paged(table: &Table, between: impl AsyncFnOnce()) -> Vec<String> {
    let first = table.list().page_size(100).page().await.unwrap();
    let mut keys = first.items;
    between().await;
    let mut next = first.next;
    while let Some(cursor) = next {
        let page = table.list().page_size(100).cursor(cursor).page().await.unwrap();
        keys.extend(page.items);
        next = page.next;
    }
    keys
}

const MANY: usize = 3000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_names_show_the_handle_s_own_changes() {
    let server = Server::start();
    let store = connect(&server).await;
    let table = table(&store, "t");
    fill(&table, MANY).await;
    let keys = paged(&table, async || {
        table.write("k01000x", "new").await.unwrap();
        table.delete(&key(2000)).await.unwrap();
        table.batch().write("k01000y", "new").delete(&key(2001)).commit().await.unwrap();
        table.write_many([("k01000z", "1"), ("k01000w", "2")]).await;
        table.increment("k01000c", 1).await.unwrap();
        table.write("k01000e", "new").ttl(Duration::from_millis(1)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    })
    .await;
    let mut wanted: BTreeSet<String> = (0..MANY).map(key).collect();
    wanted.remove(&key(2000));
    wanted.remove(&key(2001));
    wanted.extend(["x", "y", "z", "w", "c"].map(|end| format!("k01000{end}")));
    assert_eq!(keys, wanted.into_iter().collect::<Vec<_>>());
    // Values are always read as they are.
    table.write(&key(2500), "changed").await.unwrap();
    let records = table.scan().page_size(500).stream();
    let records: Vec<_> = records.map(Result::unwrap).collect().await;
    assert_eq!(records.len(), MANY + 3);
    let changed = records.iter().find(|record| record.key() == key(2500)).unwrap();
    assert_eq!(changed.value(), b"changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_page_shows_what_another_store_wrote_before() {
    let server = Server::start();
    let (one, other) = (connect(&server).await, connect(&server).await);
    let (ours, theirs) = (table(&one, "t"), table(&other, "t"));
    fill(&ours, MANY).await;
    assert_eq!(paged(&ours, async || {}).await.len(), MANY);
    for n in 0..20 {
        theirs.write(&format!("a{n:02}"), "new").await.unwrap();
        let first = ours.list().page_size(100).page().await.unwrap();
        assert_eq!(first.items[n], format!("a{n:02}"));
        assert_eq!(ours.list().await.unwrap().len(), MANY + n + 1);
    }
    theirs.delete("a00").await.unwrap();
    theirs.delete(&key(5)).await.unwrap();
    assert_eq!(ours.list().await.unwrap().len(), MANY + 18);

    // A cursor of a later state than what is kept here.
    theirs.write("k02999x", "new").await.unwrap();
    let page = theirs.list().page_size(100).page().await.unwrap();
    let rest = ours.list().cursor(page.next.unwrap()).await.unwrap();
    assert_eq!(rest.last().unwrap(), "k02999x");

    // Emptied, and made anew.
    let app = Name::new("app").unwrap();
    other.empty_database(&app).await.unwrap();
    assert!(ours.list().await.unwrap().is_empty());
    fill(&theirs, MANY).await;
    assert_eq!(ours.list().await.unwrap().len(), MANY);
    other.delete_database(&app).await.unwrap();
    theirs.write("a", "1").await.unwrap();
    assert_eq!(ours.list().await.unwrap(), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_name_whose_record_got_more_time_stays() {
    let server = Server::start();
    let (one, other) = (connect(&server).await, connect(&server).await);
    let (ours, theirs) = (table(&one, "t"), table(&other, "t"));
    fill(&ours, MANY).await;
    ours.write("k02000a", "short").ttl(Duration::from_secs(4)).await.unwrap();
    ours.write("k02000b", "short").ttl(Duration::from_secs(4)).await.unwrap();
    let keys = paged(&ours, async || {
        theirs.set_expiry("k02000a", Expiry::Never).await.unwrap();
        tokio::time::sleep(Duration::from_millis(4100)).await;
    })
    .await;
    assert!(keys.contains(&"k02000a".to_owned()) && !keys.contains(&"k02000b".to_owned()));
    assert_eq!(keys.len(), MANY + 1);
}

async fn connect_as(server: &Server, layout: Layout) -> (Nats, async_nats::Client) {
    let client = async_nats::connect(server.url()).await.unwrap();
    (Nats::builder().client(client.clone()).layout(layout).connect().await.unwrap(), client)
}

async fn keys_with(table: &Table, prefix: &str) -> Vec<String> {
    let keys = table.list().prefix(prefix).page_size(usize::MAX).await.unwrap();
    let records = table.scan().prefix(prefix).page_size(usize::MAX).await.unwrap();
    assert_eq!(records.iter().map(|record| record.key().to_owned()).collect::<Vec<_>>(), keys);
    keys
}

/// Where only its value tells whose record it is, a name that is kept is proved by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_names_of_go_micro_are_proved_by_their_values() {
    for layout in [Layout::GoMicro, Layout::GoMicroBase32] {
        let server = Server::start();
        let (one, client) = connect_as(&server, layout).await;
        let (other, _) = connect_as(&server, layout).await;
        let (ours, theirs) = (table(&one, "t"), table(&other, "t"));
        fill(&ours, MANY).await;
        // In Go-Micro's spelling, all of these may be of table `t` too.
        let beside = table(&one, "t_k01000");
        beside.write_many((0..50).map(|i| (key(i), "beside"))).await;
        let mut wanted: BTreeSet<String> = (0..MANY).map(key).collect();
        let listed = |wanted: &BTreeSet<String>, prefix: &str| {
            let some = wanted.iter().filter(|key| key.starts_with(prefix));
            some.cloned().collect::<Vec<_>>()
        };
        assert_eq!(keys_with(&ours, "k01").await, listed(&wanted, "k01"));

        // What anybody writes, deletes or makes another table's is in the next first page.
        ours.write("k01000a", "new").await.unwrap();
        ours.delete(&key(1001)).await.unwrap();
        theirs.write("k01000b", "new").await.unwrap();
        theirs.delete(&key(1002)).await.unwrap();
        theirs.delete(&key(1003)).await.unwrap();
        beside.write("b", "beside").await.unwrap();
        table(&other, "t_k01000").write("c", "beside").await.unwrap();
        for key in [key(1001), key(1002), key(1003)] {
            wanted.remove(&key);
        }
        wanted.extend(["k01000a".to_owned(), "k01000b".to_owned()]);
        assert_eq!(keys_with(&ours, "k01").await, listed(&wanted, "k01"));
        assert_eq!(keys_with(&ours, "k01000_").await, [""; 0]);
        assert_eq!(keys_with(&beside, "").await.len(), 52);

        // Pages that follow show the store's own changes, each record once.
        let keys = paged(&ours, async || {
            ours.write("k02000x", "new").await.unwrap();
            ours.delete(&key(2001)).await.unwrap();
            ours.increment("k02000c", 1).await.unwrap();
        })
        .await;
        wanted.remove(&key(2001));
        wanted.extend(["k02000x".to_owned(), "k02000c".to_owned()]);
        assert_eq!(keys, listed(&wanted, ""));

        // A value that cannot be read is a fault of its page and of no other.
        let tokens = one.bucket(&Name::new("app").unwrap()).key_of("t", &key(2500)).await.unwrap();
        let subject = format!("$KV.app.{tokens}");
        client.request(subject, "no envelope".into()).await.unwrap();
        for _ in 0..2 {
            let page = ours.scan().prefix("k02").page_size(usize::MAX).page().await.unwrap();
            assert_eq!(page.items.len(), listed(&wanted, "k02").len() - 1);
            assert_eq!(page.faults.len(), 1);
            assert_eq!(page.faults[0].kind(), ErrorKind::Corrupt);
            assert_eq!(page.faults[0].key(), Some(&*key(2500)));
            assert_eq!(keys_with(&ours, "k01").await, listed(&wanted, "k01"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_of_few_records_of_go_micro_reads_few_values() {
    const LARGE: usize = 4096;
    for layout in [Layout::GoMicro, Layout::GoMicroBase32] {
        let server = Server::start();
        let (store, client) = connect_as(&server, layout).await;
        let table = table(&store, "t");
        table.write_many((0..MANY).map(|i| (key(i), vec![0; LARGE]))).await;
        let read = || client.statistics().in_bytes.load(std::sync::atomic::Ordering::Relaxed);
        let before = read();
        assert_eq!(table.list().prefix("k0100").await.unwrap().len(), 10);
        let (cold, before) = (read() - before, read());
        assert!((cold as usize) < MANY * LARGE / 4, "{layout}: {cold}");
        assert_eq!(table.scan().prefix("k0200").await.unwrap().len(), 10);
        let warm = read() - before;
        assert!((warm as usize) < 40 * LARGE, "{layout}: {warm}");
    }
}

/// A record that is written again while names are gathered has moved to the end of the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_misses_nothing_that_is_written_again_meanwhile() {
    for layout in [Layout::Native, Layout::GoMicro] {
        let server = Server::start();
        let (other, _) = connect_as(&server, layout).await;
        let theirs = table(&other, "t");
        fill(&theirs, MANY).await;
        let writing = tokio::spawn(async move {
            for turn in 0.. {
                let puts = (0..MANY).map(|i| (key(MANY - 1 - i), turn.to_string()));
                if theirs.write_many(puts).await.iter().any(Result::is_err) {
                    break;
                }
            }
        });
        for _ in 0..3 {
            // A store that keeps no names yet.
            let (store, _) = connect_as(&server, layout).await;
            let table = table(&store, "t");
            assert_eq!(table.list().await.unwrap().len(), MANY);
            assert_eq!(table.scan().page_size(10_000).await.unwrap().len(), MANY);
        }
        writing.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_asked_for_is_a_fault_of_its_page() {
    for (layout, name) in [(Layout::Native, "t"), (Layout::Plain, "")] {
        let server = Server::start();
        let (store, client) = connect_as(&server, layout).await;
        let table = table(&store, name);
        fill(&table, MANY).await;
        let prefix = if name.is_empty() { "$KV.app" } else { "$KV.app.t" };
        let long = "x".repeat(1100);
        for key in [&*long, "a\"b\\c"] {
            client.request(format!("{prefix}.{key}"), "1".into()).await.unwrap();
        }
        let mut page = table.scan().page().await.unwrap();
        let (mut found, mut faults) = (page.items.len(), page.faults.len());
        while let Some(next) = page.next {
            page = table.scan().cursor(next).page().await.unwrap();
            found += page.items.len();
            faults += page.faults.len();
        }
        assert_eq!(found + faults, MANY + 2, "{layout}");
        assert!(faults >= 1, "{layout}");
    }
}

async fn load(store: &Nats, count: usize) -> store_natsjs::Imported {
    let ns = Namespace::new(Name::new("app").unwrap(), "loaded").unwrap();
    let keys: Vec<String> = (0..count).map(key).collect();
    let metadata = Metadata::new().with("kind", "x").unwrap();
    let until = SystemTime::now() + Duration::from_hours(1);
    let mut puts = Vec::with_capacity(count);
    for (i, key) in keys.iter().enumerate() {
        let put = Put::new(Key::new(key).unwrap(), i.to_string());
        puts.push(match i {
            3 => put.with_condition(Condition::Absent),
            4 => Put::new(Key::new(key).unwrap(), vec![0; 2 << 20]),
            5 => put.with_metadata(metadata.clone()).with_expiry(Expiry::At(until)),
            _ => put,
        });
    }
    store.import(&ns, puts).await.unwrap()
}

async fn check_load(store: &Nats, done: &store_natsjs::Imported, count: usize) {
    assert!(done.stopped.is_none(), "{done:?}");
    let refused: Vec<_> = done.refused.iter().map(|(i, error)| (*i, error.kind())).collect();
    assert_eq!(refused, [(3, ErrorKind::InvalidArgument), (4, ErrorKind::TooLarge)]);
    assert_eq!(done.written, count as u64 - 2);
    let table = table(store, "loaded");
    let mut keys: Vec<String> = (0..count).map(key).collect();
    keys.sort_unstable();
    keys.drain(3..5);
    assert_eq!(table.list().await.unwrap(), keys);
    for i in (0..count).step_by(97).filter(|i| ![3, 4].contains(i)) {
        let record = table.read(&key(i)).await.unwrap().unwrap();
        assert_eq!(record.value(), i.to_string().as_bytes());
    }
    let record = table.read(&key(5)).await.unwrap().unwrap();
    assert!(record.expires_at().is_some() && record.metadata().get("kind").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_load_is_complete_and_says_what_it_refused() {
    for version in [Version::Newest, Version::V2_12] {
        if version.binary().is_none() {
            continue;
        }
        let server = Server::with(&Setup::default().version(version));
        let store = connect(&server).await;
        let done = load(&store, 20_000).await;
        check_load(&store, &done, 20_000).await;
        // Over what is there, too.
        let done = load(&store, 20_000).await;
        check_load(&store, &done, 20_000).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_load_goes_on_after_the_server_was_away() {
    let mut server = Server::start();
    let store = connect(&server).await;
    table(&store, "t").write("a", "1").await.unwrap();
    let loading = {
        let store = store.clone();
        tokio::spawn(async move { load(&store, 90_000).await })
    };
    tokio::time::sleep(Duration::from_millis(60)).await;
    let server = tokio::task::spawn_blocking(move || {
        server.restart();
        server
    });
    let _server = server.await.unwrap();
    let done = loading.await.unwrap();
    check_load(&store, &done, 90_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipelined_batch_answers_for_each_record() {
    let server = Server::start();
    let store = connect(&server).await;
    let table = table(&store, "t");
    let large = vec![0; 2 << 20];
    let mut puts = Vec::new();
    let keys: Vec<String> = (0..1000).map(key).collect();
    for (i, key) in keys.iter().enumerate() {
        let key = Key::new(key).unwrap();
        puts.push(if i == 500 { Put::new(key, &large[..]) } else { Put::new(key, "1") });
    }
    // The same key again: the later one stays.
    puts.push(Put::new(Key::new(&keys[7]).unwrap(), "2"));
    puts.push(Put::new(Key::new(&keys[8]).unwrap(), "2").with_condition(Condition::Absent));
    let answers = table.put_many(puts).await;
    assert_eq!(answers.len(), 1002);
    for (i, answer) in answers.iter().enumerate() {
        match i {
            500 => assert_eq!(answer.as_ref().unwrap_err().kind(), ErrorKind::TooLarge),
            1001 => assert_eq!(answer.as_ref().unwrap_err().kind(), ErrorKind::Conflict),
            _ => assert!(answer.as_ref().unwrap().revision.is_some()),
        }
    }
    let record = table.read(&keys[7]).await.unwrap().unwrap();
    assert_eq!(record.value(), b"2");
    assert_eq!(Some(record.revision().unwrap()), answers[1000].as_ref().unwrap().revision);
    assert_eq!(table.list().await.unwrap().len(), 999);
}
