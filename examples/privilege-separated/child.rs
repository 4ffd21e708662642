//! The half that talks to clients. It cannot open a file, and neither can who takes it over.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use unisend::{SendFlags, SocketRef, Transfer};

use crate::messages::{Inbox, Message, NAME};

/// How long a client may be silent, and in how many parts its request may come.
const PATIENCE: Duration = Duration::from_secs(5);
const PARTS: usize = 8;
const REQUEST: usize = 4096;

/// Receives the socket on which clients come. Standard input is the channel to the parent.
pub(crate) fn start() -> io::Result<TcpListener> {
    match Inbox::new().receive(&SocketRef::unix_seqpacket(&io::stdin()))? {
        Message::Listener(socket) => Ok(socket.into()),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// Serves clients until the parent has ended.
pub(crate) fn serve(listener: &TcpListener) -> io::Result<()> {
    let parent = io::stdin();
    let channel = SocketRef::unix_seqpacket(&parent);
    let mut inbox = Inbox::new();
    loop {
        let mut polled = [parent.as_fd(), listener.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let _ = poll(&mut polled, PollTimeout::NONE); // after a signal, neither is ready
        if polled[0].any() == Some(true) {
            return Ok(()); // the parent says nothing unasked, so this is its end
        }
        // There is none if another child was faster, or if the client has gone.
        let Ok((client, _)) = listener.accept() else { continue };
        let mut buffer = [0; REQUEST];
        let Ok(head) = read_head(&client, &mut buffer) else { continue };
        let answer = match name_in(head) {
            Ok(name) => ask(&channel, &mut inbox, name)?,
            Err(status) => Message::Refused(status),
        };
        let _ = reply(&client, &answer); // a client that has gone ends its own connection only
    }
}

/// Reads until the empty line that ends the head of a request.
fn read_head<'a>(mut client: &TcpStream, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut filled = 0;
    for _ in 0..PARTS {
        filled += client.read(&mut buffer[filled..])?;
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            return Ok(&buffer[..filled]);
        }
    }
    Err(ErrorKind::InvalidData.into())
}

/// Returns the name that a request has, or the status that says why it has none.
fn name_in(head: &[u8]) -> Result<&[u8], u16> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head).map_err(|_| 400_u16)?;
    match (request.method, request.path.and_then(|path| path.strip_prefix('/'))) {
        (Some("GET"), Some(name)) if name.len() <= NAME => Ok(name.as_bytes()),
        (Some("GET"), Some(_)) => Err(414),
        (Some("GET"), None) => Err(400),
        _ => Err(405),
    }
}

/// Asks the parent for a file.
fn ask<'a>(channel: &SocketRef<'_>, inbox: &'a mut Inbox, name: &[u8]) -> io::Result<Message<'a>> {
    Message::Open(name).send(channel)?;
    inbox.receive(channel)
}

/// Replies, and waits for the client to close: closing first would drop what is in flight if something of the request is unread.
fn reply(mut client: &TcpStream, answer: &Message<'_>) -> io::Result<()> {
    let mut head = io::Cursor::new([0; 64]);
    match answer {
        Message::Opened(_, length) => write!(head, "HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n")?,
        Message::Refused(status) => write!(head, "HTTP/1.0 {status} Refused\r\n\r\n{status}\n")?,
        _ => return Err(ErrorKind::InvalidData.into()),
    }
    let head = &head.get_ref()[..head.position() as usize];
    match answer {
        Message::Opened(file, length) => {
            let header = [IoSlice::new(head)];
            let _ = Transfer::new(file).at(0).count(*length).with_header(&header).send_all(client)?;
        }
        _ => SocketRef::from(client).send_all(head, SendFlags::empty())?,
    }
    client.shutdown(Shutdown::Write)?;
    client.read(&mut [0; 64]).map(drop)
}
