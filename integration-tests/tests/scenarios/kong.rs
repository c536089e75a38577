//! The differences of Kong's ngx_wasm_module from Envoy, in what services and clients receive. Each of these scenarios once bypassed the
//! filter there, or stopped a worker.

use anyhow::{Result, ensure};
use integration_tests::deterministic_host::fixture::orders_of;
use integration_tests::deterministic_host::{Answer, Behaviour, Guarantee, Request, State, StreamId};
use serde_json::json;

use crate::Scenario;
use crate::story::{Story, TOKEN, configured};

/// Fields that are removed from a request.
pub const TAKEN_OFF: &[Scenario] = &[
    Scenario::Own("several claim fields of one name", |behaviour| {
        let claim_to_headers = json!([{"header": "x-user-id", "pointer": "/sub"}]);
        let mut story = Story::new(behaviour, json!({"claim_to_headers": claim_to_headers}))?;
        let request =
            orders_of(TOKEN).header("X-User-Id", "a").header("x-user-id", "b").header("x-user-id", "c");
        let id = story.send(&request)?;
        story.answer_active()?;
        match behaviour {
            Behaviour::Envoy => {
                story.passes(id)?;
                ensure!(values_of(&story, id, "x-user-id")? == ["alice"], "{:?}", story.forwarded(id)?);
            }
            // The host changes only one of them, and the others cannot be reached.
            Behaviour::NgxWasm => story.refused(id, 400, "")?,
        }
        Ok(story)
    }),
    Scenario::Own("the JWT in a field of its own, and one that a client has forged", |behaviour| {
        let mut story = Story::new(behaviour, json!({"jwt_header": "x-jwt"}))?;
        let id = story.ask_active(&orders_of(TOKEN).header("X-Jwt", "eyJ.forged.jwt"))?;
        let headers = story.forwarded(id)?;
        ensure!(!headers.has_value("authorization"), "the client's token goes on: {headers:?}");
        let jwts = values_of(&story, id, "x-jwt")?;
        ensure!(jwts.len() == 1 && !jwts[0].contains("forged"), "{jwts:?}");
        ensure!(headers.count("x-jwt") == 1, "the JWT stands beside an empty field: {headers:?}");
        story.goes_on_bare(id)?;
        let id = story.send(&Request::get("/public").header("X_Jwt", "eyJ.forged.jwt"))?;
        story.goes_on_bare(id)?;
        ensure!(values_of(&story, id, "x-jwt")?.is_empty());
        Ok(story)
    }),
    Scenario::Own("cookies in fields of their own", |behaviour| {
        let mut story = Story::new(behaviour, json!({"token_sources": {"cookie": "session"}}))?;
        let session = format!("session={TOKEN}");
        let two = Request::get("/orders").header("cookie", "theme=dark").header("cookie", &session);
        let id = story.send(&two)?;
        story.answer_active()?;
        match behaviour {
            Behaviour::Envoy => drop(story.passes(id)?),
            Behaviour::NgxWasm => story.refused(id, 400, "")?,
        }
        Ok(story)
    }),
];

/// The number of fields in a request.
pub const FIELDS: &[Scenario] = &[
    Scenario::Own("more fields than the host shows, the last of them forged or a token", |behaviour| {
        let claim_to_headers = json!([{"header": "x-user-id", "pointer": "/sub"}]);
        let mut story = Story::new(behaviour, json!({"claim_to_headers": claim_to_headers}))?;
        for count in [90, 96, 97, 98, 100, 101, 150] {
            let many = |request: Request, own: usize| {
                let others = story_fields(&request, behaviour);
                (others + own..count).fold(request, |request, n| request.header(&format!("a{n}"), ""))
            };
            let request = many(Request::get("/public"), 1).header("X_User_Id", "admin");
            let id = story.send(&request)?;
            let passes = behaviour == Behaviour::Envoy || count <= 96;
            if passes {
                story.goes_on_bare(id)?;
                ensure!(values_of(&story, id, "x-user-id")?.is_empty(), "{count} fields hide a forged one");
            } else {
                story.refused(id, 431, "")?;
            }
            let id = story.send(&many(Request::get("/public"), 1).bearer(TOKEN))?;
            if passes { story.goes_on_bare(id)? } else { story.refused(id, 431, "")? }
        }
        Ok(story)
    }),
    Scenario::Usual("an answer of more fields than the host shows", |story| {
        let active = story.active(json!({}));
        let answer = (0..120).fold(active, |answer, n| answer.header(&format!("a{n}"), ""));
        let id = story.ask(&orders_of(TOKEN), answer)?;
        match story.behaviour {
            Behaviour::Envoy => drop(story.passes(id)?),
            Behaviour::NgxWasm => story.refused(id, 502, "")?,
        }
        Ok(())
    }),
];

