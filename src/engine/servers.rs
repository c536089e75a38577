//! The authorization servers of one configuration on one worker: whose a token is, and who is asked about it.

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

/// All of them, at least one.
pub(super) struct Servers(Vec<AuthorizationServer>);

/// The values of one worker's gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GaugeValues {
    /// Entries in its memory.
    pub(super) entries: usize,
    /// Entries that were evicted since it began.
    pub(super) evictions: u64,
    /// Authorization servers whose circuit is open.
    pub(super) open_circuits: usize,
}

impl Servers {
    /// With empty caches.
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

    /// What operators call a server.
    pub(super) fn name(&self, id: ServerId) -> &str {
        self.get(id).map_or("", AuthorizationServer::name)
    }

    /// The keys of the configuration that are left out, by what operators call their servers.
    pub(super) fn unusable_keys(&self) -> impl Iterator<Item = (&str, &[UnusableKey])> {
        self.0.iter().map(|server| (server.name(), server.unusable_keys()))
    }

    /// The gauges of this worker.
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

    /// An entry of a server that the rule names. Where it names none, opaque tokens are the first server's, and a JWT is whose keys
    /// verified it.
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

    /// The server that is asked about a token first: where several may be, the one that a JWT names as its issuer.
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

    /// The queries to the other servers that a rule names, but for those that have said of late that they do not know the token.
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

    /// Whether proofs are looked at where this is required: all servers count whose tokens may be taken.
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

    /// Whether one more request may wait while so many do.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn admits_waiting(&self, key: QueryKey, waiting: usize) -> Result<(), NotSent> {
        let has_room = self.get(key.server).is_some_and(|server| waiting < server.max_waiting());
        if has_room { Ok(()) } else { Err(NotSent::LimitReached) }
    }

    /// The queries for keys that are to be fetched although no request needs them yet.
    pub(super) fn fetch_keys(&mut self, host: Host<'_>) -> Vec<Query> {
        self.0.iter_mut().filter_map(|server| server.fetch_keys(host)).collect()
    }

    /// Whether a query may be asked. One that may, counts as asked.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn admit(&mut self, query: &Query, host: Host<'_>) -> Result<Option<Permit>, NotSent> {
        let server = self.get_mut(query.key().server).ok_or(NotSent::LimitReached)?;
        server.admit(query, host)
    }

    /// Whether a query has to be asked again if its answer is lost, although no request waits for it.
    pub(super) fn needs_answer(&self, key: QueryKey) -> bool {
        self.get(key.server).is_some_and(|server| server.needs_answer(key.about))
    }

    /// A query ended without a response, since its stream is gone.
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

    /// What has to be asked next in the background, if no request waited for a result: keys that the answer about a token needs,
    /// or where they are.
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
