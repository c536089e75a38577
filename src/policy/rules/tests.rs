use serde_json::json;

use super::super::tree;
use super::*;
use crate::testing::{settings, test};

/// The scope that the matching rule requires, "public", or why there is none.
fn find(rules: &Rules, method: &str, authority: &str, path: &str) -> String {
    let head = RequestHead {
        method: method.as_bytes(),
        authority: authority.as_bytes(),
        path: path.as_bytes(),
        ..RequestHead::default()
    };
    match rules.find(&head) {
        Ok(Access::Public) => "public".to_owned(),
        Ok(Access::Protected(requirement)) => scope(&requirement),
        Err(reason) => reason.name().to_owned(),
    }
}

/// The scope tokens that a challenge names.
fn scope(requirement: &Requirement) -> String {
    let parameters = requirement.challenge_parameters(Reason::InsufficientScope, None);
    parameters.into_iter().map(|(_, scope)| scope).collect()
}

fn check(rules: serde_json::Value, cases: &[(&str, &str, &str, &str)]) {
    let rules = settings(json!({"rules": rules})).rules;
    for (method, authority, path, expected) in cases {
        assert_eq!(find(&rules, method, authority, path), *expected, "{method} {authority} {path}");
    }
}

#[test]
fn r084_the_most_specific_rule_decides_whatever_the_order() {
    let rules = [
        json!({"path": "/", "scopes": ["any"]}),
        json!({"path": "/orders", "scopes": ["orders"]}),
        json!({"path": "/orders", "methods": ["POST"], "scopes": ["orders:write"]}),
        json!({"path": "/orders/public", "access": "public"}),
        json!({"path": "/", "hosts": ["admin.example.com"], "scopes": ["admin"]}),
        json!({"path": "/", "hosts": ["*.example.com"], "scopes": ["sub"]}),
    ];
    let cases = [
        ("GET", "api", "/", "any"),
        ("GET", "api", "/orders/7", "orders"),
        ("POST", "api", "/orders/7", "orders:write"),
        ("GET", "api", "/ordersx", "any"),
        ("GET", "api", "/orders/public/a", "public"),
        ("GET", "admin.example.com", "/orders", "admin"),
        ("GET", "www.example.com", "/orders", "sub"),
        ("GET", "example.com", "/orders", "orders"),
    ];
    check(json!(rules), &cases);
    check(json!(rules.iter().rev().collect::<Vec<_>>()), &cases);
}

/// If a prefix ended anywhere, `/public` would open `/publicity`.
#[test]
fn r084_a_prefix_ends_at_a_segment_boundary() {
    check(
        json!([{"path": "/public", "access": "public"}, {"path": "/a/b", "access": "public"}]),
        &[
            ("GET", "a", "/public", "public"),
            ("GET", "a", "/public/", "public"),
            ("GET", "a", "/public/x", "public"),
            ("GET", "a", "/publicity", "no_matching_rule"),
            ("GET", "a", "/publi", "no_matching_rule"),
            ("GET", "a", "/a", "no_matching_rule"),
            ("GET", "a", "/a/b/c/d", "public"),
            ("GET", "a", "/a/bc", "no_matching_rule"),
            ("GET", "a", "/b/a/b", "no_matching_rule"),
        ],
    );
}

/// If an exact path or a template reached below itself, it would open more than is written.
#[test]
fn r084_exact_paths_and_templates_are_for_what_they_say_and_nothing_below() {
    let rules = [
        json!({"path": "/", "scopes": ["any"]}),
        json!({"path": "/status", "path_match": "exact", "access": "public"}),
        json!({"path": "/orders/{id}", "scopes": ["one"]}),
        json!({"path": "/orders/{id}/lines/{line}", "scopes": ["line"]}),
        json!({"path": "/orders/search", "scopes": ["search"]}),
        json!({"path": "/orders/{id}", "methods": ["DELETE"], "scopes": ["delete"]}),
        json!({"path": "/files/{owner}", "path_match": "prefix", "scopes": ["files"]}),
        json!({"path": "/files/{owner}/shared", "path_match": "exact", "scopes": ["shared"]}),
        json!({"path": "/x/{y}/z", "scopes": ["placeholder"]}),
        json!({"path": "/x/y", "scopes": ["text"]}),
    ];
    let cases = [
        ("GET", "a", "/", "any"),
        ("GET", "a", "/status", "public"),
        ("GET", "a", "/status/", "public"),
        ("GET", "a", "/status/x", "any"),
        ("GET", "a", "/orders", "any"),
        ("GET", "a", "/orders/", "any"),
        ("GET", "a", "/orders/7", "one"),
        ("GET", "a", "/orders/7/", "one"),
        ("GET", "a", "/orders/%7Bid%7D", "one"),
        ("DELETE", "a", "/orders/7", "delete"),
        ("GET", "a", "/orders/7/lines", "any"),
        ("GET", "a", "/orders/7/lines/1", "line"),
        ("GET", "a", "/orders/7/lines/1/x", "any"),
        ("GET", "a", "/orders/search", "search"),
        ("GET", "a", "/orders/search/x", "search"),
        ("GET", "a", "/orders//", "ambiguous_target"),
        ("GET", "a", "/files/alice", "files"),
        ("GET", "a", "/files/alice/x/y", "files"),
        ("GET", "a", "/files/alice/shared", "shared"),
        ("GET", "a", "/files/alice/shared/x", "files"),
        ("GET", "a", "/files", "any"),
        // A literal precedes a placeholder at the first segment where they differ.
        ("GET", "a", "/x/y/z", "text"),
        ("GET", "a", "/x/1/z", "placeholder"),
        ("GET", "a", "/orders/SEARCH", "ambiguous_target"),
    ];
    check(json!(rules), &cases);
    check(json!(rules.iter().rev().collect::<Vec<_>>()), &cases);
}

