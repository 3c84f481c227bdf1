//! Signing in and out with a Proxmox account, with its second factor where it has one, and acting with its ticket afterwards.
//!
//! Berth has no users of its own and keeps no password. What this slice is not for: what somebody may do, which Proxmox decides at
//! each call.

pub mod api;
pub mod model;

cfg_if::cfg_if! {
    if #[cfg(feature = "ssr")] {
        pub mod page;
        pub mod second_factor;
        pub mod service;
        pub mod store;
        pub mod view;
    }
}
