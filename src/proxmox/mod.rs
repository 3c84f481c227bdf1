//! The outside world: a client for the HTTP API of Proxmox VE, 7.4 to 9.x.
//!
//! What it is for: speaking to a cluster exactly as it answers, and saying in types what it said. What it is not: it knows no
//! database, no session, no page, and decides nothing about what a user may do. The facts it rests on are cited as file and line of
//! Proxmox's source, or as the name of a recording of a genuine 8.4.1 server.
//!
//! * `client` has the calls, `tasks` waits for what they start, `create` says what they are given;
//! * `call` makes one: `retry`, `turns` and `credentials` say when again, after whom, and as whom;
//! * `wire` is what is answered, `error` why it was not; `config` reads the values of a container's configuration;
//! * `ids`, `ticket` and `tls` are names, secrets and trust.

pub mod config;
pub mod ids;

cfg_if::cfg_if! {
    if #[cfg(feature = "ssr")] {
        mod call;
        pub mod client;
        pub mod create;
        pub mod credentials;
        pub mod error;
        mod retry;
        pub mod tasks;
        pub mod ticket;
        pub mod tls;
        mod turns;
        pub mod wire;

        pub use client::{Client, Connection};
        pub use error::{Cause, Error};
    }
}
