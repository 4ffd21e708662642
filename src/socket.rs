use std::fmt;
use std::marker::PhantomData;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};

use crate::error::Error;
use crate::platform::contract::{Operation, Refusal, SocketKind};
use crate::platform::{self, RawErrno};
use crate::seqpacket::UnixSeqpacket;

/// Borrows a descriptor for as long as the original borrow lasts.
///
/// A [`SocketRef`] or an [`Output`](crate::Output) can be made from a reference to any type that implements
/// [`AsFd`], or from a [`BorrowedFd`], whose lifetime is kept. This trait is sealed.
///
/// # Examples
///
/// ```
/// use std::os::fd::BorrowedFd;
/// use unisend::{Error, SocketRef};
///
/// fn probed(fd: BorrowedFd<'_>) -> Result<SocketRef<'_>, Error> {
///     SocketRef::probe(fd) // its lifetime is that of the descriptor
/// }
/// ```
pub trait BorrowFd<'fd>: sealed::Sealed {
    /// Returns the descriptor, for as long as it is borrowed.
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
    use std::net::TcpStream;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::{UnixDatagram, UnixStream};

    pub trait Sealed {}
    impl<T: AsFd> Sealed for &T {}
    impl<T: AsFd> Sealed for &mut T {}
    impl Sealed for BorrowedFd<'_> {}

    pub trait Known {}
    impl Known for TcpStream {}
    impl Known for UnixStream {}
    impl Known for UnixDatagram {}
    impl Known for crate::UnixSeqpacket {}
}

/// A borrowed socket, with its kind.
///
/// The kind decides which flags a socket honours, which addresses it can send to, and what an errno means. It
/// is declared once, by a constructor or by a conversion from a type of std, or the kernel is asked for it
/// once, by [`SocketRef::probe`]. A declaration makes no system call. A wrong declaration leads to wrong
/// errors, but is never unsound.
///
/// The constructors take a reference to any type that implements [`AsFd`]: a socket of std, tokio, mio or
/// socket2, or an `OwnedFd`. They also take a [`BorrowedFd`], whose lifetime the `SocketRef` then has.
///
/// A `SocketRef<'_, DatagramSocket>` can also send to an address, with [`send_to`](SocketRef::send_to) and
/// [`Message::send_to`](crate::Message::send_to).
///
/// # Examples
///
/// ```
/// use std::net::{TcpListener, TcpStream};
/// use unisend::{SendFlags, SocketKind, SocketRef};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let stream = TcpStream::connect(listener.local_addr()?)?;
///
/// let socket = SocketRef::tcp(&stream);
/// assert_eq!(socket.kind(), SocketKind::Tcp);
/// assert_eq!(socket.send(b"hello", SendFlags::empty())?, 5);
/// # Ok(())
/// # }
/// ```
pub struct SocketRef<'fd, Sort = AnySocket> {
    fd: BorrowedFd<'fd>,
    kind: SocketKind,
    send_buffer: Option<NonZeroUsize>,
    sort: PhantomData<fn() -> Sort>,
}

/// The type parameter of a [`SocketRef`] of any kind, which can send to its peer only.
#[derive(Debug)]
pub enum AnySocket {}

/// The type parameter of a [`SocketRef`] that sends datagrams, to its peer or to an
/// [`Address`](crate::Address).
///
/// # Examples
///
/// ```
/// use std::net::UdpSocket;
/// use unisend::{Address, DatagramSocket, Error, SendFlags, SocketRef};
///
/// fn ping(socket: &SocketRef<'_, DatagramSocket>, to: &Address) -> Result<usize, Error> {
///     socket.send_to(b"ping", to, SendFlags::empty())
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let receiver = UdpSocket::bind("127.0.0.1:0")?;
/// let sender = UdpSocket::bind("127.0.0.1:0")?;
/// assert_eq!(ping(&SocketRef::udp_v4(&sender), &receiver.local_addr()?.into())?, 4);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub enum DatagramSocket {}

impl<'fd> SocketRef<'fd> {
    /// Declares a socket of this kind.
    #[must_use]
    #[inline]
    pub fn new(fd: impl BorrowFd<'fd>, kind: SocketKind) -> Self {
        Self::declared(fd, kind)
    }

    /// Declares a TCP socket, over IPv4 or IPv6.
    ///
    /// A socket of multipath TCP is declared by [`other_stream`](Self::other_stream).
    #[must_use]
    #[inline]
    pub fn tcp(fd: impl BorrowFd<'fd>) -> Self {
        Self::declared(fd, SocketKind::Tcp)
    }

