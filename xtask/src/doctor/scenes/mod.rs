//! The scenes for the doctor: faults, near misses, and healthy workloads, one row each.
//!
//! Invariant: a scene lists signs, independent of the doctor, that prove its fault exists; if
//! the signs do not show, the scene was not set up.

mod healthy;
mod listening;
mod paths;
mod receivers;
mod resources;
mod senders;

use sockdiag_testkit::Why;

use super::stage::Stage;

/// What the doctor should report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    /// One of these rules, as first or second finding.
    One(&'static [&'static str]),
    /// None of these rules: the scene comes close to one without meeting it.
    Not(&'static [&'static str]),
    /// Nothing critical, and at most one warning.
    Nothing,
}

/// Evidence that a scene is set up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sign {
    /// A counter, by `nstat`'s name, grows by at least this much while the doctor looks.
    Gains(&'static str, u64),
    /// After the doctor has looked, `ss` with these arguments finds this many sockets.
    Sockets(&'static str, usize),
}

/// One scene.
#[derive(Clone, Copy)]
pub(super) struct Scene {
    pub(super) name: &'static str,
    /// The fault, as a sentence.
    pub(super) doc: &'static str,
    pub(super) expects: Expects,
    pub(super) signs: &'static [Sign],
    /// How long the doctor looks, in seconds.
    pub(super) seconds: u64,
    /// Whether it needs a whole processor, so that nothing else may run.
    pub(super) is_heavy: bool,
    /// Whether it is part of the `--brief` selection.
    pub(super) is_brief: bool,
    /// Programs that it needs, each with the package that contains it.
    pub(super) takes: &'static [(&'static str, &'static str)],
    /// Whether the doctor runs without privileges.
    pub(super) is_nobody: bool,
    /// Sets up the scene.
    pub(super) set: fn(&mut Stage) -> Result<(), Why>,
}

impl Scene {
    /// Whether its name, or that of one of its rules, contains this text; healthy workloads
    /// also match `healthy`.
    pub(super) fn is_named(&self, part: &str) -> bool {
        let rules = match self.expects {
            Expects::One(rules) | Expects::Not(rules) => rules,
            Expects::Nothing => &["healthy"],
        };
        self.name.contains(part) || rules.iter().any(|rule| rule.contains(part))
    }

    /// A fault that one of these rules should report.
    const fn fault(
        name: &'static str,
        doc: &'static str,
        rules: &'static [&'static str],
        signs: &'static [Sign],
        set: fn(&mut Stage) -> Result<(), Why>,
    ) -> Self {
        let expects = Expects::One(rules);
        Self {
            name,
            doc,
            expects,
            signs,
            seconds: 3,
            is_heavy: false,
            is_brief: false,
            takes: &[],
            is_nobody: false,
            set,
        }
    }

    const fn for_s(self, seconds: u64) -> Self {
        Self { seconds, ..self }
    }

    const fn heavy(self) -> Self {
        Self { is_heavy: true, ..self }
    }

    const fn brief(self) -> Self {
        Self { is_brief: true, ..self }
    }

    const fn near_miss(self) -> Self {
        let expects = match self.expects {
            Expects::One(rules) | Expects::Not(rules) => Expects::Not(rules),
            Expects::Nothing => Expects::Nothing,
        };
        Self { expects, ..self }
    }

    const fn healthy(self) -> Self {
        Self { expects: Expects::Nothing, ..self }
    }

    const fn by_nobody(self) -> Self {
        Self { is_nobody: true, ..self }
    }

    const fn taking(self, takes: &'static [(&'static str, &'static str)]) -> Self {
        Self { takes, ..self }
    }

    /// Why it cannot be set up on this machine, if a program is missing.
    pub(super) fn lacks(&self) -> Option<String> {
        let lacking = self.takes.iter().filter(|(name, _)| healthy::program(name).is_err());
        let lacking: Vec<String> = lacking
            .map(|(name, package)| format!("there is no {name} (apt-get install {package})"))
            .collect();
        (!lacking.is_empty()).then(|| lacking.join(", "))
    }
}

/// Every scene.
pub(super) fn all() -> Vec<Scene> {
    [listening::SCENES, paths::SCENES, senders::SCENES, receivers::SCENES, resources::SCENES, healthy::SCENES]
        .concat()
}
