//! A small HTTP/1.1 server of files, the same on Linux and OpenBSD: GET, HEAD and ranges.
//!
//!     cargo run --release --example static-server -- DIRECTORY [ADDRESS:PORT]
//!
//! What unisend does for it is in [`Reply::send`]: the header and the beginning of the file leave in one message,
//! the rest of the file follows by sendfile where the kernel has it, and a browser that goes away is one kind of
//! error and no signal.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IoSlice, Read};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use unisend::{Error, Offset, SendFlags, Socket, sendfile_all};

/// The longest request header that is read, and how long one is waited for.
const HEADER_BYTES: usize = 8 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of a file leaves with the header: a small file leaves at once.
const FIRST_BYTES: usize = 16 * 1024;

#[allow(dead_code, reason = "the tests call serve instead")]
fn main() -> io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let Some(root) = arguments.next() else {
        eprintln!("usage: static-server DIRECTORY [ADDRESS:PORT]");
        std::process::exit(2);
    };
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8000".into());
    let listener = TcpListener::bind(address.to_string_lossy().as_ref())?;
    println!("serving {} on http://{}/", root.to_string_lossy(), listener.local_addr()?);
    serve(&listener, Path::new(&root))
}

/// Serves the files below a directory, each connection in a thread of its own.
pub(crate) fn serve(listener: &TcpListener, root: &Path) -> io::Result<()> {
    let root = root.canonicalize()?;
    for stream in listener.incoming() {
        let (stream, root) = (stream?, root.clone());
        std::thread::spawn(move || match converse(&stream, &root) {
            Err(error) if !ends_quietly(&error) => eprintln!("{error}"),
            _ => {}
        });
    }
    Ok(())
}

/// Whether a client that left, or said nothing for too long, is all that was wrong.
fn ends_quietly(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, WouldBlock};

    matches!(error.kind(), BrokenPipe | ConnectionReset | TimedOut | WouldBlock)
}

/// Answers one request after another, until the client or a reply ends it.
fn converse(mut stream: &TcpStream, root: &Path) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut buffer = [0; HEADER_BYTES];
    let mut filled = 0;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&buffer[..filled]) {
            Ok(httparse::Status::Complete(length)) => {
                let goes_on = answer(&request, root).send(stream)?;
                if !goes_on {
                    return Ok(());
                }
                buffer.copy_within(length..filled, 0);
                filled -= length;
            }
            Ok(httparse::Status::Partial) if filled < buffer.len() => {
                match stream.read(&mut buffer[filled..])? {
                    0 => return Ok(()),
                    count => filled += count,
                }
            }
            Ok(httparse::Status::Partial) => return Reply::error(431).send(stream).map(drop),
            Err(_) => return Reply::error(400).send(stream).map(drop),
        }
    }
}

fn header<'a>(request: &httparse::Request<'_, 'a>, name: &str) -> Option<&'a str> {
    let mut headers = request.headers.iter();
    let header = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(header.value).ok()
}

fn answer(request: &httparse::Request<'_, '_>, root: &Path) -> Reply {
    let ends = request.version == Some(0)
        || header(request, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
        || header(request, "content-length").is_some_and(|value| value != "0")
        || header(request, "transfer-encoding").is_some();
    let with_body = match request.method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => return Reply::error(405),
    };
    let found = request.path.and_then(|target| find(root, target));
    let mut reply = match found {
        Some((path, file, length)) => Reply::of_file(&path, file, length, header(request, "range")),
        None => Reply::error(404),
    };
    reply.with_body = with_body;
    reply.goes_on = !ends;
    reply
}

/// The file that a request's target names, if it is a regular file below the root, links followed.
fn find(root: &Path, target: &str) -> Option<(PathBuf, File, u64)> {
    let path = percent_decoded(target.split(['?', '#']).next()?)?;
    let path = Path::new(OsStr::from_bytes(&path)).strip_prefix("/").ok()?;
    if !path.components().all(|component| matches!(component, Component::Normal(_))) {
        return None;
    }
    let mut path = root.join(path).canonicalize().ok()?;
    if path.is_dir() {
        path = path.join("index.html").canonicalize().ok()?;
    }
    // Looked at before it is opened: opening a pipe would wait for its other end.
    if !path.starts_with(root) || !path.is_file() {
        return None;
    }
    let file = File::open(&path).ok()?;
    let length = file.metadata().ok()?.len();
    Some((path, file, length))
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    (!bytes.contains(&0)).then_some(bytes)
}