/// The targets that rules check.
pub const TARGETS: &[Scenario] = &[
    // HTTP/1.0 allows such requests.
    Scenario::Own("no host", |behaviour| {
        let rules = json!([
            {"path": "/", "access": "public"}, {"path": "/", "hosts": ["admin.example.com"]},
        ]);
        let mut story = Story::new(behaviour, json!({"rules": rules}))?;
        let fields = [(":authority", ""), (":path", "/"), (":method", "GET"), (":scheme", "https")];
        story.refuses(&Request::of(fields.map(|(name, value)| (name, value.as_bytes()))), 400, "")?;
        Ok(story)
    }),
    Scenario::Own("a token in the query", |behaviour| {
        let query = json!({"token_sources": {"query_parameter": "access_token"}});
        let mut story = Story::new(behaviour, query)?;
        let id = story.send(&Request::get(&format!("/orders?access_token={TOKEN}")))?;
        story.answer_active()?;
        match behaviour {
            Behaviour::Envoy => drop(story.passes(id)?),
            // The query is forwarded unchanged, so the filter serves no request with such a configuration.
            Behaviour::NgxWasm => story.refused(id, 500, "")?,
        }
        Ok(story)
    }),
];

/// What stops the module, and what happens to requests then.
pub const TRAPS: &[Scenario] = &[
    Scenario::Usual("the timer updates gauges", |story| {
        let waiting = story.send(&orders_of(TOKEN))?;
        for _ in 0..3 {
            story.wait(1);
            story.host.tick()?;
        }
        ensure!(story.host.counter("phantom_token_requests_pending") == 1);
        story.answer(inactive())?;
        story.refused(waiting, 401, "invalid_token")?;
        story.wait(1);
        story.host.tick()?;
        ensure!(story.host.counter("phantom_token_requests_pending") == 0);
        Ok(())
    }),
    Scenario::Own("the timer refreshes an entry that is in use", |behaviour| {
        let cache = json!({"max_ttl": "1m", "refresh_ahead": "10s"});
        let mut story = Story::new(behaviour, json!({"cache": cache}))?;
        story.ask_active(&orders_of(TOKEN))?;
        story.wait(55);
        story.passes_at_once(&orders_of(TOKEN))?;
        story.wait(1);
        story.host.tick()?;
        ensure!(story.questions() == 2, "{} questions", story.questions());
        story.answer_active()?;
        story.wait(30);
        story.passes_at_once(&orders_of(TOKEN))?;
        ensure!(story.questions() == 2, "what was refreshed is asked for again");
        Ok(story)
    }),
    Scenario::Own("the module is stopped while requests wait", |behaviour| {
        let mut story = Story::usual(behaviour)?;
        let waiting = [story.send(&orders_of("opaque-1"))?, story.send(&orders_of("opaque-2"))?];
        story.host.trap("proxy_get_current_time_nanoseconds");
        ensure!(story.host.request(0, &orders_of("opaque-3")).is_err());
        for callout in story.host.open_callouts() {
            // A new VM does not know the callouts of the old one.
            let _ = story.host.answer(callout, inactive());
        }
        if behaviour == Behaviour::NgxWasm {
            waiting.into_iter().try_for_each(|id| story.goes_on_bare(id))?;
            story.serves(&orders_of("opaque-4"))?;
        }
        // Envoy replies with 503 from then on.
        Ok(story.judged_but_for_what_was_stopped())
    }),
    Scenario::Own("keys, without a zone and without sharing", |behaviour| {
        let mut story = Story::set_up(behaviour, |setup| {
            setup.has_zone = false;
            setup.configuration = configured(json!({
                "cache": {"shared": false},
                "keys": {"jwks_uri": "https://login.example.com/jwks"},
            }));
        })?;
        let id = story.send(&orders_of(TOKEN))?;
        story.answer(Answer::response(500, "text/plain", "oops"))?;
        story.refused(id, 503, "")?;
        Ok(story)
    }),
    Scenario::Own("an upstream that is none", |behaviour| {
        for upstream in ["login.example.com:99999", "login.example.com:0", "login.example.com:", "[::1"] {
            for keys in [false, true] {
                let mut edits = json!({"keys": {"jwks_uri": "https://login.example.com/jwks"}});
                let section = if keys { "keys" } else { "introspection" };
                edits[section]["upstream"] = json!(upstream);
                let mut story = Story::new(behaviour, edits)?;
                let id = story.send(&orders_of(TOKEN))?;
                let Some(callout) = story.host.open_callouts().first().copied() else {
                    story.refused(id, 500, "")?;
                    story.judge()?;
                    continue;
                };
                ensure!(behaviour == Behaviour::Envoy, "{upstream}, which is none, was taken");
                story.host.answer(callout, inactive())?;
            }
        }
        Story::usual(behaviour)
    }),
    Scenario::Own("a zone that is full, and does not evict", |behaviour| {
        let mut story = Story::set_up(behaviour, |setup| {
            setup.zone_keys = 0;
            setup.lacks = vec![Guarantee::Evicts];
        })?;
        let id = story.send(&orders_of(TOKEN))?;
        let active = story.active(json!({}));
        let stopped = story.answer(active).is_err();
        ensure!(stopped, "a write to it is a trap");
        if behaviour == Behaviour::NgxWasm {
            story.goes_on_bare(id)?;
        }
        Ok(story.judged_but_for_what_was_stopped())
    }),
    Scenario::Own("a zone that is too small", |behaviour| {
        let mut story = Story::set_up(behaviour, |setup| setup.zone_keys = 4)?;
        for number in 0..20 {
            let active = story.active(json!({"sub": format!("user-{number}")}));
            let id = story.ask(&orders_of(&format!("opaque-{number}")), active)?;
            story.passes(id)?;
        }
        Ok(story)
    }),
];

