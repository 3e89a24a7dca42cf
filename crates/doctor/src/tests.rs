//! The rules of the program, as a whole.

use sockdiag_facts::fields::Catalog;

#[test]
fn the_rules_of_the_program_are_sound() {
    match crate::built_in(&Catalog::extended()) {
        Ok(rules) => assert!(rules.len() >= 60, "{}", rules.len()),
        Err(error) => panic!("{error}"),
    }
}
