//! The calls. One method per call, named after it.
//!
//! [`Connection`] is an address we may speak to, [`Client`] adds a user's ticket. Every call has a limit for the whole exchange,
//! the body included, and reads at most [`MOST_BYTES`]. A write is sent once.

use super::{
    error::{Cause, Error},
    ids::{NodeName, Upid, UserId, Vmid},
    ticket::Ticket,
    tls::{self, Trust, TrustError},
    wire::{self, Domain, Envelope, LogLine, Login, LxcStatus, Permissions, Resource, TaskStatus, Version},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, header};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{fmt, sync::Arc, time::Duration};

/// The longest answer that is read: 32 MiB, some ten times `/cluster/resources` with 10,000 guests.
const MOST_BYTES: usize = 32 << 20;
/// For a connection with its TLS handshake.
const CONNECT: Duration = Duration::from_secs(5);
/// For a call that Proxmox answers from what it has at hand.
const QUICK: Duration = Duration::from_secs(10);
/// For a call that can block while a container starts; Proxmox itself gives up after 30 s (REAL.md, State).
const BLOCKING: Duration = Duration::from_secs(35);

/// Where a cluster answers, and how it proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address.
    pub host: String,
    /// Usually 8006.
    pub port: u16,
    /// Belongs to this address: each node has a certificate of its own.
    pub trust: Trust,
}

/// An address we may speak to, with its pool of connections. Cheap to clone.
#[derive(Clone)]
pub struct Connection {
    http: reqwest::Client,
    base: Arc<str>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.base).finish()
    }
}

/// An address that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// What should prove the cluster's identity cannot be read.
    #[error("the cluster's certificate cannot be checked")]
    Trust(#[from] TrustError),
    /// The HTTP client refuses its settings.
    #[error("no HTTP client can be made")]
    Http(#[from] reqwest::Error),
}

/// How a sign-in was answered.
pub enum SignIn {
    /// It is done.
    Ticket(Ticket),
    /// The account has a second factor, which Proxmox wants to see first.
    SecondFactor,
}

impl Connection {
    /// Prepares an address. Nothing is sent yet.
    pub fn new(address: &Address) -> Result<Self, ConnectionError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(&address.trust)?)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT)
            // Proxmox closes an idle connection after 5 s (REAL.md, HTTP)
            .pool_idle_timeout(Duration::from_secs(4))
            .tcp_nodelay(true)
            .user_agent(concat!("berth/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let host = if address.host.contains(':') { format!("[{}]", address.host) } else { address.host.clone() };
        Ok(Self { http, base: format!("https://{host}:{}/api2/json", address.port).into() })
    }

    /// The same address with a user's ticket.
    pub fn with(&self, ticket: Arc<Ticket>) -> Client {
        Client { connection: self.clone(), ticket }
    }

    /// `GET /access/domains`: the realms, open to everybody.
    pub async fn access_domains(&self) -> Result<Vec<Domain>, Error> {
        self.call("GET /access/domains").get("/access/domains").list().await
    }

    /// `POST /access/ticket`: signs in. Every refusal is the same 401, after 3 s (API2/AccessControl.pm:306-311).
    pub async fn access_ticket(&self, user: &UserId, password: &SecretString) -> Result<SignIn, Error> {
        let call = "POST /access/ticket";
        let form = [("username", user.as_str()), ("password", password.expose_secret())];
        let login: Login = self.call(call).post("/access/ticket").form(&form).one().await?;
        if login.need_tfa {
            return Ok(SignIn::SecondFactor);
        }
        let user = login.username.parse().map_err(|_| protocol(call, "the user of the ticket does not parse"))?;
        let csrf = login.csrf.ok_or_else(|| protocol(call, "a ticket without a CSRF token"))?;
        Ok(SignIn::Ticket(Ticket::new(user, login.ticket, csrf)))
    }

    fn call(&self, name: &'static str) -> Call<'_> {
        Call { connection: self, ticket: None, name, method: Method::GET, path: String::new(), form: None, limit: QUICK }
    }
}

/// A connection that acts as one user.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Connection,
    ticket: Arc<Ticket>,
}

impl Client {
    /// The user it acts as.
    pub fn user(&self) -> &UserId {
        &self.ticket.user
    }

    /// `POST /access/ticket` with the ticket as password: a new ticket, two hours from now. A dead ticket cannot do it.
    pub async fn access_ticket_renewal(&self) -> Result<Ticket, Error> {
        let password = SecretString::from(self.ticket.cookie().to_owned());
        match self.connection.access_ticket(&self.ticket.user, &password).await? {
            SignIn::Ticket(ticket) => Ok(ticket),
            SignIn::SecondFactor => Err(protocol("POST /access/ticket", "a second factor asked for at a renewal")),
        }
    }