/// Envoy selects the route again after the filter has written its fields. If a rule for a route could open what another rule does not, a
/// client could have the wrong route checked.
#[test]
fn r084_a_rule_for_a_route_asks_for_more_and_opens_nothing() {
    let rules = settings(json!({"rules": [
        {"path": "/orders", "scopes": ["orders"]},
        {"path": "/health", "access": "public"},
        {"path": "/", "routes": ["admin", "staff"], "scopes": ["staff"]},
        {"path": "/orders", "routes": ["staff"], "methods": ["GET"], "scopes_any_of": ["a", "b"]},
    ]}))
    .rules;
    assert!(rules.ask_route());
    for (method, route, path, expected) in [
        ("GET", None, "/orders/1", "orders"),
        ("GET", Some("other"), "/orders/1", "orders"),
        ("GET", Some("admin"), "/orders/1", "orders staff"),
        ("GET", Some("staff"), "/orders/1", "orders a"),
        ("POST", Some("staff"), "/orders/1", "orders staff"),
        ("GET", Some("admin"), "/health", "staff"),
        ("GET", Some("other"), "/health", "public"),
        ("GET", Some("admin"), "/", "no_matching_rule"),
        ("GET", Some("admin"), "/a//b", "ambiguous_target"),
    ] {
        let head = RequestHead {
            method: method.as_bytes(),
            path: path.as_bytes(),
            route: route.map(str::as_bytes),
            ..RequestHead::default()
        };
        let found = match rules.find(&head) {
            Ok(Access::Public) => "public".to_owned(),
            Ok(Access::Protected(requirement)) => scope(&requirement),
            Err(reason) => reason.name().to_owned(),
        };
        assert_eq!(found, expected, "{method} {route:?} {path}");
    }
    for rule in [
        json!({"path": "/", "routes": ["a"], "access": "public"}),
        json!({"path": "/", "routes": ["a"], "mint": {"audience": "x"}}),
    ] {
        let configuration = crate::testing::configured(json!({"rules": [{"path": "/"}, rule]}));
        assert!(crate::testing::parse(&configuration).is_err(), "{rule}");
    }
}

#[test]
fn r181_a_rule_for_a_route_can_have_alternatives_beside_those_of_the_path() {
    let rules = settings(json!({"rules": [
        {"path": "/", "any_of": [{"scopes": ["a"]}, {"scopes": ["b"]}]},
        {"path": "/", "routes": ["r"], "any_of": [{"scopes": ["c"], "claims": [{"pointer": "/x", "present": true}]}, {"scopes": ["d"]}]},
    ]}))
    .rules;
    let head = RequestHead { path: b"/", route: Some(b"r"), method: b"GET", ..RequestHead::default() };
    let Ok(Access::Protected(requirement)) = rules.find(&head) else { panic!("a protected place") };
    assert_eq!(scope(&requirement), "a c");
    assert!(
        rules.requirements().any(|requirement| requirement.named_claims().any(|pointer| pointer == "/x"))
    );
}

