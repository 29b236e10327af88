//! What people sign in to NATS with, made by the tests: operators, accounts, users and their JWTs; authorities and certificates.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair as CertificateKey};
use serde_json::{Value as Json, json};

/// An operator with accounts, as the tool `nsc` would make them.
pub(crate) struct Operator {
    root: KeyPair,
    system: KeyPair,
    account: KeyPair,
}

impl Operator {
    pub(crate) fn new() -> Self {
        Self {
            root: KeyPair::new_operator(),
            system: KeyPair::new_account(),
            account: KeyPair::new_account(),
        }
    }

    pub(crate) fn server_lines(&self) -> String {
        let kind = json!({ "type": "operator", "system_account": self.system.public_key() });
        let operator = jwt(&self.root, &self.root, "operator", &kind);
        let account = |key: &KeyPair, jetstream: i64| {
            let claims = json!({
                "type": "account",
                "limits": {
                    "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
                    "wildcards": true, "conn": -1, "leaf": -1,
                    "mem_storage": jetstream, "disk_storage": jetstream,
                    "streams": jetstream, "consumer": jetstream,
                },
                "default_permissions": { "pub": {}, "sub": {} },
            });
            jwt(&self.root, key, "account", &claims)
        };
        format!(
            "operator: {operator}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload {{\n {}: {}\n {}: {}\n}}",
            self.system.public_key(),
            self.account.public_key(),
            account(&self.account, -1),
            self.system.public_key(),
            account(&self.system, 0),
        )
    }

    /// A user's JWT.
    pub(crate) fn user(&self, user: &KeyPair) -> String {
        let claims =
            json!({ "type": "user", "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1 });
        jwt(&self.account, user, "user", &claims)
    }
}

pub(crate) fn jwt(issuer: &KeyPair, subject: &KeyPair, name: &str, claims: &Json) -> String {
    let mut claims = claims.clone();
    claims["version"] = 2.into();
    let body = json!({
        "jti": subject.public_key(), "iat": 1_700_000_000, "iss": issuer.public_key(),
        "name": name, "sub": subject.public_key(), "nats": claims,
    });
    let part = |json: &Json| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed =
        format!("{}.{}", part(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(&body));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

/// The text of a `.creds` file.
pub(crate) fn creds(jwt: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         ************************* IMPORTANT *************************\n\
         NKEY Seed printed below can be used to sign and prove identity.\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

/// Certificates: an authority, and a server and a client that it vouches for.
pub(crate) struct Certificates {
    dir: PathBuf,
    pub(crate) ca: String,
}

impl Certificates {
    pub(crate) fn new(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let key = CertificateKey::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        for (name, host) in [("server", "127.0.0.1"), ("elsewhere", "10.0.0.1"), ("client", "app")]
        {
            let key = CertificateKey::generate().unwrap();
            let params = CertificateParams::new([host.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            std::fs::write(dir.join(format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        std::fs::write(dir.join("ca.pem"), &ca).unwrap();
        Self { dir: dir.to_owned(), ca }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What a server's configuration says of TLS by these.
    pub(crate) fn server_lines(&self, name: &str, more: &str) -> String {
        format!(
            "tls {{ cert_file: \"{0}/{name}.pem\", key_file: \"{0}/{name}.key\", ca_file: \"{0}/ca.pem\", timeout: 10, {more} }}",
            self.dir.display()
        )
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub(crate) fn certificates(name: &str) -> Certificates {
    let id = std::process::id();
    Certificates::new(&std::env::temp_dir().join(format!("store-nats-tls-{id}-{name}")))
}
