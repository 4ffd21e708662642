//! Clause X7 and its neighbours: `sendfile`, which on Linux is the kernel's, and a transfer by copying return
//! the same for every input with every output, except where clause X7b says otherwise. On a kernel without
//! sendfile(2) both copy.

mod sockets;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::catch_unwind;
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use sockets::{Pair, bounded, declared, differs, fill_for_sendfile, shutdown};
use unisend::ErrorKind::{self, *};
use unisend::SocketKind::{self, *};
use unisend::{Offset, Output, sendfile};

/// What a row of inputs is, as far as the clauses tell them apart.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sort {
    /// Both ways can read it.
    File,
    /// Neither can.
    Refused,
    /// X7b: Linux's kernel can, since release 6.5.
    Device,
    /// X7b: Linux's kernel can send it into a pipe, since release 5.12.
    Socket,
}

struct Input {
    name: &'static str,
    sort: Sort,
    fd: OwnedFd,
    /// Where its data comes from, if it is used up by being read.
    source: Option<OwnedFd>,
    /// The position of a file.
    start: u64,
    _kept: Vec<OwnedFd>,
}

impl Input {
    fn new(name: &'static str, sort: Sort, fd: impl Into<OwnedFd>) -> Self {
        Self { name, sort, fd: fd.into(), source: None, start: 0, _kept: Vec::new() }
    }

    fn at(self, start: u64) -> Self {
        Self { start, ..self }
    }

    fn fed_by(self, source: OwnedFd) -> Self {
        Self { source: Some(source), ..self }
    }

    fn with(self, kept: impl Into<OwnedFd>) -> Self {
        Self { _kept: vec![kept.into()], ..self }
    }

    /// As it was at first: with four bytes, or at its start.
    fn prepare(&self) {
        match &self.source {
            Some(source) => {
                while sockets::received(&self.fd).is_some() {}
                nix::unistd::write(source, b"data").unwrap();
                sockets::wait_readable(&self.fd);
            }
            None => drop(nix::unistd::lseek(&self.fd, self.start as _, nix::unistd::Whence::SeekSet)),
        }
    }

    fn position(&self) -> Option<libc::off_t> {
        nix::unistd::lseek(&self.fd, 0, nix::unistd::Whence::SeekCur).ok()
    }
}

fn hundred_bytes() -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[7; 100]).unwrap();
    file
}

fn inputs(directory: &std::path::Path) -> Vec<Input> {
    let path = directory.join("input");
    std::fs::write(&path, [7; 100]).unwrap();
    let socket = |name, kind| {
        let Pair { ours, theirs, .. } = Pair::new(kind);
        Input::new(name, Sort::Socket, theirs).fed_by(ours)
    };
    let (pipe, pipe_end) = nix::unistd::pipe().unwrap();
    nix::unistd::write(&pipe_end, b"data").unwrap();
    let (empty_pipe, empty_pipe_end) = nix::unistd::pipe().unwrap();
    let Pair { ours, theirs, .. } = Pair::new(UnixStream);
    let mut inputs = vec![
        Input::new("a regular file", Sort::File, hundred_bytes()),
        Input::new("a regular file in its middle", Sort::File, hundred_bytes()).at(50),
        Input::new("a regular file at its end", Sort::File, hundred_bytes()).at(100),
        Input::new("an empty file", Sort::File, tempfile::tempfile().unwrap()),
        Input::new("a file for writing", Sort::Refused, OpenOptions::new().write(true).open(&path).unwrap()),
        Input::new("a directory", Sort::Refused, File::open(directory).unwrap()),
        Input::new("/dev/null", Sort::Refused, File::open("/dev/null").unwrap()),
        Input::new(
            "/dev/null for writing",
            Sort::Refused,
            OpenOptions::new().write(true).open("/dev/null").unwrap(),
        ),
        Input::new("/dev/zero", Sort::Device, File::open("/dev/zero").unwrap()),
        Input::new("a pipe with data", Sort::Refused, pipe).with(pipe_end),
        Input::new("a pipe without", Sort::Refused, empty_pipe).with(empty_pipe_end),
        socket("a unix stream with data", UnixStream),
        socket("a unix datagram", UnixDatagram),
        socket("a record", UnixSeqpacket),
        socket("TCP with data", Tcp),
        Input::new("a unix stream without data", Sort::Socket, theirs).with(ours),
    ];
    inputs.extend(system::inputs(&path));
    inputs
}

#[cfg(target_os = "linux")]
mod system {
    use std::os::fd::FromRawFd;
    use std::os::unix::fs::{FileExt, OpenOptionsExt};

    use super::*;

