//! Links what unwinding needs into the program, so that glibc is the only
//! shared library that it loads.
//!
//! The standard library asks for `libgcc_s.so`; with fat LTO its calls are in
//! our own object by then, so the static `libgcc_eh` answers them first and
//! the linker's `--as-needed` leaves the shared library out.  Without LTO (a
//! debug build) this does nothing, which costs only a shared library.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let Ok(out) = Command::new(compiler).arg("-print-file-name=libgcc_eh.a").output() else { return };
    let path = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    if let Some(directory) = Path::new(&path).parent().filter(|dir| dir.is_absolute()) {
        println!("cargo:rustc-link-search=native={}", directory.display());
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}
