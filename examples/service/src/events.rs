use std::convert::Infallible;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{self, KeepAlive, Sse};
use futures_util::stream::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store_core::typed::{Event, EventStream};
use store_core::{ErrorKind, Gone, Revision};

use crate::app::App;
use crate::error::ApiError;
use crate::profiles::{Profile, View};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    #[serde(default)]
    prefix: String,
}

/// `GET /profiles/events?prefix=a`: the present profiles, then each change, as server-sent events. A client that was away sends the
/// id of the last event it saw as `Last-Event-ID`, as browsers do, and goes on from there.
pub(crate) async fn profiles(
    State(app): State<App>,
    query: Result<Query<EventsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, ApiError> {
    let Query(query) = query?;
    let mut watch = app.profiles.watch().under(query.prefix.as_str());
    if let Some(last) = headers.get("last-event-id").filter(|id| !id.is_empty()) {
        let revision = last.to_str().ok().and_then(|id| id.parse().ok());
        watch = watch.after(revision.ok_or_else(|| {
            ApiError::invalid("Last-Event-ID is not the id of an event of this service")
        })?);
    }
    let events = show(watch.await?).map(Ok);
    let until = events.take_until(app.stopping.wait());
    Ok(Sse::new(until).keep_alive(KeepAlive::default()))
}

fn show(events: EventStream<String, Profile>) -> impl Stream<Item = sse::Event> {
    // A snapshot comes in the order of its keys, so its revisions are no place to go on from: until it is complete, events have no id,
    // and a client that loses the connection gets it again.
    let mut complete = false;
    events.map(move |event| {
        let event = match event {
            Ok(event) => event,
            // One bad record does not end the stream.
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                return named("unreadable", &json!({ "id": error.key() }));
            }
            Err(error) => return failed(error.kind()),
        };
        let revision = event.revision();
        let shown = match event {
            Event::Put(entry) => named("put", &View::of(entry)),
            Event::Delete { key, reason, .. } => {
                named("delete", &json!({ "id": key, "reason": why(reason) }))
            }
            Event::Synced { .. } => {
                complete = true;
                named("synced", &json!({}))
            }
            Event::Resync => {
                complete = false;
                named("resync", &json!({}))
            }
            _ => named("unknown", &json!({})),
        };
        with_id(shown, revision.filter(|_| complete))
    })
}

fn named(name: &str, data: &impl Serialize) -> sse::Event {
    let event = sse::Event::default().event(name);
    event.json_data(data).unwrap_or_else(|_| failed(ErrorKind::Internal))
}

fn failed(kind: ErrorKind) -> sse::Event {
    sse::Event::default().event("error").data(kind.as_str())
}

fn with_id(event: sse::Event, revision: Option<Revision>) -> sse::Event {
    match revision {
        Some(revision) => event.id(revision.to_string()),
        None => event,
    }
}

fn why(reason: Gone) -> &'static str {
    match reason {
        Gone::Deleted => "deleted",
        Gone::Expired => "expired",
        Gone::Evicted => "evicted",
        _ => "gone",
    }
}
