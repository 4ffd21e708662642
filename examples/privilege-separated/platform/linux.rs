//! A filter of seccomp(2): any other system call ends the process.

use std::io;
use std::path::Path;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use syscalls::Sysno;

/// With a slash between the names that a call has on different processors, C libraries and releases of Rust. std makes fcntl before it
/// closes a descriptor, in a debug build.
pub(crate) const PARENT: &str = "poll/ppoll restart_syscall recvmsg openat fstat/newfstatat/statx sendmsg fcntl \
    close write kill wait4 sigaltstack munmap exit_group";

/// clock_gettime is made only where the vDSO cannot tell the time.
pub(crate) const CHILD: &str = "poll/ppoll restart_syscall accept4 setsockopt recvfrom sendmsg recvmsg \
    fstat/newfstatat pread64 sendto fcntl rt_sigprocmask sendfile rt_sigtimedwait getpid getsockopt getpeername shutdown \
    close clock_gettime sigaltstack munmap exit_group";

/// seccomp(2) cannot see a path. The parent only uses its folder.
pub(crate) fn show_only(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Allows these calls and no others. A name that this processor does not have is left out.
pub(crate) fn allow(calls: &str) -> io::Result<()> {
    let numbers = calls.split([' ', '/']).filter_map(|name| name.parse::<Sysno>().ok());
    let rules = numbers.map(|number| (number.id().into(), Vec::new())).collect();
    let processor = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, processor);
    let filter: BpfProgram = filter.and_then(TryInto::try_into).map_err(io::Error::other)?;
    seccompiler::apply_filter(&filter).map_err(io::Error::other)
}
