//! The outside world: a client for the HTTP API of Proxmox VE, 7.4 to 9.x.
//!
//! What it is for: speaking to a cluster exactly as it answers, and saying in types what it said. What it is not: it knows no
//! database, no session, no page, and decides nothing about what a user may do. The facts it rests on are cited as file and line of
//! Proxmox's source, or as the name of a recording of a genuine 8.4.1 server.

pub mod ids;

cfg_if::cfg_if! {
    if #[cfg(feature = "ssr")] {
        pub mod client;
        pub mod error;
        pub mod tasks;
        pub mod ticket;
        pub mod tls;
        pub mod wire;

        pub use client::{Client, Connection};
        pub use error::{Cause, Error};
    }
}
