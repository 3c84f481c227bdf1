//! Batches: one verb for many containers at once. Each of them becomes an operation of its own ([`crate::operations`]), with its lease,
//! its event and its end; a batch is the list of them, and who works it off.
//!
//! What this slice is not for: how a verb is carried out, and which containers there are.

pub mod api;
pub mod model;

cfg_if::cfg_if! {
    if #[cfg(feature = "ssr")] {
        pub mod plan;
        pub mod service;
        pub mod store;
        pub mod view;
    }
}