/// What is sent back.
struct Reply {
    head: String,
    body: Body,
    with_body: bool,
    goes_on: bool,
}

enum Body {
    Text(String),
    /// So many bytes of a file, from an offset.
    File(File, u64, u64),
}

impl Reply {
    fn new(status: u16, more_headers: &str, body: Body) -> Self {
        let reason = match status {
            200 => "OK",
            206 => "Partial Content",
            404 => "Not Found",
            405 => "Method Not Allowed",
            416 => "Range Not Satisfiable",
            431 => "Request Header Fields Too Large",
            _ => "Bad Request",
        };
        let length = match &body {
            Body::Text(text) => text.len() as u64,
            Body::File(_, _, length) => *length,
        };
        let head = format!("HTTP/1.1 {status} {reason}\r\nContent-Length: {length}\r\n{more_headers}");
        Self { head, body, with_body: true, goes_on: false }
    }

    fn error(status: u16) -> Self {
        let headers = match status {
            405 => "Allow: GET, HEAD\r\nContent-Type: text/plain\r\n",
            _ => "Content-Type: text/plain\r\n",
        };
        Self::new(status, headers, Body::Text(format!("{status}\n")))
    }

    fn of_file(path: &Path, file: File, length: u64, range: Option<&str>) -> Self {
        let kind = content_type(path);
        match range.map_or(Range::All, |range| Range::parse(range, length)) {
            Range::All => {
                let headers = format!("Content-Type: {kind}\r\nAccept-Ranges: bytes\r\n");
                Self::new(200, &headers, Body::File(file, 0, length))
            }
            Range::Part(first, last) => {
                let headers =
                    format!("Content-Type: {kind}\r\nContent-Range: bytes {first}-{last}/{length}\r\n");
                Self::new(206, &headers, Body::File(file, first, last - first + 1))
            }
            Range::Unsatisfiable => {
                let headers = format!("Content-Range: bytes */{length}\r\n");
                Self::new(416, &headers, Body::Text(String::new()))
            }
        }
    }

    /// Sends it; whether the connection goes on.
    fn send(mut self, stream: &TcpStream) -> io::Result<bool> {
        let socket = Socket::from(stream);
        self.head += if self.goes_on { "\r\n" } else { "Connection: close\r\n\r\n" };
        match self.body {
            _ if !self.with_body => together(&socket, &self.head, &[], SendFlags::empty())?,
            Body::Text(text) => together(&socket, &self.head, text.as_bytes(), SendFlags::empty())?,
            Body::File(file, mut offset, length) => {
                let mut first = [0; FIRST_BYTES];
                let wanted = length.min(FIRST_BYTES as u64) as usize;
                let count = file.read_at(&mut first[..wanted], offset)?;
                let rest = length - count as u64;
                let flags = if rest > 0 { SendFlags::MORE } else { SendFlags::empty() };
                together(&socket, &self.head, &first[..count], flags)?;
                offset += count as u64;
                if sendfile_all(socket, &file, Offset::At(&mut offset), rest)? < rest {
                    return Ok(false); // the file was truncated: less came than was announced
                }
            }
        }
        Ok(self.goes_on)
    }
}

/// Sends a header and what follows it as one message.
fn together(socket: &Socket<'_>, head: &str, body: &[u8], flags: SendFlags) -> Result<(), Error> {
    let mut slices = [IoSlice::new(head.as_bytes()), IoSlice::new(body)];
    Ok(socket.send_all_vectored(&mut &mut slices[..], flags)?)
}

/// What a Range header asks for: the first and the last byte. More than one range, and what cannot be understood,
/// is answered with the whole file, as it may be.
#[derive(Debug, PartialEq)]
enum Range {
    All,
    Part(u64, u64),
    Unsatisfiable,
}

impl Range {
    fn parse(header: &str, length: u64) -> Self {
        let range = header.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
        let Some((first, last)) = range else { return Self::All };
        let (first, last) = match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) if first <= last => (first, last),
            (Ok(first), Err(_)) if last.is_empty() => (first, u64::MAX),
            (Err(_), Ok(0)) if first.is_empty() => return Self::Unsatisfiable,
            (Err(_), Ok(count)) if first.is_empty() => (length.saturating_sub(count), u64::MAX),
            _ => return Self::All,
        };
        match first < length {
            true => Self::Part(first, last.min(length - 1)),
            false => Self::Unsatisfiable,
        }
    }
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(OsStr::to_str) {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("json") => "application/json",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
