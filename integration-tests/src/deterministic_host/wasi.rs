//! The WASI functions (preview 1) that the module's standard library calls.

use wasmi::{Caller, Error, Linker};

use super::guest::{Guest, HostCall, functions};
use super::status::Status;

pub(super) fn define(linker: &mut Linker<Guest>) -> Result<(), Error> {
    functions! { linker, "wasi_snapshot_preview1":
        fn environ_sizes_get(host, return_count: u32, return_size: u32) {
            let entries = environment(host);
            let size: usize = entries.iter().map(Vec::len).sum();
            host.put(return_count, &number(entries.len()))?;
            host.put(return_size, &number(size))
        }

        fn environ_get(host, return_pointers: u32, return_bytes: u32) {
            let (mut pointer, mut place) = (return_pointers, return_bytes);
            for entry in environment(host) {
                host.put(pointer, &place.to_le_bytes())?;
                host.put(place, &entry)?;
                pointer += 4;
                place += u32::try_from(entry.len()).map_err(|_| Status::InternalFailure)?;
            }
            Ok(())
        }

        fn clock_time_get(host, _clock: u32, _precision: u64, return_time: u32) {
            let nanoseconds = u64::try_from(host.world().now.as_nanos()).unwrap_or(u64::MAX);
            host.put(return_time, &nanoseconds.to_le_bytes())
        }

        fn random_get(host, data: u32, size: u32) {
            let mut bytes = vec![0; size as usize];
            host.world().random.fill(&mut bytes);
            host.put(data, &bytes)
        }

        fn fd_write(host, _file: u32, pieces: u32, count: u32, return_size: u32) {
            let mut text = Vec::new();
            for piece in host.bytes(pieces, count.saturating_mul(8))?.chunks_exact(8) {
                let word = |at: usize| piece[at..at + 4].iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
                text.extend(host.bytes(word(0), word(4))?);
            }
            host.put(return_size, &number(text.len()))?;
            host.world().log.push(format!("output: {}", String::from_utf8_lossy(&text)));
            Ok(())
        }
    }
    linker.func_wrap(
        "wasi_snapshot_preview1",
        "proc_exit",
        |_: Caller<'_, Guest>, code: i32| -> Result<(), Error> { Err(Error::i32_exit(code)) },
    )?;
    Ok(())
}

/// Returns the environment, each variable as `NAME=value` and a NUL.
fn environment(host: &HostCall<'_, '_>) -> Vec<Vec<u8>> {
    let world = host.world();
    world.environment.iter().map(|(name, value)| format!("{name}={value}\0").into_bytes()).collect()
}

fn number(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes()
}
