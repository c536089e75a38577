//! Scenarios with MCP servers.

use serde_json::{Value, json};

use super::{Action, Worker, host};
use crate::driver::Request;
use crate::host::NoSharedData;
use crate::http::request_head::{Presented, RequestHead};
use crate::session::SessionSeal;
use crate::testing::{jwt, test};

/// Returns the URL of the metadata in the challenge of a refusal.
fn metadata(worker: &mut Worker<'_>, authority: &str, path: &str, token: Option<&str>) -> String {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let presented =
        authorization.as_deref().map_or(Presented::Absent, |value| Presented::Once(value.as_bytes()));
    let head = RequestHead {
        method: b"POST",
        authority: authority.as_bytes(),
        path: path.as_bytes(),
        authorization: presented,
        ..RequestHead::default()
    };
    let reply = worker.refusal(0, &head);
    let challenge = reply.headers.iter().find(|(name, _)| *name == "www-authenticate");
    let challenge = challenge.map(|(_, text)| text.as_str()).unwrap_or_default();
    let named = challenge.split_once("resource_metadata=\"").and_then(|(_, rest)| rest.split_once('"'));
    named.map_or("none", |(url, _)| url).replace("/.well-known/oauth-protected-resource", "")
}

/// Clients must not use the metadata of another resource (RFC 9728 §3.3). If a proxy in front of the gateway changes hosts and paths, these
/// lead to no metadata or to another resource's, and no client can log in.
#[test]
fn r274_a_challenge_names_the_resource_of_the_rule_wherever_the_gateway_sees_it() {
    let server = |edits: Value| {
        let mut server = json!({"authorization_servers": ["https://login.example.com"], "scopes": ["mcp"]});
        crate::testing::merge(&mut server, edits);
        server
    };
    let mut worker = Worker::new(
        json!({
            "rules": null,
            "mcp": {"servers": [
                server(json!({"resource": "https://gw/notes/mcp", "path": "/internal/notes"})),
                server(json!({"resource": "https://gw/internal/notes", "path": "/internal/other"})),
                server(json!({"resource": "https://a.example.com/mcp", "path": "/mcp", "hosts": ["a.internal"]})),
                server(json!({"resource": "https://b.example.com/mcp", "path": "/mcp", "hosts": ["b.internal"]})),
                server(json!({"resource": "https://gw/plain"})),
            ]},
        }),
        &NoSharedData,
    );
    worker.answer_with(jwt(
        json!({"aud": ["https://gw/notes/mcp", "https://b.example.com/mcp"], "scope": "other"}),
    ));
    for (authority, path, resource) in [
        ("gw", "/internal/notes", "https://gw/notes/mcp"),
        ("gw", "/internal/other", "https://gw/internal/notes"),
        ("a.internal", "/mcp", "https://a.example.com/mcp"),
        ("b.internal", "/mcp", "https://b.example.com/mcp"),
        ("10.0.0.7", "/plain", "https://gw/plain"),
    ] {
        // Without a token, with one that has to be introspected, and with one that is cached.
        for token in [None, Some("asked"), Some("known")] {
            assert_eq!(
                metadata(&mut worker, authority, path, token),
                resource,
                "{authority}{path} {token:?}"
            );
        }
    }
}

/// Tokens of several users and clients; `bound` has the claims of each.
const ALICE: &str = "of-alice";
const BOB: &str = "of-bob";
const ALICE_ELSEWHERE: &str = "of-alice-by-another-client";
const NAMELESS: &str = "of-nobody";
const ROUNDED: &str = "of-a-number";

fn bound(edits: Value) -> Worker<'static> {
    let mut configuration = json!({
        "session_binding": {"secret": "a secret of at least thirty-two bytes"},
        "rules": [{"path": "/mcp", "bind_session": true}, {"path": "/other"}],
    });
    crate::testing::merge(&mut configuration, edits);
    let mut worker = Worker::new(configuration, &NoSharedData);
    for (token, claims) in [
        (ALICE, json!({"sub": "alice", "client_id": "app"})),
        (BOB, json!({"sub": "bob", "client_id": "app"})),
        (ALICE_ELSEWHERE, json!({"sub": "alice", "client_id": "other"})),
        (NAMELESS, json!({"sub": "", "client_id": "app"})),
        (ROUNDED, json!({"sub": 20_000_000_000_000_000_000_001.0, "client_id": "app"})),
    ] {
        worker.answer_with(jwt(claims));
        send(&mut worker, token, "gw", "/other", &[]).expect("a good token");
    }
    worker
}

