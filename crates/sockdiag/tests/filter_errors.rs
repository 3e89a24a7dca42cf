//! The errors of two hundred filters, in the words of `ss`.
//!
//! `crates/ss/tests/filter_errors.rs` compares these words with the program's.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

mod filter_support;

use filter_support::read_line;
use sockdiag::filter::{CgroupError, FilterError, HostError};
use sockdiag_testkit::wrong_filters::{WRONG, Wrong};

#[test]
fn every_wrong_filter_is_refused_for_the_right_reason() {
    assert!(WRONG.len() >= 200);
    for (text, wrong) in WRONG {
        let want = match *wrong {
            Wrong::Syntax => FilterError::Syntax,
            Wrong::Address(word) => FilterError::Host(Some(HostError::Address(word.into()))),
            Wrong::Port(word) => FilterError::Host(Some(HostError::Port(word.into()))),
            Wrong::Host => FilterError::Host(None),
            Wrong::Device => FilterError::Device,
            Wrong::Mark(word) => FilterError::Mark(word.into()),
            Wrong::Cgroup(path) => {
                FilterError::Cgroup { path: path.into(), reason: CgroupError::NoId { errno: 2 } }
            }
        };
        match read_line(text.as_bytes()) {
            Err(error) => assert_eq!(error, want, "{text:?}"),
            Ok(parsed) => panic!("{text:?} parses as {parsed:?}"),
        }
    }
}
