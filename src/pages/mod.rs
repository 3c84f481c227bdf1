//! Pages that the server renders whole, at their first load as at every other: the page of an operation, of a container, and the question
//! before a deletion.
//!
//! What is on them is text, links and forms, which need no code in the browser. So the browser gets them as HTML by [`api::get_page`],
//! puts them in place and asks for them again when there is news; their markup is no part of what it loads. What such a page looks like
//! says the slice that it is about, in a `view` or `page` of its own that is compiled for the server alone.
//!
//! What this module is not for: pages with parts that live in the browser, such as the list of containers.

pub mod api;
pub mod model;
pub mod view;

cfg_if::cfg_if! {
    if #[cfg(feature = "ssr")] {
        pub mod parts;
        pub mod query;
        pub mod service;
    }
}
