//! The report: one line of JSON for each process, which is appended to the file that `UNISEND_PRELOAD_REPORT` names.
//!
//! It is prepared when the library is loaded, and written by exit(3) or _exit(2). Then it allocates nothing, because the
//! process may be a child that a thread of several has forked.

use std::ffi::{CString, OsStr};
use std::fmt::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::count::{self, CALLS, WAYS};
use crate::next;

/// The variable that names the file.
const VARIABLE: &str = "UNISEND_PRELOAD_REPORT";

/// What is known from the start.
struct Destination {
    file: CString,
    program: Box<[u8]>,
}

static DESTINATION: OnceLock<Destination> = OnceLock::new();

/// The process whose counts these are, or 0 if its report was written. A child of vfork(2) is another one, and has the same memory.
static PROCESS: AtomicU32 = AtomicU32::new(0);

#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = start;

#[used]
#[unsafe(link_section = ".fini_array")]
static AT_END: extern "C" fn() = write;

extern "C" fn start() {
    next::find_all();
    let Some(file) = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) else { return };
    let Ok(file) = CString::new(file.into_vec()) else { return };
    let program = std::env::current_exe().unwrap_or_default();
    let program = program.file_name().map_or(&[][..], OsStr::as_bytes).into();
    if DESTINATION.set(Destination { file, program }).is_ok() {
        PROCESS.store(std::process::id(), Ordering::Relaxed);
        next::in_child(start_child);
    }
}

extern "C" fn start_child() {
    count::reset();
    PROCESS.store(std::process::id(), Ordering::Relaxed);
}

/// Writes the report of this process, once.
pub(crate) extern "C" fn write() {
    let Some(Destination { file, program }) = DESTINATION.get() else { return };
    let process = std::process::id();
    if PROCESS.compare_exchange(process, 0, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return;
    }
    let mut line = Line { bytes: [0; LINE_BYTES], length: 0 };
    // What has no room is cut. The line has it for all counts.
    let _ = line.describe(process, program);
    next::append(file, &line.bytes[..line.length]);
}

/// The longest line has a name of 255 bytes, six for each, and 48 counts of 20 digits, each with its name.
const LINE_BYTES: usize = 4096;

/// A line, for which no memory is allocated.
struct Line {
    bytes: [u8; LINE_BYTES],
    length: usize,
}

impl Line {
    fn describe(&mut self, process: u32, program: &[u8]) -> fmt::Result {
        write!(self, r#"{{"pid": {process}, "program": ""#)?;
        for &byte in program.iter().take(255) {
            match byte {
                b'"' | b'\\' => write!(self, "\\{}", byte as char)?,
                b' '..=b'~' => self.write_char(byte as char)?,
                _ => write!(self, "\\u{byte:04x}")?,
            }
        }
        self.write_char('"')?;
        for &(call, name) in CALLS {
            self.describe_counts(name, &count::of(call))?;
        }
        self.write_str("}\n")
    }

    fn describe_counts(&mut self, name: &str, counts: &[usize]) -> fmt::Result {
        let mut separator = "";
        for (count, way) in counts.iter().zip(WAYS).filter(|row| *row.0 > 0) {
            match separator {
                "" => write!(self, r#", "{name}": {{"{}": {count}"#, way.1)?,
                _ => write!(self, r#"{separator}"{}": {count}"#, way.1)?,
            }
            separator = ", ";
        }
        if separator.is_empty() { Ok(()) } else { self.write_char('}') }
    }
}

impl Write for Line {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.length..self.length + part.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(part.as_bytes());
        self.length += part.len();
        Ok(())
    }
}
