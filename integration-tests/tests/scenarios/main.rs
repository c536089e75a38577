//! Whole stories through the host without chance, each as Envoy tells it and as Kong's ngx_wasm_module does: with the same end,
//! unless the scenario says why the host makes another.
//!
//! Whatever happens, nothing but a JWT that was issued for the request goes on to the services, or a request that needs none; no
//! token is in a log or in an answer; and nobody waits for ever.

mod failures;
mod hosts;
mod keeping;
mod keys;
mod places;
mod senders;
mod servers;
mod story;
mod tokens;

use anyhow::{Result, ensure};
use integration_tests::deterministic_host::Behaviour;

use crate::story::Story;

/// A name, and what happens.
type Scenario = (&'static str, fn(Behaviour) -> Result<Story>);

/// If this failed, a client without a good token would get through on one of the hosts, or one with a good token would not.
#[test]
fn r001_r031_r110_tokens_pass_and_fail_alike_on_all_hosts() -> Result<()> {
    tell(tokens::SCENARIOS)
}

/// If this failed, what was kept would be served to the wrong request, too long, or on one host only.
#[test]
fn r023_r055_what_is_kept_serves_alike_on_all_hosts() -> Result<()> {
    tell(keeping::SCENARIOS)
}

/// If this failed, a host's own way to fail would open a route, or leave a client waiting.
#[test]
fn r024_r030_failures_of_callouts_close_alike_on_all_hosts() -> Result<()> {
    tell(failures::SCENARIOS)
}

/// If this failed, a forged JWT would pass, or a new key of the server would lock everybody out.
#[test]
fn signatures_are_verified_alike_on_all_hosts() -> Result<()> {
    tell(keys::SCENARIOS)
}

/// If this failed, a stolen token or proof would be good for something.
#[test]
fn r090_r093_senders_are_held_to_their_keys_alike_on_all_hosts() -> Result<()> {
    tell(senders::SCENARIOS)
}

/// If this failed, one server's word would count for another's tokens, or services would get an answer instead of a JWT.
#[test]
fn several_servers_and_minting_are_alike_on_all_hosts() -> Result<()> {
    tell(servers::SCENARIOS)
}

/// If this failed, a token would go on to the services in the place where it came.
#[test]
fn tokens_in_other_places_and_documents_are_alike_on_all_hosts() -> Result<()> {
    tell(places::SCENARIOS)
}

/// If this failed, a host that refuses, traps or resumes by itself would forward what it must not.
#[test]
fn r038_r074_what_hosts_do_to_the_filter_opens_nothing() -> Result<()> {
    tell(hosts::SCENARIOS)
}

fn tell(scenarios: &[Scenario]) -> Result<()> {
    let mut failures = Vec::new();
    for (name, scenario) in scenarios {
        for behaviour in [Behaviour::Envoy, Behaviour::NgxWasm] {
            let told = scenario(behaviour).and_then(|story| story.judge());
            failures.extend(told.err().map(|error| format!("{name}, on {behaviour:?}: {error:#}")));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
