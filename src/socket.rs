use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};

use std::net::TcpStream;

use crate::error::Error;
use crate::platform::{self, contract::Operation, contract::SocketKind};

/// What a [`Socket`] or an [`Output`](crate::Output) borrows: a reference to anything that is [`AsFd`], or a
/// [`BorrowedFd`] itself, whose lifetime is kept.
///
/// ```
/// use std::os::fd::BorrowedFd;
/// use unisend::{Error, Socket};
///
/// fn probed(fd: BorrowedFd<'_>) -> Result<Socket<'_>, Error> {
///     Socket::probe(fd) // it outlives this function, as the descriptor does
/// }
/// ```
pub trait BorrowFd<'fd>: sealed::Sealed {
    /// The descriptor, for as long as it is borrowed.
    fn borrow_fd(self) -> BorrowedFd<'fd>;
}

impl<'fd, T: AsFd> BorrowFd<'fd> for &'fd T {
    #[inline]
    fn borrow_fd(self) -> BorrowedFd<'fd> {
        self.as_fd()
    }
}

impl<'fd, T: AsFd> BorrowFd<'fd> for &'fd mut T {
    #[inline]
    fn borrow_fd(self) -> BorrowedFd<'fd> {
        let shared: &'fd T = self;
        shared.as_fd()
    }
}

impl<'fd> BorrowFd<'fd> for BorrowedFd<'fd> {
    #[inline]
    fn borrow_fd(self) -> BorrowedFd<'fd> {
        self
    }
}

mod sealed {
    use std::os::fd::{AsFd, BorrowedFd};

    pub trait Sealed {}
    impl<T: AsFd> Sealed for &T {}
    impl<T: AsFd> Sealed for &mut T {}
    impl Sealed for BorrowedFd<'_> {}
}

/// A socket that is borrowed, with what it is.
///
/// What a socket is decides half of the contract, so it is declared once, by a constructor or a conversion
/// from a type of std that says it, or learnt once, by [`Socket::probe`]; never per call. A declaration makes
/// no system call. A wrong one gives wrong errors, never unsoundness.
///
/// A reference to any type that is [`AsFd`] will do: std's, tokio's, mio's, socket2's, or an `OwnedFd`. So will a
/// [`BorrowedFd`], whose lifetime the socket then has.
///
/// ```
/// use std::net::{TcpListener, TcpStream};
/// use unisend::{SendFlags, Socket, SocketKind};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let stream = TcpStream::connect(listener.local_addr()?)?;
///
/// let socket = Socket::tcp(&stream);
/// assert_eq!(socket.kind(), SocketKind::Tcp);
/// assert_eq!(socket.send(b"hello", SendFlags::empty())?, 5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Socket<'fd> {
    fd: BorrowedFd<'fd>,
    kind: SocketKind,
    send_buffer: Option<NonZeroUsize>,
}

impl<'fd> Socket<'fd> {
    /// A socket of this kind.
    #[must_use]
    #[inline]
    pub fn new(fd: impl BorrowFd<'fd>, kind: SocketKind) -> Self {
        Self { fd: fd.borrow_fd(), kind, send_buffer: None }
    }

    /// A TCP socket, of IPv4 or IPv6. Multipath TCP is [`other_stream`](Self::other_stream).
    #[must_use]
    #[inline]
    pub fn tcp(fd: impl BorrowFd<'fd>) -> Self {
        Self::new(fd, SocketKind::Tcp)
    }

