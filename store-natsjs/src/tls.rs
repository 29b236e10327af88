//! TLS towards the servers.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;

use async_nats::ConnectOptions;
use async_nats::rustls::pki_types::pem::PemObject as _;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::rustls::{ClientConfig, RootCertStore};
use store_core::{Error, Result};

/// TLS, as far as it differs from what the URL asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    pub(crate) required: bool,
    pub(crate) first: bool,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) ca_text: Option<String>,
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    pub(crate) fn apply(&self, mut options: ConnectOptions) -> Result<ConnectOptions> {
        if self.required {
            options = options.require_tls(true);
        }
        if self.first {
            options = options.tls_first();
        }
        let ca = match (&self.ca_text, &self.ca_file) {
            (Some(_), Some(_)) => {
                return Err(Error::config(
                    "give the TLS authorities as a file or as text, not both",
                ));
            }
            (Some(text), None) => Some(text.as_bytes().to_vec()),
            (None, Some(file)) => {
                let read = std::fs::read(file);
                Some(read.map_err(|e| bad("the file of TLS authorities cannot be read", e))?)
            }
            (None, None) => None,
        };
        if let Some(ca) = ca {
            return Ok(options.tls_client_config(self.own_config(&ca)?));
        }
        if let Some((certificate, key)) = &self.certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(options)
    }

    fn own_config(&self, ca: &[u8]) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca) {
            let certificate =
                certificate.map_err(|e| bad("the TLS authorities are no PEM text", e))?;
            roots.add(certificate).map_err(|e| bad("a TLS authority cannot be used", e))?;
        }
        if roots.is_empty() {
            return Err(Error::config("the TLS authorities hold no certificate"));
        }
        // Named, since without a name rustls panics where a program links two.
        let provider = Arc::new(async_nats::rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| bad("TLS cannot be used", e))?
            .with_root_certificates(roots);
        let Some((certificate, key)) = &self.certificate else {
            return Ok(config.with_no_client_auth());
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .map_err(|e| bad("the client's certificate cannot be read", e))?;
        let key = PrivateKeyDer::from_pem_file(key)
            .map_err(|e| bad("the key of the client's certificate cannot be read", e))?;
        config
            .with_client_auth_cert(chain, key)
            .map_err(|e| bad("the client's certificate and key do not fit", e))
    }
}

fn bad(what: &'static str, why: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::config(what).with_source(why)
}

/// Whether it is about TLS, also where the client library takes it for a fault of the connection.
pub(crate) fn is_tls(error: &async_nats::ConnectError) -> bool {
    use async_nats::rustls::Error as Tls;
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<Tls>() || inner.and_then(|inner| inner.downcast_ref::<Tls>()).is_some() {
            return true;
        }
        cause = error.source();
    }
    error.kind() == async_nats::ConnectErrorKind::Tls
}
