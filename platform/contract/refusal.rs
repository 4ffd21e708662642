use super::{ErrorKind, limits};

/// The reason why unisend refused a call, or ended a loop. Its text says what is wrong and what to do instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Refusal {
    LengthOverflow,
    TooManySlices,
    EmptyRecord,
    UnsupportedFlag,
    UrgentInLoop,
    NoRoomForUrgent,
    TooManyDescriptors,
    DescriptorsWithoutData,
    DescriptorsNotCarried,
    RecordNeverFits,
    RecordInPart,
    Stalled,
    CredentialsOfUnixPeers,
    NoPeer,
    RangeOverflow,
    InputNotSeekable,
    AppendingOutput,
    RecordOutput,
    EmptyBuffer,
    ResumedBeyond,
    CorkOfStreams,
    DestinationsOfUdp,
    JoinedOfUdp,
    EmptySegments,
    TrafficClassOfUdp,
    TrafficClassOverV4,
    HopLimitsOfUdp,
    SourceOfUdp,
    SourceWithoutAddress,
    NoSource,
    NotInternetV4,
    NotInternetV6,
    NotUnix,
    NotInternet,
    PortZero,
    Unspecified,
    MappedV4,
    NoDualStack,
    MappedSource,
    BytesOfOther,
    SockaddrLength,
    PathEmpty,
    PathTooLong,
    PathWithNul,
    AbstractName,
    AbstractNameTooLong,
}

const _: () = assert!(limits::SLICES_PER_MESSAGE == 1024, "the number stands in a message below");
const _: () = assert!(limits::DESCRIPTORS_PER_MESSAGE == 126, "the number stands in a message below");
const _: () = assert!(limits::UNIX_PATH_BYTES == 103, "the number stands in a message below");
const _: () = assert!(limits::SOCKADDR_BYTES == 128, "the number stands in a message below");
const _: () = assert!(limits::ABSTRACT_NAME_BYTES == 107, "the number stands in a message below");