    fn made(number: libc::c_long) -> OwnedFd {
        assert!(number >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: it has just been made for us.
        unsafe { OwnedFd::from_raw_fd(number as _) }
    }

    /// What Linux alone has.
    pub(super) fn inputs(path: &std::path::Path) -> Vec<Input> {
        let set = nix::sys::signal::SigSet::empty();
        // SAFETY: it takes integers, and makes a descriptor.
        let events = made(unsafe { libc::eventfd(1, libc::EFD_CLOEXEC) }.into());
        // SAFETY: as above.
        let watches = made(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into());
        // SAFETY: as above.
        let timer = made(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) }.into());
        // SAFETY: it takes a set, which is only read, and makes a descriptor.
        let signals = made(unsafe { libc::signalfd(-1, set.as_ref(), libc::SFD_CLOEXEC) }.into());
        // SAFETY: it takes an integer, and makes a descriptor.
        let files = made(unsafe { libc::inotify_init1(libc::IN_CLOEXEC) }.into());
        // SAFETY: it takes a string, which is only read, and makes a descriptor.
        let memory = made(unsafe { libc::memfd_create(c"unisend".as_ptr(), libc::MFD_CLOEXEC) }.into());
        // SAFETY: it takes integers, and makes a descriptor.
        let process = unsafe { libc::syscall(libc::SYS_pidfd_open, std::process::id(), 0) };
        let memory = File::from(memory);
        memory.write_at(&[7; 100], 0).unwrap();
        let mut inputs = vec![
            Input::new("an eventfd", Sort::Refused, events),
            Input::new("an epoll", Sort::Refused, watches),
            Input::new("a timerfd", Sort::Refused, timer),
            Input::new("a signalfd", Sort::Refused, signals),
            Input::new("an inotify", Sort::Refused, files),
            Input::new("a memfd", Sort::File, memory),
            Input::new("a file of /proc", Sort::File, File::open("/proc/self/environ").unwrap()),
            Input::new("another file of /proc", Sort::File, File::open("/proc/version").unwrap()),
            Input::new("a path", Sort::Refused, sockets::open_path_only(path)),
            Input::new(
                "the path of a directory",
                Sort::Refused,
                sockets::open_path_only(path.parent().unwrap()),
            ),
        ];
        match process {
            0.. => inputs.push(Input::new("a pidfd", Sort::Refused, made(process))),
            _ => sockets::skipped(format_args!("no pidfd: {}", std::io::Error::last_os_error())),
        }
        match OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/ptmx") {
            Ok(terminal) => inputs.push(Input::new("a terminal", Sort::Device, terminal)),
            Err(error) => sockets::skipped(format_args!("no terminal: {error}")),
        }
        inputs
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::*;

    pub(super) fn inputs(_path: &std::path::Path) -> Vec<Input> {
        // SAFETY: it takes nothing, and makes a descriptor.
        let number = unsafe { libc::kqueue() };
        assert!(number >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: it has just been made for us.
        let queue = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(number) };
        vec![Input::new("a kqueue", Sort::Refused, queue)]
    }
}

/// The state of an output, which no call changes: what it takes is taken out again.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Room,
    Full,
    Broken,
}
use State::{Broken, Full, Room};

struct To {
    name: &'static str,
    fd: OwnedFd,
    socket: Option<SocketKind>,
    is_pipe: bool,
    state: State,
    theirs: Option<OwnedFd>,
}

impl To {
    fn file(name: &'static str, file: File) -> Self {
        Self { name, fd: file.into(), socket: None, is_pipe: false, state: Room, theirs: None }
    }

    fn pipe(name: &'static str, state: State) -> Self {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        if state == Full {
            sockets::set_nonblocking(&writer, true);
            while nix::unistd::write(&writer, &[7; 1000]).is_ok() {}
            while nix::unistd::write(&writer, &[7]).is_ok() {}
        }
        let theirs = (state != Broken).then_some(reader);
        Self { name, fd: writer, socket: None, is_pipe: true, state, theirs }
    }

    fn socket(name: &'static str, kind: SocketKind, state: State) -> Self {
        let Pair { ours, theirs, .. } = Pair::new(kind);
        match state {
            Room => {}
            Full => fill_for_sendfile(&declared(kind, &ours), &[7; 1000]),
            Broken => shutdown(&ours, std::net::Shutdown::Write).unwrap(),
        }
        Self { name, fd: ours, socket: Some(kind), is_pipe: false, state, theirs: Some(theirs) }
    }

    fn output(&self) -> Output<'_> {
        match self.socket {
            Some(kind) => declared(kind, &self.fd).into(),
            None => Output::file(&self.fd),
        }
    }

    /// Makes room again.
    fn drain(&self) {
        match (&self.theirs, self.state) {
            (Some(theirs), Room) => {
                sockets::set_nonblocking(theirs, true);
                while let Ok(1..) = nix::unistd::read(theirs, &mut [0; 1 << 16]) {}
            }
            (None, Room) => drop(nix::unistd::lseek(&self.fd, 0, nix::unistd::Whence::SeekSet)),
            _ => {}
        }
    }
}

