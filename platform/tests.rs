//! The parts of both kernels that make no system call, checked against the contract on any host.
//!
//! A case is named after its clause. The witnesses stand in for a socket: they answer as a kernel was seen to
//! answer in that state. A question that must not be asked panics.

use std::cell::Cell;
use std::collections::HashSet;
use std::ffi::c_int;
use std::fmt::Debug;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use proptest::prelude::*;
use rstest::rstest;

use super::Native;
use super::contract::{
    Destination, Errno, ErrorKind, MEANINGS, Operation, PeerCredentials, ReceiveFlags, Refusal, SendFlags,
    SocketKind,
};
use super::kernel::{
    Cause, ControlLayout, Failure, Family, FileKind, Kernel, RawErrno, RawFlags, SocketName, Status, Why,
    destination_in, hop_limit_in, segment_size_in, traffic_class_in,
};
use super::linux::{self, Linux, TcpInfo};
use super::openbsd::{self, OpenBsd};
use Errno::*;
use SocketKind::{Other, OtherStream, Tcp, UdpV4, UdpV6, UnixDatagram, UnixSeqpacket, UnixStream};

// Flags: clauses F1 to F4.

const LINUX_NOSIGNAL: c_int = 0x4000;
const OPENBSD_NOSIGNAL: c_int = 0x400;

/// The result for a single flag.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Becomes {
    Number(c_int),
    Dropped,
    Refused,
}
use Becomes::{Dropped, Number, Refused};

impl Becomes {
    fn of(raw: Option<RawFlags>, no_signal: c_int) -> Self {
        match raw.map(|flags| flags.0) {
            None => Refused,
            Some(number) if number == no_signal => Dropped,
            Some(number) => {
                assert_eq!(number & no_signal, no_signal, "MSG_NOSIGNAL is always set");
                Number(number & !no_signal)
            }
        }
    }
}

#[rstest]
#[case::f2_urgent_tcp(SendFlags::OUT_OF_BAND, &[Tcp], Number(1), Number(1))]
#[case::f2_urgent_udp(SendFlags::OUT_OF_BAND, &[UdpV4, UdpV6], Refused, Refused)]
#[case::f2_urgent_unix(
    SendFlags::OUT_OF_BAND, &[UnixStream, UnixDatagram, UnixSeqpacket], Refused, Refused
)]
#[case::f2_urgent_other(SendFlags::OUT_OF_BAND, &[Other], Number(1), Number(1))]
#[case::f2b_urgent_other_stream(SendFlags::OUT_OF_BAND, &[OtherStream], Refused, Refused)]
#[case::f1b_dont_route_udp_v4(SendFlags::DONT_ROUTE, &[UdpV4, Other], Number(4), Refused)]
#[case::f1d_dont_route_where_linux_ignores_it(
    SendFlags::DONT_ROUTE, &[Tcp, UdpV6, OtherStream], Refused, Refused
)]
#[case::f1b_dont_route_unix(
    SendFlags::DONT_ROUTE, &[UnixStream, UnixDatagram, UnixSeqpacket], Refused, Refused
)]
#[case::f1_dont_wait(SendFlags::DONT_WAIT, &SocketKind::ALL, Number(0x40), Number(0x80))]
#[case::f3_end_of_record_seqpacket(
    SendFlags::END_OF_RECORD, &[UnixSeqpacket, Other], Number(0x80), Number(8)
)]
#[case::f3_end_of_record_streams(
    SendFlags::END_OF_RECORD, &[Tcp, UnixStream, OtherStream], Refused, Refused
)]
#[case::f3_end_of_record_datagrams(
    SendFlags::END_OF_RECORD, &[UdpV4, UdpV6, UnixDatagram], Refused, Refused
)]
#[case::f4_more_tcp(SendFlags::MORE, &[Tcp, OtherStream], Number(0x8000), Dropped)]
#[case::f4_more_unix_stream(SendFlags::MORE, &[UnixStream], Dropped, Dropped)]
#[case::f4b_more_datagrams(SendFlags::MORE, &[UdpV4, UdpV6, UnixDatagram, Other], Refused, Refused)]
#[case::f4b_more_records(SendFlags::MORE, &[UnixSeqpacket], Refused, Refused)]
#[case::f4c_confirm_udp(
    SendFlags::CONFIRM, &[UdpV4, UdpV6, Other], Number(0x800), Dropped
)]
#[case::f4c_confirm_others(
    SendFlags::CONFIRM, &[Tcp, OtherStream, UnixStream, UnixDatagram, UnixSeqpacket], Dropped, Dropped
)]
#[case::f1_unknown_bit_of_linux_dont_wait(
    SendFlags::from_bits_retain(0x40), &SocketKind::ALL, Refused, Refused
)]
#[case::f1_unknown_bit_of_openbsd_dont_wait(
    SendFlags::from_bits_retain(0x80), &SocketKind::ALL, Refused, Refused
)]
#[case::f1_unknown_bits_with_a_known_one(
    SendFlags::from_bits_retain(0x84), &SocketKind::ALL, Refused, Refused
)]
#[case::f1_every_bit(SendFlags::from_bits_retain(0xff), &SocketKind::ALL, Refused, Refused)]
#[case::f1_no_flag(SendFlags::empty(), &SocketKind::ALL, Dropped, Dropped)]
fn a_flag_is_translated_dropped_or_refused(
    #[case] flag: SendFlags,
    #[case] kinds: &[SocketKind],
    #[case] on_linux: Becomes,
    #[case] on_openbsd: Becomes,
) {
    for &kind in kinds {
        let linux = Becomes::of(Linux::raw_flags(kind, flag), LINUX_NOSIGNAL);
        assert_eq!(linux, on_linux, "{kind:?} on Linux");
        let openbsd = Becomes::of(OpenBsd::raw_flags(kind, flag), OPENBSD_NOSIGNAL);
        assert_eq!(openbsd, on_openbsd, "{kind:?} on OpenBSD");
    }
}

/// Checks each set of the lowest 8 bits, and each higher bit together with all of these. A set is refused
/// exactly if one of its flags is refused, and is otherwise the sum of the results of its flags.
fn combinations_are_their_parts<K: Kernel>(no_signal: c_int) {
    for kind in SocketKind::ALL {
        for bits in (0..=0xff).chain((8..u32::BITS).map(|bit| 1 << bit | 0xff)) {
            let whole = K::raw_flags(kind, SendFlags::from_bits_retain(bits));
            let parts: Vec<_> = (0..u32::BITS)
                .map(|bit| bits & (1 << bit))
                .filter(|&bit| bit != 0)
                .map(|bit| K::raw_flags(kind, SendFlags::from_bits_retain(bit)))
                .collect();
            let sum = parts.iter().try_fold(no_signal, |sum, part| part.map(|flags| sum | flags.0));
            assert_eq!(whole.map(|flags| flags.0), sum, "{kind:?}, bits {bits:#x}");
        }
    }
}

#[test]
fn f1_a_combination_is_what_its_flags_are() {
    combinations_are_their_parts::<Linux>(LINUX_NOSIGNAL);
    combinations_are_their_parts::<OpenBsd>(OPENBSD_NOSIGNAL);
}

/// Why the crate has its own flags: the number of one kernel means another flag on the other kernel.
#[test]
fn f1_the_same_flags_have_other_numbers() {
    let on_linux = Linux::raw_flags(UnixSeqpacket, SendFlags::END_OF_RECORD).unwrap();
    let on_openbsd = OpenBsd::raw_flags(UnixSeqpacket, SendFlags::DONT_WAIT).unwrap();
    assert_eq!(on_linux.0 & !LINUX_NOSIGNAL, on_openbsd.0 & !OPENBSD_NOSIGNAL);
    assert_ne!(Linux::NUMBERS.MSG_NOSIGNAL, OpenBsd::NUMBERS.MSG_NOSIGNAL);
}

// Addresses: clause A6.

fn bytes_of<K: Kernel>(family: Family<'_>) -> Vec<u8> {
    SocketName::encode::<K>(family).as_bytes().to_vec()
}

/// On Linux the family takes two bytes, in the machine's order.
fn linux_header(family: u16) -> Vec<u8> {
    family.to_ne_bytes().to_vec()
}

#[test]
fn a6_ipv4_is_16_bytes() {
    let address = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 33), 0x1234);
    let rest = [0x12, 0x34, 192, 0, 2, 33, 0, 0, 0, 0, 0, 0, 0, 0];

    assert_eq!(bytes_of::<Linux>(Family::V4(address)), [&linux_header(2)[..], &rest].concat());
    assert_eq!(bytes_of::<OpenBsd>(Family::V4(address)), [&[16, 2][..], &rest].concat());
}

#[test]
fn a6_ipv6_is_28_bytes_with_flow_and_scope() {
    let host = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x0102, 0x0304, 0x0506, 0x0708);
    let address = SocketAddrV6::new(host, 0xabcd, 0x0001_0203, 7);
    // std's address holds the flow and the scope in the machine's order, and passes them to the kernel like
    // that.
    let mut rest = vec![0xab, 0xcd];
    rest.extend(0x0001_0203_u32.to_ne_bytes());
    rest.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    rest.extend(7_u32.to_ne_bytes());

    let linux = bytes_of::<Linux>(Family::V6(address));
    assert_eq!(linux.len(), 28);
    assert_eq!(linux, [&linux_header(10)[..], &rest].concat());
    assert_eq!(bytes_of::<OpenBsd>(Family::V6(address)), [&[28, 24][..], &rest].concat());
}

#[rstest]
#[case::a6_shortest(1)]
#[case::a6_one_less(102)]
#[case::a6_longest(103)]
fn a_unix_path_ends_in_one_nul(#[case] length: usize) {
    let path: Vec<u8> = (0..length).map(|at| b'a' + (at % 26) as u8).collect();
    let rest = [&path[..], &[0]].concat();

    assert_eq!(bytes_of::<Linux>(Family::UnixPath(&path)), [&linux_header(1)[..], &rest].concat());
    let openbsd = [&[length as u8 + 3, 1][..], &rest].concat();
    assert_eq!(bytes_of::<OpenBsd>(Family::UnixPath(&path)), openbsd);
}

#[rstest]
#[case::a6_empty(b"")]
#[case::a6_any_bytes(b"\0\xff\0name\0")]
#[case::a6_longest(&[0x80; 107])]
fn an_abstract_name_begins_with_a_nul_and_ends_where_it_ends(#[case] name: &[u8]) {
    let expected = [&linux_header(1)[..], &[0], name].concat();
    assert_eq!(bytes_of::<Linux>(Family::UnixAbstract(name)), expected);
}

/// The bytes of a longer address must not remain in a shorter one.
#[test]
fn a6_names_are_exact_whatever_was_encoded_before() {
    let long = SocketName::encode::<OpenBsd>(Family::UnixPath(&[b'x'; 103]));
    let short = SocketName::encode::<OpenBsd>(Family::UnixPath(b"y"));
    assert_eq!(long.as_bytes().len(), 106);
    assert_eq!(short.as_bytes(), [4, 1, b'y', 0]);
}