    /// `GET /access/permissions`: what this user may, by path.
    pub async fn access_permissions(&self) -> Result<Permissions, Error> {
        self.call("GET /access/permissions").get("/access/permissions").one().await
    }

    /// `GET /version`: open to every user.
    pub async fn version(&self) -> Result<Version, Error> {
        self.call("GET /version").get("/version").one().await
    }

    /// `GET /nodes`: the nodes; figures only with Sys.Audit.
    pub async fn nodes(&self) -> Result<Vec<Resource>, Error> {
        self.call("GET /nodes").get("/nodes").list().await
    }

    /// `GET /cluster/resources`: guests, nodes and storages that the user may audit, in one answer. It lags up to 10 s.
    pub async fn cluster_resources(&self) -> Result<Vec<Resource>, Error> {
        self.call("GET /cluster/resources").get("/cluster/resources").list().await
    }

    /// `GET /nodes/{node}/lxc/{vmid}/status/current` (VM.Audit): exact, but blocks while the container starts.
    pub async fn lxc_status_current(&self, node: &NodeName, vmid: Vmid) -> Result<LxcStatus, Error> {
        self.call("GET /nodes/{node}/lxc/{vmid}/status/current")
            .get(&format!("/nodes/{node}/lxc/{vmid}/status/current"))
            .limit(BLOCKING)
            .one()
            .await
    }

    /// `GET /nodes/{node}/lxc/{vmid}/config` (VM.Audit): the configuration as key and value, pending changes merged in.
    pub async fn lxc_config(&self, node: &NodeName, vmid: Vmid) -> Result<serde_json::Map<String, Value>, Error> {
        self.call("GET /nodes/{node}/lxc/{vmid}/config").get(&format!("/nodes/{node}/lxc/{vmid}/config")).one().await
    }

    /// `POST …/status/start` (VM.PowerMgmt).
    pub async fn lxc_start(&self, node: &NodeName, vmid: Vmid) -> Result<Upid, Error> {
        self.call("POST /nodes/{node}/lxc/{vmid}/status/start").post(&format!("/nodes/{node}/lxc/{vmid}/status/start")).one().await
    }

    /// `POST …/status/stop` (VM.PowerMgmt): the hard stop.
    pub async fn lxc_stop(&self, node: &NodeName, vmid: Vmid) -> Result<Upid, Error> {
        self.call("POST /nodes/{node}/lxc/{vmid}/status/stop").post(&format!("/nodes/{node}/lxc/{vmid}/status/stop")).one().await
    }

    /// `POST …/status/shutdown` (VM.PowerMgmt): the clean one. Proxmox waits `timeout` seconds; then, with `force_stop`, it stops hard,
    /// else the task fails with `container did not stop`.
    pub async fn lxc_shutdown(&self, node: &NodeName, vmid: Vmid, timeout: Duration, force_stop: bool) -> Result<Upid, Error> {
        let form = [("timeout", timeout.as_secs().to_string()), ("forceStop", u8::from(force_stop).to_string())];
        self.call("POST /nodes/{node}/lxc/{vmid}/status/shutdown")
            .post(&format!("/nodes/{node}/lxc/{vmid}/status/shutdown"))
            .form(&form)
            .one()
            .await
    }

    /// `POST …/status/reboot` (VM.PowerMgmt): shutdown with a hard stop after `timeout` seconds, then start.
    pub async fn lxc_reboot(&self, node: &NodeName, vmid: Vmid, timeout: Duration) -> Result<Upid, Error> {
        let form = [("timeout", timeout.as_secs().to_string())];
        self.call("POST /nodes/{node}/lxc/{vmid}/status/reboot")
            .post(&format!("/nodes/{node}/lxc/{vmid}/status/reboot"))
            .form(&form)
            .one()
            .await
    }

    /// `GET /nodes/{node}/tasks/{upid}/status` (its owner, or Sys.Audit).
    pub async fn task_status(&self, upid: &Upid) -> Result<TaskStatus, Error> {
        self.call("GET /nodes/{node}/tasks/{upid}/status").get(&format!("{}/status", task_path(upid))).one().await
    }

    /// The last `lines` lines of `GET /nodes/{node}/tasks/{upid}/log` (its owner, or Sys.Audit).
    pub async fn task_log_tail(&self, upid: &Upid, lines: u32) -> Result<Vec<String>, Error> {
        let window = async |start: u64| {
            let path = format!("{}/log?start={start}&limit={lines}", task_path(upid));
            self.call("GET /nodes/{node}/tasks/{upid}/log").get(&path).window::<LogLine>().await
        };
        let (mut log, total) = window(0).await?;
        if total > u64::from(lines) {
            (log, _) = window(total - u64::from(lines)).await?;
        }
        Ok(log.into_iter().map(|line| line.t).collect())
    }

