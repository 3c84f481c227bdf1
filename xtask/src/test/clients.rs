//! Clients for Proxmox that others wrote, against the simulator over TLS: proxmoxer (Python) and cv4pve (Node).
//!
//! They share no code with Berth, so that client and simulator cannot be wrong together. Each prints a line per check.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::Outcome;
use crate::{
    paths,
    process::{self, Job, cargo, command},
    setup,
    site::stamp::Digest,
};

pub fn run(arguments: &[String]) -> Result<Outcome> {
    let python = set_up()?;
    process::run(&mut cargo(&["build", "--bin", "pve-simulator", "--features", "ssr"]))?;
    let certificate = paths::work().join("simulator.pem");
    let mut simulator = command(paths::target().join("debug/pve-simulator"), paths::root());
    simulator.args(["--listen", "127.0.0.1:0", "--speed", "50", "--write-certificate"]).arg(&certificate).stdout(Stdio::piped());
    let mut simulator = Job::start(&mut simulator)?;
    let mut output = BufReader::new(simulator.stdout()).lines();
    let address = loop {
        let line = output.next().context("the simulator ended before it said where it listens")??;
        if let Some(address) = line.split("https://").nth(1) {
            break address.trim().to_owned();
        }
    };
    let (host, port) = address.rsplit_once(':').context("the simulator's address has no port")?;

    let mut outcome = Outcome::default();
    let folder = folder();
    for (program, script) in [(python.as_os_str(), "proxmoxer_life.py"), ("node".as_ref(), "cv4pve_life.cjs")] {
        if !arguments.is_empty() && !arguments.iter().any(|wanted| script.contains(wanted.as_str())) {
            continue;
        }
        let mut client = command(program, &folder);
        client.arg(script).env("PVE_HOST", host).env("PVE_PORT", port).env("PVE_CA", &certificate);
        count(&mut client, script, &mut outcome)?;
    }
    Ok(outcome)
}

fn count(client: &mut Command, script: &str, outcome: &mut Outcome) -> Result<()> {
    let (status, output) = process::tee(client)?;
    let before = outcome.total();
    for line in output.lines() {
        if let Some(failure) = line.strip_prefix("not ok ") {
            outcome.add_failure(format!("{script}: {failure}"));
        } else if line.starts_with("ok ") {
            outcome.passed += 1;
        }
    }
    if outcome.total() == before || (!status.success() && outcome.failed == 0) {
        outcome.add_failure(format!("{script} ended with {status} before it had checked everything"));
    }
    Ok(())
}

fn folder() -> PathBuf {
    paths::root().join("tests/clients")
}

/// Installs what is not there: the npm package beside its lock file, the Python packages in an environment below `target/`. Gives
/// that environment's interpreter.
pub fn set_up() -> Result<PathBuf> {
    setup::node()?;
    let folder = folder();
    setup::packages(&folder)?;
    let environment = paths::work().join("python");
    let python = environment.join("bin/python");
    let requirements = folder.join("requirements.txt");
    let wanted = Digest::new().file(&requirements)?.finish();
    let stamp = environment.join(".berth-stamp");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && python.exists() {
        return Ok(python);
    }
    if !has_venv() {
        setup::apt_install(&["python3-venv"])
            .context("the clients that others wrote need Python 3 with venv: install the package python3-venv")?;
        if !has_venv() {
            bail!("the package python3-venv was installed, and Python still cannot make environments");
        }
    }
    process::run(command("python3", paths::root()).args(["-m", "venv", "--clear"]).arg(&environment))?;
    process::run(
        command(&python, paths::root()).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements),
    )
    .context("the Python packages of tests/clients/ could not be installed")?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(python)
}

fn has_venv() -> bool {
    process::capture(command("python3", paths::root()).args(["-c", "import venv, ensurepip"])).is_ok()
}
