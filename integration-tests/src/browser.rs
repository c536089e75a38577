//! A real browser, headless Chromium, driven through WebDriver as a user would: it sees what is on the page, clicks it, and reaches it by
//! keys. Commands that WebDriver lacks go through it to the developer tools (`goog/cdp/execute`).

use std::path::Path;

use anyhow::{Context, Result, ensure};
use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::{ParseError, Url};

use crate::eventually::{PATIENCE, eventually};
use crate::paths;
use crate::process::Process;

/// A browser, which ends when it is dropped.
pub struct Browser {
    client: Client,
    _driver: Process,
    _profile: TempDir,
}

/// The screen on which a page is displayed.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// In CSS pixels.
    pub width: u32,
    pub height: u32,
    /// Whether the user prefers dark pages.
    pub is_dark: bool,
}

impl Browser {
    /// Opens a browser with an empty page and its own profile. Its log has this name.
    pub async fn open(name: &str) -> Result<Self> {
        let log = paths::logs()?.join(format!("{name}-chromedriver.log"));
        // chromedriver chooses a port that is free for IPv4, and exits if the port is not free for IPv6 as well.
        let started = (0..5).find_map(|_| start_driver(&log).transpose());
        let (driver, port) =
            started.with_context(|| format!("chromedriver did not start, see {}", log.display()))??;
        let profile = TempDir::new()?;
        let folder = format!("--user-data-dir={}", profile.path().display());
        let arguments = [FLAGS, &[&folder]].concat();
        let capabilities = json!({
            "goog:chromeOptions": {"binary": paths::chromium()?, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        });
        let capabilities = capabilities.as_object().cloned().unwrap_or_default();
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await?;
        let browser = Self { client, _driver: driver, _profile: profile };
        // Chromium begins with a page of its own, whose requests are not the test's.
        browser.visit("about:blank").await?;
        browser.requests().await?;
        Ok(browser)
    }

    pub async fn visit(&self, url: &str) -> Result<()> {
        Ok(self.client.goto(url).await?)
    }

    /// Clicks on the element of this selector, once the page has it.
    pub async fn click(&self, selector: &str) -> Result<()> {
        Ok(self.find(selector).await?.click().await?)
    }

    /// Types into the element of this selector, once the page has it.
    pub async fn write(&self, selector: &str, text: &str) -> Result<()> {
        Ok(self.find(selector).await?.send_keys(text).await?)
    }

    /// Waits until the element of this selector has this text.
    ///
    /// # Errors
    /// If it still has another after a long time.
    pub async fn reads(&self, selector: &str, text: &str) -> Result<()> {
        let mut seen = String::new();
        let what = format!("{selector} says {text:?}");
        let result = eventually(&what, async || {
            if let Ok(element) = self.client.find(Locator::Css(selector)).await {
                seen = element.text().await.unwrap_or_default();
            }
            Ok(seen == text)
        });
        result.await.with_context(|| format!("it says {seen:?}"))
    }

    /// Submits oidc-provider's login form, which accepts any password.
    pub async fn log_in(&self, name: &str) -> Result<()> {
        self.write("input[name=login]", name).await?;
        self.write("input[name=password]", "correct horse battery staple").await?;
        self.click("button[type=submit]").await
    }

    /// Submits oidc-provider's consent form.
    pub async fn consent(&self) -> Result<()> {
        self.click("input[name=prompt][value=consent] ~ button[type=submit]").await
    }

    /// Waits until an expression is true.
    pub async fn wait_for(&self, expression: &str) -> Result<()> {
        eventually(expression, async || Ok(self.evaluate(expression).await.is_ok_and(|value| value == true)))
            .await
    }

    /// Returns the value of an expression, or of its promise. The page's content security policy does not apply.
    pub async fn evaluate(&self, expression: &str) -> Result<Value> {
        let arguments = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.tools("Runtime.evaluate", arguments).await?;
        ensure!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        Ok(result["result"]["value"].clone())
    }

    /// Presses a key, for example `Tab` or `ArrowRight`, with these modifiers: 2 is Control, 8 is Shift.
    pub async fn press(&self, key: &str, modifiers: u8) -> Result<()> {
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
            self.tools("Input.dispatchKeyEvent", arguments).await?;
        }
        Ok(())
    }

