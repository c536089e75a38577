//! Envoy's callbacks, made safe.
//!
//! A [`StreamHandle`] is valid while its stream exists in Envoy: [`Stream`](crate::stream::Stream) hands it out until the hook that ends
//! the stream. References into Envoy's memory borrow from the handle, and functions that change the request take `&mut`, so no stale memory
//! is read. Functions that may call other hooks, or end the stream, consume the handle.

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

/// The reason why Envoy refused a callback.
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

/// An attribute that Envoy has for a stream.
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

/// A stream that exists in Envoy.
pub(crate) struct StreamHandle(EnvoyPtr);

/// A stream that Envoy may have destroyed.
pub(crate) struct StreamCell(Cell<EnvoyPtr>);

/// A configuration, in a hook on the main thread.
pub(crate) struct ConfigHandle<'h>(EnvoyPtr, PhantomData<&'h ()>);

/// Calls a hook of a stream on the thread of the stream, from any thread.
pub(crate) struct StreamScheduler(*mut c_void);

/// Calls a hook of a configuration on the main thread, from any thread.
pub(crate) struct ConfigScheduler(*mut c_void);

// SAFETY: Envoy allows any thread to commit to a scheduler, and to delete it.
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

    /// Forgets the stream, which Envoy is destroying.
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
    /// The pointer is to a filter of Envoy that outlives the handle, and only the thread of the filter uses the handle.
    pub(crate) unsafe fn new(pointer: EnvoyPtr) -> Self {
        Self(pointer)
    }

    /// Returns all fields of a map.
    pub(crate) fn fields(&self, map: FieldMap) -> Result<Vec<Field<'_>>, Refused> {
        // SAFETY: the stream is there.
        let size = unsafe { abi::headers_size(self.0, map as u32) };
        let mut fields = vec![EMPTY_FIELD; size];
        // SAFETY: there is room for `size` fields.
        if size > 0 && !unsafe { abi::headers(self.0, map as u32, fields.as_mut_ptr()) } {
            return Err(Refused("it does not show the fields"));
        }
        // SAFETY: Envoy keeps the bytes until the map is changed, which takes `&mut self`.
        Ok(fields.iter().map(|field| unsafe { field.bytes() }).collect())
    }

    /// Returns the first field of this name.
    pub(crate) fn field(&self, map: FieldMap, name: &str) -> Option<&[u8]> {
        let mut value = EMPTY_BUFFER;
        // SAFETY: `name` outlives the call, and `value` is a local of the type that the ABI writes.
        let is_there =
            unsafe { abi::header(self.0, map as u32, buffer(name.as_bytes()), &mut value, 0, null_mut()) };
        // SAFETY: as in `fields`.
        is_there.then(|| unsafe { bytes(value.ptr, value.length) })
    }

    /// Sets a field in place of all fields of that name.
    pub(crate) fn replace(&mut self, map: FieldMap, name: &str, value: &[u8]) -> Result<(), Refused> {
        // SAFETY: both outlive the call.
        let is_set = unsafe { abi::set_header(self.0, map as u32, buffer(name.as_bytes()), buffer(value)) };
        is_set.then_some(()).ok_or(Refused("it does not set a field"))
    }

    /// Removes all fields of that name.
    pub(crate) fn remove(&mut self, map: FieldMap, name: &str) -> Result<(), Refused> {
        let none = ModuleBuffer { ptr: std::ptr::null(), length: 0 };
        // SAFETY: as above; a null value removes the field.
        let is_gone = unsafe { abi::set_header(self.0, map as u32, buffer(name.as_bytes()), none) };
        is_gone.then_some(()).ok_or(Refused("it does not remove a field"))
    }

    /// Lets Envoy select the route again.
    pub(crate) fn clear_route_cache(&mut self) {
        // SAFETY: the stream is there.
        unsafe { abi::clear_route_cache(self.0) }
    }

    /// Returns an attribute, if Envoy has it.
    pub(crate) fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>> {
        let mut value = EMPTY_BUFFER;
        // SAFETY: `value` is a local of the type that the ABI writes.
        let is_there = unsafe { abi::attribute(self.0, attribute as u32, &mut value) };
        // SAFETY: the bytes are valid at this point, and are copied at once.
        is_there.then(|| unsafe { bytes(value.ptr, value.length) }.to_vec())
    }

    /// Returns a text from the metadata of the selected route.
    pub(crate) fn route_metadata(&self, namespace: &str, key: &str) -> Option<Vec<u8>> {
        let (namespace, key, mut value) =
            (buffer(namespace.as_bytes()), buffer(key.as_bytes()), EMPTY_BUFFER);
        // SAFETY: both outlive the call, and `value` is a local of the type that the ABI writes.
        let is_there = unsafe { abi::metadata(self.0, ROUTE_METADATA, namespace, key, &mut value) };
        // SAFETY: the bytes are valid at this point, and are copied at once.
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

    /// Returns a scheduler that calls the stream's hook from other threads.
    pub(crate) fn scheduler(&self) -> StreamScheduler {
        // SAFETY: the stream is there.
        StreamScheduler(unsafe { abi::scheduler_new(self.0) })
    }

    /// Resumes a paused request. Envoy calls other hooks from within this call.
    pub(crate) fn resume(self) {
        // SAFETY: the stream is there.
        unsafe { abi::continue_decoding(self.0) }
    }

    /// Sends a reply to the client. Envoy may call other hooks from within this call, and destroy the stream. The details of the reply are
    /// for the access log: `%RESPONSE_CODE_DETAILS%`.
    pub(crate) fn reply(self, reply: Reply) {
        let mut reply = reply.for_host(true);
        if reply.grpc_call.is_some() && reply.headers.iter().all(|(name, _)| *name != GRPC_STATUS) {
            // Envoy converts the reply to a gRPC response, and keeps a `grpc-status` that is already set.
            reply.headers.push((GRPC_STATUS, reply.grpc_status.to_string()));
        }
        let details = reply.details();
        let fields = reply.headers.iter().map(|(name, value)| (*name, value.as_str()));
        if reply.body.is_empty() && reply.headers.iter().any(|(name, _)| *name == CONTENT_TYPE) {
            // Envoy removes the media type of a reply without content, but not that of a response sent like one of a service.
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

    /// Refuses a request that has no filter.
    pub(crate) fn refuse_without_filter(self) {
        self.reply(internal_error());
    }
}

impl SecretView for StreamHandle {
    fn secret(&self, id: SecretId) -> Option<&[u8]> {
        // SAFETY: the stream exists, and Envoy keeps the secret until the current worker returns to its event loop.
        unsafe { secret(self.0, id, SECRETS.as_ref()?.of_stream) }
    }
}

impl SecretView for ConfigHandle<'_> {
    fn secret(&self, id: SecretId) -> Option<&[u8]> {
        // SAFETY: the configuration exists, and Envoy keeps the secret until the main thread, which is the current one, returns to its
        // event loop.
        unsafe { secret(self.0, id, SECRETS.as_ref()?.of_config) }
    }
}

impl ConfigHandle<'_> {
    /// # Safety
    /// The pointer is to a filter configuration of Envoy, and is passed to a hook on the main thread.
    pub(crate) unsafe fn new(pointer: EnvoyPtr) -> Self {
        Self(pointer, PhantomData)
    }

    /// Returns a scheduler that calls the configuration's hook on the main thread.
    pub(crate) fn scheduler(&self) -> ConfigScheduler {
        // SAFETY: the configuration is there.
        ConfigScheduler(unsafe { abi::config_scheduler_new(self.0) })
    }

    /// Subscribes to a secret. Only possible while the configuration is being created.
    ///
    /// # Errors
    /// The reason why Envoy refuses the subscription.
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

    /// Defines a metric. Only possible while the configuration is being created. Returns `None` if Envoy refuses the metric.
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
        // SAFETY: the scheduler exists until this is dropped.
        unsafe { abi::scheduler_commit(self.0, 0) }
    }
}

