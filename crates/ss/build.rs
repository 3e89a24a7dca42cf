//! Links the unwinder statically, so that glibc is the only shared library that the program
//! loads, and leaves the tables for unwinding out of a release.
//!
//! The standard library asks for `libgcc_s.so`.  With fat LTO its calls are already in our own
//! object, so the static `libgcc_eh` resolves them first and the linker's `--as-needed` drops
//! the shared library.  Debug builds still load it: their panics unwind, for which the
//! program's own `_dl_find_object` (sys.rs) does not suffice.
//!
//! Panics of a release abort (Cargo.toml), and that function ends all unwinding, so nothing in
//! the process reads the tables (`.eh_frame`), which are a tenth of the program.  Builds with
//! debug information keep them: debuggers and profilers walk the stack with them.
//!
//! Not when cross-compiling: another machine's unwinder belongs to another C library, and its
//! linker may be called without a compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Leaves out the sections that only unwinding reads; the rest stays where the linker puts it.
const NO_TABLES: &str = "\
SECTIONS { /DISCARD/ : { *(.eh_frame .gcc_except_table .gcc_except_table.*) } } INSERT AFTER .text;
";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_OS", "linux") {
        return;
    }
    if is("DEBUG", "false") && is_this_architecture() {
        leave_tables_out();
    }
    let is_static = std::env::var("CARGO_CFG_TARGET_FEATURE")
        .is_ok_and(|all| all.split(',').any(|one| one == "crt-static"));
    let is_here = std::env::var("HOST").is_ok_and(|host| is("TARGET", &host));
    if is("CARGO_CFG_TARGET_ENV", "gnu") && !is_static && is_here {
        link_unwinder();
    }
}

/// Whether a variable that cargo sets has this value.
fn is(name: &str, value: &str) -> bool {
    std::env::var(name).is_ok_and(|known| known == value)
}

fn is_this_architecture() -> bool {
    std::env::var("HOST")
        .is_ok_and(|host| is("CARGO_CFG_TARGET_ARCH", host.split('-').next().unwrap_or(&host)))
}

fn leave_tables_out() {
    let Some(directory) = std::env::var_os("OUT_DIR") else { return };
    let script = PathBuf::from(directory).join("no-tables.ld");
    if std::fs::write(&script, NO_TABLES).is_ok() {
        println!("cargo:rustc-link-arg-bins=-T{}", script.display());
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    }
}

fn link_unwinder() {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let Ok(out) = Command::new(compiler).arg("-print-file-name=libgcc_eh.a").output() else { return };
    let path = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    if let Some(directory) = Path::new(&path).parent().filter(|dir| dir.is_absolute()) {
        println!("cargo:rustc-link-search=native={}", directory.display());
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}