fn outputs(directory: &std::path::Path) -> Vec<To> {
    let path = directory.join("output");
    std::fs::write(&path, "").unwrap();
    let open = |options: &mut OpenOptions| options.open(&path).unwrap();
    let appending = To::pipe("an appending pipe", Room);
    fcntl(&appending.fd, FcntlArg::F_SETFL(OFlag::O_APPEND)).unwrap();
    vec![
        To::file("a regular file", open(OpenOptions::new().write(true))),
        To::file("an appending file", open(OpenOptions::new().append(true))),
        To::file("a file for reading", open(OpenOptions::new().read(true))),
        To::file("/dev/null", OpenOptions::new().write(true).open("/dev/null").unwrap()),
        To::pipe("a pipe", Room),
        To::pipe("a full pipe", Full),
        To::pipe("a broken pipe", Broken),
        appending,
        To::socket("a unix stream", UnixStream, Room),
        To::socket("a full unix stream", UnixStream, Full),
        To::socket("a broken unix stream", UnixStream, Broken),
        To::socket("TCP", Tcp, Room),
        To::socket("full TCP", Tcp, Full),
        To::socket("broken TCP", Tcp, Broken),
        To::socket("a unix datagram socket", UnixDatagram, Room),
        To::socket("a seqpacket socket", UnixSeqpacket, Room),
        To::socket("UDP", UdpV4, Room),
    ]
}

/// An outcome, and where it left the offset and the file's own position.
#[derive(Debug, PartialEq)]
struct Seen {
    outcome: Result<u64, ErrorKind>,
    offset: Option<u64>,
    position: Option<libc::off_t>,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    offset: Option<u64>,
    count: u64,
    blocking: bool,
}

fn run(input: &Input, to: &To, case: Case, copying: bool) -> Seen {
    input.prepare();
    to.drain();
    // An O_PATH descriptor has no flags to set.
    set_blocking(&input.fd, case.blocking);
    set_blocking(&to.fd, case.blocking);
    let mut at = case.offset;
    let offset = at.as_mut().map_or(Offset::Position, Offset::At);
    let outcome = match copying {
        true => sockets::transfer(to.output(), &input.fd, offset, case.count, Some(&mut [0; 4096])),
        false => sendfile(to.output(), &input.fd, offset, case.count),
    };
    Seen { outcome: outcome.map_err(|error| error.kind()), offset: at, position: input.position() }
}

fn set_blocking(fd: &impl AsFd, blocking: bool) {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).unwrap());
    let _ = fcntl(
        fd,
        FcntlArg::F_SETFL(if blocking { flags - OFlag::O_NONBLOCK } else { flags | OFlag::O_NONBLOCK }),
    );
}

/// Whether the two ways agree, or differ as clause X7b says.
fn agree(input: &Input, to: &To, case: Case, best: &Seen, copied: &Seen) -> bool {
    // A socket and a terminal have none.
    let has_offset = case.offset.is_none() || best.position.is_some();
    let named = match input.sort {
        Sort::File | Sort::Refused => false,
        Sort::Device => has_offset,
        Sort::Socket => has_offset && to.is_pipe,
    };
    let as_named = || match best.outcome {
        Ok(sent) => sent > 0 && to.state == Room,
        Err(WouldBlock) => to.state == Full || input.source.is_none() && input.name != "/dev/zero",
        Err(Disconnected) => to.state == Broken,
        // A terminal whose other side nobody opened.
        Err(Io) => input.name == "a terminal",
        _ => false,
    };
    if differs(named, false) && case.count > 0 && to.is_pipe && to.state == Full {
        // It asks for room before it looks at the input, and before release 5.12 the other way round.
        return matches!(best.outcome, Err(WouldBlock | InvalidInput)) && copied.outcome == Err(InvalidInput);
    }
    best == copied || differs(named, false) && copied.outcome == Err(InvalidInput) && as_named()
}

#[test]
fn x7_both_ways_say_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let table = Arc::new((inputs(directory.path()), outputs(directory.path())));
    let (rows, columns) = (table.0.len(), table.1.len());
    let mut differences = Vec::new();
    let mut compared = 0;
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        let shared = Arc::clone(&table);
        let cell = catch_unwind(|| bounded(move || compare(&shared.0[row], &shared.1[column])));
        let (cases, different) = cell.unwrap_or_else(|_| {
            panic!("it stopped at {} to {}", table.0[row].name, table.1[column].name);
        });
        compared += cases;
        differences.extend(different);
    }
    assert!(compared > rows * columns * 9, "{compared}");
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

/// How many cases were compared, and those in which the two ways differ.
fn compare(input: &Input, to: &To) -> (usize, Vec<String>) {
    let mut differences = Vec::new();
    let mut compared = 0;
    for (offset, count) in
        [None, Some(0), Some(100)].into_iter().flat_map(|at| [0, 1, 100_000].map(|n| (at, n)))
    {
        for blocking in [false, true] {
            let case = Case { offset, count, blocking };
            let (best, copied) = (run(input, to, case, false), run(input, to, case, true));
            compared += 1;
            if !agree(input, to, case, &best, &copied) {
                differences.push(format!("{} to {}: {case:?}: {best:?}, {copied:?}", input.name, to.name));
            }
            // What waits for room, or for data, would wait for ever.
            if [&best, &copied].iter().any(|seen| seen.outcome == Err(WouldBlock)) {
                break;
            }
        }
    }
    (compared, differences)
}
