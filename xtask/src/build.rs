//! `cargo xtask build`: the site, then the server; with `--release` one file that holds both.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};

use crate::{
    paths,
    process::{self, cargo},
    site::{self, Profile},
};

#[derive(clap::Args)]
pub struct Args {
    /// One optimised file with the site inside
    #[arg(long)]
    release: bool,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let profile = Profile::of(args.release);
    let site = site::build(profile)?;
    let server = server(profile)?;
    let size = fs::metadata(&server).with_context(|| format!("cannot read {}", server.display()))?.len();
    println!("{}  {:.1} MB{}", server.display(), size as f64 / 1e6, if args.release { ", one file with everything" } else { "" });
    if !args.release {
        println!("{}", site.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The server alone. In a release it takes up the site as it is then, so that has to be built first.
pub fn server(profile: Profile) -> Result<PathBuf> {
    let (arguments, folder): (&[&str], _) = match profile {
        Profile::Dev => (&["build", "--bin", "berth", "--features", "ssr"], "debug"),
        Profile::Release => (&["build", "--release", "--bin", "berth", "--features", "embed"], "release"),
    };
    process::run(&mut cargo(arguments))?;
    Ok(paths::target().join(folder).join("berth"))
}
