//! The log: one line an event, to standard error.

use super::config::LogFilter;
use std::{error::Error, io::IsTerminal};
use tracing_subscriber::EnvFilter;

/// Starts the log. Called once, by `main`.
pub fn start(filter: Option<&LogFilter>) {
    let filter = filter.map_or("info", |filter| filter.0.as_str());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

/// An error with all its causes, in one line: what the log shows and no browser sees.
pub fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        next = cause.source();
    }
    line
}
