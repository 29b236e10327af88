use std::time::Duration;

use store_core::layer::{Layers, Retry};
use store_core::{
    Condition, ErrorKind, Op, Operation, Outcome, Put, ReadOptions, Remove, Store, StoreAdmin,
};
use tokio::time::Instant;

use crate::recorder::When::{After, Before, Never};
use crate::recorder::{Recorder, When};
use crate::{key, ns, wrapped};

const UNAVAILABLE: ErrorKind = ErrorKind::Unavailable;

fn retrying() -> (std::sync::Arc<Recorder>, std::sync::Arc<dyn StoreAdmin>) {
    wrapped(&Layers::new().retry(Retry::new()))
}

/// How often a call arrives that fails once: twice if it is repeated.
async fn attempts<T>(
    operation: Operation,
    when: When,
    kind: ErrorKind,
    call: impl AsyncFnOnce(&dyn StoreAdmin) -> store_core::Result<T>,
) -> (usize, store_core::Result<T>) {
    let (recorder, store) = retrying();
    recorder.memory.write(&ns(), Put::new(key("k"), "1")).await.unwrap();
    recorder.fail(operation, None, 1, kind, when);
    let answer = call(&*store).await;
    (recorder.calls().len(), answer)
}

fn conditional() -> Put<'static> {
    Put::new(key("k"), "2").with_condition(Condition::Value(b"1"[..].into()))
}

