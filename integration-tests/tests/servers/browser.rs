//! A browser that gets an authorization code: it follows redirects within the server, and keeps cookies.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use integration_tests::client::{Answer, Client, Request};

use crate::real_server::posted;

/// A browser with one server.
pub struct Browser {
    server: Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn at(server: Client) -> Self {
        Self { server, cookies: BTreeMap::new() }
    }

    /// Requests a URL or a path of the server.
    pub async fn get(&mut self, url: &str) -> Result<Answer> {
        let host = format!("127.0.0.1:{}", self.server.port());
        let request = Request::get(path(url)).header("host", host).header("accept", "text/html");
        self.send(request).await
    }

    pub async fn post(&mut self, url: &str, form: &str) -> Result<Answer> {
        self.send(posted(self.server, &path(url), form)).await
    }

    async fn send(&mut self, request: Request) -> Result<Answer> {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = self.server.send(request.header("cookie", cookies.join("; "))).await?;
        for field in answer.headers.get_all("set-cookie") {
            let (name, value) = field.to_str()?.split_once('=').context("a cookie has a value")?;
            let value = value.split(';').next().unwrap_or_default();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        Ok(answer)
    }
}

/// The location to which a response redirects.
pub fn location(answer: &Answer) -> Result<String> {
    let location = answer.header("location");
    (!location.is_empty())
        .then(|| location.to_owned())
        .with_context(|| format!("it leads nowhere: {} {}", answer.status, answer.text()))
}

/// A parameter of a URL's query, still encoded.
pub fn parameter(url: &str, name: &str) -> Result<String> {
    let (_, query) = url.split_once('?').with_context(|| format!("no query: {url}"))?;
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.map(str::to_owned).with_context(|| format!("no {name}: {url}"))
}

fn path(url: &str) -> String {
    if url.starts_with('/') {
        return url.to_owned();
    }
    let beyond_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    beyond_scheme.find('/').and_then(|slash| beyond_scheme.get(slash..)).unwrap_or("/").to_owned()
}
