//! `cargo xtask doctor`: sets up faults and healthy workloads in namespaces made for them, and
//! checks what the doctor reports for each.
//!
//! Invariant: a run in which the scene's signs do not show proves nothing about the doctor; it
//! is counted separately, and fails the chore.

mod report;
mod scenes;
mod signs;
mod stage;
mod verdict;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sockdiag_testkit::Why;

use crate::bench::build_shipped;
use report::Tally;
use scenes::Scene;
use stage::Stage;
use verdict::Verdict;

/// What may follow the chore's name.
pub(crate) const WORDS: &str = "[--runs N] [--only NAME] [--brief] [--jobs N] [--write FILE] [--dry] [--show WORDS] \
                              [--program FILE]";
/// The help text.
pub(crate) const DOC: &str = "\
Inject faults in network namespaces, run healthy workloads, run `sockdiag doctor` on
each, and print its findings: fail if the correct finding is first or second in fewer than
95 of 100 runs overall, or in fewer than two of three runs of one scene, or if a healthy
workload has a critical finding or more than one warning.  Takes root; real servers take
apt-get install nginx-light wrk apache2-utils postgresql redis-server openssh-server.
--runs N         runs of each scene (3)
--only NAME      only scenes or rules whose name has this in it, or `healthy`
--brief          one scene of each kind, once, within six minutes
--jobs N         scenes at a time that do not need a processor (3)
--write FILE     write the table as Markdown, too: behind the line <!-- end -->, if the file has one
--dry            set the scenes and check their signs, without running the doctor
--show WORDS     print the output of ss with these arguments (comma-separated) after each run
--program FILE   the doctor's program, instead of the one that is built.";

/// The parsed arguments.
struct Plan {
    runs: u32,
    only: Option<String>,
    is_brief: bool,
    jobs: usize,
    write: Option<PathBuf>,
    /// The doctor, if there is one.
    doctor: Option<PathBuf>,
    /// Arguments of an `ss` to run after each run.
    show: Option<String>,
    /// The `ss` that looks for signs.
    ss: PathBuf,
}

/// Runs the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let plan = Plan::of(words)?;
    let mut scenes = scenes::all();
    if let Some(only) = &plan.only {
        scenes.retain(|scene| scene.is_named(only));
    }
    if plan.is_brief {
        scenes.retain(|scene| scene.is_brief);
    }
    if scenes.is_empty() {
        return Err(Why::new("no scene has that name"));
    }
    scenes.retain(|scene| {
        let lacks = scene.lacks();
        if let Some(lacks) = &lacks {
            eprintln!("PASSED OVER {}: {lacks}", scene.name);
        }
        lacks.is_none()
    });
    let (heavy, light): (Vec<Scene>, Vec<Scene>) = scenes.iter().copied().partition(|scene| scene.is_heavy);
    let tally = Mutex::new(Tally::of(&scenes));
    // Scenes that need a whole processor run one at a time, when nothing else runs.
    play(&plan, &light, plan.jobs, &tally);
    play(&plan, &heavy, 1, &tally);
    let tally = tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let table = tally.markdown(plan.runs);
    println!("{table}");
    if let (Some(file), Some(doctor)) = (&plan.write, &plan.doctor) {
        report::write(file, &table, &rules(doctor)?)?;
    }
    tally.judge(plan.doctor.is_some())
}

/// Plays every scene as often as requested, several at a time.
fn play(plan: &Plan, scenes: &[Scene], jobs: usize, tally: &Mutex<Tally>) {
    // In rounds, so that the runs of one scene are not adjacent.
    let queue: Vec<Scene> = (0..plan.runs).flat_map(|_| scenes.iter().copied()).collect();
    let queue = Mutex::new(queue.into_iter());
    let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(scene) = next() {
                    let begun = Instant::now();
                    let outcome = once(plan, &scene);
                    let mut tally = tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    let said = tally.add(&scene, outcome);
                    eprintln!("{:26} {:5.1} s  {said}", scene.name, begun.elapsed().as_secs_f64());
                }
            });
        }
    });
}

