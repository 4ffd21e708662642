//! The program with one word of what a half may do taken away, for the test of its footprint: HALF WORD DIRECTORY ADDRESS:PORT.

mod child;
mod messages;
mod parent;
mod platform;

use std::error::Error;
use std::net::TcpListener;
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let without = |half: &str, words: &str| {
        let is_left = |word: &&str| arguments[0] != half || *word != arguments[1];
        words.split(' ').filter(is_left).collect::<Vec<_>>().join(" ")
    };
    let [half, word, directory, address] = arguments.as_slice() else {
        let listener = child::start()?;
        platform::allow(&without("child", platform::CHILD))?;
        return Ok(child::serve(&listener)?);
    };
    let listener = TcpListener::bind(address)?;
    let folder = parent::open_folder(directory.as_ref())?;
    let program = std::env::current_exe()?;
    let children = parent::start(&listener, || {
        let mut command = Command::new(&program);
        command.args([half, word]);
        command
    })?;
    println!("serving http://{}/", listener.local_addr()?);
    platform::show_only(directory.as_ref())?;
    platform::allow(&without("parent", platform::PARENT))?;
    parent::serve(children, &folder);
    Ok(())
}
