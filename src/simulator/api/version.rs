//! `/version`.

use super::Call;
use crate::simulator::reply::{Answer, Failure};
use serde_json::json;

/// basic-01-version
pub fn version(_: &mut Call<'_>) -> Result<Answer, Failure> {
    Ok(json!({ "version": "8.4.1", "release": "8.4", "repoid": "2a5fa54a8503f96d" }).into())
}
