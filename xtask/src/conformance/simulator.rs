//! The program `pve-simulator` under test: built, started, given a state, signed in to, asked.
//!
//! It runs stepped: its time stands still but for what is done here. A request that waits (for a lock, for a start to get on) is
//! noticed by its silence, and time passes until it answers.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustls::ClientConfig;
use serde_json::{Value, json};

use super::wire::{self, Answer, Connection, Request, escape_value};
use crate::{
    paths,
    process::{self, Job, SIGTERM, cargo, command},
};

/// What anybody's password is in a state of ours, unless a case says another.
pub const PASSWORD: &str = "berth";
/// What the secret part of any API token is.
pub const SECRET: &str = "5ec2e700-0000-4000-8000-000000000000";

/// An answer that takes longer is waiting for something that needs simulated time.
const SILENCE: Duration = Duration::from_millis(300);
/// How much simulated time passes at a time for a request that waits, and how long at most.
const STEP: f64 = 1.0;
const PATIENCE: f64 = 300.0;

pub fn build() -> Result<PathBuf> {
    process::run(&mut cargo(&["build", "--bin", "pve-simulator", "--features", "ssr"]))?;
    Ok(paths::target().join("debug/pve-simulator"))
}

pub struct Simulator {
    job: Job,
    address: SocketAddr,
    security: Arc<ClientConfig>,
    connection: Option<Connection>,
    control: Option<Connection>,
    tickets: HashMap<String, Ticket>,
}

#[derive(Clone)]
pub struct Ticket {
    pub cookie: String,
    pub csrf: String,
}

/// Who sends a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Who {
    Nobody,
    /// `user@realm`, with a password unless it is everybody's.
    User(String, Option<String>),
    /// `user@realm!token`.
    Token(String),
}

impl Who {
    /// From the way in which the data write it.
    pub fn named(name: &str) -> Self {
        if name.contains('!') { Self::Token(name.to_owned()) } else { Self::User(name.to_owned(), None) }
    }
}

impl Simulator {
    pub fn start(program: &Path) -> Result<Self> {
        let mut start = command(program, paths::root());
        start.args(["--listen", "127.0.0.1:0", "--control", "--stepped"]).stdout(Stdio::piped());
        let mut job = Job::start(&mut start)?;
        let address = listens_at(&mut job)?;
        Ok(Self { job, address, security: wire::trusting()?, connection: None, control: None, tickets: HashMap::new() })
    }

    pub fn stop(self) {
        self.job.stop(SIGTERM);
    }

    /// Replaces everything. Tickets stay good as long as their user is in the new state.
    pub fn load(&mut self, state: &Value) -> Result<()> {
        self.control("POST", "/sim/state", Some(state)).map(drop)
    }

    pub fn state(&mut self) -> Result<Value> {
        self.control("GET", "/sim/state", None)
    }

    pub fn finish_tasks(&mut self) -> Result<()> {
        self.control("POST", "/sim/finish-tasks", None).map(drop)
    }

    pub fn advance(&mut self, seconds: f64) -> Result<()> {
        self.control("POST", "/sim/advance", Some(&json!({ "seconds": seconds }))).map(drop)
    }

    pub fn control(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        let request = Request { method: method.to_owned(), target: path.to_owned(), headers, body };
        let mut connection = match self.control.take() {
            Some(connection) => connection,
            None => Connection::open(self.address, &self.security)?,
        };
        connection.send(&request)?;
        let received = connection.receive(Duration::from_secs(30))?;
        let (answer, stays_open) = received.with_context(|| format!("the simulator does not answer {method} {path}"))?;
        self.control = stays_open.then_some(connection);
        if answer.status != 200 {
            bail!("{method} {path}: {}", answer.json["error"].as_str().unwrap_or(&answer.text));
        }
        Ok(answer.json)
    }

    /// Sends what is already complete, credentials included.
    pub fn exchange(&mut self, request: &Request) -> Result<Answer> {
        let kept = self.connection.take();
        let is_kept = kept.is_some();
        let connection = match kept {
            Some(connection) => connection,
            None => Connection::open(self.address, &self.security)?,
        };
        match self.exchange_over(connection, request) {
            // A connection that was kept may have been closed in the meantime.
            Err(_) if is_kept => {
                let connection = Connection::open(self.address, &self.security)?;
                self.exchange_over(connection, request)
            }
            result => result,
        }
    }

    /// Sends it without TLS.
    pub fn exchange_plain(&mut self, request: &Request) -> Result<Answer> {
        let mut connection = Connection::open_plain(self.address)?;
        connection.send(request)?;
        let received = connection.receive(Duration::from_secs(10))?;
        Ok(received.context("no answer without TLS")?.0)
    }

