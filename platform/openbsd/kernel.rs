use std::ffi::c_int;

use super::verdict::{self, Witness};
use super::{OpenBsd, errno, numbers};
use crate::platform::contract::{Errno, PeerCredentials, SendFlags};
use crate::platform::kernel::{Cause, ControlLayout, Failure, Kernel, Numbers, Segmentation};

impl Kernel for OpenBsd {
    const NUMBERS: Numbers = numbers::NUMBERS;
    const ERRNOS: &'static [(Errno, c_int)] = errno::ERRNOS;
    const CONTROL: ControlLayout = ControlLayout {
        length_bytes: size_of::<u32>(),
        alignment: if cfg!(target_arch = "sparc64") { 16 } else { size_of::<usize>() },
    };
    const FLAGS: SendFlags =
        SendFlags::OUT_OF_BAND.union(SendFlags::DONT_WAIT).union(SendFlags::END_OF_RECORD);
    const ABSTRACT_NAMES: bool = false;
    const DUAL_STACK: bool = false;
    const HARD_ERROR_HIDES_COUNT: bool = true;
    const STREAMS_DELIVER_NO_BYTES: bool = true;
    const PEEK_LEAVES_ERROR: bool = true;
    const FIRST_PART_WITH_DESCRIPTORS: Option<usize> = Some(16 << 10);
    const NULL_DEVICE: Option<libc::dev_t> = None;
    const CORK: c_int = Self::NUMBERS.TCP_NOPUSH;
    const DESTINATIONS_V4: &'static [c_int] = &[Self::NUMBERS.IP_RECVDSTADDR, Self::NUMBERS.IP_RECVIF];
    /// IP_SENDSRCADDR, which has the number of IP_RECVDSTADDR.
    const SOURCE_V4: (c_int, usize, usize) = (Self::NUMBERS.IP_RECVDSTADDR, 1, 0);
    /// udp_output() of udp_usrreq.c knows the source alone, and ip_savecontrol() of ip_input.c reports no class.
    const TRAFFIC_CLASS_V4: Option<c_int> = None;
    const TRAFFIC_CLASSES_V4: Option<c_int> = None;
    const HOP_LIMIT_V4: c_int = Self::NUMBERS.IP_RECVTTL;
    const SEGMENTS: Option<Segmentation> = None;
    const HAS_SENDFILE: bool = false;
    const SIGNALS_WITH_COUNT: bool = false;

    /// The kernel converts each descriptor of 4 bytes into two pointers of its own.
    fn room_for_descriptors(layout: ControlLayout, count: usize) -> Option<usize> {
        let header = layout.data_start();
        let pointers = if layout.alignment == 4 { 8 } else { 16 };
        Some(header + pointers / 4 * (layout.space_for_descriptors(count) - header))
    }

    fn socket_name_header(family: c_int, length: u8) -> [u8; 2] {
        [length, family as u8]
    }

    fn family_of_socket_name([_length, family]: [u8; 2]) -> c_int {
        c_int::from(family)
    }

    type Witness<'a> = dyn Witness + 'a;

    fn judge(failure: Failure, witness: &Self::Witness<'_>) -> Cause {
        verdict::judge(failure, witness)
    }
}

impl OpenBsd {
    /// Reads a `struct sockpeercred`.
    pub(in crate::platform) fn credentials([user, group, process]: [u32; 3]) -> PeerCredentials {
        PeerCredentials { user, group, process: Some(process) }
    }
}