#[tokio::test(start_paused = true)]
async fn what_failed_for_a_passing_reason_is_repeated_where_that_is_safe() {
    for kind in [UNAVAILABLE, ErrorKind::Timeout, ErrorKind::RateLimited] {
        let read = async |s: &dyn StoreAdmin| s.read(&ns(), key("k"), ReadOptions::default()).await;
        let (n, answer) = attempts(Operation::Read, Before, kind, read).await;
        assert_eq!((n, answer.unwrap().is_some()), (2, true));
    }
    for when in [Before, After] {
        let write = async |s: &dyn StoreAdmin| s.write(&ns(), Put::new(key("k"), "2")).await;
        let (n, answer) = attempts(Operation::Write, when, UNAVAILABLE, write).await;
        assert!(n == 2 && answer.is_ok(), "an unconditional write, {when:?}");
        let atomic = async |s: &dyn StoreAdmin| {
            s.atomic(&ns(), vec![Op::Remove(Remove::new(key("k")))]).await
        };
        let (n, answer) = attempts(Operation::Atomic, when, UNAVAILABLE, atomic).await;
        assert!(n == 2 && answer.is_ok(), "an unconditional batch, {when:?}");
    }
    let write = async |s: &dyn StoreAdmin| s.write(&ns(), conditional()).await;
    let (n, answer) = attempts(Operation::Write, Before, UNAVAILABLE, write).await;
    assert!(n == 2 && answer.is_ok(), "a conditional write that did not happen");
    let increment = async |s: &dyn StoreAdmin| s.increment(&ns(), key("k"), 5).await;
    let (n, answer) = attempts(Operation::Increment, Before, UNAVAILABLE, increment).await;
    assert_eq!((n, answer.unwrap().value), (2, 6));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_happened_and_must_not_happen_twice_is_not_repeated() {
    let write = async |s: &dyn StoreAdmin| s.write(&ns(), conditional()).await;
    let (n, answer) = attempts(Operation::Write, After, UNAVAILABLE, write).await;
    assert_eq!((n, answer.unwrap_err().outcome()), (1, Outcome::Unknown));
    let increment = async |s: &dyn StoreAdmin| s.increment(&ns(), key("k"), 5).await;
    let (n, answer) = attempts(Operation::Increment, After, UNAVAILABLE, increment).await;
    assert_eq!((n, answer.unwrap_err().outcome()), (1, Outcome::Unknown));
    let atomic = async |s: &dyn StoreAdmin| s.atomic(&ns(), vec![Op::Put(conditional())]).await;
    let (n, answer) = attempts(Operation::Atomic, After, UNAVAILABLE, atomic).await;
    assert_eq!((n, answer.unwrap_err().outcome()), (1, Outcome::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_lasting_reason_is_not_repeated() {
    for kind in ErrorKind::ALL.into_iter().filter(|kind| !kind.is_transient()) {
        let read = async |s: &dyn StoreAdmin| s.read(&ns(), key("k"), ReadOptions::default()).await;
        let (n, answer) = attempts(Operation::Read, Before, kind, read).await;
        assert_eq!((n, answer.unwrap_err().kind()), (1, kind));
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_whose_first_answer_was_lost_does_not_say_that_nothing_was_there() {
    let delete = async |s: &dyn StoreAdmin| s.delete(&ns(), Remove::new(key("k"))).await;
    let (n, answer) = attempts(Operation::Delete, After, UNAVAILABLE, delete).await;
    assert_eq!((n, answer.unwrap().existed), (2, None));
    let delete = async |s: &dyn StoreAdmin| s.delete(&ns(), Remove::new(key("k"))).await;
    let (n, answer) = attempts(Operation::Delete, Before, UNAVAILABLE, delete).await;
    assert_eq!((n, answer.unwrap().existed), (2, Some(true)));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_not_forgotten_when_a_later_attempt_is_refused() {
    let (recorder, store) = retrying();
    recorder.fail(Operation::Write, None, 1, ErrorKind::Timeout, After);
    recorder.fail(Operation::Write, None, 1, ErrorKind::PermissionDenied, Before);
    let error = store.write(&ns(), Put::new(key("k"), "1")).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::PermissionDenied, Outcome::Unknown));
    assert!(store.exists(&ns(), key("k")).await.unwrap(), "it had happened");
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded_and_pauses_grow() {
    let retry = Retry::new().attempts(4).pauses(Duration::from_secs(1), Duration::from_secs(3));
    let (recorder, store) = wrapped(&Layers::new().retry(retry));
    recorder.fail(Operation::Ping, None, usize::MAX, UNAVAILABLE, Before);
    let began = Instant::now();
    assert_eq!(store.ping().await.unwrap_err().kind(), UNAVAILABLE);
    assert_eq!(recorder.calls().len(), 4);
    // Half to all of 1, 2 and 3 seconds.
    let took = began.elapsed().as_secs_f64();
    assert!((3.0..=6.1).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn the_budget_ends_it() {
    let retry = Retry::new()
        .attempts(u32::MAX)
        .pauses(Duration::from_secs(1), Duration::from_secs(1))
        .budget(Duration::from_secs(5));
    let (recorder, store) = wrapped(&Layers::new().retry(retry));
    recorder.fail(Operation::Ping, None, usize::MAX, UNAVAILABLE, Before);
    let began = Instant::now();
    store.ping().await.unwrap_err();
    assert!(began.elapsed() <= Duration::from_secs(5));
    assert!((5..=11).contains(&recorder.calls().len()));
    let one = wrapped(&Layers::new().retry(Retry::new().attempts(0)));
    one.0.fail(Operation::Ping, None, 1, UNAVAILABLE, Before);
    one.1.ping().await.unwrap_err();
    assert_eq!(one.0.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_attempt_is_cut_by_the_timeout_within_and_repeated() {
    let layers = Layers::new().timeout(Duration::from_secs(1)).retry(Retry::new());
    let (recorder, store) = wrapped(&layers);
    recorder.fail(Operation::Read, None, 1, ErrorKind::Timeout, Never);
    assert!(store.read(&ns(), key("k"), ReadOptions::default()).await.unwrap().is_none());
    assert_eq!(recorder.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_only_the_failed_items_are_sent_again_and_answers_keep_their_order() {
    let (recorder, store) = retrying();
    recorder.fail(Operation::WriteMany, "b", 2, UNAVAILABLE, Before);
    recorder.fail(Operation::WriteMany, "d", 1, UNAVAILABLE, After);
    recorder.fail(Operation::WriteMany, "e", 1, ErrorKind::Full, Before);
    let ns = ns();
    let mut puts: Vec<_> = ["a", "b", "c", "d", "e"].map(|k| Put::new(key(k), k)).to_vec();
    puts.push(Put::new(key("f"), "f").with_condition(Condition::Value(b"x"[..].into())));
    let answers = store.write_many(&ns, puts).await;
    let sizes: Vec<_> = recorder.calls().into_iter().map(|(_, items)| items).collect();
    assert_eq!(sizes, [6, 2, 1], "all, then b and d, then b");
    let kinds: Vec<_> =
        answers.iter().map(|a| a.as_ref().err().map(|e| (e.kind(), e.key()))).collect();
    let (full, conflict) = ((ErrorKind::Full, Some("e")), (ErrorKind::Conflict, Some("f")));
    assert_eq!(kinds, [None, None, None, None, Some(full), Some(conflict)]);
    for (k, answer) in ["a", "b", "c", "d"].into_iter().zip(answers) {
        let record = recorder.memory.read(&ns, key(k), ReadOptions::default()).await;
        let record = record.unwrap().unwrap();
        assert_eq!((record.value(), record.revision()), (k.as_bytes(), answer.unwrap().revision));
    }

    recorder.memory.delete(&ns, Remove::new(key("c"))).await.unwrap();
    recorder.fail(Operation::ReadMany, "b", 1, UNAVAILABLE, Before);
    let read = store.read_many(&ns, &["a", "b", "c", "b"].map(key)).await;
    let read: Vec<_> = read.into_iter().map(|r| r.unwrap().map(|r| r.value().to_vec())).collect();
    let some = |v: &str| Some(v.as_bytes().to_vec());
    assert_eq!(read, [some("a"), some("b"), None, some("b")]);
    let sizes: Vec<_> = recorder.calls().into_iter().map(|(_, items)| items).collect();
    assert_eq!(sizes, [4, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_item_is_not_sent_again_over_a_later_one_of_its_key() {
    let (recorder, store) = retrying();
    recorder.fail(Operation::WriteMany, "k", 1, UNAVAILABLE, Before);
    let ns = ns();
    let puts = vec![Put::new(key("k"), "first"), Put::new(key("k"), "second")];
    let answers = store.write_many(&ns, puts).await;
    assert_eq!(answers[0].as_ref().unwrap_err().kind(), UNAVAILABLE);
    assert!(answers[1].is_ok());
    let record = store.read(&ns, key("k"), ReadOptions::default()).await.unwrap().unwrap();
    assert_eq!(record.value(), b"second");
}

#[tokio::test(start_paused = true)]
async fn a_conditional_item_with_a_lost_answer_is_left_alone_while_others_are_repeated() {
    let (recorder, store) = retrying();
    recorder.fail(Operation::WriteMany, None, 2, ErrorKind::Timeout, After);
    let puts =
        vec![Put::new(key("a"), "1").with_condition(Condition::Absent), Put::new(key("b"), "1")];
    let answers = store.write_many(&ns(), puts).await;
    let error = answers[0].as_ref().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Unknown));
    assert!(answers[1].is_ok());
    assert_eq!(recorder.calls(), [(Operation::WriteMany, 2), (Operation::WriteMany, 1)]);
}

#[test]
fn without_a_timer_there_is_one_attempt() {
    let (recorder, store) = retrying();
    recorder.fail(Operation::Ping, None, 1, UNAVAILABLE, Before);
    let error = futures_util::FutureExt::now_or_never(store.ping()).unwrap().unwrap_err();
    assert_eq!(error.kind(), UNAVAILABLE);
    assert_eq!(recorder.calls().len(), 1);
}
