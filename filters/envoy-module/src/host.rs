//! Envoy's callbacks, made safe.
//!
//! A [`StreamHandle`] is valid for as long as Envoy has its stream: [`Stream`](crate::stream::Stream) hands one out until the
//! hook that ends it. References into Envoy's memory borrow from it, and functions that change the request take `&mut`, so no
//! stale memory is read. Functions that may call other hooks, or end the stream, consume it.

#![allow(unsafe_code, reason = "Envoy's callbacks are foreign functions")]

use std::cell::Cell;
use std::ffi::c_void;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

use log::Level;
use phantom_token_core::{Callout, Reply, SdsSecret, internal_error};

use crate::abi::{self, EnvoyBuffer, EnvoyPtr, HeaderField, MetricId, ModuleBuffer, SECRETS, SecretId};
use crate::calls::Answer;
use crate::secrets::SecretView;

/// Envoy refused a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(&'static str);

/// Name and value of a header field.
pub(crate) type Field<'h> = (&'h [u8], &'h [u8]);

/// A map of header fields.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum FieldMap {
    RequestHeaders = 0,
    RequestTrailers = 1,
    ResponseHeaders = 2,
}

/// What Envoy knows of a stream.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Attribute {
    UriSanPeerCertificate = 37,
    Sha256PeerCertificateDigest = 38,
    RouteName = 61,
}

/// The kind of a metric.
#[derive(Clone, Copy)]
pub(crate) enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// A stream that Envoy has.
pub(crate) struct StreamHandle(EnvoyPtr);

/// A stream that Envoy may have destroyed.
pub(crate) struct StreamCell(Cell<EnvoyPtr>);

/// A configuration, in a hook on the main thread.
pub(crate) struct ConfigHandle<'h>(EnvoyPtr, PhantomData<&'h ()>);

/// Calls a hook of a stream on its thread, from any.
pub(crate) struct StreamScheduler(*mut c_void);

/// Calls a hook of a configuration on the main thread, from any.
pub(crate) struct ConfigScheduler(*mut c_void);

// SAFETY: Envoy lets any thread commit to a scheduler, and delete it.
unsafe impl Send for StreamScheduler {}
// SAFETY: as above; committing is thread-safe.
unsafe impl Send for ConfigScheduler {}
// SAFETY: as above.
unsafe impl Sync for ConfigScheduler {}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl StreamCell {
    pub(crate) fn new(stream: StreamHandle) -> Self {
        Self(Cell::new(stream.0))
    }

    /// Envoy destroys it.
    pub(crate) fn forget(&self) {
        self.0.set(null_mut());
    }

    /// The stream, if Envoy still has it.
    pub(crate) fn handle(&self) -> Option<StreamHandle> {
        let pointer = self.0.get();
        (!pointer.is_null()).then_some(StreamHandle(pointer))
    }
}

impl StreamHandle {
    /// # Safety
    /// The pointer is to a filter of Envoy, which outlives this, and is used by its own thread alone.
    pub(crate) unsafe fn new(pointer: EnvoyPtr) -> Self {
        Self(pointer)
    }