/// If each rule were looked at, a thousand of them would make every request slow.
#[test]
fn finding_a_rule_costs_the_same_among_ten_and_among_a_thousand() {
    let rules = |count: usize| {
        let one = |index: usize| match index % 4 {
            0 => json!({"path": format!("/service-{index}"), "scopes": ["a"]}),
            1 => json!({"path": format!("/service-{index}/{{id}}/x"), "scopes": ["a"]}),
            2 => json!({"path": "/", "hosts": [format!("host-{index}.example.com")], "scopes": ["a"]}),
            _ => json!({"path": "/", "hosts": [format!("*.zone-{index}.example.com")], "scopes": ["a"]}),
        };
        let mut all: Vec<_> = (0..count).map(one).collect();
        all.push(json!({"path": "/", "scopes": ["rest"]}));
        all.push(json!({"path": "/orders/{id}", "scopes": ["one"]}));
        settings(json!({"rules": all})).rules
    };
    let cost = |rules: &Rules, host: &str, path: &str| {
        tree::VISITS.set(0);
        find(rules, "GET", host, path);
        tree::VISITS.get()
    };
    let (few, many) = (rules(8), rules(1000));
    for (host, path) in [
        ("api.example.com", "/orders/7"),
        ("api.example.com", "/nothing/at/all"),
        ("host-2.example.com", "/"),
        ("a.zone-3.example.com", "/x"),
        ("api.example.com", "/service-4/x"),
    ] {
        assert_eq!(cost(&few, host, path), cost(&many, host, path), "{host}{path}");
        assert!(cost(&many, host, path) < 12, "{host}{path}");
    }
}

#[test]
fn r084_what_no_rule_matches_is_not_exposed() {
    check(
        json!([{"path": "/orders", "methods": ["GET"]}, {"path": "/health", "access": "public"}]),
        &[
            ("GET", "a", "/", "no_matching_rule"),
            ("POST", "a", "/orders", "no_matching_rule"),
            ("GET", "a", "/healthy", "no_matching_rule"),
            ("", "", "", "ambiguous_target"),
        ],
    );
}

/// Envoy's virtual hosts treat the port and the trailing dot as part of the name, unless configured otherwise. If rules did
/// not, `Host: public.example.com:1` would have the public host's rule and reach another host's service.
#[test]
fn r084_a_host_that_is_routed_in_different_ways_is_ambiguous_where_it_matters() {
    let rules = json!([{"path": "/", "hosts": ["open.example.com"], "access": "public"}, {"path": "/"}, {"path": "/open", "access": "public"}]);
    let cases = [
        ("GET", "open.example.com", "/", "public"),
        ("GET", "OPEN.Example.com", "/", "public"),
        ("GET", "open.example.com:8443", "/", "ambiguous_target"),
        ("GET", "open.example.com:", "/", "ambiguous_target"),
        ("GET", "open.example.com:80x", "/", "ambiguous_target"),
        ("GET", "open.example.com::80", "/", "ambiguous_target"),
        ("GET", "open.example.com:80:", "/", "ambiguous_target"),
        ("GET", "open.example.com]:80", "/", "ambiguous_target"),
        ("GET", "open.example.com:8443", "/open", "public"),
        ("GET", "open.example.com.", "/", "ambiguous_target"),
        ("GET", "open.example.com.:443", "/", "ambiguous_target"),
        ("GET", "open.example.com.evil.org", "/", ""),
        ("GET", "user@open.example.com", "/", "ambiguous_target"),
        ("GET", "open.example.com/", "/", "ambiguous_target"),
        ("GET", "open.example.com,x", "/", "ambiguous_target"),
        ("GET", "open.ex%61mple.com", "/", "ambiguous_target"),
        ("GET", "other:8443", "/", ""),
        ("GET", "[::1]:80", "/", ""),
    ];
    check(rules.clone(), &cases);
    let rules = settings(json!({"rules": rules, "ignore_port_in_host_matching": true})).rules;
    assert_eq!(find(&rules, "GET", "open.example.com:8443", "/"), "public");
    for host in ["open.example.com.:8443", "open.example.com:abc", "open.example.com:-1", "a:"] {
        assert_eq!(find(&rules, "GET", host, "/"), "ambiguous_target", "{host}");
    }
}

/// An optional rule asks for less than a protected one and for more than a public one. A method that a rule does not name must not slip
/// past it to a rule that asks for less.
#[test]
fn r170_no_method_slips_past_a_stricter_rule_into_an_optional_one() {
    let optional = |path: &str, scope: &str| json!({"path": path, "access": "optional", "scopes": [scope]});
    let reported = |path: &str| json!({"path": path, "report_only": true, "scopes": ["any"]});
    let only_get = |mut rule: serde_json::Value| {
        rule["methods"] = json!(["GET"]);
        rule
    };
    let protected = || json!({"path": "/orders", "scopes": ["orders"]});
    let public = || json!({"path": "/", "access": "public"});
    for (narrow, wide, expected) in [
        (protected(), optional("/", "any"), "no_matching_rule"),
        (optional("/orders", "orders"), public(), "no_matching_rule"),
        (optional("/orders", "orders"), optional("/", "any"), "any"),
        (optional("/orders", "orders"), json!({"path": "/", "scopes": ["any"]}), "any"),
        (public(), optional("/", "any"), "any"),
        // A rule that only reports lets everything pass, as long as it does.
        (protected(), reported("/"), "no_matching_rule"),
        (reported("/orders"), public(), "no_matching_rule"),
        (reported("/orders"), reported("/"), "any"),
        (reported("/orders"), json!({"path": "/", "scopes": ["any"]}), "any"),
    ] {
        let rules = json!([only_get(narrow), wide]);
        check(rules, &[("DELETE", "a", "/orders", expected)]);
    }
    // A rule for a route asks for more: it makes no token optional, and needs one where it is protected.
    let rules = settings(json!({"rules": [
        {"path": "/", "access": "optional"},
        {"path": "/", "routes": ["admin"], "scopes": ["admin"]},
    ]}));
    let is_optional = |route: Option<&str>| {
        let head = RequestHead { path: b"/", route: route.map(str::as_bytes), ..RequestHead::default() };
        matches!(rules.rules.find(&head), Ok(Access::Protected(requirement)) if requirement.is_optional)
    };
    assert_eq!([is_optional(None), is_optional(Some("admin"))], [true, false]);
}

