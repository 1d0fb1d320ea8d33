//! The few calls of the C library that the standard library links but does not offer.

use std::os::raw::{c_int, c_short, c_uint, c_ulong, c_void};

#[repr(C)]
struct PollFd {
    fd: c_int,
    events: c_short,
    revents: c_short,
}

extern "C" {
    fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, length: *mut c_uint) -> c_int;
    fn poll(fds: *mut PollFd, count: c_ulong, timeout: c_int) -> c_int;
    fn signal(number: c_int, handler: usize) -> usize;
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
}

const SOL_SOCKET: c_int = 1;
const SO_TYPE: c_int = 3;
const SO_ACCEPTCONN: c_int = 30;
const SOCK_STREAM: c_int = 1;
const POLLERR: c_short = 8;
const POLLHUP: c_short = 16;
const SIGTERM: c_int = 15;
const F_SETFD: c_int = 2;
const FD_CLOEXEC: c_int = 1;

fn option(fd: c_int, name: c_int) -> Option<c_int> {
    let mut value: c_int = 0;
    let mut length = std::mem::size_of::<c_int>() as c_uint;
    // SAFETY: both pointers are to live variables of the sizes that are told.
    let failed = unsafe { getsockopt(fd, SOL_SOCKET, name, (&mut value as *mut c_int).cast(), &mut length) };
    (failed == 0).then_some(value)
}

/// Whether the descriptor is a socket that listens.
pub fn listens(fd: c_int) -> bool {
    option(fd, SO_ACCEPTCONN) == Some(1)
}

/// Whether the descriptor is a stream socket.
pub fn is_stream(fd: c_int) -> bool {
    option(fd, SO_TYPE) == Some(SOCK_STREAM)
}

/// Whether the other side of a connection is gone.
pub fn hung_up(fd: c_int) -> bool {
    let mut one = PollFd { fd, events: 0, revents: 0 };
    // SAFETY: one structure, and its count is one.
    unsafe { poll(&mut one, 1, 0) == 1 && one.revents & (POLLHUP | POLLERR) != 0 }
}

/// Keeps the descriptor from programs that the function starts.
pub fn close_on_exec(fd: c_int) {
    // SAFETY: changes a flag of a descriptor, nothing of memory.
    unsafe { fcntl(fd, F_SETFD, FD_CLOEXEC) };
}

extern "C" fn nothing(_: c_int) {}

/// SIGTERM no longer ends the process: the launcher says on its channel when it is over. Not ignored, which programs started from here would inherit.
pub fn outlive_sigterm() {
    // SAFETY: the handler does nothing, so it is safe at any moment.
    unsafe { signal(SIGTERM, nothing as *const () as usize) };
}
