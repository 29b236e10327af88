use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use store_core::Counter;

use crate::app::App;
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct By {
    #[serde(default = "one")]
    by: i64,
}

fn one() -> i64 {
    1
}

#[derive(Serialize)]
pub(crate) struct Count {
    name: String,
    value: i64,
}

/// `POST /counters/{name}?by=1`
pub(crate) async fn add(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<By>, QueryRejection>,
) -> Result<Json<Count>, ApiError> {
    let (Path(name), Query(By { by })) = (name?, query?);
    let value = app.counters.increment(&name, by).await?.value;
    Ok(Json(Count { name, value }))
}

/// `GET /counters/{name}`
pub(crate) async fn get(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Count>, ApiError> {
    let Path(name) = name?;
    let record = app.counters.read(&name).await?;
    let record = record.ok_or_else(|| ApiError::absent("counter"))?;
    // A counter is an ordinary record that holds a decimal number.
    let value = Counter::next(Some(record.value()), 0)?;
    Ok(Json(Count { name, value }))
}
