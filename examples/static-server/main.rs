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
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use unisend::{Outcome, SendFlags, SocketRef, Transfer};

/// The maximum length of a request header.
const HEADER_BYTES: usize = 8 * 1024;

/// How long the server waits for a whole request header, and for a client that reads nothing of a reply. The kernel applies
/// the latter to each part of a file, so it can become a few times as long.
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
        let goes_on = reply.send(stream, request.method != Some("HEAD"))?;
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

/// Returns the value of a header that may be there once. If it is there more often, it is ignored.
fn only_value<'a>(request: &httparse::Request<'_, 'a>, name: &str) -> Option<&'a str> {
    let mut values = values(request, name);
    let value = values.next()?;
    std::str::from_utf8(value).ok().filter(|_| values.next().is_none())
}

fn answer(request: &httparse::Request<'_, '_>, root: &Path) -> Reply {
    let reply = match request.method {
        // HTTP/1.1 demands that the client names the host, and that the server insists on it.
        _ if request.version == Some(1) && values(request, "host").count() != 1 => Err(400),
        Some("GET" | "HEAD") => file_for(request, root),
        _ => Err(405),
    };
    Reply { goes_on: goes_on(request), ..reply.unwrap_or_else(Reply::error) }
}

/// Returns the reply with the file that a request names, or the status that says why there is none.
fn file_for(request: &httparse::Request<'_, '_>, root: &Path) -> Result<Reply, u16> {
    let Some(path) = request.path.and_then(|target| find(root, path_of(target))) else { return Err(404) };
    let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(403),
        Err(_) => return Err(503), // for example, no descriptor is left
    };
    let version = Version::of(&metadata);
    match version.status_for(request) {
        200 => Ok(Reply::of_file(&path, file, metadata.len(), &version, range(request, &version))),
        304 => Ok(Reply::new(304, &version.headers(), Body::Text(String::new()))),
        status => Err(status),
    }
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
    only_value(request, "range")
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
fn find(root: &Path, path: &str) -> Option<PathBuf> {
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
    (path.starts_with(root) && path.is_file()).then_some(path)
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
            304 => "Not Modified",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            412 => "Precondition Failed",
            416 => "Range Not Satisfiable",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            _ => "Bad Request",
        };
        let date = httpdate::fmt_http_date(SystemTime::now());
        let length = match &body {
            _ if status == 304 => String::new(), // it would be the length of what is not sent
            Body::Text(text) => format!("Content-Length: {}\r\n", text.len()),
            Body::File(_, _, length) => format!("Content-Length: {length}\r\n"),
        };
        let head = format!("HTTP/1.1 {status} {reason}\r\nDate: {date}\r\n{length}{more_headers}");
        Self { head, body, goes_on: false }
    }

    fn error(status: u16) -> Self {
        let headers = match status {
            405 => "Allow: GET, HEAD\r\nContent-Type: text/plain\r\n",
            _ => "Content-Type: text/plain\r\n",
        };
        Self::new(status, headers, Body::Text(format!("{status}\n")))
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

    /// Sends the reply, with its body or without it, and returns whether the connection continues.
    fn send(mut self, stream: &TcpStream, with_body: bool) -> io::Result<bool> {
        self.head += if self.goes_on { "\r\n" } else { "Connection: close\r\n\r\n" };
        let head = IoSlice::new(self.head.as_bytes());
        match &self.body {
            Body::File(file, offset, length) if with_body => {
                let header = [head];
                let mut transfer = Transfer::new(file).at(*offset).count(*length).with_header(&header);
                // After a file that was truncated, less was sent than Content-Length says.
                let is_whole = transfer.send_all(stream)? == Outcome::Whole;
                return Ok(self.goes_on && is_whole);
            }
            Body::Text(text) if with_body => {
                let mut slices = [head, IoSlice::new(text.as_bytes())];
                SocketRef::from(stream).send_all_vectored(&mut &mut slices[..], SendFlags::empty())?;
            }
            _ => SocketRef::from(stream).send_all(&head, SendFlags::empty())?,
        }
        Ok(self.goes_on)
    }
}

/// The version of a file, by which a client names what it has already.
struct Version {
    tag: String,
    modified: Option<SystemTime>,
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        // Every change sets the time that is called ctime. A program can set the time of modification to anything.
        let tag = format!("\"{:x}.{:x}-{:x}\"", metadata.ctime(), metadata.ctime_nsec(), metadata.len());
        // HTTP cannot say a time before 1970, and may not say one that is still to come.
        let possible = SystemTime::UNIX_EPOCH..=SystemTime::now();
        Self { tag, modified: metadata.modified().ok().filter(|time| possible.contains(time)) }
    }

    fn headers(&self) -> String {
        let modified =
            self.modified.map(|time| format!("Last-Modified: {}\r\n", httpdate::fmt_http_date(time)));
        format!("ETag: {}\r\n{}", self.tag, modified.unwrap_or_default())
    }

    /// Returns the status of a reply to a request, which may have conditions. A date counts only if there are no tags.
    fn status_for(&self, request: &httparse::Request<'_, '_>) -> u16 {
        let is_wanted = self.is_among(request, "if-match", b"");
        if is_wanted.or_else(|| self.is_as_old_as(request, "if-unmodified-since")) == Some(false) {
            return 412;
        }
        let is_known = self.is_among(request, "if-none-match", b"W/");
        match is_known.or_else(|| self.is_as_old_as(request, "if-modified-since")) {
            Some(true) => 304,
            _ => 200,
        }
    }

    /// Returns whether a list of tags, which may have this prefix, names this version, or `None` if there is no list.
    fn is_among(&self, request: &httparse::Request<'_, '_>, name: &str, prefix: &[u8]) -> Option<bool> {
        values(request, name).next()?;
        let is_ours = |tag: &[u8]| tag.strip_prefix(prefix).unwrap_or(tag) == self.tag.as_bytes();
        let names_us = |list: &[u8]| {
            list == b"*" || list.split(|&byte| byte == b',').any(|tag| is_ours(tag.trim_ascii()))
        };
        Some(values(request, name).any(names_us))
    }

    /// Returns whether this version is not newer than a date, or `None` if one of the two is not known.
    fn is_as_old_as(&self, request: &httparse::Request<'_, '_>, name: &str) -> Option<bool> {
        let date = httpdate::parse_http_date(only_value(request, name)?).ok()?;
        // A date of HTTP has no parts of a second.
        Some(self.modified? < date + Duration::from_secs(1))
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
            (None, Some(count)) if first.is_empty() && length > 0 => (length.saturating_sub(count), u64::MAX),
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
