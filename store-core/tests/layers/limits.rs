use std::time::Duration;

use futures_util::future::join_all;
use store_core::layer::{Layers, Limits, Retry};
use store_core::{
    ErrorKind, ListOptions, Op, Operation, Outcome, Put, ReadOptions, Remove, Store, StoreAdmin,
};

use crate::recorder::When::Never;
use crate::{key, name, ns, wrapped};

fn with(limits: Limits) -> (std::sync::Arc<crate::Recorder>, std::sync::Arc<dyn StoreAdmin>) {
    wrapped(&Layers::new().limits(limits))
}

#[tokio::test]
async fn sizes_are_refused_item_by_item_and_nothing_of_an_atomic_batch_happens() {
    let (recorder, store) = with(Limits::new().max_value_len(2).max_key_len(3));
    let ns = ns();
    let puts = ["a", "long", "b", "c"].into_iter().zip(["1", "2", "333", "44"]);
    let puts: Vec<_> = puts.map(|(k, v)| Put::new(key(k), v)).collect();
    let answers = store.write_many(&ns, puts.clone()).await;
    let errors: Vec<_> = answers.iter().map(|a| a.as_ref().err()).collect();
    assert!(errors[0].is_none() && errors[3].is_none());
    for (place, k) in [(1, "long"), (2, "b")] {
        let error = errors[place].unwrap();
        assert_eq!((error.kind(), error.key()), (ErrorKind::TooLarge, Some(k)));
        assert_eq!(error.outcome(), Outcome::NotApplied);
    }
    assert_eq!(recorder.calls(), [(Operation::WriteMany, 2)], "the rest is still one batch");

    let error = store.atomic(&ns, puts.into_iter().map(Op::Put).collect()).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::TooLarge, Some("long")));
    assert!(store.read(&ns, key("long"), ReadOptions::default()).await.is_err());
    assert!(store.write(&ns, Put::new(key("k"), "333")).await.is_err());
    let removes = vec![Remove::new(key("long"))];
    assert_eq!(store.delete_many(&ns, removes).await.len(), 1);
    assert_eq!(recorder.calls(), [], "nothing of that left the layer");
}

#[tokio::test]
async fn batches_are_bounded_and_pages_clamped() {
    let (recorder, store) = with(Limits::new().max_items(2).max_page(2));
    let ns = ns();
    let puts: Vec<_> = ["a", "b", "c"].map(|k| Put::new(key(k), "1")).to_vec();
    let answers = store.write_many(&ns, puts.clone()).await;
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|a| a.as_ref().unwrap_err().kind() == ErrorKind::TooLarge));
    let ops = puts.clone().into_iter().map(Op::Put).collect();
    assert_eq!(store.atomic(&ns, ops).await.unwrap_err().kind(), ErrorKind::TooLarge);
    for put in puts {
        recorder.memory.write_many(&ns, vec![put]).await[0].as_ref().unwrap();
    }
    let page = store.list(&ns, &ListOptions::default()).await.unwrap();
    assert_eq!(page.items, ["a", "b"]);
    let mut rest = ListOptions::default();
    rest.cursor = page.next;
    assert_eq!(store.scan(&ns, &rest).await.unwrap().items.len(), 1);
    let table = store.database("app").unwrap().table("t").unwrap();
    assert_eq!(table.list().await.unwrap(), ["a", "b", "c"], "a listing just takes more pages");
}

