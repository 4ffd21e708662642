/// Who is at the other end of a unix socket: see
/// [`SocketRef::peer_credentials`](crate::SocketRef::peer_credentials).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PeerCredentials {
    /// The effective user id.
    pub user: u32,
    /// The effective group id.
    pub group: u32,
    /// The process id; `None` on Linux if the process is in a namespace that this one cannot see. The process can have
    /// ended since, and its number can be another's by now: never a proof of anything.
    pub process: Option<u32>,
}
