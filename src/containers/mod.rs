//! Containers: the list of those a user may see, and starting, shutting down and stopping one.
//!
//! Proxmox is the truth about them. What this slice is not for: creating containers, and what runs inside them. Operations, leases and
//! events are not here yet; a verb is one call to Proxmox and the wait for its task.

pub mod api;
pub mod model;
pub mod view;

cfg_if::cfg_if! {
    if #[cfg(feature = "ssr")] {
        pub mod inventory;
        pub mod service;
        pub mod store;
    }
}
