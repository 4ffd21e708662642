use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::time::Duration;
use std::{fmt, io};

use crate::address::Address;
use crate::error::Error;
use crate::platform::contract::{Operation, SocketKind};
use crate::platform::{self, RawErrno};

/// A unix socket of sequenced packets (`SOCK_SEQPACKET`), which is connected.
///
/// It has a connection, as a stream has, and keeps the boundaries of records, as a datagram socket does: each send is one
/// record, and each receive returns one. Records arrive in order, and none is lost. std has no such type.
///
/// Everything is sent and received by a [`SocketRef`](crate::SocketRef), to which a reference is converted:
/// `SocketRef::from(&socket)`. It also tells the [credentials](crate::SocketRef::peer_credentials) of the peer.
///
/// A socket is close-on-exec from the start (clause K1), and its calls wait, until
/// [`set_nonblocking`](Self::set_nonblocking) says otherwise.
///
/// # Examples
///
/// ```
/// use std::io::IoSliceMut;
/// use unisend::{ControlBuffer, ReceiveFlags, SendFlags, SocketRef, UnixSeqpacket};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (parent, child) = UnixSeqpacket::pair()?;
/// let (parent, child) = (SocketRef::from(&parent), SocketRef::from(&child));
/// parent.send(b"open", SendFlags::empty())?;
/// parent.send(b"/etc/services", SendFlags::empty())?;
///
/// let (mut control, mut record) = (ControlBuffer::new(), [0; 1000]);
/// for expected in [&b"open"[..], b"/etc/services"] {
///     let mut slices = [IoSliceMut::new(&mut record)];
///     let count = child.receive(&mut slices, &mut control, ReceiveFlags::empty())?.bytes();
///     assert_eq!(&record[..count], expected);
/// }
/// # Ok(())
/// # }
/// ```
// std's type is any descriptor, and has the options.
pub struct UnixSeqpacket(UnixDatagram);

/// A unix socket of sequenced packets that listens for connections.
///
/// It is close-on-exec from the start (clause K1). Its path stays when it is closed: remove it.
///
/// # Examples
///
/// ```
/// use unisend::{Address, SendFlags, SocketRef, UnixSeqpacket, UnixSeqpacketListener};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let path = Address::unix(directory.path().join("control"))?;
/// let listener = UnixSeqpacketListener::bind(&path)?;
///
/// let client = UnixSeqpacket::connect(&path)?;
/// SocketRef::from(&client).send(b"status", SendFlags::empty())?;
///
/// let server = listener.accept()?;
/// assert_eq!(server.local_address()?.as_ref(), Some(&path));
/// let peer = SocketRef::from(&server).peer_credentials()?;
/// assert_eq!(peer.process, Some(std::process::id()));
/// # Ok(())
/// # }
/// ```
pub struct UnixSeqpacketListener(UnixListener);

impl UnixSeqpacket {
    /// Creates two sockets that are connected to each other. They have no names.
    ///
    /// # System calls
    ///
    /// One socketpair(2). On OpenBSD pledge(2) needs "stdio".
    ///
    /// # Errors
    ///
    /// [`TooManyOpenFiles`](crate::ErrorKind::TooManyOpenFiles) (clause K8),
    /// [`NoBufferSpace`](crate::ErrorKind::NoBufferSpace) and [`OutOfMemory`](crate::ErrorKind::OutOfMemory).
    ///
    /// Sources: POSIX.1-2024 socketpair(), and runs on Linux.
    pub fn pair() -> Result<(Self, Self), Error> {
        let [one, other] =
            platform::seqpacket_pair().map_err(|errno| Error::of_new_descriptor(Operation::Pair, errno))?;
        Ok((one.into(), other.into()))
    }

    /// Connects to a listener. The socket has no name of its own.
    ///
    /// It does not wait: the connection is there when the call returns, and data can be sent before the listener accepts
    /// it (clause K4). If the queue of the listener is full, the call fails at once, on Linux too, where connect(2)
    /// would wait (clause K5). A program that expects this tries again after some time. On OpenBSD the call can also be
    /// `Refused` if the system is short of buffers, or if the server accepts and closes before the call returns.
    ///
    /// # System calls
    ///
    /// A socket(2), a connect(2) and a fcntl(2). On OpenBSD pledge(2) needs "unix".
    ///
    /// # Errors
    ///
    /// Before the call: [`AddressFamily`](crate::ErrorKind::AddressFamily) if the address is not that of a unix socket.
    /// From the kernel:
    ///
    /// | kind | when | clauses |
    /// |---|---|---|
    /// | `Refused` | nobody listens there, the path is not that of a socket, or the queue of the listener is full | K3, K3c, K5 |
    /// | `NotFound`, `BadPath` | the path does not exist, or cannot be followed | K3 |
    /// | `WrongSocketType` | a socket of another type has the path (an abstract name has each type once: `Refused`) | K3 |
    /// | `PermissionDenied` | the path may not be written to | K3b, K3c |
    /// | `TooManyOpenFiles` | there is no room for another descriptor | K8 |
    /// | `NoBufferSpace`, `OutOfMemory` | the system has no memory | I8 |
    ///
    /// Sources: POSIX.1-2024 connect(), unix(7) of Linux, unix(4) of OpenBSD, and runs on Linux.
    pub fn connect(to: &Address) -> Result<Self, Error> {
        const OPERATION: Operation = Operation::Connect;
        let socket = new_socket(OPERATION, to)?;
        platform::connect(&socket, to.name())
            .map_err(|errno| Error::of_kernel(socket.as_fd(), SocketKind::UnixSeqpacket, OPERATION, errno))?;
        Ok(socket.into())
    }

