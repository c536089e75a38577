//! The host's reaction to misuse. No tested filter misuses the host, so each case is constructed here.

use std::time::Duration;

use super::behaviour::Behaviour;
use super::configuration::Setup;
use super::context::{Call, Callback, Context, Root};
use super::context_key::ContextKey;
use super::header_map::HeaderMap;
use super::metrics::Metrics;
use super::request::Request;
use super::shared_data::SharedData;
use super::status::Status;
use super::stream::{State, Stream, StreamId};
use super::world::{REQUEST_HEADERS, World};

/// If this failed, a filter that violates the ABI's rules would pass the tests and fail in a proxy.
#[test]
fn what_no_filter_should_do_is_noted() {
    let resume = |world: &mut World| world.resume(0);
    let reply = |world: &mut World| world.reply(401, HeaderMap::default(), b"");
    let change = |world: &mut World| world.changeable_fields(REQUEST_HEADERS).map(|_| ());
    let dispatch = |world: &mut World| {
        let fields = [(":method", "GET"), (":path", "/"), (":authority", "a"), (":scheme", "https")];
        world.dispatch("a".to_owned(), HeaderMap::new(&fields), Vec::new(), Duration::ZERO).map(|_| ())
    };
    type Deed<'a> = &'a dyn Fn(&mut World) -> Result<(), Status>;
    let deeds: [(Callback, &[Deed<'_>], &str); 12] = [
        (answer(), &[&resume, &resume], "resumed twice"),
        (answer(), &[&reply, &resume], "resumed after its answer"),
        (answer(), &[&resume, &reply], "answered that had gone on"),
        (answer(), &[&reply, &reply], "answered twice"),
        (answer(), &[&resume, &change], "not any more"),
        (answer(), &[&reply, &change], "not any more"),
        (Callback::RequestHead, &[&resume], "while its head is read"),
        (answer(), &[&|world: &mut World| world.resume(1)], "something else than a request"),
        (
            answer(),
            &[&|world: &mut World| world.reply(99, HeaderMap::default(), b"")],
            "a status that is none",
        ),
        (
            answer(),
            &[&|world: &mut World| world.reply(401, HeaderMap::new(&[("a", "b\r\nc: d")]), b"")],
            "written as two",
        ),
        (Callback::Configure, &[&dispatch], "while the filter starts"),
        (
            answer(),
            &[&|world: &mut World| {
                world.dispatch("a".to_owned(), HeaderMap::default(), Vec::new(), Duration::ZERO).map(|_| ())
            }],
            "lacks a pseudo-header field",
        ),
    ];
    for (callback, deeds, expected) in deeds {
        let mut world = world(callback, STREAM);
        for deed in deeds {
            assert_eq!(world.violations, Vec::<String>::new(), "{expected}");
            let _ = deed(&mut world);
        }
        let [violation] = world.violations.as_slice() else { panic!("{expected}: {:?}", world.violations) };
        assert!(violation.contains(expected), "{violation}");
    }
}

/// If this failed, a filter could act on one request in place of another.
#[test]
fn what_concerns_a_request_is_refused_to_a_root_context() {
    let mut world = world(answer(), ROOT);
    assert_eq!(world.resume(0), Err(Status::BadArgument));
    assert_eq!(world.reply(401, HeaderMap::default(), b""), Err(Status::BadArgument));
    assert_eq!(world.changeable_fields(REQUEST_HEADERS), Err(Status::BadArgument));
    assert_eq!(world.violations.len(), 3);
    assert_eq!(*world.streams[0].state(), State::Paused);
}

/// Envoy refuses to switch to a context that does not exist; ngx_wasm_module does nothing and reports success.
#[test]
fn contexts_are_switched_as_the_proxy_does_it() {
    for (behaviour, context, expected, switched_to) in [
        (Behaviour::Envoy, STREAM.context, Ok(()), STREAM),
        (Behaviour::Envoy, 7, Err(Status::BadArgument), ROOT),
        (Behaviour::NgxWasm, STREAM.context, Ok(()), ROOT),
        (Behaviour::NgxWasm, 7, Ok(()), ROOT),
    ] {
        let mut world = World { behaviour, ..world(answer(), ROOT) };
        assert_eq!(world.switch_to(context), expected, "{behaviour:?}, {context}");
        assert_eq!(world.call.map(|call| call.effective), Some(switched_to), "{behaviour:?}, {context}");
    }
}

/// On Envoy, compare-and-swap with 0 always writes. On ngx_wasm_module it writes only new keys, which accept no other number, and keys are
/// identified by their CRC-32.
#[test]
fn shared_data_is_swapped_as_the_proxy_does_it() {
    for is_overwritten in [true, false] {
        let behaviour = is_overwritten;
        let mut data = SharedData::default();
        assert_eq!(data.set(b"key", b"first", 0, behaviour), Ok(()));
        let cas = data.get(b"key", behaviour).map(|(_, cas)| cas).unwrap_or_default();
        assert_eq!(data.set(b"key", b"second", 0, behaviour).is_ok(), is_overwritten, "{behaviour:?}");
        let is_current = data.set(b"key", b"third", cas, behaviour).is_ok();
        assert_eq!(is_current, !is_overwritten, "{behaviour:?}: nobody wrote since, or somebody did");
        data.conflict(1);
        assert_eq!(data.set(b"other", b"", 0, behaviour), Err(Status::CasMismatch), "{behaviour:?}");
        assert_eq!((data.set(b"other", b"", 0, behaviour), data.len()), (Ok(()), 2), "{behaviour:?}");
        assert_eq!(data.set(b"gone", b"", 9, behaviour).is_ok(), is_overwritten, "{behaviour:?}");
        // These two words have the same CRC-32.
        assert_eq!(data.set(b"plumless", b"first", 0, behaviour), Ok(()));
        assert_eq!(data.get(b"buckeroo", behaviour).is_none(), is_overwritten, "{behaviour:?}");
    }
}

/// A counter can only grow, a gauge can be set, and a histogram records values.
#[test]
fn metrics_take_what_is_of_their_kind() {
    let (counter, gauge, histogram) = (0, 1, 2);
    let mut metrics = Metrics::default();
    let numbers = [counter, gauge, histogram].map(|kind| metrics.define(kind, format!("metric_{kind}")));
    assert_eq!(numbers, [Ok(0), Ok(1), Ok(2)]);
    assert_eq!(metrics.define(counter, "metric_0".to_owned()), Ok(0), "the same again");
    assert_eq!(metrics.define(gauge, "metric_0".to_owned()), Err(Status::BadArgument));
    assert_eq!(metrics.define(3, "metric_3".to_owned()), Err(Status::BadArgument));
    assert_eq!([1, 0, -1].map(|offset| metrics.increment(0, offset).is_ok()), [true, false, false]);
    assert_eq!([5, -2].map(|offset| metrics.increment(1, offset).is_ok()), [true, true]);
    assert_eq!([0, 1, 2].map(|number| metrics.record(number, 9).is_ok()), [false, true, true]);
    assert_eq!(metrics.increment(7, 1), Err(Status::NotFound));
    assert_eq!([metrics.named("metric_0"), metrics.named("metric_1")], [Some(1), Some(9)]);
}

/// If this failed, the filter would see other fields than the client sent.
#[test]
fn header_fields_pass_the_boundary_as_they_are() {
    let mut fields = HeaderMap::new(&[(":path", "/"), ("a", "1"), ("b", ""), ("a", "2")]);
    fields.push("C", b"\xff");
    let decoded = HeaderMap::decode(&fields.encode(usize::MAX));
    assert_eq!(decoded.as_ref(), Some(&fields));
    assert_eq!((fields.get("c"), fields.count("a"), fields.text("c")), (Some(&b"\xff"[..]), 2, ""));
    fields.replace("A", b"3");
    assert_eq!(fields.iter().map(|(name, _)| name).collect::<Vec<_>>(), [":path", "a", "b", "c"]);
    assert_eq!(fields.text("a"), "3");
    fields.remove("B");
    assert_eq!(fields.len(), 3);
    let encoded = fields.encode(usize::MAX);
    for length in 1..encoded.len() {
        assert_eq!(HeaderMap::decode(&encoded[..length]), None, "cut to {length}");
    }
}

/// A world with a paused stream, in which this callback is running with this context in effect.
fn world(callback: Callback, effective: ContextKey) -> World {
    let mut world = World::new(&Setup::new(serde_json::Value::Null));
    world.contexts.insert(ROOT, Context::Root(Root::default()));
    world.contexts.insert(STREAM, Context::Stream(StreamId(0)));
    let Request { headers, properties, .. } = Request::get("/");
    world.streams.push(Stream {
        context: STREAM,
        root: ROOT,
        headers,
        target: String::new(),
        authority: String::new(),
        properties,
        response: None,
        state: State::Paused,
        held_body: Vec::new(),
        is_over: false,
    });
    world.call = Some(Call { callback, context: effective, effective, worker: 0, fuel: 0 });
    world
}

fn answer() -> Callback {
    Callback::Answer(HeaderMap::default(), Vec::new())
}

const ROOT: ContextKey = ContextKey { vm: 0, context: 1 };
const STREAM: ContextKey = ContextKey { vm: 0, context: 2 };
