//! A user at a browser: headless Chromium, driven by WebDriver, who sees and clicks what is on the page.

use std::path::Path;

use anyhow::{Context, Result};
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::json;
use tempfile::TempDir;

use crate::eventually::{PATIENCE, eventually};
use crate::paths;
use crate::process::Process;

/// The user.
pub struct User {
    browser: Client,
    _driver: Process,
    _profile: TempDir,
}

impl User {
    /// Opens a browser whose log is `name`'s.
    pub async fn open(name: &str) -> Result<Self> {
        let log = paths::logs()?.join(format!("{name}-chromedriver.log"));
        // It chooses a port that is free for IPv4, and ends where it is not free for IPv6 as well.
        let started = (0..5).find_map(|_| start_driver(&log).transpose());
        let (driver, port) =
            started.with_context(|| format!("chromedriver did not start, see {}", log.display()))??;
        let profile = TempDir::new()?;
        let folder = format!("--user-data-dir={}", profile.path().display());
        let arguments = [FLAGS, &[&folder]].concat();
        let options = json!({"binary": paths::chromium()?, "args": arguments});
        let capabilities = [("goog:chromeOptions".to_owned(), options)].into_iter().collect();
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        let browser = builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await?;
        Ok(Self { browser, _driver: driver, _profile: profile })
    }

    /// Goes to an address.
    pub async fn visit(&self, url: &str) -> Result<()> {
        Ok(self.browser.goto(url).await?)
    }

    /// Clicks on what this selector finds, once the page has it.
    pub async fn click(&self, selector: &str) -> Result<()> {
        Ok(self.find(selector).await?.click().await?)
    }

    /// Writes into what this selector finds, once the page has it.
    pub async fn write(&self, selector: &str, text: &str) -> Result<()> {
        Ok(self.find(selector).await?.send_keys(text).await?)
    }

    /// Waits until what this selector finds says this.
    ///
    /// # Errors
    /// It says something else for a long time.
    pub async fn reads(&self, selector: &str, text: &str) -> Result<()> {
        let mut seen = String::new();
        let what = format!("{selector} says {text:?}");
        let result = eventually(&what, async || {
            if let Ok(element) = self.browser.find(Locator::Css(selector)).await {
                seen = element.text().await.unwrap_or_default();
            }
            Ok(seen == text)
        });
        result.await.with_context(|| format!("it says {seen:?}"))
    }

    /// Fills in the form by which oidc-provider lets users log in; it takes any password.
    pub async fn log_in(&self, name: &str) -> Result<()> {
        self.write("input[name=login]", name).await?;
        self.write("input[name=password]", "correct horse battery staple").await?;
        self.click("button[type=submit]").await
    }

    /// Agrees to what oidc-provider asks for an application.
    pub async fn consent(&self) -> Result<()> {
        self.click("input[name=prompt][value=consent] ~ button[type=submit]").await
    }

    /// Ends the browser.
    pub async fn close(self) -> Result<()> {
        Ok(self.browser.close().await?)
    }

    async fn find(&self, selector: &str) -> Result<fantoccini::elements::Element> {
        let wait = self.browser.wait().at_most(PATIENCE);
        wait.for_element(Locator::Css(selector)).await.with_context(|| format!("no {selector} on the page"))
    }
}

/// A driver and its port; none, if it ended.
fn start_driver(log: &Path) -> Result<Option<(Process, u16)>> {
    let mut driver = Process::start(&paths::chromedriver()?, &["--port=0"], &[], log)?;
    let line = driver.line_with("started successfully on port")?;
    let port = line.trim_end_matches('.').rsplit(' ').next().and_then(|port| port.parse().ok());
    Ok(port.map(|port| (driver, port)))
}

/// It draws nothing, and knows no host but loopback.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];
