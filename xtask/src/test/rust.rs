//! Cargo's tests, counted. Berth's own run twice, once per database, and the two counts have to be equal: a test that
//! knows only one database would show.

use anyhow::Result;

use super::{Outcome, postgres::Postgres};
use crate::process::{self, cargo};

pub fn xtask(arguments: &[String]) -> Result<Outcome> {
    cargo_test(&["--package", "xtask"], arguments, None)
}

pub fn on_sqlite(arguments: &[String]) -> Result<Outcome> {
    cargo_test(&["--package", "berth", "--features", "ssr"], arguments, None)
}

pub fn on_postgres(arguments: &[String], on_sqlite: Option<usize>) -> Result<Outcome> {
    let postgres = Postgres::start()?;
    let mut outcome = cargo_test(&["--package", "berth", "--features", "ssr"], arguments, Some(&postgres.url()))?;
    let count = outcome.total();
    match on_sqlite {
        Some(on_sqlite) => {
            println!("  tests on SQLite: {on_sqlite}, on PostgreSQL: {count}");
            if on_sqlite != count {
                outcome.add_failure(format!("{on_sqlite} tests ran on SQLite and {count} on PostgreSQL"));
            }
        }
        None => println!("  tests on PostgreSQL: {count}"),
    }
    Ok(outcome)
}

fn cargo_test(package: &[&str], arguments: &[String], postgres: Option<&str>) -> Result<Outcome> {
    let mut test = cargo(&["test", "--no-fail-fast"]);
    test.args(package).arg("--").args(arguments).env_remove("BERTH_TEST_POSTGRES");
    if let Some(url) = postgres {
        test.env("BERTH_TEST_POSTGRES", url);
    }
    let (status, output) = process::tee(&mut test)?;
    let mut outcome = count(&output);
    if !status.success() && outcome.failed == 0 {
        outcome.add_failure("cargo test failed without a failing test: something does not compile, or a test program died");
    }
    Ok(outcome)
}

/// From lines like `test clusters::store::… FAILED` and `test result: ok. 5 passed; 0 failed; …`.
fn count(output: &str) -> Outcome {
    let mut outcome = Outcome::default();
    for line in output.lines() {
        if let Some(result) = line.strip_prefix("test result: ") {
            let (_, numbers) = result.split_once(". ").unwrap_or_default();
            for part in numbers.split("; ") {
                match part.split_once(' ') {
                    Some((number, "passed")) => outcome.passed += number.parse().unwrap_or(0),
                    Some((number, "failed")) => outcome.failed += number.parse().unwrap_or(0),
                    _ => {}
                }
            }
        } else if let Some(name) = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED")) {
            outcome.failures.push(name.to_owned());
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn the_results_of_all_test_programs_are_added_up() {
        let outcome = count(
            "running 3 tests\ntest a::b ... ok\ntest a::c ... FAILED\ntest d ... ok\n\n\
             test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
             test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n",
        );
        assert_eq!((outcome.passed, outcome.failed), (6, 1));
        assert_eq!(outcome.failures, ["a::c"]);
    }
}
