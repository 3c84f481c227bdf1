//! Berth: the web app for people who run LXC containers on Proxmox VE.
//!
//! This is the map of the house. The same crate is built twice: as the server (feature `ssr`), and as WASM for the browser (feature
//! `hydrate`). Each module's own doc says what it is for and what it is not.
//!
//! | module | side | what it is for |
//! |---|---|---|
//! | `app` | server | the document, and what stands around the pages |
//! | [`tab`] | both | what runs in the browser: the page in its place, forms, the stream, the keyboard |
//! | [`error`] | both | [`error::AppError`], the only error that a server function returns |
//! | [`paths`] | both | every link, as a function |
//! | [`proxmox`] | both / server | the outside world: ids on both sides, the client on the server |
//! | [`ui`] | both | the parts that pages are made of; they know no slice |
//! | `server` | server | what all slices stand on: configuration, state, sessions, database, secrets, log |
//! | [`auth`] | slice | signing in and out with a Proxmox account |
//! | [`containers`] | slice | the list, and the page of a container: what it is, what it uses, its verbs |
//! | [`operations`] | slice | a verb under way: in the database before its first call, and until its end is known |
//! | [`batches`] | slice | one verb for many containers at once: which, who works it off, how each ended |
//! | [`events`] | slice | who did what, kept for good |
//! | [`services`] | slice | what runs in a container |
//! | [`preferences`] | slice | what a browser remembers: the theme, rows or cards, and the keys |
//! | [`pages`] | both | every route on one screen, and the parts that pages are made of; the server renders them |
//! | `startup` | server | puts it all together; used by `main`, the demo and the tests alike |
//! | `simulator` | server | a simulated Proxmox VE at the other end of a TLS socket |
//!
//! Who may import whom: `ui paths error proxmox <- server <- pages::{model, parts} <- slices <- pages::service <- tab <- app <- startup <-
//! main, tests`. In a slice:
//! `api -> service -> {store, proxmox::Client}`; another slice only through its `service`, `model` or `view`. Nothing but `startup`'s
//! caller, its own program and the tests imports `simulator`, and `simulator` imports `proxmox::ids` alone.
//!
//! A slice has the same file names everywhere: `model.rs` (what crosses the wire, and the rules that button, service and tests share),
//! `api.rs` (server functions of about five lines), `view.rs` (its pages and parts, rendered by the
//! server alone), and on the server `service.rs` (the verbs) and `store.rs` (the SQL).

// a page's view is one nested type
#![recursion_limit = "512"]

pub mod auth;
pub mod batches;
pub mod containers;
pub mod error;
pub mod events;
pub mod operations;
pub mod pages;
pub mod paths;
pub mod preferences;
pub mod proxmox;
pub mod services;
pub mod tab;
pub mod ui;

cfg_if::cfg_if! {
    if #[cfg(feature = "ssr")] {
        pub mod app;
        pub mod server;
        pub mod simulator;
        pub mod startup;
    }
}

cfg_if::cfg_if! {
    if #[cfg(feature = "hydrate")] {
        /// Comes before the islands.
        #[wasm_bindgen::prelude::wasm_bindgen]
        pub fn hydrate() {
            console_error_panic_hook::set_once();
            leptos::mount::hydrate_islands();
        }
    }
}
