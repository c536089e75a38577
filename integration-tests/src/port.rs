//! Loopback ports that are known before a program listens there: for two parts that have to know each other's.

use anyhow::Result;
use tokio::net::{TcpListener, TcpSocket};

/// A port reserved for the lifetime of this value. A process of the same user that shares ports (SO_REUSEPORT), as Envoy does,
/// can listen there.
pub struct ReservedPort {
    _socket: TcpSocket,
    number: u16,
}

impl ReservedPort {
    /// Reserves one.
    pub fn new() -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseport(true)?;
        socket.bind(([127, 0, 0, 1], 0).into())?;
        let number = socket.local_addr()?.port();
        Ok(Self { _socket: socket, number })
    }

    /// Listens there. When the listener is dropped, connections are refused again.
    pub fn listen(&self) -> Result<TcpListener> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseport(true)?;
        socket.bind(([127, 0, 0, 1], self.number).into())?;
        Ok(socket.listen(BACKLOG)?)
    }

    pub fn number(&self) -> u16 {
        self.number
    }
}

/// A port that was free a moment ago, for a program that does not share ports.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

const BACKLOG: u32 = 1024;