    fn call(&self, name: &'static str) -> Call<'_> {
        Call { ticket: Some(&self.ticket), ..self.connection.call(name) }
    }
}

/// A UPID holds `:`, `@` and `!`.
fn task_path(upid: &Upid) -> String {
    format!("/nodes/{}/tasks/{}", upid.node(), utf8_percent_encode(upid.as_str(), NON_ALPHANUMERIC))
}

fn protocol(call: &'static str, what: &str) -> Error {
    Error { call, cause: Cause::Protocol(what.to_owned()) }
}

/// One call on its way.
struct Call<'a> {
    connection: &'a Connection,
    ticket: Option<&'a Ticket>,
    name: &'static str,
    method: Method,
    path: String,
    form: Option<String>,
    limit: Duration,
}

impl Call<'_> {
    fn get(self, path: &str) -> Self {
        Self { method: Method::GET, path: path.to_owned(), ..self }
    }

    fn post(self, path: &str) -> Self {
        Self { method: Method::POST, path: path.to_owned(), ..self }
    }

    fn form<V: AsRef<str>>(self, fields: &[(&str, V)]) -> Self {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs: Vec<_> = fields.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value.as_ref()))).collect();
        Self { form: Some(pairs.join("&")), ..self }
    }

    fn limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// The answer as one value.
    async fn one<T: DeserializeOwned>(self) -> Result<T, Error> {
        let call = self.name;
        let envelope = self.send().await?;
        serde_json::from_value(envelope.data).map_err(|e| protocol(call, &e.to_string()))
    }

    /// The answer as a list; entries that do not parse are left out and logged.
    async fn list<T: DeserializeOwned>(self) -> Result<Vec<T>, Error> {
        Ok(self.window().await?.0)
    }

    /// The answer as a part of a list, with the length of the whole.
    async fn window<T: DeserializeOwned>(self) -> Result<(Vec<T>, u64), Error> {
        let call = self.name;
        let envelope = self.send().await?;
        let list = wire::entries(call, envelope.data).ok_or_else(|| protocol(call, "not a list"))?;
        let total = envelope.total.unwrap_or(list.len() as u64);
        Ok((list, total))
    }

    async fn send(self) -> Result<Envelope, Error> {
        let call = self.name;
        let limit = self.limit;
        let started = std::time::Instant::now();
        let result = tokio::time::timeout(limit, self.exchange()).await.unwrap_or(Err(Cause::TimedOut(limit)));
        tracing::debug!(call, ms = started.elapsed().as_millis() as u64, ok = result.is_ok(), "proxmox");
        result.map_err(|cause| Error { call, cause })
    }

    async fn exchange(self) -> Result<Envelope, Cause> {
        let transport = |error| Cause::of_transport(error, self.limit);
        let writes = self.method != Method::GET;
        let mut request = self.connection.http.request(self.method, format!("{}{}", self.connection.base, self.path));
        if let Some(ticket) = self.ticket {
            let cookie = format!("PVEAuthCookie={}", utf8_percent_encode(ticket.cookie(), NON_ALPHANUMERIC));
            request = request.header(header::COOKIE, sensitive(&cookie)?);
            if writes {
                request = request.header("CSRFPreventionToken", sensitive(ticket.csrf())?);
            }
        }
        if let Some(form) = self.form {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        }
        let mut response = request.send().await.map_err(transport)?;
        let status = response.status();
        // The error's text is the reason phrase (PVE/APIServer/AnyEvent.pm:306-315); since 8.4 the body says it too.
        let reason = match response.extensions().get::<hyper::ext::ReasonPhrase>() {
            Some(phrase) => String::from_utf8_lossy(phrase.as_bytes()).into_owned(),
            None => status.canonical_reason().unwrap_or_default().to_owned(),
        };
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(Cause::Protocol(format!("more than {MOST_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        let envelope = serde_json::from_slice::<Envelope>(&body);
        if status.is_success() {
            return envelope.map_err(|e| Cause::Protocol(e.to_string()));
        }
        // An error without a readable body is still an error with a reason.
        let (message, errors) = envelope.map(|e| (e.message, e.errors.unwrap_or_default())).unwrap_or_default();
        Err(Cause::of_answer(status.as_u16(), message.as_deref().unwrap_or(&reason), errors))
    }
}

fn sensitive(value: &str) -> Result<header::HeaderValue, Cause> {
    let mut value = header::HeaderValue::from_str(value).map_err(|_| Cause::Protocol("a ticket that is no header value".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
