//! Typed tables over the memory driver.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use store_core::typed::{Change, Codec, Event, Json, TypedTable};
use store_core::{ErrorKind, Expiry, Gone, Metadata, Operation, Result, Store, Timestamp, Updated};
use store_memory::Memory;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Profile {
    name: String,
    visits: u32,
}

fn profile(name: &str, visits: u32) -> Profile {
    Profile { name: name.to_owned(), visits }
}

fn table<V>() -> Result<TypedTable<String, V>> {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    Ok(store.database("app")?.table("t")?.typed())
}

fn spawnable<T: Send>(future: T) -> T {
    future
}

#[tokio::test]
async fn one_record_through_every_verb() -> Result<()> {
    let profiles = table::<Profile>()?;
    let ada = profile("Ada", 1);
    assert_eq!(profiles.read("ada").await?, None);

    let metadata = Metadata::new().with("by", "test")?;
    let first = profiles
        .write("ada", &ada)
        .ttl(Duration::from_mins(1))
        .metadata(metadata.clone())
        .if_absent()
        .await?;
    let again = profiles.write("ada", &ada).if_absent().await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);

    let entry = profiles.read(&"ada".to_owned()).strong().await?.unwrap();
    assert_eq!((entry.key.as_str(), &entry.value), ("ada", &ada));
    assert_eq!((entry.revision(), entry.metadata()), (first.revision, &metadata));
    let left = entry.ttl().unwrap();
    assert!(left <= Duration::from_mins(1) && left > Duration::from_secs(50), "{left:?}");
    assert!(entry.expires_at().unwrap() > SystemTime::now());

    profiles.set_expiry("ada", Expiry::Never).await?.unwrap();
    assert_eq!(profiles.read("ada").await?.unwrap().ttl(), None);
    let stale = profiles.delete("ada").if_revision(first.revision.unwrap()).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Conflict);
    assert!(profiles.exists("ada").await?);
    assert_eq!(profiles.delete("ada").await?.existed, Some(true));
    assert!(!profiles.exists("ada").await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_lose_nothing_and_keep_the_rest() -> Result<()> {
    let profiles = table::<Profile>()?;
    let metadata = Metadata::new().with("by", "test")?;
    let write = profiles.write("ada", &profile("Ada", 0)).metadata(metadata.clone());
    write.ttl(Duration::from_mins(1)).await?;
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let profiles = profiles.clone();
        tasks.push(tokio::spawn(spawnable(async move {
            for _ in 0..25 {
                profiles
                    .update("ada", |old| {
                        let old = old.unwrap();
                        Change::write(Profile { visits: old.visits + 1, ..old.clone() })
                    })
                    .await?;
            }
            Ok::<_, store_core::Error>(())
        })));
    }
    for task in tasks {
        task.await.unwrap()?;
    }
    let entry = profiles.read("ada").await?.unwrap();
    assert_eq!(entry.value.visits, 200);
    assert!(entry.ttl().is_some() && entry.metadata() == &metadata);

    assert_eq!(profiles.update("ada", |_| Change::Nothing).await?, Updated::Unchanged);
    let over = profiles.update("ada", |_| {
        Change::write(profile("A", 1)).with_expiry(Expiry::Never).with_metadata(Metadata::new())
    });
    assert!(matches!(over.await?, Updated::Written(Some(_))));
    let entry = profiles.read("ada").await?.unwrap();
    assert!(entry.ttl().is_none() && entry.metadata().is_empty());
    assert_eq!(profiles.update("ada", |_| Change::Remove).await?, Updated::Removed);
    Ok(())
}

#[tokio::test]
async fn what_does_not_decode_names_the_key_and_hides_the_value() -> Result<()> {
    let profiles = table::<Profile>()?;
    let table = profiles.table();
    profiles.write("a", &profile("Ada", 1)).await?;
    table.write("b", "\"hidden\"").await?;
    profiles.write("c", &profile("Cleo", 3)).await?;

    let error = profiles.read("b").await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Corrupt, Some("b")));
    assert_eq!(error.operation(), Some(Operation::Read));
    assert!(error.to_string().starts_with("memory: read app/t \"b\": "), "{error}");
    assert!(!format!("{error:?}").contains("hidden"), "{error:?}");

    let error = profiles.update("b", |_| Change::Remove).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Corrupt, Some("b")));
    assert!(table.exists("b").await?, "a failed update changes nothing");

    let page = profiles.scan().page().await?;
    let names: Vec<_> = page.items.iter().map(|entry| &*entry.value.name).collect();
    assert_eq!(names, ["Ada", "Cleo"]);
    assert_eq!(page.faults.len(), 1);
    assert_eq!(page.faults[0].key(), Some("b"));

    let stream: Vec<_> = profiles.scan().stream().collect().await;
    let oks: Vec<_> = stream.iter().map(std::result::Result::is_ok).collect();
    assert_eq!(oks, [true, false, true]);
    assert_eq!(profiles.scan().await.unwrap_err().kind(), ErrorKind::Corrupt);

    let many = profiles.read_many(&["c", "", "b", "none"]).await;
    assert_eq!(many[0].as_ref().unwrap().as_ref().unwrap().value.name, "Cleo");
    assert_eq!(many[1].as_ref().unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(many[2].as_ref().unwrap_err().key(), Some("b"));
    assert_eq!(many[3].as_ref().unwrap(), &None);

    // Expiry and deletion do not look at the value.
    assert!(profiles.exists("b").await?);
    assert_eq!(profiles.delete("b").await?.existed, Some(true));
    Ok(())
}

