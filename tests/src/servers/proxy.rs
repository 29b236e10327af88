//! A TCP proxy that can be disturbed: what a bad network does, when a test wants it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How the way to the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Way {
    /// Everything gets through.
    Open = 0,
    /// Connections are cut, and new ones are refused.
    Cut = 1,
    /// Requests get through; with the first answer the connection is cut.
    CutReplies = 2,
    /// Connections stay, and nothing gets through: a cable was pulled.
    Silent = 3,
}

impl Way {
    fn of(number: u8) -> Self {
        match number {
            1 => Self::Cut,
            2 => Self::CutReplies,
            3 => Self::Silent,
            _ => Self::Open,
        }
    }
}

/// A proxy to one server. Ends when it is dropped.
#[derive(Debug)]
pub struct Proxy(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    address: SocketAddr,
    way: AtomicU8,
    ended: AtomicBool,
    accepted: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// To a server on this port.
    ///
    /// # Panics
    /// When no port can be had.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            server: SocketAddr::from(([127, 0, 0, 1], port)),
            address: listener.local_addr().unwrap(),
            way: AtomicU8::new(0),
            ended: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener));
        Self(shared)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.0.address.port()
    }

    /// How many connections were made through it.
    pub fn accepted(&self) -> usize {
        self.0.accepted.load(Ordering::Relaxed)
    }

    /// Changes the way.
    pub fn set(&self, way: Way) {
        self.0.way.store(way as u8, Ordering::SeqCst);
        if way == Way::Cut {
            self.0.cut_all();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::SeqCst);
        self.0.cut_all();
        // Wakes who waits for a connection.
        drop(TcpStream::connect(self.0.address));
    }
}

impl Shared {
    fn way(&self) -> Way {
        Way::of(self.way.load(Ordering::SeqCst))
    }

    fn cut_all(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming().flatten() {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            if self.way() == Way::Cut {
                continue;
            }
            let Ok(server) = TcpStream::connect(self.server) else {
                continue;
            };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            self.accepted.fetch_add(1, Ordering::Relaxed);
            let copies =
                (client.try_clone(), server.try_clone(), client.try_clone(), server.try_clone());
            let (Ok(c1), Ok(s1), Ok(c2), Ok(s2)) = copies else {
                continue;
            };
            self.open.lock().unwrap().extend([c2, s2]);
            let (up, down) = (Arc::clone(&self), Arc::clone(&self));
            thread::spawn(move || up.copy(client, server, true));
            thread::spawn(move || down.copy(s1, c1, false));
        }
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream, is_request: bool) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(read) => read,
            };
            while self.way() == Way::Silent && !self.ended.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(5));
            }
            match self.way() {
                Way::Cut => break,
                Way::CutReplies if !is_request => break,
                _ => {}
            }
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
}
