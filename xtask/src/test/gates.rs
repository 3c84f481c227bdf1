//! The gates: each holds or not, and counts as one.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Outcome;
use crate::{
    budget,
    process::{self, cargo},
    setup,
    site::{self, Profile},
};

/// Crates of the server that must not reach the browser. A star at the end stands for any ending.
const SERVER_CRATES: [&str; 19] = [
    "tokio*",
    "axum*",
    "hyper*",
    "leptos_axum",
    "sqlx*",
    "libsqlite3-sys",
    "reqwest",
    "rustls*",
    "ring",
    "rcgen",
    "tower*",
    "h2",
    "figment",
    "clap*",
    "chrono",
    "uuid",
    "jiff",
    "tracing-subscriber",
    "rust-embed*",
];

/// Crates that Leptos brings along anyway (their code is dropped as long as nobody calls it), but that we do not ask for.
const NOT_OUR_OWN: [&str; 3] = ["regex", "serde_json", "time"];

/// What goes into the WASM; procedural macros run while building.
const WASM_TREE: [&str; 9] = [
    "tree",
    "--locked",
    "--target=wasm32-unknown-unknown",
    "--no-default-features",
    "--features=hydrate",
    "-e",
    "normal,no-proc-macro",
    "--format={p}",
    "--prefix=none",
];

pub fn formatted() -> Result<Outcome> {
    gate(&["fmt", "--all", "--check"], "the sources are not formatted; run `cargo fmt --all`")
}

pub fn no_lint_on_the_server() -> Result<Outcome> {
    gate(
        &["clippy", "--workspace", "--all-targets", "--features", "ssr", "--", "-D", "warnings"],
        "clippy has complaints about the server or the tools",
    )
}

pub fn no_lint_in_the_browser() -> Result<Outcome> {
    setup::wasm_target()?;
    gate(
        &[
            "clippy",
            "--lib",
            "--target",
            "wasm32-unknown-unknown",
            "--no-default-features",
            "--features",
            "hydrate",
            "--",
            "-D",
            "warnings",
        ],
        "clippy has complaints about the browser's side",
    )
}

fn gate(arguments: &[&str], otherwise: &str) -> Result<Outcome> {
    let holds = process::status(&mut cargo(arguments))?.success();
    Ok(if holds { Outcome::pass() } else { Outcome::failure(otherwise) })
}

pub fn no_server_crate_in_the_wasm() -> Result<Outcome> {
    let all = names(&process::capture(&mut cargo(&WASM_TREE))?);
    let ours = names(&process::capture(cargo(&WASM_TREE).args(["--depth", "1"]))?);
    let found: Vec<&str> =
        all.iter().map(String::as_str).filter(|name| SERVER_CRATES.iter().any(|pattern| matches(pattern, name))).collect();
    let ours: Vec<&str> = ours.iter().map(String::as_str).filter(|name| NOT_OUR_OWN.contains(name)).collect();

    for name in &found {
        println!("  {name} gets into the WASM by:");
        // The last two options of the tree speak of its form, which is to be seen here.
        process::status(cargo(&WASM_TREE[..7]).args(["--invert", name]))?;
    }
    let mut wrong = Vec::new();
    if !found.is_empty() {
        wrong.push(format!("crates of the server get into the WASM: {}", found.join(", ")));
    }
    if !ours.is_empty() {
        wrong.push(format!("the browser's side asks for {}", ours.join(", ")));
    }
    if wrong.is_empty() {
        println!("  {} crates, none of them of the server", all.len());
        return Ok(Outcome::pass());
    }
    Ok(Outcome::failure(wrong.join("; ")))
}

/// The first word of each line.
fn names(tree: &str) -> BTreeSet<String> {
    tree.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

pub fn size_budget() -> Result<Outcome> {
    site::build(Profile::Release)?;
    let over = budget::report()?;
    Ok(if over.is_empty() { Outcome::pass() } else { Outcome::failure(over.join("; ")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_ending() {
        assert!(matches("tokio*", "tokio") && matches("tokio*", "tokio-util"));
        assert!(matches("ring", "ring") && !matches("ring", "string_cache"));
    }

    #[test]
    fn crates_are_named_by_the_first_word() {
        let names = names("berth v0.1.0 (/x)\nleptos v0.8.23\nleptos v0.8.23 (*)\n\n");
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["berth", "leptos"]);
    }
}
