//! A WebSocket service behind the ingress. It accepts every handshake, with the protocol `chat` if that is offered, and echoes every
//! message.

use anyhow::Result;
use axum::Router;
use axum::extract::WebSocketUpgrade;
use axum::extract::ws::{Message, WebSocket};
use axum::response::Response;

use crate::server::Service;

pub fn start() -> Result<Service> {
    Service::start(Router::new().fallback(accept))
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
