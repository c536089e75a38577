//! The files of `envoy-config/`, unchanged except for addresses, names of other files, timeouts and a test's own changes.

use anyhow::{Result, ensure};

use crate::authorization_server::AuthorizationServer;
use crate::paths;
use crate::server::Service;

/// A file of `envoy-config/` with some texts replaced.
pub struct Example {
    name: String,
    text: String,
}

impl Example {
    /// Reads the file of this name, with longer timeouts for servers: a busy machine is not a failure of theirs.
    pub fn read(name: &str) -> Result<Self> {
        let path = paths::root().join("envoy-config").join(name);
        let text = std::fs::read_to_string(path)?;
        let text = HURRY.iter().fold(text, |text, (written, here)| text.replace(written, here));
        Ok(Self { name: name.to_owned(), text })
    }

    /// Replaces a text, which has to be there.
    pub fn with(mut self, written: &str, here: &str) -> Result<Self> {
        ensure!(self.text.contains(written), "envoy-config/{} has no {written}", self.name);
        self.text = self.text.replace(written, here);
        Ok(self)
    }

    pub fn text(self) -> String {
        self.text
    }
}

/// Returns a file with all components on loopback, with their ports here, and free ports for Envoy's own listeners.
pub fn on_loopback(name: &str, server: &AuthorizationServer, api: &Service) -> Result<Example> {
    located(name, server, api)?.with("target/phantom_token.wasm", &paths::filter()?.display().to_string())
}

/// Returns a file that uses the native module, likewise on loopback.
pub fn with_module(name: &str, server: &AuthorizationServer, api: &Service) -> Result<Example> {
    located(name, server, api)?.with("target/libphantom_token.so", &paths::module()?.display().to_string())
}

fn located(name: &str, server: &AuthorizationServer, api: &Service) -> Result<Example> {
    let mut example = Example::read(name)?;
    for (written, here) in [
        ("port_value: 10000", "port_value: 0".to_owned()),
        ("port_value: 9901", "port_value: 0".to_owned()),
        ("port_value: 8080", format!("port_value: {}", api.port())),
        ("port_value: 9000", format!("port_value: {}", server.port())),
        ("http://127.0.0.1:9000", server.issuer().to_owned()),
    ] {
        example = example.with(written, &here)?;
    }
    Ok(example)
}

const HURRY: [(&str, &str); 4] = [
    (r#""timeout": "2s""#, r#""timeout": "20s""#),
    (" timeout: 2s", " timeout: 20s"),
    ("connect_timeout: 1s", "connect_timeout: 20s"),
    ("connect_timeout: 0.5s", "connect_timeout: 20s"),
];
