//! The functions of the proxy-wasm ABI (0.2.1) that the filter calls. An import that this host lacks returns "unimplemented" and is
//! recorded: the filter could not rely on it.

use std::time::Duration;

use wasmi::{Caller, Error, ExternType, Linker, Module, Val};

use super::context::Tick;
use super::guarantee::Guarantee;
use super::guest::{Failure, Guest, functions};
use super::header_map::HeaderMap;
use super::status::Status;
use super::{heads, wasi};

/// Returns a linker with everything that the module imports.
pub(super) fn imports(module: &Module) -> Result<Linker<Guest>, Error> {
    let mut linker = Linker::new(module.engine());
    define_missing(&mut linker, module)?;
    linker.allow_shadowing(true);
    define_general(&mut linker)?;
    define_streams(&mut linker)?;
    define_shared(&mut linker)?;
    heads::define(&mut linker)?;
    wasi::define(&mut linker)?;
    Ok(linker)
}

fn define_general(linker: &mut Linker<Guest>) -> Result<(), Error> {
    functions! { linker, "env":
        fn proxy_log(host, level: u32, text: u32, size: u32) {
            let text = String::from_utf8_lossy(&host.bytes(text, size)?).into_owned();
            let level = LEVELS.get(level as usize).ok_or(Status::BadArgument)?;
            host.world().log.push(format!("{level}: {text}"));
            Ok(())
        }

        fn proxy_get_current_time_nanoseconds(host, return_time: u32) {
            let nanoseconds = u64::try_from(host.world().now.as_nanos()).unwrap_or(u64::MAX);
            host.put(return_time, &nanoseconds.to_le_bytes())
        }

        fn proxy_set_tick_period_milliseconds(host, period: u32) {
            let period = Duration::from_millis(u64::from(period));
            let mut world = host.world();
            let due = world.now + period;
            let is_strict = world.lacks(Guarantee::SetsTimers);
            if world.lacks(Guarantee::HasTimers) {
                return Err(Status::Unimplemented.into());
            }
            if is_strict && world.effective_stream().is_some() {
                return Err(Failure::trap("a stream cannot set a timer"));
            }
            let root = world.effective_root().ok_or(Status::BadArgument)?;
            let root = world.root(root).ok_or(Status::BadArgument)?;
            if is_strict && root.tick.is_some() && !period.is_zero() {
                return Err(Failure::trap("the timer is set already"));
            }
            root.tick = (!period.is_zero()).then_some(Tick { period, due });
            Ok(())
        }

        fn proxy_set_effective_context(host, context: u32) {
            host.charge();
            Ok(host.world().switch_to(context)?)
        }
    }
    Ok(())
}

fn define_streams(linker: &mut Linker<Guest>) -> Result<(), Error> {
    functions! { linker, "env":
        fn proxy_continue_stream(host, kind: u32) {
            Ok(host.world().resume(kind)?)
        }

        fn proxy_send_local_response(
            host, status: u32, details: u32, details_size: u32, body: u32, body_size: u32, fields: u32,
            fields_size: u32, grpc_status: u32
        ) {
            let details = host.bytes(details, details_size)?;
            let (body, fields) = (host.bytes(body, body_size)?, host.bytes(fields, fields_size)?);
            let mut world = host.world();
            let fields = HeaderMap::decode(&fields).ok_or_else(|| world.misuse("the fields of an answer are garbled"))?;
            if world.lacks(Guarantee::HidesReasons) && !details.is_empty() {
                world.violation("the status line of an answer says more than its status");
            }
            if world.lacks(Guarantee::DeliversReplies) && grpc_status != u32::MAX {
                world.violation("an answer has a gRPC status, at which builds with assertions abort");
            }
            Ok(world.reply(status, fields, &body)?)
        }

        fn proxy_http_call(
            host, upstream: u32, upstream_size: u32, fields: u32, fields_size: u32, body: u32, body_size: u32,
            _trailers: u32, _trailers_size: u32, timeout: u32, return_token: u32
        ) {
            let upstream = host.text(upstream, upstream_size)?;
            let (body, fields) = (host.bytes(body, body_size)?, host.bytes(fields, fields_size)?);
            let token = {
                let mut world = host.world();
                let fields = HeaderMap::decode(&fields).ok_or_else(|| world.misuse("the fields of a callout are garbled"))?;
                if world.lacks(Guarantee::RefusesUpstreams) && !is_host_and_port(&upstream) {
                    return Err(Failure::trap("an upstream that is none"));
                }
                world.dispatch(upstream, fields, body, Duration::from_millis(u64::from(timeout)))?
            };
            host.put(return_token, &token.to_le_bytes())
        }

        fn proxy_get_property(host, path: u32, path_size: u32, return_data: u32, return_size: u32) {
            let path = host.text(path, path_size)?;
            let value = {
                let mut world = host.world();
                if world.lacks(Guarantee::TellsConnections) && ENVOY_PROPERTIES.iter().any(|root| path.starts_with(root)) {
                    world.log.push(format!("alert: there is no property {}", path.replace('\0', ".")));
                    return Err(Status::NotFound.into());
                }
                let stream = world.effective_stream().and_then(|id| world.streams.get(id.0));
                stream.and_then(|stream| stream.properties.get(&path)).cloned().ok_or(Status::NotFound)?
            };
            host.give(&value, return_data, return_size)
        }

        fn proxy_set_property(host, path: u32, path_size: u32, value: u32, value_size: u32) {
            let (path, value) = (host.text(path, path_size)?, host.bytes(value, value_size)?);
            let mut world = host.world();
            let Some(id) = world.effective_stream() else {
                return Err(world.misuse("a property was set of something else than a request").into());
            };
            let is_kept = !world.lacks(Guarantee::KeepsProperties) || path.starts_with("wasmx");
            let stream = world.streams.get_mut(id.0).filter(|_| is_kept).ok_or(Status::NotFound)?;
            stream.properties.insert(path, value);
            Ok(())
        }
    }
    Ok(())
}