/// The replies that clients receive.
pub const REPLIES: &[Scenario] = &[
    Scenario::Own("a callout that ends without a body", |behaviour| {
        for answer in [
            Answer::TimedOut,
            Answer::Reset,
            Answer::Refused,
            Answer::response(204, "", ""),
            Answer::response(200, "application/json", ""),
            Answer::response(503, "", ""),
        ] {
            let mut story = Story::usual(behaviour)?;
            let id = story.ask(&orders_of(TOKEN), answer.clone())?;
            let State::Replied { headers, body, .. } = story.host.stream(id).state().clone() else {
                anyhow::bail!("{answer:?}: there is no reply: {:?}", story.host.stream(id).state())
            };
            ensure!(headers.text("cache-control") == "no-store", "{headers:?}");
            ensure!(body.is_empty() == headers.get("content-type").is_none(), "{headers:?}");
            story.judge()?;
        }
        Story::usual(behaviour)
    }),
    Scenario::Own("the authorization server does not receive what is for the host", |behaviour| {
        let mut story = Story::new(behaviour, json!({"introspection": {"retries": 1}}))?;
        let id = story.send(&orders_of(TOKEN))?;
        let question = story.question()?;
        let asks = story.host.callout(question).headers.get("x-envoy-retry-on").is_some();
        ensure!(asks == story.on(true, false), "only Envoy takes such fields off");
        story.answer(inactive())?;
        story.refused(id, 401, "invalid_token")?;
        Ok(story)
    }),
    Scenario::Usual("a refusal has no reason in the status line", |story| {
        story.refuses(&Request::get("/orders"), 401, "Bearer")?;
        let id =
            story.ask(&orders_of(TOKEN), Answer::response(200, "application/json", r#"{"active":false}"#))?;
        story.refused(id, 401, "invalid_token")
    }),
    Scenario::Usual("a response ends", |story| {
        let id = story.ask_active(&orders_of(TOKEN))?;
        story.passes(id)?;
        story.host.respond(id, 200, &[("content-type", "text/plain")])?;
        ensure!(story.host.stream(id).is_over());
        Ok(())
    }),
];

/// Configurations that require what the host cannot do.
pub const CONFIGURATIONS: &[Scenario] =
    &[Scenario::Own("a configuration asks for what the host cannot do", |behaviour| {
        for edits in [
            json!({"rules": [{"path": "/orders", "routes": ["orders"]}, {"path": "/orders"}]}),
            json!({"rules": [{"path": "/orders", "peers": ["spiffe://example.com/orders"]}]}),
            json!({"client_certificate": "connection"}),
            json!({"token_sources": {"query_parameter": "access_token"}}),
            json!({"filter_state": [{"name": "user", "pointer": "/sub"}]}),
        ] {
            let mut story = Story::new(behaviour, edits.clone())?;
            if behaviour == Behaviour::NgxWasm {
                for path in ["/orders", "/public", "/internal"] {
                    story
                        .refuses(&Request::get(path).bearer(TOKEN), 500, "")
                        .map_err(|error| error.context(edits.to_string()))?;
                }
                story.judge()?;
            }
        }
        Story::usual(behaviour)
    })];

fn inactive() -> Answer {
    Answer::response(200, "application/json", r#"{"active":false}"#)
}

/// The values of fields that services may take for this one.
fn values_of(story: &Story, id: StreamId, name: &str) -> Result<Vec<String>> {
    let headers = story.forwarded(id)?;
    let values = headers.iter().filter(|(own, value)| own.replace('_', "-") == name && !value.is_empty());
    Ok(values.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect())
}

/// The number of fields that the host counts in a request.
fn story_fields(request: &Request, behaviour: Behaviour) -> usize {
    let host = usize::from(behaviour == Behaviour::NgxWasm);
    request.field_names().filter(|name| !name.starts_with(':')).count() + host
}
