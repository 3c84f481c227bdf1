//! Faults that a test asks for: which requests they hit, how often, and what happens then.
//!
//! Faults of the cluster itself (an offline node, a container that ignores its shutdown) are not here; those have names in the
//! demo and need no request to be intercepted.

use serde::{Deserialize, Serialize};
use std::sync::Mutex;

/// What happens to the requests that fit. All conditions that are given have to fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `GET`, `POST` …; `None` is any.
    #[serde(default)]
    pub method: Option<String>,
    /// Of the path below `/api2/json`, without the query.
    #[serde(default)]
    pub path_prefix: Option<String>,
    /// Of the path below `/api2/json`, without the query.
    #[serde(default)]
    pub path_contains: Option<String>,
    /// For how many requests; `None` is until it is cleared.
    #[serde(default)]
    pub times: Option<u32>,
    /// What happens to them.
    pub action: FaultAction,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultAction {
    /// Closes the connection without an answer and without doing anything.
    Refuse,
    /// Answers only when the faults are cleared.
    Hang,
    /// Does it, and breaks off in the middle of the answer's body.
    Drop,
    /// This status and reason; 401 and 59x with an empty body, others with a JSON one.
    Status {
        /// The HTTP status.
        code: u16,
        /// The reason phrase, and the message of the body.
        reason: String,
    },
    /// 200 with JSON that breaks off.
    Garbage,
    /// Does it, and closes the connection without an answer.
    LoseAnswer,
    /// Waits this long in real time, then does it.
    Slow {
        /// Real seconds, whatever the speed.
        seconds: f64,
    },
    /// `pvedaemon` does not run: 595 from the endpoints that it serves; the others answer (down-03 to down-06).
    DaemonDown,
    /// Does it, but the task that it begins ends so, and has done nothing.
    FailTask {
        /// The exit status.
        text: String,
    },
    /// 200 with a page, as a proxy in between would send.
    Html,
    /// 200 with a body of this many bytes (64 MiB).
    TooLarge {
        /// The length of the body.
        #[serde(default = "sixty_four_mebibytes")]
        bytes: u64,
    },
}

fn sixty_four_mebibytes() -> u64 {
    64 << 20
}

impl Fault {
    /// Hits every request until it is narrowed.
    pub fn new(action: FaultAction) -> Self {
        Self { method: None, path_prefix: None, path_contains: None, times: None, action }
    }

    /// Narrows it to a method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Narrows it to paths that begin so.
    #[must_use]
    pub fn path_prefix(mut self, prefix: &str) -> Self {
        self.path_prefix = Some(prefix.to_owned());
        self
    }

    /// Narrows it to paths that hold this.
    #[must_use]
    pub fn path_contains(mut self, part: &str) -> Self {
        self.path_contains = Some(part.to_owned());
        self
    }

    /// Ends it after so many requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    fn fits(&self, method: &str, path: &str) -> bool {
        self.times != Some(0)
            && self.method.as_ref().is_none_or(|wanted| wanted == method)
            && self.path_prefix.as_ref().is_none_or(|prefix| path.starts_with(prefix.as_str()))
            && self.path_contains.as_ref().is_none_or(|part| path.contains(part.as_str()))
    }
}

#[derive(Default)]
pub struct Faults(Mutex<(Vec<Fault>, u64)>);

impl Faults {
    pub fn add(&self, fault: Fault) {
        self.0.lock().expect("nothing panics while it holds the faults").0.push(fault);
    }

    pub fn clear(&self) {
        let mut faults = self.0.lock().expect("nothing panics while it holds the faults");
        faults.0.clear();
        faults.1 += 1;
    }

    /// How often they have been cleared.
    pub fn cleared(&self) -> u64 {
        self.0.lock().expect("nothing panics while it holds the faults").1
    }

    /// The fault that hits this request, which then counts.
    pub fn hit(&self, method: &str, path: &str) -> Option<FaultAction> {
        let mut faults = self.0.lock().expect("nothing panics while it holds the faults");
        let fault = faults.0.iter_mut().find(|fault| fault.fits(method, path))?;
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Some(fault.action.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_what_fits_and_as_often_as_it_says() {
        let faults = Faults::default();
        faults.add(Fault::new(FaultAction::Hang).method("POST").path_contains("status/start").times(1));
        faults.add(Fault::new(FaultAction::Refuse).path_prefix("/cluster"));
        assert_eq!(faults.hit("GET", "/nodes/pve1/lxc/103/status/start"), None);
        assert_eq!(faults.hit("POST", "/nodes/pve1/lxc/103/status/start"), Some(FaultAction::Hang));
        assert_eq!(faults.hit("POST", "/nodes/pve1/lxc/103/status/start"), None);
        assert_eq!(faults.hit("GET", "/cluster/resources"), Some(FaultAction::Refuse));
        assert_eq!(faults.hit("GET", "/cluster/resources"), Some(FaultAction::Refuse));
        faults.clear();
        assert_eq!(faults.hit("GET", "/cluster/resources"), None);
    }

    #[test]
    fn a_fault_is_written_in_json() {
        let text = r#"{"method":"POST","times":2,"action":{"kind":"status","code":595,"reason":"Connection refused"}}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        let action = FaultAction::Status { code: 595, reason: "Connection refused".to_owned() };
        assert_eq!(fault, Fault::new(action).method("POST").times(2));
        assert!(serde_json::from_str::<Fault>(r#"{"action":{"kind":"explode"}}"#).is_err());
        assert!(serde_json::from_str::<Fault>(r#"{"path":"/x","action":{"kind":"hang"}}"#).is_err());
    }
}