    /// All fields of a map.
    pub(crate) fn fields(&self, map: FieldMap) -> Result<Vec<Field<'_>>, Refused> {
        // SAFETY: the stream is there.
        let size = unsafe { abi::headers_size(self.0, map as u32) };
        let mut fields = vec![EMPTY_FIELD; size];
        // SAFETY: there is room for `size` fields.
        if size > 0 && !unsafe { abi::headers(self.0, map as u32, fields.as_mut_ptr()) } {
            return Err(Refused("it does not show the fields"));
        }
        // SAFETY: Envoy lends them until the map is changed, which takes `&mut self`.
        Ok(fields.iter().map(|field| unsafe { field.bytes() }).collect())
    }

    /// The first field of this name.
    pub(crate) fn field(&self, map: FieldMap, name: &str) -> Option<&[u8]> {
        let mut value = EMPTY_BUFFER;
        // SAFETY: `name` outlives the call, and `value` is a local of the type that the ABI writes.
        let is_there =
            unsafe { abi::header(self.0, map as u32, buffer(name.as_bytes()), &mut value, 0, null_mut()) };
        // SAFETY: as in `fields`.
        is_there.then(|| unsafe { bytes(value.ptr, value.length) })
    }

    /// Sets a field in place of all of that name.
    pub(crate) fn replace(&mut self, map: FieldMap, name: &str, value: &[u8]) -> Result<(), Refused> {
        // SAFETY: both outlive the call.
        let is_set = unsafe { abi::set_header(self.0, map as u32, buffer(name.as_bytes()), buffer(value)) };
        is_set.then_some(()).ok_or(Refused("it does not set a field"))
    }

    /// Removes all fields of that name.
    pub(crate) fn remove(&mut self, map: FieldMap, name: &str) -> Result<(), Refused> {
        let none = ModuleBuffer { ptr: std::ptr::null(), length: 0 };
        // SAFETY: as above; no value means that the field goes.
        let is_gone = unsafe { abi::set_header(self.0, map as u32, buffer(name.as_bytes()), none) };
        is_gone.then_some(()).ok_or(Refused("it does not remove a field"))
    }

    /// Lets Envoy select the route again.
    pub(crate) fn clear_route_cache(&mut self) {
        // SAFETY: the stream is there.
        unsafe { abi::clear_route_cache(self.0) }
    }

    /// An attribute, if Envoy has it.
    pub(crate) fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>> {
        let mut value = EMPTY_BUFFER;
        // SAFETY: `value` is a local of the type that the ABI writes.
        let is_there = unsafe { abi::attribute(self.0, attribute as u32, &mut value) };
        // SAFETY: Envoy lends it for now.
        is_there.then(|| unsafe { bytes(value.ptr, value.length) }.to_vec())
    }

    /// A text in the metadata of the selected route.
    pub(crate) fn route_metadata(&self, namespace: &str, key: &str) -> Option<Vec<u8>> {
        let (namespace, key, mut value) =
            (buffer(namespace.as_bytes()), buffer(key.as_bytes()), EMPTY_BUFFER);
        // SAFETY: both outlive the call, and `value` is a local of the type that the ABI writes.
        let is_there = unsafe { abi::metadata(self.0, ROUTE_METADATA, namespace, key, &mut value) };
        // SAFETY: Envoy lends it for now.
        is_there.then(|| unsafe { bytes(value.ptr, value.length) }.to_vec())
    }

    /// Sets filter state, which access logs and other filters read.
    pub(crate) fn set_filter_state(&mut self, key: &str, value: &str) -> Result<(), Refused> {
        // SAFETY: both outlive the call.
        let is_set =
            unsafe { abi::set_filter_state(self.0, buffer(key.as_bytes()), buffer(value.as_bytes())) };
        is_set.then_some(()).ok_or(Refused("it does not keep filter state"))
    }

    /// Sets dynamic metadata, which other filters and access logs read.
    pub(crate) fn set_metadata(&mut self, namespace: &str, key: &str, value: &str) {
        let [namespace, key, value] = [namespace, key, value].map(|text| buffer(text.as_bytes()));
        // SAFETY: all outlive the call.
        unsafe { abi::set_metadata(self.0, namespace, key, value) }
    }

    /// Adds to a counter.
    pub(crate) fn add(&self, counter: MetricId, count: u64) {
        // SAFETY: no labels.
        let _ = unsafe { abi::increment_counter(self.0, counter, null_mut(), 0, count) };
    }

    /// Sets a gauge.
    pub(crate) fn set_gauge(&self, gauge: MetricId, value: u64) {
        // SAFETY: no labels.
        let _ = unsafe { abi::set_gauge(self.0, gauge, null_mut(), 0, value) };
    }

    /// Records a value in a histogram.
    pub(crate) fn record(&self, histogram: MetricId, value: u64) {
        // SAFETY: no labels.
        let _ = unsafe { abi::record_histogram(self.0, histogram, null_mut(), 0, value) };
    }

    /// What calls the stream's hook from other threads.
    pub(crate) fn scheduler(&self) -> StreamScheduler {
        // SAFETY: the stream is there.
        StreamScheduler(unsafe { abi::scheduler_new(self.0) })
    }

    /// Lets a paused request go on. Envoy calls other hooks meanwhile.
    pub(crate) fn resume(self) {
        // SAFETY: the stream is there.
        unsafe { abi::continue_decoding(self.0) }
    }

    /// Answers the request here. Envoy may call other hooks meanwhile, and destroy the stream. What the reply says of its reason is for the
    /// access log: `%RESPONSE_CODE_DETAILS%`.
    pub(crate) fn reply(self, reply: Reply) {
        let mut reply = reply.for_host(true);
        if reply.grpc_call.is_some() && reply.headers.iter().all(|(name, _)| *name != GRPC_STATUS) {
            // Envoy gives the reply to such a call its form, and keeps a status that is there.
            reply.headers.push((GRPC_STATUS, reply.grpc_status.to_string()));
        }
        let details = reply.details();
        let fields = reply.headers.iter().map(|(name, value)| (*name, value.as_str()));
        if reply.body.is_empty() && reply.headers.iter().any(|(name, _)| *name == CONTENT_TYPE) {
            // Envoy takes the media type off a reply without content, and of a response like that of a service it does not.
            let status = reply.status.to_string();
            let fields = [(":status", status.as_str())].into_iter().chain(fields);
            let mut fields: Vec<HeaderField> = fields.map(HeaderField::new).collect();
            // SAFETY: all that is pointed to outlives the call.
            return unsafe { abi::send_response_headers(self.0, fields.as_mut_ptr(), fields.len(), true) };
        }
        let mut fields: Vec<HeaderField> = fields.map(HeaderField::new).collect();
        // SAFETY: all that is pointed to outlives the call.
        unsafe {
            abi::send_response(
                self.0,
                u32::from(reply.status),
                fields.as_mut_ptr(),
                fields.len(),
                buffer(reply.body.as_bytes()),
                buffer(details.as_bytes()),
            );
        }
    }

    /// Answers a request for which there is no filter.
    pub(crate) fn refuse_without_filter(self) {
        self.reply(internal_error());
    }
}