    /// A UDP socket of IPv4.
    #[must_use]
    #[inline]
    pub fn udp_v4(fd: impl BorrowFd<'fd>) -> Datagram<'fd> {
        Datagram(Self::new(fd, SocketKind::UdpV4))
    }

    /// A UDP socket of IPv6.
    #[must_use]
    #[inline]
    pub fn udp_v6(fd: impl BorrowFd<'fd>) -> Datagram<'fd> {
        Datagram(Self::new(fd, SocketKind::UdpV6))
    }

    /// A unix stream socket.
    #[must_use]
    #[inline]
    pub fn unix_stream(fd: impl BorrowFd<'fd>) -> Self {
        Self::new(fd, SocketKind::UnixStream)
    }

    /// A unix datagram socket.
    #[must_use]
    #[inline]
    pub fn unix_datagram(fd: impl BorrowFd<'fd>) -> Datagram<'fd> {
        Datagram(Self::new(fd, SocketKind::UnixDatagram))
    }

    /// A unix socket of sequenced packets.
    #[must_use]
    #[inline]
    pub fn unix_seqpacket(fd: impl BorrowFd<'fd>) -> Self {
        Self::new(fd, SocketKind::UnixSeqpacket)
    }

    /// A stream of another family or protocol. It gets the kernel's own answers, and nothing is reconciled, but
    /// the loops and the end of file know that it is a stream.
    #[must_use]
    #[inline]
    pub fn other_stream(fd: impl BorrowFd<'fd>) -> Self {
        Self::new(fd, SocketKind::OtherStream)
    }

    /// A socket of any other kind. It gets the kernel's own answers, and nothing is reconciled.
    #[must_use]
    #[inline]
    pub fn other(fd: impl BorrowFd<'fd>) -> Self {
        Self::new(fd, SocketKind::Other)
    }

    /// Asks the kernel what the socket is, and how large its send buffer. Do it once and keep the answer.
    ///
    /// # System calls
    ///
    /// Four getsockopt(2). On OpenBSD pledge(2) must allow "inet" or "unix": under "stdio" alone the process
    /// is killed. Probe before the pledge, or declare.
    ///
    /// # Errors
    ///
    /// [`NotSocket`](crate::ErrorKind::NotSocket), and [`BadDescriptor`](crate::ErrorKind::BadDescriptor) for
    /// Linux's `O_PATH` descriptors.
    ///
    /// ```
    /// use std::net::UdpSocket;
    /// use unisend::{ErrorKind, Socket, SocketKind};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let udp = UdpSocket::bind("127.0.0.1:0")?;
    /// let socket = Socket::probe(&udp)?;
    /// assert_eq!(socket.kind(), SocketKind::UdpV4);
    ///
    /// let file = std::fs::File::open("/dev/null")?;
    /// assert_eq!(Socket::probe(&file).unwrap_err().kind(), ErrorKind::NotSocket);
    /// # Ok(())
    /// # }
    /// ```
    pub fn probe(fd: impl BorrowFd<'fd>) -> Result<Self, Error> {
        let fd = fd.borrow_fd();
        let (kind, send_buffer) =
            platform::probe(fd).map_err(|errno| Error::plain(Operation::Probe, errno))?;
        Ok(Self { fd, kind, send_buffer: NonZeroUsize::new(send_buffer) })
    }

    #[inline]
    pub(crate) fn fd(&self) -> BorrowedFd<'fd> {
        self.fd
    }

    /// What it is.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> SocketKind {
        self.kind
    }

    /// `SO_SNDBUF` in bytes as it was when the socket was probed; `None` if it was declared. Linux says twice
    /// what was set (clause B8: "differs").
    #[must_use]
    #[inline]
    pub fn send_buffer(&self) -> Option<usize> {
        self.send_buffer.map(NonZeroUsize::get)
    }

    /// The socket as one that has `send_to`, if it is of UDP or a unix datagram socket.
    ///
    /// ```
    /// use std::net::UdpSocket;
    /// use unisend::{SendFlags, Socket};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let receiver = UdpSocket::bind("127.0.0.1:0")?;
    /// let sender = UdpSocket::bind("127.0.0.1:0")?;
    /// let datagram = Socket::probe(&sender)?.as_datagram().expect("it is UDP");
    /// datagram.send_to(b"hello", &receiver.local_addr()?.into(), SendFlags::empty())?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[inline]
    pub fn as_datagram(&self) -> Option<Datagram<'fd>> {
        self.kind.is_datagram().then_some(Datagram(*self))
    }
}

impl fmt::Debug for Socket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("fd", &self.fd).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl AsFd for Socket<'_> {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd
    }
}

impl<'fd> From<&'fd TcpStream> for Socket<'fd> {
    #[inline]
    fn from(stream: &'fd TcpStream) -> Self {
        Self::tcp(stream)
    }
}

impl<'fd> From<&'fd UnixStream> for Socket<'fd> {
    #[inline]
    fn from(stream: &'fd UnixStream) -> Self {
        Self::unix_stream(stream)
    }
}

impl<'fd> From<&'fd UnixDatagram> for Socket<'fd> {
    #[inline]
    fn from(datagram: &'fd UnixDatagram) -> Self {
        Self::unix_datagram(datagram).0
    }
}

/// A [`Socket`] that sends datagrams, each to an [`Address`](crate::Address) of its own if need be: it has
/// [`send_to`](Self::send_to) besides all that a [`Socket`] has.
///
/// ```
/// use std::net::UdpSocket;
/// use unisend::{Address, SendFlags, Socket};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let receiver = UdpSocket::bind("127.0.0.1:0")?;
/// let sender = UdpSocket::bind("127.0.0.1:0")?;
/// let destination = Address::from(receiver.local_addr()?);
///
/// Socket::udp_v4(&sender).send_to(b"ping", &destination, SendFlags::empty())?;
///
/// let mut buffer = [0; 16];
/// assert_eq!(receiver.recv(&mut buffer)?, 4);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'fd>(Socket<'fd>);

impl<'fd> Deref for Datagram<'fd> {
    type Target = Socket<'fd>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'fd> From<&'fd UnixDatagram> for Datagram<'fd> {
    #[inline]
    fn from(datagram: &'fd UnixDatagram) -> Self {
        Socket::unix_datagram(datagram)
    }
}

impl<'fd> From<Datagram<'fd>> for Socket<'fd> {
    #[inline]
    fn from(datagram: Datagram<'fd>) -> Self {
        datagram.0
    }
}

impl AsFd for Datagram<'_> {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd
    }
}
