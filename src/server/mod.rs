//! What all slices stand on: configuration, state, the way of a request, errors, sessions, the database, secrets, the log.
//!
//! It is not a place for what one slice knows: it calls no slice. Only the mapping of errors names containers, because it is one for all.

pub mod assets;
pub mod config;
pub mod context;
pub mod db;
pub mod error;
pub mod flash;
pub mod flight;
pub mod handle;
pub mod ids;
pub mod lease;
pub mod live;
pub mod pace;
pub mod secrets;
pub mod session;
pub mod state;
pub mod telemetry;
pub mod web;

pub use context::{Context, Visitor};
pub use error::Error;
pub use handle::{handle, handle_visitor};
pub use state::AppState;