    /// Declares a UDP socket over IPv4.
    #[must_use]
    #[inline]
    pub fn udp_v4(fd: impl BorrowFd<'fd>) -> SocketRef<'fd, DatagramSocket> {
        SocketRef::declared(fd, SocketKind::UdpV4)
    }

    /// Declares a UDP socket over IPv6.
    #[must_use]
    #[inline]
    pub fn udp_v6(fd: impl BorrowFd<'fd>) -> SocketRef<'fd, DatagramSocket> {
        SocketRef::declared(fd, SocketKind::UdpV6)
    }

    /// Declares a unix stream socket.
    #[must_use]
    #[inline]
    pub fn unix_stream(fd: impl BorrowFd<'fd>) -> Self {
        Self::declared(fd, SocketKind::UnixStream)
    }

    /// Declares a unix datagram socket.
    #[must_use]
    #[inline]
    pub fn unix_datagram(fd: impl BorrowFd<'fd>) -> SocketRef<'fd, DatagramSocket> {
        SocketRef::declared(fd, SocketKind::UnixDatagram)
    }

    /// Declares a unix socket of sequenced packets.
    #[must_use]
    #[inline]
    pub fn unix_seqpacket(fd: impl BorrowFd<'fd>) -> Self {
        Self::declared(fd, SocketKind::UnixSeqpacket)
    }

    /// Declares a stream socket of another family or protocol.
    ///
    /// Each errno has its plain meaning, and nothing is reconciled. The calls that send everything, and
    /// [`Received::is_end_of_file`](crate::Received::is_end_of_file), treat the socket as a stream.
    #[must_use]
    #[inline]
    pub fn other_stream(fd: impl BorrowFd<'fd>) -> Self {
        Self::declared(fd, SocketKind::OtherStream)
    }

    /// Declares a socket of any other kind.
    ///
    /// Each errno has its plain meaning, and nothing is reconciled. If it sends datagrams to addresses, declare
    /// it by [`other_datagram`](Self::other_datagram).
    #[must_use]
    #[inline]
    pub fn other(fd: impl BorrowFd<'fd>) -> Self {
        Self::declared(fd, SocketKind::Other)
    }

    /// Declares a socket of datagrams of any other kind, such as netlink, UDP-Lite, raw or ICMP.
    ///
    /// It can send to any [`Address`](crate::Address), also to one of another family, which is made of its
    /// bytes ([`Address::from_sockaddr_bytes`](crate::Address::from_sockaddr_bytes)). The address is passed to
    /// the kernel as it is, and the kernel decides: port 0, the unspecified address and IPv4-mapped addresses
    /// are not refused (clause O1). Each errno has its plain meaning, and nothing is reconciled. A source, descriptors and
    /// [`receive_destinations`](SocketRef::receive_destinations) are refused as
    /// [`Unsupported`](crate::ErrorKind::Unsupported).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::IoSliceMut;
    /// use std::net::UdpSocket;
    /// use unisend::{ControlBuffer, ReceiveFlags, SendFlags, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // This stands for a socket of UDP-Lite.
    /// let server = UdpSocket::bind("127.0.0.1:0")?;
    /// let client = UdpSocket::bind("127.0.0.1:0")?;
    /// client.send_to(b"ping", server.local_addr()?)?;
    ///
    /// let socket = SocketRef::other_datagram(&server);
    /// let mut control = ControlBuffer::new();
    /// let mut buffer = [0; 1500];
    /// let mut slices = [IoSliceMut::new(&mut buffer)];
    /// let received = socket.receive(&mut slices, &mut control, ReceiveFlags::empty())?;
    /// if let Some(sender) = received.sender() {
    ///     socket.send_to(b"pong", &sender, SendFlags::empty())?;
    /// }
    /// # assert_eq!(client.recv(&mut [0; 10])?, 4);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[inline]
    pub fn other_datagram(fd: impl BorrowFd<'fd>) -> SocketRef<'fd, DatagramSocket> {
        SocketRef::declared(fd, SocketKind::Other)
    }

    /// Asks the kernel for the kind of the socket and the size of its send buffer.
    ///
    /// Call it once for a socket, and keep the answer.
    ///
    /// # System calls
    ///
    /// Four getsockopt(2). On OpenBSD pledge(2) must allow "inet" or "unix"; under "stdio" alone the process
    /// is killed. Call this before pledge(2), or declare the socket.
    ///
    /// # Errors
    ///
    /// [`NotSocket`](crate::ErrorKind::NotSocket) if the descriptor is not a socket, and
    /// [`BadDescriptor`](crate::ErrorKind::BadDescriptor) if it was opened with Linux's `O_PATH`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::UdpSocket;
    /// use unisend::{ErrorKind, SocketRef, SocketKind};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let udp = UdpSocket::bind("127.0.0.1:0")?;
    /// let socket = SocketRef::probe(&udp)?;
    /// assert_eq!(socket.kind(), SocketKind::UdpV4);
    ///
    /// let file = std::fs::File::open("/dev/null")?;
    /// assert_eq!(SocketRef::probe(&file).unwrap_err().kind(), ErrorKind::NotSocket);
    /// # Ok(())
    /// # }
    /// ```
    pub fn probe(fd: impl BorrowFd<'fd>) -> Result<Self, Error> {
        let fd = fd.borrow_fd();
        let (kind, send_buffer) =
            platform::probe(fd).map_err(|errno| Error::plain(Operation::Probe, errno))?;
        Ok(Self { send_buffer: NonZeroUsize::new(send_buffer), ..Self::declared(fd, kind) })
    }
}

impl<'fd, Sort> SocketRef<'fd, Sort> {
    #[inline]
    fn declared(fd: impl BorrowFd<'fd>, kind: SocketKind) -> Self {
        Self { fd: fd.borrow_fd(), kind, send_buffer: None, sort: PhantomData }
    }

    #[inline]
    pub(crate) fn fd(&self) -> BorrowedFd<'fd> {
        self.fd
    }

    /// Returns the kind of the socket.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> SocketKind {
        self.kind
    }

    /// Returns the size of the send buffer (`SO_SNDBUF`) in bytes.
    ///
    /// It is the size at the time when the socket was probed, or `None` if the socket was declared. On Linux
    /// it is twice the size that was set (clause B8: "differs").
    #[must_use]
    #[inline]
    pub fn send_buffer(&self) -> Option<usize> {
        self.send_buffer.map(NonZeroUsize::get)
    }

    /// Returns the same socket with this size of its send buffer, which was learnt earlier; 0 if it is not known.
    ///
    /// It is for a program that cannot keep a probed `SocketRef`, because it keeps no borrow. With the size, a
    /// message that can never fit beside its descriptors is refused before the call (clause R13b).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use unisend::SocketRef;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let probed = SocketRef::probe(&ours)?;
    /// let (kind, send_buffer) = (probed.kind(), probed.send_buffer().unwrap_or(0));
    ///
    /// let later = SocketRef::new(&ours, kind).with_send_buffer(send_buffer);
    /// assert_eq!(later.send_buffer(), probed.send_buffer());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[inline]
    pub fn with_send_buffer(self, bytes: usize) -> Self {
        Self { send_buffer: NonZeroUsize::new(bytes), ..self }
    }

    /// Returns the same socket as one that can send to an address, or `None` if its kind is not UDP or unix
    /// datagram.
    ///
    /// A socket of kind [`Other`](SocketKind::Other) may not be one of datagrams: if it is, declare it by
    /// [`other_datagram`](SocketRef::other_datagram).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::UdpSocket;
    /// use unisend::{SendFlags, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let receiver = UdpSocket::bind("127.0.0.1:0")?;
    /// let sender = UdpSocket::bind("127.0.0.1:0")?;
    /// let datagram = SocketRef::probe(&sender)?.as_datagram().expect("it is a UDP socket");
    /// datagram.send_to(b"hello", &receiver.local_addr()?.into(), SendFlags::empty())?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[inline]
    pub fn as_datagram(&self) -> Option<SocketRef<'fd, DatagramSocket>> {
        self.kind.is_datagram().then_some(self.as_sort())
    }

    #[inline]
    fn as_sort<Other>(&self) -> SocketRef<'fd, Other> {
        SocketRef { fd: self.fd, kind: self.kind, send_buffer: self.send_buffer, sort: PhantomData }
    }
}