/// The result of one run.
enum Outcome {
    /// The doctor's findings.
    Judged(Verdict),
    /// The signs showed but there is no doctor; names the counters that moved.
    Set(String),
    /// The scene could not be set up here, or its signs did not show.
    NotSet(Why),
    /// The doctor failed.
    Failed(Why),
}

fn once(plan: &Plan, scene: &Scene) -> Outcome {
    let mut stage = match Stage::new().and_then(|mut stage| (scene.set)(&mut stage).map(|()| stage)) {
        Ok(stage) => stage,
        Err(why) => return Outcome::NotSet(why),
    };
    let before = match signs::Counted::of(&stage) {
        Ok(before) => before,
        Err(why) => return Outcome::NotSet(why),
    };
    let said = plan.doctor.as_ref().map(|doctor| ask(doctor, scene, &mut stage));
    if said.is_none() {
        stage::wait(scene.seconds * 1000);
    }
    if let Some(words) = &plan.show {
        eprintln!("{}", signs::listing(&stage, &words.replace(',', " "), &plan.ss).unwrap_or_default());
    }
    if let Err(why) = signs::show(&stage, &before, scene.signs, &plan.ss) {
        let moved = if plan.doctor.is_none() { before.gained(&stage) } else { String::new() };
        return Outcome::NotSet(Why::new(format!("{why} {moved}").trim_end()));
    }
    match said {
        None => Outcome::Set(before.gained(&stage)),
        Some(Ok(verdict)) => Outcome::Judged(verdict),
        Some(Err(why)) => Outcome::Failed(why),
    }
}

/// The ids of the doctor's rules.
fn rules(doctor: &std::path::Path) -> Result<Vec<String>, Why> {
    let out = Command::new(doctor).args(["doctor", "--list"]).stdin(Stdio::null()).output();
    let out = out.map_err(|error| crate::fail::failed(doctor, &error))?;
    let text = String::from_utf8_lossy(&out.stdout);
    Ok(text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

/// Runs the doctor in the near namespace.
fn ask(doctor: &std::path::Path, scene: &Scene, stage: &mut Stage) -> Result<Verdict, Why> {
    /// How much longer than requested the doctor may take.
    const PATIENCE: Duration = Duration::from_secs(20);
    let failed = |error: std::io::Error| crate::fail::failed(doctor, &error);
    // Writes to a file, because the document may exceed the capacity of a pipe.
    let path = stage.directory()?.join("verdict");
    let out = std::fs::File::create(&path).map_err(|error| crate::fail::failed(&path, &error))?;
    let mut command = if scene.is_nobody {
        let mut command = stage.near().command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(doctor);
        command
    } else {
        stage.near().command(doctor)
    };
    command.args(["doctor", "--json", "--for", &format!("{}s", scene.seconds)]);
    command.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if begun.elapsed() > Duration::from_secs(scene.seconds) + PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Why::new("it did not finish"));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    Verdict::read(&std::fs::read(&path).map_err(failed)?, status.code())
}

impl Plan {
    fn of(words: &[String]) -> Result<Self, Why> {
        let usage = |word: &str| Why::new(format!("{word} is not a valid argument; usage: {WORDS}"));
        let (mut runs, mut jobs) = (3_u32, 3_usize);
        let (mut only, mut show, mut write, mut program) = (None, None, None, None);
        let (mut is_brief, mut is_dry) = (false, false);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--brief" => is_brief = true,
                "--dry" => is_dry = true,
                option => {
                    let value = words.next().ok_or_else(|| usage(option))?;
                    let number = || value.parse::<u32>().map_err(|_| usage(value));
                    match option {
                        "--runs" => runs = number()?,
                        "--jobs" => jobs = number()? as usize,
                        "--show" => show = Some(value.clone()),
                        "--only" => only = Some(value.clone()),
                        "--write" => write = Some(PathBuf::from(value)),
                        "--program" => program = Some(PathBuf::from(value)),
                        _ => return Err(usage(option)),
                    }
                }
            }
        }
        if is_brief {
            runs = 1;
        }
        let [ss, sockdiag] = build_shipped()?;
        let doctor = if is_dry { None } else { Some(program.unwrap_or(sockdiag)) };
        Ok(Self { runs, only, is_brief, jobs: jobs.max(1), write, doctor, show, ss })
    }
}
