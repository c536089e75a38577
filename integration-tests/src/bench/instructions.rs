//! The cost of requests in instructions of the module: counted in the deterministic host, so the same on every machine and in every run.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::json;

use super::table::table;
use crate::deterministic_host::fixture::{self, orders_of};
use crate::deterministic_host::{Answer, Host, Package, Request, Setup};
use crate::json::merged;
use crate::jwt;

/// Returns the table: parts of the filter by kinds of requests.
pub fn instructions() -> Result<String> {
    let kinds = [
        ("public route", spent(1, |_| (0, Request::get("/public/index.html")))?),
        ("no token", spent(1, |_| (0, Request::get("/orders")))?),
        ("cached", spent(1, |_| (0, orders_of("token-of-a-client-0123456789-0123456789-0123")))?),
        // One worker introspects a token, then the other is asked for it.
        ("cached in shared data", spent(2, |number| (number % 2, orders(number / 2)))?),
        ("not cached", spent(1, |number| (0, orders(number)))?),
    ];
    let row = |part: &str| {
        let numbers = kinds.iter().map(|(_, parts)| parts.get(part).copied().unwrap_or_default().to_string());
        [part.to_owned()].into_iter().chain(numbers).collect::<Vec<_>>()
    };
    let sums = kinds.iter().map(|(_, parts)| parts.values().sum::<u64>().to_string());
    let sums: Vec<_> = ["all".to_owned()].into_iter().chain(sums).collect();
    let rows: Vec<_> = PARTS.iter().map(|(part, _)| row(part)).chain([row(OTHERS), sums]).collect();
    let header: Vec<_> = ["part"].into_iter().chain(kinds.iter().map(|(kind, _)| *kind)).collect();
    Ok(table(&header, &rows))
}

/// Returns the instructions of the last request by parts of the filter. `request` maps the number of a request to its worker and itself.
fn spent(workers: usize, request: impl Fn(usize) -> (usize, Request)) -> Result<BTreeMap<&'static str, u64>> {
    let configuration = fixture::configuration(json!({"introspection": {"max_per_second": 1_000_000}}));
    let package = Some(Package::Counting);
    let mut host = Host::start(Setup { workers, package, ..Setup::new(configuration) })?;
    let mut last = BTreeMap::new();
    for number in 0..REQUESTS {
        let (worker, request) = request(number);
        let before = host.instructions(worker);
        let id = host.request(worker, &request)?;
        let claims = merged(&host.claims(json!({})), json!({"note": "n".repeat(480)}));
        host.answer_all(&Answer::jwt(&jwt::with_claims(&claims)).header("cache-control", "max-age=3600"))?;
        if host.status(id).is_none() {
            host.respond(id, 200, &[("content-type", "application/json")])?;
        }
        last = BTreeMap::new();
        for (name, count) in host.instructions(worker) {
            *last.entry(part(&name)).or_default() += count - before.get(&name).copied().unwrap_or_default();
        }
    }
    ensure!(last.values().sum::<u64>() > 0, "the package does not count");
    Ok(last)
}

fn orders(number: usize) -> Request {
    orders_of(&format!("token-of-a-client-{number:04}-0123456789-0123456789"))
}

/// Returns the part of the filter that a function belongs to, by its mangled name.
fn part(name: &str) -> &'static str {
    let of_core = name.split_once("phantom_token_core").map(|(_, rest)| rest);
    let module = of_core.map(|rest| {
        let rest = rest.trim_start_matches(|mark: char| mark == '.' || mark.is_ascii_digit());
        let end = rest.find(|mark: char| !mark.is_ascii_lowercase() && mark != '_').unwrap_or(rest.len());
        rest.split_at(end).0
    });
    let is_of = |words: &&str| match words.strip_prefix("core::") {
        Some(own) => module == Some(own),
        None => module.is_none() && name.contains(*words),
    };
    PARTS.iter().find(|(_, words)| words.iter().any(is_of)).map_or(OTHERS, |(part, _)| part)
}

/// The parts, each with substrings of its functions' names. The first part that matches counts.
const PARTS: &[(&str, &[&str])] = &[
    (
        "memory: allocation, copies, comparisons",
        &["dlmalloc", "dlfree", "malloc", "free", "rust_alloc", "raw_vec", "memcmp", "memcpy"],
    ),
    (
        "adapter, and the engine's part in it",
        &["13phantom_token", "phantom_token..", "proxy_on_", "10proxy_wasm", "proxy_wasm.."],
    ),
    ("HTTP: paths, fields, forms", &["core::http"]),
    ("rules", &["core::policy"]),
    ("credentials and the key of a token", &["core::credentials", "core::token_key", "4sha2", "6digest"]),
    (
        "engine, checks, refusals",
        &["core::engine", "core::token", "core::token_info", "core::refusal", "core::documents"],
    ),
    ("caches", &["core::cache", "core::authorization_server", "quick_cache"]),
    (
        "introspection, JWTs",
        &["core::introspection", "core::jwt", "core::json", "core::server", "6base64", "serde"],
    ),
];

const OTHERS: &str = "the standard library, and others";

/// The first requests fill caches and grow memory.
const REQUESTS: usize = 40;

#[cfg(test)]
mod tests;
