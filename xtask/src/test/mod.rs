//! `cargo xtask test`: every gate and every test, one part after the other, going on after a failed one.
//!
//! The last line is `N passed, N failed`, where a gate counts as one and a test part counts its tests; the exit code is 1 if
//! anything failed. What a part needs is set up by itself or said in a sentence.

mod browser;
mod clients;
mod conformance;
mod gates;
mod postgres;
mod report;
mod rust;

use std::{process::ExitCode, time::Instant};

use anyhow::Result;
use clap::ValueEnum;

use crate::{paths, process, setup};
pub use report::Outcome;

#[derive(clap::Args)]
pub struct Args {
    /// Only these parts (may be repeated)
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Passed on to the tests of the chosen parts, for example the name of one
    #[arg(last = true, requires = "only")]
    args: Vec<String>,
}

/// In the order in which they run: what answers quickly comes first.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The sources are formatted
    Fmt,
    /// No lint speaks up, server and tools
    Clippy,
    /// No lint speaks up, browser
    ClippyWasm,
    /// No server crate gets into the WASM
    WasmCrates,
    /// The build tool's own tests
    Xtask,
    /// Unit and integration tests, on SQLite
    Sqlite,
    /// The same tests, on PostgreSQL
    Postgres,
    /// The simulator agrees with Proxmox VE's own answers, where they are found
    Conformance,
    /// Clients that others wrote, against the simulator
    Clients,
    /// The release site keeps to its size budget
    Size,
    /// Playwright, with and without JavaScript
    Browser,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let chosen: Vec<Part> =
        Part::value_variants().iter().copied().filter(|part| args.only.is_empty() || args.only.contains(part)).collect();
    let mut report = report::Report::default();

    if args.only.is_empty() {
        let start = Instant::now();
        report::heading("set-up");
        // A gate of no part: it counts only if it fails.
        if let Err(error) = set_up() {
            report.add("set-up", start, Outcome::broken(&error));
        }
    }

    let mut on_sqlite = None;
    for part in chosen {
        if process::stopping() {
            break;
        }
        let value = part.to_possible_value().expect("every part has a name");
        report::heading(&format!("{}: {}", value.get_name(), value.get_help().expect("and a help text")));
        let start = Instant::now();
        let result = match part {
            Part::Fmt => gates::formatted(),
            Part::Clippy => gates::no_lint_on_the_server(),
            Part::ClippyWasm => gates::no_lint_in_the_browser(),
            Part::WasmCrates => gates::no_server_crate_in_the_wasm(),
            Part::Xtask => rust::xtask(&args.args),
            Part::Sqlite => rust::on_sqlite(&args.args).inspect(|outcome| on_sqlite = Some(outcome.total())),
            Part::Postgres => rust::on_postgres(&args.args, on_sqlite),
            Part::Conformance => conformance::run(),
            Part::Clients => clients::run(&args.args),
            Part::Size => gates::size_budget(),
            Part::Browser => browser::run(&args.args),
        };
        report.add(value.get_name(), start, result.unwrap_or_else(|error| Outcome::broken(&error)));
    }

    if process::stopping() {
        report.add("interrupted", Instant::now(), Outcome::failure("interrupted before the end"));
    }
    let strays = process::strays();
    if !strays.is_empty() {
        report.add(
            "left behind",
            Instant::now(),
            Outcome::failure(format!("processes stayed behind and were ended: {}", strays.join(", "))),
        );
    }
    Ok(report.print())
}

/// Everything that later parts need, so that what is missing shows at once.
fn set_up() -> Result<()> {
    setup::for_site()?;
    setup::packages(&paths::end2end())?;
    setup::chromium()?;
    postgres::programs()?;
    clients::set_up()?;
    println!("  Node, the wasm32 target, npm and Python packages, Chromium and PostgreSQL are there");
    Ok(())
}
