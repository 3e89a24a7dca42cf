//! Checks the signs that prove a scene is set up: counters that moved, and sockets that `ss`
//! finds.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;

use sockdiag_testkit::Why;

use super::scenes::Sign;
use super::stage::Stage;

/// The counters of a stage at one moment.
pub(super) struct Counted(HashMap<String, i128>);

impl Counted {
    /// Reads the counters of the near namespace.
    pub(super) fn of(stage: &Stage) -> Result<Self, Why> {
        let mut all = HashMap::new();
        for file in ["net/netstat", "net/snmp"] {
            let text = stage.proc(file)?;
            let lines: Vec<&str> = text.lines().collect();
            for pair in lines.chunks(2) {
                let [names, numbers] = pair else { continue };
                let Some((section, names)) = names.split_once(':') else { continue };
                let numbers = numbers.split_whitespace().skip(1);
                for (name, number) in names.split_whitespace().zip(numbers) {
                    all.insert(format!("{section}{name}"), number.parse().unwrap_or(0));
                }
            }
        }
        Ok(Self(all))
    }

    /// The counters of TCP, UDP and MPTCP that moved since, and by how much.
    pub(super) fn gained(&self, stage: &Stage) -> String {
        let Ok(now) = Self::of(stage) else { return String::new() };
        let is_meant = |name: &str| ["Tcp", "Udp", "MPTcp"].iter().any(|of| name.starts_with(of));
        let mut moved: Vec<_> = now
            .0
            .iter()
            .filter(|(name, _)| is_meant(name))
            .filter_map(|(name, number)| Some((name, number - self.0.get(name)?)))
            .filter(|(_, gain)| *gain != 0)
            .map(|(name, gain)| format!("{name} {gain}"))
            .collect();
        moved.sort();
        moved.join(", ")
    }

    fn get(&self, name: &str) -> Result<i128, Why> {
        self.0.get(name).copied().ok_or_else(|| Why::new(format!("this kernel has no counter {name}")))
    }
}

/// The output of `ss` with these arguments.
pub(super) fn listing(stage: &Stage, words: &str, ss: &Path) -> Result<String, Why> {
    let mut command = stage.near().command(ss);
    command.args(words.split(' ')).stdin(Stdio::null());
    let out = command.output().map_err(|error| Why::new(format!("ss {words}: {error}")))?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Fails if a sign does not show; the error names it.
pub(super) fn show(stage: &Stage, before: &Counted, signs: &[Sign], ss: &Path) -> Result<(), Why> {
    let now = Counted::of(stage)?;
    for sign in signs {
        match sign {
            Sign::Gains(name, least) => {
                let gained = now.get(name)? - before.get(name)?;
                if gained < i128::from(*least) {
                    return Err(Why::new(format!("{name} gained {gained}, not {least}")));
                }
            }
            Sign::Sockets(words, least) => {
                let text = listing(stage, words, ss)?;
                let found = text.lines().filter(|line| !line.starts_with(['\t', ' '])).count();
                if found < *least {
                    return Err(Why::new(format!("`ss {words}` finds {found} sockets, not {least}")));
                }
            }
        }
    }
    Ok(())
}