/// An encoded name can be decoded.
#[rstest]
#[case::v4(Family::V4(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 7), 0x1234)))]
#[case::v6(Family::V6(SocketAddrV6::new(
    Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, 6),
    0x1234,
    0x56789,
    0xabcd
)))]
#[case::path(Family::UnixPath(b"/tmp/a"))]
#[case::longest_path(Family::UnixPath(&[b'x'; 103]))]
#[case::abstract_name(Family::UnixAbstract(b"\0\xff\0name\0"))]
#[case::no_abstract_name(Family::UnixAbstract(b""))]
#[case::o2_shortest_of_bytes(Family::Other(&[77, 0]))]
#[case::o2_longest_of_bytes(Family::Other(&[77; 128]))]
fn a6_a_name_says_what_it_was_made_from(#[case] family: Family<'_>) {
    for name in [SocketName::encode::<Linux>(family), SocketName::encode::<OpenBsd>(family)] {
        let found = match family {
            Family::V4(_) => Family::V4(name.as_v4()),
            Family::V6(_) => Family::V6(name.as_v6()),
            Family::UnixPath(_) | Family::UnixAbstract(_) => name.as_unix(),
            Family::Other(_) => Family::Other(name.as_bytes()),
        };
        assert_eq!(found, family);
    }
}

// The names of senders: clauses N1 and N2.

#[rstest]
#[case::n1_ipv4(&[2], &[0x12, 0x34, 192, 0, 2, 33, 0, 0, 0, 0, 0, 0, 0, 0], Some(Family::V4(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 33), 0x1234))))]
#[case::n1_ipv4_in_part(&[2], &[0x12, 0x34, 192], None)]
#[case::n2_path(&[1], b"/tmp/ours\0", Some(Family::UnixPath(b"/tmp/ours")))]
#[case::n2_path_without_nul(&[1], b"/tmp/ours", Some(Family::UnixPath(b"/tmp/ours")))]
#[case::n2_path_with_padding(&[1], b"/tmp/ours\0\0\0\0", Some(Family::UnixPath(b"/tmp/ours")))]
#[case::n2_longest_path(&[1], &[b'x'; 108], Some(Family::UnixPath(&[b'x'; 108])))]
#[case::n2_longer_than_any(&[1], &[b'x'; 109], Some(Family::UnixPath(&[b'x'; 108])))]
#[case::n3_unnamed(&[1], b"", None)]
fn n1_the_name_of_a_sender(#[case] family: &[u8], #[case] rest: &[u8], #[case] expected: Option<Family<'_>>) {
    let linux = [&linux_header(u16::from(family[0]))[..], rest].concat();
    assert_eq!(SocketName::decode::<Linux>(&linux), expected);
    let openbsd = [&[rest.len() as u8 + 2, family[0]][..], rest].concat();
    assert_eq!(SocketName::decode::<OpenBsd>(&openbsd), expected);
}

/// The bytes of another family are kept whole, up to what can be sent to.
#[rstest]
#[case::o3_netlink(b"0123456789", 12)]
#[case::o3_header_alone(b"", 2)]
#[case::o3_longest(&[7; 126], 128)]
#[case::o3_too_long(&[7; 127], 128)]
fn a_sender_of_another_family_is_its_bytes(#[case] rest: &[u8], #[case] kept: usize) {
    let linux = [&linux_header(77)[..], rest].concat();
    assert_eq!(SocketName::decode::<Linux>(&linux), Some(Family::Other(&linux[..kept])));
    let openbsd = [&[rest.len() as u8 + 2, 77][..], rest].concat();
    assert_eq!(SocketName::decode::<OpenBsd>(&openbsd), Some(Family::Other(&openbsd[..kept])));
}

#[test]
fn n1_an_ipv6_sender_keeps_its_scope() {
    let host = Ipv6Addr::new(0xfe80, 0, 0, 0, 1, 2, 3, 4);
    let family = Family::V6(SocketAddrV6::new(host, 0xabcd, 5, 7));
    assert_eq!(SocketName::decode::<Linux>(&bytes_of::<Linux>(family)), Some(family));
    assert_eq!(SocketName::decode::<OpenBsd>(&bytes_of::<OpenBsd>(family)), Some(family));
    assert_eq!(SocketName::decode::<Linux>(&bytes_of::<Linux>(family)[..27]), None);
}

/// Only Linux has abstract names. OpenBSD fills what is unnamed with zeroes.
#[rstest]
#[case(b"\0name\0", Some(&b"name\0"[..]))]
#[case(b"\0", Some(&b""[..]))]
fn n3_an_abstract_or_unnamed_sender(#[case] rest: &[u8], #[case] name: Option<&[u8]>) {
    let linux = [&linux_header(1)[..], rest].concat();
    assert_eq!(SocketName::decode::<Linux>(&linux), name.map(Family::UnixAbstract));
    assert_eq!(SocketName::decode::<OpenBsd>(&[&[16, 1][..], rest].concat()), None);
}

#[rstest]
#[case::nothing(b"")]
#[case::half_a_header(b"\x02")]
fn n3_no_name_at_all(#[case] bytes: &[u8]) {
    assert_eq!(SocketName::decode::<Linux>(bytes), None);
    assert_eq!(SocketName::decode::<OpenBsd>(bytes), None);
}

/// A path that needs all of the room is sent to as it was reported.
#[test]
fn n2_the_longest_path_is_kept() {
    let family = Family::UnixPath(&[b'x'; 108]);
    let name = SocketName::encode::<Linux>(family);
    assert_eq!((name.as_bytes().len(), name.as_unix()), (110, family));
}

// Destinations: clause N4.

