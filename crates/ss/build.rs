//! Links the unwinder statically, so that glibc is the only shared library that the program
//! loads, and leaves the tables for unwinding out of a release.
//!
//! The standard library asks for `libgcc_s.so`.  With fat LTO its calls are already in our own
//! object, so the static `libgcc_eh` resolves them first and the linker's `--as-needed` drops
//! the shared library.  Debug builds still load it: their panics unwind, for which the
//! program's own `_dl_find_object` (sys.rs) does not suffice.  Only for glibc, where the shared
//! library would be loaded, and only when not cross-compiling: another machine's unwinder
//! belongs to another C library.
//!
//! Panics of a release abort (Cargo.toml), so nothing in the process reads the tables
//! (`.eh_frame`), which are a tenth of the program.  Builds with debug information keep them:
//! debuggers and profilers walk the stack with them.  Linkers that cannot leave them out (mold)
//! keep them too, so a small program is linked first to see what this linker can do.  With
//! `cargo test --release`, the unit tests of the program lack the tables as well: the first one
//! that fails ends the run.
//!
//! Both programs are linked like this: the build script of `crates/cli` is a link to this file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Leaves out the sections that only unwinding reads; the rest stays where the linker puts it.
const NO_TABLES: &str = "\
SECTIONS { /DISCARD/ : { *(.eh_frame .gcc_except_table .gcc_except_table.*) } } INSERT AFTER .text;
";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_OS", "linux") {
        return;
    }
    if is("DEBUG", "false") {
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

fn leave_tables_out() {
    let Some(directory) = std::env::var_os("OUT_DIR").map(PathBuf::from) else { return };
    let (script, probe) = (directory.join("no-tables.ld"), directory.join("probe.rs"));
    let arguments = [format!("-T{}", script.display()), "-Wl,--no-eh-frame-hdr".to_owned()];
    let written = std::fs::write(&script, NO_TABLES).and_then(|()| std::fs::write(&probe, "fn main() {}"));
    if written.is_ok() && links(&probe, &arguments) {
        for argument in arguments {
            println!("cargo:rustc-link-arg-bins={argument}");
        }
    }
}

/// Whether a program can be linked with these arguments, by the linker and flags of this build.
fn links(program: &Path, arguments: &[String]) -> bool {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let mut compiler = Command::new(variable("RUSTC"));
    compiler
        .args(["--edition=2024", "--crate-type=bin", "-Cpanic=abort", "--target"])
        .arg(variable("TARGET"));
    compiler.args(variable("CARGO_ENCODED_RUSTFLAGS").split('\u{1f}').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = std::env::var("RUSTC_LINKER") {
        compiler.arg(format!("-Clinker={linker}"));
    }
    compiler.args(arguments.iter().map(|argument| format!("-Clink-arg={argument}")));
    compiler.arg("-o").arg(program.with_extension("")).arg(program);
    compiler.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    compiler.status().is_ok_and(|status| status.success())
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
