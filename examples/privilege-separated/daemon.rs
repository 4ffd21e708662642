//! A file server of two halves. The parent opens files and never talks to a client. The children talk to clients and cannot open a file:
//! they ask the parent, which passes them a descriptor. README.md has the design, and what each half may do.
//!
//!     cargo run --package unisend-privilege-separated --example privilege-separated -- DIRECTORY [ADDRESS:PORT]

mod child;
mod messages;
mod parent;
mod platform;

use std::error::Error;
use std::net::TcpListener;
use std::process::{Command, ExitCode};

/// The argument with which the parent starts this program again, as a child.
const CHILD: &str = "--child";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [only] if only == CHILD => {
            let listener = child::start()?;
            platform::allow(platform::CHILD)?;
            Ok(child::serve(&listener).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS))
        }
        [directory, address @ ..] if address.len() <= 1 => {
            let address =
                address.first().map_or("127.0.0.1:8000".into(), |address| address.to_string_lossy());
            let listener = TcpListener::bind(&*address)?;
            let folder = parent::open_folder(directory)?;
            let program = std::env::current_exe()?;
            let children = parent::start(&listener, || {
                let mut command = Command::new(&program);
                command.arg(CHILD);
                command
            })?;
            let address = listener.local_addr()?;
            drop(listener); // the children have it
            println!("serving http://{address}/");
            platform::show_only(directory.as_ref())?;
            platform::allow(platform::PARENT)?;
            parent::serve(children, &folder);
            Ok(ExitCode::FAILURE)
        }
        _ => {
            eprintln!("usage: privilege-separated DIRECTORY [ADDRESS:PORT]");
            Ok(ExitCode::from(2))
        }
    }
}
