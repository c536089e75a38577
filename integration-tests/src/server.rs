//! HTTP servers on loopback that live as long as the process, whichever test started them.

use std::sync::LazyLock;

use anyhow::Result;
use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

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

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
