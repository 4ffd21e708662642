//! The control message with the size of joined datagrams.

use super::Kernel;
use super::control::{first_int, first_message};

/// Returns the size of the datagrams that a kernel joined, which it reports in received control messages.
pub(in crate::platform) fn segment_size_in<K: Kernel>(mut messages: &[u8]) -> Option<usize> {
    let sort = (K::NUMBERS.IPPROTO_UDP, K::SEGMENTS?.join);
    while let Some((message, rest)) = first_message(K::CONTROL, messages) {
        if (message.level, message.kind) == sort {
            let (size, _) = first_int(message.data)?;
            return usize::try_from(size).ok().filter(|&size| size > 0);
        }
        messages = rest;
    }
    None
}
