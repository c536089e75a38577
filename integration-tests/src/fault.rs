//! The faults of an authorization server, and the permitted effect of each on clients.

use crate::faulty_server::Behaviour;

#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What the server does, as a phrase whose subject is the server.
    pub name: &'static str,
    pub behaviour: Behaviour,
    pub harm: Harm,
}

/// The effect of a fault on requests that need the authorization server. Requests with known tokens or without a token are never affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// No request is refused.
    None,
    /// Some requests may be refused.
    Maybe,
    /// Some requests are refused, or there was no fault.
    Partial,
    /// All requests are refused: a request that is served during the fault was let in wrongly.
    Total,
}

pub const FAULTS: [Fault; 15] = [
    fault("hangs", Behaviour::Hangs, Harm::Total),
    fault("resets in the middle of its answer", Behaviour::ResetsMidBody, Harm::Total),
    fault("resets every connection", Behaviour::ResetsOnAccept, Harm::Total),
    fault("answers with garbage", Behaviour::Garbage, Harm::Total),
    fault("answers with 50 MiB", Behaviour::Floods, Harm::Total),
    fault("sends a byte each 50 ms", Behaviour::Trickles, Harm::Total),
    fault("announces more than it sends", Behaviour::PromisesTooMuch, Harm::Total),
    fault("announces less than it sends", Behaviour::PromisesTooLittle, Harm::Total),
    fault("answers twice", Behaviour::AnswersTwice, Harm::Maybe),
    fault("closes kept connections", Behaviour::ClosesKeptConnections, Harm::Maybe),
    fault("is up and down in turn", Behaviour::Flaps, Harm::Partial),
    fault("refuses connections", Behaviour::Refuses, Harm::Total),
    fault("answers 500", Behaviour::Answers(500), Harm::Total),
    fault("answers 503", Behaviour::Answers(503), Harm::Total),
    fault("answers 429", Behaviour::Answers(429), Harm::Total),
];

const fn fault(name: &'static str, behaviour: Behaviour, harm: Harm) -> Fault {
    Fault { name, behaviour, harm }
}