/// Returns control messages of these levels, types and data, in a kernel's layout.
fn control_of<K: Kernel>(messages: &[(i32, i32, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (level, kind, data) in messages {
        let length = K::CONTROL.length(data.len());
        match K::CONTROL.length_bytes {
            8 => bytes.extend((length as u64).to_ne_bytes()),
            _ => bytes.extend((length as u32).to_ne_bytes()),
        }
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(bytes.len() + K::CONTROL.data_start() - K::CONTROL.length_bytes - 8, 0);
        bytes.extend(data);
        bytes.resize(bytes.len() + K::CONTROL.space(data.len()) - length, 0);
    }
    bytes
}

#[test]
fn n4_the_destination_over_ipv4() {
    let asked = Destination { address: Ipv4Addr::new(192, 0, 2, 33).into(), interface: 7 };
    let of_host = [192, 0, 2, 1];
    let linux = [&7_u32.to_ne_bytes()[..], &of_host, &[192, 0, 2, 33]].concat();
    let linux = control_of::<Linux>(&[(1, 29, vec![0; 16]), (0, 8, linux)]);
    assert_eq!(destination_in::<Linux>(&linux), Some(asked));

    let interface = [&[8, 18][..], &7_u16.to_ne_bytes(), &[0; 4]].concat();
    let openbsd = [(0, 7, vec![192, 0, 2, 33]), (0, 30, interface)];
    let openbsd = control_of::<OpenBsd>(&openbsd);
    assert_eq!(destination_in::<OpenBsd>(&openbsd), Some(asked));
}

#[test]
fn n4_the_destination_over_ipv6() {
    let host = Ipv6Addr::new(0xfe80, 0, 0, 0, 1, 2, 3, 4);
    let asked = Destination { address: host.into(), interface: 0x0102_0304 };
    let data = [&host.octets()[..], &0x0102_0304_u32.to_ne_bytes()].concat();
    let linux = control_of::<Linux>(&[(41, 50, data.clone())]);
    assert_eq!(destination_in::<Linux>(&linux), Some(asked));
    let openbsd = control_of::<OpenBsd>(&[(41, 46, data)]);
    assert_eq!(destination_in::<OpenBsd>(&openbsd), Some(asked));
}

/// A message that is cut, or one of two, is no destination. So are a message with this number at another level, and
/// what is ancillary data of another kind.
#[rstest]
#[case::nothing(&[])]
#[case::cut(&[(0, 8, vec![0; 11]), (0, 7, vec![1; 3])])]
#[case::address_without_interface(&[(0, 7, vec![1; 4])])]
#[case::interface_without_address(&[(0, 30, vec![1; 8])])]
#[case::ipv6_cut(&[(41, 50, vec![1; 19]), (41, 46, vec![1; 19])])]
#[case::another_level(&[(1, 8, vec![1; 12]), (1, 50, vec![1; 20]), (1, 46, vec![1; 20])])]
fn n4_what_is_no_destination(#[case] messages: &[(i32, i32, Vec<u8>)]) {
    let linux = control_of::<Linux>(messages);
    assert_eq!(destination_in::<Linux>(&linux), None);
    let openbsd = control_of::<OpenBsd>(messages);
    assert_eq!(destination_in::<OpenBsd>(&openbsd), None);
}

// Single values of headers: clauses N6 to N8, D9 and D12.

fn values_of<K: Kernel>(messages: &[(i32, i32, Vec<u8>)]) -> [Option<usize>; 3] {
    let bytes = control_of::<K>(messages);
    let (class, limit) = (traffic_class_in::<K>(&bytes), hop_limit_in::<K>(&bytes));
    [class.map(usize::from), limit.map(usize::from), segment_size_in::<K>(&bytes)]
}

/// Linux reports the class over IPv4 as a byte, and OpenBSD the hop limit. A value is found behind other messages.
#[test]
fn n7_n8_d12_each_kernel_has_its_messages() {
    let int = |value: c_int| value.to_ne_bytes().to_vec();
    let other = || (1, 29, vec![0; 16]);
    let linux_v4 = [other(), (0, 1, vec![186]), (0, 2, int(64)), (17, 104, int(1200))];
    assert_eq!(values_of::<Linux>(&linux_v4), [Some(186), Some(64), Some(1200)]);
    let linux_v6 = [(41, 67, int(186)), other(), (41, 52, int(255))];
    assert_eq!(values_of::<Linux>(&linux_v6), [Some(186), Some(255), None]);
    let openbsd_v4 = [other(), (0, 31, vec![64]), (17, 104, int(1200))];
    assert_eq!(values_of::<OpenBsd>(&openbsd_v4), [None, Some(64), None]);
    let openbsd_v6 = [(41, 61, int(186)), (41, 47, int(1))];
    assert_eq!(values_of::<OpenBsd>(&openbsd_v6), [Some(186), Some(1), None]);
}

#[rstest]
#[case::nothing(&[])]
#[case::empty(&[(0, 1, vec![]), (0, 31, vec![]), (41, 67, vec![]), (41, 61, vec![])])]
#[case::another_level(&[(1, 1, vec![1; 4]), (1, 2, vec![1; 4]), (1, 31, vec![1]), (0, 104, vec![1; 4])])]
#[case::no_size(&[(17, 104, vec![0; 4])])]
#[case::negative_size(&[(17, 104, vec![255; 4])])]
fn n7_n8_d12_what_is_no_value(#[case] messages: &[(i32, i32, Vec<u8>)]) {
    assert_eq!(values_of::<Linux>(messages), [None; 3]);
    assert_eq!(values_of::<OpenBsd>(messages), [None; 3]);
}

/// A dual-stack socket has a message for each protocol, and OpenBSD has none over IPv4.
#[test]
fn n6_the_traffic_class_is_given_for_the_protocol() {
    let messages = |linux, is_v6| match linux {
        true => Linux::traffic_class_messages(is_v6).collect::<Vec<_>>(),
        false => OpenBsd::traffic_class_messages(is_v6).collect(),
    };
    assert_eq!(messages(true, true), [(41, 67), (0, 1)]);
    assert_eq!(messages(true, false), [(0, 1)]);
    assert_eq!(messages(false, true), [(41, 61)]);
    assert_eq!(messages(false, false), []);
}

/// Which errors mean that a buffer is to be divided here, and which of them can be the size's.
#[test]
fn d11_what_a_kernel_says_that_divides_nothing() {
    for &errno in [EINVAL, EMSGSIZE, EIO, ECONNREFUSED, EAGAIN, ENETUNREACH].iter() {
        let errno_of = Linux::raw_errno(errno);
        assert_eq!(
            Linux::is_refused_segment(errno_of),
            matches!(errno, EINVAL | EMSGSIZE | EIO),
            "{errno:?}"
        );
        assert_eq!(Linux::is_refused_size(errno_of), matches!(errno, EINVAL | EMSGSIZE), "{errno:?}");
    }
}

/// Which errors of a batch can be an earlier datagram's, although they seem to be of this one.
#[test]
fn d4_what_a_report_of_the_path_looks_like() {
    for &errno in [EINVAL, EMSGSIZE, EIO, ECONNREFUSED, EAGAIN, ENETUNREACH].iter() {
        let expected = errno == EMSGSIZE;
        assert_eq!(Linux::may_be_of_an_earlier_one(Linux::raw_errno(errno)), expected, "{errno:?}");
        assert_eq!(OpenBsd::may_be_of_an_earlier_one(OpenBsd::raw_errno(errno)), expected, "{errno:?}");
    }
}

proptest! {
    /// Whatever bytes a kernel writes, reading them ends and does not panic.
    #[test]
    fn arbitrary_bytes_are_read_on_both_kernels(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _linux = (SocketName::decode::<Linux>(&bytes), destination_in::<Linux>(&bytes));
        let _openbsd = (SocketName::decode::<OpenBsd>(&bytes), destination_in::<OpenBsd>(&bytes));
        let _values = (traffic_class_in::<Linux>(&bytes), hop_limit_in::<Linux>(&bytes), segment_size_in::<Linux>(&bytes));
        let _values = (traffic_class_in::<OpenBsd>(&bytes), hop_limit_in::<OpenBsd>(&bytes));
    }

    /// Messages of the numbers that are understood, with data of any length, cut anywhere.
    #[test]
    fn nearly_right_messages_are_read_on_both_kernels(
        messages in prop::collection::vec(
            (prop::sample::select(&[0, 1, 17, 41][..]), 0..110_i32, prop::collection::vec(any::<u8>(), 0..24)),
            0..6,
        ),
        cut in 0..400_usize,
    ) {
        let linux = control_of::<Linux>(&messages);
        let linux = &linux[..cut.min(linux.len())];
        let _linux = (destination_in::<Linux>(linux), traffic_class_in::<Linux>(linux), segment_size_in::<Linux>(linux));
        let openbsd = control_of::<OpenBsd>(&messages);
        let openbsd = &openbsd[..cut.min(openbsd.len())];
        let _openbsd = (destination_in::<OpenBsd>(openbsd), hop_limit_in::<OpenBsd>(openbsd));
    }

    /// A name that is decoded is one that can be encoded to the same.
    #[test]
    fn a_decoded_name_is_encoded_to_the_same(
        header in prop::sample::select(&[[1_u8, 0], [2, 0], [10, 0]][..]),
        rest in prop::collection::vec(any::<u8>(), 0..112),
    ) {
        let header = u16::from_le_bytes(header).to_ne_bytes();
        let bytes = [&header[..], &rest].concat();
        if let Some(family) = SocketName::decode::<Linux>(&bytes) {
            let encoded = SocketName::encode::<Linux>(family);
            prop_assert_eq!(SocketName::decode::<Linux>(encoded.as_bytes()), Some(family));
        }
    }
}

// Sources: clause N5.

#[test]
fn n5_the_source_over_ipv4() {
    let source = Ipv4Addr::new(192, 0, 2, 33);
    let word = i32::from_ne_bytes([192, 0, 2, 33]);
    assert_eq!(Linux::source_message(source.into()), ((0, 8), [0, word, 0, 0, 0], 3));
    assert_eq!(OpenBsd::source_message(source.into()), ((0, 7), [word, 0, 0, 0, 0], 1));
}

#[test]
fn n5_the_source_over_ipv6() {
    let source = Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, 6);
    let octets = source.octets();
    let word = |at: usize| i32::from_ne_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
    let words = [word(0), word(4), word(8), word(12), 0];
    assert_eq!(Linux::source_message(source.into()), ((41, 50), words, 5));
    assert_eq!(OpenBsd::source_message(source.into()), ((41, 46), words, 5));
}

// Errnos.

fn errnos_are_told_apart<K: Kernel>() {
    let names: HashSet<_> = K::ERRNOS.iter().map(|row| row.0).collect();
    let numbers: HashSet<_> = K::ERRNOS.iter().map(|row| row.1).collect();
    assert_eq!(names.len(), K::ERRNOS.len(), "a name stands twice");
    assert_eq!(numbers.len(), K::ERRNOS.len(), "a number stands twice");
    for &(name, number) in K::ERRNOS {
        assert_eq!(K::errno_name(RawErrno::from_number(number)), Some(name));
        assert_eq!(K::raw_errno(name).number(), number);
    }
    for unknown in [0, -1, 10_000, c_int::MAX] {
        assert_eq!(K::errno_name(RawErrno::from_number(unknown)), None);
        assert_eq!(K::plain_meaning(RawErrno::from_number(unknown)), ErrorKind::Other);
    }
}

#[test]
fn errnos_have_one_name_and_one_number() {
    errnos_are_told_apart::<Linux>();
    errnos_are_told_apart::<OpenBsd>();
}

#[rstest]
#[case(EPERM, 1, 1)]
#[case(ENOENT, 2, 2)]
#[case(EINTR, 4, 4)]
#[case(EIO, 5, 5)]
#[case(EBADF, 9, 9)]
#[case(EAGAIN, 11, 35)]
#[case(ENOMEM, 12, 12)]
#[case(EACCES, 13, 13)]
#[case(EFAULT, 14, 14)]
#[case(ENOTDIR, 20, 20)]
#[case(EINVAL, 22, 22)]
#[case(EMFILE, 24, 24)]
#[case(ESPIPE, 29, 29)]
#[case(EPIPE, 32, 32)]
#[case(ENOSYS, 38, 78)]
#[case(EOVERFLOW, 75, 87)]
#[case(ENOTSOCK, 88, 38)]
#[case(EDESTADDRREQ, 89, 39)]
#[case(EMSGSIZE, 90, 40)]
#[case(EPROTOTYPE, 91, 41)]
#[case(ENOPROTOOPT, 92, 42)]
#[case(EOPNOTSUPP, 95, 45)]
#[case(EAFNOSUPPORT, 97, 47)]
#[case(EADDRNOTAVAIL, 99, 49)]
#[case(ENETDOWN, 100, 50)]
#[case(ENETUNREACH, 101, 51)]
#[case(ENETRESET, 102, 52)]
#[case(ECONNABORTED, 103, 53)]
#[case(ECONNRESET, 104, 54)]
#[case(ENOBUFS, 105, 55)]
#[case(EISCONN, 106, 56)]
#[case(ENOTCONN, 107, 57)]
#[case(ETOOMANYREFS, 109, 59)]
#[case(ETIMEDOUT, 110, 60)]
#[case(ECONNREFUSED, 111, 61)]
#[case(ELOOP, 40, 62)]
#[case(ENAMETOOLONG, 36, 63)]
#[case(EHOSTDOWN, 112, 64)]
#[case(EHOSTUNREACH, 113, 65)]
fn an_errno_has_these_numbers(#[case] name: Errno, #[case] on_linux: c_int, #[case] on_openbsd: c_int) {
    assert_eq!(Linux::raw_errno(name).number(), on_linux);
    assert_eq!(OpenBsd::raw_errno(name).number(), on_openbsd);
}

/// Otherwise a user of one system could see a canonical errno that has no number on the other system.
#[test]
fn every_errno_of_a_meaning_has_a_number_on_both() {
    let names = |rows: &[(Errno, c_int)]| rows.iter().map(|row| row.0).collect::<HashSet<_>>();
    let (on_linux, on_openbsd) = (names(Linux::ERRNOS), names(OpenBsd::ERRNOS));
    for row in MEANINGS {
        assert!(on_linux.contains(&row.canonical) && on_openbsd.contains(&row.canonical), "{:?}", row.kind);
        for errno in row.errnos {
            assert!(on_linux.contains(errno), "{errno:?} on Linux");
            assert!(on_openbsd.contains(errno) || *errno == ERESTARTSYS, "{errno:?} on OpenBSD");
        }
    }
    assert!(!on_openbsd.contains(&ERESTARTSYS));
}

/// Otherwise a kernel would know an errno only to call it `Other`.
#[test]
fn every_known_errno_has_one_meaning() {
    let known: HashSet<_> = Linux::ERRNOS.iter().chain(OpenBsd::ERRNOS).map(|row| row.0).collect();
    let meant: Vec<_> = MEANINGS.iter().flat_map(|row| row.errnos).copied().collect();
    assert_eq!(meant.iter().copied().collect::<HashSet<_>>(), known);
    assert_eq!(meant.len(), known.len(), "an errno has two meanings");
}

/// If a kind has errnos, its canonical errno is one of them, so a round trip returns the same kind.
/// `Connecting` is a "would block" for callers that do not know the kind (S3). `TooManyOpenFiles` has the errno that
/// everybody knows, which means it where a descriptor is made (K8).
#[test]
fn a_canonical_errno_means_its_kind() {
    let rows = MEANINGS.iter().filter(|row| !row.errnos.is_empty());
    for row in rows {
        match row.kind {
            ErrorKind::Connecting => assert_eq!(ErrorKind::of(row.canonical), ErrorKind::WouldBlock),
            ErrorKind::TooManyOpenFiles => {
                let errno = Native::raw_errno(row.canonical);
                assert_eq!(Native::meaning_for_new_descriptor(errno), row.kind);
            }
            kind => assert_eq!(ErrorKind::of(row.canonical), kind),
        }
    }
}

#[test]
fn every_kind_but_other_has_one_row_in_order() {
    let (other, named) = ErrorKind::ALL.split_last().unwrap();
    assert_eq!(*other, ErrorKind::Other);
    assert_eq!(MEANINGS.iter().map(|row| row.kind).collect::<Vec<_>>(), named);
    assert_eq!(ErrorKind::Other.canonical(), None);
}

/// Returns the rows of the contract's table of errors, cell by cell.
fn rows_of_the_contract() -> Vec<Vec<&'static str>> {
    let contract = include_str!("../docs/contract.md");
    let table = contract.split_once("| kind | canonical errno |").expect("the table").1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn the_contract_has_this_table() {
    let mut rows = rows_of_the_contract();
    let last = rows.pop().expect("a row for Other");
    assert_eq!(last[0], "`Other`");
    assert_eq!(rows.len(), MEANINGS.len());
    for (row, meaning) in rows.iter().zip(MEANINGS) {
        let (linux, openbsd) =
            (Linux::raw_errno(meaning.canonical).number(), OpenBsd::raw_errno(meaning.canonical).number());
        let errnos = meaning.errnos.iter().map(|errno| format!("{errno:?}"));
        let errnos = errnos.map(|name| name.replace("ERESTARTSYS", "512 (Linux)")).collect::<Vec<_>>();
        assert_eq!(row[0], format!("`{:?}`", meaning.kind));
        assert_eq!(row[1], format!("{:?}", meaning.canonical), "{}", row[0]);
        assert_eq!((row[2], row[3]), (&*linux.to_string(), &*openbsd.to_string()), "{}", row[0]);
        let std_kind = io::Error::from_raw_os_error(Native::raw_errno(meaning.canonical).number()).kind();
        assert_eq!(row[4], format!("{std_kind:?}"), "{}", row[0]);
        if !errnos.is_empty() {
            assert_eq!(row[5], errnos.join(", "), "{}", row[0]);
        }
    }
}

fn in_order_of_discriminants<T: Copy + Debug>(all: &[T], discriminant: impl Fn(T) -> u8) {
    for (at, &item) in all.iter().enumerate() {
        assert_eq!(usize::from(discriminant(item)), at, "{item:?}");
    }
}

/// An error is unpacked by an index into these lists.
#[test]
fn the_lists_of_all_are_in_order() {
    in_order_of_discriminants(ErrorKind::ALL, |kind| kind as u8);
    in_order_of_discriminants(Operation::ALL, |operation| operation as u8);
    in_order_of_discriminants(Refusal::ALL, |refusal| refusal as u8);
    in_order_of_discriminants(&SocketKind::ALL, |kind| kind as u8);
    assert_eq!(Operation::ALL.last(), Some(&Operation::SendAllVectored));
    assert_eq!(Refusal::ALL.last(), Some(&Refusal::AbstractNameTooLong));
}

/// Each refusal says what to do instead, so no two texts are the same.
#[test]
fn every_refusal_has_words_of_its_own() {
    let texts: HashSet<_> = Refusal::ALL.iter().map(|refusal| refusal.text()).collect();
    assert_eq!(texts.len(), Refusal::ALL.len());
    assert!(texts.iter().all(|text| text.len() > 20 && !text.ends_with('.')));
}

// Verdicts.

/// Linux's answers in a given state.
enum LinuxSocket {
    TcpInfo(u8, Option<u64>),
    TcpInfoFails,
    HasPeer,
    Segments(bool),
    MustNotBeAsked,
}

impl linux::Witness for LinuxSocket {
    fn has_segments(&self) -> bool {
        match *self {
            Self::Segments(are_set) => are_set,
            _ => panic!("asked for segments without need"),
        }
    }

    fn has_peer(&self) -> bool {
        match *self {
            Self::TcpInfo(state, _) => !matches!(state, STATE_SYN_SENT | STATE_CLOSE | STATE_LISTEN),
            Self::TcpInfoFails => false,
            Self::HasPeer => true,
            Self::Segments(_) | Self::MustNotBeAsked => panic!("asked for the peer without need"),
        }
    }

    fn tcp_info(&self) -> Option<TcpInfo> {
        match *self {
            Self::TcpInfo(state, segments) => Some(TcpInfo { state, segments }),
            Self::TcpInfoFails => None,
            Self::HasPeer | Self::Segments(_) | Self::MustNotBeAsked => {
                panic!("asked for TCP_INFO without need")
            }
        }
    }
}

/// OpenBSD's answers in a given state. A question that is not expected panics.
enum OpenBsdSocket {
    Pending(Cell<Option<RawErrno>>),
    Peek(Result<usize, Errno>),
    MustNotBeAsked,
}

impl OpenBsdSocket {
    fn pending(errno: Option<Errno>) -> Self {
        Self::Pending(Cell::new(errno.map(OpenBsd::raw_errno)))
    }
}

impl openbsd::Witness for OpenBsdSocket {
    fn pending_error(&self) -> Option<RawErrno> {
        match self {
            Self::Pending(errno) => errno.take(),
            _ => panic!("asked for SO_ERROR, which takes it away, without need"),
        }
    }

    fn peek(&self) -> Result<usize, RawErrno> {
        match *self {
            Self::Peek(answer) => answer.map_err(OpenBsd::raw_errno),
            _ => panic!("peeked without need"),
        }
    }
}

fn failure<K: Kernel>(kind: SocketKind, operation: Operation, errno: Errno) -> Failure {
    Failure { errno: K::raw_errno(errno), kind, operation }
}

const STATE_ESTABLISHED: u8 = 1;
const STATE_SYN_SENT: u8 = 2;
const STATE_SYN_RECEIVED: u8 = 3;
const STATE_CLOSE: u8 = 7;
const STATE_CLOSE_WAIT: u8 = 8;
const STATE_LISTEN: u8 = 10;

#[rstest]
#[case::s1_never_connected(Tcp, EPIPE, LinuxSocket::TcpInfo(STATE_CLOSE, Some(0)), ErrorKind::NotConnected)]
#[case::s2_listening(Tcp, EPIPE, LinuxSocket::TcpInfo(STATE_LISTEN, Some(0)), ErrorKind::NotConnected)]
#[case::s2_listening_with_a_past(
    Tcp,
    EPIPE,
    LinuxSocket::TcpInfo(STATE_LISTEN, Some(9)),
    ErrorKind::NotConnected
)]
#[case::s2_listening_before_4_2(
    Tcp,
    EPIPE,
    LinuxSocket::TcpInfo(STATE_LISTEN, None),
    ErrorKind::NotConnected
)]
#[case::s1_before_4_2_cannot_be_told(
    Tcp,
    EPIPE,
    LinuxSocket::TcpInfo(STATE_CLOSE, None),
    ErrorKind::Disconnected
)]
#[case::s1_tcp_info_fails(Tcp, EPIPE, LinuxSocket::TcpInfoFails, ErrorKind::Disconnected)]
#[case::s3_connecting(Tcp, EAGAIN, LinuxSocket::TcpInfo(STATE_SYN_SENT, Some(1)), ErrorKind::Connecting)]
#[case::s3_connecting_from_both_ends_has_a_peer(
    Tcp,
    EAGAIN,
    LinuxSocket::TcpInfo(STATE_SYN_RECEIVED, Some(2)),
    ErrorKind::WouldBlock
)]
#[case::s3_reset_before_the_question(
    Tcp,
    EAGAIN,
    LinuxSocket::TcpInfo(STATE_CLOSE, Some(9)),
    ErrorKind::WouldBlock
)]
#[case::s3c_fast_open(Tcp, EINPROGRESS, LinuxSocket::MustNotBeAsked, ErrorKind::Connecting)]
#[case::s3c_fast_open_again(Tcp, EALREADY, LinuxSocket::MustNotBeAsked, ErrorKind::Connecting)]
#[case::b5_full_is_told_by_one_question(Tcp, EAGAIN, LinuxSocket::HasPeer, ErrorKind::WouldBlock)]
#[case::s8_dead_where_segments_are_not_counted(
    Tcp,
    EPIPE,
    LinuxSocket::TcpInfo(STATE_CLOSE_WAIT, Some(0)),
    ErrorKind::Disconnected
)]
#[case::i8b_blackhole_route(UdpV4, EINVAL, LinuxSocket::Segments(false), ErrorKind::Unreachable)]
#[case::i8b_too_many_segments(UdpV4, EINVAL, LinuxSocket::Segments(true), ErrorKind::InvalidInput)]
#[case::i8b_blackhole_route_v6(UdpV6, EINVAL, LinuxSocket::Segments(false), ErrorKind::Unreachable)]
#[case::s3_connecting_before_4_2(
    Tcp,
    EAGAIN,
    LinuxSocket::TcpInfo(STATE_SYN_SENT, None),
    ErrorKind::Connecting
)]
#[case::b5_full(Tcp, EAGAIN, LinuxSocket::TcpInfo(STATE_ESTABLISHED, Some(50)), ErrorKind::WouldBlock)]
#[case::b5_full_and_half_closed(
    Tcp,
    EAGAIN,
    LinuxSocket::TcpInfo(STATE_CLOSE_WAIT, Some(50)),
    ErrorKind::WouldBlock
)]
#[case::b5_tcp_info_fails(Tcp, EAGAIN, LinuxSocket::TcpInfoFails, ErrorKind::WouldBlock)]
#[case::s5_refused(Tcp, ECONNREFUSED, LinuxSocket::MustNotBeAsked, ErrorKind::Refused)]
#[case::s5_refused_and_told_so(
    Tcp,
    EPIPE,
    LinuxSocket::TcpInfo(STATE_CLOSE, Some(2)),
    ErrorKind::Disconnected
)]
#[case::s7_own_shutdown(
    Tcp,
    EPIPE,
    LinuxSocket::TcpInfo(STATE_ESTABLISHED, Some(3)),
    ErrorKind::Disconnected
)]
#[case::s8_reset(Tcp, ECONNRESET, LinuxSocket::MustNotBeAsked, ErrorKind::Reset)]
#[case::s8_reset_before_any_send(
    Tcp,
    EPIPE,
    LinuxSocket::TcpInfo(STATE_CLOSE, Some(3)),
    ErrorKind::Disconnected
)]
#[case::s9_end_then_reset(Tcp, EPIPE, LinuxSocket::TcpInfo(STATE_CLOSE, Some(7)), ErrorKind::Disconnected)]
#[case::s12_unix_never_connected(UnixStream, ENOTCONN, LinuxSocket::MustNotBeAsked, ErrorKind::NotConnected)]
#[case::s12_seqpacket_never_connected(
    UnixSeqpacket,
    ENOTCONN,
    LinuxSocket::MustNotBeAsked,
    ErrorKind::NotConnected
)]
#[case::s13_unix_peer_gone(UnixStream, EPIPE, LinuxSocket::MustNotBeAsked, ErrorKind::Disconnected)]
#[case::s14_seqpacket_peer_gone(UnixSeqpacket, EPIPE, LinuxSocket::MustNotBeAsked, ErrorKind::Disconnected)]
#[case::s14_seqpacket_with_unread_data(
    UnixSeqpacket,
    ECONNRESET,
    LinuxSocket::MustNotBeAsked,
    ErrorKind::Reset
)]
#[case::s16_unix_datagram_without_peer(
    UnixDatagram,
    ENOTCONN,
    LinuxSocket::MustNotBeAsked,
    ErrorKind::DestinationRequired
)]
#[case::s17_unix_datagram_receiver_closed(
    UnixDatagram,
    ECONNREFUSED,
    LinuxSocket::MustNotBeAsked,
    ErrorKind::Reset
)]
#[case::s18_udp_without_peer(
    UdpV4,
    EDESTADDRREQ,
    LinuxSocket::MustNotBeAsked,
    ErrorKind::DestinationRequired
)]
#[case::s19_udp_refused(UdpV4, ECONNREFUSED, LinuxSocket::MustNotBeAsked, ErrorKind::Refused)]
#[case::s20_udp_own_shutdown(UdpV6, EPIPE, LinuxSocket::MustNotBeAsked, ErrorKind::Disconnected)]
#[case::s20_unix_datagram_own_shutdown(
    UnixDatagram,
    EPIPE,
    LinuxSocket::MustNotBeAsked,
    ErrorKind::Disconnected
)]
#[case::s20_seqpacket_own_shutdown(
    UnixSeqpacket,
    EPIPE,
    LinuxSocket::MustNotBeAsked,
    ErrorKind::Disconnected
)]
#[case::b3_unix_datagram_full(UnixDatagram, EAGAIN, LinuxSocket::MustNotBeAsked, ErrorKind::WouldBlock)]
#[case::i8_no_way(UdpV4, EHOSTUNREACH, LinuxSocket::MustNotBeAsked, ErrorKind::Unreachable)]
#[case::i8_no_route(UdpV6, ENETUNREACH, LinuxSocket::MustNotBeAsked, ErrorKind::Unreachable)]
#[case::i8_no_address_of_ones_own(
    UdpV4,
    EADDRNOTAVAIL,
    LinuxSocket::MustNotBeAsked,
    ErrorKind::AddressNotAvailable
)]
#[case::s1_other_is_not_reconciled(Other, EPIPE, LinuxSocket::MustNotBeAsked, ErrorKind::Disconnected)]
#[case::s3_other_is_not_reconciled(Other, EAGAIN, LinuxSocket::MustNotBeAsked, ErrorKind::WouldBlock)]
#[case::s16_other_is_not_reconciled(Other, ENOTCONN, LinuxSocket::MustNotBeAsked, ErrorKind::NotConnected)]
#[case::m1b_a_leftover_restart(Tcp, ERESTARTSYS, LinuxSocket::MustNotBeAsked, ErrorKind::Interrupted)]
fn linux_means(
    #[case] kind: SocketKind,
    #[case] errno: Errno,
    #[case] socket: LinuxSocket,
    #[case] meant: ErrorKind,
) {
    let failure = failure::<Linux>(kind, Operation::Send, errno);
    assert_eq!(Linux::judge(failure, &socket), Cause { kind: meant, errno: failure.errno });
}

