//! Links what unwinding needs into the program, so that glibc is the only
//! shared library that it loads.
//!
//! The standard library asks for `libgcc_s.so`; with fat LTO its calls are in
//! our own object by then, so the static `libgcc_eh` answers them first and
//! the linker's `--as-needed` leaves the shared library out.  Debug builds load
//! it: their panics unwind, for which the program's own `_dl_find_object`
//! (sys.rs) is not made.
//!
//! Only for glibc, where it is loaded, and only with the compiler of the machine
//! that the program is for: another's unwinder is of another C library.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|known| known == value);
    let is_static = std::env::var("CARGO_CFG_TARGET_FEATURE")
        .is_ok_and(|all| all.split(',').any(|one| one == "crt-static"));
    let is_here = std::env::var("HOST").is_ok_and(|host| is("TARGET", &host));
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_ENV", "gnu") || is_static || !is_here {
        return;
    }
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let Ok(out) = Command::new(compiler).arg("-print-file-name=libgcc_eh.a").output() else { return };
    let path = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    if let Some(directory) = Path::new(&path).parent().filter(|dir| dir.is_absolute()) {
        println!("cargo:rustc-link-search=native={}", directory.display());
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}
