//! The control messages with a single value: what the headers of a datagram had, and the size of joined ones.

use std::ffi::c_int;

use super::Kernel;
use super::control::{first_int, first_message};

/// Returns the size of the datagrams that a kernel joined.
pub(in crate::platform) fn segment_size_in<K: Kernel>(messages: &[u8]) -> Option<usize> {
    let size = value_in::<K>(messages, &[(K::NUMBERS.IPPROTO_UDP, K::SEGMENTS?.join)])?;
    usize::try_from(size).ok().filter(|&size| size > 0)
}

/// Returns the traffic class, if it is reported (clause N7).
pub(in crate::platform) fn traffic_class_in<K: Kernel>(messages: &[u8]) -> Option<u8> {
    let v6 = (K::NUMBERS.IPPROTO_IPV6, K::NUMBERS.IPV6_TCLASS);
    let v4 = K::TRAFFIC_CLASS_V4.map(|kind| (K::NUMBERS.IPPROTO_IP, kind));
    value_in::<K>(messages, &[v6, v4.unwrap_or(v6)]).map(|class| class as u8)
}

/// Returns the hop limit that is left of what the sender gave, if it is reported (clause N8).
pub(in crate::platform) fn hop_limit_in<K: Kernel>(messages: &[u8]) -> Option<u8> {
    let v6 = (K::NUMBERS.IPPROTO_IPV6, K::NUMBERS.IPV6_HOPLIMIT);
    let v4 = (K::NUMBERS.IPPROTO_IP, K::HOP_LIMIT_V4);
    value_in::<K>(messages, &[v6, v4]).map(|limit| limit as u8)
}

/// Returns the value in the first message of one of these levels and types: an int or, of what came over IPv4, a byte.
fn value_in<K: Kernel>(mut messages: &[u8], sorts: &[(c_int, c_int)]) -> Option<c_int> {
    while let Some((message, rest)) = first_message(K::CONTROL, messages) {
        if sorts.contains(&(message.level, message.kind)) {
            let byte = || message.data.first().map(|&byte| c_int::from(byte));
            return first_int(message.data).map(|(int, _)| int).or_else(byte);
        }
        messages = rest;
    }
    None
}
