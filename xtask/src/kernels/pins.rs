//! Which kernels and which references: exact versions of Debian packages.
//!
//! When the archive has dropped one of these, `cargo xtask kernels` says what it
//! has instead.  To move on, put that version here, run the kernel, and read
//! what changed; `--unpinned` takes whatever the archive has.

/// A kernel of the matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel {
    /// What it is called here: its release begins so.
    pub(crate) name: &'static str,
    pub(crate) suite: &'static str,
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
}

/// From the oldest with every table that ss reads to the newest packaged.
pub(crate) const KERNELS: &[Kernel] = &[
    Kernel {
        name: "5.10",
        suite: "bullseye",
        package: "linux-image-5.10.0-46-cloud-amd64",
        version: "5.10.262-1",
    },
    Kernel {
        name: "6.1",
        suite: "bookworm",
        package: "linux-image-6.1.0-56-cloud-amd64",
        version: "6.1.192-2",
    },
    Kernel {
        name: "6.12",
        suite: "trixie",
        package: "linux-image-6.12.117+deb13-cloud-amd64",
        version: "6.12.117-1",
    },
    Kernel {
        name: "7.3",
        suite: "trixie-backports",
        package: "linux-image-7.3.4+deb13-cloud-amd64",
        version: "7.3.4-1~bpo13+1",
    },
];

/// A reference: iproute2 of a suite.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge {
    /// What the lines of `cases.rs` call it.
    pub(crate) name: &'static str,
    pub(crate) suite: &'static str,
    pub(crate) version: &'static str,
}

/// The judge, and the last one that knows DCCP.
pub(crate) const JUDGES: &[Judge] = &[
    Judge { name: "sid", suite: "sid", version: "7.3.0-1" },
    Judge { name: "forky", suite: "forky", version: "7.2.0-1" },
];

impl Kernel {
    /// What `rig.py` is asked for.
    pub(crate) fn spec(&self, pinned: bool) -> String {
        if pinned {
            format!("{}:{}={}", self.suite, self.package, self.version)
        } else {
            self.suite.to_owned()
        }
    }
}

impl Judge {
    /// What `rig.py` is asked for.
    pub(crate) fn spec(&self, pinned: bool) -> String {
        if pinned { format!("{}={}", self.suite, self.version) } else { self.suite.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_name_the_kernel_that_they_say() {
        for kernel in KERNELS {
            assert!(kernel.version.starts_with(&format!("{}.", kernel.name)), "{kernel:?}");
            assert!(kernel.package.starts_with(&format!("linux-image-{}.", kernel.name)), "{kernel:?}");
            assert!(kernel.spec(true).ends_with(kernel.version) && !kernel.spec(false).contains('='));
        }
        for judge in JUDGES {
            assert_eq!(judge.spec(true), format!("{}={}", judge.suite, judge.version));
        }
    }
}
