//! The program as a user starts it, with clients and children that do what they should not, and with less than it may do.

#[path = "../messages.rs"]
mod messages;
#[path = "../parent.rs"]
mod parent;
#[allow(unused_imports, dead_code, reason = "only the lists are read here")]
#[path = "../platform/mod.rs"]
mod platform;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rstest::rstest;
use unisend::{SendFlags, SocketRef};

use crate::messages::Message;

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// More than the buffers of two sockets hold.
const LARGE: usize = 30_000_000;

/// A folder with the files, in a folder with a secret.
fn files() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("root");
    std::fs::create_dir_all(root.join("sub")).expect("a directory");
    for (name, length) in
        [("root/small", 5), ("root/empty", 0), ("root/large", LARGE), ("root/sub/below", 6), ("secret", 7)]
    {
        std::fs::write(directory.path().join(name), vec![b'x'; length]).expect("a file");
    }
    symlink("small", root.join("link")).expect("a link");
    symlink(directory.path(), root.join("link-out")).expect("a link");
    nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    directory
}

/// The program, which is ended with this.
struct Server {
    parent: Child,
    address: SocketAddr,
    children: Vec<Pid>,
}

impl Server {
    fn start(name: &str, arguments: &[&str], files: &Path) -> Self {
        let this = std::env::current_exe().expect("this program");
        let program: PathBuf = this.ancestors().nth(2).expect("a folder").join("examples").join(name);
        assert!(program.exists(), "not there: {}; cargo test builds it", program.display());
        let mut parent = Command::new(program)
            .args(arguments)
            .arg(files.join("root"))
            .arg("127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut said = String::new();
        BufReader::new(parent.stdout.take().expect("piped")).read_line(&mut said).expect("text");
        let address = said.trim().trim_start_matches("serving http://").trim_end_matches('/').parse();
        let list = format!("/proc/{0}/task/{0}/children", parent.id());
        let children = std::fs::read_to_string(list).unwrap_or_default();
        let children =
            children.split_whitespace().map(|id| Pid::from_raw(id.parse().expect("a number"))).collect();
        Self { parent, address: address.expect("its address"), children }
    }

    /// Sends a request as it is, and returns the whole reply.
    fn ask(&self, request: &str) -> std::io::Result<String> {
        let mut stream = self.connect()?;
        stream.write_all(request.as_bytes())?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    }

    fn get(&self, name: &str) -> std::io::Result<String> {
        self.ask(&format!("GET {name} HTTP/1.0\r\nHost: test\r\n\r\n"))
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// A client that asks for the large file, reads a little of it, and closes: what it has not read makes that a reset.
    fn leave(&self) -> std::io::Result<()> {
        let mut stream = self.connect()?;
        stream.write_all(b"GET /large HTTP/1.0\r\n\r\n")?;
        stream.read_exact(&mut [0; 100])
    }

    fn parent(&self) -> Pid {
        Pid::from_raw(self.parent.id().cast_signed())
    }

    fn processes(&self) -> impl Iterator<Item = Pid> {
        std::iter::once(self.parent()).chain(self.children.iter().copied())
    }

    /// How many descriptors each process has.
    fn descriptors(&self) -> Vec<usize> {
        let count = |id: Pid| std::fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count);
        self.processes().map(count).collect()
    }

    /// Waits for the parent to end, and returns what it said.
    fn outcome(&mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.parent.try_wait().expect("it is a child") {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "it goes on"),
            }
            thread::sleep(Duration::from_millis(5));
        };
        let mut said = String::new();
        self.parent.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
        (status, said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}

#[rstest]
#[case("/small", "200 OK\r\nContent-Length: 5\r\n\r\nxxxxx")]
#[case("/empty", "200 OK\r\nContent-Length: 0\r\n\r\n")]
#[case("/sub/below", "200 OK\r\nContent-Length: 6\r\n\r\nxxxxxx")]
#[case("/missing", "404 Refused\r\n\r\n404\n")]
#[case("/", "404 Refused\r\n\r\n404\n")]
#[case("/sub", "404 Refused\r\n\r\n404\n")]
#[case("/fifo", "404 Refused\r\n\r\n404\n")]
#[case("/link", "404 Refused\r\n\r\n404\n")]
#[case("/link-out/secret", "404 Refused\r\n\r\n404\n")]
#[case("/../secret", "404 Refused\r\n\r\n404\n")]
#[case("/sub/../../secret", "404 Refused\r\n\r\n404\n")]
#[case("//etc/passwd", "404 Refused\r\n\r\n404\n")]
#[case("/./small", "404 Refused\r\n\r\n404\n")]
#[case("small", "400 Refused\r\n\r\n400\n")]
fn a_name_is_answered(#[case] name: &str, #[case] expected: &str) {
    let files = files();
    let server = Server::start("privilege-separated", &[], files.path());
    assert_eq!(server.get(name).expect("a reply"), format!("HTTP/1.0 {expected}"));
}

#[test]
fn what_is_no_request_is_refused() {
    let files = files();
    let server = Server::start("privilege-separated", &[], files.path());
    let status = |request: &str| server.ask(request).expect("a reply")[9..12].to_owned();
    assert_eq!(status("no request\r\n\r\n"), "400");
    assert_eq!(status("POST /small HTTP/1.0\r\n\r\n"), "405");
    assert_eq!(status(&format!("GET /{} HTTP/1.0\r\n\r\n", "x".repeat(256))), "414");
    assert_eq!(status(&format!("GET /{} HTTP/1.0\r\n\r\n", "x".repeat(255))), "404");
    assert_eq!(status("GET /small HTTP/1.0\r\n\r\n"), "200");
}

#[test]
fn clients_that_leave_leave_nothing_behind() {
    let files = files();
    let server = Server::start("privilege-separated", &[], files.path());
    // Each child has one of these clients and its file, so all have started.
    let mut clients: Vec<_> =
        (0..parent::CHILDREN).map(|_| server.connect().expect("a connection")).collect();
    for client in &mut clients {
        client.write_all(b"GET /small HTTP/1.0\r\n\r\n").expect("room");
        client.read_exact(&mut [0; 40]).expect("a reply");
    }
    let before: Vec<_> =
        server.descriptors().into_iter().enumerate().map(|(index, count)| count - 2 * index.min(1)).collect();
    drop(clients);
    for _ in 0..20 {
        server.leave().expect("a part");
        drop(server.connect().expect("a connection"));
        let reply = server.get("/large").expect("a reply");
        assert_eq!(reply.split_once("\r\n\r\n").expect("a head").1.len(), LARGE);
        assert!(server.get("/missing").expect("a reply").contains("404"));
    }
    let deadline = Instant::now() + PATIENCE;
    while server.descriptors() != before {
        assert!(Instant::now() < deadline, "{:?}, not {before:?}", server.descriptors());
        thread::sleep(Duration::from_millis(5));
    }
}

/// What children do that were taken over. Each is a child of the parent below, and would go on for a minute.
mod hostile {
    use super::*;