impl Refusal {
    /// All refusals, in order: the first is 0.
    pub(crate) const ALL: &'static [Self] = &[
        Self::LengthOverflow,
        Self::TooManySlices,
        Self::EmptyRecord,
        Self::UnsupportedFlag,
        Self::UrgentInLoop,
        Self::NoRoomForUrgent,
        Self::TooManyDescriptors,
        Self::DescriptorsWithoutData,
        Self::DescriptorsNotCarried,
        Self::RecordNeverFits,
        Self::RecordInPart,
        Self::Stalled,
        Self::CredentialsOfUnixPeers,
        Self::NoPeer,
        Self::RangeOverflow,
        Self::InputNotSeekable,
        Self::AppendingOutput,
        Self::RecordOutput,
        Self::EmptyBuffer,
        Self::ResumedBeyond,
        Self::CorkOfStreams,
        Self::DestinationsOfUdp,
        Self::JoinedOfUdp,
        Self::EmptySegments,
        Self::TrafficClassOfUdp,
        Self::TrafficClassOverV4,
        Self::HopLimitsOfUdp,
        Self::SourceOfUdp,
        Self::SourceWithoutAddress,
        Self::NoSource,
        Self::NotInternetV4,
        Self::NotInternetV6,
        Self::NotUnix,
        Self::NotInternet,
        Self::PortZero,
        Self::Unspecified,
        Self::MappedV4,
        Self::NoDualStack,
        Self::MappedSource,
        Self::BytesOfOther,
        Self::SockaddrLength,
        Self::PathEmpty,
        Self::PathTooLong,
        Self::PathWithNul,
        Self::AbstractName,
        Self::AbstractNameTooLong,
    ];

    pub(crate) const fn kind(self) -> ErrorKind {
        match self {
            Self::LengthOverflow => ErrorKind::LengthOverflow,
            Self::TooManySlices => ErrorKind::TooManySlices,
            Self::EmptyRecord => ErrorKind::EmptyRecord,
            Self::DescriptorsNotCarried
            | Self::CredentialsOfUnixPeers
            | Self::DestinationsOfUdp
            | Self::JoinedOfUdp
            | Self::TrafficClassOfUdp
            | Self::TrafficClassOverV4
            | Self::HopLimitsOfUdp
            | Self::SourceOfUdp
            | Self::SourceWithoutAddress => ErrorKind::Unsupported,
            Self::NoPeer => ErrorKind::NotConnected,
            Self::Stalled => ErrorKind::Other,
            Self::TooManyDescriptors => ErrorKind::TooManyDescriptors,
            Self::DescriptorsWithoutData => ErrorKind::DescriptorsWithoutData,
            Self::RecordNeverFits => ErrorKind::MessageTooLong,
            Self::UnsupportedFlag | Self::UrgentInLoop | Self::RecordOutput | Self::CorkOfStreams => {
                ErrorKind::Unsupported
            }
            Self::RangeOverflow
            | Self::InputNotSeekable
            | Self::AppendingOutput
            | Self::EmptyBuffer
            | Self::ResumedBeyond => ErrorKind::InvalidInput,
            Self::NotInternetV4
            | Self::NotInternetV6
            | Self::NotUnix
            | Self::NotInternet
            | Self::NoDualStack
            | Self::BytesOfOther
            | Self::AbstractName => ErrorKind::AddressFamily,
            Self::PortZero | Self::Unspecified | Self::MappedV4 | Self::MappedSource | Self::NoSource => {
                ErrorKind::AddressNotAvailable
            }
            Self::NoRoomForUrgent
            | Self::RecordInPart
            | Self::EmptySegments
            | Self::SockaddrLength
            | Self::PathEmpty
            | Self::PathTooLong
            | Self::PathWithNul
            | Self::AbstractNameTooLong => ErrorKind::InvalidInput,
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::LengthOverflow => {
                "the slices together have more than SSIZE_MAX bytes; send them in several calls"
            }
            Self::TooManySlices => {
                "the message has more than 1024 slices; join some of them or, on a stream, use send_all_vectored"
            }
            Self::EmptyRecord => {
                "a seqpacket record needs a byte: an empty one is invisible on OpenBSD and looks like the end of file on Linux"
            }
            Self::UnsupportedFlag => {
                "this system or this kind of socket does not support a flag; see the tables in SendFlags and ReceiveFlags"
            }
            Self::UrgentInLoop => {
                "OUT_OF_BAND marks the last byte of one call, and this makes several calls; send the urgent byte with send"
            }
            Self::NoRoomForUrgent => {
                "the slices have no room for the urgent byte, and the kernel would drop it; give them a byte"
            }
            Self::TooManyDescriptors => {
                "the message has more than 126 descriptors; send them in several messages"
            }
            Self::DescriptorsWithoutData => {
                "descriptors on a stream need at least one byte of data; add one to the message"
            }
            Self::DescriptorsNotCarried => "only unix sockets carry descriptors",
            Self::RecordNeverFits => {
                "the message and its descriptors never fit into the send buffer; raise SO_SNDBUF or send less"
            }
            Self::RecordInPart => {
                "the message was already sent or advanced, and a datagram or record is not sent in parts; create a new message"
            }
            Self::Stalled => {
                "the kernel accepted no byte, or a part of a datagram or record, without an error; the rest was not sent"
            }
            Self::CredentialsOfUnixPeers => "only the peer of a unix socket has credentials",
            Self::NoPeer => {
                "the socket has no peer with credentials; use a connected stream socket or a socket of a pair"
            }
            Self::RangeOverflow => {
                "the offset and the count together are more than 2^63 - 1, which no file has; use a range of the file"
            }
            Self::InputNotSeekable => {
                "the input is not a regular file or block device; read it, and send the data with send_all"
            }
            Self::AppendingOutput => {
                "the output was opened for appending (O_APPEND), which sendfile does not support; open it without"
            }
            Self::RecordOutput => {
                "the output is a socket of records or datagrams, and a file is a stream; read the file, and send each one"
            }
            Self::EmptyBuffer => "the buffer to copy through is empty; use a larger one, such as 64 KiB",
            Self::ResumedBeyond => {
                "more was sent than the transfer has; resume it with the header, the count and the trailer that it had"
            }
            Self::CorkOfStreams => {
                "only a stream is corked, because datagrams would be joined; send each one by itself"
            }
            Self::DestinationsOfUdp => {
                "only UDP reports destinations; a unix socket receives at its own path"
            }
            Self::JoinedOfUdp => "only the datagrams of UDP can be joined",
            Self::EmptySegments => "segments of no bytes never end; use the size of a datagram, such as 1200",
            Self::TrafficClassOfUdp => "only the datagrams of UDP have a traffic class",
            Self::TrafficClassOverV4 => {
                "OpenBSD gives and reports no traffic class for a datagram over IPv4; set IP_TOS for the socket, or use IPv6"
            }
            Self::HopLimitsOfUdp => "only the datagrams of UDP have a hop limit",
            Self::SourceOfUdp => "only the datagrams of UDP have a source that can be given",
            Self::SourceWithoutAddress => {
                "a message with a source needs an address to be sent to: OpenBSD ignores the source on a connection; use send_to"
            }
            Self::NoSource => {
                "a datagram is sent from an address of this host, and not from an unspecified, broadcast or multicast one"
            }
            Self::NotInternetV4 => "the socket is an IPv4 socket, and the address is not an IPv4 address",
            Self::NotInternetV6 => "the socket is an IPv6 socket, and the address is not an IPv6 address",
            Self::NotUnix => "the socket is a unix socket, and the address is not a unix address",
            Self::NotInternet => "the UdpSocket is a socket of another family; declare its kind",
            Self::PortZero => "port 0 is not a destination; use the receiver's port",
            Self::Unspecified => {
                "the unspecified address is not a destination; use the loopback address or the host's own address"
            }
            Self::MappedV4 => {
                "an IPv4-mapped address works on Linux only; send to the IPv4 address from an IPv4 socket, or use Address::v4_mapped"
            }
            Self::NoDualStack => {
                "OpenBSD has no dual-stack sockets; bind one socket for each family, and send to the IPv4 address from the IPv4 socket"
            }
            Self::MappedSource => {
                "an IPv4-mapped source goes with an IPv4-mapped address, and another source with another address; use two of one sort"
            }
            Self::BytesOfOther => {
                "an address made of bytes is for a socket that is declared as other; use the address of a family that unisend knows"
            }
            Self::SockaddrLength => {
                "a struct sockaddr has 2 to 128 bytes, and begins with its family; use the length that the kernel has for the family"
            }
            Self::PathEmpty => "an empty path is not the path of a socket",
            Self::PathTooLong => {
                "the path of a unix socket can have at most 103 bytes; use a shorter or a relative path"
            }
            Self::PathWithNul => "the path of a unix socket cannot have a NUL byte",
            Self::AbstractName => "OpenBSD has no abstract names; use a path",
            Self::AbstractNameTooLong => "an abstract name can have at most 107 bytes; use a shorter name",
        }
    }
}
