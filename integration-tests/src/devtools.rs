//! A page in a real browser that a test drives as its user would: by keys, over the protocol of Chromium's developer tools.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::browser::Browser;
use crate::eventually::{eventually, soon};

/// A page.
pub struct Page {
    socket: WebSocketStream<TcpStream>,
    session: Option<String>,
    calls: u64,
    /// What the browser has reported so far, unasked.
    events: Vec<Value>,
    _browser: Browser,
}

/// What a page is looked at with.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// In CSS pixels.
    pub width: u32,
    pub height: u32,
    /// Whether its owner wants dark pages.
    pub is_dark: bool,
}

impl Page {
    /// Opens an empty page in a browser whose log is `name`'s.
    pub async fn open(name: &str, screen: Screen) -> Result<Self> {
        let browser = Browser::open(name, &["--remote-debugging-port=0", "about:blank"])?;
        let file = browser.profile().join("DevToolsActivePort");
        let mut address = String::new();
        eventually(&format!("Chromium's port, see {name}-chromium.log"), async || {
            address = std::fs::read_to_string(&file).unwrap_or_default();
            Ok(address.lines().count() > 1)
        })
        .await?;
        let (port, path) = address.trim().split_once('\n').context("no port")?;
        let stream = TcpStream::connect(format!("127.0.0.1:{port}")).await?;
        let (socket, _) =
            tokio_tungstenite::client_async(format!("ws://127.0.0.1:{port}{path}"), stream).await?;
        let mut page = Self { socket, session: None, calls: 0, events: Vec::new(), _browser: browser };
        let target = page.call("Target.createTarget", json!({"url": "about:blank"})).await?;
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let attached = page.call("Target.attachToTarget", target).await?;
        page.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Network", "Log", "Runtime"] {
            page.call(&format!("{domain}.enable"), json!({})).await?;
        }
        page.look_with(screen).await?;
        Ok(page)
    }

    /// Goes to an address and waits until this expression is true there.
    pub async fn visit(&mut self, url: &str, is_ready: &str) -> Result<()> {
        self.call("Page.navigate", json!({"url": url})).await?;
        self.wait_for(is_ready).await
    }

    /// Waits until an expression is true.
    pub async fn wait_for(&mut self, expression: &str) -> Result<()> {
        eventually(expression, async || Ok(self.evaluate(expression).await.is_ok_and(|value| value == true)))
            .await
    }

    /// The value of an expression, or of its promise.
    pub async fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let arguments = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", arguments).await?;
        ensure!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        Ok(result["result"]["value"].clone())
    }

    /// Presses a key of this name, `Tab` or `ArrowRight` say, with these modifiers: 2 is Control, 8 is Shift.
    pub async fn press(&mut self, key: &str, modifiers: u8) -> Result<()> {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "ArrowRight" => (39, ""),
            "Delete" => (46, ""),
            _ => (key.chars().next().map_or(0, |letter| letter.to_ascii_uppercase() as u32), ""),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut arguments = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers});
            if kind == "keyDown" && !text.is_empty() {
                arguments["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", arguments).await?;
        }
        Ok(())
    }

    /// Types a text where the focus is.
    pub async fn type_text(&mut self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({"text": text})).await.map(drop)
    }

    /// Looks at it with another screen.
    pub async fn look_with(&mut self, Screen { width, height, is_dark }: Screen) -> Result<()> {
        let is_phone = width < 600;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone});
        self.call("Emulation.setDeviceMetricsOverride", metrics).await?;
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features})).await.map(drop)
    }

    /// A picture of all of it, as PNG.
    pub async fn picture(&mut self, path: &Path) -> Result<()> {
        let picture = self.call("Page.captureScreenshot", json!({"captureBeyondViewport": true})).await?;
        let picture = picture["data"].as_str().context("no picture")?;
        Ok(std::fs::write(path, STANDARD.decode(picture)?)?)
    }

    /// What the browser has reported of this kind, `Network.requestWillBeSent` say.
    pub fn events(&self, method: &str) -> Vec<&Value> {
        let events = self.events.iter().filter(|event| event["method"] == method);
        events.map(|event| &event["params"]).collect()
    }

    async fn call(&mut self, method: &str, arguments: Value) -> Result<Value> {
        self.calls += 1;
        let mut call = json!({"id": self.calls, "method": method, "params": arguments});
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(call.to_string())).await?;
        loop {
            let message = soon(method, self.socket.next()).await?.context("Chromium has ended")??;
            let Message::Text(text) = message else { continue };
            let message: Value = serde_json::from_str(&text)?;
            if message["id"] == self.calls {
                ensure!(message["error"].is_null(), "{method}: {}", message["error"]);
                return Ok(message["result"].clone());
            }
            self.events.push(message);
        }
    }
}