impl SecretView for StreamHandle {
    fn secret(&self, id: SecretId) -> Option<&[u8]> {
        // SAFETY: the stream is there, and keeps what it lends until the worker that this is has other work.
        unsafe { secret(self.0, id, SECRETS.as_ref()?.of_stream) }
    }
}

impl SecretView for ConfigHandle<'_> {
    fn secret(&self, id: SecretId) -> Option<&[u8]> {
        // SAFETY: the configuration is there, and keeps what it lends until the main thread, which this is, has other work.
        unsafe { secret(self.0, id, SECRETS.as_ref()?.of_config) }
    }
}

impl ConfigHandle<'_> {
    /// # Safety
    /// The pointer is to a configuration of Envoy, and the hook that it is passed to is on the main thread.
    pub(crate) unsafe fn new(pointer: EnvoyPtr) -> Self {
        Self(pointer, PhantomData)
    }

    /// What calls the configuration's hook on the main thread.
    pub(crate) fn scheduler(&self) -> ConfigScheduler {
        // SAFETY: the configuration is there.
        ConfigScheduler(unsafe { abi::config_scheduler_new(self.0) })
    }

    /// Asks Envoy for a secret, which only a new configuration can.
    ///
    /// # Errors
    /// Why it will not have it.
    pub(crate) fn subscribe(&self, secret: &SdsSecret) -> Result<SecretId, &'static str> {
        let callbacks = SECRETS.as_ref().ok_or("must not be by SDS here: this Envoy is older than 1.40")?;
        let source = secret.sds_config.as_deref().unwrap_or_default();
        // SAFETY: all that is pointed to outlives the call.
        match unsafe {
            (callbacks.subscribe)(self.0, buffer(secret.name.as_bytes()), buffer(source.as_bytes()))
        } {
            NO_SECRET => Err("is refused by Envoy, whose own line before this one says why"),
            id => Ok(id),
        }
    }

    /// Defines a metric, which only a new configuration can. None, if Envoy does not take it.
    pub(crate) fn define(&self, kind: MetricKind, name: &str) -> Option<MetricId> {
        let define = match kind {
            MetricKind::Counter => abi::define_counter,
            MetricKind::Gauge => abi::define_gauge,
            MetricKind::Histogram => abi::define_histogram,
        };
        let mut id = 0;
        // SAFETY: `name` outlives the call, and `id` is a local of the type that the ABI writes.
        let result = unsafe { define(self.0, buffer(name.as_bytes()), null_mut(), 0, &mut id) };
        (result == 0).then_some(id)
    }

    /// Sends a callout, and returns its number.
    pub(crate) fn send(&self, callout: &Callout) -> Result<u64, Refused> {
        let mut fields: Vec<HeaderField> = callout.headers().map(HeaderField::new).collect();
        let timeout = u64::try_from(callout.timeout().as_millis()).unwrap_or(u64::MAX);
        let mut id = 0;
        // SAFETY: all that is pointed to outlives the call, and `id` is a local of the type that the ABI writes.
        let result = unsafe {
            abi::config_callout(
                self.0,
                &mut id,
                buffer(callout.upstream().as_bytes()),
                fields.as_mut_ptr(),
                fields.len(),
                buffer(callout.body()),
                timeout,
            )
        };
        match result {
            0 => Ok(id),
            1 => Err(Refused("a field is missing")),
            2 => Err(Refused("there is no such cluster")),
            _ => Err(Refused("the request could not be made")),
        }
    }
}

