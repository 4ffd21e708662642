//! A small HTTP/1.1 file server for Linux and OpenBSD, with GET, HEAD, ranges and conditional requests.
//!
//!     cargo run --release --example static-server -- DIRECTORY [ADDRESS:PORT]
//!
//! [`Reply::send`] uses unisend. One transfer sends the header and the file together, by sendfile if the kernel has it. If
//! the client closes the connection, that is an error and not a signal.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use unisend::{Outcome, SendFlags, SocketRef, Transfer};

/// The maximum length of a request header, and how long the server waits for a whole one.
const HEADER_BYTES: usize = 8 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

/// How much the server reads and discards after the last reply.
const BODY_BYTES: u64 = 1024 * 1024;

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
    serve(&listener, Path::new(&root), PATIENCE)
}

/// Serves the files below a directory, each connection in its own thread.
pub(crate) fn serve(listener: &TcpListener, root: &Path, patience: Duration) -> io::Result<()> {
    let root = root.canonicalize()?;
    for stream in listener.incoming() {
        if let Err(error) = stream.and_then(|stream| start(stream, root.clone(), patience)) {
            // For example, no descriptor or thread is left. Other connections free theirs after a while.
            eprintln!("a connection was not served: {error}");
            thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}

fn start(stream: TcpStream, root: PathBuf, patience: Duration) -> io::Result<()> {
    let conversation = move || match converse(&stream, &root, patience) {
        Err(error) if !ends_quietly(&error) => eprintln!("{error}"),
        _ => {}
    };
    thread::Builder::new().spawn(conversation).map(drop)
}

/// Returns whether the client has only left, or was silent for too long.
fn ends_quietly(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected, TimedOut, WouldBlock};

    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected | TimedOut | WouldBlock)
}

/// Answers the requests of a connection, until the client or a reply ends it.
fn converse(stream: &TcpStream, root: &Path, patience: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(patience))?;
    let mut incoming = Incoming { stream, deadline: Instant::now() + patience };
    let mut buffer = [0; HEADER_BYTES];
    let mut filled = 0;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let (reply, length) = match request.parse(&buffer[..filled]) {
            Ok(httparse::Status::Complete(length)) => (answer(&request, root), length),
            Ok(httparse::Status::Partial) if filled < buffer.len() => {
                match incoming.read(&mut buffer[filled..])? {
                    0 => return Ok(()),
                    count => filled += count,
                }
                continue;
            }
            Ok(httparse::Status::Partial) => (Reply::error(431), filled),
            Err(_) => (Reply::error(400), filled),
        };
        let goes_on = reply.send(stream)?;
        incoming.deadline = Instant::now() + patience;
        if !goes_on {
            return finish(incoming);
        }
        buffer.copy_within(length..filled, 0);
        filled -= length;
    }
}

/// Ends a connection so that its last reply arrives. If it were closed with data that was not read, such as a
/// request's body, TCP would send a reset and drop what is still in flight.
fn finish(incoming: Incoming<'_>) -> io::Result<()> {
    incoming.stream.shutdown(Shutdown::Write)?;
    io::copy(&mut incoming.take(BODY_BYTES), &mut io::sink()).map(drop)
}

/// Reads from a client until a deadline. A timeout alone would begin again with each byte.
struct Incoming<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
}

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

/// Returns the values of all headers with this name.
fn values<'a>(request: &httparse::Request<'_, 'a>, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let named = request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| header.value)
}

fn answer(request: &httparse::Request<'_, '_>, root: &Path) -> Reply {
    let with_body = match request.method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => return Reply::error(405),
    };
    let mut reply = match request.path.and_then(|target| find(root, path_of(target))) {
        Some((path, file, metadata)) => {
            let version = Version::of(&metadata);
            match version.is_known_to(request) {
                true => Reply::not_modified(&version),
                false => Reply::of_file(&path, file, metadata.len(), &version, range(request, &version)),
            }
        }
        None => Reply::error(404),
    };
    reply.with_body = with_body;
    reply.goes_on = goes_on(request);
    reply
}

/// Returns whether the next request can follow: this one has no body, as far as can be known, and is not the
/// last.
fn goes_on(request: &httparse::Request<'_, '_>) -> bool {
    let mut options = values(request, "connection").flat_map(|value| value.split(|&byte| byte == b','));
    request.version == Some(1)
        && !options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
        && values(request, "transfer-encoding").next().is_none()
        && values(request, "content-length").all(|value| value == b"0")
}

/// Returns the range that is asked for. Only GET has ranges. If-Range asks for a range of a certain version of the file,
/// and for the whole file if there is a newer one.
fn range<'a>(request: &httparse::Request<'_, 'a>, version: &Version) -> Option<&'a str> {
    let is_other_version = values(request, "if-range").any(|wanted| wanted != version.tag.as_bytes());
    if request.method != Some("GET") || is_other_version {
        return None;
    }
    std::str::from_utf8(values(request, "range").next()?).ok()
}

/// Returns the path of a target, without its query. If the target is a whole URL, its host is ignored.
fn path_of(target: &str) -> &str {
    let target = target.split(['?', '#']).next().unwrap_or(target);
    match target.split_at_checked("http://".len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http://") => {
            rest.find('/').map_or("/", |slash| &rest[slash..])
        }
        _ => target,
    }
}