impl<'fd> From<SocketRef<'fd, DatagramSocket>> for SocketRef<'fd> {
    #[inline]
    fn from(datagram: SocketRef<'fd, DatagramSocket>) -> Self {
        datagram.as_sort()
    }
}

impl<Sort> Clone for SocketRef<'_, Sort> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<Sort> Copy for SocketRef<'_, Sort> {}

impl<Sort> fmt::Debug for SocketRef<'_, Sort> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketRef").field("fd", &self.fd).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<Sort> AsFd for SocketRef<'_, Sort> {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd
    }
}

/// A socket type that determines the kind of its sockets.
///
/// These are std's `TcpStream`, `UnixStream` and `UnixDatagram`, and [`UnixSeqpacket`]. A reference to one is converted to a
/// [`SocketRef`] by `from`. This trait is sealed.
///
/// A socket of another type is declared or probed. For a `TcpStream` of mio or tokio, call
/// `SocketRef::tcp(&stream)`. A `Socket` of socket2 can be of any kind. For std's `UdpSocket` there is a
/// `TryFrom`, which asks the kernel for the address family.
///
/// # Examples
///
/// ```compile_fail,E0277
/// # mod mio {
/// #     pub struct TcpStream(std::net::TcpStream);
/// #     impl std::os::fd::AsFd for TcpStream {
/// #         fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
/// #             self.0.as_fd()
/// #         }
/// #     }
/// # }
/// fn socket(stream: &mio::TcpStream) -> unisend::SocketRef<'_> {
///     unisend::SocketRef::from(stream) // the compiler suggests `SocketRef::tcp(&socket)`
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what kind of socket it is",
    label = "unisend does not know this type",
    note = "declare what it is: `SocketRef::tcp(&socket)`, `SocketRef::unix_stream(&socket)`, ..., `SocketRef::other(&socket)`",
    note = "or ask the kernel, once: `SocketRef::probe(&socket)?`; for std's `UdpSocket`: `SocketRef::try_from(&socket)?`"
)]
pub trait KnownSocket: AsFd + sealed::Known {
    /// [`DatagramSocket`] if its sockets send datagrams, otherwise [`AnySocket`].
    type Sort;
    /// The kind of its sockets.
    const KIND: SocketKind;
}

