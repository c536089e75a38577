//! The authorization servers of one configuration on one worker: determines which server a token belongs to, and which servers are queried
//! about it.

use std::rc::Rc;

use super::decision::OtherServers;
use super::query_result::{IntrospectionResult, QueryResult};
use crate::authorization_server::{AuthorizationServer, NoTokenInfo, Permit, Protections, TokenLookup};
use crate::cache::{Level, Occupancy};
use crate::credentials::bearer::AccessToken;
use crate::credentials::dpop::DpopMode;
use crate::credentials::token_form::TokenForm;
use crate::host::Host;
use crate::http::callout::{CallResult, NotSent};
use crate::http::request_head::RequestHead;
use crate::jwt::UnusableKey;
use crate::policy::Requirement;
use crate::refusal::Reason;
use crate::server::query::{About, Query, QueryKey};
use crate::server_id::ServerId;
use crate::settings::Settings;
use crate::token_info::TokenInfo;
use crate::token_key::{PresentedKey, TokenKey};

/// All authorization servers, at least one.
pub(super) struct Servers(Vec<AuthorizationServer>);

/// The values of one worker's gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GaugeValues {
    /// Entries in the worker's memory.
    pub(super) entries: usize,
    /// Entries evicted since the worker started.
    pub(super) evictions: u64,
    /// Authorization servers whose circuit breaker is open or half open.
    pub(super) open_circuits: usize,
}

impl Servers {
    /// Creates the servers with empty caches.
    pub(super) fn new(settings: &Settings, protections: &Protections) -> Self {
        let servers = settings.servers.iter().enumerate();
        let server = |(index, server): (usize, &_)| {
            let id = ServerId(index);
            AuthorizationServer::new(id, Clone::clone(server), protections.of(id), settings)
        };
        Self(servers.map(server).collect())
    }

    pub(super) fn get(&self, id: ServerId) -> Option<&AuthorizationServer> {
        self.0.get(id.0)
    }

    pub(super) fn get_mut(&mut self, id: ServerId) -> Option<&mut AuthorizationServer> {
        self.0.get_mut(id.0)
    }

    /// Returns the name of a server for operators.
    pub(super) fn name(&self, id: ServerId) -> &str {
        self.get(id).map_or("", AuthorizationServer::name)
    }

    /// Returns the configured keys that are left out, with the names of their servers.
    pub(super) fn unusable_keys(&self) -> impl Iterator<Item = (&str, &[UnusableKey])> {
        self.0.iter().map(|server| (server.name(), server.unusable_keys()))
    }

    /// Returns the values of this worker's gauges.
    pub(super) fn gauge_values(&self) -> GaugeValues {
        self.0.iter().fold(GaugeValues::default(), |values, server| {
            let Occupancy { entries, evictions } = server.occupancy();
            GaugeValues {
                entries: values.entries.saturating_add(entries),
                evictions: values.evictions.saturating_add(evictions),
                open_circuits: values.open_circuits.saturating_add(usize::from(server.is_circuit_open())),
            }
        })
    }

    /// Disables background refresh, since the host has no timers: requests wait for expired keys.
    pub(super) fn disable_background_refresh(&mut self) {
        self.0.iter_mut().for_each(AuthorizationServer::disable_background_refresh);
    }

    /// Finds an entry of a server that the rule names. If it names none, opaque tokens belong to the first server, and a JWT to the server
    /// whose keys verified it.
    pub(super) fn find(
        &mut self,
        token: &PresentedKey<'_>,
        requirement: &Requirement,
        host: Host<'_>,
    ) -> Option<(ServerId, Rc<TokenInfo>, Level)> {
        let first = requirement.server.unwrap_or_default();
        if let Some((token_info, level)) = self.get_mut(first)?.find(token, host) {
            return Some((first, token_info, level));
        }
        if requirement.server.is_some() {
            let mut others = requirement.fallbacks.iter();
            return others.find_map(|id| {
                let (token_info, level) = self.get_mut(*id)?.find(token, host)?;
                Some((*id, token_info, level))
            });
        }
        self.0.iter_mut().enumerate().skip(1).find_map(|(index, server)| {
            let (token_info, level) = server.find(token, host)?;
            token_info.is_self_contained().then_some((ServerId(index), token_info, level))
        })
    }

    /// Returns the server that is queried first: the one that a JWT names as its issuer, if several servers are possible.
    pub(super) fn first_for(&self, form: &TokenForm<'_>, requirement: &Requirement) -> ServerId {
        let first = requirement.server.unwrap_or_default();
        if (requirement.server.is_some() && requirement.fallbacks.is_empty()) || self.0.len() == 1 {
            return first;
        }
        let Some(jws) = form.jws() else { return first };
        let servers = self.0.iter().enumerate().map(|(index, server)| (ServerId(index), server));
        let mut taken = servers.filter(|(id, _)| requirement.takes_tokens_of(*id));
        taken.find(|(_, server)| server.may_have_issued(jws)).map_or(first, |(id, _)| id)
    }

