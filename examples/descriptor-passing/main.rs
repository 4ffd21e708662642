//! Privilege separation: a parent opens files, and passes their descriptors to a child that must not open
//! any.
//!
//! Run it with the names of files: `cargo run --example descriptor-passing -- README.md Cargo.toml`. If it is
//! run as root, the child becomes user 32767. On OpenBSD both processes pledge what they need and no more. On
//! Linux pledge does nothing.

use std::error::Error;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use unisend::{ControlBuffer, Message, ReceiveFlags, SendFlags, SocketRef};

/// The argument with which the parent starts itself as the child.
const CHILD: &str = "--child";
const NOBODY: u32 = 32_767;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [only] if only == CHILD => child().map(|()| ExitCode::SUCCESS),
        names => parent(names),
    }
}

/// Opens each file, and sends its descriptor with its name as the data.
fn parent(names: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(CHILD).stdin(OwnedFd::from(theirs));
    if nix::unistd::Uid::effective().is_root() {
        command.gid(NOBODY).uid(NOBODY);
    }
    let mut child = command.spawn()?;
    drop(command); // it has the child's end of the pair
    pledge("stdio rpath sendfd proc")?;

    let socket = SocketRef::from(&ours);
    for name in names {
        let file = File::open(name).map_err(|error| format!("{name}: {error}"))?;
        let (mut data, descriptors) = ([IoSlice::new(name.as_bytes())], [file.as_fd()]);
        Message::new(&mut data).with_descriptors(&descriptors).send_all(&socket, SendFlags::empty())?;
    }
    drop(ours); // the child then sees the end of file
    Ok(if child.wait()?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Receives files until the end, and counts their lines. It cannot open a file itself.
fn child() -> Result<(), Box<dyn Error>> {
    pledge("stdio recvfd")?;
    let stdin = std::io::stdin();
    let socket = SocketRef::unix_stream(&stdin);
    let (mut control, mut name) = (ControlBuffer::new(), [0; 4096]);
    loop {
        let mut slices = [IoSliceMut::new(&mut name)];
        let mut received = socket.receive(&mut slices, &mut control, ReceiveFlags::empty())?;
        if received.is_end_of_file() {
            return Ok(());
        }
        // Each message has a descriptor, so that each call returns one message (clause R28).
        let bytes = received.bytes();
        let descriptor = received.descriptors().next().ok_or("a name without a file")?;
        drop(received);
        let mut text = Vec::new();
        File::from(descriptor).read_to_end(&mut text)?;
        let lines = text.iter().filter(|&&byte| byte == b'\n').count();
        println!("{}: {lines} lines", String::from_utf8_lossy(&name[..bytes]));
    }
}

fn pledge(promises: &str) -> Result<(), pledge::Error> {
    pledge::pledge(promises, None).or_else(pledge::Error::ignore_platform)
}
