//! The ABI of Envoy's dynamic modules (`source/extensions/dynamic_modules/abi/abi.h`), as of Envoy 1.38: the callbacks that Envoy exports
//! and the hooks that it calls. Envoy resolves all imports when it loads the module, so newer callbacks are looked up on first use.
//!
//! Every hook catches panics, which must not unwind into Envoy.

#![allow(unsafe_code, reason = "both sides of the boundary are foreign functions")]

use std::ffi::{c_char, c_void};
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use libloading::os::unix::Library;

use crate::background::Background;
use crate::calls::Answer;
use crate::config::Config;
use crate::host::{self, ConfigHandle, StreamHandle, guarded};
use crate::stream::Stream;

/// Envoy's filter, valid while its stream exists, or Envoy's filter configuration.
pub(crate) type EnvoyPtr = *mut c_void;
/// A number that Envoy gives to a metric.
pub(crate) type MetricId = usize;
/// A number that Envoy gives to a secret.
pub(crate) type SecretId = usize;

/// Bytes that belong to Envoy. The pointer may be null if there are none.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct EnvoyBuffer {
    pub(crate) ptr: *const u8,
    pub(crate) length: usize,
}

/// Bytes that belong to this module. Envoy copies what it keeps.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct ModuleBuffer {
    pub(crate) ptr: *const u8,
    pub(crate) length: usize,
}

/// A header field of Envoy or of this module.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct HeaderField {
    pub(crate) key: *const u8,
    pub(crate) key_length: usize,
    pub(crate) value: *const u8,
    pub(crate) value_length: usize,
}

/// Declares Envoy's callbacks by their names without the common prefix.
macro_rules! callbacks {
    ($($link_name:literal => fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?;)+) => {
        unsafe extern "C" {
            $(
                #[link_name = concat!("envoy_dynamic_module_callback_", $link_name)]
                pub(crate) fn $name($($argument: $type),*) $(-> $result)?;
            )+
        }
    };
}

callbacks! {
    "log" => fn log(level: u32, message: ModuleBuffer);
    "log_enabled" => fn log_enabled(level: u32) -> bool;
    "http_get_headers_size" => fn headers_size(filter: EnvoyPtr, map: u32) -> usize;
    "http_get_headers" => fn headers(filter: EnvoyPtr, map: u32, fields: *mut HeaderField) -> bool;
    "http_get_header" => fn header(filter: EnvoyPtr, map: u32, name: ModuleBuffer, value: *mut EnvoyBuffer,
        index: usize, count: *mut usize) -> bool;
    "http_set_header" => fn set_header(filter: EnvoyPtr, map: u32, name: ModuleBuffer, value: ModuleBuffer) -> bool;
    "http_clear_route_cache" => fn clear_route_cache(filter: EnvoyPtr);
    "http_send_response" => fn send_response(filter: EnvoyPtr, status: u32, fields: *mut HeaderField, count: usize,
        body: ModuleBuffer, details: ModuleBuffer);
    "http_send_response_headers" => fn send_response_headers(filter: EnvoyPtr, fields: *mut HeaderField, count: usize,
        end: bool);
    "http_filter_continue_decoding" => fn continue_decoding(filter: EnvoyPtr);
    "http_filter_get_attribute_string" => fn attribute(filter: EnvoyPtr, id: u32, value: *mut EnvoyBuffer) -> bool;
    "http_get_metadata_string" => fn metadata(filter: EnvoyPtr, source: u32, namespace: ModuleBuffer, key: ModuleBuffer,
        value: *mut EnvoyBuffer) -> bool;
    "http_set_filter_state_bytes" => fn set_filter_state(filter: EnvoyPtr, key: ModuleBuffer, value: ModuleBuffer) -> bool;
    "http_set_dynamic_metadata_string" => fn set_metadata(filter: EnvoyPtr, namespace: ModuleBuffer, key: ModuleBuffer,
        value: ModuleBuffer);
    "http_filter_scheduler_new" => fn scheduler_new(filter: EnvoyPtr) -> *mut c_void;
    "http_filter_scheduler_commit" => fn scheduler_commit(scheduler: *mut c_void, event: u64);
    "http_filter_scheduler_delete" => fn scheduler_delete(scheduler: *mut c_void);
    "http_filter_config_scheduler_new" => fn config_scheduler_new(config: EnvoyPtr) -> *mut c_void;
    "http_filter_config_scheduler_commit" => fn config_scheduler_commit(scheduler: *mut c_void, event: u64);
    "http_filter_config_scheduler_delete" => fn config_scheduler_delete(scheduler: *mut c_void);
    "http_filter_config_http_callout" => fn config_callout(config: EnvoyPtr, id: *mut u64, cluster: ModuleBuffer,
        fields: *mut HeaderField, count: usize, body: ModuleBuffer, timeout_ms: u64) -> u32;
    "http_filter_config_define_counter" => fn define_counter(config: EnvoyPtr, name: ModuleBuffer, labels: *mut ModuleBuffer,
        count: usize, id: *mut MetricId) -> u32;
    "http_filter_config_define_gauge" => fn define_gauge(config: EnvoyPtr, name: ModuleBuffer, labels: *mut ModuleBuffer,
        count: usize, id: *mut MetricId) -> u32;
    "http_filter_config_define_histogram" => fn define_histogram(config: EnvoyPtr, name: ModuleBuffer,
        labels: *mut ModuleBuffer, count: usize, id: *mut MetricId) -> u32;
    "http_filter_increment_counter" => fn increment_counter(filter: EnvoyPtr, id: MetricId, labels: *mut ModuleBuffer,
        count: usize, by: u64) -> u32;
    "http_filter_set_gauge" => fn set_gauge(filter: EnvoyPtr, id: MetricId, labels: *mut ModuleBuffer, count: usize,
        value: u64) -> u32;
    "http_filter_record_histogram_value" => fn record_histogram(filter: EnvoyPtr, id: MetricId, labels: *mut ModuleBuffer,
        count: usize, value: u64) -> u32;
}

