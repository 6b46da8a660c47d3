//! Waits until there is something to read, and no longer than a source may wait.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// How often a source looks whether it is to stop.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

const LOOK_EVERY_MS: libc::c_int = LOOK_EVERY.as_millis() as libc::c_int;

/// What is waited for. Filled anew before each time, in the memory that it has.
#[derive(Default)]
pub(super) struct Waits {
    polled: Vec<libc::pollfd>,
}

impl Waits {
    pub(super) fn clear(&mut self) {
        self.polled.clear();
    }

    /// Waits for this, too. (What is closed before [`Waits::wait`] is no error there: it is taken for ready.)
    pub(super) fn add(&mut self, fd: BorrowedFd<'_>) {
        let polled = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        self.polled.push(polled);
    }

    /// Whether one is ready, after [`LOOK_EVERY`] at most. A signal is none.
    pub(super) fn wait(&mut self) -> io::Result<bool> {
        let len = self.polled.len() as libc::nfds_t;
        // SAFETY: so many entries are there, borrowed alone for the call.
        match unsafe { libc::poll(self.polled.as_mut_ptr(), len, LOOK_EVERY_MS) } {
            0.. => {}
            _ => {
                let error = io::Error::last_os_error();
                self.polled.iter_mut().for_each(|polled| polled.revents = 0);
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
        Ok(self.polled.iter().any(|polled| polled.revents != 0))
    }

    /// Whether there is something to read, an end or an error, in the order in which they were added.
    pub(super) fn is_ready(&self, index: usize) -> bool {
        self.polled[index].revents != 0
    }
}

/// Whether this one is ready, after [`LOOK_EVERY`] at most.
pub(super) fn is_ready(fd: impl AsFd) -> io::Result<bool> {
    let mut polled = libc::pollfd { fd: fd.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry is there, borrowed alone for the call.
    match unsafe { libc::poll(&raw mut polled, 1, LOOK_EVERY_MS) } {
        0.. => Ok(polled.revents != 0),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
    }
}
