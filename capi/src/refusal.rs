use std::fmt;

use crate::us_error;

/// The reason why this library refused a call that unisend would have no words for: its types do not let a Rust
/// program make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A pointer is null.
    Null,
    /// A pointer is not aligned.
    Misaligned,
    /// A descriptor is negative.
    NegativeDescriptor,
    /// A kind is none of `enum us_kind`.
    UnknownKind,
    /// A count is negative.
    NegativeCount,
    /// There are more slices than one call takes.
    TooManySlices,
    /// A length is over `SSIZE_MAX`.
    LengthOverflow,
    /// There are more descriptors than one message takes.
    TooManyDescriptors,
    /// A flag is unknown, or is one for sending.
    NotForReceiving,
    /// The descriptor was declared as that of a file.
    FileIsNoSocket,
    /// The socket has a peer, and an address was given.
    AddressOfPeer,
    /// A call that sends everything was given an address.
    AddressInLoop,
    /// A `struct sockaddr` is shorter than its family needs.
    ShortAddress,
    /// The source is not an internet address.
    SourceOfOther,
    /// An offset is negative.
    NegativeOffset,
    /// A number of bytes is negative.
    NegativeBytes,
}

/// All refusals, each with its kind and its text, which says what is wrong and what would be right.
const TABLE: &[(Refusal, us_error, &str)] = {
    use Refusal::*;
    &[
        (
            Null,
            us_error::InvalidInput,
            "a pointer is null where something is needed; only what the header calls optional can be left out",
        ),
        (
            Misaligned,
            us_error::InvalidInput,
            "a pointer is not aligned for its type; point to an object of that type",
        ),
        (
            NegativeDescriptor,
            us_error::BadDescriptor,
            "a descriptor is negative; check what open(2) or socket(2) returned",
        ),
        (
            UnknownKind,
            us_error::InvalidInput,
            "the kind is not one of enum us_kind; fill in the us_socket with us_probe or us_declare",
        ),
        (NegativeCount, us_error::InvalidInput, "a number of iovecs is negative; use 0 or more"),
        (
            TooManySlices,
            us_error::TooManySlices,
            "there are more than 1024 iovecs; join some of them, or make several calls on a stream",
        ),
        (
            LengthOverflow,
            us_error::LengthOverflow,
            "a length is more than SSIZE_MAX; send the data in several calls",
        ),
        (
            TooManyDescriptors,
            us_error::TooManyDescriptors,
            "there are more than 126 descriptors; send them in several messages",
        ),
        (
            NotForReceiving,
            us_error::Unsupported,
            "a flag is unknown or is not for receiving; use US_DONTWAIT, US_PEEK and US_OOB",
        ),
        (
            FileIsNoSocket,
            us_error::NotSocket,
            "the descriptor was declared as US_KIND_FILE, which only us_sendfile and us_transfer take; use a socket",
        ),
        (
            AddressOfPeer,
            us_error::Unsupported,
            "only a datagram socket sends to an address; leave the address out, and the data goes to the peer",
        ),
        (
            AddressInLoop,
            us_error::Unsupported,
            "a datagram with an address is sent whole or not at all; use us_sendmsg",
        ),
        (
            ShortAddress,
            us_error::InvalidInput,
            "the address is shorter than a struct sockaddr of its family; use the size of that structure",
        ),
        (
            SourceOfOther,
            us_error::AddressFamily,
            "the source is not an IPv4 or IPv6 address; use a struct sockaddr_in or sockaddr_in6",
        ),
        (
            NegativeOffset,
            us_error::InvalidInput,
            "the offset is negative; use 0 or more, or US_POSITION for the file position of a us_transfer",
        ),
        (
            NegativeBytes,
            us_error::InvalidInput,
            "the number of bytes is negative; use 0 or more, or US_TO_END",
        ),
    ]
};

const _: () = assert!(unisend::limits::SLICES_PER_MESSAGE == 1024, "the number stands in a text above");
const _: () = assert!(unisend::limits::DESCRIPTORS_PER_MESSAGE == 126, "the number stands in a text above");

impl Refusal {
    /// Returns the kind of error that it is.
    #[must_use]
    pub fn kind(self) -> us_error {
        self.row().1
    }

    fn row(self) -> &'static (Self, us_error, &'static str) {
        TABLE.iter().find(|row| row.0 == self).expect("every refusal has a row")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: {}", self.row().2)
    }
}
