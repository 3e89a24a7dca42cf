//! One pass over the kernel's own tables of TCP sockets, by a program that the
//! kernel runs.
//!
//! | what | where |
//! | --- | --- |
//! | which members of the kernel's structures are copied | [`members`] |
//! | how a record of them is laid out and read | [`record`] |
//! | the message that the kernel would send of a record | [`compose`], [`tcp_info`], [`jiffies`] |
//! | the program | [`program`] |
//! | how it is loaded and run | [`load`] |

#![expect(dead_code, reason = "nothing asks for a walk yet")]

mod compose;
mod jiffies;
mod load;
mod members;
mod program;
mod record;
mod tcp_info;

#[cfg(test)]
mod tests;
