//! Whether a watch can go on after a revision: whether the stream surely still has everything since.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value as Json, json};
use store_core::{Result, Revision};

use crate::table::Table;
use crate::wire::feed::COMPACTED;
use crate::wire::stored::instant;

/// The sequence to go on after; `None` when something since may be missing.
pub(crate) async fn after(view: &Table, revision: Revision) -> Result<Option<u64>> {
    let Some(sequence) = view.sequence(revision) else { return Ok(None) };
    let first = view.known.config.get("first_seq").and_then(Json::as_u64);
    if first.is_some_and(|first| sequence + 1 < first) || view.known.max_age.is_some() {
        return Ok(None);
    }
    let (js, stream) = (&view.shared.js, &view.bucket.stream);
    let info = js.stream_info(stream, &Json::Null, view.deadline).await;
    let info = info.map_err(|fault| fault.into_error(false))?.unwrap_or_default();
    let state =
        |name: &str| info.pointer(&format!("/state/{name}")).and_then(Json::as_u64).unwrap_or(0);
    let (last, messages) = (state("last_seq"), state("messages"));
    // Written by another stream of this name, or everything since was purged.
    if sequence > last || (messages == 0 && sequence < last) {
        return Ok(None);
    }
    // Deletions since may have been compacted away.
    let compacted = info.pointer(COMPACTED).and_then(Json::as_str);
    if compacted.and_then(|text| text.parse().ok()).is_some_and(|to: u64| sequence < to) {
        return Ok(None);
    }
    if !view.known.ttl || sequence == last {
        return Ok(Some(sequence));
    }
    // What the server removes by itself it keeps a while longer: is the revision from within that while?
    let old = view.shared.now().as_millis().saturating_sub(retained(view).as_millis() as u64);
    let old = UNIX_EPOCH + Duration::from_millis(old);
    let body = json!({
        "batch": 1,
        "start_time": humantime::format_rfc3339_millis(old).to_string(),
        "next_by_subj": ">",
    });
    let batch = js.batch(stream, &body, view.deadline).await;
    let batch = batch.map_err(|fault| fault.into_error(false))?;
    let recent = batch.messages.first().is_some_and(|m| m.sequence <= sequence);
    Ok((recent || is_young(view, &info)).then_some(sequence))
}

/// For how long an expiry can surely still be seen.
fn retained(view: &Table) -> Duration {
    view.shared.rules.expired_retention / 2
}

/// Whether the whole stream is younger than what the server keeps longer.
fn is_young(view: &Table, info: &Json) -> bool {
    let created = info.get("created").and_then(Json::as_str).and_then(instant);
    created
        .and_then(|at| at.checked_add(retained(view)))
        .is_some_and(|until| until > view.shared.now())
}
