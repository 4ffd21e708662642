//! What C must agree with: the layout of the structures, the numbers, and the types of the functions, as Rust has
//! them. ci/capi.py reads the table from this program, which need not run for that, and has a C compiler compare
//! each row with the header.

use std::collections::HashSet;
use std::ffi::{c_char, c_int, c_uchar, c_uint, c_void};
use std::hint::black_box;
use std::mem::offset_of;

use libc::{iovec, sockaddr, socklen_t, ssize_t};
use unisend_capi::*;

/// The C types of the functions. Each has a name of its own here, in both languages.
macro_rules! c_types {
    ($($name:ident = $rust:ty = $c:literal;)*) => {
        $(type $name = $rust;)*
        macro_rules! in_c { $(($name) => { $c };)* }
    };
}

c_types! {
    Socket = *const us_socket = "const struct us_socket *";
    SocketOut = *mut us_socket = "struct us_socket *";
    Message = *const us_message = "const struct us_message *";
    ReceivedOut = *mut us_received = "struct us_received *";
    TransferOut = *mut us_transfer = "struct us_transfer *";
    ErrorKind = us_error = "enum us_error";
    Data = *const c_void = "const void *";
    Buffers = *const iovec = "const struct iovec *";
    Name = *const sockaddr = "const struct sockaddr *";
    NameSize = socklen_t = "socklen_t";
    Size = usize = "size_t";
    SizeOut = *mut usize = "size_t *";
    OffsetOut = *mut i64 = "int64_t *";
    Count = ssize_t = "ssize_t";
    Int = c_int = "int";
    IntsOut = *mut c_int = "int *";
    Flags = c_uint = "unsigned int";
    Text = *const c_char = "const char *";
    TextOut = *mut c_char = "char *";
}

/// A row of the table: an expression of C, and its value.
#[derive(Clone, Copy)]
#[repr(C)]
struct Row {
    c: [u8; 248],
    value: [u8; 8],
}

const fn row(c: &str, value: i64) -> Row {
    let mut text = [0; 248];
    let mut at = 0;
    while at < c.len() {
        text[at] = c.as_bytes()[at];
        at += 1;
    }
    Row { c: text, value: value.to_le_bytes() }
}

macro_rules! layout {
    ($name:ident, $c:literal: $($field:ident)*) => {{
        // Every field is named.
        const _: fn($name) = |$name { $($field: _),* }| ();
        const ROWS: &[Row] = &[
            row(concat!("sizeof(", $c, ")"), size_of::<$name>() as i64),
            row(concat!("_Alignof(", $c, ")"), align_of::<$name>() as i64),
            $(
                row(concat!("offsetof(", $c, ", ", stringify!($field), ")"), offset_of!($name, $field) as i64),
                row(
                    concat!("sizeof(((", $c, " *)0)->", stringify!($field), ")"),
                    size_of_field(|whole: &$name| &raw const whole.$field) as i64,
                ),
            )*
        ];
        ROWS
    }};
}

const fn size_of_field<Whole, Field>(_: fn(&Whole) -> *const Field) -> usize {
    size_of::<Field>()
}

macro_rules! function {
    ($kind:ty, $name:ident($($argument:ident),*) -> $result:ident) => {{
        const _: $kind = $name;
        row(
            concat!("_Generic(&", stringify!($name), ", ", in_c!($result), " (*)(", function!(@ $($argument),*), "): 1, default: 0)"),
            1,
        )
    }};
    (@) => { "void" };
    (@ $first:ident $(, $rest:ident)*) => { concat!(in_c!($first) $(, ", ", in_c!($rest))*) };
}

macro_rules! functions {
    ($($name:ident($($argument:ident),*) -> $result:ident;)*) => {
        &[$(function!(unsafe extern "C" fn($($argument),*) -> $result, $name($($argument),*) -> $result),)*]
    };
}

macro_rules! numbers {
    ($($c:literal = $rust:expr;)*) => { &[$(row($c, $rust as i64),)*] };
}