#[tokio::test]
async fn the_lower_limit_is_the_capability() {
    let limits = Limits::new().max_value_len(7).max_key_len(8).max_items(9);
    let (_, store) = with(limits);
    let capability = store.capability(&name()).await.unwrap();
    assert_eq!(capability.max_value_len, Some(7));
    assert_eq!(capability.max_key_len, Some(8));
    assert_eq!(capability.max_atomic, Some(9));
    let (_, lower) = with(Limits::new().max_key_len(5000));
    let inner: std::sync::Arc<dyn StoreAdmin> = store;
    let both = Layers::new().limits(Limits::new().max_value_len(100)).wrap(inner);
    assert_eq!(both.capability(&name()).await.unwrap().max_value_len, Some(7));
    assert_eq!(lower.capability(&name()).await.unwrap().max_key_len, None, "it is no limit");
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_their_turn_and_a_dropped_one_gives_it_back() {
    let (recorder, store) = with(Limits::new().max_concurrent_calls(1));
    recorder.fail(Operation::Read, "hangs", 1, ErrorKind::Timeout, Never);
    let (ns, second) = (ns(), Duration::from_secs(1));
    let hanging = store.read(&ns, key("hangs"), ReadOptions::default());
    let waiting = async {
        tokio::time::sleep(second).await;
        let began = tokio::time::Instant::now();
        store.read(&ns, key("k"), ReadOptions::default()).await.unwrap();
        began.elapsed()
    };
    let (hung, waited) = tokio::join!(tokio::time::timeout(3 * second, hanging), waiting);
    assert!(hung.is_err());
    assert_eq!(waited.as_secs(), 2, "until the first was given up");
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_its_turn_as_long_as_it_may() {
    for wait in [0, 2] {
        let wait = Duration::from_secs(wait);
        let (recorder, store) = with(Limits::new().max_concurrent_calls(1).max_wait(wait));
        recorder.fail(Operation::Read, "hangs", 1, ErrorKind::Timeout, Never);
        let ns = ns();
        let hanging = store.read(&ns, key("hangs"), ReadOptions::default());
        let refused = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let began = tokio::time::Instant::now();
            let error = store.read(&ns, key("k"), ReadOptions::default()).await.unwrap_err();
            assert_eq!(began.elapsed().as_secs(), wait.as_secs());
            assert_eq!(error.kind(), ErrorKind::RateLimited);
            assert!(error.to_string().contains("too many requests"), "{error}");
            assert_eq!(error.outcome(), Outcome::NotApplied);
            let removes = vec![Remove::new(key("a")), Remove::new(key("b"))];
            let refused = store.delete_many(&ns, removes).await;
            assert_eq!(refused.iter().filter(|done| done.is_err()).count(), 2, "each of a batch");
        };
        let (hung, ()) =
            tokio::join!(tokio::time::timeout(Duration::from_secs(9), hanging), refused);
        assert!(hung.is_err());
        assert_eq!(recorder.calls(), [(Operation::Read, 1)], "nothing of that left the layer");
        store.read(&ns, key("k"), ReadOptions::default()).await.unwrap();
        let hanging = store.read(&ns, key("hangs"), ReadOptions::default());
        let closing = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            store.close().await
        };
        recorder.fail(Operation::Read, "hangs", 1, ErrorKind::Timeout, Never);
        let (_, closed) =
            tokio::join!(tokio::time::timeout(Duration::from_secs(9), hanging), closing);
        closed.expect("it waits as long as it takes");
    }
}

#[tokio::test(start_paused = true)]
async fn more_calls_a_second_are_refused_until_time_has_passed() {
    let (recorder, store) = with(Limits::new().max_calls_per_second(10));
    let pings = join_all((0..15).map(|_| store.ping())).await;
    let refused: Vec<_> = pings.into_iter().filter_map(Result::err).collect();
    assert_eq!((refused.len(), recorder.calls().len()), (5, 10));
    assert_eq!(refused[0].kind(), ErrorKind::RateLimited);
    assert!(refused[0].is_retryable());
    tokio::time::advance(Duration::from_millis(200)).await;
    let pings = join_all((0..15).map(|_| store.ping())).await;
    assert_eq!(pings.iter().filter(|ping| ping.is_ok()).count(), 2);
    store.close().await.unwrap();

    let retry = Retry::new().pauses(Duration::from_secs(1), Duration::from_secs(1));
    let layers = Layers::new().limits(Limits::new().max_calls_per_second(10)).retry(retry);
    let (_, patient) = wrapped(&layers);
    let pings = join_all((0..15).map(|_| patient.ping())).await;
    assert!(pings.iter().all(Result::is_ok), "a retry outside waits it out");
}
