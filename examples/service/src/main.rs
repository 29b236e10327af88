//! A small microservice that embeds the store: profiles that expire, conditional updates, counters, paging and live changes.
//!
//! In memory by default; `STORE_URL` names any other backend. `SERVICE_LISTEN` is the address (`127.0.0.1:8080`), `RUST_LOG` what is
//! logged (`info`).

mod app;
mod conditional;
mod counters;
mod error;
mod events;
mod health;
mod profiles;
mod serve;
mod settings;
mod storage;
mod telemetry;

use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = settings::Settings::from_env()?;
    telemetry::init(&settings.log);
    let store = storage::open(&settings.store_url)?;
    serve::serve(settings.listen, store).await
}
