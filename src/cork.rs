use crate::error::Error;
use crate::platform::Corked;
use crate::platform::contract::{Operation, Refusal, SocketKind};
use crate::socket::SocketRef;

/// Joins what several calls send on a TCP connection, while it lives (clause T10).
///
/// A segment that is not full waits for more data until the cork is dropped. It is for data that is sent in several
/// calls, such as lines from several places. A header, a file and a trailer are sent together by a
/// [`Transfer`](crate::Transfer), without a cork, and slices by
/// [`send_vectored`](SocketRef::send_vectored), which is faster.
///
/// The cork is always removed: at the end of the scope, at an early return, and when the thread panics. If the connection
/// was corked before, the new cork has no effect, so corks can be nested. A unix stream has no segments, and nothing is done.
///
/// # What each kernel does
///
/// - Linux (`TCP_CORK`) keeps a segment back for at most 200 ms.
/// - OpenBSD (`TCP_NOPUSH`) keeps it back for at most 5 s. When the cork is dropped, Nagle's algorithm still applies: without
///   `TCP_NODELAY`, a part can wait until the peer acknowledges what was sent before.
///
/// # System calls
///
/// One getsockopt(2) and two setsockopt(2) on TCP. On OpenBSD pledge(2) needs "inet".
///
/// # Errors
///
/// [`Unsupported`](crate::ErrorKind::Unsupported) for a socket that is not a stream. From the kernel, if the socket is
/// declared as TCP and is none: `Unsupported`, `NotSocket` or `BadDescriptor`.
///
/// Sources: tcp(7) of Linux, tcp(4) of OpenBSD, and runs on both kernels.
///
/// # Examples
///
/// ```
/// use std::io::Read;
/// use std::net::{TcpListener, TcpStream};
/// use unisend::{Cork, SendFlags, SocketRef};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let stream = TcpStream::connect(listener.local_addr()?)?;
/// let (mut peer, _) = listener.accept()?;
/// let socket = SocketRef::from(&stream);
///
/// let cork = Cork::new(&socket)?;
/// for line in ["one\n", "two\n", "three\n"] {
///     socket.send_all(line.as_bytes(), SendFlags::empty())?;
/// }
/// drop(cork); // all three lines leave in one segment
///
/// let mut received = [0; 14];
/// peer.read_exact(&mut received)?;
/// assert_eq!(&received, b"one\ntwo\nthree\n");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the connection is corked only while the cork lives"]
pub struct Cork<'fd> {
    _corked: Option<Corked<'fd>>,
}

impl<'fd> Cork<'fd> {
    /// Corks a connection.
    ///
    /// # Errors
    ///
    /// Those of [`Cork`].
    pub fn new(socket: &SocketRef<'fd>) -> Result<Self, Error> {
        const OPERATION: Operation = Operation::Cork;
        if !socket.kind().is_stream() {
            return Err(Error::refused(OPERATION, Refusal::CorkOfStreams));
        }
        let corked = match socket.kind() {
            SocketKind::Tcp => Corked::new(socket.fd()).map_err(|errno| Error::plain(OPERATION, errno))?,
            _ => None,
        };
        Ok(Self { _corked: corked })
    }
}
