//! One pass over the kernel's own tables of TCP sockets, by a program that the
//! kernel runs.
//!
//! | what | where |
//! | --- | --- |
//! | the program | [`program`] |
//! | how it is loaded and run | [`load`] |

mod load;
mod program;
