//! The ABI functions for header fields and buffers.

use wasmi::{Error, Linker};

use super::context::{Callback, Context};
use super::guarantee::Guarantee;
use super::guest::{Failure, Guest, functions};
use super::status::Status;

pub(super) fn define(linker: &mut Linker<Guest>) -> Result<(), Error> {
    functions! { linker, "env":
        fn proxy_get_header_map_pairs(host, map: u32, return_data: u32, return_size: u32) {
            let bytes = {
                let mut world = host.world();
                let count = world.fields(map).map_or(0, |fields| fields.len());
                let most = if world.lacks(Guarantee::ListsAll) { MOST_LISTED } else { usize::MAX };
                if count > most.saturating_add(1) {
                    world.violation("the host was asked for more fields than it has memory for");
                    return Err(Failure::trap("a pointer leads out of the module's memory"));
                }
                // Envoy treats a map that does not exist as empty.
                world.fields(map).map(|fields| fields.encode(most)).unwrap_or_default()
            };
            host.give(&bytes, return_data, return_size)
        }

        fn proxy_get_header_map_value(host, map: u32, name: u32, name_size: u32, return_data: u32, return_size: u32) {
            let name = host.text(name, name_size)?;
            let value = {
                let world = host.world();
                let fields = world.fields(map).ok_or(Status::BadArgument)?;
                fields.get(&name).ok_or(Status::NotFound)?.to_vec()
            };
            host.give(&value, return_data, return_size)
        }

        fn proxy_add_header_map_value(host, map: u32, name: u32, name_size: u32, value: u32, value_size: u32) {
            let (name, value) = (host.text(name, name_size)?, host.bytes(value, value_size)?);
            host.world().changeable_fields(map)?.push(&name, &value);
            Ok(())
        }

        fn proxy_replace_header_map_value(host, map: u32, name: u32, name_size: u32, value: u32, value_size: u32) {
            let (name, value) = (host.text(name, name_size)?, host.bytes(value, value_size)?);
            if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
                host.world().violation("a field would be written as two");
            }
            Ok(host.world().replace(map, &name, &value)?)
        }

        fn proxy_remove_header_map_value(host, map: u32, name: u32, name_size: u32) {
            let name = host.text(name, name_size)?;
            Ok(host.world().remove(map, &name)?)
        }

        fn proxy_get_buffer_bytes(host, buffer: u32, start: u32, max_size: u32, return_data: u32, return_size: u32) {
            let bytes = {
                let mut world = host.world();
                let bytes = match (buffer, world.call.as_ref().map(|call| (&call.callback, call.context))) {
                    (ANSWER_BODY, Some((Callback::Answer(_, body), _))) => Some(body.clone()),
                    (PLUGIN_CONFIGURATION, Some((Callback::Configure, root))) => match world.contexts.get(&root) {
                        Some(Context::Root(root)) => Some(root.configuration.clone()),
                        _ => None,
                    },
                    _ => None,
                };
                bytes.ok_or_else(|| world.misuse("a buffer was read that is not there"))?
            };
            let end = (start as usize).saturating_add(max_size as usize).min(bytes.len());
            host.give(bytes.get(start as usize..end).unwrap_or_default(), return_data, return_size)
        }
    }
    Ok(())
}

/// The ABI's numbers for buffers.
const ANSWER_BODY: u32 = 4;
const PLUGIN_CONFIGURATION: u32 = 7;

/// The number of fields after which some hosts end the list.
const MOST_LISTED: usize = 100;