#[rstest]
#[case::s1_never_connected(Tcp, ENOTCONN, OpenBsdSocket::Peek(Err(ENOTCONN)), ErrorKind::NotConnected)]
#[case::s1_shut_down_for_receiving(Tcp, ENOTCONN, OpenBsdSocket::Peek(Ok(0)), ErrorKind::NotConnected)]
#[case::s1_then_shut_down(Tcp, EPIPE, OpenBsdSocket::pending(None), ErrorKind::Disconnected)]
#[case::s3_connecting(Tcp, ENOTCONN, OpenBsdSocket::Peek(Err(EAGAIN)), ErrorKind::Connecting)]
#[case::s3_just_connected_and_data_is_there(Tcp, ENOTCONN, OpenBsdSocket::Peek(Ok(1)), ErrorKind::Connecting)]
#[case::s3_the_question_fails(Tcp, ENOTCONN, OpenBsdSocket::Peek(Err(ENOMEM)), ErrorKind::NotConnected)]
#[case::b5_full(Tcp, EAGAIN, OpenBsdSocket::MustNotBeAsked, ErrorKind::WouldBlock)]
#[case::s7_own_shutdown(Tcp, EPIPE, OpenBsdSocket::pending(None), ErrorKind::Disconnected)]
#[case::s12_unix_never_connected(
    UnixStream,
    ENOTCONN,
    OpenBsdSocket::MustNotBeAsked,
    ErrorKind::NotConnected
)]
#[case::s12_seqpacket_never_connected(
    UnixSeqpacket,
    ENOTCONN,
    OpenBsdSocket::MustNotBeAsked,
    ErrorKind::NotConnected
)]
#[case::s13_unix_peer_gone(UnixStream, EPIPE, OpenBsdSocket::MustNotBeAsked, ErrorKind::Disconnected)]
#[case::s14_seqpacket_peer_gone(UnixSeqpacket, EPIPE, OpenBsdSocket::MustNotBeAsked, ErrorKind::Disconnected)]
#[case::s16_unix_datagram_without_peer(
    UnixDatagram,
    EDESTADDRREQ,
    OpenBsdSocket::MustNotBeAsked,
    ErrorKind::DestinationRequired
)]
#[case::s17_unix_datagram_receiver_closed(
    UnixDatagram,
    ECONNRESET,
    OpenBsdSocket::MustNotBeAsked,
    ErrorKind::Reset
)]
#[case::s19_udp_refused(UdpV4, ECONNREFUSED, OpenBsdSocket::MustNotBeAsked, ErrorKind::Refused)]
#[case::s20_udp_own_shutdown(UdpV6, EPIPE, OpenBsdSocket::MustNotBeAsked, ErrorKind::Disconnected)]
#[case::s20_unix_datagram_own_shutdown(
    UnixDatagram,
    EPIPE,
    OpenBsdSocket::MustNotBeAsked,
    ErrorKind::Disconnected
)]
#[case::b3_unix_datagram_full(UnixDatagram, ENOBUFS, OpenBsdSocket::MustNotBeAsked, ErrorKind::WouldBlock)]
#[case::b4_udp_out_of_buffers(UdpV4, ENOBUFS, OpenBsdSocket::MustNotBeAsked, ErrorKind::NoBufferSpace)]
#[case::b4_tcp_out_of_buffers(Tcp, ENOBUFS, OpenBsdSocket::MustNotBeAsked, ErrorKind::NoBufferSpace)]
#[case::i8_no_route_v4(UdpV4, EADDRNOTAVAIL, OpenBsdSocket::MustNotBeAsked, ErrorKind::Unreachable)]
#[case::i8_no_route_v6(UdpV6, EADDRNOTAVAIL, OpenBsdSocket::MustNotBeAsked, ErrorKind::Unreachable)]
#[case::i8_tcp_is_bound_already(
    Tcp,
    EADDRNOTAVAIL,
    OpenBsdSocket::MustNotBeAsked,
    ErrorKind::AddressNotAvailable
)]
#[case::i8_link_is_silent(UdpV4, EHOSTDOWN, OpenBsdSocket::MustNotBeAsked, ErrorKind::Unreachable)]
#[case::a4_socket_has_a_peer(UdpV4, EISCONN, OpenBsdSocket::MustNotBeAsked, ErrorKind::AlreadyConnected)]
#[case::s8_other_is_not_reconciled(Other, EPIPE, OpenBsdSocket::MustNotBeAsked, ErrorKind::Disconnected)]
#[case::s3_other_is_not_reconciled(Other, ENOTCONN, OpenBsdSocket::MustNotBeAsked, ErrorKind::NotConnected)]
#[case::b3_other_is_not_reconciled(Other, ENOBUFS, OpenBsdSocket::MustNotBeAsked, ErrorKind::NoBufferSpace)]
fn openbsd_means(
    #[case] kind: SocketKind,
    #[case] errno: Errno,
    #[case] socket: OpenBsdSocket,
    #[case] meant: ErrorKind,
) {
    let failure = failure::<OpenBsd>(kind, Operation::Send, errno);
    assert_eq!(OpenBsd::judge(failure, &socket), Cause { kind: meant, errno: failure.errno });
}

