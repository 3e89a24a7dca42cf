//! What the views believe, compared with the kernel's own headers.
//!
//! A C program made of [`LAYOUTS`] and [`CONSTANTS`] prints where gcc puts each
//! member of the newest packaged headers; the installed ones are too old.
//! `SOCKDIAG_UAPI_INCLUDE` names a directory of headers to use instead.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sockdiag_wire::layout::{CONSTANTS, LAYOUTS};

/// The suite whose headers are the newest of Debian's, and the oldest release
/// that they may be of.
const SUITE: &str = "trixie-backports";

/// Where the headers are, or why they cannot be had.
fn headers() -> Result<PathBuf, String> {
    if let Some(dir) = std::env::var_os("SOCKDIAG_UAPI_INCLUDE") {
        return Ok(dir.into());
    }
    let rig = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/kernels/rig.py");
    let out = Command::new("python3").arg(rig).args(["headers", SUITE]).output().map_err(|e| format!("python3: {e}"))?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).trim().to_owned());
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().into())
}

/// The C program: a line for each belief, as gcc sees it.
fn probe() -> (String, Vec<String>) {
    let mut headers: Vec<&str> = LAYOUTS.iter().map(|l| l.header).chain(CONSTANTS.iter().map(|c| c.header)).collect();
    headers.sort_unstable();
    headers.dedup();
    let mut code = String::from("#include <stddef.h>\n#include <stdio.h>\n#include <string.h>\n");
    for header in headers {
        let _ = writeln!(code, "#include <{header}>");
    }
    code.push_str(
        "static void bits(const char *name, const unsigned char *p, size_t n) {\n\
         size_t at = 0; while (at < n && !p[at]) at++;\n\
         unsigned b = p[at], shift = 0, len = 0; while (b && !(b & 1)) { b >>= 1; shift++; }\n\
         while (b & 1) { b >>= 1; len++; }\n\
         printf(\"%s %zu.%u+%u\\n\", name, at, shift, len); }\n\
         int main(void) {\n",
    );
    let mut beliefs = Vec::new();
    for layout in LAYOUTS {
        let c = layout.c_type;
        for m in layout.members {
            let _ = writeln!(
                code,
                "printf(\"{c} {0} %zu %zu\\n\", offsetof({c}, {0}), sizeof((({c} *)0)->{0}));",
                m.name
            );
            beliefs.push(format!("{c} {} {} {}", m.name, m.offset, m.size));
        }
        for b in layout.bit_fields {
            let _ = writeln!(
                code,
                "{{ {c} v; memset(&v, 0, sizeof v); v.{0} = ~0; bits(\"{c} {0}\", (unsigned char *)&v, sizeof v); }}",
                b.name
            );
            beliefs.push(format!("{c} {} {}.{}+{}", b.name, b.offset, b.shift, b.bits));
        }
    }
    for table in CONSTANTS {
        for constant in table.list {
            let _ = writeln!(code, "printf(\"{0} %llu\\n\", (unsigned long long){0});", constant.name);
            beliefs.push(format!("{} {}", constant.name, constant.value));
        }
    }
    code.push_str("return 0; }\n");
    (code, beliefs)
}

#[test]
fn views_agree_with_the_kernel_headers() {
    let include = match headers() {
        Ok(include) => include,
        Err(why) if std::env::var_os("SOCKDIAG_NO_SKIP").is_some() => panic!("no kernel headers: {why}"),
        Err(why) => {
            println!("SKIP views_agree_with_the_kernel_headers: {why}");
            return;
        }
    };
    let (code, beliefs) = probe();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (source, program) = (dir.join("uapi_probe.c"), dir.join("uapi_probe"));
    std::fs::write(&source, code).unwrap();
    let gcc = Command::new("gcc")
        .arg("-I")
        .arg(&include)
        .arg("-I")
        .arg(include.join("x86_64-linux-gnu"))
        .arg("-o")
        .args([&program, &source])
        .output()
        .expect("gcc runs");
    assert!(gcc.status.success(), "the headers lack something:\n{}", String::from_utf8_lossy(&gcc.stderr));
    let out = Command::new(&program).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let facts: Vec<&str> = text.lines().collect();
    assert_eq!(facts.len(), beliefs.len());
    let wrong: Vec<_> = beliefs.iter().zip(&facts).filter(|(belief, fact)| belief != *fact).collect();
    assert!(wrong.is_empty(), "(believed, is) in {}: {wrong:#?}", include.display());
    println!("{} offsets and numbers agree with {}", beliefs.len(), include.display());
    assert!(beliefs.len() > 150, "only {} beliefs were checked", beliefs.len());
}

#[test]
fn every_member_of_tcp_info_has_an_accessor() {
    let Ok(include) = headers() else { return };
    let text = std::fs::read_to_string(include.join("linux/tcp.h")).unwrap();
    let body = text.split("struct tcp_info {").nth(1).and_then(|rest| rest.split("};").next()).unwrap();
    let layout = LAYOUTS.iter().find(|layout| layout.c_type == "struct tcp_info").unwrap();
    let mut seen = 0;
    for word in body.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|w| w.starts_with("tcpi_")) {
        let known = layout.members.iter().any(|m| m.name == word) || layout.bit_fields.iter().any(|b| b.name == word);
        // Twenty-four bits of a word: read by `options2`.
        assert!(known || word == "tcpi_options2", "{word} has no accessor");
        seen += 1;
    }
    assert!(seen > 60, "only {seen} members found");
}
