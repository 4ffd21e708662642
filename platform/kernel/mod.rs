//! What a kernel is: its numbers, its layouts, and what follows from them. Nothing here calls a kernel, so
//! every kernel is tested on any system.

mod choice;
pub(in crate::platform) mod control;
mod destination;
mod errno;
mod failure;
mod file;
mod header_values;
mod interface;
mod numbers;
mod socket_name;

pub(in crate::platform) use choice::choose;
pub(in crate::platform) use control::ControlLayout;
pub(in crate::platform) use destination::destination_in;
pub(in crate::platform) use errno::errnos;
pub(crate) use failure::{Cause, Failure, RawErrno};
pub(crate) use file::{FileKind, Status, Why};
pub(in crate::platform) use header_values::{hop_limit_in, segment_size_in, traffic_class_in};
pub(crate) use interface::{Calls, Kernel};
pub(in crate::platform) use interface::{Segmentation, SomebodysSigpipe};
pub(crate) use numbers::RawFlags;
pub(in crate::platform) use numbers::{ABSENT, NEVER_SENT, Numbers, held_to_libc};
pub(crate) use socket_name::{Family, SocketName};