/// Sends a request. Returns the session id that services receive and the seal for that of the response, or the reason of the refusal.
fn send(
    worker: &mut Worker<'_>,
    token: &str,
    authority: &str,
    path: &str,
    ids: &[(&str, &[u8])],
) -> Result<(Option<String>, Option<SessionSeal>), &'static str> {
    let bearer = format!("Bearer {token}");
    let fields = [
        (":method", b"POST".as_slice()),
        (":authority", authority.as_bytes()),
        (":path", path.as_bytes()),
        ("authorization", bearer.as_bytes()),
    ];
    let fields = fields.iter().chain(ids).map(|(name, value)| ((*name).to_owned(), value.to_vec()));
    let request = Request { fields: fields.collect(), ..Request::default() };
    let counted = std::rc::Rc::clone(&worker.counted);
    let (stream, _, action) = worker.driver.receive(&request, host(0, worker.shared, &counted));
    match action.unwrap_or_else(|| worker.finish(0, stream)) {
        Action::Continue(headers) => {
            let id = headers.fields().find(|(name, _)| *name == ID).map(|(_, id)| id.to_owned());
            Ok((id, headers.session_seal().cloned()))
        }
        Action::Reply(reply) => {
            assert_eq!(reply.status == 404, reply.reason == Some("unknown_session"));
            Err(reply.reason.expect("a reason"))
        }
    }
}

const ID: &str = "mcp-session-id";

/// Returns the id that a client receives for one of the service's.
fn handed_out(worker: &mut Worker<'_>, token: &str, path: &str, id: &str) -> Vec<u8> {
    let (upstream, seal) = send(worker, token, "gw", path, &[]).expect("a session begins");
    assert_eq!(upstream, None);
    seal.expect("ids are bound").seal(id.as_bytes())
}

/// If an id worked for another user, anyone who reads it in a log or guesses it could read that user's data.
#[test]
fn r275_a_session_goes_on_for_its_user_and_client_alone() {
    let mut worker = bound(json!({}));
    let id = handed_out(&mut worker, ALICE, "/mcp", "s.1");
    for (token, authority, path, expected) in [
        (ALICE, "gw", "/mcp", Ok(Some("s.1"))),
        (ALICE, "GW", "/mcp?a=b", Ok(Some("s.1"))),
        (BOB, "gw", "/mcp", Err("unknown_session")),
        (ALICE_ELSEWHERE, "gw", "/mcp", Err("unknown_session")),
        (NAMELESS, "gw", "/mcp", Err("claim_mismatch")),
        // A number that JSON parsers round would stand for several users.
        (ROUNDED, "gw", "/mcp", Err("claim_mismatch")),
        // The id belongs to another service, which may have assigned the same id to another user.
        (ALICE, "other", "/mcp", Err("unknown_session")),
        (ALICE, "gw", "/mcp/two", Err("unknown_session")),
    ] {
        let sent = send(&mut worker, token, authority, path, &[(ID, &id)]);
        let sent = sent.map(|(id, _)| id);
        assert_eq!(sent, expected.map(|id| id.map(str::to_owned)), "{token} {authority}{path}");
    }
    // An id that is handed out again is the same.
    let (_, seal) = send(&mut worker, ALICE, "gw", "/mcp", &[(ID, &id)]).expect("it goes on");
    assert_eq!(seal.expect("ids are bound").seal(b"s.1"), id);
    // If no rule binds ids, the service's own id is used.
    let (plain, seal) = send(&mut worker, BOB, "gw", "/other", &[(ID, b"s.1")]).expect("it is served");
    assert!(plain.is_none() && seal.is_none());
}