    fn act(act: impl FnOnce(&SocketRef<'_>)) {
        act(&SocketRef::unix_seqpacket(&std::io::stdin()));
        thread::sleep(Duration::from_secs(60));
    }

    fn send(record: &[u8]) {
        act(|parent| _ = parent.send(record, SendFlags::empty()).expect("room"));
    }

    #[test]
    #[ignore = "it is a child"]
    fn unknown_type() {
        send(b"?small");
    }

    #[test]
    #[ignore = "it is a child"]
    fn message_of_the_parent() {
        send(b"R\x01\x94");
    }

    #[test]
    #[ignore = "it is a child"]
    fn too_long() {
        send(&[b'O'; 300]);
    }

    #[test]
    #[ignore = "it is a child"]
    fn descriptor() {
        act(|parent| {
            Message::Opened(File::open("/dev/null").expect("it is there").into(), 1)
                .send(parent)
                .expect("room");
        });
    }

    #[test]
    #[ignore = "it is a child"]
    fn descriptors() {
        act(|parent| {
            let files = [std::io::stdin(), std::io::stdin()];
            let mut data = [std::io::IoSlice::new(b"Osmall")];
            let message = unisend::Message::new(&mut data).with_descriptors(&files);
            message.send(parent, SendFlags::empty()).expect("room");
        });
    }

    /// It takes no answers, so that the parent has no room for one.
    #[test]
    #[ignore = "it is a child"]
    fn deaf() {
        act(|parent| while parent.send(b"Osmall", SendFlags::empty()).is_ok() {});
    }

    #[test]
    #[ignore = "it is a child"]
    fn silent() {
        act(|_| ());
    }
}

/// The parent ends such a child and all others, and goes on with one that says nothing.
#[rstest]
#[case("unknown_type", true)]
#[case("message_of_the_parent", true)]
#[case("too_long", true)]
#[case("descriptor", true)]
#[case("descriptors", true)]
#[case("deaf", true)]
#[case("silent", false)]
fn a_hostile_child_is_ended(#[case] name: &'static str, #[case] ends: bool) {
    let files = files();
    let folder = parent::open_folder(files.path().join("root").as_os_str()).expect("it is there");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let this = std::env::current_exe().expect("this program");
    let children = parent::start(&listener, || {
        let mut command = Command::new(&this);
        command.args([
            "--exact",
            &format!("hostile::{name}"),
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ]);
        command
    })
    .expect("they start");
    let ids: Vec<_> = children.iter().map(|(child, _)| Pid::from_raw(child.id().cast_signed())).collect();
    let serving = thread::spawn(move || parent::serve(children, &folder));
    let deadline = Instant::now() + if ends { PATIENCE } else { Duration::from_secs(2) };
    while !serving.is_finished() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(serving.is_finished(), ends);
    ids.iter().for_each(|id| _ = kill(*id, Signal::SIGKILL)); // the silent ones: the parent then ends too
    serving.join().expect("it has ended");
    for id in ids {
        assert_eq!(waitpid(id, None), Err(nix::errno::Errno::ECHILD), "it is gone, and was waited for");
    }
}

/// All that the halves do: replies of all kinds, clients that leave or do not read, and what stops and continues a process.
fn make_it_work(server: &Server, with_a_slow_client: bool) -> std::io::Result<()> {
    let slow = with_a_slow_client.then(|| server.connect()).transpose()?;
    if let Some(mut slow) = slow.as_ref() {
        slow.write_all(b"GET /large HTTP/1.0\r\n\r\n")?; // and it reads nothing
    }
    for _ in 0..3 {
        for name in ["/small", "/missing", "/sub/below", "/large"] {
            server.get(name)?;
        }
        server.leave()?;
    }
    if with_a_slow_client {
        thread::sleep(Duration::from_secs(20)); // a few times its patience: it has it for each part that the kernel sends
    }
    for signal in [Signal::SIGSTOP, Signal::SIGCONT] {
        thread::sleep(Duration::from_millis(50));
        server.processes().for_each(|id| _ = kill(id, signal));
    }
    thread::sleep(Duration::from_millis(50));
    server.get("/small").map(drop)
}

/// Returns which of the halves a signal has ended that says that it did what it may not.
fn violations(server: &mut Server, half: &str, with_a_slow_client: bool) -> Vec<String> {
    let _ = make_it_work(server, with_a_slow_client);
    // The parent ends the children and itself after one of them has ended, and the children end themselves after the parent has.
    let first = if half == "parent" { server.children.first().copied() } else { Some(server.parent()) };
    let _ = first.map(|first| kill(first, Signal::SIGKILL));
    let (status, said) = server.outcome();
    let mut found: Vec<String> =
        said.lines().filter(|line| line.contains("SIGSYS")).map(str::to_owned).collect();
    if status.to_string().contains("SIGSYS") {
        found.push("parent".to_owned());
    }
    for child in &server.children {
        if matches!(waitpid(*child, None), Ok(WaitStatus::Signaled(_, Signal::SIGSYS, _))) {
            found.push(format!("child {child}"));
        }
    }
    found
}

/// The children of a parent that has ended become this program's, which then sees how they end.
#[cfg(target_os = "linux")]
fn adopts_orphans() -> bool {
    nix::sys::prctl::set_child_subreaper(true).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn adopts_orphans() -> bool {
    println!("skipped: orphans are not adopted on this system");
    false
}

fn can_be_limited() -> bool {
    let is_known = !platform::PARENT.is_empty();
    if !is_known {
        println!("skipped: there is no filter of system calls for this processor");
    }
    is_known && adopts_orphans()
}

#[rstest]
fn each_half_does_with_what_it_may(#[values("parent", "child")] half: &str) {
    if can_be_limited() {
        let files = files();
        let mut server = Server::start("privilege-separated", &[], files.path());
        assert_eq!(violations(&mut server, half, true), Vec::<String>::new());
    }
}

#[rstest]
#[case("parent", platform::PARENT)]
#[case("child", platform::CHILD)]
fn each_half_needs_all_that_it_may(#[case] half: &str, #[case] words: &str) {
    if !can_be_limited() {
        return;
    }
    let files = files();
    for word in words.split(' ') {
        match word {
            "clock_gettime" => continue, // the vDSO tells the time here
            "getpeername" => continue, // asked after a time limit, which comes after a connection has been still for long
            "restart_syscall" if !cfg!(target_arch = "x86_64") => continue, // ppoll is made again as it is
            "fcntl" if half == "parent" && !cfg!(debug_assertions) => continue,
            _ => {}
        }
        let mut server = Server::start("privilege-separated-without", &[half, word], files.path());
        let found = violations(&mut server, half, false);
        assert!(!found.is_empty(), "the {half} does not need {word}");
    }
}

#[test]
fn the_table_in_the_readme_is_what_is_allowed() {
    let readme = include_str!("../README.md");
    for (half, words) in [("parent", platform::PARENT), ("child", platform::CHILD)] {
        let listed = match cfg!(target_os = "openbsd") {
            true => format!("| \"{}\"", words.replace(' ', "\", \"")),
            false => format!("| {half} | {} |", words.replace(' ', ", ")),
        };
        assert!(words.is_empty() || readme.contains(&listed), "{listed}");
    }
}

/// For one system, without empty lines and comments.
#[test]
fn it_is_read_in_one_sitting() {
    let files = [
        include_str!("../daemon.rs"),
        include_str!("../messages.rs"),
        include_str!("../parent.rs"),
        include_str!("../child.rs"),
        include_str!("../platform/mod.rs"),
        include_str!("../platform/linux.rs"),
    ];
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    let count = files.iter().flat_map(|file| file.lines()).filter(is_code).count();
    assert!(count < 300, "{count} lines");
}