/// Returns the file that a path names, if it is a regular file below the root after links are followed.
fn find(root: &Path, path: &str) -> Option<(PathBuf, File, Metadata)> {
    let path = percent_decoded(path)?;
    let path = Path::new(OsStr::from_bytes(&path)).strip_prefix("/").ok()?;
    if !path.components().all(|component| matches!(component, Component::Normal(_))) {
        return None;
    }
    let mut path = root.join(path).canonicalize().ok()?;
    if path.is_dir() {
        path = path.join("index.html").canonicalize().ok()?;
    }
    // This is checked before the file is opened, because opening a pipe would wait for its other end.
    if !path.starts_with(root) || !path.is_file() {
        return None;
    }
    let file = File::open(&path).ok()?;
    let metadata = file.metadata().ok()?;
    Some((path, file, metadata))
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(number(digits, 16)? as u8);
        bytes.extend_from_slice(rest.as_bytes());
    }
    (!bytes.contains(&0)).then_some(bytes)
}

/// Parses a number of digits only. std would accept a sign too.
fn number(digits: &str, radix: u32) -> Option<u64> {
    let only_digits = digits.chars().all(|digit| digit.is_digit(radix));
    only_digits.then(|| u64::from_str_radix(digits, radix).ok())?
}

/// A reply, before it is sent.
struct Reply {
    head: String,
    body: Body,
    with_body: bool,
    goes_on: bool,
}

enum Body {
    Text(String),
    /// A file, with the offset and the number of bytes to send.
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

    fn not_modified(version: &Version) -> Self {
        Self {
            head: format!("HTTP/1.1 304 Not Modified\r\n{}", version.headers()),
            body: Body::Text(String::new()),
            with_body: false,
            goes_on: false,
        }
    }

    fn of_file(path: &Path, file: File, length: u64, version: &Version, range: Option<&str>) -> Self {
        let kind = content_type(path);
        let version = version.headers();
        match range.map_or(Range::All, |range| Range::parse(range, length)) {
            Range::All => {
                let headers = format!("Content-Type: {kind}\r\nAccept-Ranges: bytes\r\n{version}");
                Self::new(200, &headers, Body::File(file, 0, length))
            }
            Range::Part(first, last) => {
                let headers = format!(
                    "Content-Type: {kind}\r\nContent-Range: bytes {first}-{last}/{length}\r\n{version}"
                );
                Self::new(206, &headers, Body::File(file, first, last - first + 1))
            }
            Range::Unsatisfiable => {
                let headers = format!("Content-Range: bytes */{length}\r\n");
                Self::new(416, &headers, Body::Text(String::new()))
            }
        }
    }

    /// Sends the reply, and returns whether the connection continues.
    fn send(mut self, stream: &TcpStream) -> io::Result<bool> {
        self.head += if self.goes_on { "\r\n" } else { "Connection: close\r\n\r\n" };
        let head = IoSlice::new(self.head.as_bytes());
        match &self.body {
            Body::File(file, offset, length) if self.with_body => {
                let header = [head];
                let mut transfer = Transfer::new(file).at(*offset).count(*length).with_header(&header);
                // After a file that was truncated, less was sent than Content-Length says.
                let is_whole = transfer.send_all(stream)? == Outcome::Whole;
                return Ok(self.goes_on && is_whole);
            }
            Body::Text(text) if self.with_body => {
                let mut slices = [head, IoSlice::new(text.as_bytes())];
                SocketRef::from(stream).send_all_vectored(&mut &mut slices[..], SendFlags::empty())?;
            }
            _ => SocketRef::from(stream).send_all(&head, SendFlags::empty())?,
        }
        Ok(self.goes_on)
    }
}

/// The version of a file, as clients that have it already name it.
struct Version {
    tag: String,
    modified: Option<SystemTime>,
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok();
        let since_1970 = modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let tag = format!("\"{:x}-{:x}\"", since_1970.unwrap_or_default().as_nanos(), metadata.len());
        Self { tag, modified }
    }

    fn headers(&self) -> String {
        let modified =
            self.modified.map(|time| format!("Last-Modified: {}\r\n", httpdate::fmt_http_date(time)));
        format!("ETag: {}\r\n{}", self.tag, modified.unwrap_or_default())
    }

    /// Returns whether the client has this version. The date counts only if it sends no tags.
    fn is_known_to(&self, request: &httparse::Request<'_, '_>) -> bool {
        let mut tags = values(request, "if-none-match").flat_map(|value| value.split(|&byte| byte == b','));
        if values(request, "if-none-match").next().is_some() {
            let is_ours =
                |tag: &[u8]| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.tag.as_bytes();
            return tags.any(|tag| is_ours(tag.trim_ascii()));
        }
        let date =
            values(request, "if-modified-since").next().and_then(|date| std::str::from_utf8(date).ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        // A date of HTTP has no parts of a second.
        date.zip(self.modified).is_some_and(|(date, modified)| modified < date + Duration::from_secs(1))
    }
}

/// The range that a Range header asks for: its first and last byte. A header with more than one range, or one
/// that cannot be parsed, is answered with the whole file, which HTTP allows.
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
        let (first, last) = match (number(first, 10), number(last, 10)) {
            (Some(first), Some(last)) if first <= last => (first, last),
            (Some(first), None) if last.is_empty() => (first, u64::MAX),
            (None, Some(0)) if first.is_empty() => return Self::Unsatisfiable,
            (None, Some(count)) if first.is_empty() => (length.saturating_sub(count), u64::MAX),
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
