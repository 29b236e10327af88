//! What Go-Micro's calls select, in order of the keys whatever order the store lists in.

use crate::capability::Feature;
use crate::error::{ErrorKind, Result};
use crate::handle::{Listing, Table};
use crate::micro::options::Selection;
use crate::options::{DEFAULT_PAGE, Page};
use crate::record::Record;

/// What a listing has.
pub(super) trait Item: Send + 'static {
    fn key(&self) -> &str;
}

impl Item for String {
    fn key(&self) -> &str {
        self
    }
}

impl Item for Record {
    fn key(&self) -> &str {
        Self::key(self)
    }
}

/// The items of a selection, in order: filters first, then the offset, then the limit. Where the store does not list in byte order
/// they are put in order here, which takes all that match.
pub(super) async fn gather<'a, T: Item>(
    table: &Table,
    selection: &Selection,
    all: impl Fn() -> Listing<'a, T> + Send + Sync,
) -> Result<Vec<T>> {
    let found = ordered(selection, &all).await;
    if found.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unsupported) {
        // Asked only then: for most stores it is a question to the server.
        let capability = table.store().capability(table.namespace().database()).await?;
        if !capability.has(Feature::ByteOrder) {
            return sorted(selection, &all).await;
        }
    }
    found
}

async fn ordered<'a, T: Item>(
    selection: &Selection,
    all: &(impl Fn() -> Listing<'a, T> + Send + Sync),
) -> Result<Vec<T>> {
    let limit = limit(selection);
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let listing = filtered(all(), selection).page_size(DEFAULT_PAGE.min(limit - found.len()));
        let page = match cursor {
            None => listing.offset(selection.offset),
            Some(cursor) => listing.cursor(cursor),
        };
        cursor = take(page.page().await?, &mut found);
        if cursor.is_none() || found.len() >= limit {
            found.truncate(limit);
            return Ok(found);
        }
    }
}

async fn sorted<'a, T: Item>(
    selection: &Selection,
    all: &(impl Fn() -> Listing<'a, T> + Send + Sync),
) -> Result<Vec<T>> {
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let listing = filtered(all(), selection).any_order().page_size(DEFAULT_PAGE);
        let page = match cursor {
            None => listing,
            Some(cursor) => listing.cursor(cursor),
        };
        cursor = take(page.page().await?, &mut found);
        if cursor.is_none() {
            break;
        }
    }
    found.sort_by(|a, b| a.key().cmp(b.key()));
    // Any order may show a key twice.
    found.dedup_by(|a, b| a.key() == b.key());
    Ok(found.into_iter().skip(selection.offset).take(limit(selection)).collect())
}

fn limit(selection: &Selection) -> usize {
    if selection.limit == 0 { usize::MAX } else { selection.limit }
}

fn filtered<'a, T: Item>(mut listing: Listing<'a, T>, selection: &Selection) -> Listing<'a, T> {
    if let Some(prefix) = &selection.prefix {
        listing = listing.prefix(prefix);
    }
    if let Some(suffix) = &selection.suffix {
        listing = listing.suffix(suffix);
    }
    listing
}

/// Takes what a page has, and says where the next one begins.
fn take<T>(page: Page<T>, found: &mut Vec<T>) -> Option<crate::Cursor> {
    for fault in page.faults {
        // Go's list of records has no place for it, and one bad record must not hide the others.
        tracing::warn!(error = %fault, "a record was left out");
    }
    found.extend(page.items);
    page.next
}
