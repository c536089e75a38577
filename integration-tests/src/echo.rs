//! A WebSocket service behind the ingress. It accepts every handshake, with the protocol `chat`
//! where that is offered, and sends every message back.

use anyhow::Result;
use axum::Router;
use axum::extract::WebSocketUpgrade;
use axum::extract::ws::{Message, WebSocket};
use axum::http::HeaderMap;
use axum::response::Response;

use crate::received::Received;
use crate::server;

/// The service, running.
#[derive(Clone)]
pub struct Echo {
    port: u16,
    received: Received,
}

impl Echo {
    /// Starts the service.
    pub fn start() -> Result<Self> {
        let (port, received) = server::serve_and_note(Router::new().fallback(accept))?;
        Ok(Self { port, received })
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The heads of all that arrives.
    pub fn heads(&self) -> Received {
        self.received.clone()
    }

    /// The heads of the handshakes of this name that arrived.
    pub fn received(&self, name: &str) -> Vec<HeaderMap> {
        self.received.named(name)
    }
}

/// The one subprotocol that the service speaks.
pub const CHAT: &str = "chat";

async fn accept(handshake: WebSocketUpgrade) -> Response {
    handshake.protocols([CHAT]).on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let is_data = matches!(message, Message::Text(_) | Message::Binary(_));
        if is_data && socket.send(message).await.is_err() {
            return;
        }
    }
}