/// Services answer HEAD by the code of GET. If a method that a rule does not name slipped past it to a public one, `HEAD
/// /orders` would be open.
#[test]
fn r084_no_method_slips_past_a_protected_rule_into_a_public_one() {
    let cases = [
        ("GET", "a", "/orders", "orders"),
        ("HEAD", "a", "/orders", "orders"),
        ("POST", "a", "/orders/7", "no_matching_rule"),
        ("POST", "a", "/", "public"),
        ("GET", "a", "/orders/help", "public"),
        ("POST", "a", "/orders/help", "no_matching_rule"),
        ("GET", "a", "/a/b/c", "no_matching_rule"),
        ("POST", "a", "/a/b/c", "public"),
        ("POST", "a", "/split", "public"),
        ("GET", "a", "/split", "split"),
    ];
    check(
        json!([
            {"path": "/", "access": "public"},
            {"path": "/orders", "methods": ["GET"], "scopes": ["orders"]},
            {"path": "/orders/help", "methods": ["GET"], "access": "public"},
            {"path": "/a", "access": "public"},
            {"path": "/a/b", "methods": ["PUT"], "scopes": ["b"]},
            {"path": "/a/b/c", "methods": ["PATCH"], "scopes": ["c"]},
            {"path": "/a/b/c", "methods": ["POST"], "access": "public"},
            {"path": "/split", "methods": ["GET"], "scopes": ["split"]},
            {"path": "/split", "access": "public"},
        ]),
        &cases,
    );
    // It may slip into a protected rule: "any valid token" is for whatever no other rule is for.
    check(
        json!([{"path": "/"}, {"path": "/orders", "methods": ["GET"], "scopes": ["o"]}]),
        &[("POST", "a", "/orders", "")],
    );
}

/// Some services do not tell letter case apart. If `/ADMIN` had the public rule of `/`, they would serve `/admin` by it.
#[test]
fn r084_letter_case_does_not_walk_from_a_protected_rule_to_a_public_one() {
    check(
        json!([{"path": "/", "access": "public"}, {"path": "/admin", "scopes": ["admin"]}, {"path": "/admin/help", "access": "public"}]),
        &[
            ("GET", "a", "/admin", "admin"),
            ("GET", "a", "/Admin", "ambiguous_target"),
            ("GET", "a", "/ADMIN/x", "ambiguous_target"),
            ("GET", "a", "/administration", "public"),
            ("GET", "a", "/Admin/Help", "public"),
            ("GET", "a", "/Other", "public"),
        ],
    );
}

/// Nor does letter case lead from a strict rule to a lax one, whether the rule or the request is written in capitals.
#[test]
fn r084_letter_case_does_not_walk_around_a_strict_rule() {
    let rules = json!([{"path": "/", "scopes": ["any"]}, {"path": "/admin", "scopes": ["admin"]}, {"path": "/Reports", "scopes": ["r"]}]);
    check(
        rules,
        &[
            ("GET", "a", "/admin/x", "admin"),
            ("GET", "a", "/ADMIN", "ambiguous_target"),
            ("GET", "a", "/Admin/x", "ambiguous_target"),
            ("GET", "a", "/admin/X-7", "admin"),
            ("GET", "a", "/Reports", "r"),
            ("GET", "a", "/reports", "ambiguous_target"),
            ("GET", "a", "/Other/X", "any"),
        ],
    );
    check(
        json!([{"path": "/orders"}]),
        &[("GET", "a", "/ORDERS", "ambiguous_target"), ("GET", "a", "/X", "no_matching_rule")],
    );
}

