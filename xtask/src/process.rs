//! Child processes. Each runs in a process group of its own, so that stopping one stops whatever it started; a signal to
//! us goes on to all of them; and as their "subreaper" we inherit orphans, so that [`strays`] can tell whether one stayed behind.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use signal_hook::{consts, iterator::Signals};

pub use signal_hook::consts::{SIGCONT, SIGINT, SIGKILL, SIGTERM};

/// Cannot be listened for, so that the crate has no name for it.
pub const SIGSTOP: i32 = libc::SIGSTOP;

/// How long a group may take to end after a polite signal.
const GRACE: Duration = Duration::from_secs(10);

static STOPPING: AtomicBool = AtomicBool::new(false);
static GROUPS: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// True after SIGINT or SIGTERM: begin nothing new.
pub fn stopping() -> bool {
    STOPPING.load(Ordering::SeqCst)
}

/// Passes signals on to all children; a second one, or ten seconds, ends them hard.
pub fn watch_signals() -> Result<()> {
    // SAFETY: prctl with these arguments only sets a flag of this process.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    let mut signals = Signals::new([consts::SIGINT, consts::SIGTERM, consts::SIGHUP]).context("cannot listen for signals")?;
    thread::spawn(move || {
        for signal in signals.forever() {
            let first = !STOPPING.swap(true, Ordering::SeqCst);
            signal_groups(if first { signal } else { SIGKILL });
            if first {
                thread::spawn(|| {
                    thread::sleep(GRACE);
                    signal_groups(SIGKILL);
                });
            }
        }
    });
    Ok(())
}

fn signal_groups(signal: i32) {
    for group in GROUPS.lock().expect("no panic while the lock is held").iter() {
        signal_group(*group, signal);
    }
}

fn signal_group(group: i32, signal: i32) {
    // SAFETY: kill has no memory effects; the group is one that we made.
    unsafe { libc::kill(-group, signal) };
}

/// A running child and all that it started. Dropping it ends them.
pub struct Job {
    child: Child,
    name: String,
    ended: bool,
}

impl Job {
    pub fn start(command: &mut Command) -> Result<Self> {
        if stopping() {
            bail!("interrupted");
        }
        let name = describe(command);
        let child = match command.stdin(Stdio::null()).process_group(0).spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let program = command.get_program().to_string_lossy();
                bail!("`{program}` could not be started: it is not installed, or not on PATH")
            }
            Err(error) => return Err(error).with_context(|| format!("`{name}` could not be started")),
        };
        GROUPS.lock().expect("no panic while the lock is held").push(child.id() as i32);
        Ok(Self { child, name, ended: false })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Signals it and what it started.
    pub fn signal(&self, signal: i32) {
        signal_group(self.child.id() as i32, signal);
    }

    /// What it writes to standard output; the command must have been given a pipe.
    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("stdout is a pipe and is taken once")
    }

    pub fn has_ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot ask for the state of `{}`", self.name))
    }

    pub fn wait(mut self) -> Result<ExitStatus> {
        let status = self.child.wait().with_context(|| format!("cannot wait for `{}`", self.name))?;
        self.end(SIGTERM);
        if stopping() {
            bail!("interrupted");
        }
        Ok(status)
    }

    /// Asks the child to end, then makes it, and does the same to what it started.
    pub fn stop(mut self, signal: i32) {
        self.end(signal);
    }

    fn end(&mut self, signal: i32) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let group = self.child.id() as i32;
        signal_group(group, signal);
        let deadline = Instant::now() + GRACE;
        while processes().iter().any(|process| process.group == group && process.runs()) {
            if Instant::now() > deadline {
                signal_group(group, SIGKILL);
            }
            thread::sleep(Duration::from_millis(10));
        }
        reap_orphans(group);
        let _ = self.child.try_wait();
        GROUPS.lock().expect("no panic while the lock is held").retain(|known| *known != group);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.end(SIGTERM);
    }
}

/// Takes the exit codes of ended processes of this group other than its leader, which `Child` reaps.
fn reap_orphans(group: i32) {
    for process in children().filter(|process| process.group == group && process.id != group && !process.runs()) {
        // SAFETY: waitpid with a null status pointer writes nothing; the process is an orphan that nobody else waits for.
        unsafe { libc::waitpid(process.id, std::ptr::null_mut(), libc::WNOHANG) };
    }
}

