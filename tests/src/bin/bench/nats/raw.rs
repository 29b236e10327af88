//! NATS by a bare socket, as fast as a client can be: fills buckets, and is the measure of a bulk load.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use super::setup::wrong;
use crate::Result;

/// Acknowledged publishes under way at a time.
const WINDOW: usize = 64;

/// A connection, used by one thread, which waits.
pub(crate) struct Raw {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    buffer: Vec<u8>,
}

impl Raw {
    pub(crate) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        let reader = BufReader::with_capacity(64 * 1024, stream.try_clone()?);
        let mut raw = Self { stream, reader, buffer: Vec::new() };
        let options = b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB raw.acks 1\r\nPING\r\n";
        raw.stream.write_all(options)?;
        loop {
            let line = raw.line()?;
            if line.starts_with("PONG") {
                return Ok(raw);
            }
            if line.starts_with("-ERR") {
                return Err(format!("the server refuses: {}", line.trim()).into());
            }
        }
    }

    /// Writes a record of 100 bytes to each subject.
    pub(crate) fn load(&mut self, subjects: impl Iterator<Item = String>) -> Result<usize> {
        self.publish(subjects, |out, subject| {
            out.extend_from_slice(b"PUB ");
            out.extend_from_slice(subject.as_bytes());
            out.extend_from_slice(b" raw.acks 100\r\n");
            out.extend_from_slice(&[b'v'; 100]);
            out.extend_from_slice(b"\r\n");
        })
    }

    /// Writes a deletion to each subject.
    pub(crate) fn bury(&mut self, subjects: impl Iterator<Item = String>) -> Result<usize> {
        const HEADERS: &[u8] = b"NATS/1.0\r\nKV-Operation: DEL\r\n\r\n";
        self.publish(subjects, |out, subject| {
            let size = HEADERS.len();
            out.extend_from_slice(format!("HPUB {subject} raw.acks {size} {size}\r\n").as_bytes());
            out.extend_from_slice(HEADERS);
            out.extend_from_slice(b"\r\n");
        })
    }

    fn publish(
        &mut self,
        mut subjects: impl Iterator<Item = String>,
        message: impl Fn(&mut Vec<u8>, &str),
    ) -> Result<usize> {
        let (mut sent, mut acked) = (0, 0);
        loop {
            self.buffer.clear();
            while sent - acked < WINDOW
                && let Some(subject) = subjects.next()
            {
                message(&mut self.buffer, &subject);
                sent += 1;
            }
            self.stream.write_all(&self.buffer)?;
            if acked == sent {
                return Ok(sent);
            }
            // One at least, and what has come with it.
            self.acknowledged()?;
            acked += 1;
            while acked < sent && self.reader.buffer().contains(&b'\n') {
                self.acknowledged()?;
                acked += 1;
            }
        }
    }

    fn acknowledged(&mut self) -> Result<()> {
        let line = self.line()?;
        if line.starts_with("PING") {
            self.stream.write_all(b"PONG\r\n")?;
            return self.acknowledged();
        }
        let length: usize = match line.strip_prefix("MSG ").and_then(|l| l.split(' ').next_back()) {
            Some(length) => length.trim().parse()?,
            None => return Err(format!("the server says {}", line.trim()).into()),
        };
        let mut payload = vec![0; length + 2];
        self.reader.read_exact(&mut payload)?;
        if payload.starts_with(b"{\"stream\"") {
            Ok(())
        } else {
            Err(wrong(&String::from_utf8_lossy(&payload)))
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        if line.is_empty() { Err("the server closed the connection".into()) } else { Ok(line) }
    }
}
