//! Events: who did what to a container, and how it ended. They are only added, and outlive the container.
//!
//! What this slice is not for: the log, which says what happened inside Berth.

pub mod model;

cfg_if::cfg_if! {
    if #[cfg(feature = "ssr")] {
        pub mod filter;
        pub mod service;
        pub mod store;
        pub mod view;
    }
}
