//! What the contract says that an errno means.

use std::collections::BTreeMap;

use nix::errno::Errno;

const CONTRACT: &str = include_str!("../../../docs/contract.md");

/// Linux's number of a call that is to be restarted, which no user should ever see.
pub(crate) const ERESTARTSYS: i32 = 512;

/// The last errno of Linux.
const LAST: i32 = libc::EHWPOISON;

/// What the calls can fail with beyond the errnos that the contract names, and so is `Other`: that of a file system or a
/// disk, of a network's file system, of a protocol that is not TCP's, or of a device.
const BEYOND: [i32; 21] = [
    libc::ENXIO,
    libc::EBUSY,
    libc::ENODEV,
    libc::EISDIR,
    libc::ETXTBSY,
    libc::EFBIG,
    libc::ENOSPC,
    libc::EROFS,
    libc::ERANGE,
    libc::EDEADLK,
    libc::ENODATA,
    libc::EBADMSG,
    libc::EPROTO,
    libc::EILSEQ,
    libc::EUSERS,
    libc::ESHUTDOWN,
    libc::ESTALE,
    libc::EUCLEAN,
    libc::EREMOTEIO,
    libc::EDQUOT,
    libc::EHWPOISON,
];

/// The table of errors of the contract: which kind each errno is on any socket.
pub(crate) struct Contract(BTreeMap<String, &'static str>);

impl Contract {
    pub(crate) fn read() -> Self {
        let rows = CONTRACT.lines().filter_map(|line| {
            let columns: Vec<_> = line.strip_prefix("| `")?.split(" | ").collect();
            let [kind, _canonical, _linux, _openbsd, _std, from, ..] = columns[..] else { return None };
            Some((kind.trim_end_matches('`'), from))
        });
        let names = rows.flat_map(|(kind, from)| {
            let names = from.split(", ").map(|name| name.trim_end_matches(" (Linux)"));
            names.map(move |name| (name.to_owned(), kind))
        });
        let names: BTreeMap<_, _> = names.collect();
        assert!(names.len() > 40, "the contract was read: {names:?}");
        Self(names)
    }

    /// Returns the errnos that it names, and those of [`BEYOND`].
    pub(crate) fn errnos(&self) -> impl Iterator<Item = i32> {
        let named = (1..=LAST).filter(|&errno| self.0.contains_key(&name(errno)));
        named.chain(BEYOND.iter().copied())
    }

    /// Returns the name of the kind. An errno that the table does not have is `Other`.
    pub(crate) fn kind(&self, errno: i32) -> &'static str {
        self.0.get(&name(errno)).copied().unwrap_or("Other")
    }
}

/// Returns the errno's name, or the number of one that has no name.
pub(crate) fn name(errno: i32) -> String {
    match errno {
        ERESTARTSYS => errno.to_string(),
        _ => format!("{:?}", Errno::from_raw(errno)),
    }
}