struct Process {
    id: i32,
    parent: u32,
    group: i32,
    state: char,
    name: String,
}

impl Process {
    /// What has ended stays in the list until its parent takes notice.
    fn runs(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let stats = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter_map(|stat| parse_stat(&stat)).collect()
}

/// `pid (name) state ppid pgrp …`; the name may hold spaces and brackets.
fn parse_stat(stat: &str) -> Option<Process> {
    let (id, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    Some(Process { id: id.parse().ok()?, parent, group, state, name: name.to_owned() })
}

/// Our children and, since orphans come to us, whatever of theirs outlived them.
fn children() -> impl Iterator<Item = Process> {
    let me = std::process::id();
    processes().into_iter().filter(move |process| process.parent == me)
}

/// Ends whatever is left of our children and names it. To be asked when none should be.
pub fn strays() -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(3);
    let running = || children().filter(Process::runs).collect::<Vec<_>>();
    let mut left = running();
    while !left.is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
        left = running();
    }
    for process in &left {
        // SAFETY: kill has no memory effects; the process is a child of ours.
        unsafe { libc::kill(process.id, SIGKILL) };
    }
    left.into_iter().map(|process| format!("{} (process {})", process.name, process.id)).collect()
}

/// Runs to the end with its output on the screen, which is told first what is being run.
pub fn run(command: &mut Command) -> Result<()> {
    succeed(describe(command), status(command)?)
}

/// As [`run`], but the exit code is the caller's to judge.
pub fn status(command: &mut Command) -> Result<ExitStatus> {
    println!("  $ {}", describe(command));
    Job::start(command)?.wait()
}

/// As [`status`], and returns standard output too.
pub fn tee(command: &mut Command) -> Result<(ExitStatus, String)> {
    println!("  $ {}", describe(command));
    let mut job = Job::start(command.stdout(Stdio::piped()))?;
    let mut text = String::new();
    for line in BufReader::new(job.stdout()).split(b'\n') {
        let line = line.context("cannot read the output of a command")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        text.push_str(&line);
        text.push('\n');
    }
    Ok((job.wait()?, text))
}

/// Runs quietly and returns standard output.
pub fn capture(command: &mut Command) -> Result<String> {
    let name = describe(command);
    let mut job = Job::start(command.stdout(Stdio::piped()))?;
    let text = std::io::read_to_string(job.stdout()).with_context(|| format!("cannot read the output of `{name}`"))?;
    succeed(name, job.wait()?)?;
    Ok(text)
}

fn succeed(name: String, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{name}` failed ({status})");
    }
    Ok(())
}

pub fn command(program: impl AsRef<OsStr>, directory: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory);
    command
}

/// Cargo at the top of the repository, as if it had been called by hand: without the variables that `cargo xtask` set for
/// us. Some build scripts (ring's, for one) look at them and would be run again each time.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = command("cargo", crate::paths::root());
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "CARGO" {
            cargo.env_remove(&name);
        }
    }
    cargo.args(arguments);
    cargo
}

/// The command as one would type it, with paths below the top of the repository cut short.
pub fn describe(command: &Command) -> String {
    let top = format!("{}/", crate::paths::root().display());
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().replace(&top, "")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopping_a_job_ends_what_it_started() {
        let mut job = Job::start(Command::new("sh").args(["-c", "sleep 60 & echo started; wait"]).stdout(Stdio::piped())).unwrap();
        let mut line = String::new();
        BufReader::new(job.stdout()).read_line(&mut line).unwrap();
        let group = job.id() as i32;
        let members = || processes().into_iter().filter(|process| process.group == group && process.runs()).count();
        assert_eq!(members(), 2);
        job.stop(SIGTERM);
        assert_eq!(members(), 0);
    }

    #[test]
    fn a_missing_program_is_said_in_a_sentence() {
        let error = run(&mut Command::new("no-such-program")).unwrap_err();
        assert_eq!(error.to_string(), "`no-such-program` could not be started: it is not installed, or not on PATH");
    }
}
