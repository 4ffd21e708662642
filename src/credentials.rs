use crate::error::Error;
use crate::platform::contract::{Operation, PeerCredentials, Refusal, SocketKind};
use crate::platform::{Calls, Native};
use crate::socket::SocketRef;

impl<Sort> SocketRef<'_, Sort> {
    /// Who made the other end of a connected unix socket, as they were then (clauses C2 to C4).
    ///
    /// Of a client the server learns who called connect(2). Of a server the client learns who called listen(2)
    /// on Linux, and who called bind(2) on OpenBSD (clause C3: "differs"). Of a pair it is who made the pair.
    ///
    /// After the peer has closed they are still given.
    ///
    /// # System calls
    ///
    /// One getsockopt(2) on OpenBSD, where pledge(2) must allow "unix" or "inet". Two on Linux: it gives a listener
    /// the credentials of who made it, so it is asked first whether the socket is one (clause C4).
    ///
    /// # Errors
    ///
    /// [`NotConnected`](crate::ErrorKind::NotConnected) without a peer, for a listener, and for a datagram socket that
    /// connect(2) connected (clause C4); [`Unsupported`](crate::ErrorKind::Unsupported) for any but a unix socket, before
    /// the call.
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