    /// Returns the name of the socket, or `None` if it has none, as a socket that was connected.
    ///
    /// A socket that was accepted has the name of its listener (clause K9). On OpenBSD, unlike
    /// [`std`](std::os::unix::net::SocketAddr), it does not lose the last byte of a path.
    ///
    /// # System calls
    ///
    /// One getsockname(2). On OpenBSD pledge(2) needs "stdio".
    ///
    /// # Errors
    ///
    /// [`NotSocket`](crate::ErrorKind::NotSocket) if this was made of a descriptor that is not a socket.
    pub fn local_address(&self) -> Result<Option<Address>, Error> {
        address(Operation::LocalAddress, platform::local_name(self.as_fd()))
    }

    /// Returns the name of the peer, or `None` if it has none, as a client that was connected.
    ///
    /// After the peer has closed, Linux still returns it, and OpenBSD fails with `NotConnected` (clause K9b: "differs").
    ///
    /// # System calls
    ///
    /// One getpeername(2). On OpenBSD pledge(2) needs "stdio".
    ///
    /// # Errors
    ///
    /// [`NotConnected`](crate::ErrorKind::NotConnected) if the socket has no peer;
    /// [`NotSocket`](crate::ErrorKind::NotSocket) if this was made of a descriptor that is not a socket.
    pub fn peer_address(&self) -> Result<Option<Address>, Error> {
        address(Operation::PeerAddress, platform::peer_name(self.as_fd()))
    }

