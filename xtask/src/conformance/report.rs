//! Counting, and what is printed: a table, every disagreement with its reason where one is known, what was left out, and a line of
//! JSON for programs.

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// `[[reason]]` of `reasons.toml`.
const REASONS: &str = include_str!("reasons.toml");

/// What came out of the cases of one kind.
pub struct Tally {
    pub kind: &'static str,
    /// How much has to agree, of 100.
    wanted: f64,
    pub agree: usize,
    pub out_of_scope: usize,
    pub disagreements: Vec<Disagreement>,
    pub left_out: Vec<(String, String)>,
}

pub struct Disagreement {
    /// Name, request and state of the case.
    pub case: String,
    /// `what expected / got`.
    pub difference: String,
}

impl Tally {
    pub fn new(kind: &'static str, wanted: f64) -> Self {
        Self { kind, wanted, agree: 0, out_of_scope: 0, disagreements: Vec::new(), left_out: Vec::new() }
    }

    pub fn add(&mut self, case: impl FnOnce() -> String, difference: Option<String>) {
        match difference {
            None => self.agree += 1,
            Some(difference) => self.disagreements.push(Disagreement { case: case(), difference }),
        }
    }

    pub fn leave_out(&mut self, case: &str, reason: &str) {
        self.left_out.push((case.to_owned(), reason.to_owned()));
    }

    fn in_scope(&self) -> usize {
        self.agree + self.disagreements.len()
    }

    /// Of those that were tried; nothing to try agrees.
    fn percent(&self) -> f64 {
        if self.in_scope() == 0 { 100.0 } else { self.agree as f64 * 100.0 / self.in_scope() as f64 }
    }

    /// A tenth may be left out, each with its reason.
    fn leaves_out_too_much(&self) -> bool {
        self.left_out.len() * 10 > self.in_scope() + self.left_out.len()
    }

    /// What is wrong with it as a whole.
    pub fn failure(&self) -> Option<String> {
        if self.percent() < self.wanted {
            return Some(format!("{}: {:.1} % agree and {} % are wanted", self.kind, self.percent(), self.wanted));
        }
        let left_out = self.left_out.len();
        self.leaves_out_too_much().then(|| format!("{}: {left_out} of {} are left out", self.kind, self.in_scope() + left_out))
    }

    fn json(&self) -> Value {
        let mut counts = json!({ "agree": self.agree, "disagree": self.disagreements.len(), "out_of_scope": self.out_of_scope });
        if !self.left_out.is_empty() || self.kind == "recordings" {
            counts["left_out"] = json!(self.left_out.len());
        }
        counts
    }
}

pub struct Report(pub Vec<Tally>);

impl Report {
    pub fn print(&self) -> Result<()> {
        let reasons = Reasons::read()?;
        for tally in &self.0 {
            for (number, Disagreement { case, difference }) in tally.disagreements.iter().enumerate() {
                if number == 0 {
                    println!("\n{}: what disagrees (expected / got)", tally.kind);
                }
                println!("  {case}\n      {difference}");
                if let Some(reason) = reasons.of(tally.kind, case, difference) {
                    println!("      because {reason}");
                }
            }
            for (number, (case, reason)) in tally.left_out.iter().enumerate() {
                if number == 0 {
                    println!("\n{}: what was left out", tally.kind);
                }
                println!("  {case}: {reason}");
            }
        }
        println!("\n{:<12}{:>8}{:>10}{:>8}{:>9}{:>10}{:>14}", "", "agree", "disagree", "%", "wanted", "left out", "out of scope");
        for tally in &self.0 {
            let (disagree, percent) = (tally.disagreements.len(), tally.percent());
            println!(
                "{:<12}{:>8}{disagree:>10}{percent:>8.1}{:>9}{:>10}{:>14}",
                tally.kind,
                tally.agree,
                tally.wanted,
                tally.left_out.len(),
                tally.out_of_scope
            );
        }
        for failure in self.failures() {
            println!("{failure}");
        }
        Ok(())
    }

    pub fn failures(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(Tally::failure)
    }

    pub fn exit_code(&self) -> ExitCode {
        if self.failures().next().is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Names with their counts, in one line.
    pub fn json(&self) -> String {
        let counts = self.0.iter().map(|tally| (tally.kind.to_owned(), tally.json()));
        Value::Object(counts.collect()).to_string()
    }
}

/// Why something is known to disagree, by what it is about; never by the name of a case.
struct Reasons(Vec<Value>);

impl Reasons {
    fn read() -> Result<Self> {
        let file: Value = toml::from_str(REASONS).context("reasons.toml cannot be read")?;
        Ok(Self(file["reason"].as_array().cloned().unwrap_or_default()))
    }

    fn of(&self, kind: &str, case: &str, difference: &str) -> Option<&str> {
        let fits = |reason: &Value, name: &str, text: &str| reason[name].as_str().is_none_or(|part| text.contains(part));
        let known =
            self.0.iter().find(|reason| fits(reason, "kind", kind) && fits(reason, "case", case) && fits(reason, "difference", difference));
        known.and_then(|reason| reason["because"].as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_fails_below_its_mark_and_when_too_much_is_left_out() {
        let mut tally = Tally::new("recordings", 90.0);
        (0..9).for_each(|_| tally.add(String::new, None));
        tally.add(|| "x".into(), Some("status 200 / 500".into()));
        assert_eq!(tally.failure(), None);
        tally.leave_out("y", "no");
        assert_eq!(tally.failure(), None);
        tally.leave_out("z", "no");
        assert_eq!(tally.failure().unwrap(), "recordings: 2 of 12 are left out");
        tally.add(|| "x".into(), Some("status 200 / 500".into()));
        assert!(tally.failure().unwrap().starts_with("recordings: 81.8 %"));
        assert_eq!(Report(vec![tally]).json(), r#"{"recordings":{"agree":9,"disagree":2,"left_out":2,"out_of_scope":0}}"#);
    }

    #[test]
    fn the_table_of_reasons_can_be_read() {
        Reasons::read().unwrap();
    }
}
