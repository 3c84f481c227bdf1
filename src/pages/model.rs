//! What crosses the wire about pages that the server renders.

use serde::{Deserialize, Serialize};

/// A page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedPage {
    /// For the window.
    pub title: String,
    /// What is on it. Made by the server out of components, which escape every text.
    pub html: String,
    /// Something on it is under way: it is worth asking for again soon.
    pub is_under_way: bool,
}