/// If an id without its MAC worked, binding would not stop anyone who knows the service's own ids.
#[test]
fn r276_an_id_that_was_not_handed_out_is_none() {
    let mut worker = bound(json!({}));
    let id = handed_out(&mut worker, ALICE, "/mcp", "s1");
    let of_bob = handed_out(&mut worker, BOB, "/mcp", "s1");
    let other_secret = json!({"session_binding": {"secret": "another secret of thirty-two bytes"}});
    let of_other_gateway = handed_out(&mut bound(other_secret), ALICE, "/mcp", "s1");
    let text = String::from_utf8(id.clone()).expect("ASCII");
    let (_, mac) = text.rsplit_once('.').expect("a MAC");
    let forged = [
        b"s1".to_vec(),
        b"s1.".to_vec(),
        Vec::new(),
        b".".to_vec(),
        mac.as_bytes().to_vec(),
        format!("s2.{mac}").into_bytes(),
        format!("s1..{mac}").into_bytes(),
        format!("s1.{}", mac.to_ascii_uppercase()).into_bytes(),
        id[..id.len() - 1].to_vec(),
        format!("{text}=").into_bytes(),
        format!("{text}.{mac}").into_bytes(),
        format!("{text}, {text}").into_bytes(),
        [&id[..], b"\xff"].concat(),
        of_bob.clone(),
        of_other_gateway,
    ];
    for forged in &forged {
        let sent = send(&mut worker, ALICE, "gw", "/mcp", &[(ID, forged)]).map(|_| ());
        assert_eq!(sent, Err("unknown_session"), "{}", String::from_utf8_lossy(forged));
    }
    for more in [(ID, &of_bob[..]), ("Mcp-Session-Id", &id), ("mcp_session_id", b"s1")] {
        let sent = send(&mut worker, ALICE, "gw", "/mcp", &[(ID, &id), more]).map(|_| ());
        assert_eq!(sent, Err("ambiguous_field"), "{}", more.0);
    }
    let alone = send(&mut worker, ALICE, "gw", "/mcp", &[("mcp_session_id", &id)]).map(|_| ());
    assert_eq!(alone, Err("ambiguous_field"));
}

/// If reporting before refusing let ids through unchanged, the first step of every rollout would open all sessions.
#[test]
fn r276_ids_are_bound_where_scopes_are_only_reported() {
    let mut worker = bound(json!({"report_only": true, "rules": [
        {"path": "/mcp", "bind_session": true, "scopes": ["mcp:write"]}, {"path": "/other"},
    ]}));
    let id = handed_out(&mut worker, ALICE, "/mcp", "s1");
    assert_eq!(
        send(&mut worker, ALICE, "gw", "/mcp", &[(ID, &id)]).map(|(id, _)| id),
        Ok(Some("s1".to_owned()))
    );
    assert_eq!(send(&mut worker, BOB, "gw", "/mcp", &[(ID, &id)]).map(|_| ()), Err("unknown_session"));
    assert_eq!(send(&mut worker, BOB, "gw", "/mcp", &[(ID, b"s1")]).map(|_| ()), Err("unknown_session"));
    assert_eq!(send(&mut worker, NAMELESS, "gw", "/mcp", &[]).map(|_| ()), Err("claim_mismatch"));
}

/// If a method that the rule does not name fell through to a rule that binds nothing, another user's id would be accepted there, as it
/// would by a service that merges trailers into header fields.
#[test]
fn r276_no_other_method_and_no_trailer_takes_an_id_past_its_rule() {
    let mut worker = bound(json!({"rules": [
        {"path": "/mcp", "bind_session": true, "methods": ["GET", "POST"]}, {"path": "/"},
    ]}));
    let delete = RequestHead {
        method: b"DELETE",
        authority: b"gw",
        path: b"/mcp",
        authorization: Presented::Once(b"Bearer of-bob"),
        ..RequestHead::default()
    };
    assert_eq!(worker.refusal(0, &delete).reason, Some("no_matching_rule"));

    let names = [&b"mcp-session-id"[..], b"Mcp_Session_Id", b"x-checksum"];
    let forbidden = worker.driver.engine().forbidden_trailers(names.into_iter());
    assert_eq!(forbidden, ["mcp-session-id", "Mcp_Session_Id"]);
    let mut plain = Worker::new(json!({}), &NoSharedData);
    assert!(plain.driver.engine().forbidden_trailers(names.into_iter()).is_empty());
}