/// HTTP/2 carries methods in any letter case, and services that fold it (ASP.NET Core, Django) serve `get` by the code of GET. If `get`
/// fell to a wider rule, it would need neither the scope, nor the audience, nor the step-up of the rule for GET.
#[test]
fn r126_letter_case_of_the_method_does_not_walk_around_a_rule() {
    check(
        json!([
            {"path": "/", "scopes": ["any"]},
            {"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]},
            {"path": "/orders", "methods": ["DELETE", "PURGE-ALL"], "scopes": ["orders:write"]},
            {"path": "/health", "methods": ["GET"], "access": "public"},
            {"path": "/alike", "methods": ["GET"], "scopes": ["any"]},
        ]),
        &[
            ("GET", "a", "/orders", "orders:read"),
            ("get", "a", "/orders", "ambiguous_target"),
            ("Get", "a", "/orders/7", "ambiguous_target"),
            ("head", "a", "/orders", "ambiguous_target"),
            ("dELETE", "a", "/orders", "ambiguous_target"),
            ("purge-all", "a", "/orders", "ambiguous_target"),
            ("get", "a", "/health", "ambiguous_target"),
            // How the method is read makes no difference here.
            ("post", "a", "/orders", "any"),
            ("get", "a", "/other", "any"),
            ("get", "a", "/alike", "any"),
            ("x-purge", "a", "/orders", "any"),
        ],
    );
    check(
        json!([{"path": "/orders", "methods": ["GET"]}, {"path": "/", "methods": ["OPTIONS"], "access": "public"}]),
        &[
            ("get", "a", "/orders", "ambiguous_target"),
            ("post", "a", "/orders", "no_matching_rule"),
            ("options", "a", "/orders", "ambiguous_target"),
        ],
    );
    check(
        json!([{"path": "/"}, {"path": "/orders", "routes": ["r"], "methods": ["GET"], "scopes": ["o"]}]),
        &[("get", "a", "/orders", "")],
    );
    // The same holds for a rule for a route, and under a host that is read in two ways.
    let rules = settings(json!({"rules": [
        {"path": "/"},
        {"path": "/", "hosts": ["a"], "methods": ["GET"], "scopes": ["a"]},
        {"path": "/", "routes": ["r"], "methods": ["GET"], "scopes": ["routed"]},
    ]}))
    .rules;
    for (method, authority, route, expected) in [
        ("get", "b", Some("r"), Err(Reason::AmbiguousTarget)),
        ("get", "b", None, Ok(String::new())),
        ("get", "a", None, Err(Reason::AmbiguousTarget)),
        ("get", "a:1", None, Err(Reason::AmbiguousTarget)),
        ("post", "a:1", None, Ok(String::new())),
        ("post", "a", Some("r"), Err(Reason::NoMatchingRule)),
        ("GET", "a", Some("r"), Ok("a routed".to_owned())),
    ] {
        let head = RequestHead {
            method: method.as_bytes(),
            authority: authority.as_bytes(),
            path: b"/",
            route: route.map(str::as_bytes),
            ..RequestHead::default()
        };
        let found = rules.find(&head).map(|access| match access {
            Access::Public => "public".to_owned(),
            Access::Protected(requirement) => scope(&requirement),
        });
        assert_eq!(found, expected, "{method} {authority} {route:?}");
    }
}

/// To services that fold letter case as Unicode does, `/keys` may be written with the sign for Kelvin. If the rule of `/` decided, they
/// would serve the keys by it.
#[test]
fn r126_letters_whose_other_case_is_ascii_do_not_bypass_a_rule() {
    check(
        json!([
            {"path": "/", "scopes": ["any"]},
            {"path": "/keys", "scopes": ["admin"]},
            {"path": "/admin/class", "scopes": ["admin"]},
            {"path": "/Files", "scopes": ["files"]},
        ]),
        &[
            ("GET", "a", "/%E2%84%AAeys", "ambiguous_target"),
            ("GET", "a", "/key%C5%BF/1", "ambiguous_target"),
            ("GET", "a", "/adm%C4%B0n/class", "ambiguous_target"),
            ("GET", "a", "/adm%c4%b1n/cla%c3%9f", "ambiguous_target"),
            ("GET", "a", "/ADMIN/CLA%E1%BA%9E", "ambiguous_target"),
            ("GET", "a", "/%EF%AC%81les", "ambiguous_target"),
            ("GET", "a", "/keys/stra%C3%9Fe", "admin"),
            ("GET", "a", "/stra%C3%9Fe", "any"),
            ("GET", "a", "/k%C3%A9ys", "any"),
            ("GET", "a", "/%CD%BE/keys", "ambiguous_target"),
        ],
    );
}

/// A preflight comes without a token to every path (Fetch §3.2.2), so one rule opens it for all.
#[test]
fn r080_a_rule_for_preflights_is_for_every_path_below_it() {
    let rules = json!([{"path": "/", "methods": ["OPTIONS"], "access": "public"}, {"path": "/orders", "methods": ["GET"]}]);
    let cases = [
        ("OPTIONS", "a", "/orders", "public"),
        ("GET", "a", "/orders", ""),
        ("PUT", "a", "/orders", "no_matching_rule"),
    ];
    check(rules, &cases);
}

#[test]
fn r084_the_narrower_of_two_wildcards_decides_and_neither_is_for_its_own_domain() {
    let wildcard = |host: &str, scope: &str| json!({"path": "/", "hosts": [host], "scopes": [scope]});
    let rules = json!([wildcard("*.com", "com"), wildcard("*.example.com", "example")]);
    let cases = [
        ("GET", "a.example.com", "/", "example"),
        ("GET", "a.b.example.com", "/", "example"),
        ("GET", "example.com", "/", "com"),
        ("GET", ".example.com", "/", "com"),
        ("GET", "com", "/", "no_matching_rule"),
    ];
    check(rules, &cases);
}

/// If a reserved character and its escape were two paths, each would be a way around a rule for the other.
#[test]
fn r084_escapes_do_not_walk_around_a_rule() {
    let paths = ["/users/@me", "/odata/Orders(1)", "/v1/orders:cancel", "/a|b", "/$batch"];
    for path in paths {
        let escaped: String = path
            .chars()
            .map(|character| match character {
                '/' => "/".to_owned(),
                character if character.is_ascii_alphanumeric() => character.to_string(),
                character => format!("%{:02X}", u32::from(character)),
            })
            .collect();
        let rules = json!([{"path": "/", "access": "public"}, {"path": path, "scopes": ["me"]}]);
        check(rules, &[("GET", "a", path, "me"), ("GET", "a", &escaped, "me")]);
    }
}

#[test]
fn r084_an_ambiguous_path_passes_only_where_the_path_cannot_matter() {
    let ambiguous = ["/a/../b", "/public/..%2fadmin", "/public/..;/admin", "//admin", "/public%2f..%2fadmin"];
    for path in ambiguous {
        check(json!([{"path": "/", "scopes": ["any"]}]), &[("GET", "a", path, "any")]);
        let split = json!([{"path": "/", "scopes": ["any"]}, {"path": "/public", "access": "public"}]);
        check(split, &[("GET", "a", path, "ambiguous_target")]);
        check(json!([{"path": "/public", "access": "public"}]), &[("GET", "a", path, "ambiguous_target")]);
        // Nor into a public rule, whatever methods the narrower one names.
        for methods in [json!(["GET"]), json!(["PUT"])] {
            let open = json!([{"path": "/", "access": "public"}, {"path": "/orders", "methods": methods, "scopes": ["o"]}]);
            check(open, &[("GET", "a", path, "ambiguous_target"), ("POST", "a", path, "ambiguous_target")]);
        }
        check(json!([{"path": "/", "access": "public"}]), &[("GET", "a", path, "public")]);
        // A rule for other methods does not matter to this one.
        let others =
            json!([{"path": "/", "scopes": ["any"]}, {"path": "/a", "methods": ["PUT"], "access": "public"}]);
        check(others, &[("GET", "a", path, "any"), ("PUT", "a", path, "ambiguous_target")]);
    }
}

/// Names with slashes and the like: dadrus/heimdall#1070, zowe/api-layer#23, traefik/traefik#12360. If a character that one rule allows led
/// to the place of another rule, `/files/x%2Fadmin` would need no more than what `/files/{name}` asks.
#[test]
fn r184_what_a_rule_allows_in_its_paths_leads_to_no_other_rule() {
    let rules = json!([
        {"path": "/", "scopes": ["any"]},
        {"path": "/projects/{id}", "allow_in_path": ["%2F"], "scopes": ["project"]},
        {"path": "/projects/{id}/members", "scopes": ["members"]},
        {"path": "/files", "allow_in_path": ["%2F", ";", "%25", "%23", "%3F"], "scopes": ["files"]},
        {"path": "/files/admin", "scopes": ["admin"]},
        {"path": "/queues", "allow_in_path": ["%2F"], "scopes": ["queues"]},
        {"path": "/open", "allow_in_path": ["%2F", ";"], "access": "public"},
        {"path": "/open/closed", "scopes": ["closed"]},
        {"path": "/open/only", "path_match": "exact", "scopes": ["only"]},
        {"path": "/package/{name}", "allow_in_path": ["%2F"], "access": "public"},
        {"path": "/optional/{name}", "allow_in_path": ["%2F"], "access": "optional"},
        {"path": "/reported/{name}", "allow_in_path": ["%2F"], "report_only": true, "scopes": ["r"]},
        {"path": "/sets/{id}", "allow_in_path": ["%2F"], "methods": ["GET"], "scopes": ["set"]},
        {"path": "/sets/{id}/rows", "methods": ["PUT"], "scopes": ["rows"]},
    ]);
    let cases = [
        // As it is written, within one segment.
        ("GET", "a", "/projects/group%2Fproject", "project"),
        ("GET", "a", "/projects/group%2fsub%2Fproject", "project"),
        ("GET", "a", "/queues/%2F/orders", "queues"),
        ("GET", "a", "/files/%2Fu%2Fibmuser", "files"),
        ("GET", "a", "/files/a;v=1/b", "files"),
        ("GET", "a", "/files/a;v=1", "files"),
        ("GET", "a", "/files/a%3Bb", "files"),
        ("GET", "a", "/files/100%25", "files"),
        ("GET", "a", "/files/C%23/why%3F", "files"),
        ("GET", "a", "/files/a%252Fb", "files"),
        ("GET", "a", "/files/a%2Fb?path=/../x", "files"),
        ("GET", "a", "/files/%61%2Fb", "files"),
        ("GET", "a", "/open/a%2Fb", "public"),
        ("GET", "a", "/open/a;closed", "public"),
        // Characters that the rule does not allow, and paths where no rule allows any.
        ("GET", "a", "/projects/a;v=1", "ambiguous_target"),
        ("GET", "a", "/projects/a%252Fb", "ambiguous_target"),
        ("GET", "a", "/projects/a%2Fb;c", "ambiguous_target"),
        ("GET", "a", "/projects/a/b%2Fc", "ambiguous_target"),
        ("GET", "a", "/projects%2Fa", "ambiguous_target"),
        ("GET", "a", "/x%2Fy", "ambiguous_target"),
        ("GET", "a", "/queues/a%5Cb", "ambiguous_target"),
        ("GET", "a", "/queues/a//b%2Fc", "ambiguous_target"),
        // Paths that are another rule's on servers that decode, end a segment or the path, or do so twice.
        ("GET", "a", "/projects/x%2Fmembers", "ambiguous_target"),
        ("GET", "a", "/projects/x%2Fmembers%2Fy", "project"),
        ("GET", "a", "/projects/x%2FMembers", "ambiguous_target"),
        ("GET", "a", "/projects/x%2Fmember%C5%BF", "ambiguous_target"),
        ("GET", "a", "/files/admin;x", "ambiguous_target"),
        ("GET", "a", "/files/admin%3Bx/y", "ambiguous_target"),
        ("GET", "a", "/files/admin%2Fx", "ambiguous_target"),
        ("GET", "a", "/files/%2Fadmin", "ambiguous_target"),
        ("GET", "a", "/files/admin%23", "ambiguous_target"),
        ("GET", "a", "/files/admin%3F", "ambiguous_target"),
        ("GET", "a", "/files/%2561dmin", "ambiguous_target"),
        ("GET", "a", "/files/admin%252Fx", "ambiguous_target"),
        ("GET", "a", "/files%2Fadmin", "ambiguous_target"),
        ("GET", "a", "/files/x%2Fadmin", "files"),
        ("PUT", "a", "/sets/x%2Frows", "ambiguous_target"),
        ("GET", "a", "/sets/x%2Frows", "ambiguous_target"),
        ("GET", "a", "/sets/x%2Fy", "set"),
        ("POST", "a", "/sets/x%2Fy", "ambiguous_target"),
        // Paths that climb.
        ("GET", "a", "/files/..%2Fadmin", "ambiguous_target"),
        ("GET", "a", "/files/x%2F..%2F..%2Fadmin", "ambiguous_target"),
        ("GET", "a", "/files/..;/admin", "ambiguous_target"),
        ("GET", "a", "/files/%252e%252e/x", "ambiguous_target"),
        ("GET", "a", "/open%2F..%2Ffiles", "ambiguous_target"),
        // Nothing that is not public in every reading is public.
        ("GET", "a", "/open/closed;x", "ambiguous_target"),
        ("GET", "a", "/open/closed%2Fx", "ambiguous_target"),
        ("GET", "a", "/open/only;", "ambiguous_target"),
        ("GET", "a", "/open/only%2F", "ambiguous_target"),
        ("GET", "a", "/open/only%2Fx", "public"),
        ("GET", "a", "/open/only;%2Fx", "ambiguous_target"),
        ("GET", "a", "/open/only;x%2Fy;z", "ambiguous_target"),
        ("GET", "a", "/open;%2Fx/only", "ambiguous_target"),
        ("GET", "a", "/package/@scope%2Fname", "ambiguous_target"),
        ("GET", "a", "/optional/a%2Fb", "ambiguous_target"),
        ("GET", "a", "/reported/a%2Fb", "ambiguous_target"),
    ];
    check(rules, &cases);
    // A package is public by a prefix that all readings have.
    check(
        json!([{"path": "/"}, {"path": "/package", "allow_in_path": ["%2F"], "access": "public"}]),
        &[("GET", "a", "/package/@scope%2Fname", "public"), ("GET", "a", "/package%2Fx", "ambiguous_target")],
    );
    // The only rule for a path needs no wider one.
    check(
        json!([{"path": "/projects/{id}", "allow_in_path": ["%2F"], "scopes": ["project"]}]),
        &[("GET", "a", "/projects/a%2Fb", "project"), ("GET", "a", "/x/a%2Fb", "ambiguous_target")],
    );
    // Where rules for the route ask for more, all readings must have the same result.
    let rules = settings(json!({"rules": [
        {"path": "/files", "allow_in_path": ["%2F"], "scopes": ["files"]},
        {"path": "/files/{name}", "routes": ["r"], "scopes": ["one"]},
        {"path": "/files", "routes": ["s"], "scopes": ["all"]},
    ]}))
    .rules;
    for (route, expected) in [("r", None), ("s", Some("files all")), ("t", Some("files"))] {
        let head = RequestHead {
            path: b"/files/a%2Fb",
            route: Some(route.as_bytes()),
            method: b"GET",
            ..RequestHead::default()
        };
        let found = match rules.find(&head) {
            Ok(Access::Protected(requirement)) => Some(scope(&requirement)),
            _ => None,
        };
        assert_eq!(found.as_deref(), expected, "{route}");
    }
}

/// What operators expect of routers, and where a path or host does not mean what it seems to.
#[test]
fn r084_hosts_paths_and_methods_are_what_the_page_says() {
    let rules = json!([
        {"path": "/", "scopes": ["any"]},
        {"path": "/orders", "scopes": ["orders"]},
        {"path": "/orders", "methods": ["POST"], "scopes": ["write"]},
        {"path": "/", "hosts": ["[::1]"], "scopes": ["six"]},
        {"path": "/", "hosts": ["127.0.0.1"], "scopes": ["four"]},
        {"path": "/", "hosts": ["xn--exmple-cua.com", "under_score.example.com"], "scopes": ["name"]},
        {"path": "/", "hosts": ["*.example.com"], "scopes": ["below"]},
    ]);
    let cases = [
        // The query and its marks are no part of the path.
        ("GET", "a", "/orders?x=/admin/../%2F;//", "orders"),
        ("GET", "a", "/orders?", "orders"),
        ("GET", "a", "/?/orders", "any"),
        ("GET", "a", "/orders/?x", "orders"),
        ("GET", "a", "/orders%3Fx", "ambiguous_target"),
        ("GET", "a", "/orders#x", "ambiguous_target"),
        // A slash at the end makes no difference, two do.
        ("GET", "a", "/orders/", "orders"),
        ("GET", "a", "/orders//", "ambiguous_target"),
        // Without a path: asterisk-form (RFC 9110 §9.3.7), CONNECT, absolute-form that was left so.
        ("OPTIONS", "a", "*", "ambiguous_target"),
        ("GET", "a", "", "ambiguous_target"),
        ("GET", "a", "?x", "ambiguous_target"),
        ("GET", "a", "http://a/orders", "ambiguous_target"),
        ("HEAD", "a", "/orders", "orders"),
        ("PROPFIND", "a", "/orders", "orders"),
        // Hosts: in any letter case, below a wildcard at any depth, addresses as they are written.
        ("GET", "WWW.EXAMPLE.COM", "/", "below"),
        ("GET", "a.b.example.com", "/", "below"),
        ("GET", "example.com", "/", "any"),
        ("GET", "notexample.com", "/", "any"),
        ("GET", "XN--EXMPLE-CUA.com", "/", "name"),
        ("GET", "under_score.example.com", "/", "name"),
        ("GET", "[::1]", "/", "six"),
        ("GET", "[::1]:8443", "/", "ambiguous_target"),
        ("GET", "[0:0:0:0:0:0:0:1]", "/", "any"),
        ("GET", "::1", "/", "ambiguous_target"),
        ("GET", "127.0.0.1", "/", "four"),
        ("GET", "127.0.0.1:80", "/", "ambiguous_target"),
        ("GET", "127.1", "/", "any"),
        ("GET", "a:8443", "/", "any"),
        ("GET", "a.", "/", "ambiguous_target"),
        ("GET", "", "/", "ambiguous_target"),
        ("GET", "ex\u{e4}mple.com", "/", "ambiguous_target"),
        ("GET", "a b", "/", "ambiguous_target"),
    ];
    check(rules, &cases);
    // Where rules do not differ by path or host, none of that matters.
    let everywhere = json!([{"path": "/", "scopes": ["any"]}]);
    for (authority, path) in [("a", "*"), ("a", ""), ("a.", "/x"), ("", "//"), ("a b", "/%2F")] {
        check(everywhere.clone(), &[("OPTIONS", authority, path, "any")]);
    }
}
