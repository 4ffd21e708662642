//! The example `static-server`, tested by real requests: over std's TcpStream, and by curl if it is
//! installed.
//!
//! A test that could end the whole server runs the example itself, in its own process.

#[path = "../examples/static-server/main.rs"]
mod server;
mod sockets;

use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rstest::rstest;

const LARGE: usize = 5_000_000;

/// More than 32 bits count, and more than all buffers hold. Only the last bytes, and those around 4 GiB, are on the disk.
const SPARSE: u64 = 5 << 30;

/// More than the server reads of a request before it answers.
static UNREAD: [u8; 20_000] = [b'x'; 20_000];

/// Long enough for any test, and short enough to be waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const IMPATIENCE: Duration = Duration::from_secs(2);

/// The size of the table of a server that runs out of descriptors.
const DESCRIPTORS: usize = 32;

/// A server that all tests ask, and the directory with its files, which is not in its own.
static SERVER: LazyLock<(SocketAddr, tempfile::TempDir)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    std::fs::create_dir_all(root.join("sub")).unwrap();
    std::fs::create_dir(root.join("sub.txt")).unwrap();
    std::fs::create_dir(root.join("nothing-in-it")).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(root.join(name), bytes).unwrap();
    write("index.html", b"<p>Hello</p>");
    write("sub/index.html", b"<p>below</p>");
    write("ten.txt", b"0123456789");
    write("empty", b"");
    write("a name.txt", b"spaced");
    write("a\ttab", b"tab");
    write("large.bin", &large());
    write("sub.txt/index.html", b"<p>not text</p>");
    for (name, modified) in [
        ("dated", SystemTime::UNIX_EPOCH + dates::SINCE_1970),
        ("before-1970", SystemTime::UNIX_EPOCH - Duration::from_secs(1)),
        ("to-come", SystemTime::now() + Duration::from_secs(100_000)),
    ] {
        write(name, b"0123456789");
        File::options().write(true).open(root.join(name)).unwrap().set_modified(modified).unwrap();
    }
    for name in ["sparse", "shrinks"] {
        let file = File::create(root.join(name)).unwrap();
        file.set_len(SPARSE).unwrap();
        file.write_all_at(b"0123456789", (1 << 32) - 5).unwrap();
        file.write_all_at(b"0123456789", SPARSE - 10).unwrap();
    }
    std::fs::write(directory.path().join("secret"), b"secret").unwrap();
    symlink(directory.path().join("secret"), root.join("link-out")).unwrap();
    symlink("ten.txt", root.join("link-in")).unwrap();
    symlink(directory.path(), root.join("link-up")).unwrap();
    symlink("link-round", root.join("link-round")).unwrap();
    nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || server::serve(&listener, &root, PATIENCE));
    // SAFETY: the function does not unwind, and this program is not unloaded before it ends.
    assert_eq!(unsafe { libc::atexit(remove_files) }, 0);
    (address, directory)
});

/// Removes the directory when the program ends. What is static is never dropped.
extern "C" fn remove_files() {
    let _ = std::fs::remove_dir_all(SERVER.1.path());
}

/// The directory that it serves.
fn root() -> PathBuf {
    SERVER.1.path().join("root")
}

/// A server of the same files that does not wait long.
static IMPATIENT_SERVER: LazyLock<SocketAddr> = LazyLock::new(|| serve(IMPATIENCE));

fn serve(patience: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || server::serve(&listener, &root(), patience));
    address
}

