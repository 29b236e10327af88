//! For drivers: what a watch has shown of a snapshot.

use std::collections::HashSet;

use crate::options::Event;

/// For drivers: the records that a watch has shown while its snapshot was not complete. Changes that come in between are told as they
/// are, but of what ends only what was shown: the end of another record is none of the snapshot.
///
/// ```
/// use store_core::{Event, Gone, Key, Record, Shown};
///
/// let put = Event::Put(Record::builder(Key::new("a")?, "v").build());
/// let end = |key: &str| Event::Delete { key: key.into(), revision: None, reason: Gone::Deleted };
/// let mut shown = Shown::default();
/// assert!(shown.is_news(&end("b")), "no snapshot: everything is");
/// shown.begin();
/// assert!(shown.is_news(&put) && shown.contains("a"));
/// assert!(shown.is_news(&end("a")) && !shown.is_news(&end("b")));
/// shown.end();
/// assert!(shown.is_news(&end("b")));
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Shown(Option<HashSet<String>>);

impl Shown {
    /// A snapshot begins, or begins anew: nothing is shown yet.
    pub fn begin(&mut self) {
        self.0 = Some(HashSet::new());
    }

    /// There is no snapshot any more: it is complete, or was none.
    pub fn end(&mut self) {
        self.0 = None;
    }

    /// Whether a record was shown, and has not ended since.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.0.as_ref().is_some_and(|shown| shown.contains(key))
    }

    /// Whether an event is to be told; it counts as told then.
    #[must_use]
    pub fn is_news(&mut self, event: &Event) -> bool {
        match (&mut self.0, event) {
            (Some(shown), Event::Put(record)) => {
                shown.insert(record.key().to_owned());
                true
            }
            (Some(shown), Event::Delete { key, .. }) => shown.remove(key),
            _ => true,
        }
    }
}
