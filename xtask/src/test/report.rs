//! Counting, and the table at the end.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// What came out of one part.
#[derive(Default)]
pub struct Outcome {
    pub passed: usize,
    pub failed: usize,
    /// What failed, a name or a sentence each.
    pub failures: Vec<String>,
}

impl Outcome {
    /// A gate that holds.
    pub fn pass() -> Self {
        Self { passed: 1, ..Self::default() }
    }

    pub fn failure(what: impl Into<String>) -> Self {
        Self { passed: 0, failed: 1, failures: vec![what.into()] }
    }

    /// A part that could not be carried out: one failure, with the reason.
    pub fn broken(error: &anyhow::Error) -> Self {
        let reason = format!("{error:#}");
        println!("  {reason}");
        Self::failure(reason)
    }

    pub fn total(&self) -> usize {
        self.passed + self.failed
    }

    pub fn add_failure(&mut self, what: impl Into<String>) {
        self.failed += 1;
        self.failures.push(what.into());
    }
}

/// All parts so far.
#[derive(Default)]
pub struct Report {
    parts: Vec<(String, Duration, Outcome)>,
}

pub fn heading(title: &str) {
    println!("\n== {title}");
}

impl Report {
    pub fn add(&mut self, name: &str, start: Instant, outcome: Outcome) {
        let time = start.elapsed();
        println!("-- {name}: {} passed, {} failed, {:.1} s", outcome.passed, outcome.failed, time.as_secs_f64());
        self.parts.push((name.to_owned(), time, outcome));
    }

    /// The table, what failed, and last of all the totals.
    pub fn print(&self) -> ExitCode {
        println!("\n{:<14}{:>8}{:>8}{:>9}", "part", "passed", "failed", "seconds");
        for (name, time, outcome) in &self.parts {
            println!("{name:<14}{:>8}{:>8}{:>9.1}", outcome.passed, outcome.failed, time.as_secs_f64());
        }
        let failures = self.parts.iter().flat_map(|(name, _, outcome)| outcome.failures.iter().map(move |failure| (name, failure)));
        for (number, (name, failure)) in failures.enumerate() {
            if number == 0 {
                println!("\nfailed:");
            }
            println!("  {name}: {failure}");
        }
        let (passed, failed) = self.totals();
        println!("\n{passed} passed, {failed} failed");
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn totals(&self) -> (usize, usize) {
        self.parts.iter().fold((0, 0), |(passed, failed), (_, _, outcome)| (passed + outcome.passed, failed + outcome.failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up_gates_and_tests() {
        let mut report = Report::default();
        report.add("gate", Instant::now(), Outcome::pass());
        report.add("tests", Instant::now(), Outcome { passed: 5, failed: 1, failures: vec!["a".into()] });
        report.add("broken", Instant::now(), Outcome::failure("no"));
        assert_eq!(report.totals(), (6, 2));
    }
}