    /// Sets whether the calls of this socket wait (ioctl(2), `FIONBIO`).
    ///
    /// # Errors
    ///
    /// Those of std's [`UnixDatagram::set_nonblocking`].
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking)
    }

    /// Sets how long a send waits for room (`SO_SNDTIMEO`), or `None` for no limit (clause I4).
    ///
    /// On OpenBSD pledge(2) needs "unix" or "inet" for it; under "stdio" alone the process is killed.
    ///
    /// # Errors
    ///
    /// Those of std's [`UnixDatagram::set_write_timeout`], which refuses a time of zero.
    pub fn set_write_timeout(&self, longest: Option<Duration>) -> io::Result<()> {
        self.0.set_write_timeout(longest)
    }

    /// Sets how long a receive waits for data (`SO_RCVTIMEO`), or `None` for no limit.
    ///
    /// On OpenBSD pledge(2) needs "unix" or "inet" for it; under "stdio" alone the process is killed.
    ///
    /// # Errors
    ///
    /// Those of std's [`UnixDatagram::set_read_timeout`], which refuses a time of zero.
    pub fn set_read_timeout(&self, longest: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(longest)
    }

    /// Shuts down sending, receiving, or both (shutdown(2); clauses S7, S15, S20).
    ///
    /// # Errors
    ///
    /// Those of std's [`UnixDatagram::shutdown`].
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    /// Returns another descriptor of the same socket, which is close-on-exec (fcntl(2), `F_DUPFD_CLOEXEC`).
    ///
    /// # Errors
    ///
    /// Those of std's [`UnixDatagram::try_clone`].
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl UnixSeqpacketListener {
    /// Creates a socket with this name, and listens. Its queue is as long as the system allows.
    ///
    /// The permissions of a new path are those of umask(2). A path that exists is not replaced, whatever it is (clause
    /// K2): a server removes the path of its predecessor itself. If the path was made and listen(2) then fails, which a
    /// security module of Linux can do, the path stays.
    ///
    /// # System calls
    ///
    /// A socket(2), a bind(2), a listen(2) and a fcntl(2). On OpenBSD pledge(2) needs "unix".
    ///
    /// # Errors
    ///
    /// Before the call: [`AddressFamily`](crate::ErrorKind::AddressFamily) if the address is not that of a unix socket.
    /// From the kernel:
    ///
    /// | kind | when | clauses |
    /// |---|---|---|
    /// | `AddressInUse` | the path exists, or another seqpacket socket has the abstract name | K2 |
    /// | `NotFound`, `BadPath` | its directory does not exist, or cannot be followed | K2 |
    /// | `PermissionDenied` | its directory may not be written to | K2 |
    /// | `TooManyOpenFiles` | there is no room for another descriptor | K8 |
    /// | `NoBufferSpace`, `OutOfMemory` | the system has no memory | I8 |
    /// | `Other` | the file system fails, or is for reading only | |
    ///
    /// Sources: POSIX.1-2024 bind() and listen(), unix(7) of Linux, unix(4) of OpenBSD, and runs on Linux.
    pub fn bind(name: &Address) -> Result<Self, Error> {
        const OPERATION: Operation = Operation::Bind;
        let socket = new_socket(OPERATION, name)?;
        platform::bind_and_listen(&socket, name.name()).map_err(|errno| Error::plain(OPERATION, errno))?;
        Ok(socket.into())
    }

    /// Accepts a connection, and waits for one if there is none.
    ///
    /// The calls of the new socket wait, whether or not those of the listener do (clause K6). What its peer has sent
    /// is there, also if the peer has closed meanwhile (clause K4).
    ///
    /// # System calls
    ///
    /// One accept4(2). On OpenBSD pledge(2) needs "unix".
    ///
    /// # Errors
    ///
    /// | kind | when | clauses |
    /// |---|---|---|
    /// | `WouldBlock` | there is no connection, and the listener does not wait | K7 |
    /// | `Interrupted` | a signal arrived first | I2 |
    /// | `TooManyOpenFiles` | there is no room for another descriptor; the connection stays in the queue | K8 |
    /// | `Aborted` | the listener was shut down (OpenBSD) | |
    /// | `InvalidInput` | the socket does not listen, or was shut down (Linux) | |
    /// | `NotSocket` | this was made of a descriptor that is not a socket | G3 |
    /// | `NoBufferSpace`, `OutOfMemory` | the system has no memory | I8 |
    ///
    /// Sources: accept4(2) of both systems, and runs on Linux.
    pub fn accept(&self) -> Result<UnixSeqpacket, Error> {
        let accepted = platform::accept(self.as_fd());
        accepted.map(Into::into).map_err(|errno| Error::of_new_descriptor(Operation::Accept, errno))
    }

    /// Returns the name of the socket.
    ///
    /// # System calls
    ///
    /// One getsockname(2). On OpenBSD pledge(2) needs "stdio".
    ///
    /// # Errors
    ///
    /// [`NotSocket`](crate::ErrorKind::NotSocket) if this was made of a descriptor that is not a socket.
    pub fn local_address(&self) -> Result<Option<Address>, Error> {
        address(Operation::LocalAddress, platform::local_name(self.as_fd()))
    }

    /// Returns another descriptor of the same listener, which is close-on-exec (fcntl(2), `F_DUPFD_CLOEXEC`).
    ///
    /// # Errors
    ///
    /// Those of std's [`UnixListener::try_clone`].
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Sets whether [`accept`](Self::accept) waits (ioctl(2), `FIONBIO`).
    ///
    /// # Errors
    ///
    /// Those of std's [`UnixListener::set_nonblocking`].
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking)
    }
}

fn new_socket(operation: Operation, address: &Address) -> Result<OwnedFd, Error> {
    if let Some(refusal) = address.refusal_for(SocketKind::UnixSeqpacket) {
        return Err(Error::refused(operation, refusal));
    }
    platform::new_seqpacket().map_err(|errno| Error::of_new_descriptor(operation, errno))
}

fn address(operation: Operation, name: Result<platform::Name, RawErrno>) -> Result<Option<Address>, Error> {
    let name = name.map_err(|errno| Error::plain(operation, errno))?;
    Ok(name.decode().map(Address::from_kernel))
}

macro_rules! is_a_descriptor {
    ($($name:ident)*) => {
        $(
            impl AsFd for $name {
                fn as_fd(&self) -> BorrowedFd<'_> {
                    self.0.as_fd()
                }
            }

            /// An `AsyncFd` of tokio and a `SourceFd` of mio need it.
            impl AsRawFd for $name {
                fn as_raw_fd(&self) -> RawFd {
                    self.0.as_raw_fd()
                }
            }

            /// It is not checked what the descriptor is.
            impl From<OwnedFd> for $name {
                fn from(fd: OwnedFd) -> Self {
                    Self(fd.into())
                }
            }

            impl From<$name> for OwnedFd {
                fn from(socket: $name) -> Self {
                    socket.0.into()
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.debug_struct(stringify!($name)).field("fd", &self.0.as_raw_fd()).finish_non_exhaustive()
                }
            }
        )*
    };
}

is_a_descriptor!(UnixSeqpacket UnixSeqpacketListener);
