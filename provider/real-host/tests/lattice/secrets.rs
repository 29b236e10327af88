//! A secrets backend, as hosts ask one: what they send and are sent is sealed.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use nkeys::XKey;
use serde_json::{Value, json};

use super::Lattice;

/// Where the host looks for secrets backends.
pub(crate) const PREFIX: &str = "secrets";
const BACKEND: &str = "test";

impl Lattice {
    /// Serves secrets by their keys until the test ends.
    pub(crate) async fn serve_secrets(&self, secrets: &[(&str, &str)]) {
        let secrets: HashMap<_, _> =
            secrets.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let nats = self.nats.clone();
        let mut asked = nats.subscribe(format!("{PREFIX}.v1alpha1.{BACKEND}.*")).await.unwrap();
        nats.flush().await.unwrap();
        tokio::spawn(async move {
            let own = XKey::new();
            while let Some(message) = asked.next().await {
                let reply = message.reply.clone().unwrap();
                if message.subject.ends_with(".server_xkey") {
                    nats.publish(reply, own.public_key().into()).await.unwrap();
                    continue;
                }
                let headers = message.headers.unwrap();
                let host = headers.get("WasmCloud-Host-Xkey").unwrap().as_str();
                let host = XKey::from_public_key(host).unwrap();
                let request = own.open(&message.payload, &host).unwrap();
                let request: Value = serde_json::from_slice(&request).unwrap();
                let jwt = request["context"]["entity_jwt"].as_str().unwrap();
                assert!(!jwt.is_empty(), "the archive says who asks");
                let found = secrets.get(request["key"].as_str().unwrap()).unwrap();
                let secret = json!({"version": "1", "string_secret": found, "binary_secret": null});
                let sealed = own.seal(json!({"secret": secret}).to_string().as_bytes(), &host);
                let mut headers = async_nats::HeaderMap::new();
                headers.insert("Server-Response-Xkey", own.public_key().as_str());
                let sealed = sealed.unwrap().into();
                nats.publish_with_headers(reply, headers, sealed).await.unwrap();
            }
        });
    }

    /// A reference to a secret, by which links and providers are given it as this setting.
    pub(crate) async fn secret(&self, reference: &str, setting: &str, key: &str) {
        assert!(reference.starts_with("SECRET_"), "so hosts tell references from configuration");
        let policy = json!({"type": "properties.secret.wasmcloud.dev/v1alpha1", "properties": {}});
        self.config(
            reference,
            &[
                ("type", "secret.wasmcloud.dev/v1alpha1"),
                ("name", setting),
                ("backend", BACKEND),
                ("key", key),
                ("policy", &policy.to_string()),
            ],
        )
        .await;
    }
}