/// The callbacks for secrets, which Envoy exports since 1.40.
pub(crate) struct SecretCallbacks {
    pub(crate) subscribe:
        unsafe extern "C" fn(EnvoyPtr, name: ModuleBuffer, sds_config: ModuleBuffer) -> SecretId,
    pub(crate) of_config: unsafe extern "C" fn(EnvoyPtr, SecretId, value: *mut EnvoyBuffer) -> bool,
    pub(crate) of_stream: unsafe extern "C" fn(EnvoyPtr, SecretId, value: *mut EnvoyBuffer) -> bool,
}

/// `None` in Envoy before 1.40.
pub(crate) static SECRETS: LazyLock<Option<SecretCallbacks>> = LazyLock::new(|| {
    let envoy = Library::this();
    // SAFETY: the function types are those of the ABI.
    unsafe {
        Some(SecretCallbacks {
            subscribe: *envoy
                .get(b"envoy_dynamic_module_callback_http_filter_config_generic_secret_subscribe")
                .ok()?,
            of_config: *envoy
                .get(b"envoy_dynamic_module_callback_http_filter_config_get_generic_secret")
                .ok()?,
            of_stream: *envoy.get(b"envoy_dynamic_module_callback_http_filter_get_generic_secret").ok()?,
        })
    }
});