    fn exchange_over(&mut self, mut connection: Connection, request: &Request) -> Result<Answer> {
        connection.send(request)?;
        let mut passed = 0.0;
        let mut received = connection.receive(SILENCE)?;
        while received.is_none() {
            if passed >= PATIENCE {
                bail!("no answer to {} {} within {PATIENCE} simulated seconds", request.method, request.target);
            }
            self.advance(STEP)?;
            passed += STEP;
            received = connection.receive(Duration::from_millis(30))?;
        }
        let (answer, stays_open) = received.context("no answer")?;
        if stays_open {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    /// Another connection, for requests that overlap.
    pub fn connect(&self) -> Result<Connection> {
        Connection::open(self.address, &self.security)
    }

    /// A request to the API as somebody, with parameters in the query or in the body, wherever they belong.
    pub fn ask(&mut self, who: &Who, method: &str, path: &str, parameters: &Value) -> Result<Answer> {
        let mut request = prepare(method, path, parameters);
        request.headers.extend(self.credentials(who, method)?);
        let answer = self.exchange(&request)?;
        if answer.status != 401 || !matches!(who, Who::User(..)) {
            return Ok(answer);
        }
        // Our ticket may be from another time than the state; a new one tells.
        self.forget(who);
        let mut request = prepare(method, path, parameters);
        request.headers.extend(self.credentials(who, method)?);
        self.exchange(&request)
    }

    pub fn credentials(&mut self, who: &Who, method: &str) -> Result<Vec<(String, String)>> {
        Ok(match who {
            Who::Nobody => Vec::new(),
            Who::Token(name) => vec![("Authorization".to_owned(), format!("PVEAPIToken={name}={SECRET}"))],
            Who::User(name, password) => {
                let ticket = self.ticket(name, password.as_deref())?;
                let mut headers = vec![("Cookie".to_owned(), format!("PVEAuthCookie={}", ticket.cookie))];
                if method != "GET" {
                    headers.push(("CSRFPreventionToken".to_owned(), ticket.csrf));
                }
                headers
            }
        })
    }

    /// The ticket from an earlier sign-in, or from one now.
    pub fn ticket(&mut self, user: &str, password: Option<&str>) -> Result<Ticket> {
        if let Some(ticket) = self.tickets.get(user) {
            return Ok(ticket.clone());
        }
        let parameters = json!({ "username": user, "password": password.unwrap_or(PASSWORD) });
        let answer = self.exchange(&prepare("POST", "/access/ticket", &parameters))?;
        let data = &answer.json["data"];
        let (Some(ticket), Some(csrf)) = (data["ticket"].as_str(), data["CSRFPreventionToken"].as_str()) else {
            bail!("{user} cannot sign in: {}", answer.brief());
        };
        let ticket = Ticket { cookie: escape_value(ticket), csrf: csrf.to_owned() };
        self.tickets.insert(user.to_owned(), ticket.clone());
        Ok(ticket)
    }

    pub fn forget(&mut self, who: &Who) {
        if let Who::User(name, _) = who {
            self.tickets.remove(name);
        }
    }

    pub fn forget_all(&mut self) {
        self.tickets.clear();
    }
}

/// Without credentials.
pub fn prepare(method: &str, path: &str, parameters: &Value) -> Request {
    let form = form(parameters);
    let mut request = Request { method: method.to_owned(), target: format!("/api2/json{}", wire::escape_path(path)), ..Request::default() };
    if matches!(method, "POST" | "PUT") {
        if !form.is_empty() {
            request.headers.push(("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        }
        request.body = form;
    } else if !form.is_empty() {
        request.target.push('?');
        request.target.push_str(&form);
    }
    request
}

/// `a=1&b=2`; a list is its key several times.
fn form(parameters: &Value) -> String {
    let mut pairs = Vec::new();
    let mut add = |name: &str, value: &Value| {
        if let Some(text) = scalar(value) {
            pairs.push(format!("{}={}", escape_value(name), escape_value(&text)));
        }
    };
    for (name, value) in parameters.as_object().into_iter().flatten() {
        match value {
            Value::Array(values) => values.iter().for_each(|value| add(name, value)),
            value => add(name, value),
        }
    }
    pairs.join("&")
}

/// As Perl would write it; `null` and what has parts is nothing.
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is_true) => Some(u8::from(*is_true).to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Waits for the line that says where it listens, and keeps its output flowing afterwards.
fn listens_at(job: &mut Job) -> Result<SocketAddr> {
    let mut lines = BufReader::new(job.stdout()).lines();
    for line in lines.by_ref() {
        let line = line.context("cannot read what the simulator writes")?;
        if let Some((_, address)) = line.split_once("https://") {
            let address = address.split_whitespace().next().unwrap_or_default().trim_end_matches('/');
            let address = address.parse().with_context(|| format!("the simulator listens at {address}, which is no address"))?;
            thread::spawn(move || lines.for_each(drop));
            return Ok(address);
        }
    }
    bail!("the simulator ended before it listened")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_go_where_proxmox_expects_them() {
        let request = prepare("DELETE", "/nodes/pve1/lxc/100", &json!({ "force": true, "purge": 1 }));
        assert_eq!((request.target.as_str(), request.body.as_str()), ("/api2/json/nodes/pve1/lxc/100?force=1&purge=1", ""));
        let request = prepare("PUT", "/nodes/pve1/lxc/100/config", &json!({ "net0": "name=eth0", "none": null }));
        assert_eq!(request.body, "net0=name%3Deth0");
    }
}