impl StreamScheduler {
    /// Calls the stream's hook, unless the stream is gone.
    pub(crate) fn commit(&self) {
        // SAFETY: it is ours until it is dropped.
        unsafe { abi::scheduler_commit(self.0, 0) }
    }
}

impl Drop for StreamScheduler {
    fn drop(&mut self) {
        // SAFETY: it is ours, and nothing uses it afterwards.
        unsafe { abi::scheduler_delete(self.0) }
    }
}

impl ConfigScheduler {
    /// Calls the configuration's hook with this number, unless the configuration is gone.
    pub(crate) fn commit(&self, event: u64) {
        // SAFETY: it is ours until it is dropped.
        unsafe { abi::config_scheduler_commit(self.0, event) }
    }
}

impl Drop for ConfigScheduler {
    fn drop(&mut self) {
        // SAFETY: it is ours, and nothing uses it afterwards.
        unsafe { abi::config_scheduler_delete(self.0) }
    }
}

impl HeaderField {
    fn new((name, value): (&str, &str)) -> Self {
        let (name, value) = (buffer(name.as_bytes()), buffer(value.as_bytes()));
        Self { key: name.ptr, key_length: name.length, value: value.ptr, value_length: value.length }
    }

    /// # Safety
    /// The field's memory outlives the lifetime.
    unsafe fn bytes<'h>(&self) -> (&'h [u8], &'h [u8]) {
        // SAFETY: by the caller.
        unsafe { (bytes(self.key, self.key_length), bytes(self.value, self.value_length)) }
    }
}

/// Writes to Envoy's log, where `dynamic_modules` is the component.
pub(crate) fn log(level: Level, text: &str) {
    let level = match level {
        Level::Trace => 0,
        Level::Debug => 1,
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
    };
    // SAFETY: `text` outlives the call.
    unsafe {
        if abi::log_enabled(level) {
            abi::log(level, buffer(text.as_bytes()));
        }
    }
}

