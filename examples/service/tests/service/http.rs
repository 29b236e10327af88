//! An HTTP client of a page: one request a connection, and server-sent events as they come.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Nothing here takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Request {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

pub(crate) fn request(method: &'static str, target: impl Into<String>) -> Request {
    Request { method, target: target.into(), headers: Vec::new(), body: String::new() }
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e} in {:?}", self.body))
    }

    pub(crate) fn etag(&self) -> &str {
        &self.headers["etag"]
    }

    /// The error's kind, of a response that must be an error in JSON with just this status.
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        let error = &self.json()["error"];
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
        error["kind"].as_str().unwrap().to_owned()
    }
}

impl Request {
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn json(self, body: impl Into<String>) -> Self {
        let mut typed = self.header("content-type", "application/json");
        typed.body = body.into();
        typed
    }

    async fn send(self, to: SocketAddr) -> (BufReader<TcpStream>, u16, HashMap<String, String>) {
        let mut stream = BufReader::new(TcpStream::connect(to).await.unwrap());
        let Self { method, target, headers, body } = self;
        let mut text = format!("{method} {target} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n");
        for (name, value) in headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        let _ = write!(text, "content-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
        let mut headers = HashMap::new();
        loop {
            line.clear();
            stream.read_line(&mut line).await.unwrap();
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        (stream, status, headers)
    }

    pub(crate) async fn to(self, to: SocketAddr) -> Response {
        let all = async {
            let (mut stream, status, headers) = self.send(to).await;
            let mut body = String::new();
            stream.read_to_string(&mut body).await.unwrap();
            Response { status, headers, body }
        };
        timeout(PATIENCE, all).await.expect("an answer")
    }

    pub(crate) async fn events(self, to: SocketAddr) -> Events {
        let (stream, status, headers) = timeout(PATIENCE, self.send(to)).await.expect("an answer");
        assert_eq!((status, &*headers["content-type"]), (200, "text/event-stream"));
        assert_eq!(headers["transfer-encoding"], "chunked");
        Events { stream, text: String::new() }
    }
}

/// The server-sent events of a response.
pub(crate) struct Events {
    stream: BufReader<TcpStream>,
    /// What has come and is not yet a whole event.
    text: String,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

impl Events {
    /// The next event; `None` when the server ended the stream properly.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        timeout(PATIENCE, async {
            loop {
                if let Some((event, rest)) = self.text.split_once("\n\n") {
                    let parsed = parse(event);
                    self.text = rest.into();
                    // A comment keeps the connection alive, and is no event.
                    if !parsed.name.is_empty() {
                        return Some(parsed);
                    }
                    continue;
                }
                let chunk = self.chunk().await?;
                self.text += &chunk;
            }
        })
        .await
        .expect("an event or the end")
    }

    async fn chunk(&mut self) -> Option<String> {
        let mut size = String::new();
        self.stream.read_line(&mut size).await.unwrap();
        let size = usize::from_str_radix(size.trim_end(), 16).expect("the size of a chunk");
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).await.unwrap();
        chunk.truncate(size);
        (size > 0).then(|| String::from_utf8(chunk).unwrap())
    }
}

fn parse(text: &str) -> Event {
    let mut event = Event::default();
    for (field, value) in text.lines().filter_map(|line| line.split_once(": ")) {
        match field {
            "event" => value.clone_into(&mut event.name),
            "id" => event.id = Some(value.to_owned()),
            "data" => event.data = serde_json::from_str(value).expect("JSON"),
            _ => {}
        }
    }
    event
}
