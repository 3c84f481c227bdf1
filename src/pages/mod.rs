//! Every page: which one an address leads to, and the parts that pages are made of.
//!
//! The server renders them, at their first load as at every other: what is on them is text, links and forms, which need no code in the
//! browser. There a page is asked for again when there is news, by [`api::get_page`], and what has changed takes its place
//! ([`crate::tab`]). What a page looks like says the slice that it is about, in a `view` or `page` of its own.

pub mod api;
pub mod model;

cfg_if::cfg_if! {
    if #[cfg(feature = "ssr")] {
        pub mod parts;
        pub mod query;
        pub mod service;
    }
}
