//! The log of requests, so that a test can say what was asked, and that nothing was asked that the simulator does not know.

use super::schema::Raw;
use serde::Serialize;
use std::sync::{Mutex, MutexGuard};

/// One request to `/api2/json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// `GET`, `POST` …
    pub method: String,
    /// Below `/api2/json`, as it was sent.
    pub path: String,
    /// Without the question mark.
    pub query: String,
    /// Who asked, once that is known.
    pub user: Option<String>,
    /// The parameters of path, query and body; a password is only said to be there.
    pub params: Raw,
    /// Absent while it is not answered, and for ever if the client went away or a fault ate the answer.
    pub status: Option<u16>,
    /// No endpoint fits method and path.
    pub is_unknown: bool,
}

/// A demo may run for weeks: of more requests than this the older half is forgotten.
const MOST: usize = 20_000;

#[derive(Default)]
pub struct Requests(Mutex<Log>);

#[derive(Default)]
struct Log {
    kept: Vec<Request>,
    /// How many came before the first one that is kept.
    forgotten: usize,
}

/// Finds a request again after others came and the log was perhaps cleared.
#[derive(Debug, Clone, Copy)]
pub struct Entry(usize);

impl Requests {
    pub fn begin(&self, method: &str, path: &str, query: &str) -> Entry {
        let mut log = self.log();
        if log.kept.len() >= MOST {
            log.kept.drain(..MOST / 2);
            log.forgotten += MOST / 2;
        }
        let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
        log.kept.push(Request { method, path, query, user: None, params: Raw::new(), status: None, is_unknown: false });
        Entry(log.forgotten + log.kept.len() - 1)
    }

    pub fn note(&self, Entry(number): Entry, change: impl FnOnce(&mut Request)) {
        let mut log = self.log();
        let index = number.checked_sub(log.forgotten);
        if let Some(request) = index.and_then(|index| log.kept.get_mut(index)) {
            change(request);
        }
    }

    pub fn all(&self) -> Vec<Request> {
        self.log().kept.clone()
    }

    pub fn fit(&self, wanted: impl FnOnce(&[Request]) -> bool) -> bool {
        wanted(&self.log().kept)
    }

    pub fn clear(&self) {
        let mut log = self.log();
        log.forgotten += log.kept.len();
        log.kept.clear();
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().expect("nothing panics while it holds the log, but a test's own condition")
    }
}
