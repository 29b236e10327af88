//! What a call allocates, through a `Table` handle and `Arc<dyn Store>` on the memory driver: its boxed future, and what it keeps.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::future::{Future, IntoFuture};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use store_core::{Store, Table};

/// How many allocations a call makes. The driver never waits, so that one poll is all of it.
fn allocations<T, C>(call: impl FnOnce() -> C) -> u64
where
    C: IntoFuture<Output = store_core::Result<T>>,
{
    let mut context = Context::from_waker(Waker::noop());
    let counted = allocation_counter::measure(|| {
        let future = pin!(call().into_future());
        let Poll::Ready(answer) = future.poll(&mut context) else {
            panic!("the memory driver waited");
        };
        assert!(answer.is_ok());
    });
    counted.count_total
}

fn table() -> Table {
    let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
    let table = store.database("app").unwrap().table("t").unwrap();
    // The first calls make the table and its shards.
    for key in ["k", "other"] {
        allocations(|| table.write(key, "a value"));
        allocations(|| table.read(key));
    }
    allocations(|| table.increment("hits", 10));
    table
}

#[test]
fn a_read_allocates_its_boxed_future_at_most() {
    let table = table();
    let count = allocations(|| table.read("k"));
    println!("read: {count} allocations");
    assert!(count <= 1, "{count}");
}

#[test]
fn a_write_allocates_its_boxed_future_and_the_record_at_most() {
    let table = table();
    let value = [b'v'; 100];
    let count = allocations(|| table.write("k", &value));
    println!("write: {count} allocations");
    assert!(count <= 2, "{count}");
}

#[test]
fn a_delete_and_an_increment_allocate_their_boxed_future_at_most() {
    let table = table();
    for (verb, count) in [
        ("delete", allocations(|| table.delete("k"))),
        ("delete of nothing", allocations(|| table.delete("k"))),
        ("increment", allocations(|| table.increment("hits", 1))),
    ] {
        println!("{verb}: {count} allocations");
        assert!(count <= 1, "{verb}: {count}");
    }
}
