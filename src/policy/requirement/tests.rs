use serde_json::{Value, json};

use crate::driver::{Driver, Outcome, Request, Response};
use crate::host::{Host, NoMetrics, NoRandomness, NoSharedData};
use crate::settings::Settings;
use crate::testing::{self, NOW, at, settings, test};

/// The result of a rule with these fields for a JWT with these claims: the status, and the challenge if there is one.
fn judge(rule: &Value, claims: &Value) -> (u16, String) {
    let mut rule = rule.clone();
    rule["path"] = json!("/");
    let settings = settings(json!({"rules": [rule], "cache": {"max_ttl": "1h"}, "token": {"leeway": "0s"}}));
    judge_by(settings, claims)
}

fn judge_by(settings: Settings, claims: &Value) -> (u16, String) {
    let host =
        Host { now: at(0), shared_data: &NoSharedData, metrics: &NoMetrics, randomness: &NoRandomness };
    let fields = [(":method", "GET"), (":path", "/"), ("authorization", "Bearer opaque")];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).to_vec();
    let jwt = testing::jwt(claims.clone());
    let outcome =
        Driver::new(settings, host).process(&Request { fields, ..Request::default() }, host, &mut |_| {
            Some(Response::of("application/jwt", jwt.clone()))
        });
    match outcome {
        Outcome::Forwarded { .. } => (200, String::new()),
        Outcome::Answered(reply) => {
            let challenge = reply.headers.into_iter().find(|(name, _)| *name == "www-authenticate");
            (reply.status, challenge.map(|(_, value)| value).unwrap_or_default())
        }
        Outcome::Waiting => panic!("nothing is left to ask"),
    }
}

fn check(rule: Value, cases: &[(Value, u16)]) {
    for (claims, status) in cases {
        assert_eq!(judge(&rule, claims).0, *status, "{rule} {claims}");
    }
}

#[test]
fn r034_a_rule_can_ask_for_an_audience_of_its_own() {
    check(
        json!({"audience": ["orders-api", "b"]}),
        &[
            (json!({}), 200),
            (json!({"aud": ["x", "b"]}), 200),
            (json!({"aud": "x"}), 401),
            (json!({"aud": null}), 401),
        ],
    );
}