impl KnownSocket for TcpStream {
    type Sort = AnySocket;
    const KIND: SocketKind = SocketKind::Tcp;
}

impl KnownSocket for UnixStream {
    type Sort = AnySocket;
    const KIND: SocketKind = SocketKind::UnixStream;
}

impl KnownSocket for UnixDatagram {
    type Sort = DatagramSocket;
    const KIND: SocketKind = SocketKind::UnixDatagram;
}

impl KnownSocket for UnixSeqpacket {
    type Sort = AnySocket;
    const KIND: SocketKind = SocketKind::UnixSeqpacket;
}

impl<'fd, Known: KnownSocket> From<&'fd Known> for SocketRef<'fd, Known::Sort> {
    #[inline]
    fn from(socket: &'fd Known) -> Self {
        Self::declared(socket, Known::KIND)
    }
}

impl<'fd> TryFrom<&'fd UdpSocket> for SocketRef<'fd, DatagramSocket> {
    type Error = Error;

    /// Declares a UDP socket over IPv4 or over IPv6, whichever its local address is.
    ///
    /// # System calls
    ///
    /// One getsockname(2). On OpenBSD pledge(2) needs "stdio".
    ///
    /// # Errors
    ///
    /// std makes a `UdpSocket` of any descriptor. [`AddressFamily`](crate::ErrorKind::AddressFamily) if it is
    /// a socket of another family, and [`NotSocket`](crate::ErrorKind::NotSocket) if it is not a socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::UdpSocket;
    /// use unisend::{SocketKind, SocketRef};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let udp = UdpSocket::bind("127.0.0.1:0")?;
    /// assert_eq!(SocketRef::try_from(&udp)?.kind(), SocketKind::UdpV4);
    /// # Ok(())
    /// # }
    /// ```
    fn try_from(socket: &'fd UdpSocket) -> Result<Self, Error> {
        match socket.local_addr() {
            Ok(SocketAddr::V4(_)) => Ok(SocketRef::udp_v4(socket)),
            Ok(SocketAddr::V6(_)) => Ok(SocketRef::udp_v6(socket)),
            Err(error) => Err(error.raw_os_error().map_or_else(
                || Error::refused(Operation::Probe, Refusal::NotInternet),
                |errno| Error::plain(Operation::Probe, RawErrno::from_number(errno)),
            )),
        }
    }
}
