use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use store_core::typed::Entry;
use store_core::{Cursor, Expiry, Revision};

use crate::app::App;
use crate::conditional::{If, condition, etag};
use crate::error::ApiError;

/// What a profile holds.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

impl Profile {
    fn check(&self) -> Result<(), ApiError> {
        if self.name.trim().is_empty() {
            return Err(ApiError::invalid("a profile needs a name"));
        }
        Ok(())
    }
}

/// A profile as it is shown.
#[derive(Serialize)]
pub(crate) struct View {
    id: String,
    #[serde(flatten)]
    profile: Profile,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<String>,
}

impl View {
    fn new(
        id: String,
        profile: Profile,
        revision: Option<Revision>,
        ttl: Option<Duration>,
    ) -> Self {
        Self {
            id,
            profile,
            revision: revision.map(|revision| revision.to_string()),
            expires_in: ttl.map(|ttl| humantime::format_duration(ttl).to_string()),
        }
    }

    pub(crate) fn of(entry: Entry<String, Profile>) -> Self {
        let (revision, ttl) = (entry.revision(), entry.ttl());
        Self::new(entry.key, entry.value, revision, ttl)
    }
}

fn show(status: StatusCode, revision: Option<Revision>, view: View) -> Response {
    let mut response = (status, Json(view)).into_response();
    etag(response.headers_mut(), revision);
    response
}

/// `GET /profiles/{id}`
pub(crate) async fn get(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = id?;
    let entry = app.profiles.read(&id).await?.ok_or_else(|| ApiError::absent("profile"))?;
    Ok(show(StatusCode::OK, entry.revision(), View::of(entry)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutQuery {
    ttl: Option<String>,
}

/// `PUT /profiles/{id}?ttl=1h`: writes the whole profile; without `ttl` it stays as long as the database
/// says, which is for ever unless configured. `If-Match` updates just that version,
/// `If-None-Match: *` only creates.
pub(crate) async fn put(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<PutQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Json<Profile>, JsonRejection>,
) -> Result<Response, ApiError> {
    let (Path(id), Query(query), Json(profile)) = (id?, query?, body?);
    profile.check()?;
    let ttl = query.ttl.as_deref().map(duration).transpose()?;
    let write =
        app.profiles.write(&id, &profile).expiry(ttl.map_or(Expiry::Database, Expiry::After));
    let (status, write) = match condition(&headers)? {
        If::Any => (StatusCode::OK, write),
        If::Absent => (StatusCode::CREATED, write.if_absent()),
        If::Match(revision) => (StatusCode::OK, write.if_revision(revision)),
    };
    let written = write.await?;
    let view = View::new(id, profile, written.revision, ttl);
    Ok(show(status, written.revision, view))
}

fn duration(text: &str) -> Result<Duration, ApiError> {
    humantime::parse_duration(text).map_err(|error| {
        ApiError::invalid(format!("ttl is no duration such as 90s or 1h: {error}"))
    })
}

/// `DELETE /profiles/{id}`: also when there is none. `If-Match` deletes just that version.
pub(crate) async fn delete(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let Path(id) = id?;
    let delete = app.profiles.delete(&id);
    match condition(&headers)? {
        If::Any => delete.await?,
        If::Match(revision) => delete.if_revision(revision).await?,
        If::Absent => return Err(ApiError::invalid("what is absent cannot be deleted")),
    };
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    #[serde(default)]
    prefix: String,
    #[serde(default = "twenty")]
    limit: usize,
    cursor: Option<String>,
}

fn twenty() -> usize {
    20
}

#[derive(Serialize)]
pub(crate) struct ListPage {
    profiles: Vec<View>,
    /// Ids of records that are no profiles: one bad record does not hide the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<String>,
    /// The `cursor` of the next page; none on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /profiles?prefix=a&limit=10&cursor=…`
pub(crate) async fn list(
    State(app): State<App>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<ListPage>, ApiError> {
    let Query(query) = query?;
    if !(1..=100).contains(&query.limit) {
        return Err(ApiError::invalid("limit must be 1 to 100"));
    }
    let mut scan = app.profiles.scan().under(query.prefix.as_str()).page_size(query.limit);
    if let Some(cursor) = query.cursor {
        scan = scan.cursor(cursor.parse::<Cursor>()?);
    }
    let page = scan.page().await?;
    let unreadable = page.faults.into_iter().filter_map(|fault| {
        tracing::warn!(%fault, "left out");
        fault.key().map(str::to_owned)
    });
    Ok(Json(ListPage {
        unreadable: unreadable.collect(),
        profiles: page.items.into_iter().map(View::of).collect(),
        next: page.next.map(|cursor| cursor.to_string()),
    }))
}
