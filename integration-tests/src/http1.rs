//! HTTP/1.1 by hand, message by message on a kept-alive connection: for servers that break the protocol, and for hundreds of clients. It
//! reads only what Envoy writes here, where every body has a `content-length`.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection, and the bytes that were read from it beyond the last message.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A request or a response.
pub(crate) struct Message {
    /// Everything before the body.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Reads the next message. Returns `None` if the other side has closed the connection between messages. Cancel safe.
    pub(crate) async fn read(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some((message, length)) = complete(&self.buffer)? {
                self.buffer.drain(..length);
                return Ok(Some(message));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// Sends these bytes, whatever they are.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Closes the connection with an RST, which discards what the other side has not read yet.
    pub(crate) fn reset(self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }

    /// Waits until the other side closes the connection, and discards what it sends until then.
    pub(crate) async fn closed(&mut self) -> io::Result<()> {
        while self.stream.read_buf(&mut self.buffer).await? > 0 {
            self.buffer.clear();
        }
        Ok(())
    }
}

impl Message {
    pub(crate) fn status(&self) -> Option<u16> {
        self.head.split(' ').nth(1)?.parse().ok()
    }

    /// The values of a field, whose name is in lower case, as Envoy writes it.
    pub(crate) fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        fields(&self.head, name)
    }
}

fn complete(buffer: &[u8]) -> io::Result<Option<(Message, usize)>> {
    let Some(end) = buffer.windows(END.len()).position(|window| window == END) else { return Ok(None) };
    let head = String::from_utf8(buffer[..end].to_vec()).map_err(|_| io::ErrorKind::InvalidData)?;
    if fields(&head, "transfer-encoding").next().is_some() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let length = fields(&head, "content-length").next().map_or(Ok(0), str::parse::<usize>);
    let (begin, length) = (end + END.len(), length.map_err(|_| io::ErrorKind::InvalidData)?);
    let body = buffer.get(begin..begin + length).map(<[u8]>::to_vec);
    Ok(body.map(|body| (Message { head, body }, begin + length)))
}

fn fields<'a>(head: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    pairs.filter(move |(own, _)| *own == name).map(|(_, value)| value)
}

const END: &[u8] = b"\r\n\r\n";
