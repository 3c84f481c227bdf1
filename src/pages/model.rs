//! What crosses the wire about pages.

use crate::operations::model::OperationId;
use serde::{Deserialize, Serialize};

/// A page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedPage {
    /// For the window.
    pub title: String,
    /// What is on it. Made by the server out of components, which escape every text. Of a part that the browser has already, as its
    /// `data-h` says, only the element itself, without its content.
    pub html: String,
    /// Something on it is under way: it is worth asking for again soon.
    pub is_under_way: bool,
    /// What has ended lately, for who listens rather than looks.
    pub ended: Vec<Ended>,
    /// Which program belongs to it, by its path: a tab from before an update has another, and takes the new one with its next page.
    pub site: String,
}

/// An operation that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Which: the same end is told once.
    pub id: OperationId,
    /// How.
    pub sentence: String,
    /// It did not end well.
    pub is_bad: bool,
}
