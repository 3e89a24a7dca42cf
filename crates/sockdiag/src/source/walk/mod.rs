//! One pass over the kernel's own tables of TCP sockets, by a program that the
//! kernel runs.
//!
//! | what | where |
//! | --- | --- |
//! | which members of the kernel's structures are copied | [`members`] |
//! | how a record of them is laid out and read | [`record`] |
//! | the program | [`program`] |
//! | how it is loaded and run | [`load`] |

#![expect(dead_code, reason = "nothing asks for a walk yet")]

mod bound;
mod hash;
mod kernel;
mod load;
mod members;
mod pass;
mod pieces;
mod record;
