//! The texts that must never be found in a log: every token and secret of a test is recorded here, plain and as transmitted, and a recipe
//! searches all logs for all of them.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::paths;

/// A fresh opaque token.
pub fn fresh_token(meaning: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    noted(format!("opaque-{meaning}-{}-{count}", std::process::id()))
}

/// Records the value of an `Authorization` field as its recipient got it.
pub fn noted_credentials(authorization: &str) {
    let (_scheme, credentials) = authorization.split_once(' ').unwrap_or(("", authorization));
    if !credentials.is_empty() {
        noted(credentials.to_owned());
    }
}

pub fn noted(secret: String) -> String {
    let file = paths::logs().map(|folder| folder.join("secrets.txt"));
    let line = format!("{secret}\n");
    let result = file.and_then(|path| {
        Ok(OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes())?)
    });
    assert!(result.is_ok(), "cannot note a secret: {result:?}");
    secret
}
