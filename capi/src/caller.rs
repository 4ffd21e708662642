#![allow(clippy::not_unsafe_ptr_arg_deref, reason = "the promise is taken where a Caller is made")]

use std::ffi::{c_int, c_void};
use std::io::{IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use arrayvec::ArrayVec;
use libc::{iovec, sockaddr, socklen_t};
use unisend::limits;

use crate::Refusal;

/// Slices of one call.
pub type Slices<'call> = ArrayVec<IoSlice<'call>, { limits::SLICES_PER_MESSAGE }>;

/// Descriptors of one message.
pub type Descriptors<'call> = ArrayVec<BorrowedFd<'call>, { limits::DESCRIPTORS_PER_MESSAGE }>;

/// How many bytes a control message has before its data.
// SAFETY: it is arithmetic on its argument.
pub(crate) const CONTROL_HEADER: usize = unsafe { libc::CMSG_LEN(0) } as usize;

/// How many bytes a control message with one byte of data takes, with its padding.
// SAFETY: as above.
pub(crate) const CONTROL_SPACE_OF_BYTE: usize = unsafe { libc::CMSG_SPACE(1) } as usize;

/// The promise of a C caller, for the time of one call, that its pointers and descriptors are what the
/// [rules](crate#safety) say.
///
/// Whoever has it can convert them. What can be checked is checked: a conversion refuses what is null, not aligned,
/// negative, or too much.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'call>(PhantomData<&'call mut c_void>);

impl<'call> Caller<'call> {
    /// Takes the promise.
    ///
    /// # Safety
    ///
    /// All that is converted during `'call` keeps the [rules](crate#safety), and `'call` ends with the call. Memory
    /// that is converted to a mutable reference or slice is converted once.
    #[must_use]
    pub const unsafe fn promises() -> Self {
        Self(PhantomData)
    }

    /// Converts a pointer to an object.
    pub fn object<T>(self, pointer: *const T) -> Result<&'call T, Refusal> {
        check(pointer)?;
        // SAFETY: it is neither null nor misaligned, and the caller promised the rest.
        Ok(unsafe { &*pointer })
    }

    /// Converts a pointer to an object that can be written to.
    pub fn object_mut<T>(self, pointer: *mut T) -> Result<&'call mut T, Refusal> {
        check(pointer)?;
        // SAFETY: as above, and it is converted once.
        Ok(unsafe { &mut *pointer })
    }

    /// Converts a pointer to an object that can be left out.
    pub fn optional_mut<T>(self, pointer: *mut T) -> Result<Option<&'call mut T>, Refusal> {
        match pointer.is_null() {
            true => Ok(None),
            false => self.object_mut(pointer).map(Some),
        }
    }

    /// Converts an array. An array of no elements can be null.
    pub fn array<T>(self, first: *const T, count: usize) -> Result<&'call [T], Refusal> {
        if count == 0 {
            return Ok(&[]);
        }
        check_array(first, count)?;
        // SAFETY: as for an object, and the array has at most SSIZE_MAX bytes.
        Ok(unsafe { std::slice::from_raw_parts(first, count) })
    }

    /// Converts an array that can be written to. An array of no elements can be null.
    ///
    /// Its elements may never have been written. The compiler knows nothing of memory that comes from C, and nothing
    /// here reads it.
    pub fn array_mut<T>(self, first: *mut T, count: usize) -> Result<&'call mut [T], Refusal> {
        if count == 0 {
            return Ok(&mut []);
        }
        check_array(first, count)?;
        // SAFETY: as above, and it is converted once.
        Ok(unsafe { std::slice::from_raw_parts_mut(first, count) })
    }

    /// Converts a buffer.
    pub fn bytes(self, data: *const c_void, length: usize) -> Result<&'call [u8], Refusal> {
        self.array(data.cast(), length)
    }

    /// Converts a buffer that can be written to.
    pub fn bytes_mut(self, data: *mut c_void, length: usize) -> Result<&'call mut [u8], Refusal> {
        self.array_mut(data.cast(), length)
    }

    /// Converts the bytes of a socket address, or `None` if it is null.
    pub fn sockaddr(
        self,
        address: *const sockaddr,
        length: socklen_t,
    ) -> Result<Option<&'call [u8]>, Refusal> {
        match address.is_null() {
            true => Ok(None),
            false => self.bytes(address.cast(), length as usize).map(Some),
        }
    }

    /// Converts buffers to be sent.
    ///
    /// They are added to an array of the function that calls this: as a result it would be copied.
    pub fn slices<const ROOM: usize>(
        self,
        first: *const iovec,
        count: c_int,
        slices: &mut ArrayVec<IoSlice<'call>, ROOM>,
    ) -> Result<(), Refusal> {
        for buffer in self.buffers(first, count, ROOM)? {
            slices.push(IoSlice::new(self.bytes(buffer.iov_base, buffer.iov_len)?));
        }
        Ok(())
    }

    /// Converts buffers to be filled.
    pub fn slices_mut<const ROOM: usize>(
        self,
        first: *const iovec,
        count: c_int,
        slices: &mut ArrayVec<IoSliceMut<'call>, ROOM>,
    ) -> Result<(), Refusal> {
        for buffer in self.buffers(first, count, ROOM)? {
            slices.push(IoSliceMut::new(self.bytes_mut(buffer.iov_base, buffer.iov_len)?));
        }
        Ok(())
    }

    fn buffers(self, first: *const iovec, count: c_int, most: usize) -> Result<&'call [iovec], Refusal> {
        match usize::try_from(count) {
            Err(_) => Err(Refusal::NegativeCount),
            Ok(count) if count > most => Err(Refusal::TooManySlices),
            Ok(count) => self.array(first, count),
        }
    }

    /// Converts a descriptor.
    pub fn descriptor(self, fd: c_int) -> Result<BorrowedFd<'call>, Refusal> {
        if fd < 0 {
            return Err(Refusal::NegativeDescriptor);
        }
        // SAFETY: it is not -1, and the caller promised that it stays open.
        Ok(unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// Converts descriptors that go with a message.
    pub fn descriptors(self, first: *const c_int, count: usize) -> Result<Descriptors<'call>, Refusal> {
        if count > limits::DESCRIPTORS_PER_MESSAGE {
            return Err(Refusal::TooManyDescriptors);
        }
        self.array(first, count)?.iter().map(|&fd| self.descriptor(fd)).collect()
    }

    /// Converts a descriptor to a type that owns one, for the time of the call: it is not closed.
    pub fn lent<T: From<OwnedFd>>(self, fd: c_int) -> Result<ManuallyDrop<T>, Refusal> {
        self.descriptor(fd)?;
        // SAFETY: it is not -1, the caller promised that it stays open, and it is never closed here.
        let owned = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(ManuallyDrop::new(owned.into()))
    }
}

/// Returns whether an option of a socket is set. One that the kernel does not know is not.
pub(crate) fn is_set(socket: BorrowedFd<'_>, level: c_int, option: c_int) -> bool {
    let mut value: c_int = 0;
    let mut length = size_of::<c_int>() as socklen_t;
    let room = (&raw mut value).cast();
    // SAFETY: the pointers are to room for a number, which is ours to write, and to its length.
    let status = unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, room, &raw mut length) };
    status == 0 && value != 0
}

fn check<T>(pointer: *const T) -> Result<(), Refusal> {
    match pointer {
        _ if pointer.is_null() => Err(Refusal::Null),
        _ if !pointer.is_aligned() => Err(Refusal::Misaligned),
        _ => Ok(()),
    }
}

fn check_array<T>(first: *const T, count: usize) -> Result<(), Refusal> {
    check(first)?;
    match count.checked_mul(size_of::<T>()) {
        Some(bytes) if bytes <= limits::BYTES_PER_CALL => Ok(()),
        _ => Err(Refusal::LengthOverflow),
    }
}