#[tokio::test]
async fn keys_list_in_the_order_of_their_values() -> Result<()> {
    let numbers = table::<i64>()?.with_keys::<i64>();
    let mut keys = [5, -3, 0, i64::MIN, 10, -20, i64::MAX, 9];
    for key in keys {
        numbers.write(&key, &key).await?;
    }
    keys.sort_unstable();
    assert_eq!(numbers.list().await?, keys);
    let from = numbers.list().start_after(&-3).before(&10).await?;
    assert_eq!(from, [0, 5, 9]);

    let mut all = Vec::new();
    let mut page = numbers.scan().before(&10).page_size(2).page().await?;
    while let Some(next) = page.next.take() {
        all.append(&mut page.items);
        page = numbers.scan().before(&10).page_size(2).cursor(next).page().await?;
    }
    all.append(&mut page.items);
    let values: Vec<_> = all.iter().map(|entry| entry.value).collect();
    assert_eq!(values, keys[..6]);
    assert_eq!(numbers.list().before(&10).offset(2).limit(2).await?, [-3, 0]);
    Ok(())
}

#[tokio::test]
async fn listings_go_under_leading_components() -> Result<()> {
    let logs = table::<u8>()?.with_keys::<(String, u32, Timestamp)>();
    let at = |ms| Timestamp::from_millis(ms).unwrap();
    for (name, id) in [("a", 1), ("a", 2), ("a.", 1), ("a-b", 1), ("ab", 1), ("", 1)] {
        for ms in [2_000, 1_000] {
            logs.write(&(name, id, at(ms)), &1).await?;
        }
    }
    let under = logs.list_under(&("a",)).await?;
    let a = |id, ms| ("a".to_owned(), id, at(ms));
    assert_eq!(under, [a(1, 1_000), a(1, 2_000), a(2, 1_000), a(2, 2_000)]);
    assert_eq!(logs.list_under(&("a.", 1)).await?.len(), 2);
    assert_eq!(logs.scan_under(&("",)).await?.len(), 2);
    assert_eq!(logs.list_under(&("b",)).await?, []);
    assert_eq!(logs.list().await?.len(), 12);

    let names = table::<u8>()?;
    names.write("user/ada", &1).await?;
    names.write("user/bob", &1).await?;
    assert_eq!(names.list_under("user/b").await?, ["user/bob"]);
    Ok(())
}

#[tokio::test]
async fn watches_are_typed() -> Result<()> {
    let seats = table::<bool>()?.with_keys::<(u8, char)>();
    seats.write(&(1, 'a'), &true).await?;
    let mut events = seats.watch().under(&(1,)).await?;
    let mut one = seats.watch().key(&(1, 'b')).changes_only().await?;
    assert!(matches!(events.next().await.unwrap()?, Event::Put(e) if e.key == (1, 'a') && e.value));
    assert!(matches!(events.next().await.unwrap()?, Event::Synced { .. }));

    seats.write(&(2, 'a'), &true).await?;
    seats.table().write("001.x", "?").await?;
    seats.write(&(1, 'b'), &false).await?;
    seats.delete(&(1, 'a')).await?;
    let error = events.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Corrupt, Some("001.x")));
    let put = events.next().await.unwrap()?;
    assert!(put.revision().is_some() && put.key() == Some(&(1, 'b')));
    let gone = events.next().await.unwrap()?;
    assert!(matches!(gone, Event::Delete { key: (1, 'a'), reason: Gone::Deleted, .. }));
    assert_eq!(one.next().await.unwrap()?.key(), Some(&(1, 'b')));

    let mut resumed = seats.watch().after(put.revision().unwrap()).await?;
    assert_eq!(resumed.next().await.unwrap()?.key(), Some(&(1, 'a')));
    Ok(())
}

