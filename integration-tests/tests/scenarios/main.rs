//! Whole sequences of events in the deterministic host, each in one like Envoy and in one like Kong's ngx_wasm_module, with the same result
//! unless the scenario says why it differs.
//!
//! Whatever happens, services receive only requests with a JWT issued for them, or those that need none; no token is in a log or in a
//! response; and no request waits forever.

mod failures;
mod guarantees;
mod hosts;
mod keeping;
mod keys;
mod kong;
mod senders;
mod servers;
mod story;
mod table;

use anyhow::{Result, ensure};
use integration_tests::deterministic_host::Behaviour;

use crate::story::Story;

/// A named scenario.
enum Scenario {
    /// In a host with one worker and the usual configuration.
    Usual(&'static str, fn(&mut Story) -> Result<()>),
    /// In its own hosts.
    Own(&'static str, fn(Behaviour) -> Result<Story>),
}

impl Scenario {
    fn name(&self) -> &'static str {
        match self {
            Self::Usual(name, _) | Self::Own(name, _) => name,
        }
    }

    fn play(&self, behaviour: Behaviour) -> Result<Story> {
        match self {
            Self::Own(_, play) => play(behaviour),
            Self::Usual(_, play) => {
                let mut story = Story::usual(behaviour)?;
                play(&mut story)?;
                Ok(story)
            }
        }
    }
}

/// If this failed, a cached response would be used for the wrong request, too long, or on one host only.
#[test]
fn r023_r055_what_is_kept_serves_alike_on_all_hosts() -> Result<()> {
    play(keeping::SCENARIOS)
}

/// If this failed, a host's own way to fail would open a route, or leave a client waiting.
#[test]
fn r024_r030_failures_of_callouts_close_alike_on_all_hosts() -> Result<()> {
    play(failures::SCENARIOS)
}

/// If this failed, a forged JWT would pass, or a new key of the server would lock all clients out.
#[test]
fn signatures_are_verified_alike_on_all_hosts() -> Result<()> {
    play(keys::SCENARIOS)
}

/// If this failed, a stolen token or proof would be useful.
#[test]
fn r090_r093_senders_are_held_to_their_keys_alike_on_all_hosts() -> Result<()> {
    play(senders::SCENARIOS)
}

/// If this failed, one server's response would count for another's tokens.
#[test]
fn several_servers_are_alike_on_all_hosts() -> Result<()> {
    play(servers::SCENARIOS)
}

/// If this failed, a host that refuses, traps or resumes by itself would forward what it must not.
#[test]
fn r038_r074_what_hosts_do_to_the_filter_opens_nothing() -> Result<()> {
    play(hosts::SCENARIOS)
}

/// If this failed, a field from a client would reach services where they trust it.
#[test]
fn r137_what_is_taken_off_is_empty_in_what_services_receive() -> Result<()> {
    play(kong::TAKEN_OFF)
}

/// If this failed, a client could hide a field behind many others, or crash a worker with them.
#[test]
fn r138_requests_of_more_fields_than_the_host_shows_are_refused() -> Result<()> {
    play(kong::FIELDS)
}

/// If this failed, `/admin%2F..%2Fpublic` would be public to the filter, and something else to the service.
#[test]
fn r139_rules_look_at_the_path_and_host_that_services_receive() -> Result<()> {
    play(kong::TARGETS)
}

/// If this failed, a token would be forwarded with a request that the host resumes when the module has stopped.
#[test]
fn r140_a_module_that_is_stopped_forwards_no_token() -> Result<()> {
    play(kong::TRAPS)
}

/// If this failed, clients would wait for a reply that the host has lost, or learn the internal reason of a refusal.
#[test]
fn r143_refusals_reach_clients_and_disclose_no_more_than_they_should() -> Result<()> {
    play(kong::REPLIES)
}

/// If this failed, a rule would require an attribute that the host never reports, and refuse no request.
#[test]
fn r141_what_the_host_cannot_do_closes_instead_of_opening() -> Result<()> {
    play(kong::CONFIGURATIONS)
}

fn play(scenarios: &[Scenario]) -> Result<()> {
    let mut failures = Vec::new();
    for scenario in scenarios {
        for behaviour in [Behaviour::Envoy, Behaviour::NgxWasm] {
            let result = scenario.play(behaviour).and_then(|story| story.judge());
            let name = scenario.name();
            failures.extend(result.err().map(|error| format!("{name}, on {behaviour:?}: {error:#}")));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
