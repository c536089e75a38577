//! The calls into the host that the filter needs, each with its status as a `Result`.
//!
//! The SDK's own wrappers panic on a status that they do not expect, and on bytes that are not UTF-8; one panic stops a worker.
//! These declare the same imports and return the status.

#![allow(unsafe_code, reason = "the host's functions are foreign functions")]

use std::fmt;
use std::ptr::null_mut;
use std::time::Duration;

use log::Level;
use phantom_token_core::{Callout, Reply, Timestamp};
use proxy_wasm::types::{BufferType, MapType, MetricType, StreamType};

use crate::capabilities::capabilities;
use crate::field_map;

/// A status other than "ok" (proxy-wasm ABI).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(u32);

/// A number that the host gave to a metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MetricId(u32);

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "status {}", self.0)
    }
}

impl Refused {
    /// The requested item does not exist.
    pub(crate) const NOT_FOUND: Self = Self(1);
    /// The result is incomplete. This status is the filter's own, not one of the ABI.
    pub(crate) const INCOMPLETE: Self = Self(u32::MAX);
}

pub(crate) fn now() -> Result<Timestamp, Refused> {
    let mut nanoseconds = 0;
    done(proxy_get_current_time_nanoseconds(&mut nanoseconds))?;
    Ok(Timestamp::from_millis(nanoseconds / 1_000_000))
}

/// Writes to the host's log. If the host does not accept a line, there is nowhere to report that.
pub(crate) fn log(level: Level, text: &str) {
    // The ABI counts from trace up, `log` from error down.
    let level = Level::Trace as u32 - level as u32;
    // SAFETY: `text` outlives the call.
    let _ = done(unsafe { proxy_log(level, text.as_ptr(), text.len()) });
}

/// The first `size` bytes of a buffer.
pub(crate) fn buffer(buffer: BufferType, size: usize) -> Result<Vec<u8>, Refused> {
    if size == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: `owned` passes pointers to its locals.
    owned(|data, length| unsafe { proxy_get_buffer_bytes(buffer, 0, size, data, length) })
}

/// Returns all fields of a header map, as the ABI serializes them; [`field_map::fields`] reads them.
pub(crate) fn fields(map: MapType) -> Result<Vec<u8>, Refused> {
    // SAFETY: `owned` passes pointers to its locals.
    owned(|data, size| unsafe { proxy_get_header_map_pairs(map, data, size) })
}

/// A field of a header map.
pub(crate) fn field(map: MapType, name: &str) -> Result<Vec<u8>, Refused> {
    // SAFETY: as above, and `name` outlives the call.
    owned(|data, size| unsafe { proxy_get_header_map_value(map, name.as_ptr(), name.len(), data, size) })
}

/// Sets a field of a header map in place of all fields of that name.
pub(crate) fn replace(map: MapType, name: &str, value: &[u8]) -> Result<(), Refused> {
    // SAFETY: `name` and `value` outlive the call.
    done(unsafe {
        proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// Removes all fields of that name from a header map.
pub(crate) fn remove(map: MapType, name: &str) -> Result<(), Refused> {
    // SAFETY: `name` outlives the call.
    done(unsafe { proxy_remove_header_map_value(map, name.as_ptr(), name.len()) })
}

/// Returns a property of the stream, given the parts of its path.
pub(crate) fn property(path: &[&str]) -> Result<Vec<u8>, Refused> {
    let path = path.join("\0");
    // SAFETY: `owned` passes pointers to its locals, and `path` outlives the call.
    owned(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// Returns a value of the shared data, with its number for compare-and-swap.
pub(crate) fn shared_data(key: &str) -> Result<(Vec<u8>, u32), Refused> {
    let mut cas = 0;
    // SAFETY: `key` outlives the call, `cas` is a local of the type that the ABI writes.
    let value =
        owned(|data, size| unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &mut cas) })?;
    Ok((value, cas))
}

/// Sets a value of the shared data.
pub(crate) fn set_shared_data(key: &str, value: &[u8], cas: u32) -> Result<(), Refused> {
    // SAFETY: `key` and `value` outlive the call.
    done(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) })
}

/// Defines a metric.
pub(crate) fn define_metric(kind: MetricType, name: &str) -> Result<MetricId, Refused> {
    let mut id = 0;
    // SAFETY: `name` outlives the call, `id` is a local of the type that the ABI writes.
    done(unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &mut id) })?;
    Ok(MetricId(id))
}

/// Adds to a counter or a gauge. For a gauge, the offset may be negative.
pub(crate) fn add(metric: MetricId, offset: i64) -> Result<(), Refused> {
    done(proxy_increment_metric(metric.0, offset))
}

/// Records a value in a histogram.
pub(crate) fn record(metric: MetricId, value: u64) -> Result<(), Refused> {
    done(proxy_record_metric(metric.0, value))
}