#[tokio::test]
async fn many_at_once() -> Result<()> {
    let sizes = table::<u16>()?.with_keys::<(u8, String)>();
    let long = "x".repeat(store_core::MAX_KEY_LEN);
    let done = sizes.write_many([((1, "a"), 10), ((1, &long), 0), ((1, "b"), 20)]).await;
    assert!(done[0].is_ok() && done[2].is_ok());
    assert_eq!(done[1].as_ref().unwrap_err().kind(), ErrorKind::TooLarge);
    let read = sizes.read_many(&[(1, "b"), (1, "a")]).await;
    let values: Vec<_> = read.into_iter().map(|e| e.unwrap().unwrap().value).collect();
    assert_eq!(values, [20, 10]);

    let a = sizes.read(&(1, "a")).await?.unwrap().revision().unwrap();
    let swap = || {
        sizes
            .batch()
            .check_revision(&(1, "a"), a)
            .check_absent(&(2, "a"))
            .delete(&(1, "b"))
            .create(&(1, "c"), &30)
            .write_until(&(1, "a"), &11, Expiry::After(Duration::from_mins(1)))
    };
    assert_eq!(swap().commit().await?.len(), 5);
    assert_eq!(swap().commit().await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(
        swap().write(&(1, &long), &1).commit().await.unwrap_err().kind(),
        ErrorKind::TooLarge
    );
    assert_eq!(sizes.list().await?, [(1, "a".to_owned()), (1, "c".to_owned())]);
    assert!(sizes.read(&(1, "a")).await?.unwrap().ttl().is_some());
    let gone = sizes.delete_many(&[(1, "c"), (1, "none")]).await;
    assert!(gone.iter().all(std::result::Result::is_ok));
    assert!(!sizes.exists(&(1, "c")).await?);
    Ok(())
}

#[tokio::test]
async fn floats_come_back_exactly() -> Result<()> {
    let floats = table::<f64>()?;
    for value in [9.007_199_254_740_999e30, 0.1 + 0.2, f64::MIN_POSITIVE, 5e-324, f64::MAX] {
        floats.write("f", &value).metadata(Metadata::new().with("f", value)?).await?;
        let entry = floats.read("f").await?.unwrap();
        assert_eq!(entry.value.to_bits(), value.to_bits(), "{value:e}");
        let again = Metadata::parse(&entry.metadata().to_json())?;
        assert_eq!(&again, entry.metadata(), "{value:e}");
    }
    Ok(())
}

/// A codec of a user's own: JSON, reversed.
#[derive(Clone, Debug)]
struct Backwards;

impl Codec for Backwards {
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Vec<u8>> {
        Json.encode(value).map(|mut bytes| {
            bytes.reverse();
            bytes
        })
    }

    fn decode<V: serde::de::DeserializeOwned>(&self, bytes: &[u8]) -> Result<V> {
        Json.decode(&bytes.iter().rev().copied().collect::<Vec<_>>())
    }
}

#[tokio::test]
async fn codecs_are_exchangeable() -> Result<()> {
    let pairs = table::<(u8, u8)>()?.with_codec(Backwards).with_keys::<u8>();
    pairs.write(&1, &(2, 3)).await?;
    assert_eq!(pairs.table().read("001").await?.unwrap().value(), b"]3,2[");
    assert_eq!(pairs.read(&1).await?.unwrap().value, (2, 3));
    Ok(())
}

#[cfg(feature = "bincode")]
#[tokio::test]
async fn bincode_values_are_small_and_bounded() -> Result<()> {
    use store_core::typed::Bincode;
    let profiles = table::<Profile>()?.with_codec(Bincode);
    profiles.write("ada", &profile("Ada", 300)).await?;
    assert_eq!(profiles.table().read("ada").await?.unwrap().value(), b"\x03Ada\xfb\x2c\x01");
    assert_eq!(profiles.read("ada").await?.unwrap().value.visits, 300);
    // A length of 2^40 bytes.
    profiles.table().write("bad", &[253, 0, 0, 0, 0, 0, 1, 0, 0]).await?;
    let error = profiles.read("bad").await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Corrupt, Some("bad")));
    let large = profile(&"x".repeat(Bincode::MAX_LEN), 1);
    let error = profiles.write("large", &large).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::TooLarge, Some("large")));
    Ok(())
}

#[tokio::test]
async fn nothing_shows_a_value() -> Result<()> {
    let profiles = table::<Profile>()?;
    let secret = profile("hidden", 1);
    let texts = [
        format!("{:?}", profiles.write("k", &secret)),
        format!("{:?}", profiles.batch().write("k", &secret)),
        format!("{profiles:?} {:?}", profiles.read("k")),
    ];
    profiles.write("k", &secret).await?;
    let entry = profiles.read("k").await?.unwrap();
    assert!(!format!("{texts:?} {entry:?} {:?}", Event::Put(entry.clone())).contains("hidden"));
    Ok(())
}
