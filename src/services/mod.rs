//! Services: what runs in a container, and how to reach it.
//!
//! What this slice is not for: finding them, which is the work of a creation.

pub mod model;

cfg_if::cfg_if! {
    if #[cfg(feature = "ssr")] {
        pub mod store;
        pub mod view;
    }
}