/// What the errnos of connect(2) mean on each kernel, and what a send says with the same ones.
#[rstest]
#[case::k5_full_queue_of_linux(EAGAIN, ErrorKind::Refused, ErrorKind::WouldBlock, ErrorKind::WouldBlock)]
#[case::k3_not_a_socket_on_openbsd(ENOTSOCK, ErrorKind::NotSocket, ErrorKind::Refused, ErrorKind::NotSocket)]
#[case::out_of_buffers(ENOBUFS, ErrorKind::NoBufferSpace, ErrorKind::NoBufferSpace, ErrorKind::NoBufferSpace)]
#[case::k3_nobody_listens(ECONNREFUSED, ErrorKind::Refused, ErrorKind::Refused, ErrorKind::Refused)]
fn connecting_a_seqpacket_socket(
    #[case] errno: Errno,
    #[case] on_linux: ErrorKind,
    #[case] on_openbsd: ErrorKind,
    #[case] sending_on_linux: ErrorKind,
) {
    let linux = |operation| {
        Linux::judge(failure::<Linux>(UnixSeqpacket, operation, errno), &LinuxSocket::MustNotBeAsked).kind
    };
    let failure = failure::<OpenBsd>(UnixSeqpacket, Operation::Connect, errno);
    assert_eq!(linux(Operation::Connect), on_linux);
    assert_eq!(OpenBsd::judge(failure, &OpenBsdSocket::MustNotBeAsked).kind, on_openbsd);
    assert_eq!(linux(Operation::Send), sending_on_linux);
}

/// A send on TCP can return the last error of a connection and also leave it pending. The pending error is
/// cleared, once. Other sockets, and receiving, ask nothing.
#[rstest]
#[case::s8_reset(ECONNRESET, ErrorKind::Reset)]
#[case::s5_refused(ECONNREFUSED, ErrorKind::Refused)]
#[case::gave_up(ETIMEDOUT, ErrorKind::TimedOut)]
#[case::aborted(ECONNABORTED, ErrorKind::Aborted)]
#[case::i8_no_way(EHOSTUNREACH, ErrorKind::Unreachable)]
#[case::i8_no_route(ENETUNREACH, ErrorKind::Unreachable)]
#[case::i8_network_down(ENETDOWN, ErrorKind::NetworkDown)]
fn s8_openbsd_says_a_pending_error_once(#[case] errno: Errno, #[case] meant: ErrorKind) {
    for operation in [Operation::Send, Operation::SendMessage, Operation::SendAll, Operation::Sendfile] {
        let socket = OpenBsdSocket::pending(Some(errno));
        let failure = failure::<OpenBsd>(Tcp, operation, errno);
        assert_eq!(OpenBsd::judge(failure, &socket), Cause { kind: meant, errno: failure.errno });
        assert!(openbsd::Witness::pending_error(&socket).is_none(), "the pending error was taken away");
    }
    let receiving = failure::<OpenBsd>(Tcp, Operation::Receive, errno);
    assert_eq!(OpenBsd::judge(receiving, &OpenBsdSocket::MustNotBeAsked).kind, meant);
    let other = failure::<OpenBsd>(UnixStream, Operation::Send, errno);
    assert_eq!(OpenBsd::judge(other, &OpenBsdSocket::MustNotBeAsked).kind, meant);
}

/// On OpenBSD EPIPE comes first, and its cause is left pending. The user sees the errno of the cause.
#[rstest]
#[case::s5_refused(ECONNREFUSED, ErrorKind::Refused)]
#[case::s8_reset(ECONNRESET, ErrorKind::Reset)]
#[case::s9_end_then_reset(ECONNRESET, ErrorKind::Reset)]
#[case::i8_gave_up(ETIMEDOUT, ErrorKind::TimedOut)]
#[case::i8_no_way(EHOSTUNREACH, ErrorKind::Unreachable)]
#[case::i8_network_down(ENETDOWN, ErrorKind::NetworkDown)]
fn openbsd_says_why_after_epipe(#[case] pending: Errno, #[case] meant: ErrorKind) {
    for operation in [Operation::Send, Operation::SendVectored] {
        let failure = failure::<OpenBsd>(Tcp, operation, EPIPE);
        let judged = OpenBsd::judge(failure, &OpenBsdSocket::pending(Some(pending)));
        assert_eq!(judged, Cause { kind: meant, errno: OpenBsd::raw_errno(pending) });
    }
}

#[test]
fn s8_a_pending_errno_without_a_name_is_kept() {
    let failure = failure::<OpenBsd>(Tcp, Operation::Send, EPIPE);
    let judged = OpenBsd::judge(failure, &OpenBsdSocket::Pending(Cell::new(Some(RawErrno::from_number(91)))));
    assert_eq!(judged, Cause { kind: ErrorKind::Other, errno: RawErrno::from_number(91) });
}

