//! HTTP servers on loopback that live as long as the process, independent of the test that started them.

use std::sync::LazyLock;

use anyhow::Result;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::received::Received;

/// Serves `app` on a free port of loopback, and gives the port and what arrives there.
pub fn serve_and_note(app: Router) -> Result<(u16, Received)> {
    let received = Received::default();
    let port = serve(app.layer(middleware::from_fn_with_state(received.clone(), note)))?;
    Ok((port, received))
}

/// Serves `app` on a free port of loopback, and gives the port.
pub fn serve(app: Router) -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    RUNTIME.spawn(async move {
        let listener = TcpListener::from_std(listener)?;
        axum::serve(listener, app).await
    });
    Ok(port)
}

async fn note(State(received): State<Received>, request: Request, next: Next) -> Response {
    received.note(request.uri(), request.headers());
    next.run(request).await
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
