//! Scenarios with rules that are not enforced yet: what they would refuse is reported.

use serde_json::json;

use super::{Worker, bearer};
use crate::host::NoSharedData;
use crate::testing::{self, jwt, test};

/// If this failed, a migration would let in clients without a token, or with a token for another API.
#[test]
fn r024_r025_r034_reporting_what_tokens_lack_lets_none_in_that_is_not_authentic() {
    let edits = json!({
        "report_only": true,
        "rules": [
            {"path": "/", "scopes": ["admin"]},
            {"path": "/audience", "audience": ["billing-api"], "scopes": ["admin"]},
            {"path": "/department", "claims": [{"pointer": "/department", "one_of": ["sales"]}]},
            {"path": "/step-up", "acr_values": ["gold"]},
            {"path": "/enforced", "scopes": ["admin"], "report_only": false},
        ],
    });
    let mut worker = Worker::new(edits, &NoSharedData);
    let jwt = jwt(json!({}));
    worker.answer_with(jwt.clone());
    let mut get = |path: &str| worker.request(0, "GET", path, Some("Bearer good"));
    assert_eq!(get("/"), format!("insufficient_scope, {}", bearer(&jwt)));
    assert_eq!(get("/department"), format!("claim_mismatch, {}", bearer(&jwt)));
    assert_eq!(get("/step-up"), format!("insufficient_user_authentication, {}", bearer(&jwt)));
    assert_eq!(get("/audience"), "wrong_audience");
    assert_eq!(get("/enforced"), "insufficient_scope");
    assert_eq!(get("//"), "ambiguous_target");
    assert_eq!(worker.counted.shadow_denied.borrow().len(), 3);
    assert_eq!(worker.request(0, "GET", "/", None), "missing_credentials");
    worker.answer_status("204");
    assert_eq!(worker.request(0, "GET", "/", Some("Bearer inactive")), "inactive");
    worker.answer_status("500");
    assert_eq!(worker.request(0, "GET", "/", Some("Bearer down")), "unavailable");
    assert_eq!(worker.counted.shadow_denied.borrow().len(), 3);
}

/// If this failed, a rule that only reports would refuse after all, or pass on what the client sent as credentials.
#[test]
fn r074_a_report_only_rule_denies_nothing_and_forwards_no_client_credentials() {
    let edits = json!({
        "rules": [
            {"path": "/old", "scopes": ["admin"], "report_only": true},
            {"path": "/old/private", "scopes": ["admin"]},
        ],
    });
    let mut worker = Worker::new(edits, &NoSharedData);
    let jwt = jwt(json!({}));
    worker.answer_with(jwt.clone());
    let mut get = |path: &str, authorization| worker.request(0, "GET", path, authorization);
    assert_eq!(get("/old", Some("Bearer good")), format!("insufficient_scope, {}", bearer(&jwt)));
    assert_eq!(get("/old", None), "missing_credentials, removed");
    assert_eq!(get("/old", Some("Bearer a, Bearer b")), "malformed_credentials, removed");
    assert_eq!(get("/old/private", None), "missing_credentials");
    assert_eq!(get("/other", None), "no_matching_rule");
    worker.answer_status("204");
    assert_eq!(worker.request(0, "GET", "/old", Some("Bearer inactive")), "inactive, removed");
    worker.answer_status("500");
    assert_eq!(worker.request(0, "GET", "/old", Some("Bearer down")), "unavailable, removed");
    assert_eq!(worker.counted.shadow_denied.borrow().len(), 5);
}

/// If this failed, an operator would believe that a public path or a route reports something.
#[test]
fn only_rules_that_ask_for_something_can_report() {
    for (rule, place) in [
        (json!({"path": "/", "access": "public", "report_only": true}), "rules[1].access"),
        (json!({"path": "/", "routes": ["a"], "report_only": true}), "rules[1].report_only"),
        (json!({"path": "/", "report_only": "yes"}), "rules[1].report_only"),
    ] {
        let edits = json!({"rules": [{"path": "/a"}, rule]});
        let errors = testing::parse(&testing::configured(edits)).expect_err("an error").to_string();
        assert!(errors.contains(place), "{rule}: {errors}");
    }
}
