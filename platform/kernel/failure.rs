use std::ffi::c_int;

use crate::platform::contract::{ErrorKind, Operation, SocketKind};

/// An errno as the kernel gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RawErrno(c_int);

impl RawErrno {
    pub(crate) const fn number(self) -> c_int {
        self.0
    }

    pub(crate) const fn from_number(number: c_int) -> Self {
        Self(number)
    }
}

/// A failed call: the errno, the kind of the socket, and the operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) errno: RawErrno,
    pub(crate) kind: SocketKind,
    pub(crate) operation: Operation,
}

/// The kind that a failure is, and the errno that the user sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) kind: ErrorKind,
    pub(crate) errno: RawErrno,
}
