//! What hosts do to the filter: refuse calls, trap, resume requests by themselves, deliver bodies early, change the configuration.

use anyhow::ensure;
use integration_tests::deterministic_host::fixture::orders_of;
use integration_tests::deterministic_host::{
    Answer, Behaviour, Host, Replacement, Request, Setup, State, Status,
};
use serde_json::json;

use crate::Scenario;
use crate::story::{Story, TOKEN, configured};

pub const SCENARIOS: &[Scenario] = &[
    Scenario::Usual("shared data is refused", |story| {
        story.host.refuse("proxy_get_shared_data", Status::InternalFailure, 100);
        story.host.refuse("proxy_set_shared_data", Status::InternalFailure, 100);
        story.serves(&orders_of(TOKEN))?;
        story.passes_at_once(&orders_of(TOKEN))?;
        ensure!(story.questions() == 1);
        Ok(())
    }),
    Scenario::Own("a write of shared data is lost", |behaviour| {
        let mut story = Story::set_up(behaviour, |setup| setup.workers = 2)?;
        story.host.conflict(1);
        for (worker, questions) in [(0, 1), (1, 2), (0, 2), (1, 2)] {
            let id = story.send_to(worker, &orders_of(TOKEN))?;
            story.answer_active()?;
            story.passes(id)?;
            ensure!(story.questions() == questions);
        }
        Ok(story)
    }),
    Scenario::Own("there is no zone for shared data, and none is wanted", |behaviour| {
        let mut story = Story::set_up(behaviour, |setup| {
            setup.has_zone = false;
            setup.configuration = configured(json!({"cache": {"shared": false}}));
        })?;
        story.serves(&orders_of(TOKEN))?;
        Ok(story)
    }),
    Scenario::Own("there is no zone for shared data, but it is wanted", |behaviour| {
        let mut story = Story::set_up(behaviour, |setup| setup.has_zone = false)?;
        // Envoy needs none. ngx_wasm_module stops the module while it reads the headers, and replies with 500 itself.
        let trapped = story.host.request(0, &orders_of(TOKEN)).is_err();
        ensure!(trapped == story.on(false, true));
        ensure!(story.questions() == story.on(1, 0));
        Ok(story.judged_but_for_what_was_stopped())
    }),
    Scenario::Usual("the answer cannot be written, and the host resumes by itself", |story| {
        let id = story.send(&orders_of(TOKEN))?;
        ensure!(!story.host.stream(id).headers().has_value("authorization"), "the token waits with it");
        story.host.refuse("proxy_send_local_response", Status::InternalFailure, 1);
        story.answer(Answer::Reset)?;
        match story.behaviour {
            Behaviour::Envoy => story.waits(id)?,
            // The request continues whatever the filter wants, so nothing is left in it.
            Behaviour::NgxWasm => story.goes_on_bare(id)?,
        }
        Ok(())
    }),
    Scenario::Own("the module is stopped in the callback, and the host resumes by itself", |behaviour| {
        for function in ["proxy_get_buffer_bytes", "proxy_replace_header_map_value", "proxy_continue_stream"]
        {
            let mut story = Story::usual(behaviour)?;
            let id = story.send(&orders_of(TOKEN))?;
            let active = story.active(json!({}));
            story.host.trap(function);
            ensure!(story.answer(active).is_err(), "{function} is never called");
            let went_on = matches!(story.host.stream(id).state(), State::Forwarded { .. });
            ensure!(went_on == story.on(false, true), "{function}");
            let headers = match story.host.stream(id).state() {
                State::Forwarded { headers } => headers.clone(),
                _ => story.host.stream(id).headers().clone(),
            };
            // The JWT is written last, so only it may be present when the call to continue traps.
            let may_be_there = function == "proxy_continue_stream";
            let mut values =
                headers.iter().filter(|(name, value)| *name == "authorization" && !value.is_empty());
            let is_jwt = |(_, value): (&str, &[u8])| may_be_there && value.starts_with(b"Bearer eyJ");
            ensure!(values.all(is_jwt), "{function}: {headers:?}");
        }
        Story::usual(behaviour)
    }),
    Scenario::Own("a body and trailers come while the head is held", |behaviour| {
        for stops_head_only in [false, true] {
            let mut story = Story::set_up(behaviour, |setup| setup.stops_head_only = stops_head_only)?;
            let id = story.send(&Request::post("/orders").bearer(TOKEN))?;
            story.host.body(id, 1000, false)?;
            story.host.trailers(id)?;
            ensure!(*story.host.stream(id).state() == State::Paused, "the head goes on with its body");
            story.answer_active()?;
            story.host.body(id, 0, true)?;
            story.passes(id)?;
            story.judge()?;
        }
        Story::usual(behaviour)
    }),
    Scenario::Own("claims are wanted as properties, which not every host keeps", |behaviour| {
        let filter_state = json!([{"name": "user", "pointer": "/sub"}]);
        let mut story = Story::new(behaviour, json!({"filter_state": filter_state}))?;
        let id = story.ask_active(&orders_of(TOKEN))?;
        match behaviour {
            Behaviour::Envoy => story.passes(id).map(drop)?,
            // A service that relies on these fields would miss them, so nothing is forwarded.
            Behaviour::NgxWasm => story.refused(id, 500, "")?,
        }
        Ok(story)
    }),
    Scenario::Own(
        "a configuration with an error never starts, nor replaces a good one, or serves nobody",
        |behaviour| {
            let bad = configured(json!({"rules": [{"path": "orders"}]}));
            let started = Host::start(Setup { behaviour, ..Setup::new(bad.clone()) });
            ensure!(started.is_ok() == (behaviour == Behaviour::NgxWasm));
            if let Ok(mut host) = started {
                // Kong would serve a new route without the filter, or continue with old rules for all.
                let id = host.request(0, &Request::get("/public"))?;
                ensure!(host.stream(id).state().status() == Some(500));
            }
            let mut story = Story::usual(behaviour)?;
            let is_taken = story.host.reconfigure(&bad, Replacement::RootContext)?;
            ensure!(is_taken == story.on(false, true));
            story.refuses(&Request::get("/orders"), story.on(401, 500), story.on("Bearer", ""))?;
            Ok(story)
        },
    ),
    Scenario::Usual("a configuration changes while a request waits", |story| {
        let waiting = story.send(&orders_of(TOKEN))?;
        let closed = configured(json!({"rules": [{"path": "/invoices"}]}));
        ensure!(story.host.reconfigure(&closed, Replacement::RootContext)?);
        story.refuses(&orders_of(TOKEN), 403, "")?;
        story.answer_active()?;
        story.passes(waiting)?;
        Ok(())
    }),
];
