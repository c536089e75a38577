//! WebSockets through the gateway (RFC 6455).

use std::pin::pin;

use anyhow::{Context, Result};
use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

use super::world::World;
use crate::eventually::soon;

pub struct WebSocket {
    stream: WebSocketStream<TcpStream>,
    /// The subprotocol that the service selected.
    pub protocol: Option<String>,
}

impl World {
    /// Performs a handshake with this name and these fields. Returns the WebSocket, or the status of the refusal.
    pub async fn handshake(
        &self,
        listener: &str,
        name: &str,
        path: &str,
        fields: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Result<WebSocket, u16>> {
        let mut request = format!("ws://api.example.com{path}").into_client_request()?;
        request.headers_mut().insert("x-request-name", name.parse()?);
        for (field, value) in fields {
            request.headers_mut().append(field, value.parse()?);
        }
        let stream = TcpStream::connect(("127.0.0.1", self.envoy.client(listener).port())).await?;
        let handshake = pin!(tokio_tungstenite::client_async(request, stream));
        match soon("the handshake", handshake).await? {
            Ok((stream, answer)) => {
                let chosen = answer.headers().get("sec-websocket-protocol");
                let protocol = chosen.map(|value| value.to_str().map(str::to_owned)).transpose()?;
                Ok(Ok(WebSocket { stream, protocol }))
            }
            Err(tungstenite::Error::Http(response)) => Ok(Err(response.status().as_u16())),
            Err(other) => Err(other.into()),
        }
    }
}

impl WebSocket {
    /// Sends a message, and waits until the service has echoed it.
    pub async fn is_echoed(&mut self, message: Message) -> Result<()> {
        self.stream.send(message.clone()).await?;
        let echoed = soon("an echo", self.stream.next()).await?.context("the service hung up")??;
        assert_eq!(echoed, message);
        Ok(())
    }
}