fn define_shared(linker: &mut Linker<Guest>) -> Result<(), Error> {
    functions! { linker, "env":
        fn proxy_get_shared_data(host, key: u32, key_size: u32, return_data: u32, return_size: u32, return_cas: u32) {
            let key = host.bytes(key, key_size)?;
            let (value, cas) = {
                let world = host.world();
                if !world.has_zone() {
                    return Err(Failure::trap("there is no zone for shared data"));
                }
                world.shared_data.get(&key, !world.lacks(Guarantee::ComparesKeys)).ok_or(Status::NotFound)?
            };
            host.give(&value, return_data, return_size)?;
            host.put(return_cas, &cas.to_le_bytes())
        }

        fn proxy_set_shared_data(host, key: u32, key_size: u32, value: u32, value_size: u32, cas: u32) {
            let (key, value) = (host.bytes(key, key_size)?, host.bytes(value, value_size)?);
            let mut world = host.world();
            if key.contains(&b'/') {
                world.violation("a key of the shared data names a zone to Kong");
            }
            if !world.has_zone() {
                return Err(Failure::trap("there is no zone for shared data"));
            }
            let (compares_keys, most) = (!world.lacks(Guarantee::ComparesKeys), world.zone_keys);
            if world.shared_data.is_full(&key, compares_keys, most) {
                if world.lacks(Guarantee::Evicts) {
                    return Err(Failure::trap("the zone for shared data is full"));
                }
                world.shared_data.evict();
            }
            Ok(world.shared_data.set(&key, &value, cas, compares_keys)?)
        }

        fn proxy_define_metric(host, kind: u32, name: u32, name_size: u32, return_number: u32) {
            let name = host.text(name, name_size)?;
            let number = {
                let mut world = host.world();
                let number = world.metrics.define(kind, name);
                number.map_err(|_| world.misuse("a metric of no kind, or of another before, was defined"))?
            };
            host.put(return_number, &number.to_le_bytes())
        }

        fn proxy_increment_metric(host, number: u32, offset: i64) {
            let mut world = host.world();
            if world.lacks(Guarantee::AddsToGauges) && world.metrics.is_gauge(number) {
                return Err(Failure::trap("metric not a counter"));
            }
            let done = world.metrics.increment(number, offset);
            done.map_err(|_| world.misuse("a metric was incremented that cannot be").into())
        }

        fn proxy_record_metric(host, number: u32, value: u64) {
            let mut world = host.world();
            let done = world.metrics.record(number, value);
            done.map_err(|_| world.misuse("a value was recorded for a metric that takes none").into())
        }

        fn proxy_get_metric(host, number: u32, return_value: u32) {
            let value = host.world().metrics.get(number)?;
            host.put(return_value, &value.to_le_bytes())
        }
    }
    Ok(())
}

/// Defines a stub for each of the module's imports. Implemented functions shadow these.
fn define_missing(linker: &mut Linker<Guest>, module: &Module) -> Result<(), Error> {
    for import in module.imports() {
        let (ExternType::Func(kind), name) = (import.ty(), import.name()) else { continue };
        let what = format!("{name} was called, which this host does not have");
        let answer = move |caller: Caller<'_, Guest>, _: &[Val], results: &mut [Val]| {
            caller.data().world.borrow_mut().violation(&what);
            results.fill(Val::I32(Status::Unimplemented as i32));
            Ok(())
        };
        linker.func_new(import.module(), name, kind.clone(), answer)?;
    }
    Ok(())
}

/// Whether an upstream is a host, with or without a port.
fn is_host_and_port(upstream: &str) -> bool {
    let (host, port) = match upstream.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(None) => return false,
        Some(Some((address, port))) => (address, port.strip_prefix(':').or((!port.is_empty()).then_some(""))),
        None => upstream.split_once(':').map_or((upstream, None), |(host, port)| (host, Some(port))),
    };
    !host.is_empty() && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// The prefixes of the connection's and the route's properties.
const ENVOY_PROPERTIES: [&str; 2] = ["connection\0", "xds\0"];

const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "critical"];
