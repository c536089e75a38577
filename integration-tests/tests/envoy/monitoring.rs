//! What operators monitor: the alert rules and the dashboard, in a real Prometheus that scrapes a real Envoy with the filter.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use integration_tests::artefact::Artefact;
use integration_tests::dashboard::Query;
use integration_tests::eventually::eventually;
use integration_tests::prometheus::{Prometheus, alert_rules, promtool};
use integration_tests::scripted_server::Response;
use integration_tests::testkit::World;
use integration_tests::{dashboard, jwt, paths};
use phantom_token_core::{Metric, MetricKind, Reason, metrics};
use serde_json::{Value, json};

/// If this failed, a fault would raise no alert, or an alert would fire without a fault.
#[test]
fn each_alert_fires_for_its_fault_only() -> Result<()> {
    promtool(&["check", "rules"], "prometheus-alerts.yaml")?;
    promtool(&["test", "rules"], "prometheus-alerts-test.yaml")
}

/// If this failed, a panel or an alert would use a metric with another name, and stay silent for ever; or a new metric would
/// appear nowhere.
#[test]
fn dashboard_and_alerts_name_every_metric_and_no_other() -> Result<()> {
    let (dashboard, rules) = (dashboard::text()?, std::fs::read_to_string(alert_rules()?)?);
    for name in [&dashboard, &rules].into_iter().flat_map(|text| mentioned(text)) {
        assert!(metrics().iter().any(|metric| may_be_called(metric, name)), "there is no metric {name}");
    }
    let shown = mentioned(&dashboard);
    for metric in metrics() {
        assert!(shown.iter().any(|name| may_be_called(&metric, name)), "no panel shows {}", metric.name);
    }
    Ok(())
}

/// If this failed, a shipped file would leave the reason in the name, and alerts on reasons would be silent.
#[test]
fn every_shipped_bootstrap_makes_the_reason_a_label() -> Result<()> {
    for file in [
        "envoy-config/envoy.yaml",
        "envoy-config/complete.yaml",
        "envoy-config/dynamic/envoy.yaml",
        "envoy-config/envoy-gateway/gateway.yaml",
        "istio/base/gateway.yaml",
    ] {
        let text = std::fs::read_to_string(paths::root().join(file))?;
        let tag = format!("{{ tag_name: reason, regex: '{}' }}", Artefact::Wasm.reason_tag());
        assert!(text.contains(&tag), "{file} lacks {tag}");
    }
    Ok(())
}

/// If this failed, an alert or a panel would miss a reason, or attribute it to the wrong fault.
#[test]
fn lists_of_reasons_are_complete_for_their_fault() -> Result<()> {
    let of_fault = |other: Reason| {
        let reasons = Reason::ALL.iter().filter(move |reason| reason.fault() == other.fault());
        reasons.map(|reason| reason.name()).collect::<BTreeSet<&str>>()
    };
    let (gateway, server) = (of_fault(Reason::Internal), of_fault(Reason::Unavailable));
    let both: BTreeSet<&str> = gateway.union(&server).copied().collect();
    let page = std::fs::read_to_string(paths::root().join("docs/monitoring.md"))?.replace("\\|", "|");
    let dashboard = dashboard::text()?.replace('\\', "");
    for text in [dashboard, std::fs::read_to_string(alert_rules()?)?, page] {
        for list in text.split("reason=~\"").chain(text.split("reason!~\"")).skip(1) {
            let Some((list, _)) = list.split_once('"').filter(|(list, _)| list.contains('|')) else {
                continue;
            };
            let list: BTreeSet<&str> = list.split('|').collect();
            if list.iter().all(|name| Reason::ALL.iter().any(|reason| reason.name() == *name)) {
                assert!([&gateway, &server, &both].contains(&&list), "{list:?}");
            }
        }
    }
    Ok(())
}

/// If this failed, the operator on call would find no page that helps.
#[test]
fn each_alert_names_what_it_is_and_a_chapter_of_the_page() -> Result<()> {
    let rules: Value = serde_saphyr::from_str(&std::fs::read_to_string(alert_rules()?)?)?;
    let groups = rules["groups"].as_array().context("no groups")?;
    let alerts = groups.iter().filter_map(|group| group["rules"].as_array()).flatten();
    for alert in alerts.filter(|rule| rule.get("alert").is_some()) {
        let text = |pointer: &str| alert.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        assert!(!text("/for").is_empty(), "{alert}");
        assert!(["critical", "warning"].contains(&text("/labels/severity")), "{alert}");
        assert!(text("/annotations/summary").ends_with('.'), "{alert}");
        assert!(text("/annotations/description").contains("First: "), "{alert}");
        let (page, anchor) = text("/annotations/runbook_url").split_once('#').context("no anchor")?;
        let page = std::fs::read_to_string(paths::root().join(page))?;
        assert!(anchors(&page).contains(anchor), "{alert}");
        assert!(page.contains(text("/alert")), "the page does not name {alert}");
    }
    Ok(())
}

