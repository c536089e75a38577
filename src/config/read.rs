//! From what was written to what is meant: the whole, and its small sections. Each function reads one object,
//! notes its mistakes with their field paths, and gives what it could read.

use std::collections::BTreeSet;
use std::mem::take;
use std::sync::Arc;

use serde_json::Value;

use super::HostKind;
use super::fields::{duration, is_visible_ascii, long_secret, non_empty_list, number};
use super::metadata::{identifier, resource_metadata};
use super::mistakes::Mistakes;
use super::raw::{self, Field, Shape};
use super::rules::Surroundings;
use super::rules::rules;
use super::servers::{Gateway, servers};
use super::{Environment, Settings, credentials, dpop, effective, mint, named_claims};
use crate::cache::CacheSettings;
use crate::challenge::ProtectionSpace;
use crate::credentials::dpop::{DpopMode, DpopSettings};
use crate::error_body::ErrorBody;
use crate::http::cors::Cors;
use crate::json::Object;
use crate::requirement::{Enforcement, Requirement};
use crate::rules::Rules;
use crate::upstream::headers::Forwarding;
use crate::upstream::mint::{self as minting, MintSettings};

pub(super) fn settings(
    object: Object,
    host: HostKind,
    environment: Environment<'_>,
) -> Result<Settings, Mistakes> {
    let mut mistakes = Mistakes::default();
    let object = effective::with_profiles(object.into_members(), &mut mistakes);
    host.refuse(&object, &mut mistakes);
    let mut raw = raw::Configuration::read(Value::Object(object)).unwrap_or_default();

    let mints = !raw.mint.is_absent();
    let mint = mistakes
        .optional("mint", take(&mut raw.mint))
        .and_then(|raw| mint::mint(raw, environment, &mut mistakes));
    let mut forwarding = named_claims::forwarding(&mut raw, &mut mistakes);
    let forwards_claims = !forwarding.claim_headers.is_empty() || mint.is_some();
    let gateway = Gateway { forwards_claims, mints };
    let mut servers = servers(&mut raw, gateway, environment, &mut mistakes);
    let dpop =
        mistakes.optional("dpop", raw.dpop).and_then(|raw| dpop::dpop(raw, environment, &mut mistakes));
    let client_certificate = mistakes.optional("client_certificate", raw.client_certificate);
    let credentials = mistakes.optional("credentials", raw.credentials).unwrap_or_default();
    let credentials = credentials::credentials(credentials, &forwarding, &mut mistakes);
    let cache = mistakes.optional("cache", raw.cache).unwrap_or_default();
    let cache = cache_settings(cache, &mut mistakes);
    let cors = mistakes.optional("cors", raw.cors).map(|raw| cors(raw, &mut mistakes)).unwrap_or_default();
    let realm = mistakes.optional("realm", raw.realm);
    if realm.as_ref().is_some_and(|realm| !is_visible_ascii(realm)) {
        mistakes.note("realm", "must be visible ASCII");
    }
    let metadata = mistakes
        .optional("resource_metadata", raw.resource_metadata)
        .and_then(|raw| resource_metadata(raw, &mut mistakes));
    let error_body = mistakes.optional("error_body", raw.error_body);
    let error_body = error_body.map(|raw| error_body_of(raw, &mut mistakes)).unwrap_or_default();
    let ignores_port = mistakes
        .optional("ignore_port_in_host_matching", raw.ignore_port_in_host_matching)
        .unwrap_or_default();
    let single_flight = mistakes.optional("single_flight", raw.single_flight).unwrap_or_default();
    let report_only = mistakes.optional("report_only", raw.report_only).unwrap_or_default();
    let surroundings = Surroundings {
        enforcement: if report_only { Enforcement::Authentication } else { Enforcement::Full },
        servers: servers.iter().filter_map(|server| server.name.as_deref()).collect(),
        profile: mint.as_ref().map(|mint| &*mint.profile),
    };
    let rules = mistakes
        .optional("rules", raw.rules)
        .map(|raw| rules(raw, &surroundings, ignores_port, &mut mistakes));
    let asks_for_proof = servers.iter().any(|server| server.token.dpop != DpopMode::Off)
        || rules.iter().flat_map(Rules::requirements).any(|requirement| requirement.dpop);
    if asks_for_proof && dpop.is_none() {
        mistakes.note("dpop", "is required where tokens may be bound to a key");
    }
    if mint.is_some() {
        let own = rules.iter().flat_map(Rules::requirements).filter(|requirement| requirement.mint.is_some());
        forwarding.minted_bytes = own.count().saturating_add(1).saturating_mul(2048);
    }
    let log_level = mistakes.optional("log_level", raw.log_level);
    let log_key = match raw.log_key {
        Field::Absent => None,
        written => long_secret("log_key", written, environment, &mut mistakes),
    };
    mistakes.refuse_unknown("", &raw.unknown);

    let settings = rules.zip(realm).zip(log_level).map(|((rules, realm), log_level)| {
        let subjects = servers.iter().filter_map(|server| server.subject.as_deref());
        let asked = asked_claims(&rules, &forwarding, mint.as_ref(), subjects);
        servers.iter_mut().for_each(|server| server.reading.asked.clone_from(&asked));
        let dpop_algorithms = dpop.as_ref().map(DpopSettings::algorithm_names).unwrap_or_default();
        let protection = ProtectionSpace { realm, metadata, dpop_algorithms, error_body };
        let forwarding = Arc::new(forwarding);
        Settings {
            dpop,
            mint,
            client_certificate,
            servers,
            credentials,
            forwarding,
            cache,
            cors,
            protection,
            rules,
            single_flight,
            log_level,
            log_key,
        }
    });
    mistakes.or(settings)
}

