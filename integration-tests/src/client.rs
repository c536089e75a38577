//! A client that sends requests byte by byte as specified: odd header values, repeated fields, raw paths. It speaks HTTP/1.1, or HTTP/2
//! without TLS.

use anyhow::{Context, Result, ensure};
use axum::http::HeaderMap;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::eventually::soon;

/// A client of one port of loopback.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    port: u16,
    protocol: Protocol,
}

/// The version of HTTP that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 9112.
    Http1,
    /// RFC 9113, with prior knowledge.
    Http2,
}

#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    /// A client of `127.0.0.1:port` that speaks HTTP/1.1.
    pub fn to_port(port: u16) -> Self {
        Self { port, protocol: Protocol::Http1 }
    }

    /// Returns the same client with this protocol.
    #[must_use]
    pub fn speaking(self, protocol: Protocol) -> Self {
        Self { protocol, ..self }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends a request on a new connection.
    pub async fn send(&self, request: Request) -> Result<Answer> {
        let exchange = async { exchange(self.connect().await?, self.protocol, request).await };
        soon("the answer", exchange).await?
    }

    /// Sends these bytes and returns what the server sends until it closes the connection.
    pub async fn send_raw(&self, bytes: &[u8]) -> Result<String> {
        let exchange = async {
            let mut stream = self.connect().await?;
            stream.write_all(bytes).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        soon("the answer", exchange).await?
    }

    /// Sends a request without reading the response. Dropping the connection disconnects the client.
    pub async fn start(&self, request: &Request) -> Result<TcpStream> {
        let mut stream = self.connect().await?;
        stream.write_all(&request.bytes()).await?;
        Ok(stream)
    }

    async fn connect(&self) -> Result<TcpStream> {
        Ok(TcpStream::connect(("127.0.0.1", self.port)).await?)
    }
}

/// Sends a request on this connection, which is closed afterwards.
pub(crate) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    protocol: Protocol,
    request: Request,
) -> Result<Answer> {
    match protocol {
        Protocol::Http1 => Connection::over(stream).await?.send(request).await,
        Protocol::Http2 => {
            let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
            let (mut sender, connection) = handshake.await?;
            tokio::spawn(connection);
            answer(sender.send_request(request.into_http2()?).await?).await
        }
    }
}

/// A persistent HTTP/1.1 connection.
pub struct Connection(hyper::client::conn::http1::SendRequest<Full<Bytes>>);

impl Connection {
    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self> {
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Sends a request once the previous response has been read.
    pub async fn send(&mut self, request: Request) -> Result<Answer> {
        answer(self.0.send_request(request.into_http1()?).await?).await
    }
}

async fn answer(response: hyper::Response<hyper::body::Incoming>) -> Result<Answer> {
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}

/// Opens a tunnel to a destination through the server of this connection, with CONNECT, and returns its inside.
pub(crate) async fn tunnel(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    destination: &str,
) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await?;
    tokio::spawn(connection);
    let connect = hyper::Request::connect(destination).body(Full::new(Bytes::new()))?;
    let response = sender.send_request(connect).await?;
    ensure!(response.status() == 200, "no tunnel: {}", response.status());
    Ok(TokioIo::new(hyper::upgrade::on(response).await?))
}

impl Request {
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path, Vec::new())
    }

    pub fn post(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", path, body.into())
    }

    pub fn new(method: impl Into<String>, path: impl Into<String>, body: Vec<u8>) -> Self {
        Self { method: method.into(), path: path.into(), headers: Vec::new(), body }
    }

    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path and query.
    pub fn path(&self) -> &str {
        &self.path
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Adds a parameter to the query.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        let separator = if self.path.contains('?') { '&' } else { '?' };
        self.path.push_str(&format!("{separator}{name}={value}"));
        self
    }

    /// Names the request, so that a test can ask the API for it.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.header("x-request-name", name)
    }

    fn into_http1(self) -> Result<hyper::Request<Full<Bytes>>> {
        let names_host = self.headers.iter().any(|(name, _)| name == "host");
        let request = if names_host { self } else { self.header("host", HOST) };
        request.with_target(|path| path.to_owned())
    }

    /// Converts the request to HTTP/2, which splits the target into `:scheme`, `:authority` and `:path` (RFC 9113 §8.3.1).
    fn into_http2(mut self) -> Result<hyper::Request<Full<Bytes>>> {
        let host = self.headers.extract_if(.., |(name, _)| name == "host").last();
        let host =
            host.map_or_else(|| HOST.to_owned(), |(_, host)| String::from_utf8_lossy(&host).into_owned());
        self.with_target(|path| format!("http://{host}{path}"))
    }

    fn with_target(self, target: impl Fn(&str) -> String) -> Result<hyper::Request<Full<Bytes>>> {
        let mut builder = hyper::Request::builder().method(self.method.as_str()).uri(target(&self.path));
        for (name, value) in self.headers {
            builder = builder.header(name, value);
        }
        Ok(builder.body(Full::new(Bytes::from(self.body)))?)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\nhost: {HOST}\r\n", self.method, self.path).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", self.body.len()).as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Formats the request line and the credentials.
impl std::fmt::Display for Request {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.method, self.path)?;
        for (_, value) in self.headers.iter().filter(|(name, _)| name == "authorization") {
            write!(formatter, "   authorization: {}", String::from_utf8_lossy(value))?;
        }
        Ok(())
    }
}

impl Answer {
    /// Returns the value of a header field, empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The `Authorization` values that the API received, if it was the API that responded.
    pub fn forwarded_authorization(&self) -> Vec<String> {
        let fields = self.json().ok().and_then(|body| body["authorization"].as_array().cloned());
        fields.unwrap_or_default().iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    }
}

const HOST: &str = "api.example.com";