    /// Returns the queries to the other servers that a rule names, without those that do not introspect it or have recently refused it.
    #[inline(never)]
    pub(super) fn others(
        &self,
        head: &RequestHead<'_>,
        token: AccessToken<'_>,
        key: TokenKey,
        requirement: &Requirement,
        host: Host<'_>,
    ) -> Option<Box<OtherServers>> {
        let query = |id: &ServerId| match self.get(*id)?.source(token, TokenForm::of(token), key, host) {
            Ok(TokenLookup::Query(query)) => Some(query.traced(head.traceparent)),
            Ok(TokenLookup::UnverifiedToken(_)) | Err(_) => None,
        };
        let [_, ..] = requirement.fallbacks.as_slice() else { return None };
        let queries = requirement.fallbacks.iter().rev().filter_map(query).collect();
        Some(Box::new(OtherServers { queries, failure: None }))
    }

    /// Returns how proofs are treated under this requirement, considering all servers whose tokens it accepts.
    pub(super) fn dpop_mode(&self, requirement: &Requirement) -> DpopMode {
        let is_eligible = |index: usize| requirement.takes_tokens_of(ServerId(index));
        let eligible = self.0.iter().enumerate().filter(|(index, _)| is_eligible(*index));
        let mut modes = eligible.map(|(_, server)| server.token_settings().dpop);
        let first = modes.next().unwrap_or_default();
        match modes.all(|mode| mode == first) {
            _ if requirement.requires_key_binding() => DpopMode::Required,
            true => first,
            false => DpopMode::Allowed,
        }
    }

    /// Checks whether one more request may wait while this many do.
    ///
    /// # Errors
    /// Why it may not wait.
    pub(super) fn admits_waiting(&self, key: QueryKey, waiting: usize) -> Result<(), NotSent> {
        let has_room = self.get(key.server).is_some_and(|server| waiting < server.max_waiting());
        if has_room { Ok(()) } else { Err(NotSent::LimitReached) }
    }

    /// Returns the queries for keys that are fetched before a request needs them.
    pub(super) fn fetch_keys(&mut self, host: Host<'_>) -> Vec<Query> {
        self.0.iter_mut().filter_map(|server| server.fetch_keys(host)).collect()
    }

    /// Decides whether a query may be sent. An admitted query counts as sent.
    ///
    /// # Errors
    /// Why it may not be sent.
    pub(super) fn admit(&mut self, query: &Query, host: Host<'_>) -> Result<Option<Permit>, NotSent> {
        let server = self.get_mut(query.key().server).ok_or(NotSent::LimitReached)?;
        server.admit(query, host)
    }

    /// Whether a query has to be sent again if its response is lost, even if no request waits for it.
    pub(super) fn needs_answer(&self, key: QueryKey) -> bool {
        self.get(key.server).is_some_and(|server| server.needs_answer(key.about))
    }

    /// Records that a query ended without a response, since its stream is gone.
    pub(super) fn abandon(&mut self, key: QueryKey) {
        if let Some(server) = self.get_mut(key.server).filter(|_| key.is_document()) {
            server.abandon();
        }
    }

    /// Evaluates the result of a query.
    pub(super) fn evaluate(&mut self, key: QueryKey, result: CallResult<'_>, host: Host<'_>) -> QueryResult {
        let Some(server) = self.get_mut(key.server) else {
            return QueryResult::failed(key, Reason::Internal.into());
        };
        match key.about {
            About::Token(token) => {
                let circuit = server.note_end(token, &result, host);
                let unverified_token = server.evaluate(token, result, host);
                QueryResult::Token(IntrospectionResult { token, unverified_token, circuit })
            }
            about @ (About::Metadata | About::Keys) => {
                let (result, unusable) = server.take_document(about, result, host);
                QueryResult::Document(result, unusable)
            }
        }
    }

    /// Returns the background query that follows a result for which no request waited: for the keys that a response about a token needs, or
    /// for their location.
    pub(super) fn follow_up(&mut self, key: QueryKey, result: &QueryResult, host: Host<'_>) -> Option<Query> {
        let server = self.get_mut(key.server)?;
        match result {
            QueryResult::Token(IntrospectionResult { unverified_token: Ok(unverified_token), .. }) => {
                match server.token_info(unverified_token, true, host) {
                    Err(NoTokenInfo::Needs(query)) => Some(*query),
                    Ok(_) | Err(NoTokenInfo::Refused(_)) => None,
                }
            }
            QueryResult::Document(Ok(()), _) => server.next_document(),
            QueryResult::Token(_) | QueryResult::Document(Err(_), _) => None,
        }
    }
}
