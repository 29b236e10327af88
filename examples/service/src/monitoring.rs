use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::app::App;
use crate::error::ApiError;

/// `GET /healthz`: healthy is who can reach the store.
pub(crate) async fn health(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    app.store.ping().await?;
    Ok(Json(json!({ "status": "ok", "store": app.store.driver() })))
}

/// `GET /metrics`: what the store did, for Prometheus.
pub(crate) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let page = app.metrics.map(|metrics| metrics.prometheus(&[]));
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], page.unwrap_or_default())
}