    /// Types a text into the focused element.
    pub async fn type_text(&self, text: &str) -> Result<()> {
        self.tools("Input.insertText", json!({"text": text})).await.map(drop)
    }

    /// Displays the page on this screen.
    pub async fn look_with(&self, Screen { width, height, is_dark }: Screen) -> Result<()> {
        let is_phone = width < 600;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone});
        self.tools("Emulation.setDeviceMetricsOverride", metrics).await?;
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.tools("Emulation.setEmulatedMedia", json!({"features": features})).await.map(drop)
    }

    /// Writes a screenshot of the whole page as PNG.
    pub async fn picture(&self, path: &Path) -> Result<()> {
        let picture = self.tools("Page.captureScreenshot", json!({"captureBeyondViewport": true})).await?;
        let picture = picture["data"].as_str().context("no picture")?;
        Ok(std::fs::write(path, STANDARD.decode(picture)?)?)
    }

    /// Returns the requests that the browser has begun since the last call, as `Network.requestWillBeSent` reports them.
    pub async fn requests(&self) -> Result<Vec<Value>> {
        let messages = self.log("performance").await?.into_iter().map(|entry| {
            let text = entry["message"].as_str().context("an entry without a message")?;
            Ok(serde_json::from_str::<Value>(text)?["message"].clone())
        });
        let mut messages = messages.collect::<Result<Vec<_>>>()?;
        messages.retain(|message| message["method"] == "Network.requestWillBeSent");
        Ok(messages.into_iter().map(|message| message["params"]["request"].clone()).collect())
    }

    /// Returns what the browser has reported since the last call: exceptions, violated policies, and resources that failed to load.
    pub async fn complaints(&self) -> Result<Vec<Value>> {
        self.log("browser").await
    }

    /// Ends the browser in an orderly way.
    pub async fn close(self) -> Result<()> {
        Ok(self.client.close().await?)
    }

    async fn find(&self, selector: &str) -> Result<fantoccini::elements::Element> {
        let wait = self.client.wait().at_most(PATIENCE);
        wait.for_element(Locator::Css(selector)).await.with_context(|| format!("no {selector} on the page"))
    }

    async fn log(&self, kind: &str) -> Result<Vec<Value>> {
        let entries = self.client.issue_cmd(Extension("se/log", json!({"type": kind}))).await?;
        Ok(entries.as_array().cloned().unwrap_or_default())
    }

    async fn tools(&self, command: &str, params: Value) -> Result<Value> {
        let command = json!({"cmd": command, "params": params});
        Ok(self.client.issue_cmd(Extension("goog/cdp/execute", command)).await?)
    }
}

/// A chromedriver-specific command: its path and its parameters.
#[derive(Debug)]
struct Extension(&'static str, Value);

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(&self, base_url: &Url, session_id: Option<&str>) -> Result<Url, ParseError> {
        base_url.join(&format!("session/{}/{}", session_id.unwrap_or_default(), self.0))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.1.to_string()))
    }
}

/// Starts a driver and returns it with its port. Returns `None` if it exited.
fn start_driver(log: &Path) -> Result<Option<(Process, u16)>> {
    let mut driver = Process::start(&paths::chromedriver()?, &["--port=0"], &[], log)?;
    let line = driver.line_with("started successfully on port")?;
    let port = line.trim_end_matches('.').rsplit(' ').next().and_then(|port| port.parse().ok());
    Ok(port.map(|port| (driver, port)))
}

/// Makes Chromium headless, and unable to reach any host but loopback.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];
