//! What a kernel says of data that it received.

use std::ffi::c_int;

use crate::platform::Native;
use crate::platform::contract::Destination;
use crate::platform::kernel::{
    Family, Kernel, SocketName, destination_in, hop_limit_in, segment_size_in, traffic_class_in,
};

/// What came with data: flags, the name of the sender, and control messages, as far as the kernel wrote them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came<'buffer> {
    pub(super) flags: c_int,
    pub(super) name: &'buffer [u8],
    pub(super) messages: &'buffer [u8],
}

impl<'buffer> Came<'buffer> {
    /// Returns the name of the sender, if it was asked for and the sender has one.
    pub(crate) fn sender(&self) -> Option<Family<'buffer>> {
        SocketName::decode::<Native>(self.name)
    }

    /// Returns the destination, if the socket was asked to report it.
    pub(crate) fn destination(&self) -> Option<Destination> {
        destination_in::<Native>(self.messages)
    }

    /// Returns the traffic class, if the socket was asked to report it.
    pub(crate) fn traffic_class(&self) -> Option<u8> {
        traffic_class_in::<Native>(self.messages)
    }

    /// Returns the hop limit, if the socket was asked to report it.
    pub(crate) fn hop_limit(&self) -> Option<u8> {
        hop_limit_in::<Native>(self.messages)
    }

    /// Returns the size of the datagrams that were joined, if they were.
    pub(crate) fn segment_size(&self) -> Option<usize> {
        segment_size_in::<Native>(self.messages)
    }

    /// Returns whether the datagram or record was longer than the room for it.
    #[inline]
    pub(crate) fn is_truncated(&self) -> bool {
        self.flags & Native::NUMBERS.MSG_TRUNC != 0
    }

    /// Returns whether some of the ancillary data was dropped.
    #[inline]
    pub(crate) fn is_control_truncated(&self) -> bool {
        self.flags & Native::NUMBERS.MSG_CTRUNC != 0
    }

    /// Returns whether the sender ended a record here, if this kernel reports it (clause F3).
    #[inline]
    pub(crate) fn ends_record(&self) -> bool {
        self.flags & Native::NUMBERS.MSG_EOR != 0
    }
}
