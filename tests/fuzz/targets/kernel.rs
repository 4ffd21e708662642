//! A kernel that does what the input says. It stands in for the calls of libc below, in this program alone, so that the
//! library runs as it is: from its public calls to the memory that a kernel reads and writes.

#![allow(clippy::unnecessary_cast, reason = "the C libraries differ in the types of a message")]

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_uint, c_void};
use std::io::IoSlice;

use libc::{mmsghdr, msghdr, size_t, ssize_t};
use nix::errno::Errno;

/// How a call ends: with a count, or with an errno.
pub(super) type Answer = Result<usize, Errno>;

/// What the calls of one input are answered. A panic in here ends the process, because a call of C cannot unwind: what is
/// wrong is noted, and asserted after the call.
pub(super) trait Answers {
    /// Is given what is sent, in slices, with its control messages.
    fn send(&self, slices: &[&[u8]], control: &[u8]) -> Answer {
        unreachable!("a send of {} slices and {} bytes of control messages", slices.len(), control.len())
    }

    /// Fills a message that is received.
    fn receive(&self, message: &mut Room<'_>) -> Answer {
        unreachable!("a receive into {} bytes", message.bytes)
    }

    /// Fills the buffer from the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Answer {
        unreachable!("a read of {} bytes at {offset}", buffer.len())
    }

    /// Sends from the file.
    fn sendfile(&self, input: c_int, offset: Option<u64>, count: usize) -> Answer {
        unreachable!("a sendfile of {count} bytes of {input} at {offset:?}")
    }
}

/// The room for a message that is received.
pub(super) struct Room<'call> {
    pub(super) bytes: usize,
    pub(super) name: &'call mut [u8],
    pub(super) control: &'call mut [u8],
    /// What the kernel says that it wrote of the name and of the control messages: they can be more than the room.
    pub(super) name_length: usize,
    pub(super) control_length: usize,
    pub(super) flags: c_int,
}

thread_local! {
    static ANSWERS: Cell<Option<*const dyn Answers>> = const { Cell::new(None) };
    static CLOSED: RefCell<Vec<c_int>> = const { RefCell::new(Vec::new()) };
}