/// If the call names a destination, the errno is about the path and not about the peer.
#[rstest]
#[case::a10_dead_path(Operation::SendTo, ECONNREFUSED, ErrorKind::Refused, ErrorKind::Refused)]
#[case::s17_connected_receiver(Operation::Send, ECONNREFUSED, ErrorKind::Reset, ErrorKind::Refused)]
#[case::s17_connected_receiver_of_slices(
    Operation::SendVectored,
    ECONNREFUSED,
    ErrorKind::Reset,
    ErrorKind::Refused
)]
#[case::a10_path_of_no_socket(Operation::SendTo, ENOTSOCK, ErrorKind::NotSocket, ErrorKind::Refused)]
#[case::a10_the_descriptor_is_no_socket(
    Operation::Send,
    ENOTSOCK,
    ErrorKind::NotSocket,
    ErrorKind::NotSocket
)]
#[case::a10_missing_path(Operation::SendTo, ENOENT, ErrorKind::NotFound, ErrorKind::NotFound)]
#[case::a10_file_in_the_way(Operation::SendTo, ENOTDIR, ErrorKind::NotFound, ErrorKind::NotFound)]
#[case::a10_other_type(Operation::SendTo, EPROTOTYPE, ErrorKind::WrongSocketType, ErrorKind::WrongSocketType)]
#[case::a10_no_permission(
    Operation::SendTo,
    EACCES,
    ErrorKind::PermissionDenied,
    ErrorKind::PermissionDenied
)]
#[case::a11_receiver_has_another_peer(
    Operation::SendTo,
    EPERM,
    ErrorKind::PermissionDenied,
    ErrorKind::PermissionDenied
)]
#[case::s16_no_destination(
    Operation::SendTo,
    ENOTCONN,
    ErrorKind::DestinationRequired,
    ErrorKind::NotConnected
)]
fn a_unix_datagram_fails_as(
    #[case] operation: Operation,
    #[case] errno: Errno,
    #[case] on_linux: ErrorKind,
    #[case] on_openbsd: ErrorKind,
) {
    let linux = failure::<Linux>(UnixDatagram, operation, errno);
    assert_eq!(Linux::judge(linux, &LinuxSocket::MustNotBeAsked).kind, on_linux);
    let openbsd = failure::<OpenBsd>(UnixDatagram, operation, errno);
    assert_eq!(OpenBsd::judge(openbsd, &OpenBsdSocket::MustNotBeAsked).kind, on_openbsd);
}

/// Errnos without an exception mean the same for every kind of socket in every call that sends, and need no
/// question. The exceptions are in the tables above. Receiving has its own exceptions.
#[rstest]
#[case::i2_eintr(EINTR, ErrorKind::Interrupted)]
#[case::enomem(ENOMEM, ErrorKind::OutOfMemory)]
#[case::s8_econnreset(ECONNRESET, ErrorKind::Reset)]
#[case::etimedout(ETIMEDOUT, ErrorKind::TimedOut)]
#[case::econnaborted(ECONNABORTED, ErrorKind::Aborted)]
#[case::enetreset(ENETRESET, ErrorKind::Aborted)]
#[case::i8_ehostunreach(EHOSTUNREACH, ErrorKind::Unreachable)]
#[case::i8_enetunreach(ENETUNREACH, ErrorKind::Unreachable)]
#[case::i8_ehostdown(EHOSTDOWN, ErrorKind::Unreachable)]
#[case::i8_enetdown(ENETDOWN, ErrorKind::NetworkDown)]
#[case::enoprotoopt(ENOPROTOOPT, ErrorKind::Unsupported)]
#[case::f2_eopnotsupp(EOPNOTSUPP, ErrorKind::Unsupported)]
#[case::b1_emsgsize(EMSGSIZE, ErrorKind::MessageTooLong)]
#[case::a4_eisconn(EISCONN, ErrorKind::AlreadyConnected)]
#[case::s18_edestaddrreq(EDESTADDRREQ, ErrorKind::DestinationRequired)]
#[case::a12_eacces(EACCES, ErrorKind::PermissionDenied)]
#[case::a13_eperm(EPERM, ErrorKind::PermissionDenied)]
#[case::a5_eafnosupport(EAFNOSUPPORT, ErrorKind::AddressFamily)]
#[case::r10_emfile(EMFILE, ErrorKind::DescriptorsInFlight)]
#[case::r10_etoomanyrefs(ETOOMANYREFS, ErrorKind::DescriptorsInFlight)]
#[case::a10_eloop(ELOOP, ErrorKind::BadPath)]
#[case::a10_enametoolong(ENAMETOOLONG, ErrorKind::BadPath)]
#[case::ebadf(EBADF, ErrorKind::BadDescriptor)]
#[case::einval(EINVAL, ErrorKind::InvalidInput)]
#[case::i6_efault(EFAULT, ErrorKind::InvalidInput)]
#[case::eio(EIO, ErrorKind::Io)]
#[case::l11_e2big(E2BIG, ErrorKind::TooManyDescriptors)]
#[case::x8_enosys(ENOSYS, ErrorKind::Unsupported)]
#[case::x7_espipe(ESPIPE, ErrorKind::InvalidInput)]
#[case::x4_eoverflow(EOVERFLOW, ErrorKind::InvalidInput)]
fn an_errno_that_is_passed_through_means(#[case] errno: Errno, #[case] meant: ErrorKind) {
    for kind in SocketKind::ALL {
        for &operation in Operation::ALL.iter().filter(|operation| !operation.receives()) {
            let linux = failure::<Linux>(kind, operation, errno);
            let (socket, on_linux) = match (kind, errno) {
                (UdpV4 | UdpV6, EINVAL) => (LinuxSocket::Segments(false), ErrorKind::Unreachable), // I8b
                _ => (LinuxSocket::MustNotBeAsked, meant),
            };
            let judged = Linux::judge(linux, &socket);
            assert_eq!(judged, Cause { kind: on_linux, errno: linux.errno }, "{kind:?} on Linux");
            let openbsd = failure::<OpenBsd>(kind, operation, errno);
            // S8: the socket is asked for the last error of a TCP connection, to clear it.
            let socket = match kind {
                Tcp => OpenBsdSocket::pending(Some(errno)),
                _ => OpenBsdSocket::MustNotBeAsked,
            };
            let judged = OpenBsd::judge(openbsd, &socket);
            assert_eq!(judged, Cause { kind: meant, errno: openbsd.errno }, "{kind:?} on OpenBSD");
        }
    }
}

/// Clause F8b: whatever ended the connection, or keeps it from being one, there is no urgent byte.
#[rstest]
#[case::f8b_there_is_none(EINVAL, ErrorKind::InvalidInput)]
#[case::f8b_a_listener_of_linux(ENOTCONN, ErrorKind::InvalidInput)]
#[case::f8b_a_reset_of_openbsd(ECONNRESET, ErrorKind::InvalidInput)]
#[case::f8b_gave_up(ETIMEDOUT, ErrorKind::InvalidInput)]
#[case::f8b_refused(ECONNREFUSED, ErrorKind::InvalidInput)]
#[case::f8b_no_way(EHOSTUNREACH, ErrorKind::InvalidInput)]
#[case::f8c_it_has_not_come(EAGAIN, ErrorKind::WouldBlock)]
#[case::g3_no_socket(ENOTSOCK, ErrorKind::NotSocket)]
#[case::g3_no_descriptor(EBADF, ErrorKind::BadDescriptor)]
#[case::i2_a_signal(EINTR, ErrorKind::Interrupted)]
#[case::no_memory(ENOMEM, ErrorKind::OutOfMemory)]
fn no_urgent_byte_means(#[case] errno: Errno, #[case] meant: ErrorKind) {
    assert_eq!(Linux::meaning_for_urgent(Linux::raw_errno(errno)), meant);
    assert_eq!(OpenBsd::meaning_for_urgent(OpenBsd::raw_errno(errno)), meant);
}

/// Clause F7e: OpenBSD leaves the error that failed a peek. One that is about the call was not pending, and to ask
/// for it could take another that came meanwhile.
#[rstest]
#[case::refused(ReceiveFlags::PEEK, ECONNREFUSED, true)]
#[case::reset(ReceiveFlags::PEEK.union(ReceiveFlags::DONT_WAIT), ECONNRESET, true)]
#[case::no_way(ReceiveFlags::PEEK, EHOSTUNREACH, true)]
#[case::too_long_for_the_path(ReceiveFlags::PEEK, EMSGSIZE, true)]
#[case::nothing_there(ReceiveFlags::PEEK, EAGAIN, false)]
#[case::a_signal(ReceiveFlags::PEEK, EINTR, false)]
#[case::never_connected(ReceiveFlags::PEEK, ENOTCONN, false)]
#[case::taken_already(ReceiveFlags::empty(), ECONNRESET, false)]
#[case::f8b_left_for_the_next(ReceiveFlags::OUT_OF_BAND, ECONNRESET, false)]
#[case::f8b_left_at_a_peek(ReceiveFlags::OUT_OF_BAND.union(ReceiveFlags::PEEK), ECONNRESET, false)]
fn f7e_what_a_peek_leaves(#[case] flags: ReceiveFlags, #[case] errno: Errno, #[case] on_openbsd: bool) {
    assert!(!Linux::peek_leaves(flags, Linux::raw_errno(errno)));
    assert_eq!(OpenBsd::peek_leaves(flags, OpenBsd::raw_errno(errno)), on_openbsd);
}

#[rstest]
#[case::none(ReceiveFlags::empty(), 0x4000_0000, 0x800)]
#[case::f1_dont_wait(ReceiveFlags::DONT_WAIT, 0x4000_0040, 0x880)]
#[case::f7_peek(ReceiveFlags::PEEK, 0x4000_0002, 0x802)]
#[case::f8_urgent(ReceiveFlags::OUT_OF_BAND, 0x4000_0001, 0x801)]
#[case::all(ReceiveFlags::all(), 0x4000_0043, 0x883)]
fn r27_flags_for_receiving(#[case] flags: ReceiveFlags, #[case] linux: c_int, #[case] openbsd: c_int) {
    assert_eq!(Linux::NUMBERS.of_receive_flags(flags), linux);
    assert_eq!(OpenBsd::NUMBERS.of_receive_flags(flags), openbsd);
}

#[rstest]
#[case::f8_tcp(&[Tcp], ReceiveFlags::all())]
#[case::f7b_udp(&[UdpV4, UdpV6], ReceiveFlags::DONT_WAIT.union(ReceiveFlags::PEEK))]
#[case::f7f_unix(&[UnixStream, UnixDatagram, UnixSeqpacket], ReceiveFlags::DONT_WAIT)]
#[case::f7f_others(&[Other, OtherStream], ReceiveFlags::DONT_WAIT)]
fn flags_for_receiving_are_honoured(#[case] kinds: &[SocketKind], #[case] honoured: ReceiveFlags) {
    for &kind in kinds {
        assert_eq!(ReceiveFlags::honoured_on(kind), honoured, "{kind:?}");
    }
}

