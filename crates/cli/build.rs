//! Links the unwinder statically, so that glibc is the only shared library that the program
//! loads.
//!
//! The standard library asks for `libgcc_s.so`.  With fat LTO its calls are already in our own
//! object, so the static `libgcc_eh` resolves them first and the linker's `--as-needed` drops
//! the shared library.  Debug builds still load it: their panics unwind, for which the
//! program's own `_dl_find_object` (sys.rs) does not suffice.
//!
//! Only for glibc, where the shared library would be loaded, and only when not
//! cross-compiling: another machine's unwinder belongs to another C library.

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
