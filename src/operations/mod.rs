//! Operations: a verb under way. It is in the database before its first call and until its end is known, whatever happens to the request
//! or the process in between.
//!
//! What this slice is not for: which containers there are, and what anybody may do to them.

pub mod api;
pub mod model;
mod words;

cfg_if::cfg_if! {
    if #[cfg(feature = "ssr")] {
        pub mod live;
        pub mod log;
        pub mod probe;
        pub mod recovery;
        pub mod rules;
        pub mod runner;
        pub mod service;
        pub mod store;
        pub mod task;
        pub mod task_view;
        pub mod view;
    }
}
