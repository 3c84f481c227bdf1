//! The browser tests: Playwright with the machine's Chromium, against the debug server and the release site.
//!
//! `end2end/fixtures.ts` starts the servers; it is told where they are by BERTH_BIN, BERTH_SIMULATOR and BERTH_SITE.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Outcome;
use crate::{
    paths,
    process::{self, cargo, command},
    setup,
    site::{self, Profile, stamp},
};

pub fn run(arguments: &[String]) -> Result<Outcome> {
    let folder = paths::end2end();
    if stamp::files(&folder, &["ts"])?.iter().all(|file| !is_test(file)) {
        bail!("there are no browser tests in end2end/");
    }
    let chromium = setup::chromium()?;
    setup::packages(&folder)?;
    let site = site::build(Profile::Release)?;
    process::run(&mut cargo(&["build", "--bin", "berth", "--bin", "pve-simulator", "--features", "ssr"]))?;

    let results = paths::work().join("browser-tests.json");
    if results.exists() {
        fs::remove_file(&results).with_context(|| format!("cannot remove {}", results.display()))?;
    }
    let programs = paths::target().join("debug");
    let mut playwright = command("node", &folder);
    playwright
        .args(["node_modules/@playwright/test/cli.js", "test"])
        .args(arguments)
        .env("BERTH_BIN", programs.join("berth"))
        .env("BERTH_SIMULATOR", programs.join("pve-simulator"))
        .env("BERTH_SITE", site)
        .env("BERTH_CHROMIUM", chromium)
        .env("BERTH_BROWSER_RESULTS", &results)
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    let status = process::status(&mut playwright)?;

    let report = stamp::read(&results).context("Playwright wrote no results")?;
    let mut outcome = count(&serde_json::from_slice(&report).context("Playwright's results are damaged")?)?;
    if !status.success() && outcome.failed == 0 {
        outcome.add_failure("Playwright failed without a failing test");
    }
    Ok(outcome)
}

fn is_test(file: &std::path::Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".spec.ts"))
}

/// Playwright's JSON report: a tree of suites with specs, which have one test per project.
fn count(report: &Value) -> Result<Outcome> {
    let stats = &report["stats"];
    let number = |key: &str| stats[key].as_u64().map(|n| n as usize).with_context(|| format!("Playwright's results lack the number {key}"));
    // A flaky test passed at last; retries are off, so there is none unless somebody switched them on.
    let mut outcome = Outcome { passed: number("expected")? + number("flaky")?, failed: number("unexpected")?, failures: Vec::new() };
    collect(report, &mut outcome.failures);
    for _ in 0..number("skipped")? {
        outcome.add_failure("a browser test was skipped");
    }
    for error in report["errors"].as_array().into_iter().flatten() {
        outcome.add_failure(error["message"].as_str().unwrap_or("an error outside of tests").lines().next().unwrap_or_default());
    }
    Ok(outcome)
}

fn collect(suite: &Value, failures: &mut Vec<String>) {
    let list = |key: &str| suite[key].as_array().into_iter().flatten();
    for spec in list("specs") {
        for test in spec["tests"].as_array().into_iter().flatten().filter(|test| test["status"] == "unexpected") {
            let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
            failures.push(format!("{} ({}, {})", text(&spec["title"]), text(&test["projectName"]), text(&spec["file"])));
        }
    }
    for inner in list("suites") {
        collect(inner, failures);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::count;

    #[test]
    fn playwrights_results_are_counted_and_failures_named() {
        let report = json!({
            "stats": {"expected": 3, "unexpected": 1, "flaky": 0, "skipped": 0},
            "errors": [],
            "suites": [{"specs": [], "suites": [{"specs": [{"title": "a user signs in", "file": "sign-in.spec.ts", "tests": [
                {"projectName": "with JavaScript", "status": "expected"},
                {"projectName": "without JavaScript", "status": "unexpected"},
            ]}]}]}],
        });
        let outcome = count(&report).unwrap();
        assert_eq!((outcome.passed, outcome.failed), (3, 1));
        assert_eq!(outcome.failures, ["a user signs in (without JavaScript, sign-in.spec.ts)"]);
    }
}
