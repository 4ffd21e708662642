use std::ffi::c_int;

use super::verdict::{self, Witness};
use super::{Linux, errno, numbers};
use crate::platform::contract::{Errno, PeerCredentials, SendFlags};
use crate::platform::kernel::{Cause, ControlLayout, Failure, Kernel, Numbers, Segmentation};

/// The device number of /dev/null. It is part of Linux's interface: devices.txt has it.
const NULL_MAJOR: libc::dev_t = 1;
const NULL_MINOR: libc::dev_t = 3;

impl Kernel for Linux {
    const NUMBERS: Numbers = numbers::NUMBERS;
    const ERRNOS: &'static [(Errno, c_int)] = errno::ERRNOS;
    const CONTROL: ControlLayout =
        ControlLayout { length_bytes: size_of::<usize>(), alignment: size_of::<usize>() };
    const FLAGS: SendFlags = SendFlags::all();
    const ABSTRACT_NAMES: bool = true;
    const DUAL_STACK: bool = true;
    const HARD_ERROR_HIDES_COUNT: bool = false;
    const STREAMS_DELIVER_NO_BYTES: bool = false;
    const PEEK_LEAVES_ERROR: bool = false;
    const FIRST_PART_WITH_DESCRIPTORS: Option<usize> = None;
    const NULL_DEVICE: Option<libc::dev_t> = Some(NULL_MAJOR << 8 | NULL_MINOR);
    const CORK: c_int = Self::NUMBERS.TCP_CORK;
    const DESTINATIONS_V4: &'static [c_int] = &[Self::NUMBERS.IP_PKTINFO];
    /// struct in_pktinfo: the interface, the source, the destination.
    const SOURCE_V4: (c_int, usize, usize) = (Self::NUMBERS.IP_PKTINFO, 3, 1);
    const TRAFFIC_CLASS_V4: Option<c_int> = Some(Self::NUMBERS.IP_TOS);
    const TRAFFIC_CLASSES_V4: Option<c_int> = Some(Self::NUMBERS.IP_RECVTOS);
    const HOP_LIMIT_V4: c_int = Self::NUMBERS.IP_TTL;
    /// `UDP_SEGMENT` since 4.18, `UDP_GRO` since 5.0.
    const SEGMENTS: Option<Segmentation> =
        Some(Segmentation { cut: Self::NUMBERS.UDP_SEGMENT, join: Self::NUMBERS.UDP_GRO });
    const HAS_SENDFILE: bool = true;
    const SIGNALS_WITH_COUNT: bool = true;

    fn room_for_descriptors(_layout: ControlLayout, _count: usize) -> Option<usize> {
        None
    }

    fn socket_name_header(family: c_int, _length: u8) -> [u8; 2] {
        (family as u16).to_ne_bytes()
    }

    fn family_of_socket_name(header: [u8; 2]) -> c_int {
        c_int::from(u16::from_ne_bytes(header))
    }

    type Witness<'a> = dyn Witness + 'a;

    fn judge(failure: Failure, witness: &Self::Witness<'_>) -> Cause {
        verdict::judge(failure, witness)
    }
}

impl Linux {
    /// Reads a `struct ucred`. A socket without a peer has one too, with process 0 and user -1 (clause C4). For
    /// a process of another namespace the process is 0, and the user is set.
    pub(in crate::platform) fn credentials([process, user, group]: [u32; 3]) -> Option<PeerCredentials> {
        let visible = (process != 0).then_some(process);
        (visible.is_some() || user != u32::MAX).then_some(PeerCredentials { user, group, process: visible })
    }
}
