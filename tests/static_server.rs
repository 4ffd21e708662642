//! The example static-server, by real requests: over std's TcpStream, and by curl where it is installed.

#[path = "../examples/static-server/main.rs"]
mod server;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use rstest::rstest;

const LARGE: usize = 5_000_000;

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
    write("large.bin", &large());
    std::fs::write(directory.path().join("secret"), b"secret").unwrap();
    symlink(directory.path().join("secret"), root.join("link-out")).unwrap();
    symlink("ten.txt", root.join("link-in")).unwrap();
    nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || server::serve(&listener, &root));
    (address, directory)
});

fn large() -> Vec<u8> {
    (0..LARGE as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn connect() -> TcpStream {
    let stream = TcpStream::connect(SERVER.0).unwrap();
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

#[rstest]
#[case::root("/", b"<p>Hello</p>", "text/html; charset=utf-8")]
#[case::directory("/sub/", b"<p>below</p>", "text/html; charset=utf-8")]
#[case::file("/ten.txt", b"0123456789", "text/plain; charset=utf-8")]
#[case::query("/ten.txt?x=1", b"0123456789", "text/plain; charset=utf-8")]
#[case::encoded("/a%20name.txt", b"spaced", "text/plain; charset=utf-8")]
#[case::empty("/empty", b"", "application/octet-stream")]
#[case::link_inside("/link-in", b"0123456789", "text/plain; charset=utf-8")]
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
#[case::link_out("/link-out")]
#[case::fifo("/fifo")]
#[case::nul("/ten.txt%00")]
#[case::half_encoded("/ten.txt%2")]
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

#[rstest]
#[case::method("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405")]
#[case::nonsense("what is this\r\n\r\n", "400")]
fn what_it_does_not_do_is_said(#[case] request: &str, #[case] status: &str) {
    let mut stream = connect();
    stream.write_all(request.as_bytes()).unwrap();
    let (head, _) = read_reply(&mut stream, true);
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
}

#[test]
fn a_header_without_an_end_is_refused() {
    let mut stream = connect();
    stream.write_all(&[b"GET / HTTP/1.1\r\nX: ", &[b'x'; 8173][..]].concat()).unwrap();
    assert!(read_reply(&mut stream, true).0.starts_with("HTTP/1.1 431 "));
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

/// A client that goes away in the middle does no harm to the others, nor to the process.
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
        eprintln!("skipped: curl cannot be run: {error}");
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
