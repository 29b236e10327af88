use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::app::App;
use crate::error::ApiError;

/// `GET /healthz`: healthy is who can reach the store.
pub(crate) async fn check(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    app.store.ping().await?;
    Ok(Json(json!({ "status": "ok", "store": app.store.driver() })))
}