/// Exports the module's hooks by their names without the common prefix.
macro_rules! hooks {
    ($($(#[$doc:meta])* $name:literal => fn $function:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block)+) => {
        $(
            $(#[$doc])*
            #[unsafe(export_name = concat!("envoy_dynamic_module_on_", $name))]
            extern "C" fn $function($($argument: $type),*) $(-> $result)? $body
        )+
    };
}

hooks! {
    "program_init" => fn program_init() -> *const c_char {
        host::quiet_panics();
        ABI_VERSION.as_ptr()
    }

    "http_filter_config_new" => fn config_new(envoy: EnvoyPtr, name: EnvoyBuffer, text: EnvoyBuffer) -> *const Config {
        guarded(|| {
            // SAFETY: Envoy keeps all of this memory valid during this call.
            let (handle, name, text) = unsafe {
                (ConfigHandle::new(envoy), host::bytes(name.ptr, name.length), host::bytes(text.ptr, text.length))
            };
            Config::new(&handle, name, text).map(Arc::into_raw)
        })
        .flatten()
        .unwrap_or_else(std::ptr::null)
    }

    "http_filter_config_destroy" => fn config_destroy(config: *const Config) {
        // SAFETY: `config_new` leaked it, and Envoy returns it only once.
        guarded(|| unsafe { Arc::from_raw(config) }.retire());
    }

    /// On the main thread.
    "http_filter_config_scheduled" => fn config_scheduled(envoy: EnvoyPtr, config: *const Config, event: u64) {
        // SAFETY: as in `config_new`.
        let handle = unsafe { ConfigHandle::new(envoy) };
        on_main_thread(config, |config| config.on_scheduled(&handle, event));
    }

    /// On the main thread.
    "http_filter_config_http_callout_done" => fn config_callout_done(_envoy: EnvoyPtr, config: *const Config, callout: u64,
        result: u32, fields: *const HeaderField, count: usize, chunks: *const EnvoyBuffer, chunk_count: usize) {
        on_main_thread(config, |config| {
            config.on_callout_done(callout, |limit| match result {
                // SAFETY: Envoy keeps all of this memory valid during this call.
                CALLOUT_SUCCESS => unsafe { host::answer(fields, count, chunks, chunk_count, limit) },
                CALLOUT_TOO_LONG => Answer::Oversized,
                _ => Answer::Lost,
            });
        });
    }

    "http_filter_new" => fn filter_new(config: *const Config, envoy: EnvoyPtr) -> *const Stream {
        // SAFETY: `config_new` leaked the configuration, and the stream exists until `filter_destroy`.
        let made = guarded(|| unsafe {
            let config = ManuallyDrop::new(Arc::from_raw(config));
            Stream::new(&config, StreamHandle::new(envoy)).map(Rc::into_raw)
        });
        // If a stream has no filter, the hooks below refuse its request.
        made.flatten().unwrap_or_else(std::ptr::null)
    }

    "http_filter_request_headers" => fn request_headers(envoy: EnvoyPtr, stream: *const Stream, _end: bool) -> u32 {
        if passes(envoy, stream, |stream| stream.on_request_headers()) { 0 } else { STOP_ALL_AND_WATERMARK }
    }

    "http_filter_request_body" => fn request_body(envoy: EnvoyPtr, stream: *const Stream, _end: bool) -> u32 {
        if passes(envoy, stream, |stream| stream.is_open()) { 0 } else { STOP_BODY_AND_WATERMARK }
    }

    "http_filter_request_trailers" => fn request_trailers(envoy: EnvoyPtr, stream: *const Stream) -> u32 {
        if passes(envoy, stream, |stream| stream.on_request_trailers()) { 0 } else { STOP }
    }

    "http_filter_response_headers" => fn response_headers(envoy: EnvoyPtr, stream: *const Stream, _end: bool) -> u32 {
        if passes(envoy, stream, |stream| { stream.on_response_headers(); true }) { 0 } else { STOP }
    }

    "http_filter_response_body" => fn response_body(_envoy: EnvoyPtr, _stream: *const Stream, _end: bool) -> u32 { 0 }

    "http_filter_response_trailers" => fn response_trailers(_envoy: EnvoyPtr, _stream: *const Stream) -> u32 { 0 }

    "http_filter_scheduled" => fn scheduled(envoy: EnvoyPtr, stream: *const Stream, _event: u64) {
        passes(envoy, stream, |stream| { stream.on_scheduled(); true });
    }

    "http_filter_stream_complete" => fn stream_complete(_envoy: EnvoyPtr, stream: *const Stream) {
        ends(stream, Stream::on_complete);
    }

    "http_filter_destroy" => fn filter_destroy(stream: *const Stream) {
        ends(stream, Stream::on_destroy);
        if !stream.is_null() {
            // SAFETY: `filter_new` leaked it, and Envoy returns it only once.
            guarded(|| drop(unsafe { Rc::from_raw(stream) }));
        }
    }

    // Callouts belong to the configuration, so their hooks on streams are never called, and watermarks need no action. Envoy rejects a
    // module that lacks these hooks.
    "http_filter_http_callout_done" => fn callout_done(_envoy: EnvoyPtr, _stream: *const Stream, _callout: u64, _result: u32,
        _fields: *const HeaderField, _count: usize, _chunks: *const EnvoyBuffer, _chunk_count: usize) {}
    "http_filter_http_stream_headers" => fn callout_headers(_envoy: EnvoyPtr, _stream: *const Stream, _callout: u64,
        _fields: *const HeaderField, _count: usize, _end: bool) {}
    "http_filter_http_stream_data" => fn callout_data(_envoy: EnvoyPtr, _stream: *const Stream, _callout: u64,
        _chunks: *const EnvoyBuffer, _chunk_count: usize, _end: bool) {}
    "http_filter_http_stream_trailers" => fn callout_trailers(_envoy: EnvoyPtr, _stream: *const Stream, _callout: u64,
        _fields: *const HeaderField, _count: usize) {}
    "http_filter_http_stream_complete" => fn callout_complete(_envoy: EnvoyPtr, _stream: *const Stream, _callout: u64) {}
    "http_filter_http_stream_reset" => fn callout_reset(_envoy: EnvoyPtr, _stream: *const Stream, _callout: u64, _reason: u32) {}
    "http_filter_downstream_above_write_buffer_high_watermark" => fn above_high_watermark(_envoy: EnvoyPtr, _stream: *const Stream) {}
    "http_filter_downstream_below_write_buffer_low_watermark" => fn below_low_watermark(_envoy: EnvoyPtr, _stream: *const Stream) {}
}

/// Runs a hook of a configuration. After a panic, the background engine of the configuration is discarded, since it may be inconsistent.
fn on_main_thread(config: *const Config, hook: impl FnOnce(&Arc<Config>)) {
    // SAFETY: `config_new` leaked it, and Envoy returns it in `config_destroy`, after which it calls no hook with it.
    let config = ManuallyDrop::new(unsafe { Arc::from_raw(config) });
    if guarded(|| hook(&config)).is_none() {
        guarded(|| Background::forget(&config));
    }
}

/// Runs a hook of a stream, and returns whether the request passes. If the hook panics or the stream has no filter, the request is refused.
fn passes(envoy: EnvoyPtr, stream: *const Stream, hook: impl FnOnce(&Rc<Stream>) -> bool) -> bool {
    let Some(held) = held(stream) else {
        // SAFETY: Envoy calls a hook only while the stream exists.
        guarded(|| unsafe { StreamHandle::new(envoy) }.refuse_without_filter());
        return false;
    };
    guarded(|| hook(&held)).unwrap_or_else(|| {
        guarded(|| held.on_panic());
        false
    })
}

/// Runs a hook at the end of a stream, when the request can no longer be refused.
fn ends(stream: *const Stream, hook: impl FnOnce(&Stream)) {
    let Some(held) = held(stream) else { return };
    if guarded(|| hook(&held)).is_none() {
        guarded(|| held.on_panic_at_end());
    }
    guarded(|| drop(held));
}

/// Returns the filter of a stream, if it has one, and keeps it alive until the hook returns, even if Envoy destroys the stream meanwhile.
fn held(stream: *const Stream) -> Option<Rc<Stream>> {
    if stream.is_null() {
        return None;
    }
    // SAFETY: `filter_new` leaked it, and Envoy returns it in `filter_destroy`, after which it calls no hook with it. Envoy calls all hooks
    // of a stream on the thread that called `filter_new`.
    let stream = ManuallyDrop::new(unsafe { Rc::from_raw(stream) });
    Some(Rc::clone(&stream))
}

/// The ABI version of Envoy 1.40. An older Envoy accepts a later version, and says so in its log.
const ABI_VERSION: &std::ffi::CStr = c"v0.2.0";

const STOP: u32 = 1;
const STOP_ALL_AND_WATERMARK: u32 = 4;
const STOP_BODY_AND_WATERMARK: u32 = 2;
const CALLOUT_SUCCESS: u32 = 0;
const CALLOUT_TOO_LONG: u32 = 2;