fn large() -> Vec<u8> {
    (0..LARGE as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn connect() -> TcpStream {
    connect_to(SERVER.0)
}

fn connect_to(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Reads one reply: its head, and as many bytes of body as it announces.
fn read_reply(stream: &mut TcpStream, with_body: bool) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a whole head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = value(&head, "Content-Length").map(|length| length.parse::<u64>().unwrap());
    assert_eq!(length.is_none(), head.starts_with("HTTP/1.1 304 "), "{head}");
    let mut body = vec![0; length.filter(|_| with_body).unwrap_or(0) as usize];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

fn value<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn ask(method: &str, target: &str, headers: &str) -> (String, Vec<u8>) {
    let mut stream = connect();
    write!(stream, "{method} {target} HTTP/1.1\r\nHost: test\r\n{headers}Connection: close\r\n\r\n").unwrap();
    let reply = read_reply(&mut stream, method != "HEAD");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "{} bytes after the body", rest.len());
    reply
}

/// A head without its date, in which two replies may differ.
fn undated(head: &str) -> String {
    head.lines().filter(|line| !line.starts_with("Date: ")).map(|line| format!("{line}\n")).collect()
}

fn status(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

/// All that a server sends until it ends the connection.
fn all_replies(request: &[u8]) -> String {
    let mut stream = connect();
    stream.write_all(request).unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).expect("an end without a reset");
    replies
}

#[rstest]
#[case::root("/", b"<p>Hello</p>", "text/html; charset=utf-8")]
#[case::directory("/sub/", b"<p>below</p>", "text/html; charset=utf-8")]
#[case::file("/ten.txt", b"0123456789", "text/plain; charset=utf-8")]
#[case::query("/ten.txt?x=1", b"0123456789", "text/plain; charset=utf-8")]
#[case::encoded("/a%20name.txt", b"spaced", "text/plain; charset=utf-8")]
#[case::empty("/empty", b"", "application/octet-stream")]
#[case::directory_named_like_a_file("/sub.txt", b"<p>not text</p>", "text/html; charset=utf-8")]
#[case::link_inside("/link-in", b"0123456789", "text/plain; charset=utf-8")]
#[case::absolute("http://host/ten.txt", b"0123456789", "text/plain; charset=utf-8")]
#[case::absolute_with_a_query("HTTP://host:80/ten.txt?x=/y", b"0123456789", "text/plain; charset=utf-8")]
#[case::absolute_root("http://host", b"<p>Hello</p>", "text/html; charset=utf-8")]
fn get_and_head(#[case] target: &str, #[case] body: &[u8], #[case] kind: &str) {
    let (head, received) = ask("GET", target, "");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!((received.as_slice(), value(&head, "Content-Type")), (body, Some(kind)));
    let (same, _) = ask("HEAD", target, "");
    assert_eq!(undated(&same), undated(&head));
}

#[test]
fn a_large_file_arrives_whole() {
    let (head, body) = ask("GET", "/large.bin", "");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(body == large());
}

#[rstest]
#[case::missing("/missing")]
#[case::outside("/../secret")]
#[case::outside_encoded("/%2e%2e/secret")]
#[case::outside_from_below("/sub/../../secret")]
#[case::outside_with_an_encoded_slash("/..%2fsecret")]
#[case::absolute("//etc/passwd")]
#[case::absolute_and_outside("http://host/../secret")]
#[case::another_scheme("ftp://host/ten.txt")]
#[case::link_out("/link-out")]
#[case::below_a_link_out("/link-up/secret")]
#[case::back_in_by_a_link_out("/link-up/root/../secret")]
#[case::link_to_itself("/link-round")]
#[case::fifo("/fifo")]
#[case::directory_without_an_index("/nothing-in-it/")]
#[case::below_a_file("/ten.txt/x")]
#[case::asterisk("*")]
#[case::no_text("/%ff")]
#[case::encoded_in_two_bytes_of_one_character("/%2\u{e9}")]
#[case::nul("/ten.txt%00")]
#[case::half_encoded("/ten.txt%2")]
#[case::encoded_with_a_sign("/a%+9tab")]
#[case::no_slash("ten.txt")]
fn what_is_not_there_is_404(#[case] target: &str) {
    let (head, body) = ask("GET", target, "");
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
    assert_eq!(body, b"404\n");
}

#[rstest]
#[case::both("bytes=2-5", "2-5/10", b"2345")]
#[case::one("bytes=9-9", "9-9/10", b"9")]
#[case::from("bytes=7-", "7-9/10", b"789")]
#[case::last("bytes=-3", "7-9/10", b"789")]
#[case::past_the_end("bytes=8-100", "8-9/10", b"89")]
#[case::more_than_all("bytes=-100", "0-9/10", b"0123456789")]
fn a_range_is_a_part(#[case] range: &str, #[case] content_range: &str, #[case] body: &[u8]) {
    let (head, received) = ask("GET", "/ten.txt", &format!("Range: {range}\r\n"));
    assert!(head.starts_with("HTTP/1.1 206 Partial Content\r\n"), "{head}");
    assert_eq!(value(&head, "Content-Range"), Some(&*format!("bytes {content_range}")));
    assert_eq!(received, body);
}

#[rstest]
#[case("bytes=5-2")]
#[case("bytes=1-2,4-5")]
#[case("bytes=x-y")]
#[case("bytes=-")]
#[case("bytes=")]
#[case("bytes")]
#[case("b\u{fd}tes=1-2")]
#[case("bytes=1\u{e9}-2")]
#[case("bytes=\u{661}-\u{662}")]
#[case("bytes=1\u{2013}2")]
#[case("bytes=99999999999999999999-")]
#[case("bytes=2-5\r\nRange: bytes=7-8")]
#[case("bytes=+2-+5")]
#[case("bytes=+2-")]
#[case("bytes=-+3")]
#[case("lines=1-2")]
fn a_range_that_is_not_understood_is_all(#[case] range: &str) {
    let (head, body) = ask("GET", "/ten.txt", &format!("Range: {range}\r\n"));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(body, b"0123456789");
}

/// Of an empty file there is no last byte, but all of it is not wrong.
#[test]
fn the_last_bytes_of_nothing_are_all() {
    let (head, body) = ask("GET", "/empty", "Range: bytes=-5\r\n");
    assert_eq!((status(&head), body.len()), ("200", 0), "{head}");
}

/// The file is longer than 32 bits can count.
#[rstest]
#[case::last("bytes=-10", SPARSE - 10)]
#[case::from("bytes=5368709110-", SPARSE - 10)]
#[case::across_4_gib("bytes=4294967291-4294967300", (1 << 32) - 5)]
fn a_range_past_4_gib(#[case] range: &str, #[case] first: u64) {
    let (head, body) = ask("GET", "/sparse", &format!("Range: {range}\r\n"));
    assert_eq!(value(&head, "Content-Range"), Some(&*format!("bytes {first}-{}/{SPARSE}", first + 9)));
    assert_eq!(body, b"0123456789");
    assert_eq!(value(&ask("HEAD", "/sparse", "").0, "Content-Length"), Some(&*SPARSE.to_string()));
}

#[rstest]
#[case("/ten.txt", "bytes=10-", 10)]
#[case("/ten.txt", "bytes=-0", 10)]
#[case("/empty", "bytes=0-", 0)]
fn a_range_past_the_end_is_416(#[case] target: &str, #[case] range: &str, #[case] length: u64) {
    let (head, body) = ask("GET", target, &format!("Range: {range}\r\n"));
    assert!(head.starts_with("HTTP/1.1 416 Range Not Satisfiable\r\n"), "{head}");
    assert_eq!(value(&head, "Content-Range"), Some(&*format!("bytes */{length}")));
    assert!(body.is_empty());
}

/// Ranges are GET's alone, and HEAD says what GET without one would.
#[rstest]
#[case("bytes=2-5")]
#[case("bytes=10-")]
fn a_range_is_nothing_to_head(#[case] range: &str) {
    let (head, _) = ask("HEAD", "/ten.txt", &format!("Range: {range}\r\n"));
    assert_eq!(undated(&head), undated(&ask("HEAD", "/ten.txt", "").0));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
}

/// When the file `/dated` was modified, and the seconds around it.
mod dates {
    use super::Duration;

    pub(super) const SINCE_1970: Duration = Duration::from_millis(783_459_811_500);
    pub(super) const SAME: &str = "Sat, 29 Oct 1994 19:43:31 GMT";
    pub(super) const BEFORE: &str = "Sat, 29 Oct 1994 19:43:30 GMT";
    pub(super) const AFTER: &str = "Sat, 29 Oct 1994 19:43:32 GMT";
}

/// The request's headers, in which `TAG` is the tag of the file.
fn with_tag(headers: &str, target: &str) -> String {
    let (head, _) = ask("HEAD", target, "");
    headers.replace("TAG", value(&head, "ETag").expect("a tag"))
}

/// A part is sent if the client has this version. A weak tag and a date name it too loosely to add to what the client has.
#[rstest]
#[case::its_tag("TAG", "206")]
#[case::another_tag("\"a-tag\"", "200")]
#[case::weak_tag("W/TAG", "200")]
#[case::anything("*", "200")]
#[case::list("TAG, TAG", "200")]
#[case::two_headers("TAG\r\nIf-Range: \"a-tag\"", "200")]
#[case::its_date(dates::SAME, "200")]
#[case::later_date(dates::AFTER, "200")]
#[case::nothing("", "200")]
fn a_range_of_a_certain_version(#[case] version: &str, #[case] expected: &str) {
    let headers = with_tag(&format!("Range: bytes=2-5\r\nIf-Range: {version}\r\n"), "/dated");
    let (head, body) = ask("GET", "/dated", &headers);
    let part: &[u8] = if expected == "206" { b"2345" } else { b"0123456789" };
    assert_eq!((status(&head), &*body), (expected, part), "{head}");
}

/// The conditions of RFC 9110, section 13, in the order of its section 13.2.2. `DATE` is when the file was modified.
#[rstest]
#[case::known_tag("If-None-Match: TAG", "304")]
#[case::known_weak_tag("If-None-Match: W/TAG", "304")]
#[case::known_in_a_list("If-None-Match: \"a\",\t\"b\" , W/TAG", "304")]
#[case::known_in_the_second_header("If-None-Match: \"a\"\r\nIf-None-Match: TAG", "304")]
#[case::any_known("If-None-Match: *", "304")]
#[case::other_tags("If-None-Match: \"a\", \"b\"", "200")]
#[case::tag_without_quotes("If-None-Match: abc", "200")]
#[case::asterisk_within_a_tag("If-None-Match: \"a,*,b\"", "200")]
#[case::quoted_asterisk("If-None-Match: \"*\"", "200")]
#[case::asterisk_in_a_list("If-None-Match: \"a\", *", "200")]
#[case::small_w("If-None-Match: w/TAG", "200")]
#[case::tag_that_is_no_text("If-None-Match: \"\u{ff}\"", "200")]
#[case::no_tag("If-None-Match:", "200")]
#[case::tag_before_date("If-None-Match: \"a\"\r\nIf-Modified-Since: DATE", "200")]
#[case::tag_before_old_date("If-None-Match: TAG\r\nIf-Modified-Since: OLD", "304")]
#[case::its_date("If-Modified-Since: DATE", "304")]
#[case::later("If-Modified-Since: NEW", "304")]
#[case::earlier("If-Modified-Since: OLD", "200")]
#[case::another_form("If-Modified-Since: Saturday, 29-Oct-94 19:43:31 GMT", "304")]
#[case::asctime("If-Modified-Since: Sat Oct 29 19:43:31 1994", "304")]
#[case::no_date("If-Modified-Since: yesterday", "200")]
#[case::date_that_is_no_text("If-Modified-Since: \u{ff}", "200")]
#[case::two_dates("If-Modified-Since: DATE\r\nIf-Modified-Since: DATE", "200")]
#[case::known_before_range("If-None-Match: TAG\r\nRange: bytes=2-5", "304")]
#[case::known_before_impossible_range("If-None-Match: TAG\r\nRange: bytes=10-", "304")]
#[case::unknown_and_range("If-None-Match: \"a\"\r\nRange: bytes=2-5", "206")]
#[case::wanted_tag("If-Match: \"a\", TAG", "200")]
#[case::any_wanted("If-Match: *", "200")]
#[case::another_wanted("If-Match: \"a\"", "412")]
#[case::weak_tag_wanted("If-Match: W/TAG", "412")]
#[case::another_wanted_and_known("If-Match: \"a\"\r\nIf-None-Match: TAG", "412")]
#[case::another_wanted_part("If-Match: \"a\"\r\nRange: bytes=2-5", "412")]
#[case::wanted_and_known("If-Match: TAG\r\nIf-None-Match: TAG", "304")]
#[case::unmodified("If-Unmodified-Since: DATE", "200")]
#[case::modified("If-Unmodified-Since: OLD", "412")]
#[case::wanted_although_modified("If-Match: TAG\r\nIf-Unmodified-Since: OLD", "200")]
fn a_condition(#[case] headers: &str, #[case] expected: &str) {
    let dated =
        headers.replace("DATE", dates::SAME).replace("OLD", dates::BEFORE).replace("NEW", dates::AFTER);
    let headers = with_tag(&format!("{dated}\r\n"), "/dated");
    let (head, body) = ask("GET", "/dated", &headers);
    let whole: &[u8] = match expected {
        "200" => b"0123456789",
        "206" => b"2345",
        "412" => b"412\n",
        _ => b"",
    };
    assert_eq!((status(&head), &*body), (expected, whole), "{head}");
    let (head, _) = ask("HEAD", "/dated", &headers);
    assert_eq!(status(&head), expected.replace("206", "200"), "{head}");
}

#[test]
fn a_file_that_may_not_be_read_is_403() {
    let path = root().join("unreadable");
    let file = File::create(&path).unwrap();
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    match File::open(&path) {
        Ok(_) => sockets::skipped(format_args!("this user may read any file")),
        Err(_) => assert_eq!(status(&ask("GET", "/unreadable", "").0), "403"),
    }
}

/// What is not there has no version, and no condition changes that.
#[test]
fn a_condition_of_nothing_is_404() {
    let (head, _) = ask("GET", "/missing", "If-None-Match: *\r\nIf-Match: *\r\n");
    assert_eq!(status(&head), "404");
}

/// A 304 has the headers by which a cache refreshes what it has, and no word about a body.
#[rstest]
#[case("GET")]
#[case("HEAD")]
fn a_304_has_no_body_and_no_length(#[case] method: &str) {
    let (whole, _) = ask("GET", "/dated", "");
    let (head, _) = ask(method, "/dated", "If-None-Match: *\r\n");
    assert!(head.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{head}");
    for name in ["Content-Length", "Content-Type", "Transfer-Encoding", "Content-Range"] {
        assert_eq!(value(&head, name), None, "{head}");
    }
    for name in ["ETag", "Last-Modified"] {
        assert_eq!(value(&head, name), value(&whole, name), "{head}");
    }
    assert_eq!(value(&whole, "Last-Modified"), Some(dates::SAME));
}

/// A date that HTTP cannot say, or that is still to come, is not said, and nothing is known of it.
#[rstest]
#[case("/before-1970")]
#[case("/to-come")]
fn a_date_that_cannot_be_said(#[case] target: &str) {
    let (head, body) = ask("GET", target, &format!("If-Modified-Since: {}\r\n", dates::SAME));
    assert_eq!((status(&head), &*body), ("200", &b"0123456789"[..]), "{head}");
    assert_eq!(value(&head, "Last-Modified"), None, "{head}");
    assert_eq!(status(&ask("GET", target, "If-None-Match: *\r\n").0), "304");
}

/// A file that is written anew has another tag, although its length and its date are the same.
#[test]
fn a_tag_is_of_one_version() {
    let path = root().join("changes");
    let tag_after_writing = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH + dates::SINCE_1970)
            .unwrap();
        with_tag("TAG", "/changes")
    };
    let first = tag_after_writing(b"0123456789");
    std::thread::sleep(Duration::from_millis(50)); // more than a tick of the clock that files are dated by
    assert_ne!(first, tag_after_writing(b"9876543210"));
}

#[rstest]
#[case::whole("/ten.txt", "", "200")]
#[case::part("/ten.txt", "Range: bytes=2-5\r\n", "206")]
#[case::known("/ten.txt", "If-None-Match: *\r\n", "304")]
#[case::missing("/missing", "", "404")]
#[case::not_wanted("/ten.txt", "If-Match: \"a\"\r\n", "412")]
#[case::past_the_end("/ten.txt", "Range: bytes=10-\r\n", "416")]
fn a_reply_has_a_date(#[case] target: &str, #[case] headers: &str, #[case] expected: &str) {
    let before = SystemTime::now() - Duration::from_secs(1);
    let (head, _) = ask("GET", target, headers);
    let date = httpdate::parse_http_date(value(&head, "Date").expect("a date")).unwrap();
    assert!(status(&head) == expected && date > before && date <= SystemTime::now(), "{head}");
}

/// RFC 9112, section 3.2.
#[rstest]
#[case::none("GET / HTTP/1.1\r\n\r\n", "400")]
#[case::two("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400")]
#[case::one("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "200")]
#[case::empty("GET / HTTP/1.1\r\nHost:\r\n\r\n", "200")]
#[case::none_in_1_0("GET / HTTP/1.0\r\n\r\n", "200")]
fn a_host_is_named_once(#[case] request: &str, #[case] expected: &str) {
    let mut stream = connect();
    stream.write_all(request.as_bytes()).unwrap();
    assert_eq!(status(&read_reply(&mut stream, true).0), expected);
}

/// Replies with a body and without one follow each other on a connection, whether it is asked for one after the other or
/// for all at once.
#[rstest]
fn a_connection_goes_on_after_each_reply(#[values(false, true)] at_once: bool) {
    let requests = [
        ("GET /ten.txt", "If-None-Match: *", "304", ""),
        ("GET /ten.txt", "Range: bytes=10-", "416", ""),
        ("HEAD /ten.txt", "X: y", "200", ""),
        ("HEAD /ten.txt", "If-None-Match: *", "304", ""),
        ("HEAD /missing", "X: y", "404", ""),
        ("HEAD /ten.txt", "If-Match: \"a\"", "412", ""),
        ("GET /missing", "X: y", "404", "404\n"),
        ("GET /ten.txt", "If-Match: \"a\"", "412", "412\n"),
        ("DELETE /ten.txt", "X: y", "405", "405\n"),
        ("GET /empty", "X: y", "200", ""),
        ("GET /ten.txt", "Range: bytes=2-5", "206", "2345"),
        ("GET /ten.txt", "X: y", "200", "0123456789"),
    ];
    let text_of = |(line, header, ..): &(&str, &str, &str, &str)| {
        format!("{line} HTTP/1.1\r\nHost: test\r\n{header}\r\n\r\n")
    };
    let mut stream = connect();
    if at_once {
        stream.write_all(requests.iter().map(text_of).collect::<String>().as_bytes()).unwrap();
    }
    for request in requests {
        if !at_once {
            stream.write_all(text_of(&request).as_bytes()).unwrap();
        }
        let (line, header, expected, whole) = request;
        let (head, body) = read_reply(&mut stream, !line.starts_with("HEAD"));
        assert_eq!((status(&head), &*body), (expected, whole.as_bytes()), "{line} {header}: {head}");
        assert_eq!(value(&head, "Connection"), None, "{head}");
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "more than was asked for");
}

/// HEAD has no body, whatever is wrong with the rest of the request.
#[rstest]
#[case::long_header("HEAD / HTTP/1.1\r\nHost: test\r\nX: ", "431")]
#[case::wrong_header("HEAD / HTTP/1.1\r\nHost : test\r\n\r\n", "400")]
fn a_refused_head_has_no_body(#[case] request: &str, #[case] expected: &str) {
    let replies = all_replies(&[request.as_bytes(), &UNREAD].concat());
    assert!(status(&replies) == expected && replies.ends_with("\r\n\r\n"), "{replies}");
}

/// The client was promised more than there is, so the connection ends.
#[test]
fn a_file_that_is_truncated_meanwhile_ends_early() {
    let mut stream = connect();
    write!(stream, "GET /shrinks HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let (head, _) = read_reply(&mut stream, false);
    assert_eq!(value(&head, "Content-Length"), Some(&*SPARSE.to_string()));
    File::options().write(true).open(root().join("shrinks")).unwrap().set_len(10).unwrap();
    let received = std::io::copy(&mut stream, &mut std::io::sink()).expect("an end without a reset");
    assert!(received < SPARSE, "{received} bytes");
}

#[test]
fn a_connection_takes_one_request_after_another_and_several_at_once() {
    let mut stream = connect();
    for _ in 0..3 {
        write!(stream, "GET /ten.txt HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        assert_eq!(read_reply(&mut stream, true).1, b"0123456789");
    }
    write!(stream, "HEAD / HTTP/1.1\r\nHost: test\r\n\r\nGET /missing HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert!(read_reply(&mut stream, false).0.starts_with("HTTP/1.1 200"));
    assert!(read_reply(&mut stream, true).0.starts_with("HTTP/1.1 404"));
    assert_eq!(read_reply(&mut stream, true).1, b"<p>Hello</p>");
}

/// After a request with a body, or with what may be one, the rest is not taken for requests.
#[rstest]
#[case::length(b"Content-Length: 44")]
#[case::two_lengths(b"Content-Length: 0\r\nContent-Length: 44")]
#[case::list_of_lengths(b"Content-Length: 0, 44")]
#[case::length_that_is_no_text(b"Content-Length: 44\xff")]
#[case::length_with_a_sign(b"Content-Length: +44")]
#[case::chunks(b"Content-Length: 0\r\nTransfer-Encoding: chunked")]
#[case::encoding_that_is_no_text(b"Transfer-Encoding: \xff")]
#[case::close(b"Connection: close")]
#[case::close_and_more(b"Connection: close, TE")]
#[case::more_and_close(b"Connection: TE ,\tClose")]
#[case::two_headers(b"Connection: TE\r\nConnection: close")]
fn what_may_be_a_body_is_no_request(#[case] headers: &[u8]) {
    let rest = b"\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    let replies = all_replies(&[b"GET /ten.txt HTTP/1.1\r\nHost: test\r\n", headers, rest].concat());
    assert_eq!(replies.matches("HTTP/1.1 ").count(), 1, "{replies}");
    assert!(
        replies.contains("\r\nConnection: close\r\n") && replies.ends_with("\r\n0123456789"),
        "{replies}"
    );
}

#[rstest]
#[case::no_body("Content-Length: 0")]
#[case::no_body_said_twice("Content-Length: 0\r\nContent-Length: 0")]
#[case::another_option("Connection: TE, closed")]
fn what_follows_a_request_without_a_body_is_one(#[case] headers: &str) {
    let request = format!("GET /ten.txt HTTP/1.1\r\nHost: test\r\n{headers}\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    let replies = all_replies(request.as_bytes());
    assert_eq!(replies.matches("HTTP/1.1 ").count(), 2, "{replies}");
}

/// It is said to the end, and not by a reset, even to a client that sends more than is read.
#[rstest]
#[case::method("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 20000\r\n\r\n", "405")]
#[case::nonsense("what is this\r\n\r\n", "400")]
#[case::long_header("GET / HTTP/1.1\r\nHost: test\r\nX: ", "431")]
fn what_it_does_not_do_is_said(#[case] request: &str, #[case] status: &str) {
    let replies = all_replies(&[request.as_bytes(), &UNREAD].concat());
    assert!(replies.starts_with(&format!("HTTP/1.1 {status} ")), "{replies}");
    assert!(replies.ends_with(&format!("\r\n{status}\n")), "{replies}");
}

#[test]
fn a_header_without_an_end_is_refused() {
    let mut stream = connect();
    stream.write_all(&[b"GET / HTTP/1.1\r\nHost: test\r\nX: ", &[b'x'; 8161][..]].concat()).unwrap();
    assert!(read_reply(&mut stream, true).0.starts_with("HTTP/1.1 431 "));
}

/// What is still on its way when the server has sent all of it arrives, although nobody read the request's body.
#[test]
fn a_slow_reader_that_sent_a_body_gets_all() {
    let mut stream = connect();
    let head = b"GET /large.bin HTTP/1.1\r\nHost: test\r\nContent-Length: 20000\r\n\r\n";
    stream.write_all(&[head, &UNREAD[..]].concat()).unwrap();
    let (mut reply, mut piece) = (Vec::new(), vec![0; 256 * 1024]);
    loop {
        std::thread::sleep(Duration::from_millis(10));
        match stream.read(&mut piece).expect("an end without a reset") {
            0 => break,
            count => reply.extend_from_slice(&piece[..count]),
        }
    }
    assert!(reply.ends_with(&large()), "{} bytes", reply.len());
}

/// What is thrown away after the last reply has an end: here, before the client's buffers and the server's are
/// filled a second time.
#[test]
fn a_body_without_an_end_is_not_read_to_the_end() {
    let mut stream = connect();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000\r\n\r\n").unwrap();
    let stopped = (0..64).find_map(|_| stream.write_all(&[0; 1024 * 1024]).err());
    assert!(stopped.is_some(), "all of it was read");
}

/// Patience is with a whole request header, and with all that follows the last reply, not with each byte.
#[rstest]
#[case::header("GET / HTTP/1.1\r\nHost: test\r\nX: ")]
#[case::body("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n")]
fn a_byte_now_and_then_is_not_waited_for_without_end(#[case] request: &str) {
    let mut stream = connect_to(*IMPATIENT_SERVER);
    stream.write_all(request.as_bytes()).unwrap();
    let ended = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        stream.write_all(b"x").is_err()
    });
    assert!(ended, "it waited for more than {IMPATIENCE:?}");
}

#[test]
fn each_request_is_waited_for_anew() {
    let mut stream = connect_to(*IMPATIENT_SERVER);
    for _ in 0..3 {
        std::thread::sleep(IMPATIENCE / 2);
        write!(stream, "GET /missing HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        assert!(read_reply(&mut stream, true).0.starts_with("HTTP/1.1 404"));
    }
}

/// A client that reads nothing is given up. Linux's sendfile waits anew for each part.
#[test]
fn a_client_that_reads_nothing_is_not_waited_for_without_end() {
    let address = serve(IMPATIENCE / 10);
    let is_given_up = |pause: u64| {
        let mut stream = connect_to(address);
        ask_for_sparse(&mut stream, 100_000_000);
        std::thread::sleep(Duration::from_secs(pause));
        // It ends early, or by a reset.
        !std::io::copy(&mut stream, &mut std::io::sink()).is_ok_and(|count| count == 100_000_000)
    };
    assert!([1, 2, 4, 8, 16].into_iter().any(is_given_up), "it waited");
}

/// A client that reads slowly is waited for, if all takes longer than the server's patience too.
#[test]
fn a_client_that_reads_slowly_is_waited_for() {
    let mut stream = connect_to(*IMPATIENT_SERVER);
    let mut piece = vec![0; 2_000_000];
    ask_for_sparse(&mut stream, 100_000_000);
    for _ in 0..25 {
        std::thread::sleep(IMPATIENCE / 20);
        stream.read_exact(&mut piece).unwrap();
    }
    assert_eq!(std::io::copy(&mut stream, &mut std::io::sink()).unwrap(), 50_000_000);
}

/// Asks for so many bytes, and for no more replies, and reads the head of the reply.
fn ask_for_sparse(stream: &mut TcpStream, bytes: u64) {
    let range = format!("Range: bytes=0-{}", bytes - 1);
    write!(stream, "GET /sparse HTTP/1.1\r\nHost: test\r\n{range}\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(status(&read_reply(stream, false).0), "206");
}

/// The header and a small file come in one piece.
#[test]
fn header_and_body_leave_together() {
    let mut stream = connect();
    write!(stream, "GET /ten.txt HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let mut piece = [0; 4096];
    let count = stream.read(&mut piece).unwrap();
    assert!(
        piece[..count].ends_with(b"\r\n\r\n0123456789"),
        "{:?}",
        String::from_utf8_lossy(&piece[..count])
    );
}

/// They are one segment too. A read could have joined two.
#[test]
fn header_and_body_are_one_segment() {
    let mut stream = connect();
    write!(stream, "GET /ten.txt HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let (_, body) = read_reply(&mut stream, true);
    assert_eq!(body, b"0123456789");
    match data_segments_received(&stream) {
        Some(count) => assert_eq!(count, 1),
        None => sockets::skipped(format_args!("no count of the segments with data in TCP_INFO")),
    }
}

/// The count of segments with data, which Linux has since 4.6, or `None` where the kernel or an emulator does not say it.
fn data_segments_received(stream: &TcpStream) -> Option<u32> {
    const DATA_SEGMENTS_IN: usize = 152;
    const END: usize = DATA_SEGMENTS_IN + size_of::<u32>();
    let mut info = [0_u8; END];
    let mut length = END as libc::socklen_t;
    if sockets::OPENBSD {
        return None;
    }
    let (fd, room) = (stream.as_raw_fd(), info.as_mut_ptr().cast());
    // SAFETY: the kernel writes at most as many bytes as there is room for, and how many they are.
    let got = unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, room, &raw mut length) };
    let is_there = got == 0 && length as usize == END;
    is_there.then(|| u32::from_ne_bytes(info[DATA_SEGMENTS_IN..].try_into().unwrap()))
}

/// A client that goes away in the middle does no harm to the others, and is not worth a word.
#[rstest]
fn a_client_that_leaves_is_forgotten(#[values(false, true)] with_reset: bool) {
    let mut server = OtherProcess::start(&root(), None, None);
    for _ in 0..20 {
        let mut stream = connect_to(server.address);
        write!(stream, "GET /sparse HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 100]).unwrap();
        if with_reset {
            sockets::close_with_reset(&stream);
        }
    }
    let mut stream = connect_to(server.address);
    write!(stream, "GET /ten.txt HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream, true).1, b"0123456789");
    drop(stream);
    server.expect_descriptors(server.descriptors);
    server.child.kill().unwrap();
    assert_eq!(server.log.next().transpose().unwrap(), None);
}

#[test]
fn curl_gets_files_and_parts_of_them() {
    let curl = |arguments: &[&str], target: &str| {
        let url = format!("http://{}{target}", SERVER.0);
        Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20"])
            .args(arguments)
            .arg(url)
            .output()
    };
    if let Err(error) = curl(&[], "/") {
        return sockets::skipped(format_args!("curl cannot be run: {error}"));
    }
    let printed = |arguments: &[&str], target: &str| {
        let output = curl(arguments, target).unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    assert_eq!(printed(&[], "/"), b"<p>Hello</p>");
    assert!(printed(&[], "/large.bin") == large());
    assert!(printed(&["--range", "1000000-2999999"], "/large.bin") == large()[1_000_000..3_000_000]);
    assert!(printed(&["--head"], "/ten.txt").starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert_eq!(printed(&["--path-as-is", "--write-out", "%{http_code}"], "/../secret"), b"404\n404");
}

/// The example in a process of its own, which ends with this.
struct OtherProcess {
    child: Child,
    address: SocketAddr,
    log: Lines<BufReader<ChildStderr>>,
    /// How many it had open before the first client came.
    descriptors: Option<usize>,
}

impl OtherProcess {
    /// With a directory, a table of so many descriptors, and threads whose stacks are to have so many bytes.
    fn start(root: &Path, descriptors: Option<usize>, stack: Option<usize>) -> Self {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let prepare = move || {
            nix::unistd::alarm::set(120); // ends it if its parent could not
            match descriptors {
                Some(descriptors) => Ok(setrlimit(Resource::RLIMIT_NOFILE, descriptors as _, most)?),
                None => Ok(()),
            }
        };
        let mut command = Command::new(example());
        command
            .arg(root)
            .arg("127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.envs(stack.map(|bytes| ("RUST_MIN_STACK", bytes.to_string())));
        // SAFETY: it makes two system calls, and allocates nothing.
        unsafe { command.pre_exec(prepare) };
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let address =
            said.trim_end().rsplit("http://").next().unwrap().trim_end_matches('/').parse().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let descriptors = open_descriptors(child.id());
        Self { child, address, log, descriptors }
    }

    /// Waits until it has as many open as before: it may have to find out first that clients have left.
    fn expect_descriptors(&self, expected: Option<usize>) {
        let deadline = Instant::now() + PATIENCE;
        while open_descriptors(self.child.id()) != expected {
            assert!(Instant::now() < deadline, "{:?}, not {expected:?}", open_descriptors(self.child.id()));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for as many complaints, each of a connection that was not served.
    /// Waits for the complaint that this error is the reason of.
    fn expect_complaint_of(&mut self, errno: Errno) {
        let reason = format!("(os error {})", errno as i32);
        while !self.log.next().expect("the server goes on").unwrap().ends_with(&reason) {}
    }

    fn expect_complaints(&mut self, count: usize) {
        for _ in 0..count {
            let line = self.log.next().expect("the server goes on").unwrap();
            assert!(line.starts_with("a connection was not served: "), "{line:?}");
        }
    }
}

/// Counts the open descriptors of a process, where the system has a list of them.
fn open_descriptors(process: u32) -> Option<usize> {
    Some(std::fs::read_dir(format!("/proc/{process}/fd")).ok()?.count())
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The example's executable: beside this test's folder.
fn example() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let program = this.ancestors().nth(2).unwrap().join("examples/static-server");
    assert!(
        program.exists(),
        "not there: {}; cargo test builds it, or cargo build --examples",
        program.display()
    );
    program
}

/// It complains and waits, rather than complain as fast as it can, and goes on when clients have left.
#[test]
fn a_server_without_descriptors_goes_on() {
    let started = Instant::now();
    let mut server = OtherProcess::start(&root(), Some(DESCRIPTORS), None);
    let clients: Vec<_> = (0..DESCRIPTORS).map(|_| connect_to(server.address)).collect();
    server.expect_complaints(3);
    assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());
    drop(clients);
    let mut stream = connect_to(server.address);
    write!(stream, "GET /missing HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert!(read_reply(&mut stream, true).0.starts_with("HTTP/1.1 404"));
}

/// No thread can be had if its stack is to be larger than all addresses allow. (The harness of this test could have
/// none either, so the server is the example's own program.)
#[test]
fn a_server_without_threads_goes_on() {
    // More than a quarter of what can be counted made std panic on musl, up to Rust 1.90.
    let stack = if usize::BITS > 32 { usize::MAX / 5 } else { usize::MAX / 16 * 15 };
    let mut server = OtherProcess::start(&root(), None, Some(stack));
    for _ in 0..3 {
        let mut stream = connect_to(server.address);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it is closed");
        server.expect_complaints(1);
    }
}

/// A file that cannot be opened for want of a descriptor is there all the same. When another client leaves, it can be had.
#[test]
fn a_file_without_a_descriptor_is_503() {
    let mut server = OtherProcess::start(&root(), Some(DESCRIPTORS), None);
    let ask_for_ten = |stream: &mut TcpStream| {
        write!(stream, "GET /ten.txt HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        status(&read_reply(stream, true).0).to_owned()
    };
    let mut first = connect_to(server.address);
    assert_eq!(ask_for_ten(&mut first), "200");
    let others: Vec<_> = (0..DESCRIPTORS).map(|_| connect_to(server.address)).collect();
    server.expect_complaint_of(Errno::EMFILE); // and not of a thread that a busy machine does not give
    assert_eq!(ask_for_ten(&mut first), "503");
    drop(others);
    let deadline = Instant::now() + PATIENCE;
    while ask_for_ten(&mut first) != "200" {
        assert!(Instant::now() < deadline, "the others have left");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A thousand clients are connected and ask at the same time. Each gets what it asked for, and nothing is left of them.
#[test]
fn a_thousand_at_once() {
    const CLIENTS: usize = 1000;
    const STACK: usize = 256 * 1024;
    let (clients, table) = clients_and_table(CLIENTS);
    let sizes = [0, 1, 1000, 8000, 8192, 9000, 50_000];
    for size in sizes {
        std::fs::write(root().join(format!("{size}.bin")), &large()[..size]).unwrap();
    }
    let mut server = OtherProcess::start(&root(), Some(table), Some(STACK));
    let mut streams = Vec::new();
    for _ in 0..clients {
        let mut stream = connect_to(server.address);
        write!(stream, "HEAD /ten.txt HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        if stream.peek(&mut [0]).is_ok_and(|count| count == 0) {
            let why = server.log.next().unwrap().unwrap();
            assert!(why.contains(&format!("(os error {})", Errno::EAGAIN as i32)), "{why}");
            sockets::skipped(format_args!("{} of {clients} clients: {why}", clients - streams.len()));
            break;
        }
        assert_eq!(status(&read_reply(&mut stream, false).0), "200");
        streams.push(stream);
    }
    let asked: Vec<_> = sizes.into_iter().cycle().take(streams.len()).collect();
    for (stream, size) in streams.iter_mut().zip(&asked) {
        write!(stream, "GET /{size}.bin HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    }
    let whole = large();
    for (stream, size) in streams.iter_mut().zip(asked) {
        let (head, body) = read_reply(stream, true);
        assert!(status(&head) == "200" && body == whole[..size], "{size}: {head}");
    }
    drop(streams);
    server.expect_descriptors(server.descriptors);
}

/// How many clients there can be, up to these, and the table of descriptors that their server needs. A client has one
/// descriptor here, and two there while its file is sent.
fn clients_and_table(wanted: usize) -> (usize, usize) {
    const OTHERS: usize = 50;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let table = hard.min((2 * wanted + OTHERS) as _);
    let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.max(table), hard);
    let clients = wanted.min((table as usize - OTHERS) / 2);
    if clients < wanted {
        sockets::skipped(format_args!(
            "{} of {wanted} clients: the limit of descriptors is {hard}",
            wanted - clients
        ));
    }
    (clients, table as usize)
}
