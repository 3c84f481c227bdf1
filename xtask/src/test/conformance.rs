//! The simulator against Proxmox VE's own answers. These are not in the repository: without them nothing is counted, and it is said.

use anyhow::Result;

use super::Outcome;
use crate::conformance;

/// Each kind of cases counts as one.
pub fn run() -> Result<Outcome> {
    let outcome =
        conformance::test()?.map(|(kinds, failures)| Outcome { passed: kinds - failures.len(), failed: failures.len(), failures });
    Ok(outcome.unwrap_or_default())
}