/// If this failed, Prometheus would not have what Envoy counts, panels would show errors or nothing, or a wrong secret in the
/// gateway would raise no alert.
#[tokio::test]
async fn r028_a_real_prometheus_has_data_for_every_panel_and_alerts_on_a_rejected_secret() -> Result<()> {
    let reporting = json!({"token": null, "rules": [{"path": "/orders", "report_only": true}]});
    let world = World::scripted("monitoring")?
        .listener("ingress", json!({"token": null}))
        .listener("reporting", reporting)
        .start()
        .await?;
    let prometheus = Prometheus::start("monitoring", world.envoy.admin_port()).await?;
    eventually("Prometheus has scraped every metric", async || {
        let names: BTreeSet<String> = prometheus.names().await?.into_iter().collect();
        Ok(metrics().iter().all(|metric| names.contains(&scraped_name(metric))))
    })
    .await?;

    for (response, status) in
        [(Response::jwt(&jwt::valid()), 200), (Response::inactive(), 401), (Response::status(500), 503)]
    {
        world.orders(&world.answered(response)).await?.has_status(status);
    }
    world.get("/orders/7").at("reporting").await?.has_status(200);
    for panel in dashboard::panels("1m")? {
        for Query { expression, .. } in &panel.queries {
            eventually(&format!("{} has data: {expression}", panel.title), async || {
                Ok(prometheus.query(expression).await?.iter().any(is_a_number))
            })
            .await?;
        }
    }
    let refusals = dashboard_query("Denied")?;
    eventually("Prometheus has scraped both refusals", async || {
        let reasons = prometheus.query(&refusals).await?;
        let reasons: BTreeSet<&str> =
            reasons.iter().filter_map(|one| one["metric"]["reason"].as_str()).collect();
        Ok(reasons == BTreeSet::from(["inactive", "unavailable"]))
    })
    .await?;
    assert_eq!(alert(&prometheus, "PhantomTokenCredentialsRefused").await?, None);

    let refused = Response::new(401, "application/json", r#"{"error": "invalid_client"}"#);
    world.orders(&world.answered(refused)).await?.has_status(502);
    eventually("the alert fires", async || {
        Ok(alert(&prometheus, "PhantomTokenCredentialsRefused")
            .await?
            .is_some_and(|one| one["state"] == "firing"))
    })
    .await?;
    for alert in prometheus.alerts().await? {
        assert!(!alert.to_string().contains("error expanding"), "{alert}");
    }
    Ok(())
}

/// The alert of this name. `None` if it is neither firing nor pending.
async fn alert(prometheus: &Prometheus, name: &str) -> Result<Option<Value>> {
    Ok(prometheus.alerts().await?.into_iter().find(|alert| alert["labels"]["alertname"] == name))
}

fn dashboard_query(title: &str) -> Result<String> {
    let panel = dashboard::panels("1m")?.into_iter().find(|panel| panel.title == title);
    let query = panel.and_then(|panel| panel.queries.into_iter().next()).context("no such panel")?;
    Ok(query.expression)
}

fn is_a_number(sample: &Value) -> bool {
    sample["value"][1].as_str().and_then(|text| text.parse::<f64>().ok()).is_some_and(f64::is_finite)
}

/// The names of metrics in a text, except for those that rules record (`job:…`), and for the reason that begins like a metric.
fn mentioned(text: &str) -> BTreeSet<&str> {
    let starts = text.match_indices("phantom_token_").map(|(start, _)| start);
    let own = starts.filter(|start| !text[..*start].ends_with(':'));
    let of_name = |character: char| character == '_' || character.is_ascii_alphanumeric();
    let names = own.filter_map(|start| text[start..].split(|character| !of_name(character)).next());
    names.filter(|name| Reason::ALL.iter().all(|reason| reason.name() != *name)).collect()
}

/// Whether a name in a query is this metric's, or the prefix of several names.
fn may_be_called(metric: &Metric, name: &str) -> bool {
    let is_prefix = name.ends_with('_') && metric.name.starts_with(name);
    is_prefix || name == scraped_name(metric)
}

/// Envoy's name for the metric in Prometheus: a histogram consists of its buckets.
fn scraped_name(metric: &Metric) -> String {
    let name = metric.name.split('.').next().unwrap_or_default();
    match metric.kind {
        MetricKind::Counter | MetricKind::Gauge => name.to_owned(),
        MetricKind::Histogram => format!("{name}_bucket"),
    }
}

/// The anchors of a page's headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix("## ").or(line.strip_prefix("### ")));
    headings.map(|heading| heading.to_lowercase().replace(' ', "-").replace(['\'', ',', '`'], "")).collect()
}
