//! What is set before the doctor: faults, near misses, and healthy workloads, each a row.
//!
//! Invariant: a scene tells by which signs it is known that its fault is there, other than
//! by the doctor; a scene whose signs do not show was not set.

mod healthy;
mod listening;
mod paths;
mod receivers;
mod resources;
mod senders;

use sockdiag_testkit::Why;

use super::stage::Stage;

/// What the doctor should make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    /// One of these rules, first or second.
    One(&'static [&'static str]),
    /// None of these rules: it comes near one, and is not.
    Not(&'static [&'static str]),
    /// Nothing critical, and at most one warning.
    Nothing,
}

/// By what it is known that a scene is set.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sign {
    /// A counter, by `nstat`'s name, gains that much while the doctor looks.
    Gains(&'static str, u64),
    /// So many sockets are found when it has looked by `ss` with these words.
    Sockets(&'static str, usize),
}

/// One scene.
#[derive(Clone, Copy)]
pub(super) struct Scene {
    pub(super) name: &'static str,
    /// What is wrong, as a sentence.
    pub(super) doc: &'static str,
    pub(super) expects: Expects,
    pub(super) signs: &'static [Sign],
    /// How long the doctor looks, in seconds.
    pub(super) seconds: u64,
    /// Whether it needs a processor, so that nothing else may go on.
    pub(super) is_heavy: bool,
    /// Whether it is one of those that stand for their kind.
    pub(super) is_brief: bool,
    /// Programs that it takes, each with the package that has it.
    pub(super) takes: &'static [(&'static str, &'static str)],
    /// Whether the doctor has no privilege.
    pub(super) is_nobody: bool,
    /// Sets it.
    pub(super) set: fn(&mut Stage) -> Result<(), Why>,
}

impl Scene {
    /// Whether its name, or that of one of its rules, has this in it; workloads of which
    /// nothing is wrong go by `healthy`, too.
    pub(super) fn is_named(&self, part: &str) -> bool {
        let rules = match self.expects {
            Expects::One(rules) | Expects::Not(rules) => rules,
            Expects::Nothing => &["healthy"],
        };
        self.name.contains(part) || rules.iter().any(|rule| rule.contains(part))
    }

    /// A fault, for which one of these rules should be named.
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

    /// Why it cannot be set on this machine, if a program is missing.
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
