//! A TCP listener that stops listening when it is dropped.
//!
//! Closing the descriptor is not enough in a test: another test of the same process may have
//! just forked, and its child holds a copy until it calls `exec`.  Shutting the socket down
//! stops it for every copy.

use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{Shutdown, shutdown};

/// A [`TcpListener`] that is shut down when it is dropped, unless it was converted into
/// something else.
#[derive(Debug)]
pub struct Listener(Option<TcpListener>);

impl Listener {
    /// Listens at an address, in the namespace of the calling thread.
    ///
    /// # Errors
    /// When [`TcpListener::bind`] fails.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        TcpListener::bind(address).map(|listener| Self(Some(listener)))
    }
}

impl Deref for Listener {
    type Target = TcpListener;

    fn deref(&self) -> &TcpListener {
        let Some(listener) = &self.0 else { unreachable!("only turning it into a descriptor takes it out") };
        listener
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        TcpListener::as_fd(self)
    }
}

impl From<Listener> for OwnedFd {
    fn from(mut listener: Listener) -> Self {
        let Some(listener) = listener.0.take() else { unreachable!("it is taken out once") };
        listener.into()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(listener) = &self.0 {
            // It fails only if the socket no longer listens.
            let _ = shutdown(listener, Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_copy_of_its_descriptor_does_not_keep_it_listening() {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let copy = listener.try_clone().unwrap();
        drop(TcpStream::connect(address).unwrap());
        drop(listener);
        assert!(TcpStream::connect(address).is_err());
        drop(copy);
    }
}
