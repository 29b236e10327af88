use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use store_core::config::Opened;
use store_core::layer::Metrics;
use store_core::typed::TypedTable;
use store_core::{Database, Result, StoreAdmin, Table};
use tokio::sync::watch;
use tracing::Instrument as _;

use crate::error::ApiError;
use crate::profiles::Profile;
use crate::{counters, events, monitoring, profiles};

/// The largest body that is read.
const MAX_BODY: usize = 64 * 1024;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) store: Arc<dyn StoreAdmin>,
    pub(crate) metrics: Option<Metrics>,
    pub(crate) profiles: TypedTable<String, Profile>,
    pub(crate) counters: Table,
    pub(crate) stopping: Stopping,
}

impl App {
    pub(crate) fn new(opened: &Opened, database: &Database, stopping: Stopping) -> Result<Self> {
        Ok(Self {
            store: Arc::clone(&opened.store),
            metrics: opened.metrics.clone(),
            profiles: database.table("profiles")?.typed(),
            counters: database.table("counters")?,
            stopping,
        })
    }
}

/// Tells that the service is about to stop.
#[derive(Clone)]
pub(crate) struct Stopping(watch::Receiver<bool>);

impl Stopping {
    pub(crate) fn new(flag: watch::Receiver<bool>) -> Self {
        Self(flag)
    }

    /// Returns when it stops.
    pub(crate) async fn wait(mut self) {
        // An error means that the sender is gone, and with it the service.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/profiles", get(profiles::list))
        .route("/profiles/events", get(events::profiles))
        .route("/profiles/{id}", get(profiles::get).put(profiles::put).delete(profiles::delete))
        .route("/counters/{name}", post(counters::add).get(counters::get))
        .route("/healthz", get(monitoring::health))
        .route("/metrics", get(monitoring::metrics))
        .fallback(|| async { ApiError::new(StatusCode::NOT_FOUND, "not_found", "no such path") })
        .method_not_allowed_fallback(|| async {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path has other methods",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(trace))
        .with_state(app)
}

/// A span for each request, and a line when it was answered.
async fn trace(request: Request, next: Next) -> Response {
    let span =
        tracing::info_span!("request", method = %request.method(), path = request.uri().path());
    let started = Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    span.in_scope(|| tracing::info!(status, ?elapsed, "answered"));
    response
}
