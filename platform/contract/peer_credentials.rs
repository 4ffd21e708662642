/// The credentials of a unix socket's peer, as returned by
/// [`SocketRef::peer_credentials`](crate::SocketRef::peer_credentials).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PeerCredentials {
    /// The effective user id.
    pub user: u32,
    /// The effective group id.
    pub group: u32,
    /// The process id, or `None` if the process is in a namespace that this process cannot see (Linux).
    ///
    /// The process can have ended since, and another process can have its number by now. It is therefore
    /// never a proof of identity.
    pub process: Option<u32>,
}
