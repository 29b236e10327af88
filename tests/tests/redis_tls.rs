//! Encrypted connections to a real server, with an authority and a client's certificate made for the test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use store_core::ErrorKind;
use store_core::config::Registry;
use tests::servers::redis::Server;

/// An authority, and what it certified, as files.
struct Certificates(PathBuf);

impl Certificates {
    fn make(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("store-tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        // Another name than what it certifies has: else that would be taken for certified by itself.
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(dir.join("ca.crt"), authority.pem()).unwrap();
        for who in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &authority).unwrap();
            fs::write(dir.join(format!("{who}.crt")), certificate.pem()).unwrap();
            fs::write(dir.join(format!("{who}.key")), key.serialize_pem()).unwrap();
        }
        Self(dir)
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).to_str().unwrap().to_owned()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that wants a client's certificate on its encrypted port, and that port.
fn start(certificates: &Certificates) -> (Server, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let [ca, cert, key] =
        ["ca.crt", "server.crt", "server.key"].map(|file| certificates.path(file));
    let server = Server::with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-ca-cert-file",
        &ca,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        "yes",
    ]);
    (server, port)
}

#[tokio::test]
async fn only_the_right_certificates_on_both_sides_open_an_encrypted_store() {
    let (ours, others) = (Certificates::make("ours"), Certificates::make("others"));
    let (_server, port) = start(&ours);
    let registry = Registry::new().with(store_redis::driver());
    let url = |ca: Option<&Certificates>, client: Option<&Certificates>| {
        let mut url = format!("rediss://127.0.0.1:{port}/app?connect_timeout=2s");
        if let Some(ca) = ca {
            url = format!("{url}&tls_ca={}", ca.path("ca.crt"));
        }
        if let Some(client) = client {
            let (cert, key) = (client.path("client.crt"), client.path("client.key"));
            url = format!("{url}&tls_cert={cert}&tls_key={key}");
        }
        url
    };

    let opened = registry.open(&url(Some(&ours), Some(&ours))).await.unwrap();
    let table = opened.handle().unwrap().table("t").unwrap();
    let large = vec![7; 300_000];
    table.write("k", "v").await.unwrap();
    table.write("large", &large).await.unwrap();
    assert_eq!(table.value("k").await.unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(table.value("large").await.unwrap().as_deref(), Some(&large[..]));

    for (what, url) in [
        ("an unknown authority", url(None, Some(&ours))),
        ("another authority", url(Some(&others), Some(&ours))),
        ("no client's certificate", url(Some(&ours), None)),
        ("another's client", url(Some(&ours), Some(&others))),
        ("no encryption", format!("redis://127.0.0.1:{port}/app")),
    ] {
        let begun = Instant::now();
        let error = registry.open(&url).await.expect_err(what);
        assert!(
            matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout),
            "{what}: {error}"
        );
        assert!(begun.elapsed() < Duration::from_secs(4), "{what}: {:?}", begun.elapsed());
        assert!(!format!("{error:?}").contains("PRIVATE KEY"), "{what}");
    }
}
