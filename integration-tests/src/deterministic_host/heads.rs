//! The functions of the ABI about header fields and buffers.

use wasmi::{Error, Linker};

use super::guest::{Guest, functions};
use super::header_map::HeaderMap;
use super::status::Status;
use super::world::{Callback, Context};

pub(super) fn define(linker: &mut Linker<Guest>) -> Result<(), Error> {
    functions! { linker, "env":
        fn proxy_get_header_map_pairs(host, map: u32, return_data: u32, return_size: u32) {
            // No map is an empty one to Envoy.
            let bytes = host.world().fields(map).map(HeaderMap::encode).unwrap_or_default();
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
            host.world().changeable_fields(map)?.replace(&name, &value);
            Ok(())
        }

        fn proxy_remove_header_map_value(host, map: u32, name: u32, name_size: u32) {
            let name = host.text(name, name_size)?;
            host.world().changeable_fields(map)?.remove(&name);
            Ok(())
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

/// The numbers that the ABI gives to buffers.
const ANSWER_BODY: u32 = 4;
const PLUGIN_CONFIGURATION: u32 = 7;
