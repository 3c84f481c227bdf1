//! The log of requests, so that a test can say what was asked, and that nothing was asked that the simulator does not know.

use super::params::Raw;
use serde::Serialize;
use std::sync::Mutex;

/// One request to `/api2/json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    pub method: String,
    /// Below `/api2/json`, as it was sent.
    pub path: String,
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

#[derive(Default)]
pub struct Requests(Mutex<(Vec<Request>, u64)>);

/// Finds a request again after others came and the log was perhaps cleared.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    index: usize,
    era: u64,
}

impl Requests {
    pub fn begin(&self, method: &str, path: &str, query: &str) -> Entry {
        let mut log = self.0.lock().expect("nothing panics while it holds the log");
        let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
        log.0.push(Request { method, path, query, user: None, params: Raw::new(), status: None, is_unknown: false });
        Entry { index: log.0.len() - 1, era: log.1 }
    }

    pub fn note(&self, entry: Entry, change: impl FnOnce(&mut Request)) {
        let mut log = self.0.lock().expect("nothing panics while it holds the log");
        if log.1 == entry.era
            && let Some(request) = log.0.get_mut(entry.index)
        {
            change(request);
        }
    }

    pub fn all(&self) -> Vec<Request> {
        self.0.lock().expect("nothing panics while it holds the log").0.clone()
    }

    pub fn fit(&self, wanted: impl FnOnce(&[Request]) -> bool) -> bool {
        wanted(&self.0.lock().expect("nothing panics while it holds the log").0)
    }

    pub fn clear(&self) {
        let mut log = self.0.lock().expect("nothing panics while it holds the log");
        log.0.clear();
        log.1 += 1;
    }
}
