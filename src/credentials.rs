use crate::error::Error;
use crate::platform::contract::{Operation, PeerCredentials, Refusal, SocketKind};
use crate::platform::{Calls, Native};
use crate::socket::SocketRef;

impl<Sort> SocketRef<'_, Sort> {
    /// Returns the credentials of the process that made the other end of a connected unix socket (clauses C2
    /// to C4c).
    ///
    /// They are those of the time when it did so. A server gets those of the process that called connect(2).
    /// A client gets those of the process that called listen(2) on Linux, and bind(2) on OpenBSD (clause C3:
    /// "differs"). A socket of a pair gets those of the process that made the pair. They are still given
    /// after the peer has closed (clause C4c).
    ///
    /// # System calls
    ///
    /// One getsockopt(2) on OpenBSD, where pledge(2) must allow "unix" or "inet". Two on Linux: the kernel
    /// gives a listener the credentials of the process that made it, so it is also asked whether the socket
    /// is a listener (clause C4b).
    ///
    /// # Errors
    ///
    /// Before the call: [`Unsupported`](crate::ErrorKind::Unsupported) if the socket is not a unix socket.
    /// From the kernel: [`NotConnected`](crate::ErrorKind::NotConnected) if the socket has no peer, if it is
    /// a listener, and if it is a datagram socket that was connected by connect(2) (clauses C4, C4b);
    /// [`NotSocket`](crate::ErrorKind::NotSocket) if the descriptor is not a socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use unisend::SocketRef;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let peer = SocketRef::from(&ours).peer_credentials()?;
    /// assert_eq!(peer.process, Some(std::process::id()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn peer_credentials(&self) -> Result<PeerCredentials, Error> {
        const OPERATION: Operation = Operation::PeerCredentials;
        if !matches!(
            self.kind(),
            SocketKind::UnixStream | SocketKind::UnixSeqpacket | SocketKind::UnixDatagram
        ) {
            return Err(Error::refused(OPERATION, Refusal::CredentialsOfUnixPeers));
        }
        let answer = Native::peer_credentials(self.fd()).map_err(|errno| Error::plain(OPERATION, errno))?;
        answer.ok_or_else(|| Error::refused(OPERATION, Refusal::NoPeer))
    }
}
