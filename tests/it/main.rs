//! Berth as its users meet it: the real router on a real socket, the real database, a simulated cluster over TLS.
//!
//! The whole suite runs on SQLite, and once more on PostgreSQL where `BERTH_TEST_POSTGRES` names a server.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod batches;
mod client;
mod container_page;
mod containers;
mod contention;
mod crash;
mod error_codes;
mod faults;
mod harness;
mod identity;
mod inventory;
mod life;
mod lifecycle;
mod parsers;
mod permission;
mod recordings;
mod requests;
mod second_factor;
mod sessions;
mod sign_in;
mod store;
mod store_scale;
mod stream;
mod trust;
