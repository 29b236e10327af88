//! A TCP proxy on loopback, for async tests and the conformance suite: it can be cut or slowed, so that a test can disturb the
//! way between a store and its server.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use store_core::async_trait;
use store_core::conformance::Faults;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Everything.
    Open,
    /// Nothing: connections are dropped, and new ones too.
    Cut,
    /// Requests, but no answers.
    NoReplies,
    /// Everything, each piece so much later.
    Slow(Duration),
    /// Half of a piece of a request, and then the connection is cut; new ones in the same way.
    HalfARequest,
}

/// See the [module](self). Clones are the same proxy; it lives as long as its runtime.
#[derive(Clone)]
pub struct Proxy {
    address: SocketAddr,
    way: Arc<watch::Sender<Way>>,
}

impl Proxy {
    /// A proxy to a port on loopback.
    ///
    /// # Panics
    /// When there is no port for it.
    pub async fn start(to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (way, look) = watch::channel(Way::Open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let look = look.clone();
                if *look.borrow() == Way::Cut {
                    continue;
                }
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
                    let (client_in, client_out) = client.into_split();
                    let (server_in, server_out) = server.into_split();
                    tokio::select! {
                        () = carry(client_in, server_out, look.clone(), false) => {}
                        () = carry(server_in, client_out, look, true) => {}
                    }
                });
            }
        });
        Self { address, way: Arc::new(way) }
    }

    /// Where it listens, as a NATS URL.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Changes what gets through.
    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

/// Carries bytes one way until the way is cut, or bytes were lost and it opens again.
async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut look: watch::Receiver<Way>,
    replies: bool,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut lost = false;
    loop {
        let way = *look.borrow_and_update();
        if way == Way::Cut || (lost && way != Way::NoReplies) {
            return;
        }
        tokio::select! {
            changed = look.changed() => if changed.is_err() { return },
            read = from.read(&mut buffer) => {
                let Ok(n @ 1..) = read else { return };
                let way = *look.borrow();
                if way == Way::NoReplies && replies {
                    lost = true;
                    continue;
                }
                if let Way::Slow(by) = way {
                    tokio::time::sleep(by).await;
                }
                if way == Way::HalfARequest && !replies {
                    let _ = to.write_all(&buffer[..n / 2]).await;
                    return;
                }
                if to.write_all(&buffer[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[async_trait]
impl Faults for Proxy {
    async fn cut(&self) {
        self.set(Way::Cut);
    }

    async fn cut_replies(&self) {
        self.set(Way::NoReplies);
    }

    async fn heal(&self) {
        self.set(Way::Open);
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}, {:?})", self.address, *self.way.borrow())
    }
}
