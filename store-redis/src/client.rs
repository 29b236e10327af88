//! What the client crate is told of a server.

use redis::io::tcp::TcpSettings;
use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion,
    RedisConnectionInfo,
};
use store_core::{Error, Result};

use crate::config::{Config, host};

/// Who asks, and for which of the server's numbered databases.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Login<'a> {
    username: Option<&'a String>,
    password: Option<&'a String>,
    db: u32,
}

impl<'a> Login<'a> {
    /// To a server with data.
    pub(crate) fn of(config: &'a Config) -> Self {
        let (username, password) = (config.username.as_ref(), config.password.as_ref());
        Self { username, password, db: config.db }
    }

    /// To a Sentinel.
    pub(crate) fn of_sentinel(config: &'a Config) -> Self {
        let username = config.sentinel_username.as_ref();
        Self { username, password: config.sentinel_password.as_ref(), db: 0 }
    }
}

/// For a server at `host`, `host:port` or the path of a socket.
pub(crate) fn client(server: &str, login: Login<'_>, config: &Config) -> Result<Client> {
    let wrong = |error: redis::RedisError| {
        Error::config("the connection is configured wrongly").with_source(error)
    };
    let address = match host(server)? {
        None => ConnectionAddr::Unix(server.into()),
        Some((host, port)) if config.tls => {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        }
        Some((host, port)) => ConnectionAddr::Tcp(host, port),
    };
    let mut settings = RedisConnectionInfo::default()
        .set_db(i64::from(login.db))
        // Tells when the connection is lost.
        .set_protocol(ProtocolVersion::RESP3);
    if let Some(username) = login.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = login.password {
        settings = settings.set_password(password);
    }
    let info = address
        .into_connection_info()
        .map_err(wrong)?
        .set_tcp_settings(TcpSettings::default().set_nodelay(true))
        .set_redis_settings(settings);
    build(info, config).map_err(wrong)
}

#[cfg(not(feature = "tls"))]
fn build(info: ConnectionInfo, _: &Config) -> redis::RedisResult<Client> {
    Client::open(info)
}

#[cfg(feature = "tls")]
fn build(info: ConnectionInfo, config: &Config) -> redis::RedisResult<Client> {
    if !config.tls {
        return Client::open(info);
    }
    // The application's provider, if it chose one before.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let pem = |text: &String| text.clone().into_bytes();
    let client_tls =
        config.tls_cert.as_ref().zip(config.tls_key.as_ref()).map(|(cert, key)| {
            redis::ClientTlsConfig { client_cert: pem(cert), client_key: pem(key) }
        });
    let certificates =
        redis::TlsCertificates { client_tls, root_cert: config.tls_ca.as_ref().map(pem) };
    Client::build_with_tls(info, certificates)
}
