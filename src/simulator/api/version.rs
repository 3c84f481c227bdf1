//! `/version`.

use super::Call;
use crate::simulator::reply::{Answer, Failure};
use serde_json::json;

/// basic-01-version
pub fn version(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let (version, release, repoid) = call.state.version.api();
    Ok(json!({ "version": version, "release": release, "repoid": repoid }).into())
}
