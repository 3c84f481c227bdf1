//! `cargo xtask <target>`: everything one does with Berth's sources besides editing them.
//!
//! No tool has to be installed beside Rust, Node and (for `test`) PostgreSQL and Chromium: wasm-bindgen is linked in as a
//! library, so that its version stands in Cargo.lock, and the tools for styles and browser tests are npm packages with lock
//! files. What is missing is said in a sentence, or added where that is safe.
//!
//! - `setup`: Node, the wasm32 target, npm packages, Debian packages
//! - `site`: what the browser loads (WASM, JavaScript, CSS, icons, fonts), with hashed names and a manifest
//! - `run`, `build`: the server on top of it
//! - `test`: every gate and every test, with one line of totals
//! - `bench`: sizes and the cost of a page
//! - `conformance`: how far the simulator agrees with Proxmox VE's own code and a genuine server
//! - `process`: children in groups of their own, so that everything can be stopped and nothing stays behind

mod bench;
mod budget;
mod build;
mod conformance;
mod http;
mod paths;
mod process;
mod run;
mod setup;
mod site;
mod test;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, run and test Berth", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    target: Option<Target>,
}

#[derive(Subcommand)]
enum Target {
    /// Build everything and start Berth on http://127.0.0.1:3000 with a simulated cluster
    Run(run::Args),
    /// Run all checks and tests; the last line has the totals
    Test(test::Args),
    /// Build the site and the server; --release makes one file that holds both
    Build(build::Args),
    /// Build only what the browser loads, into target/site/
    Site(site::Args),
    /// Print the download sizes and measure the containers page
    Bench(bench::Args),
    /// Compare the simulator with answers of Proxmox VE itself
    Conformance(conformance::Args),
}

fn main() -> ExitCode {
    let Some(target) = Cli::parse().target else {
        // Writing to a closed pipe is not worth a word.
        let _ = Cli::command().print_help();
        return ExitCode::SUCCESS;
    };
    let result = process::watch_signals().and_then(|()| match target {
        Target::Run(args) => run::run(args),
        Target::Test(args) => test::run(args),
        Target::Build(args) => build::run(args),
        Target::Site(args) => site::run(args),
        Target::Bench(args) => bench::run(args),
        Target::Conformance(args) => conformance::run(args),
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::from(if process::stopping() { 130 } else { 1 })
        }
    }
}
