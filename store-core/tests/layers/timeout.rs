use std::sync::atomic::Ordering;
use std::time::Duration;

use store_core::layer::{Layers, Timeout};
use store_core::{ErrorKind, Operation, Outcome, Put, ReadOptions, Remove, WatchOptions};

use crate::recorder::When::Never;
use crate::{key, ns, wrapped};

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_ends_at_its_deadline_with_an_honest_outcome() {
    let (recorder, store) = wrapped(&Layers::new().timeout(Duration::from_secs(2)));
    for operation in [Operation::Read, Operation::Write, Operation::Increment, Operation::Watch] {
        recorder.fail(operation, None, 1, ErrorKind::Timeout, Never);
    }
    let (ns, k) = (ns(), key("k"));
    let began = tokio::time::Instant::now();
    let read = store.read(&ns, k, ReadOptions::default()).await.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 2);
    assert_eq!((read.kind(), read.outcome()), (ErrorKind::Timeout, Outcome::NotApplied));
    assert_eq!(read.message(), "no answer within 2s");
    assert_eq!((read.driver(), read.key()), (Some("recorder"), Some("k")));
    let write = store.write(&ns, Put::new(k, "1")).await.unwrap_err();
    assert_eq!((write.kind(), write.outcome()), (ErrorKind::Timeout, Outcome::Unknown));
    assert!(write.is_retryable(), "an unconditional write may be repeated");
    let increment = store.increment(&ns, k, 1).await.unwrap_err();
    assert!(increment.outcome() == Outcome::Unknown && !increment.is_retryable());
    let Err(watch) = store.watch(&ns, WatchOptions::default()).await else {
        panic!("the watch was opened")
    };
    assert_eq!((watch.kind(), watch.outcome()), (ErrorKind::Timeout, Outcome::NotApplied));
    assert_eq!(recorder.given_up.load(Ordering::SeqCst), 4, "the calls were dropped");
    // The next calls are answered.
    store.write(&ns, Put::new(k, "1")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_item_of_a_batch_gets_the_error() {
    let (recorder, store) = wrapped(&Layers::new().timeout(Duration::from_secs(2)));
    recorder.fail(Operation::WriteMany, "b", 1, ErrorKind::Timeout, Never);
    recorder.fail(Operation::DeleteMany, None, 1, ErrorKind::Timeout, Never);
    recorder.fail(Operation::ReadMany, None, 1, ErrorKind::Timeout, Never);
    let (ns, keys) = (ns(), ["a", "b", "c"].map(key));
    let written = store.write_many(&ns, keys.map(|key| Put::new(key, "1")).to_vec()).await;
    let deleted = store.delete_many(&ns, keys.map(Remove::new).to_vec()).await;
    let read = store.read_many(&ns, &keys).await;
    assert_eq!((written.len(), deleted.len(), read.len()), (3, 3, 3));
    for (error, expected) in written.iter().zip(["a", "b", "c"]) {
        let error = error.as_ref().unwrap_err();
        assert_eq!((error.outcome(), error.key()), (Outcome::Unknown, Some(expected)));
    }
    assert!(deleted.iter().all(|e| e.as_ref().unwrap_err().outcome() == Outcome::Unknown));
    assert!(read.iter().all(|e| e.as_ref().unwrap_err().outcome() == Outcome::NotApplied));
}

#[tokio::test(start_paused = true)]
async fn an_operation_may_have_its_own_deadline() {
    let timeout = Timeout::new(Duration::from_secs(2))
        .with(Operation::Ping, Duration::from_secs(9))
        .with(Operation::Ping, Duration::from_secs(5));
    let (recorder, store) = wrapped(&Layers::new().timeout(timeout));
    recorder.fail(Operation::Ping, None, 1, ErrorKind::Timeout, Never);
    let began = tokio::time::Instant::now();
    assert_eq!(store.ping().await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[test]
fn without_tokio_a_ready_answer_is_given_and_a_late_one_refused() {
    let (recorder, store) = wrapped(&Layers::new().timeout(Duration::from_secs(2)));
    recorder.fail(Operation::Write, "late", 1, ErrorKind::Timeout, Never);
    futures_util::FutureExt::now_or_never(async {
        store.write(&ns(), Put::new(key("k"), "1")).await.unwrap();
        let error = store.write(&ns(), Put::new(key("late"), "1")).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Config, Outcome::Unknown));
    })
    .unwrap();
}
