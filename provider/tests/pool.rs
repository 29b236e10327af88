//! Shared connections: one per URL, tried until the backend is there, closed with their last user.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use provider::{Buckets, Error, Place, Pool};
use store_core::config::{Driver, OptionSpec, Options, Registry, StoreUrl};
use store_core::{ErrorKind, Name, Result, StoreAdmin};
use store_memory::Memory;

/// A memory store that is away for the first few attempts.
#[derive(Clone, Debug)]
struct Late {
    away: usize,
    why: ErrorKind,
    attempts: Arc<AtomicUsize>,
    opened: Arc<std::sync::Mutex<Vec<Arc<Memory>>>>,
}

impl Default for Late {
    fn default() -> Self {
        let (attempts, opened) = (Arc::default(), Arc::default());
        Self { away: 0, why: ErrorKind::Unavailable, attempts, opened }
    }
}

#[store_core::async_trait]
impl Driver for Late {
    fn name(&self) -> &'static str {
        "late"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["late"]
    }

    fn options(&self) -> &'static [OptionSpec] {
        const { &[OptionSpec::new("colour", "text", "any")] }
    }

    async fn open(&self, _: &StoreUrl, options: &mut Options) -> Result<Arc<dyn StoreAdmin>> {
        options.take_str("colour");
        options.finish()?;
        if self.attempts.fetch_add(1, Ordering::SeqCst) < self.away {
            return Err(store_core::Error::new(self.why, "nobody listens"));
        }
        let store = Arc::new(Memory::new());
        self.opened.lock().unwrap().push(Arc::clone(&store));
        Ok(store)
    }
}

fn pool(driver: &Late, patience: Duration) -> Pool {
    Pool::new(Registry::new().with(driver.clone()), patience)
}

fn buckets(pool: &Pool, url: &str) -> Buckets {
    Buckets::any(Place::at(pool.connect(url).unwrap(), Name::new("app").unwrap()))
}

#[tokio::test]
async fn one_connection_serves_all_that_name_it() {
    let driver = Late::default();
    let pool = pool(&driver, Duration::from_secs(5));
    let (one, two) = (buckets(&pool, "late://u:secret@h"), buckets(&pool, "late://u:secret@h"));
    let other = buckets(&pool, "late://u:other@h");
    one.open("x").await.unwrap().set("k", "v").await.unwrap();
    assert!(two.open("x").await.unwrap().exists("k").await.unwrap());
    assert!(!other.open("x").await.unwrap().exists("k").await.unwrap());
    assert_eq!((pool.len(), driver.attempts.load(Ordering::SeqCst)), (2, 2));
    let shown = format!("{pool:?} {one:?} {:?}", pool.connect("late://u:secret@h").unwrap());
    assert!(!shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn the_last_user_closes_it_and_no_one_before() {
    let driver = Late::default();
    let pool = pool(&driver, Duration::from_secs(5));
    let (one, two) = (buckets(&pool, "late://h"), buckets(&pool, "late://h"));
    let bucket = one.open("x").await.unwrap();
    drop(one);
    drop(two);
    bucket.set("k", "v").await.unwrap();
    assert_eq!(pool.len(), 1, "an open bucket is a user");
    let store: Arc<dyn StoreAdmin> = Arc::<Memory>::clone(&driver.opened.lock().unwrap()[0]);
    drop(bucket);
    for _ in 0..100 {
        if store.ping().await.is_err() {
            assert!(pool.is_empty());
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the store was not closed");
}

#[tokio::test]
async fn a_backend_that_comes_up_late_is_waited_for_or_clearly_missing() {
    let driver = Late { away: 2, ..Late::default() };
    let patient = pool(&driver, Duration::from_secs(5));
    buckets(&patient, "late://h").open("x").await.unwrap().set("k", "v").await.unwrap();
    assert_eq!(driver.attempts.load(Ordering::SeqCst), 3);

    let driver = Late { away: 3, ..Late::default() };
    let hasty = pool(&driver, Duration::from_millis(100));
    let buckets = buckets(&hasty, "late://u:secret@h");
    let error = buckets.open("x").await.unwrap_err();
    assert_eq!(
        error,
        Error::Unavailable(
            "late://***@h is not connected: nobody listens (unavailable)".to_owned()
        )
    );
    let connection = hasty.connect("late://u:secret@h").unwrap();
    connection.ping().await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(600)).await;
    buckets.open("x").await.expect("it came up by itself");
    connection.ping().await.unwrap();
}

/// A file of certificates may come later than the configuration that names it.
#[tokio::test(start_paused = true)]
async fn what_is_refused_is_said_at_once_and_works_as_soon_as_it_is_mended() {
    let driver = Late { away: 2, why: ErrorKind::Config, ..Late::default() };
    let pool = pool(&driver, Duration::from_secs(1));
    let buckets = buckets(&pool, "late://h");
    let begun = tokio::time::Instant::now();
    for _ in 0..2 {
        let error = buckets.open("x").await.unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "nobody waits for it");
    tokio::time::sleep(Duration::from_secs(31)).await;
    buckets.open("x").await.unwrap().set("k", "v").await.unwrap();
}

#[tokio::test]
async fn what_can_never_work_is_said_at_once() {
    let driver = Late::default();
    let pool = pool(&driver, Duration::from_mins(1));
    let error = pool.connect("mongodb://h").unwrap_err();
    assert!(error.to_string().contains("no driver for `mongodb://`; there are: late"), "{error}");
    assert!(!pool.connect("u:secret").unwrap_err().to_string().contains("secret"));
    let bad = buckets(&pool, "late://h?color=red");
    let error = tokio::time::timeout(Duration::from_secs(5), bad.open("x")).await.unwrap();
    assert!(error.unwrap_err().to_string().contains("did you mean `colour`"));
}
