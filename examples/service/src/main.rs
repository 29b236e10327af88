//! A small microservice that embeds the store: profiles that expire, conditional updates, counters, paging and live changes.
//!
//! In memory by default; `STORE_URL` names any other backend, and `STORE_TIMEOUT` and the like what is put around it.
//! `SERVICE_LISTEN` is the address (`127.0.0.1:8080`), `RUST_LOG` what is logged (`info`).

mod app;
mod conditional;
mod counters;
mod error;
mod events;
mod monitoring;
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
    let (opened, database) = storage::open().await?;
    serve::serve(settings.listen, opened, &database).await
}