#[test]
fn r035_r232_all_of_some_scopes_and_one_of_others() {
    let rule = json!({"scopes": ["a", "b"], "scopes_any_of": ["x", "y"]});
    check(
        rule.clone(),
        &[
            (json!({"scope": "a b y"}), 200),
            (json!({"scope": "a b"}), 403),
            (json!({"scope": "a x"}), 403),
            (json!({"scope": null}), 403),
        ],
    );
    let (_, challenge) = judge(&rule, &json!({"scope": "a"}));
    // Of alternative scopes, the first alone is named: clients ask for all that they find.
    assert!(challenge.ends_with(r#"scope="a b x""#), "{challenge}");
}

/// If a condition held for a claim that is absent, or of another type, every token would satisfy it.
#[test]
fn r041_conditions_hold_for_claims_as_they_are() {
    let with = |condition: Value| json!({"claims": [condition]});
    check(
        with(json!({"pointer": "/department", "one_of": ["sales", 7]})),
        &[
            (json!({"department": "sales"}), 200),
            (json!({"department": 7}), 200),
            (json!({"department": "7"}), 403),
            (json!({"department": null}), 403),
            (json!({}), 403),
        ],
    );
    check(
        with(json!({"pointer": "/realm_access/roles", "contains": "admin"})),
        &[
            (json!({"realm_access": {"roles": ["user", "admin"]}}), 200),
            (json!({"realm_access": {"roles": ["administrator"]}}), 403),
            (json!({"realm_access": ["admin"]}), 403),
        ],
    );
    check(
        with(json!({"pointer": "/https:~1~1example.com~1tenant", "present": true})),
        &[
            (json!({"https://example.com/tenant": "t"}), 200),
            (json!({"https:": {"": {"example.com": {"tenant": "t"}}}}), 403),
            (json!({}), 403),
        ],
    );
}

/// Servers write a list of one element as that element, or a list as one text. If that were guessed, `Domain Admins` would be in the
/// group `Domain`; if it could not be said, users of one group would be refused.
#[test]
fn r180_a_claim_is_a_value_or_a_list_of_values_whatever_the_condition_is_called() {
    let admin = [json!({"one_of": ["staff", "admin"]}), json!({"contains": "admin"})];
    let cases = [
        // kubernetes/kubernetes#33290, istio/istio#8466: one group is a string, several are a list.
        (json!("admin"), 200),
        (json!(["admin"]), 200),
        (json!(["user", "admin"]), 200),
        (json!(["admin", 7, null, {}]), 200),
        (json!([]), 403),
        (json!(""), 403),
        (json!("user"), 403),
        (json!(["user", "administrator", "Admin", " admin"]), 403),
        // minio/minio#9911: a text with commas; Envoy's `space_delimited_claims`: one with spaces.
        (json!("user,admin"), 403),
        (json!("user admin"), 403),
        (json!("[user, admin]"), 403),
        (json!(["user,admin"]), 403),
        // A list in a list is one value.
        (json!([["admin"]]), 403),
        (json!({"admin": true}), 403),
        (json!(null), 403),
        (json!(true), 403),
    ];
    for condition in admin {
        let mut condition = condition;
        condition["pointer"] = json!("/groups");
        let cases = cases.clone().map(|(groups, status)| (json!({"groups": groups}), status));
        check(json!({"claims": [condition]}), &cases);
    }
    for (condition, groups, status) in [
        (json!({"contains": 7}), json!(7), 200),
        (json!({"contains": 7}), json!([7]), 200),
        (json!({"contains": 7}), json!("7"), 403),
        (json!({"contains": 7}), json!(["7"]), 403),
        (json!({"contains": 7}), json!(7.5), 403),
        (json!({"contains": true}), json!(true), 200),
        (json!({"contains": true}), json!([false, true]), 200),
        (json!({"contains": true}), json!("true"), 403),
        (json!({"contains": true}), json!(1), 403),
        (json!({"one_of": [["a", "b"]]}), json!(["a", "b"]), 200),
        (json!({"one_of": [["a", "b"]]}), json!([["a", "b"], "c"]), 200),
        (json!({"one_of": [["a", "b"]]}), json!(["b", "a"]), 403),
        (json!({"contains": {"id": 1}}), json!([{"id": 1}]), 200),
        (json!({"contains": {"id": 1}}), json!([{"id": 1, "x": 2}]), 403),
        (json!({"contains": "a b"}), json!("a b"), 200),
        (json!({"contains": "admin", "separated_by": "comma"}), json!("user, admin"), 200),
        (json!({"contains": "admin", "separated_by": "comma"}), json!("user,admin,"), 200),
        (json!({"contains": "admin", "separated_by": "comma"}), json!("user admin"), 403),
        (json!({"contains": "admin", "separated_by": "comma"}), json!(["user", "admin"]), 200),
        (json!({"contains": "admin", "separated_by": "comma"}), json!(["user,admin"]), 403),
        (json!({"contains": "admin", "separated_by": "comma"}), json!("user,\u{a0}admin"), 403),
        (json!({"contains": "admin", "separated_by": "comma"}), json!("user,admin\t"), 403),
        (json!({"contains": "admin", "separated_by": "space"}), json!("user admin"), 200),
        (json!({"contains": "admin", "separated_by": "space"}), json!("user admin\u{3000}"), 403),
        (json!({"contains": "admin", "separated_by": "space"}), json!("admin"), 200),
        (json!({"contains": "admin", "separated_by": "space"}), json!("user,admin"), 403),
        (json!({"contains": "user admin", "separated_by": "space"}), json!("user admin"), 403),
        (json!({"contains": 7, "separated_by": "space"}), json!("6 7"), 403),
        (json!({"present": true}), json!([]), 200),
        (json!({"present": true}), json!(false), 200),
        (json!({"present": true}), json!(null), 403),
    ] {
        let mut condition = condition;
        condition["pointer"] = json!("/groups");
        check(json!({"claims": [condition]}), &[(json!({"groups": groups}), status)]);
    }
}

#[test]
fn r182_an_unmet_claim_is_challenged_without_a_scope() {
    let rule = json!({"scopes": ["a"], "claims": [{"pointer": "/tier", "one_of": ["gold"]}]});
    assert_eq!(judge(&rule, &json!({"scope": "a"})), (403, r#"Bearer realm="api""#.to_owned()));
    let (status, challenge) = judge(&rule, &json!({"scope": "b", "tier": "gold"}));
    assert_eq!(status, 403);
    assert!(
        challenge.contains(r#"error="insufficient_scope""#) && challenge.ends_with(r#"scope="a""#),
        "{challenge}"
    );
}

/// RFC 9470 §3: the challenge is enough to ask the authorization server for the right token.
#[test]
fn r099_r100_a_user_has_to_authenticate_strongly_and_lately_enough() {
    let rule = json!({"acr_values": ["mfa", "hwk"], "max_age": "5m"});
    check(
        rule.clone(),
        &[
            (json!({"acr": "hwk", "auth_time": NOW - 300}), 200),
            (json!({"acr": "hwk", "auth_time": NOW - 301}), 401),
            (json!({"acr": "hwk", "auth_time": NOW + 1}), 401),
            (json!({"acr": "hwk", "auth_time": NOW * 1000}), 401),
            (json!({"acr": "pwd", "auth_time": NOW}), 401),
            (json!({"acr": "mfa"}), 401),
            (json!({"acr": "mfa", "auth_time": "now"}), 401),
            (json!({"auth_time": NOW}), 401),
            (json!({"acr": ["mfa"], "auth_time": NOW}), 401),
        ],
    );
    let (_, challenge) = judge(&rule, &json!({}));
    assert_eq!(
        challenge,
        r#"Bearer realm="api", error="insufficient_user_authentication", error_description="The user must authenticate again or by stronger means", acr_values="mfa hwk", max_age="300""#
    );
}

/// If alternatives were looked at one condition at a time, a token for one place with the scope of another would pass both.
#[test]
fn r181_all_of_one_alternative_has_to_be_met() {
    // Several sets of scopes, (a and b) or c.
    let sets = json!({"any_of": [{"scopes": ["a", "b"]}, {"scopes": ["c"]}]});
    check(
        sets.clone(),
        &[
            (json!({"scope": "a b"}), 200),
            (json!({"scope": "c"}), 200),
            (json!({"scope": "b c"}), 200),
            (json!({"scope": "a"}), 403),
            (json!({"scope": "a x"}), 403),
            (json!({"scope": null}), 403),
        ],
    );
    let with_common = json!({"scopes": ["a"], "any_of": [{"scopes": ["a", "b"]}, {"scopes": ["c"]}]});
    assert!(judge(&with_common, &json!({"scope": "a"})).1.ends_with(r#"scope="a b""#));
    let (_, challenge) = judge(&sets, &json!({"scope": "b"}));
    assert!(challenge.ends_with(r#"error="insufficient_scope", error_description="The access token lacks a required scope", scope="a b""#), "{challenge}");

    // In addition to the rule's own conditions.
    let rule = json!({
        "scopes": ["api"],
        "any_of": [
            {"claims": [{"pointer": "/groups", "contains": "staff"}], "acr_values": ["mfa"]},
            {"scopes_any_of": ["admin", "root"]},
        ],
    });
    check(
        rule.clone(),
        &[
            (json!({"scope": "api", "groups": "staff", "acr": "mfa"}), 200),
            (json!({"scope": "api", "groups": ["staff"], "acr": "mfa"}), 200),
            (json!({"scope": "api root"}), 200),
            (json!({"scope": "root", "groups": "staff", "acr": "mfa"}), 403),
            (json!({"scope": "api", "groups": "staff"}), 401),
            (json!({"scope": "api", "acr": "mfa"}), 403),
            (json!({"scope": "api"}), 403),
        ],
    );
    assert!(judge(&rule, &json!({"scope": "root"})).1.ends_with(r#"scope="api""#));
    assert_eq!(judge(&rule, &json!({"scope": "api"})), (403, r#"Bearer realm="api""#.to_owned()));
    let (_, challenge) = judge(&rule, &json!({"scope": "api", "groups": "staff"}));
    assert!(
        challenge.contains("insufficient_user_authentication") && challenge.ends_with(r#"acr_values="mfa""#),
        "{challenge}"
    );

    // A refusal is about the first alternative that the token is meant for.
    let rule = json!({"any_of": [{"audience": ["a"], "scopes": ["a:read"]}, {"audience": ["b"], "scopes": ["b:read"]}]});
    check(
        rule.clone(),
        &[
            (json!({"aud": "a", "scope": "a:read"}), 200),
            (json!({"aud": ["x", "b"], "scope": "b:read"}), 200),
            (json!({"aud": ["a", "b"], "scope": "b:read"}), 200),
            (json!({"aud": "a", "scope": "b:read"}), 403),
            (json!({"aud": "b", "scope": "a:read"}), 403),
            (json!({"aud": "x", "scope": "a:read b:read"}), 401),
            (json!({"aud": null, "scope": "a:read b:read"}), 401),
        ],
    );
    let challenge = |claims: Value| judge(&rule, &claims).1;
    assert!(challenge(json!({"aud": "b", "scope": "a:read"})).ends_with(r#"scope="b:read""#));
    assert!(challenge(json!({"aud": "a", "scope": "x"})).ends_with(r#"scope="a:read""#));
    assert!(challenge(json!({"aud": "x", "scope": "x"})).contains(r#"error="invalid_token""#));
}

/// A token for another audience is not authentic here, so it is refused; what a token lacks beyond that is only reported.
#[test]
fn r181_alternatives_are_reported_as_conditions_are() {
    let any_of = json!([{"audience": ["a"], "scopes": ["a"]}, {"audience": ["b"]}]);
    for (claims, status) in [
        (json!({"aud": "b", "scope": "x"}), 200),
        (json!({"aud": "a", "scope": "x"}), 200),
        (json!({"aud": "x", "scope": "a"}), 401),
    ] {
        let settings =
            settings(json!({"report_only": true, "rules": [{"path": "/", "any_of": any_of.clone()}]}));
        assert_eq!(judge_by(settings, &claims).0, status, "{claims}");
    }
}
