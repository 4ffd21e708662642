//! The example `static-server`, tested by real requests: over std's TcpStream, and by curl if it is
//! installed.
//!
//! A test that could end the whole server runs the example itself, in its own process.

#[path = "../examples/static-server/main.rs"]
mod server;

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rstest::rstest;

const LARGE: usize = 5_000_000;

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
    let write = |name: &str, bytes: &[u8]| std::fs::write(root.join(name), bytes).unwrap();
    write("index.html", b"<p>Hello</p>");
    write("sub/index.html", b"<p>below</p>");
    write("ten.txt", b"0123456789");
    write("empty", b"");
    write("a name.txt", b"spaced");
    write("a\ttab", b"tab");
    write("large.bin", &large());
    std::fs::write(directory.path().join("secret"), b"secret").unwrap();
    symlink(directory.path().join("secret"), root.join("link-out")).unwrap();
    symlink("ten.txt", root.join("link-in")).unwrap();
    nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || server::serve(&listener, &root, PATIENCE));
    (address, directory)
});

/// A server that does not wait long, and whose files do not matter.
static IMPATIENT_SERVER: LazyLock<SocketAddr> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || server::serve(&listener, Path::new("."), IMPATIENCE));
    address
});

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
    let length = value(&head, "Content-Length").unwrap().parse().unwrap();
    let mut body = vec![0; if with_body { length } else { 0 }];
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
#[case::link_inside("/link-in", b"0123456789", "text/plain; charset=utf-8")]
#[case::absolute("http://host/ten.txt", b"0123456789", "text/plain; charset=utf-8")]
#[case::absolute_with_a_query("HTTP://host:80/ten.txt?x=/y", b"0123456789", "text/plain; charset=utf-8")]
#[case::absolute_root("http://host", b"<p>Hello</p>", "text/html; charset=utf-8")]
fn get_and_head(#[case] target: &str, #[case] body: &[u8], #[case] kind: &str) {
    let (head, received) = ask("GET", target, "");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!((received.as_slice(), value(&head, "Content-Type")), (body, Some(kind)));
    let (same, _) = ask("HEAD", target, "");
    assert_eq!(same, head);
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
#[case::fifo("/fifo")]
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
#[case("bytes=+2-+5")]
#[case("bytes=+2-")]
#[case("bytes=-+3")]
#[case("lines=1-2")]
fn a_range_that_is_not_understood_is_all(#[case] range: &str) {
    let (head, body) = ask("GET", "/ten.txt", &format!("Range: {range}\r\n"));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(body, b"0123456789");
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
    assert_eq!(head, ask("HEAD", "/ten.txt", "").0);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
}

/// The part is wanted of one version of the file, and the server gave it no name by which it could be the same.
#[rstest]
#[case::tag("\"a-tag\"")]
#[case::date("Sat, 29 Oct 1994 19:43:31 GMT")]
fn a_range_of_a_certain_version_is_all(#[case] version: &str) {
    let (head, body) = ask("GET", "/ten.txt", &format!("Range: bytes=2-5\r\nIf-Range: {version}\r\n"));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(body, b"0123456789");
}

#[test]
fn a_connection_takes_one_request_after_another_and_several_at_once() {
    let mut stream = connect();
    for _ in 0..3 {
        write!(stream, "GET /ten.txt HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        assert_eq!(read_reply(&mut stream, true).1, b"0123456789");
    }
    write!(stream, "HEAD / HTTP/1.1\r\n\r\nGET /missing HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n").unwrap();
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
    let rest = b"\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n";
    let replies = all_replies(&[b"GET /ten.txt HTTP/1.1\r\n", headers, rest].concat());
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
    let request = format!("GET /ten.txt HTTP/1.1\r\n{headers}\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    let replies = all_replies(request.as_bytes());
    assert_eq!(replies.matches("HTTP/1.1 ").count(), 2, "{replies}");
}

/// It is said to the end, and not by a reset, even to a client that sends more than is read.
#[rstest]
#[case::method("POST / HTTP/1.1\r\nContent-Length: 20000\r\n\r\n", "405")]
#[case::nonsense("what is this\r\n\r\n", "400")]
#[case::long_header("GET / HTTP/1.1\r\nX: ", "431")]
fn what_it_does_not_do_is_said(#[case] request: &str, #[case] status: &str) {
    let replies = all_replies(&[request.as_bytes(), &UNREAD].concat());
    assert!(replies.starts_with(&format!("HTTP/1.1 {status} ")), "{replies}");
    assert!(replies.ends_with(&format!("\r\n{status}\n")), "{replies}");
}

#[test]
fn a_header_without_an_end_is_refused() {
    let mut stream = connect();
    stream.write_all(&[b"GET / HTTP/1.1\r\nX: ", &[b'x'; 8173][..]].concat()).unwrap();
    assert!(read_reply(&mut stream, true).0.starts_with("HTTP/1.1 431 "));
}

/// What is still on its way when the server has sent all of it arrives, although nobody read the request's body.
#[test]
fn a_slow_reader_that_sent_a_body_gets_all() {
    let mut stream = connect();
    let head = b"GET /large.bin HTTP/1.1\r\nContent-Length: 20000\r\n\r\n";
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
    stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n").unwrap();
    let stopped = (0..64).find_map(|_| stream.write_all(&[0; 1024 * 1024]).err());
    assert!(stopped.is_some(), "all of it was read");
}

/// Patience is with a whole request header, and with all that follows the last reply, not with each byte.
#[rstest]
#[case::header("GET / HTTP/1.1\r\nX: ")]
#[case::body("POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")]
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
        write!(stream, "GET /missing HTTP/1.1\r\n\r\n").unwrap();
        assert!(read_reply(&mut stream, true).0.starts_with("HTTP/1.1 404"));
    }
}

/// The header and a small file come in one piece.
#[test]
fn header_and_body_leave_together() {
    let mut stream = connect();
    write!(stream, "GET /ten.txt HTTP/1.1\r\n\r\n").unwrap();
    let mut piece = [0; 4096];
    let count = stream.read(&mut piece).unwrap();
    assert!(
        piece[..count].ends_with(b"\r\n\r\n0123456789"),
        "{:?}",
        String::from_utf8_lossy(&piece[..count])
    );
}

/// A client that goes away in the middle does no harm to the others.
#[test]
fn a_client_that_leaves_is_forgotten() {
    for _ in 0..20 {
        let mut stream = connect();
        write!(stream, "GET /large.bin HTTP/1.1\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 100]).unwrap();
    }
    assert_eq!(ask("GET", "/ten.txt", "").1, b"0123456789");
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
        // Past what is kept of a test that passes.
        std::io::stderr().write_all(format!("skipped: curl cannot be run: {error}\n").as_bytes()).unwrap();
        return;
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
}

impl OtherProcess {
    /// With a table of so many descriptors, and threads whose stacks are to have so many bytes.
    fn start(descriptors: Option<usize>, stack: Option<usize>) -> Self {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let prepare = move || {
            nix::unistd::alarm::set(60); // ends it if its parent could not
            match descriptors {
                Some(descriptors) => Ok(setrlimit(Resource::RLIMIT_NOFILE, descriptors as _, most)?),
                None => Ok(()),
            }
        };
        let mut command = Command::new(example());
        command.args([".", "127.0.0.1:0"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs(stack.map(|bytes| ("RUST_MIN_STACK", bytes.to_string())));
        // SAFETY: it makes two system calls, and allocates nothing.
        unsafe { command.pre_exec(prepare) };
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let address =
            said.trim_end().rsplit("http://").next().unwrap().trim_end_matches('/').parse().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, address, log }
    }

    /// Waits for as many complaints, each of a connection that was not served.
    fn expect_complaints(&mut self, count: usize) {
        for _ in 0..count {
            let line = self.log.next().expect("the server goes on").unwrap();
            assert!(line.starts_with("a connection was not served: "), "{line:?}");
        }
    }
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
    let mut server = OtherProcess::start(Some(DESCRIPTORS), None);
    let clients: Vec<_> = (0..DESCRIPTORS).map(|_| connect_to(server.address)).collect();
    server.expect_complaints(3);
    assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());
    drop(clients);
    let mut stream = connect_to(server.address);
    write!(stream, "GET /missing HTTP/1.1\r\n\r\n").unwrap();
    assert!(read_reply(&mut stream, true).0.starts_with("HTTP/1.1 404"));
}

/// No thread can be had if its stack is to be larger than all addresses allow. (The harness of this test could have
/// none either, so the server is the example's own program.)
#[test]
fn a_server_without_threads_goes_on() {
    // More than a quarter of what can be counted made std panic on musl, up to Rust 1.90.
    let stack = if usize::BITS > 32 { usize::MAX / 5 } else { usize::MAX / 16 * 15 };
    let mut server = OtherProcess::start(None, Some(stack));
    for _ in 0..3 {
        let mut stream = connect_to(server.address);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it is closed");
        server.expect_complaints(1);
    }
}
