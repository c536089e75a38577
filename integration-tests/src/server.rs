//! HTTP servers on loopback that live as long as the process, independent of the test that started them.

use std::sync::LazyLock;

use anyhow::Result;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::received::Received;

/// A service behind the ingress, and the requests that it received.
#[derive(Clone)]
pub struct Service {
    port: u16,
    heads: Received,
}

impl Service {
    /// Serves `app` on a free port of loopback.
    pub fn start(app: Router) -> Result<Self> {
        let heads = Received::default();
        let port = serve(app.layer(middleware::from_fn_with_state(heads.clone(), note)))?;
        Ok(Self { port, heads })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The headers of all requests.
    pub fn heads(&self) -> Received {
        self.heads.clone()
    }

    /// The headers of the requests with this name that arrived, or with this path and query if they have no name.
    pub fn received(&self, name: &str) -> Vec<HeaderMap> {
        self.heads.named(name)
    }
}

/// Serves `app` on a free port of loopback. Returns the port.
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
