use super::{ErrorKind, limits};

/// Why unisend refused a call, or ended a loop. Each says what was wrong and what would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Refusal {
    LengthOverflow,
    TooManySlices,
    EmptyRecord,
    UnsupportedFlag,
    UrgentInLoop,
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
    NotInternetV4,
    NotInternetV6,
    NotUnix,
    NotInternet,
    PortZero,
    Unspecified,
    MappedV4,
    PathEmpty,
    PathTooLong,
    PathWithNul,
    AbstractName,
    AbstractNameTooLong,
}

const _: () = assert!(limits::SLICES_PER_MESSAGE == 1024, "the number stands in a message below");
const _: () = assert!(limits::DESCRIPTORS_PER_MESSAGE == 126, "the number stands in a message below");
const _: () = assert!(limits::UNIX_PATH_BYTES == 103, "the number stands in a message below");
const _: () = assert!(limits::ABSTRACT_NAME_BYTES == 107, "the number stands in a message below");

impl Refusal {
    /// All of them, in order: the first is 0.
    pub(crate) const ALL: &'static [Self] = &[
        Self::LengthOverflow,
        Self::TooManySlices,
        Self::EmptyRecord,
        Self::UnsupportedFlag,
        Self::UrgentInLoop,
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
        Self::NotInternetV4,
        Self::NotInternetV6,
        Self::NotUnix,
        Self::NotInternet,
        Self::PortZero,
        Self::Unspecified,
        Self::MappedV4,
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
            Self::DescriptorsNotCarried | Self::CredentialsOfUnixPeers => ErrorKind::Unsupported,
            Self::NoPeer => ErrorKind::NotConnected,
            Self::Stalled => ErrorKind::Other,
            Self::TooManyDescriptors => ErrorKind::TooManyDescriptors,
            Self::DescriptorsWithoutData => ErrorKind::DescriptorsWithoutData,
            Self::RecordNeverFits => ErrorKind::MessageTooLong,
            Self::UnsupportedFlag | Self::UrgentInLoop | Self::RecordOutput => ErrorKind::Unsupported,
            Self::RangeOverflow | Self::InputNotSeekable | Self::AppendingOutput | Self::EmptyBuffer => {
                ErrorKind::InvalidInput
            }
            Self::NotInternetV4
            | Self::NotInternetV6
            | Self::NotUnix
            | Self::NotInternet
            | Self::AbstractName => ErrorKind::AddressFamily,
            Self::PortZero | Self::Unspecified | Self::MappedV4 => ErrorKind::AddressNotAvailable,
            Self::RecordInPart
            | Self::PathEmpty
            | Self::PathTooLong
            | Self::PathWithNul
            | Self::AbstractNameTooLong => ErrorKind::InvalidInput,
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::LengthOverflow => {
                "the slices have more bytes than SSIZE_MAX together; send them in several calls"
            }
            Self::TooManySlices => {
                "more than 1024 slices in one message; join some, or on a stream use send_all_vectored"
            }
            Self::EmptyRecord => {
                "a seqpacket record needs a byte: an empty one is invisible on OpenBSD and looks like end of file on Linux"
            }
            Self::UnsupportedFlag => {
                "this system or this kind of socket has no such flag; the table in SendFlags says which have it"
            }
            Self::UrgentInLoop => {
                "OUT_OF_BAND marks the last byte of one call, and this makes several; send the urgent byte with send"
            }
            Self::TooManyDescriptors => "more than 126 descriptors in one message; send several messages",
            Self::DescriptorsWithoutData => {
                "on a stream descriptors need at least one byte to go with; send one"
            }
            Self::DescriptorsNotCarried => "only unix sockets carry descriptors",
            Self::RecordNeverFits => {
                "the record and its descriptors never fit into the send buffer; set SO_SNDBUF or send less"
            }
            Self::RecordInPart => {
                "the message was sent, or advanced, before, and what is left of it is no datagram or record; make a new one"
            }
            Self::Stalled => {
                "the kernel accepted a part of what is no stream, or no byte, and gave no error; the rest was not sent"
            }
            Self::CredentialsOfUnixPeers => "only the peer of a unix socket has credentials",
            Self::NoPeer => {
                "the socket has no peer, or one that was found by address alone; ask a connected stream"
            }
            Self::RangeOverflow => {
                "the offset and the count together are over 2^63 - 1, which no file has; ask for what the file has"
            }
            Self::InputNotSeekable => {
                "the input is no regular file or block device; read it, and send what was read with send_all"
            }
            Self::AppendingOutput => {
                "the output was opened for appending (O_APPEND), which sendfile cannot; open it without"
            }
            Self::RecordOutput => {
                "a file is a stream of bytes, and this socket sends records or datagrams; read it, and send each one"
            }
            Self::EmptyBuffer => "the buffer to copy through has no bytes; give it some, 64 KiB do well",
            Self::NotInternetV4 => "the address is not an IPv4 one, and the socket is IPv4",
            Self::NotInternetV6 => "the address is not an IPv6 one, and the socket is IPv6",
            Self::NotUnix => "the address is not a unix one, and the socket is",
            Self::NotInternet => "the UdpSocket was made from a socket of another family; declare what it is",
            Self::PortZero => "port 0 is no destination; name the receiver's port",
            Self::Unspecified => {
                "the unspecified address is no destination; name the loopback address or the host's own"
            }
            Self::MappedV4 => "an IPv4-mapped address works on Linux alone; send to IPv4 from an IPv4 socket",
            Self::PathEmpty => "an empty path names no socket",
            Self::PathTooLong => {
                "the path of a unix socket can have 103 bytes; use a shorter or a relative one"
            }
            Self::PathWithNul => "the path of a unix socket cannot have a NUL byte in it",
            Self::AbstractName => "OpenBSD has no abstract names; use a path",
            Self::AbstractNameTooLong => "an abstract name can have 107 bytes",
        }
    }
}