/// Errnos that mean something else when receiving than when sending.
#[rstest]
#[case::b9_never_connected(UnixStream, EINVAL, ErrorKind::NotConnected, ErrorKind::InvalidInput)]
#[case::b9_other_kinds(UnixSeqpacket, EINVAL, ErrorKind::InvalidInput, ErrorKind::InvalidInput)]
#[case::r20_stream(UnixStream, EMSGSIZE, ErrorKind::MessageTooLong, ErrorKind::DescriptorsLost)]
#[case::udp_is_no_descriptors(UdpV4, EMSGSIZE, ErrorKind::MessageTooLong, ErrorKind::MessageTooLong)]
#[case::other_is_the_kernels_word(Other, EMSGSIZE, ErrorKind::MessageTooLong, ErrorKind::MessageTooLong)]
#[case::nothing_is_asked_of_no_data(Tcp, EAGAIN, ErrorKind::WouldBlock, ErrorKind::WouldBlock)]
#[case::nothing_is_asked_of_no_peer(Tcp, ENOTCONN, ErrorKind::NotConnected, ErrorKind::NotConnected)]
#[case::r22_record(UnixSeqpacket, EMSGSIZE, ErrorKind::MessageTooLong, ErrorKind::DescriptorsLost)]
fn receiving_fails_as(
    #[case] kind: SocketKind,
    #[case] errno: Errno,
    #[case] on_linux: ErrorKind,
    #[case] on_openbsd: ErrorKind,
) {
    let linux = failure::<Linux>(kind, Operation::Receive, errno);
    assert_eq!(Linux::judge(linux, &LinuxSocket::MustNotBeAsked).kind, on_linux);
    let openbsd = failure::<OpenBsd>(kind, Operation::Receive, errno);
    assert_eq!(OpenBsd::judge(openbsd, &OpenBsdSocket::MustNotBeAsked).kind, on_openbsd);
}

/// ENOBUFS means a full receiver on OpenBSD's unix sockets, and a lack of network buffers everywhere else.
#[test]
fn b3_and_r13_enobufs_is_would_block_for_unix_sockets_on_openbsd_alone() {
    for kind in SocketKind::ALL {
        let linux =
            Linux::judge(failure::<Linux>(kind, Operation::Send, ENOBUFS), &LinuxSocket::MustNotBeAsked);
        assert_eq!(linux.kind, ErrorKind::NoBufferSpace, "{kind:?}");
        let openbsd = OpenBsd::judge(
            failure::<OpenBsd>(kind, Operation::Send, ENOBUFS),
            &OpenBsdSocket::MustNotBeAsked,
        );
        let unix = matches!(kind, UnixStream | UnixDatagram | UnixSeqpacket);
        let expected = if unix { ErrorKind::WouldBlock } else { ErrorKind::NoBufferSpace };
        assert_eq!(openbsd.kind, expected, "{kind:?}");
    }
}

/// Linux returns 512 after an interrupted recvmmsg(2). OpenBSD does not use the number.
#[test]
fn m1b_errno_512_is_an_interruption_on_linux_alone() {
    let failure = Failure { errno: RawErrno::from_number(512), kind: UdpV4, operation: Operation::Send };
    let linux = Linux::judge(failure, &LinuxSocket::MustNotBeAsked);
    assert_eq!(linux, Cause { kind: ErrorKind::Interrupted, errno: RawErrno::from_number(512) });
    let openbsd = OpenBsd::judge(failure, &OpenBsdSocket::MustNotBeAsked);
    assert_eq!(openbsd, Cause { kind: ErrorKind::Other, errno: RawErrno::from_number(512) });
}

// The kind of a socket.

#[rstest]
#[case::tcp_v4(AddressFamily::Inet, Type::Stream, 6, Tcp)]
#[case::tcp_v6(AddressFamily::Inet6, Type::Stream, 6, Tcp)]
#[case::multipath_tcp(AddressFamily::Inet, Type::Stream, 262, OtherStream)]
#[case::sctp_stream(AddressFamily::Inet, Type::Stream, 132, Other)]
#[case::sctp_seqpacket(AddressFamily::Inet6, Type::Seqpacket, 132, Other)]
#[case::udp_v4(AddressFamily::Inet, Type::Datagram, 17, UdpV4)]
#[case::udp_v6(AddressFamily::Inet6, Type::Datagram, 17, UdpV6)]
#[case::udp_lite(AddressFamily::Inet, Type::Datagram, 136, Other)]
#[case::icmp_datagram(AddressFamily::Inet, Type::Datagram, 1, Other)]
#[case::icmp_v6_datagram(AddressFamily::Inet6, Type::Datagram, 58, Other)]
#[case::raw(AddressFamily::Inet, Type::Raw, 1, Other)]
#[case::unix_stream(AddressFamily::Unix, Type::Stream, 0, UnixStream)]
#[case::unix_stream_that_says_its_family(AddressFamily::Unix, Type::Stream, 1, UnixStream)]
#[case::unix_datagram(AddressFamily::Unix, Type::Datagram, 0, UnixDatagram)]
#[case::unix_seqpacket(AddressFamily::Unix, Type::Seqpacket, 0, UnixSeqpacket)]
#[case::netlink_or_route(AddressFamily::Route, Type::Raw, 0, Other)]
#[case::route_as_datagram(AddressFamily::Route, Type::Datagram, 0, Other)]
#[case::vsock(AddressFamily::Number(40), Type::Stream, 0, OtherStream)]
#[case::vsock_records(AddressFamily::Number(40), Type::Seqpacket, 0, Other)]
fn a_probed_socket_is(
    #[case] family: AddressFamily,
    #[case] kind: Type,
    #[case] protocol: c_int,
    #[case] expected: SocketKind,
) {
    let (on_linux, on_openbsd) = match family {
        AddressFamily::Unix => (1, 1),
        AddressFamily::Inet => (2, 2),
        AddressFamily::Inet6 => (10, 24),
        AddressFamily::Route => (16, 17),
        AddressFamily::Number(number) => (number, number),
    };
    let kind = match kind {
        Type::Stream => 1,
        Type::Datagram => 2,
        Type::Raw => 3,
        Type::Seqpacket => 5,
    };
    assert_eq!(Linux::socket_kind(on_linux, kind, protocol), expected);
    assert_eq!(OpenBsd::socket_kind(on_openbsd, kind, protocol), expected);
}

/// The families in these tables. Their numbers differ.
#[derive(Clone, Copy)]
enum AddressFamily {
    Unix,
    Inet,
    Inet6,
    Route,
    Number(c_int),
}

enum Type {
    Stream,
    Datagram,
    Raw,
    Seqpacket,
}

#[test]
fn ipv6_of_the_other_kernel_is_another_family() {
    assert_eq!(Linux::socket_kind(24, 1, 6), OtherStream);
    assert_eq!(OpenBsd::socket_kind(10, 1, 6), OtherStream);
}

// Differences between the kernels that the contract names.

#[test]
fn i5_no_count_is_hidden_of_what_is_received_or_has_an_address() {
    use Operation::{Connect, Receive, ReceiveBatch, SendMessageTo, SendTo};

    let sends_no_part = [SendTo, SendMessageTo, Connect, Receive, ReceiveBatch];
    for operation in Operation::ALL {
        assert_eq!(operation.can_send_a_part(), !sends_no_part.contains(operation), "{operation}");
    }
}

#[rstest]
#[case::i5_disconnected(ErrorKind::Disconnected, true)]
#[case::i5_reset(ErrorKind::Reset, true)]
#[case::a13_packet_filter(ErrorKind::PermissionDenied, true)]
#[case::i8_unreachable(ErrorKind::Unreachable, true)]
#[case::i8_network_down(ErrorKind::NetworkDown, true)]
#[case::enobufs(ErrorKind::NoBufferSpace, true)]
#[case::enomem(ErrorKind::OutOfMemory, true)]
#[case::unknown(ErrorKind::Other, true)]
#[case::i1_interrupted(ErrorKind::Interrupted, false)]
#[case::i4_would_block(ErrorKind::WouldBlock, false)]
#[case::s3_connecting(ErrorKind::Connecting, false)]
#[case::s1_not_connected(ErrorKind::NotConnected, false)]
#[case::r10_in_flight(ErrorKind::DescriptorsInFlight, false)]
#[case::r9_a_descriptor_that_cannot_be_passed(ErrorKind::InvalidInput, false)]
#[case::g3_no_socket(ErrorKind::NotSocket, false)]
fn a_hard_error_on_a_stream_hides_the_count_on_openbsd(#[case] error: ErrorKind, #[case] hides: bool) {
    for kind in [Tcp, UnixStream, OtherStream, Other] {
        assert_eq!(OpenBsd::hides_count(kind, error), hides, "{kind:?}");
    }
    for kind in [UdpV4, UdpV6, UnixDatagram, UnixSeqpacket] {
        assert!(!OpenBsd::hides_count(kind, error), "{kind:?} is accepted whole or not at all");
    }
    for kind in SocketKind::ALL {
        assert!(!Linux::hides_count(kind, error), "{kind:?}: Linux returns the count");
    }
}

#[test]
fn the_kernels_differ_where_the_contract_says_so() {
    let traits = |flags, names, hides, no_bytes, peek| (flags, names, hides, no_bytes, peek);
    assert_eq!(
        traits(
            Linux::FLAGS,
            Linux::ABSTRACT_NAMES,
            Linux::HARD_ERROR_HIDES_COUNT,
            Linux::STREAMS_DELIVER_NO_BYTES,
            Linux::PEEK_LEAVES_ERROR
        ),
        (SendFlags::all(), true, false, false, false)
    );
    assert_eq!(
        traits(
            OpenBsd::FLAGS,
            OpenBsd::ABSTRACT_NAMES,
            OpenBsd::HARD_ERROR_HIDES_COUNT,
            OpenBsd::STREAMS_DELIVER_NO_BYTES,
            OpenBsd::PEEK_LEAVES_ERROR
        ),
        (SendFlags::OUT_OF_BAND | SendFlags::DONT_WAIT | SendFlags::END_OF_RECORD, false, true, true, true)
    );
}

// sendfile: clauses X3 to X12.

#[rstest]
#[case::x8_cannot(EINVAL, true)]
#[case::x7_pipe_with_an_offset(ESPIPE, true)]
#[case::x3_past_what_the_file_system_has(EOVERFLOW, true)]
#[case::no_such_call(ENOSYS, true)]
#[case::x6_not_for_this(EBADF, false)]
#[case::x10_would_block(EAGAIN, false)]
#[case::x11_interrupted(EINTR, false)]
#[case::x12_peer_gone(EPIPE, false)]
#[case::reset(ECONNRESET, false)]
#[case::not_connected(ENOTCONN, false)]
#[case::disk_or_memory(EIO, false)]
#[case::out_of_memory(ENOMEM, false)]
#[case::no_permission(EPERM, false)]
fn copying_is_tried_only_for_what_the_kernel_cannot_do(#[case] errno: Errno, #[case] tried: bool) {
    assert_eq!(Linux::copying_may_do(Linux::raw_errno(errno)), tried);
    assert_eq!(OpenBsd::copying_may_do(OpenBsd::raw_errno(errno)), tried);
    assert!(!Linux::copying_may_do(RawErrno::from_number(10_000)));
}