/// Sets a property of the stream. Envoy keeps it as filter state, under this name with the prefix `wasm.`.
pub(crate) fn set_property(name: &str, value: &str) -> Result<(), Refused> {
    // SAFETY: `name` and `value` outlive the call.
    done(unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// Makes the following calls apply to another stream. Some hosts do nothing and return "ok".
pub(crate) fn set_effective_context(stream: u32) -> Result<(), Refused> {
    done(proxy_set_effective_context(stream))
}

/// Sets how often the host calls the root context's `on_tick`; zero stops the calls.
pub(crate) fn set_tick_period(period: Duration) -> Result<(), Refused> {
    done(proxy_set_tick_period_milliseconds(u32::try_from(period.as_millis()).unwrap_or(u32::MAX)))
}

/// Resumes a paused request.
pub(crate) fn resume_request() -> Result<(), Refused> {
    done(proxy_continue_stream(StreamType::HttpRequest))
}

/// Sends a reply to the client. Its details give the reason to the host's access log, in Envoy `%RESPONSE_CODE_DETAILS%`; other hosts get
/// none, as they would write it into the status line.
pub(crate) fn reply(reply: Reply) -> Result<(), Refused> {
    let takes_details = capabilities().takes_details;
    let reply = reply.for_host(takes_details);
    let headers = field_map::encode(&reply.headers);
    let (details, grpc_status) = match takes_details {
        true => (reply.details(), i32::from(reply.grpc_status)),
        false => (String::new(), NO_GRPC_STATUS),
    };
    // SAFETY: all that is pointed to outlives the call.
    done(unsafe {
        proxy_send_local_response(
            u32::from(reply.status),
            details.as_ptr(),
            details.len(),
            reply.body.as_ptr(),
            reply.body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        )
    })
}

/// Sends a callout on behalf of the effective context, and returns its number. [`crate::callouts`] receives the response.
pub(crate) fn send(callout: &Callout) -> Result<u32, Refused> {
    let (upstream, body) = (callout.upstream(), callout.body());
    let retries = capabilities().retries;
    let headers = callout.headers().filter(|(name, _)| retries || !name.starts_with("x-envoy-"));
    let headers = field_map::encode(&headers.collect::<Vec<_>>());
    let trailers = field_map::encode::<&str>(&[]);
    let timeout = u32::try_from(callout.timeout().as_millis()).unwrap_or(u32::MAX);
    let mut id = 0;
    // SAFETY: all that is pointed to outlives the call, and `id` is a local of the type that the ABI writes.
    done(unsafe {
        proxy_http_call(
            upstream.as_ptr(),
            upstream.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            trailers.as_ptr(),
            trailers.len(),
            timeout,
            &mut id,
        )
    })?;
    Ok(id)
}

fn done(status: u32) -> Result<(), Refused> {
    if status == 0 { Ok(()) } else { Err(Refused(status)) }
}

const NO_GRPC_STATUS: i32 = -1;

/// Returns bytes that the host wrote into memory that it had this module allocate.
fn owned(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, Refused> {
    let (mut data, mut size) = (null_mut(), 0);
    done(call(&mut data, &mut size))?;
    if data.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: the host got `data` from the SDK's `proxy_on_memory_allocate`, which leaks a boxed slice of exactly `size` bytes, and does
    // not use it any more.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}

type Text = *const u8;
type ReturnText = *mut *mut u8;
type ReturnSize = *mut usize;

// All functions return a status. Those that take no pointer to memory of some length are safe to call.
#[rustfmt::skip]
#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, text: Text, size: usize) -> u32;
    safe fn proxy_get_current_time_nanoseconds(time: &mut u64) -> u32;
    safe fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(buffer: BufferType, start: usize, max: usize, data: ReturnText, size: ReturnSize) -> u32;
    fn proxy_get_header_map_pairs(map: MapType, data: ReturnText, size: ReturnSize) -> u32;
    fn proxy_get_header_map_value(map: MapType, key: Text, key_size: usize, data: ReturnText, size: ReturnSize) -> u32;
    fn proxy_replace_header_map_value(map: MapType, key: Text, key_size: usize, value: Text, value_size: usize) -> u32;
    fn proxy_remove_header_map_value(map: MapType, key: Text, key_size: usize) -> u32;
    fn proxy_get_shared_data(key: Text, key_size: usize, data: ReturnText, size: ReturnSize, cas: *mut u32) -> u32;
    fn proxy_set_shared_data(key: Text, key_size: usize, value: Text, value_size: usize, cas: u32) -> u32;
    fn proxy_get_property(path: Text, path_size: usize, data: ReturnText, size: ReturnSize) -> u32;
    fn proxy_set_property(path: Text, path_size: usize, value: Text, value_size: usize) -> u32;
    fn proxy_define_metric(kind: MetricType, name: Text, name_size: usize, id: *mut u32) -> u32;
    safe fn proxy_increment_metric(metric: u32, offset: i64) -> u32;
    safe fn proxy_record_metric(metric: u32, value: u64) -> u32;
    safe fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_http_call(upstream: Text, upstream_size: usize, headers: Text, headers_size: usize, body: Text,
        body_size: usize, trailers: Text, trailers_size: usize, timeout: u32, id: *mut u32) -> u32;
    safe fn proxy_continue_stream(stream: StreamType) -> u32;
    fn proxy_send_local_response(status: u32, details: Text, details_size: usize, body: Text, body_size: usize,
        headers: Text, headers_size: usize, grpc_status: i32) -> u32;
}
