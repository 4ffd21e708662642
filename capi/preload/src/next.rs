//! libc's functions, which are next in the order of the run-time linker, and what unisend calls in their place.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use errno::{Errno, set_errno};
use libc::{mmsghdr, msghdr, sockaddr, socklen_t, ssize_t};
use unisend_capi::Caller;

/// The flags of sendmmsg(2) are unsigned where the system's header has them so.
#[cfg(any(target_os = "openbsd", target_env = "musl"))]
pub(crate) type BatchFlags = c_uint;
#[cfg(not(any(target_os = "openbsd", target_env = "musl")))]
pub(crate) type BatchFlags = c_int;

/// A function that is looked up once. Two threads that look it up at once find the same.
struct Next {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

impl Next {
    const fn new(name: &'static CStr) -> Self {
        Self { name, found: AtomicPtr::new(ptr::null_mut()) }
    }

    fn get(&self) -> *mut c_void {
        match self.found.load(Ordering::Relaxed) {
            found if found.is_null() => self.find(),
            found => found,
        }
    }

    #[cold]
    fn find(&self) -> *mut c_void {
        // SAFETY: the name ends with a NUL.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        self.found.store(found, Ordering::Relaxed);
        found
    }
}

/// For each function: one that calls libc's for a caller that has promised to keep the rules of C, and one that is called
/// where unisend calls it.
macro_rules! functions {
    ($($(#[$only:meta])* $name:ident as $wrapped:literal ($($argument:ident: $type:ty),*) -> $returned:ty;)*) => {
        struct Table {
            $($(#[$only])* $name: Next,)*
        }

        static TABLE: Table = Table {
            $($(#[$only])* $name: Next::new(named(concat!(stringify!($name), "\0"))),)*
        };

        /// Looks all functions up, so that no call has to.
        pub(crate) fn find_all() {
            $($(#[$only])* TABLE.$name.get();)*
        }

        $(
            $(#[$only])*
            pub(crate) fn $name(_: Caller<'_>, $($argument: $type),*) -> $returned {
                type Function = unsafe extern "C" fn($($type),*) -> $returned;
                let found = TABLE.$name.get();
                // SAFETY: C's function of this name has this type, and no function is a null pointer.
                let function = unsafe { std::mem::transmute::<*mut c_void, Option<Function>>(found) };
                match function {
                    // SAFETY: the arguments are those of the caller, which keeps the rules of C.
                    Some(function) => unsafe { function($($argument),*) },
                    None => {
                        set_errno(Errno(libc::ENOSYS));
                        -1
                    }
                }
            }

            $(#[$only])*
            const _: () = {
                #[unsafe(export_name = $wrapped)]
                unsafe extern "C" fn wrapped($($argument: $type),*) -> $returned {
                    // SAFETY: unisend keeps the rules of C.
                    let caller = unsafe { Caller::promises() };
                    $name(caller, $($argument),*)
                }
            };
        )*
    };
}

functions! {
    send as "__wrap_send" (fd: c_int, data: *const c_void, length: usize, flags: c_int) -> ssize_t;
    sendto as "__wrap_sendto" (
        fd: c_int,
        data: *const c_void,
        length: usize,
        flags: c_int,
        name: *const sockaddr,
        name_length: socklen_t
    ) -> ssize_t;
    sendmsg as "__wrap_sendmsg" (fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t;
    sendmmsg as "__wrap_sendmmsg" (fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: BatchFlags) -> c_int;
    recvmsg as "__wrap_recvmsg" (fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t;
    #[cfg(target_os = "linux")]
    sendfile as "__wrap_sendfile" (to: c_int, from: c_int, offset: *mut libc::off_t, count: usize) -> ssize_t;
    #[cfg(target_os = "linux")]
    sendfile64 as "__wrap_sendfile64" (to: c_int, from: c_int, offset: *mut i64, count: usize) -> ssize_t;
}

/// Ends the process at once, without calling what atexit(3) has.
pub(crate) fn exit_at_once(status: c_int) -> ! {
    static NEXT: Next = Next::new(c"_exit");
    let found = NEXT.get();
    // SAFETY: C's function of this name has this type, and no function is a null pointer.
    let function =
        unsafe { std::mem::transmute::<*mut c_void, Option<unsafe extern "C" fn(c_int) -> !>>(found) };
    match function {
        // SAFETY: it can be called with any number.
        Some(function) => unsafe { function(status) },
        None => std::process::abort(),
    }
}

const fn named(name: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("a name ends with its only NUL"),
    }
}

/// Has a function called in each child of fork(2).
pub(crate) fn in_child(function: extern "C" fn()) {
    // SAFETY: the function can be called at any time, and this library is never unloaded.
    unsafe { libc::pthread_atfork(None, None, Some(function)) };
}

/// Appends a line to a file, with one write(2), so that the lines of several processes do not mix. If it fails, nobody can be told.
pub(crate) fn append(file: &CStr, line: &[u8]) {
    let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_CLOEXEC;
    // SAFETY: the name ends with a NUL.
    let fd = unsafe { libc::open(file.as_ptr(), flags, 0o666) };
    if fd < 0 {
        return;
    }
    // SAFETY: the pointer and the length are of one slice, which is only read.
    unsafe { libc::write(fd, line.as_ptr().cast(), line.len()) };
    // SAFETY: it was opened above, and is not used any more.
    unsafe { libc::close(fd) };
}