/// Keeps the text of a panic out of all logs: it may hold what a client sent. The place is enough to find it.
pub(crate) fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        PANIC.set(place);
    }));
}

/// Runs what must not panic into Envoy, nor past what has to follow it. None, if it panicked: what it left half-done is thrown away by the
/// caller.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).inspect_err(|_| report_panic()).ok()
}

/// Writes the place of the panic that was caught.
fn report_panic() {
    let place = PANIC.take();
    log(
        Level::Error,
        &format!("phantom-token: a defect of the filter at {place}, caught: what it concerned is refused"),
    );
}

/// Bytes of Envoy's.
///
/// # Safety
/// They outlive the lifetime.
pub(crate) unsafe fn bytes<'h>(pointer: *const u8, length: usize) -> &'h [u8] {
    if pointer.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: by the caller.
    unsafe { std::slice::from_raw_parts(pointer, length) }
}

/// A secret as Envoy has it; none, if it has not come: until then, Envoy says that it is empty.
///
/// # Safety
/// The pointer is to what the callback takes, which outlives the lifetime.
unsafe fn secret<'h>(
    envoy: EnvoyPtr,
    id: SecretId,
    callback: unsafe extern "C" fn(EnvoyPtr, SecretId, *mut EnvoyBuffer) -> bool,
) -> Option<&'h [u8]> {
    let mut value = EMPTY_BUFFER;
    // SAFETY: by the caller; `value` is a local of the type that the ABI writes.
    let value = unsafe { callback(envoy, id, &mut value).then(|| bytes(value.ptr, value.length)) };
    value.filter(|value| !value.is_empty())
}

/// The response to a callout, copied, unless its body is longer than this.
///
/// # Safety
/// Envoy lends all of it for this call.
pub(crate) unsafe fn answer(
    fields: *const HeaderField,
    count: usize,
    chunks: *const EnvoyBuffer,
    chunk_count: usize,
    limit: usize,
) -> Answer {
    if fields.is_null() || count == 0 {
        return Answer::Lost;
    }
    // SAFETY: by the caller.
    let fields = unsafe { std::slice::from_raw_parts(fields, count) };
    let chunks = match chunks.is_null() || chunk_count == 0 {
        true => &[][..],
        // SAFETY: by the caller.
        false => unsafe { std::slice::from_raw_parts(chunks, chunk_count) },
    };
    if chunks.iter().fold(0_usize, |sum, chunk| sum.saturating_add(chunk.length)) > limit {
        return Answer::Oversized;
    }
    // SAFETY: by the caller.
    let chunks = chunks.iter().map(|chunk| unsafe { bytes(chunk.ptr, chunk.length) });
    // SAFETY: by the caller.
    let fields = fields.iter().map(|field| unsafe { field.bytes() });
    Answer::Response {
        headers: fields.map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
        body: chunks.collect::<Vec<_>>().concat(),
    }
}

/// Bytes of ours. An empty value has a pointer as well: without one, Envoy takes it for none.
fn buffer(bytes: &[u8]) -> ModuleBuffer {
    ModuleBuffer { ptr: bytes.as_ptr(), length: bytes.len() }
}

thread_local! {
    /// The place of the last panic on this thread.
    static PANIC: Cell<String> = const { Cell::new(String::new()) };
}

const EMPTY_BUFFER: EnvoyBuffer = EnvoyBuffer { ptr: std::ptr::null(), length: 0 };
const EMPTY_FIELD: HeaderField =
    HeaderField { key: std::ptr::null(), key_length: 0, value: std::ptr::null(), value_length: 0 };
const CONTENT_TYPE: &str = "content-type";
const GRPC_STATUS: &str = "grpc-status";
const ROUTE_METADATA: u32 = 1;
const NO_SECRET: SecretId = 0;
