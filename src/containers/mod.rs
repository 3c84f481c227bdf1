//! Containers: the list of those a user may see, our rows for them, and whether one is still the same.
//!
//! Proxmox is the truth about them. What this slice is not for: creating containers, what runs inside them, and how a verb is carried out
//! ([`crate::operations`]).

pub mod api;
pub mod model;
pub mod query;

cfg_if::cfg_if! {
    if #[cfg(feature = "ssr")] {
        mod errands;
        pub mod identity;
        pub mod inventory;
        pub mod page;
        pub mod service;
        pub mod snapshot;
        pub mod store;
        pub mod tags;
        pub mod view;
    }
}
