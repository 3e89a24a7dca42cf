//! One pass over the kernel's own tables of TCP sockets.

#![expect(dead_code, reason = "the program that fills records is still to come")]

mod members;
mod record;