fn error_body_of(raw: raw::ErrorBody, mistakes: &mut Mistakes) -> ErrorBody {
    let media_type = mistakes.optional("error_body.media_type", raw.media_type);
    let template = mistakes.optional("error_body.template", raw.template);
    mistakes.refuse_unknown("error_body", &raw.unknown);
    let body = media_type.zip(template);
    let body = body.and_then(|(media_type, template)| {
        mistakes.check("error_body", ErrorBody::new(media_type, template))
    });
    body.unwrap_or_default()
}

/// An origin is an URL without a path, so the one parser serves (RFC 6454 §6.2).
fn cors(raw: raw::Cors, mistakes: &mut Mistakes) -> Cors {
    let origins = non_empty_list("cors.allow_origins", raw.allow_origins, mistakes).unwrap_or_default();
    for (index, origin) in origins.iter().enumerate() {
        let is_plain = identifier(origin).is_ok_and(|(parsed, _)| parsed == *origin);
        let names_default_port = (origin.starts_with("https:") && origin.ends_with(":443"))
            || (origin.starts_with("http:") && origin.ends_with(":80"));
        if !is_plain || names_default_port || *origin != origin.to_lowercase() {
            mistakes.note(
                format!("cors.allow_origins[{index}]"),
                "must be an origin as browsers write it, like https://app.example.com",
            );
        }
    }
    mistakes.refuse_unknown("cors", &raw.unknown);
    Cors { allow_origins: origins.into_iter().map(Arc::from).collect() }
}

/// The pointers of all claims that rules ask about or that are forwarded by themselves, each once.
fn asked_claims<'a>(
    rules: &'a Rules,
    forwarding: &'a Forwarding,
    mint: Option<&'a MintSettings>,
    subjects: impl Iterator<Item = &'a str>,
) -> Vec<String> {
    let profile = mint.iter().flat_map(|mint| mint.profile.claims.iter().map(|claim| claim.pointer.as_str()));
    let subject = mint.iter().map(|mint| mint.subject.as_str());
    let minted = mint.iter().flat_map(|_| minting::ASKED).chain(profile).chain(subject).chain(subjects);
    let pointers: BTreeSet<&str> = rules
        .requirements()
        .flat_map(Requirement::asked_claims)
        .chain(forwarding.asked_claims())
        .chain(minted)
        .collect();
    pointers.into_iter().map(str::to_owned).collect()
}

fn cache_settings(raw: raw::Cache, mistakes: &mut Mistakes) -> CacheSettings {
    let max_entries = number("cache.max_entries", raw.max_entries, mistakes);
    let max_bytes = number("cache.max_bytes", raw.max_bytes, mistakes);
    let shared_max_bytes = number("cache.shared_max_bytes", raw.shared_max_bytes, mistakes);
    let max_ttl = duration("cache.max_ttl", raw.max_ttl, mistakes);
    let no_store_ttl = duration("cache.no_store_ttl", raw.no_store_ttl, mistakes);
    let inactive_ttl = duration("cache.inactive_ttl", raw.inactive_ttl, mistakes);
    let refresh_ahead = duration("cache.refresh_ahead", raw.refresh_ahead, mistakes);
    let stale_if_error = duration("cache.stale_if_error", raw.stale_if_error, mistakes);
    let shared = mistakes.optional("cache.shared", raw.shared).unwrap_or_default();
    mistakes.refuse_unknown("cache", &raw.unknown);
    let bounds =
        [("cache.max_bytes", max_bytes), ("cache.shared_max_bytes", shared_max_bytes.filter(|_| shared))];
    let least = MIN_ENTRY_BYTES.saturating_mul(max_entries.unwrap_or_default());
    for (path, bytes) in bounds {
        if bytes.is_some_and(|bytes| bytes < least) {
            mistakes.note(path, format!("must be at least {MIN_ENTRY_BYTES} for each of cache.max_entries"));
        }
    }
    if no_store_ttl.zip(max_ttl).is_some_and(|(no_store_ttl, max_ttl)| no_store_ttl > max_ttl) {
        mistakes.note("cache.no_store_ttl", "must not be longer than cache.max_ttl");
    }
    CacheSettings {
        max_entries: max_entries.unwrap_or_default(),
        max_bytes: max_bytes.unwrap_or_default(),
        shared_max_bytes: shared_max_bytes.unwrap_or(DEFAULT_SHARED_BYTES.max(least)),
        max_ttl: max_ttl.unwrap_or_default(),
        no_store_ttl,
        inactive_ttl: inactive_ttl.unwrap_or_default(),
        refresh_ahead: refresh_ahead.unwrap_or_default(),
        stale_if_error: stale_if_error.unwrap_or_default(),
        shared,
    }
}

const MIN_ENTRY_BYTES: usize = 256;
const DEFAULT_SHARED_BYTES: usize = 128 * 1024 * 1024;