impl Drop for StreamScheduler {
    fn drop(&mut self) {
        // SAFETY: the scheduler belongs to this, and nothing uses it afterwards.
        unsafe { abi::scheduler_delete(self.0) }
    }
}

impl ConfigScheduler {
    /// Calls the configuration's hook with this number, unless the configuration is gone.
    pub(crate) fn commit(&self, event: u64) {
        // SAFETY: the scheduler exists until this is dropped.
        unsafe { abi::config_scheduler_commit(self.0, event) }
    }
}

impl Drop for ConfigScheduler {
    fn drop(&mut self) {
        // SAFETY: the scheduler belongs to this, and nothing uses it afterwards.
        unsafe { abi::config_scheduler_delete(self.0) }
    }
}

impl HeaderField {
    fn new((name, value): (&str, &str)) -> Self {
        let (name, value) = (buffer(name.as_bytes()), buffer(value.as_bytes()));
        Self { key: name.ptr, key_length: name.length, value: value.ptr, value_length: value.length }
    }

    /// # Safety
    /// The memory of the field outlives `'h`.
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

/// Keeps the messages of panics, which may contain data from a client, out of all logs. The location is enough to find a defect.
pub(crate) fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        PANIC.set(place);
    }));
}

/// Runs a closure whose panic must unwind neither into Envoy nor past what has to follow it. Returns `None` after a panic; the caller then
/// discards what the closure may have left inconsistent.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).inspect_err(|_| report_panic()).ok()
}

/// Logs the location of the panic that was caught.
fn report_panic() {
    let place = PANIC.take();
    log(
        Level::Error,
        &format!("phantom-token: a defect of the filter at {place}, caught: what it concerned is refused"),
    );
}

/// Returns bytes that belong to Envoy.
///
/// # Safety
/// The bytes outlive `'h`.
pub(crate) unsafe fn bytes<'h>(pointer: *const u8, length: usize) -> &'h [u8] {
    if pointer.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: by the caller.
    unsafe { std::slice::from_raw_parts(pointer, length) }
}

/// Returns a secret as Envoy has it, or `None` if it has not arrived: until then, Envoy reports an empty value.
///
/// # Safety
/// The pointer is of the kind that the callback takes, and what it points to outlives `'h`.
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

/// Copies the response to a callout, unless its body exceeds the limit.
///
/// # Safety
/// Envoy keeps all of this memory valid during this call.
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

/// Passes bytes of this module. An empty value has a pointer as well, since Envoy takes a null pointer for no value.
fn buffer(bytes: &[u8]) -> ModuleBuffer {
    ModuleBuffer { ptr: bytes.as_ptr(), length: bytes.len() }
}

thread_local! {
    /// The location of the last panic on this thread.
    static PANIC: Cell<String> = const { Cell::new(String::new()) };
}

const EMPTY_BUFFER: EnvoyBuffer = EnvoyBuffer { ptr: std::ptr::null(), length: 0 };
const EMPTY_FIELD: HeaderField =
    HeaderField { key: std::ptr::null(), key_length: 0, value: std::ptr::null(), value_length: 0 };
const CONTENT_TYPE: &str = "content-type";
const GRPC_STATUS: &str = "grpc-status";
const ROUTE_METADATA: u32 = 1;
const NO_SECRET: SecretId = 0;
