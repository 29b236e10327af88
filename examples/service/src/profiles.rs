use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use store_core::{Condition, Cursor, Error, ErrorKind, Expiry, Record, Revision};

use crate::app::App;
use crate::conditional::{condition, etag};
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
    fn new(id: &str, profile: Profile, revision: Option<Revision>, ttl: Option<Duration>) -> Self {
        Self {
            id: id.to_owned(),
            profile,
            revision: revision.map(|revision| revision.to_string()),
            expires_in: ttl.map(|ttl| humantime::format_duration(ttl).to_string()),
        }
    }

    /// # Errors
    /// `Corrupt` when what is stored is no profile.
    pub(crate) fn of(record: &Record) -> Result<Self, Error> {
        let profile = serde_json::from_slice(record.value()).map_err(|error| {
            Error::new(ErrorKind::Corrupt, "what is stored is no profile")
                .with_key(record.key())
                .with_source(error)
        })?;
        Ok(Self::new(record.key(), profile, record.revision(), record.ttl()))
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
    let record = app.profiles.read(&id).await?;
    let record = record.ok_or_else(|| ApiError::absent("profile"))?;
    Ok(show(StatusCode::OK, record.revision(), View::of(&record)?))
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
    let condition = condition(&headers)?;
    let ttl = query.ttl.as_deref().map(duration).transpose()?;
    let value = serde_json::to_vec(&profile)
        .map_err(|error| Error::new(ErrorKind::Internal, "not JSON").with_source(error))?;
    let status = match condition {
        Condition::Absent => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    let written = app
        .profiles
        .write(&id, value)
        .expiry(ttl.map_or(Expiry::Database, Expiry::After))
        .condition(condition)
        .await?;
    let view = View::new(&id, profile, written.revision, ttl);
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
    let condition = condition(&headers)?;
    app.profiles.delete(&id).condition(condition).await?;
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
    let mut scan = app.profiles.scan().prefix(query.prefix).page_size(query.limit);
    if let Some(cursor) = query.cursor {
        scan = scan.cursor(cursor.parse::<Cursor>()?);
    }
    let page = scan.page().await?;
    let mut shown = ListPage {
        profiles: Vec::with_capacity(page.items.len()),
        unreadable: Vec::new(),
        next: page.next.map(|cursor| cursor.to_string()),
    };
    let views = page.items.iter().map(View::of);
    for view in views.chain(page.faults.into_iter().map(Err)) {
        match view {
            Ok(view) => shown.profiles.push(view),
            Err(error) => {
                tracing::warn!(%error, "left out");
                shown.unreadable.extend(error.key().map(str::to_owned));
            }
        }
    }
    Ok(Json(shown))
}