/// A machine may have no block device that a test may open.
#[rstest]
#[case::regular_file(libc::S_IFREG, FileKind::Seekable)]
#[case::block_device(libc::S_IFBLK, FileKind::Seekable)]
#[case::fifo(libc::S_IFIFO, FileKind::Pipe)]
#[case::socket(libc::S_IFSOCK, FileKind::Socket)]
#[case::device_of_bytes(libc::S_IFCHR, FileKind::Device)]
#[case::directory(libc::S_IFDIR, FileKind::Other)]
#[case::link(libc::S_IFLNK, FileKind::Other)]
#[case::descriptor_of_events(0, FileKind::Other)]
fn x7_what_a_mode_says(#[case] mode: libc::mode_t, #[case] expected: FileKind) {
    for permissions in [0, 0o7777] {
        assert_eq!(Linux::file_kind(mode | permissions, 0x0105), expected);
        assert_eq!(OpenBsd::file_kind(mode | permissions, 0x0105), expected);
    }
}

#[test]
fn x7_the_null_device_is_no_device_of_bytes_on_linux() {
    assert_eq!(Linux::file_kind(libc::S_IFCHR, 0x0103), FileKind::Other);
    assert_eq!(OpenBsd::file_kind(libc::S_IFCHR, 0x0103), FileKind::Device);
}

const WRITABLE: Status = Status { readable: false, writable: true, appends: false };
const APPENDING: Status = Status { readable: false, writable: true, appends: true };
const READ_ONLY: Status = Status { readable: true, writable: false, appends: false };

/// The result that a clause promises: a refusal, or an errno by its name.
#[derive(Debug)]
enum Answer {
    Admitted,
    Refused(Refusal),
    Errno(Errno),
}

#[rstest]
#[case::file_to_socket(FileKind::Seekable, None, 1, Answer::Admitted)]
#[case::x9_file_to_file(FileKind::Seekable, Some((WRITABLE, FileKind::Seekable)), 1, Answer::Admitted)]
#[case::x9_file_to_device(FileKind::Seekable, Some((WRITABLE, FileKind::Device)), 1, Answer::Admitted)]
#[case::x9_file_to_pipe(FileKind::Seekable, Some((WRITABLE, FileKind::Pipe)), 1, Answer::Admitted)]
#[case::x9_appending_pipe(FileKind::Seekable, Some((APPENDING, FileKind::Pipe)), 1, Answer::Admitted)]
#[case::x9_appending_file(
    FileKind::Seekable, Some((APPENDING, FileKind::Seekable)), 1, Answer::Refused(Refusal::AppendingOutput)
)]
#[case::x9_appending_file_and_no_bytes(
    FileKind::Seekable, Some((APPENDING, FileKind::Seekable)), 0, Answer::Refused(Refusal::AppendingOutput)
)]
#[case::x9_appending_device(
    FileKind::Seekable, Some((APPENDING, FileKind::Device)), 1, Answer::Refused(Refusal::AppendingOutput)
)]
#[case::x6_read_only(FileKind::Seekable, Some((READ_ONLY, FileKind::Seekable)), 1, Answer::Errno(EBADF))]
#[case::x3_read_only_and_no_bytes(
    FileKind::Seekable, Some((READ_ONLY, FileKind::Seekable)), 0, Answer::Errno(EBADF)
)]
#[case::x7_pipe(FileKind::Pipe, None, 1, Answer::Refused(Refusal::InputNotSeekable))]
#[case::x7_pipe_and_no_bytes(FileKind::Pipe, None, 0, Answer::Refused(Refusal::InputNotSeekable))]
#[case::x7_socket(FileKind::Socket, None, 1, Answer::Refused(Refusal::InputNotSeekable))]
#[case::x7_device(FileKind::Device, None, 1, Answer::Refused(Refusal::InputNotSeekable))]
#[case::x3_device_and_no_bytes(FileKind::Device, None, 0, Answer::Admitted)]
#[case::x7_directory(FileKind::Other, None, 1, Answer::Refused(Refusal::InputNotSeekable))]
#[case::x3_directory_and_no_bytes(FileKind::Other, None, 0, Answer::Admitted)]
fn the_copying_path_checks_what_linux_checks(
    #[case] input: FileKind,
    #[case] output: Option<(Status, FileKind)>,
    #[case] count: u64,
    #[case] answer: Answer,
) {
    fn expected<K: Kernel>(answer: &Answer) -> Result<(), Why> {
        match *answer {
            Answer::Admitted => Ok(()),
            Answer::Refused(refusal) => Err(Why::Refused(refusal)),
            Answer::Errno(errno) => Err(Why::Descriptor(K::raw_errno(errno))),
        }
    }
    assert_eq!(Linux::admit(input, output, count), expected::<Linux>(&answer));
    assert_eq!(OpenBsd::admit(input, output, count), expected::<OpenBsd>(&answer));
}

/// Clause X12: after the first byte the result is a count. Clause A13: unless the same bytes would then be sent
/// twice.
#[rstest]
#[case::a13_packet_filter(EACCES, true)]
#[case::a13_no_route(EHOSTUNREACH, true)]
#[case::a13_no_buffers(ENOBUFS, true)]
#[case::x12_peer_gone(EPIPE, false)]
#[case::x12_reset(ECONNRESET, false)]
#[case::x12_timed_out(ETIMEDOUT, false)]
#[case::x12_aborted(ECONNABORTED, false)]
#[case::x10_would_block(EAGAIN, false)]
#[case::x11_interrupted(EINTR, false)]
fn a_count_hides_an_error_but_never_what_may_have_been_sent(#[case] errno: Errno, #[case] told: bool) {
    for kind in [Tcp, UnixStream, OtherStream, Other] {
        let output = Why::Output(OpenBsd::raw_errno(errno));
        assert_eq!(OpenBsd::must_be_told(Some(kind), output), told, "{kind:?}");
        assert!(!Linux::must_be_told(Some(kind), Why::Output(Linux::raw_errno(errno))), "{kind:?}");
    }
    assert!(!OpenBsd::must_be_told(None, Why::Output(OpenBsd::raw_errno(errno))), "a pipe or file");
    assert!(!OpenBsd::must_be_told(Some(Tcp), Why::Descriptor(OpenBsd::raw_errno(errno))), "the input's");
    assert!(!OpenBsd::must_be_told(Some(Tcp), Why::Refused(Refusal::RangeOverflow)));
}

/// Clause X16: a network file system can return the errnos of a connection.
#[rstest]
#[case::not_for_reading(EBADF, ErrorKind::BadDescriptor)]
#[case::no_offsets(ESPIPE, ErrorKind::InvalidInput)]
#[case::interrupted(EINTR, ErrorKind::Interrupted)]
#[case::disk(EIO, ErrorKind::Io)]
#[case::memory(ENOMEM, ErrorKind::OutOfMemory)]
#[case::permission(EACCES, ErrorKind::PermissionDenied)]
#[case::server_silent(ETIMEDOUT, ErrorKind::Other)]
#[case::server_gone(ENOTCONN, ErrorKind::Other)]
#[case::server_reset(ECONNRESET, ErrorKind::Other)]
#[case::server_aborted(ECONNABORTED, ErrorKind::Other)]
#[case::broken(EPIPE, ErrorKind::Other)]
#[case::would_block(EAGAIN, ErrorKind::Other)]
fn an_error_of_a_file_is_none_of_a_connection(#[case] errno: Errno, #[case] kind: ErrorKind) {
    assert_eq!(Linux::meaning_for_file(Linux::raw_errno(errno)), kind);
    assert_eq!(OpenBsd::meaning_for_file(OpenBsd::raw_errno(errno)), kind);
}

#[test]
fn x12_a_signal_comes_with_epipe_and_on_linux_with_a_short_count() {
    assert!(Linux::may_have_signalled(Ok(65_536), 100_000));
    assert!(Linux::may_have_signalled(Ok(0), 1));
    assert!(!Linux::may_have_signalled(Ok(100_000), 100_000));
    assert!(!Linux::may_have_signalled(Ok(0), 0));
    assert!(Linux::may_have_signalled(Err(Linux::raw_errno(EPIPE)), 1));
    assert!(!Linux::may_have_signalled(Err(Linux::raw_errno(ECONNRESET)), 1));
    assert!(!OpenBsd::may_have_signalled(Ok(65_536), 100_000));
    assert!(OpenBsd::may_have_signalled(Err(OpenBsd::raw_errno(EPIPE)), 1));
    assert!(!OpenBsd::may_have_signalled(Err(OpenBsd::raw_errno(EAGAIN)), 1));
}

#[test]
fn linux_alone_has_sendfile() {
    assert_eq!((Linux::HAS_SENDFILE, OpenBsd::HAS_SENDFILE), (true, false));
    assert_eq!((Linux::SIGNALS_WITH_COUNT, OpenBsd::SIGNALS_WITH_COUNT), (true, false));
}

const LINUX_64: ControlLayout = ControlLayout { length_bytes: 8, alignment: 8 };
const OPENBSD_32: ControlLayout = ControlLayout { length_bytes: 4, alignment: 4 };
const OPENBSD_64: ControlLayout = ControlLayout { length_bytes: 4, alignment: 8 };

/// The room that OpenBSD reserves for descriptors, as measured on OpenBSD 8.0-beta.
#[rstest]
#[case::r13b_one(1, 48)]
#[case::r13b_two_take_no_more(2, 48)]
#[case::r13b_the_most(126, 2032)]
#[case::r13b_one_more_than_the_most(127, 2064)]
fn descriptors_take_room_on_openbsd_alone(#[case] count: usize, #[case] room: usize) {
    // On 32 bits each descriptor takes two pointers of 4 bytes, so twice as many fit.
    assert_eq!(OpenBsd::room_for_descriptors(OPENBSD_32, count), Some(12 + 8 * count));
    assert_eq!(OpenBsd::room_for_descriptors(OPENBSD_64, count), Some(room));
    assert_eq!(Linux::room_for_descriptors(LINUX_64, count), None);
}

/// The longest datagrams and records that fitted, as measured on OpenBSD 8.0-beta.
#[rstest]
#[case::r13b_datagram_and_one(8192, 1, 8144)]
#[case::r13b_datagram_and_ten(8192, 10, 8016)]
#[case::r13b_record_and_two(32768, 2, 32720)]
#[case::r13b_record_and_ten(32768, 10, 32592)]
fn a_record_that_never_fits_is_known(#[case] buffer: usize, #[case] count: usize, #[case] longest: usize) {
    assert!(!OpenBsd::never_fits(OPENBSD_64, longest, count, buffer));
    assert!(OpenBsd::never_fits(OPENBSD_64, longest + 1, count, buffer));
    assert!(OpenBsd::never_fits(OPENBSD_64, usize::MAX, count, buffer));
    assert!(!Linux::never_fits(LINUX_64, longest + 1, count, buffer));
}

/// The order of the numbers, and the numbers of a socket without a peer.
#[test]
fn c2_and_c4_credentials_have_an_order_of_their_own() {
    let expected = PeerCredentials { user: 2, group: 3, process: Some(1) };
    assert_eq!(Linux::credentials([1, 2, 3]), Some(expected));
    assert_eq!(OpenBsd::credentials([2, 3, 1]), expected);
    assert_eq!(Linux::credentials([0, u32::MAX, u32::MAX]), None);
    // A process in another namespace has no number here, but has a user.
    let unseen = PeerCredentials { user: 0, group: 0, process: None };
    assert_eq!(Linux::credentials([0, 0, 0]), Some(unseen));
}