/// Runs the library on this kernel, and returns the descriptors that it closed, none of which was a real one. It can be
/// used within itself.
pub(super) fn on<T>(answers: &dyn Answers, run: impl FnOnce() -> T) -> (T, Vec<c_int>) {
    struct Leave(Option<*const dyn Answers>);
    impl Drop for Leave {
        fn drop(&mut self) {
            ANSWERS.set(self.0);
        }
    }
    // SAFETY: the lifetimes are all that differs, and `Leave` takes the pointer away before the borrow ends.
    let answers = unsafe { std::mem::transmute::<*const (dyn Answers + '_), *const dyn Answers>(answers) };
    let _leave = Leave(ANSWERS.replace(Some(answers)));
    let closed_before = CLOSED.take();
    let result = run();
    (result, CLOSED.replace(closed_before))
}

fn answer(ask: impl FnOnce(&dyn Answers) -> Answer) -> ssize_t {
    let answers = ANSWERS.get().expect("only the library makes this call");
    // SAFETY: `on` keeps it alive while it is set.
    match ask(unsafe { &*answers }) {
        Ok(count) => count as ssize_t,
        Err(errno) => {
            errno.set();
            -1
        }
    }
}

/// Returns the bytes there, of which there may be none.
///
/// # Safety
///
/// They must be alive for as long as the slice is.
unsafe fn bytes<'call>(start: *const c_void, length: usize) -> &'call [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: the caller vouches for them.
    unsafe { std::slice::from_raw_parts(start.cast(), length) }
}

/// The same, to be written.
///
/// # Safety
///
/// As above, and nothing else may use them.
unsafe fn room<'call>(start: *mut c_void, length: usize) -> &'call mut [u8] {
    if length == 0 {
        return &mut [];
    }
    // SAFETY: the caller vouches for them.
    unsafe { std::slice::from_raw_parts_mut(start.cast(), length) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn send(_: c_int, start: *const c_void, length: size_t, _: c_int) -> ssize_t {
    // SAFETY: the library passes one slice.
    let bytes = unsafe { bytes(start, length) };
    answer(|kernel| kernel.send(&[bytes], &[]))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendmsg(_: c_int, message: *const msghdr, _: c_int) -> ssize_t {
    // SAFETY: the library passes a message.
    let message = unsafe { &*message };
    let slices = match message.msg_iovlen as usize {
        0 => &[],
        // SAFETY: an iovec is laid out as IoSlice, and so many are there.
        count => unsafe { std::slice::from_raw_parts(message.msg_iov.cast::<IoSlice<'_>>(), count) },
    };
    let slices: Vec<&[u8]> = slices.iter().map(|slice| &**slice).collect();
    // SAFETY: the length is that of the control messages, which are aligned for a header.
    let control = unsafe { bytes(message.msg_control, message.msg_controllen as usize) };
    answer(|kernel| kernel.send(&slices, control))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn recvmsg(_: c_int, message: *mut msghdr, _: c_int) -> ssize_t {
    // SAFETY: the library passes a message.
    let message = unsafe { &mut *message };
    answer(|kernel| receive_into(kernel, message))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn recvmmsg(
    _: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    _: c_int,
    _: *mut libc::timespec,
) -> c_int {
    // SAFETY: the library passes so many messages.
    let messages = unsafe { std::slice::from_raw_parts_mut(messages, count as usize) };
    let received = answer(|kernel| {
        for message in messages.iter_mut() {
            message.msg_len = receive_into(kernel, &mut message.msg_hdr)? as _;
        }
        Ok(messages.len())
    });
    received as c_int
}

fn receive_into(kernel: &dyn Answers, message: &mut msghdr) -> Answer {
    let slices = match message.msg_iovlen as usize {
        0 => &[],
        // SAFETY: so many are there.
        count => unsafe { std::slice::from_raw_parts(message.msg_iov, count) },
    };
    // SAFETY: the library passes room for a name of this length, or none.
    let name = unsafe { room(message.msg_name, message.msg_namelen as usize) };
    // SAFETY: the same for the control messages.
    let control = unsafe { room(message.msg_control, message.msg_controllen as usize) };
    let bytes = slices.iter().map(|slice| slice.iov_len).sum();
    let (name_length, control_length) = (name.len(), control.len());
    let mut room = Room { bytes, name, control, name_length, control_length, flags: 0 };
    let received = kernel.receive(&mut room);
    let Room { name_length, control_length, flags, .. } = room;
    message.msg_namelen = name_length as _;
    message.msg_controllen = control_length as _;
    message.msg_flags = flags;
    received
}

#[cfg_attr(target_env = "gnu", unsafe(export_name = "pread64"))]
#[cfg_attr(not(target_env = "gnu"), unsafe(no_mangle))]
unsafe extern "C" fn pread(_: c_int, start: *mut c_void, length: size_t, offset: i64) -> ssize_t {
    // SAFETY: the library passes one slice that is its own to write.
    let buffer = unsafe { room(start, length) };
    answer(|kernel| kernel.read_at(buffer, offset as u64))
}

#[cfg(target_os = "linux")]
#[cfg_attr(target_env = "gnu", unsafe(export_name = "sendfile64"))]
#[cfg_attr(not(target_env = "gnu"), unsafe(no_mangle))]
unsafe extern "C" fn sendfile(_: c_int, input: c_int, offset: *const i64, count: size_t) -> ssize_t {
    // SAFETY: the library passes an offset or none.
    let offset = unsafe { offset.as_ref() };
    answer(|kernel| kernel.sendfile(input, offset.map(|&offset| offset as u64), count))
}

/// A descriptor that the library closes is one that the input made up. All others are closed as ever.
#[unsafe(no_mangle)]
extern "C" fn close(descriptor: c_int) -> c_int {
    if ANSWERS.get().is_some() {
        CLOSED.with_borrow_mut(|closed| closed.push(descriptor));
        return 0;
    }
    really::close(descriptor)
}

/// std asks, when it is compiled with assertions, whether the descriptor that it closes is open. An argument that is not
/// there is not looked at.
#[unsafe(no_mangle)]
extern "C" fn fcntl(descriptor: c_int, command: c_int, argument: usize) -> c_int {
    if ANSWERS.get().is_some() && command == libc::F_GETFD {
        return 0;
    }
    really::fcntl(descriptor, command, argument)
}

/// The calls that these stand in for.
#[cfg(target_os = "linux")]
mod really {
    use std::ffi::c_int;

    pub(super) fn close(descriptor: c_int) -> c_int {
        // SAFETY: it is the caller's to close.
        unsafe { libc::syscall(libc::SYS_close, descriptor) as c_int }
    }

    pub(super) fn fcntl(descriptor: c_int, command: c_int, argument: usize) -> c_int {
        // SAFETY: the arguments are the caller's.
        unsafe { libc::syscall(libc::SYS_fcntl, descriptor, command, argument) as c_int }
    }
}

/// OpenBSD has no syscall(2), so they are those of its C library.
#[cfg(not(target_os = "linux"))]
mod really {
    use std::ffi::{CStr, c_int, c_void};

    fn next(name: &CStr) -> *mut c_void {
        // SAFETY: the name is a C string.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
        assert!(!found.is_null(), "{name:?}");
        found
    }

    pub(super) fn close(descriptor: c_int) -> c_int {
        // SAFETY: that is its type.
        let close =
            unsafe { std::mem::transmute::<*mut c_void, extern "C" fn(c_int) -> c_int>(next(c"close")) };
        close(descriptor)
    }

    pub(super) fn fcntl(descriptor: c_int, command: c_int, argument: usize) -> c_int {
        type Fcntl = unsafe extern "C" fn(c_int, c_int, ...) -> c_int;
        // SAFETY: that is its type.
        let fcntl = unsafe { std::mem::transmute::<*mut c_void, Fcntl>(next(c"fcntl")) };
        // SAFETY: the arguments are the caller's.
        unsafe { fcntl(descriptor, command, argument) }
    }
}
