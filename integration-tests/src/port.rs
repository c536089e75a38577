//! Loopback ports that are known before a program listens there, for two components that have to know each other's.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpSocket};

/// A port reserved for the lifetime of this value. A process of the same user that shares ports (SO_REUSEPORT), as Envoy does,
/// can listen there.
pub struct ReservedPort {
    _socket: TcpSocket,
    number: u16,
}

impl ReservedPort {
    /// Reserves a free port.
    pub fn new() -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseport(true)?;
        socket.bind(([127, 0, 0, 1], 0).into())?;
        let number = socket.local_addr()?.port();
        Ok(Self { _socket: socket, number })
    }

    /// Listens on the port. When the listener is dropped, connections are refused again.
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

/// Returns a port that was free a moment ago, for a program that does not share ports.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Returns a port that was free a moment ago, for a program that does not share ports and restarts on the same one: it is outside the range
/// of ephemeral ports, so no connection takes it meanwhile.
pub fn lasting_port() -> Result<u16> {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let of_connections = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let end: u32 = of_connections.split_whitespace().next().context("no range")?.parse()?;
    let count = end.checked_sub(FIRST_LASTING).filter(|count| *count > 0).context("no port is left")?;
    // Other test processes start their search elsewhere.
    let start = std::process::id().wrapping_mul(PRIME);
    for _ in 0..count {
        let next = start.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed)) % count;
        let port = u16::try_from(FIRST_LASTING + next)?;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port is free")
}

const FIRST_LASTING: u32 = 10_000;
const PRIME: u32 = 7919;
const BACKLOG: u32 = 1024;
