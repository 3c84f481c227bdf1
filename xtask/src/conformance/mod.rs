//! `cargo xtask conformance`: how far the simulator agrees with Proxmox VE itself.
//!
//! The witnesses are not ours and not in the repository: vectors that Proxmox's own code (9.2) computed, and recordings of a genuine
//! server (8.4), in a folder of the form of `../shared/pve`. Each case is put to the program `pve-simulator` over HTTPS, from a state
//! that the case itself describes. Nothing here knows a case by its name or its answer beforehand: other folders of the same form can
//! be given.
//!
//! It is not a test of the client, and it does not tell the simulator anything but states, requests and the passing of time.
//!
//! - `data` reads the folder, `scope` says which endpoints it is about
//! - `simulator` and `wire` ask, `world` says in what state
//! - `validation`, `permission`, `behaviour` (with `vectors`) and `recordings` go through the cases of their kind
//! - `compare` judges, `report` counts and prints

mod behaviour;
mod compare;
mod data;
mod permission;
mod recordings;
mod report;
mod scope;
mod simulator;
mod validation;
mod vectors;
pub mod wire;
mod world;

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context, Result};

use self::{data::Data, report::Report, simulator::Simulator, vectors::Vectors};

#[derive(clap::Args)]
pub struct Args {
    /// The data, in the form of ../shared/pve, which is also looked for there and at $BERTH_PVE_DATA
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// The counts as one last line of JSON
    #[arg(long)]
    json: bool,
    /// A simulator that is built already
    #[arg(long, value_name = "FILE")]
    simulator: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let here = env::current_dir().context("the current folder is gone")?;
    let folder = args.from.map_or_else(data::folder, |folder| here.join(folder));
    let data = data::read(&folder)?;
    let program = match args.simulator {
        Some(program) => here.join(program),
        None => simulator::build()?,
    };
    let report = check(data, &folder, &program)?;
    report.print()?;
    if args.json {
        println!("{}", report.json());
    }
    Ok(report.exit_code())
}

/// For `cargo xtask test`: how many kinds of cases there are and which failed. `None`: the data is not there.
pub fn test() -> Result<Option<(usize, Vec<String>)>> {
    let folder = data::folder();
    if !folder.is_dir() {
        println!("  skipped: {} is not there, and $BERTH_PVE_DATA names no other folder", folder.display());
        return Ok(None);
    }
    let report = check(data::read(&folder)?, &folder, &simulator::build()?)?;
    report.print()?;
    Ok(Some((report.0.len(), report.failures().collect())))
}

fn check(data: Data, folder: &Path, program: &Path) -> Result<Report> {
    let Data { validation, permission, behaviour, recordings, user_cfg } = data;
    println!("  {} against {}", program.display(), folder.display());
    let start = Instant::now();
    let mut simulator = Simulator::start(program)?;
    let mut vectors = Vectors::new(&user_cfg)?;
    let tallies = vec![
        validation::run(&mut simulator, &mut vectors, &validation),
        permission::run(&mut simulator, &mut vectors, &permission),
        behaviour::run(&mut simulator, &mut vectors, &behaviour),
        recordings::run(&mut simulator, &recordings)?,
    ];
    simulator.stop();
    println!("  {:.1} s", start.elapsed().as_secs_f64());
    Ok(Report(tallies))
}
