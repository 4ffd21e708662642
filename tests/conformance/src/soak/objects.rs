//! The files, the pipe and the sockets whose descriptors are passed.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::SockType;
use nix::sys::stat::fstat;

use crate::case::Stop;
use crate::scene;

/// A message has up to this many descriptors.
pub(super) const MOST: u32 = 20;

/// What a descriptor is of, as fstat(2) says it.
type Identity = (u64, u64, u64);

pub(super) struct Objects {
    all: Vec<(OwnedFd, Identity)>,
}

impl Objects {
    /// Makes the objects. Their files are in this directory for a moment.
    pub(super) fn new(directory: &Path) -> Result<Self, Stop> {
        let path = directory.join("object");
        let file = || -> Result<OwnedFd, Stop> {
            let file = File::options().read(true).write(true).create_new(true).open(&path)?;
            Ok(file.into())
        };
        let mut files = Vec::new();
        for _ in 0..3 {
            files.push(file()?);
            std::fs::remove_file(&path)?;
        }
        let (pipe, _) = nix::unistd::pipe()?;
        let (one, other) = scene::unix_pair(SockType::Stream)?;
        let all = files.into_iter().chain([pipe, one, other]);
        let all = all.map(|fd| {
            let identity = identity(fd.as_fd())?;
            Ok((fd, identity))
        });
        Ok(Self { all: all.collect::<Result<_, Stop>>()? })
    }

    /// Returns this many descriptors, from this one on.
    pub(super) fn from(&self, first: u32, count: u32) -> Vec<BorrowedFd<'_>> {
        (first..first + count).map(|number| self.all[self.place(number)].0.as_fd()).collect()
    }

    /// Returns which object this descriptor is of.
    pub(super) fn number(&self, fd: BorrowedFd<'_>) -> Option<u32> {
        let identity = identity(fd).ok()?;
        self.all.iter().position(|(_, known)| *known == identity).map(|number| number as u32)
    }

    /// Returns the number of the object that follows this one.
    pub(super) fn after(&self, number: u32) -> u32 {
        self.place(number + 1) as u32
    }

    fn place(&self, number: u32) -> usize {
        number as usize % self.all.len()
    }
}

#[allow(clippy::unnecessary_cast, reason = "the types are other ones on other systems")]
fn identity(fd: BorrowedFd<'_>) -> Result<Identity, Stop> {
    let status = fstat(fd)?;
    Ok((u64::from(status.st_mode & libc::S_IFMT), status.st_dev as u64, status.st_ino as u64))
}