const PARTS: &[&[Row]] = &[
    layout!(us_socket, "struct us_socket": fd kind send_buffer),
    layout!(us_message, "struct us_message": name namelen iov iovcnt fds nfds source sourcelen traffic_class),
    layout!(us_received, "struct us_received": iov iovcnt fds maxfds name namesize nfds namelen flags traffic_class hop_limit),
    layout!(us_transfer, "struct us_transfer": fd offset count header headercnt trailer trailercnt fds nfds buffer buflen
        done sent_header sent_file sent_trailer missing),
    layout!(iovec, "struct iovec": iov_base iov_len),
    functions! {
        us_probe(SocketOut, Int) -> Int;
        us_declare(SocketOut, Int, Int) -> Int;
        us_send(Socket, Data, Size, Flags) -> Count;
        us_sendv(Socket, Buffers, Int, Flags) -> Count;
        us_sendto(Socket, Data, Size, Flags, Name, NameSize) -> Count;
        us_sendmsg(Socket, Message, Flags) -> Count;
        us_sendall(Socket, Data, Size, Flags, SizeOut) -> Int;
        us_sendallv(Socket, Buffers, Int, Flags, SizeOut) -> Int;
        us_sendallmsg(Socket, Message, Flags, SizeOut) -> Int;
        us_recvmsg(Socket, ReceivedOut, Flags) -> Count;
        us_sendfile(Socket, Int, OffsetOut, Size) -> Count;
        us_transfer(Socket, TransferOut) -> Int;
        us_transferall(Socket, TransferOut) -> Int;
        us_seqpacket_pair(IntsOut) -> Int;
        us_seqpacket_listen(Name, NameSize) -> Int;
        us_seqpacket_accept(Int) -> Int;
        us_seqpacket_connect(Name, NameSize) -> Int;
        us_last_error() -> ErrorKind;
        us_last_errno() -> Int;
        us_may_have_sent() -> Int;
        us_error_text(TextOut, Size) -> Size;
        us_error_name(Int) -> Text;
        us_error_errno(Int) -> Int;
    },
    numbers! {
        "sizeof(size_t)" = size_of::<usize>();
        "sizeof(ssize_t)" = size_of::<ssize_t>();
        "sizeof(socklen_t)" = size_of::<socklen_t>();
        "sizeof(unsigned char)" = size_of::<c_uchar>();
        "sizeof(enum us_error)" = size_of::<us_error>();
        "sizeof(enum us_kind)" = size_of::<us_kind>();
        "US_OOB" = US_OOB;
        "US_DONTROUTE" = US_DONTROUTE;
        "US_DONTWAIT" = US_DONTWAIT;
        "US_EOR" = US_EOR;
        "US_MORE" = US_MORE;
        "US_CONFIRM" = US_CONFIRM;
        "US_PEEK" = US_PEEK;
        "US_V4MAPPED" = US_V4MAPPED;
        "US_TRUNC" = US_TRUNC;
        "US_FDLOST" = US_FDLOST;
        "US_EOF" = US_EOF;
        "US_POSITION" = US_POSITION;
        "US_TO_END" = US_TO_END;
        "US_KIND_TCP" = us_kind::Tcp;
        "US_KIND_UDP_V4" = us_kind::UdpV4;
        "US_KIND_UDP_V6" = us_kind::UdpV6;
        "US_KIND_UNIX_STREAM" = us_kind::UnixStream;
        "US_KIND_UNIX_DATAGRAM" = us_kind::UnixDatagram;
        "US_KIND_UNIX_SEQPACKET" = us_kind::UnixSeqpacket;
        "US_KIND_OTHER_STREAM" = us_kind::OtherStream;
        "US_KIND_OTHER" = us_kind::Other;
        "US_KIND_FILE" = us_kind::File;
        "US_ERROR_NONE" = us_error::None;
        "US_ERROR_OTHER" = us_error::Other;
        "US_ERROR_WOULD_BLOCK" = us_error::WouldBlock;
        "US_ERROR_CONNECTING" = us_error::Connecting;
        "US_ERROR_INTERRUPTED" = us_error::Interrupted;
        "US_ERROR_NOT_CONNECTED" = us_error::NotConnected;
        "US_ERROR_DISCONNECTED" = us_error::Disconnected;
        "US_ERROR_RESET" = us_error::Reset;
        "US_ERROR_REFUSED" = us_error::Refused;
        "US_ERROR_TIMED_OUT" = us_error::TimedOut;
        "US_ERROR_ABORTED" = us_error::Aborted;
        "US_ERROR_DESTINATION_REQUIRED" = us_error::DestinationRequired;
        "US_ERROR_ALREADY_CONNECTED" = us_error::AlreadyConnected;
        "US_ERROR_MESSAGE_TOO_LONG" = us_error::MessageTooLong;
        "US_ERROR_TOO_MANY_SLICES" = us_error::TooManySlices;
        "US_ERROR_LENGTH_OVERFLOW" = us_error::LengthOverflow;
        "US_ERROR_EMPTY_RECORD" = us_error::EmptyRecord;
        "US_ERROR_TOO_MANY_DESCRIPTORS" = us_error::TooManyDescriptors;
        "US_ERROR_DESCRIPTORS_WITHOUT_DATA" = us_error::DescriptorsWithoutData;
        "US_ERROR_DESCRIPTORS_IN_FLIGHT" = us_error::DescriptorsInFlight;
        "US_ERROR_DESCRIPTORS_LOST" = us_error::DescriptorsLost;
        "US_ERROR_TOO_MANY_OPEN_FILES" = us_error::TooManyOpenFiles;
        "US_ERROR_NO_BUFFER_SPACE" = us_error::NoBufferSpace;
        "US_ERROR_OUT_OF_MEMORY" = us_error::OutOfMemory;
        "US_ERROR_UNREACHABLE" = us_error::Unreachable;
        "US_ERROR_NETWORK_DOWN" = us_error::NetworkDown;
        "US_ERROR_ADDRESS_NOT_AVAILABLE" = us_error::AddressNotAvailable;
        "US_ERROR_ADDRESS_IN_USE" = us_error::AddressInUse;
        "US_ERROR_ADDRESS_FAMILY" = us_error::AddressFamily;
        "US_ERROR_PERMISSION_DENIED" = us_error::PermissionDenied;
        "US_ERROR_NOT_FOUND" = us_error::NotFound;
        "US_ERROR_BAD_PATH" = us_error::BadPath;
        "US_ERROR_WRONG_SOCKET_TYPE" = us_error::WrongSocketType;
        "US_ERROR_NOT_SOCKET" = us_error::NotSocket;
        "US_ERROR_BAD_DESCRIPTOR" = us_error::BadDescriptor;
        "US_ERROR_UNSUPPORTED" = us_error::Unsupported;
        "US_ERROR_INVALID_INPUT" = us_error::InvalidInput;
        "US_ERROR_IO" = us_error::Io;
    },
];

const COUNT: usize = {
    let (mut count, mut part) = (0, 0);
    while part < PARTS.len() {
        count += PARTS[part].len();
        part += 1;
    }
    count
};

/// The rows follow the mark, and a row without an expression follows them.
#[repr(C)]
struct Table {
    mark: [u8; 32],
    rows: [Row; COUNT + 1],
}

static TABLE: Table = {
    let mut rows = [row("", 0); COUNT + 1];
    let (mut count, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut at = 0;
        while at < PARTS[part].len() {
            rows[count] = PARTS[part][at];
            count += 1;
            at += 1;
        }
        part += 1;
    }
    Table { mark: *b"the ABI of libunisend, in rows: ", rows }
};

#[test]
fn the_table_has_each_expression_once() {
    let table = black_box(&TABLE);
    let expressions: HashSet<_> = table.rows.iter().map(|row| row.c).collect();
    assert_eq!((expressions.len(), table.mark.len()), (COUNT + 1, 32));
    assert_eq!(table.rows[COUNT].c, [0; 248]);
}
