//! The calls. One method per call, named after it.
//!
//! [`Connection`] is a cluster that we may speak to, at one or more addresses; [`Client`] adds a user's ticket or an API token. Every call has a
//! limit for the whole exchange, its repetitions and the body included. A write is sent once ([`super::retry`]).
//!
//! Not here: how a call is made ([`super::call`]) and what becomes of a task ([`super::tasks`]).

use super::{
    call::{Call, Params, protocol},
    create::{LxcConfigUpdate, LxcCreate, LxcDelete},
    credentials::{Credentials, Holder},
    error::{Cause, Error, Thing},
    ids::{NodeName, StorageName, Upid, UserId, Vmid},
    ticket::{Challenge, SecondFactor, Ticket},
    tls::{self, Trust, TrustError},
    turns::{Subject, Turns},
    wire::{
        self, ClusterMember, ClusterOptions, ClusterResources, ClusterTask, Domain, Feature, Interface, LogLine, Login, LxcConfig,
        LxcStatus, NetworkDevice, NodeStatus, NodeTask, PendingOption, Permissions, Resource, Rrd, Sample, Snapshot, StorageEntry,
        TaskStatus, Version, Volume,
    },
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

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

/// How long, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// For a connection with its TLS handshake, at one address.
    pub connect: Duration,
    /// For a call that Proxmox answers from what it has at hand.
    pub quick: Duration,
    /// For a call that can block: on a container that starts, on a lock (10 s), on a slow storage. Proxmox itself gives up after 30 s
    /// (REAL.md, State and Errors).
    pub blocking: Duration,
    /// How often a call is tried, where it is safe to try again.
    pub tries: u32,
    /// The pause after the first failure; the next one is twice as long.
    pub first_pause: Duration,
    /// A ticket that a client has had for longer is renewed before it is used.
    pub renew_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(4),
            quick: Duration::from_secs(10),
            blocking: Duration::from_secs(35),
            tries: 3,
            first_pause: Duration::from_millis(100),
            renew_after: super::ticket::LIFETIME / 2,
        }
    }
}

/// A cluster that we may speak to, with its pools of connections. Cheap to clone.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    endpoints: Vec<Endpoint>,
    /// Which of them answered last.
    preferred: AtomicUsize,
    limits: Limits,
    turns: Turns,
}

/// One address.
pub(super) struct Endpoint {
    pub(super) http: reqwest::Client,
    pub(super) base: String,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.0.endpoints.iter().map(|e| &e.base).collect::<Vec<_>>()).finish()
    }
}

/// An address that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// There is none.
    #[error("no address")]
    NoAddress,
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
    SecondFactor(Challenge),
}

impl Endpoint {
    fn new(address: &Address, limits: &Limits) -> Result<Self, ConnectionError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(&address.trust)?)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            // What is tried again, we decide. A request that found its idle connection closed before a byte of it was written goes to
            // another one, and that cannot be switched off; it is as if it had not been sent (hyper's dispatch gives it back unstarted).
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(limits.connect)
            // Proxmox closes an idle connection after 5 s (REAL.md, HTTP)
            .pool_idle_timeout(Duration::from_secs(4))
            .tcp_nodelay(true)
            .user_agent(concat!("berth/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let host = if address.host.contains(':') { format!("[{}]", address.host) } else { address.host.clone() };
        Ok(Self { http, base: format!("https://{host}:{}/api2/json", address.port) })
    }
}

impl Connection {
    /// Prepares a cluster's addresses; the first is tried first. Nothing is sent yet.
    pub fn new(addresses: &[Address]) -> Result<Self, ConnectionError> {
        Self::with_limits(addresses, Limits::default())
    }

    /// The same with other limits than usual.
    pub fn with_limits(addresses: &[Address], limits: Limits) -> Result<Self, ConnectionError> {
        let endpoints = addresses.iter().map(|address| Endpoint::new(address, &limits)).collect::<Result<Vec<_>, _>>()?;
        if endpoints.is_empty() {
            return Err(ConnectionError::NoAddress);
        }
        Ok(Self(Arc::new(Inner { endpoints, preferred: AtomicUsize::new(0), limits, turns: Turns::default() })))
    }

    /// How long a call may take at most.
    pub fn longest_call(&self) -> Duration {
        self.0.limits.quick.max(self.0.limits.blocking)
    }

    /// The same cluster with a user's ticket or an API token.
    pub fn with(&self, credentials: impl Into<Credentials>) -> Client {
        Client { connection: self.clone(), holder: Arc::new(Holder::new(credentials.into())) }
    }

    /// `GET /access/domains`: the realms, open to everybody.
    pub async fn access_domains(&self) -> Result<Vec<Domain>, Error> {
        self.call("GET /access/domains").get("/access/domains").list().await
    }

    /// `POST /access/ticket`: signs in. Every refusal is the same 401, after 3 s (API2/AccessControl.pm:306-311).
    pub async fn access_ticket(&self, user: &UserId, password: &SecretString) -> Result<SignIn, Error> {
        let form = Params::default().with("username", user.as_str()).with("password", password.expose_secret());
        // 7.4 hands out a challenge of an older kind, which this call cannot answer, where it is not asked for the newer one; 8 ignores it
        self.sign_in(form.with("new-format", "1")).await
    }

    /// `POST /access/ticket` once more, with the answer to the challenge in place of the password. A wrong answer is the same 401, and
    /// the challenge can be answered again; after some wrong ones Proxmox locks the factor.
    pub async fn access_ticket_second_factor(&self, challenge: &Challenge, answer: &SecondFactor) -> Result<Ticket, Error> {
        let form = Params::default()
            .with("username", challenge.user.as_str())
            .with("password", answer.password().expose_secret())
            .with("tfa-challenge", challenge.text());
        self.whole_ticket(form).await
    }

    /// A ticket in the place of one that still lives.
    pub(super) async fn renewed(&self, ticket: &Ticket) -> Result<Ticket, Error> {
        let form = Params::default().with("username", ticket.user.as_str()).with("password", ticket.cookie());
        self.whole_ticket(form).await
    }

    async fn whole_ticket(&self, form: Params) -> Result<Ticket, Error> {
        match self.sign_in(form).await? {
            SignIn::Ticket(ticket) => Ok(ticket),
            SignIn::SecondFactor(_) => Err(protocol("POST /access/ticket", "a second factor where none may be asked for")),
        }
    }

    async fn sign_in(&self, form: Params) -> Result<SignIn, Error> {
        let call = "POST /access/ticket";
        let login: Login = self.call(call).post("/access/ticket", form).one().await?;
        let user = login.username.parse().map_err(|_| protocol(call, "the user of the ticket does not parse"))?;
        if login.need_tfa {
            return Ok(SignIn::SecondFactor(Challenge::new(user, login.ticket)));
        }
        let csrf = login.csrf.ok_or_else(|| protocol(call, "a ticket without a CSRF token"))?;
        Ok(SignIn::Ticket(Ticket::new(user, login.ticket, csrf)))
    }

    fn call(&self, name: &'static str) -> Call {
        let limit = self.0.limits.quick;
        let connection = self.clone();
        Call { connection, holder: None, name, method: Method::GET, path: String::new(), form: None, limit, subject: None }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(super) fn turns(&self) -> &Turns {
        &self.0.turns
    }

    /// The addresses with their numbers, beginning with the preferred one.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        let first = self.0.preferred.load(Ordering::Relaxed);
        let count = self.0.endpoints.len();
        (first..first + count).map(move |index| (index % count, &self.0.endpoints[index % count]))
    }

    pub(super) fn prefer(&self, index: usize) {
        self.0.preferred.store(index, Ordering::Relaxed);
    }
}

/// A connection that acts as one user or token. Clones share the ticket, a renewed one too.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Connection,
    holder: Arc<Holder>,
}

/// Which tasks of a node are listed, and what part of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Also those that run; otherwise only those that have ended.
    pub running_too: bool,
    /// About this guest.
    pub vmid: Option<Vmid>,
    /// Of this type, exactly.
    pub kind: Option<String>,
    /// Of users with this in their names.
    pub user: Option<String>,
    /// Only those that failed.
    pub errors: bool,
    /// Begun at this time or later, in seconds since 1970.
    pub since: Option<i64>,
    /// Begun at this time or earlier.
    pub until: Option<i64>,
    /// From this one on, the newest being 0.
    pub start: Option<u64>,
    /// How many; 50 where nothing is said.
    pub limit: Option<u64>,
}

impl TaskFilter {
    fn params(&self) -> Params {
        Params::default()
            .maybe("source", self.running_too.then_some("all"))
            .maybe("vmid", self.vmid)
            .maybe("typefilter", self.kind.as_ref())
            .maybe("userfilter", self.user.as_ref())
            .flag("errors", self.errors)
            .maybe("since", self.since)
            .maybe("until", self.until)
            .maybe("start", self.start)
            .maybe("limit", self.limit)
    }
}

fn lxc_path(node: &NodeName, vmid: Vmid, rest: &str) -> String {
    format!("/nodes/{node}/lxc/{vmid}{rest}")
}

/// A UPID holds `:`, `@` and `!`. The call goes to the node that runs the task.
fn task_path(upid: &Upid, rest: &str) -> String {
    format!("/nodes/{}/tasks/{}{rest}", upid.node(), utf8_percent_encode(upid.as_str(), NON_ALPHANUMERIC))
}

/// Who the client is.
impl Client {
    /// The user it acts as; of a token, its user.
    pub fn user(&self) -> &UserId {
        self.holder.user()
    }

    /// The ticket that it acts with; none with a token.
    pub fn ticket(&self) -> Option<Arc<Ticket>> {
        match self.holder.credentials() {
            Ok(Credentials::Ticket(ticket)) => Some(ticket),
            _ => None,
        }
    }

    /// What time it was at the cluster when it wrote the latest answer to this client: its `Date`, in seconds since 1970. None before
    /// the first answer.
    pub fn latest_date(&self) -> Option<i64> {
        self.holder.date()
    }

    /// Says who is to hear of a new ticket, so that it can be kept. It is told at once, by whichever call renewed it; the first one who
    /// asks is told, and no other.
    pub fn on_renewal(&self, tell: impl Fn(&Arc<Ticket>) + Send + Sync + 'static) {
        self.holder.on_renewal(tell);
    }

    fn call(&self, name: &'static str) -> Call {
        Call { holder: Some(self.holder.clone()), ..self.connection.call(name) }
    }
}

/// Access, and the version.
impl Client {
    /// `POST /access/ticket` with the ticket as password: a new ticket, two hours from now. A dead ticket cannot do it, nor a token.
    /// The client itself goes on with what it has.
    pub async fn access_ticket_renewal(&self) -> Result<Ticket, Error> {
        let call = "POST /access/ticket";
        match self.holder.credentials().map_err(|cause| Error { call, cause })? {
            Credentials::Ticket(ticket) => self.connection.renewed(&ticket).await,
            Credentials::Token(_) => Err(protocol(call, "a token has no ticket")),
        }
    }

    /// `GET /access/permissions`: what this user or token may, by path. Open to every user.
    pub async fn access_permissions(&self) -> Result<Permissions, Error> {
        self.call("GET /access/permissions").get("/access/permissions").one().await
    }

    /// `GET /version`: of the node that answers. Open to every user.
    pub async fn version(&self) -> Result<Version, Error> {
        self.call("GET /version").get("/version").one().await
    }
}

/// The cluster.
impl Client {
    /// `GET /cluster/resources`: guests (VM.Audit), nodes (all, with figures where Sys.Audit) and storages (Datastore.Audit), in one
    /// answer. It lags up to 10 s, and flips between Proxmox's workers.
    pub async fn cluster_resources(&self, which: ClusterResources) -> Result<Vec<Resource>, Error> {
        let kind = match which {
            ClusterResources::All => None,
            ClusterResources::Guests => Some("vm"),
            ClusterResources::Nodes => Some("node"),
            ClusterResources::Storages => Some("storage"),
        };
        self.call("GET /cluster/resources").get("/cluster/resources").query(Params::default().maybe("type", kind)).list().await
    }

    /// `GET /cluster/status` (Sys.Audit on `/`): the cluster with its quorum, and its nodes.
    pub async fn cluster_status(&self) -> Result<Vec<ClusterMember>, Error> {
        self.call("GET /cluster/status").get("/cluster/status").list().await
    }

    /// `GET /cluster/options`: how tags look, and which may be set. Open to every user, who without Sys.Audit on `/` gets a part.
    pub async fn cluster_options(&self) -> Result<ClusterOptions, Error> {
        self.call("GET /cluster/options").get("/cluster/options").one().await
    }

    /// `GET /cluster/nextid`: the lowest vmid that is free, or `wanted` where that is free; [`Cause::AlreadyExists`] where it is taken.
    /// Open to every user, and holds nothing: whoever creates first has it.
    pub async fn cluster_nextid(&self, wanted: Option<Vmid>) -> Result<Vmid, Error> {
        let call = "GET /cluster/nextid";
        let envelope = self.call(call).get("/cluster/nextid").query(Params::default().maybe("vmid", wanted)).send().await?;
        wire::vmid(envelope.text()).ok_or_else(|| protocol(call, "not a vmid"))
    }

    /// `GET /cluster/tasks`: what runs, and the latest of each node. One's own tasks; all with Sys.Audit on `/`.
    pub async fn cluster_tasks(&self) -> Result<Vec<ClusterTask>, Error> {
        self.call("GET /cluster/tasks").get("/cluster/tasks").list().await
    }
}

/// Nodes, with their storages and networks.
impl Client {
    /// `GET /nodes`: the nodes. Open to every user; figures only with Sys.Audit on them.
    pub async fn nodes(&self) -> Result<Vec<Resource>, Error> {
        self.call("GET /nodes").get("/nodes").list().await
    }

    /// `GET /nodes/{node}/status` (Sys.Audit): memory, load, processors, version.
    pub async fn node_status(&self, node: &NodeName) -> Result<NodeStatus, Error> {
        self.call("GET /nodes/{node}/status").get(format!("/nodes/{node}/status")).one().await
    }

    /// `GET /nodes/{node}/rrddata` (Sys.Audit): averages over time, oldest first.
    pub async fn node_rrddata(&self, node: &NodeName, timeframe: Rrd) -> Result<Vec<Sample>, Error> {
        self.call("GET /nodes/{node}/rrddata")
            .get(format!("/nodes/{node}/rrddata"))
            .query(Params::default().with("timeframe", timeframe.as_str()))
            .list()
            .await
    }

    /// `GET /nodes/{node}/storage`: the storages that the node has and the user may audit or allocate on (Datastore.Audit or
    /// Datastore.AllocateSpace), narrowed to a kind of content such as `rootdir`.
    pub async fn node_storage(&self, node: &NodeName, content: Option<&str>) -> Result<Vec<StorageEntry>, Error> {
        self.call("GET /nodes/{node}/storage")
            .get(format!("/nodes/{node}/storage"))
            .query(Params::default().maybe("content", content))
            .patient()
            .list()
            .await
    }

    /// `GET /nodes/{node}/storage/{storage}/content` (Datastore.Audit or Datastore.AllocateSpace): the volumes, narrowed to a kind of
    /// content such as `vztmpl`, or to a guest.
    pub async fn node_storage_content(
        &self,
        node: &NodeName,
        storage: &StorageName,
        content: Option<&str>,
        vmid: Option<Vmid>,
    ) -> Result<Vec<Volume>, Error> {
        self.call("GET /nodes/{node}/storage/{storage}/content")
            .get(format!("/nodes/{node}/storage/{storage}/content"))
            .query(Params::default().maybe("content", content).maybe("vmid", vmid))
            .patient()
            .list()
            .await
    }

    /// `GET /nodes/{node}/network?type=any_bridge`: the bridges that a container can be plugged into. Open to every user; since 8.0
    /// without those that the user may not use (SDN.Use).
    pub async fn node_network(&self, node: &NodeName) -> Result<Vec<NetworkDevice>, Error> {
        self.call("GET /nodes/{node}/network")
            .get(format!("/nodes/{node}/network"))
            .query(Params::default().with("type", "any_bridge"))
            .list()
            .await
    }
}

/// Containers: reading.
impl Client {
    /// `GET /nodes/{node}/lxc`: the node's containers that the user may audit (VM.Audit). Blocks while any of them starts.
    pub async fn lxc(&self, node: &NodeName) -> Result<Vec<LxcStatus>, Error> {
        self.call("GET /nodes/{node}/lxc").get(format!("/nodes/{node}/lxc")).in_turn(Subject(node.clone(), None)).list().await
    }

    /// `GET /nodes/{node}/lxc/{vmid}/status/current` (VM.Audit): exact, but blocks while the container starts.
    pub async fn lxc_status_current(&self, node: &NodeName, vmid: Vmid) -> Result<LxcStatus, Error> {
        self.call("GET /nodes/{node}/lxc/{vmid}/status/current")
            .get(lxc_path(node, vmid, "/status/current"))
            .in_turn(Subject(node.clone(), Some(vmid)))
            .one()
            .await
    }

    /// `GET /nodes/{node}/lxc/{vmid}/config` (VM.Audit): the configuration as it will be after the next start, pending changes merged in.
    pub async fn lxc_config(&self, node: &NodeName, vmid: Vmid) -> Result<LxcConfig, Error> {
        self.call("GET /nodes/{node}/lxc/{vmid}/config").get(lxc_path(node, vmid, "/config")).one().await
    }

    /// The same with `current=1`: the configuration as it holds now, without what is pending.
    pub async fn lxc_config_current(&self, node: &NodeName, vmid: Vmid) -> Result<LxcConfig, Error> {
        self.call("GET /nodes/{node}/lxc/{vmid}/config")
            .get(lxc_path(node, vmid, "/config"))
            .query(Params::default().flag("current", true))
            .one()
            .await
    }

    /// `GET /nodes/{node}/lxc/{vmid}/pending` (VM.Audit): every option with what holds and what waits for the next start.
    pub async fn lxc_pending(&self, node: &NodeName, vmid: Vmid) -> Result<Vec<PendingOption>, Error> {
        self.call("GET /nodes/{node}/lxc/{vmid}/pending").get(lxc_path(node, vmid, "/pending")).list().await
    }

    /// `GET /nodes/{node}/lxc/{vmid}/interfaces` (VM.Audit, since 8.1): the addresses of a container that runs; none where it is stopped.
    pub async fn lxc_interfaces(&self, node: &NodeName, vmid: Vmid) -> Result<Option<Vec<Interface>>, Error> {
        let call = "GET /nodes/{node}/lxc/{vmid}/interfaces";
        let envelope = self.call(call).get(lxc_path(node, vmid, "/interfaces")).send().await?;
        match envelope.data {
            None => Ok(None),
            Some(list) => wire::entries(call, list.get()).map(Some).ok_or_else(|| protocol(call, "not a list")),
        }
    }

    /// `GET /nodes/{node}/lxc/{vmid}/rrddata` (VM.Audit): averages over time, oldest first.
    pub async fn lxc_rrddata(&self, node: &NodeName, vmid: Vmid, timeframe: Rrd) -> Result<Vec<Sample>, Error> {
        self.call("GET /nodes/{node}/lxc/{vmid}/rrddata")
            .get(lxc_path(node, vmid, "/rrddata"))
            .query(Params::default().with("timeframe", timeframe.as_str()))
            .list()
            .await
    }

    /// `GET /nodes/{node}/lxc/{vmid}/feature` (VM.Audit): whether its storages can do this.
    pub async fn lxc_feature(&self, node: &NodeName, vmid: Vmid, feature: Feature) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "hasFeature", deserialize_with = "wire::flag")]
            has_feature: bool,
        }
        let query = Params::default().with("feature", feature.as_str());
        let call = self.call("GET /nodes/{node}/lxc/{vmid}/feature").get(lxc_path(node, vmid, "/feature")).query(query);
        Ok(call.one::<Answer>().await?.has_feature)
    }

    /// `GET /nodes/{node}/lxc/{vmid}/snapshot` (VM.Audit): its snapshots, and `current`.
    pub async fn lxc_snapshots(&self, node: &NodeName, vmid: Vmid) -> Result<Vec<Snapshot>, Error> {
        self.call("GET /nodes/{node}/lxc/{vmid}/snapshot").get(lxc_path(node, vmid, "/snapshot")).list().await
    }
}

/// Containers: writing. Each is sent once.
impl Client {
    /// `POST /nodes/{node}/lxc` (VM.Allocate on the vmid or the pool, Datastore.AllocateSpace on the storages, SDN.Use on the bridges).
    /// What is wrong with the template or the disk fails the task, not this call.
    pub async fn lxc_create(&self, node: &NodeName, create: &LxcCreate) -> Result<Upid, Error> {
        self.call("POST /nodes/{node}/lxc").post(format!("/nodes/{node}/lxc"), create.params()).patient().one().await
    }

    /// `PUT /nodes/{node}/lxc/{vmid}/config` (VM.Config.* by option). What a running container cannot take at once is pending until its
    /// next start. It can wait 10 s for a lock.
    pub async fn lxc_config_update(&self, node: &NodeName, vmid: Vmid, update: &LxcConfigUpdate) -> Result<(), Error> {
        self.call("PUT /nodes/{node}/lxc/{vmid}/config").put(lxc_path(node, vmid, "/config"), update.params()).patient().done().await
    }

    /// `DELETE /nodes/{node}/lxc/{vmid}` (VM.Allocate): with its volumes, its permissions and its firewall rules.
    pub async fn lxc_delete(&self, node: &NodeName, vmid: Vmid, how: LxcDelete) -> Result<Upid, Error> {
        self.call("DELETE /nodes/{node}/lxc/{vmid}").delete(lxc_path(node, vmid, "")).query(how.params()).patient().one().await
    }

    /// `POST /nodes/{node}/lxc/{vmid}/status/start` (VM.PowerMgmt). Pending changes hold from then on.
    pub async fn lxc_start(&self, node: &NodeName, vmid: Vmid) -> Result<Upid, Error> {
        self.verb("POST /nodes/{node}/lxc/{vmid}/status/start", lxc_path(node, vmid, "/status/start"), Params::default()).await
    }

    /// `POST /nodes/{node}/lxc/{vmid}/status/stop` (VM.PowerMgmt): the hard stop. With `overrule_shutdown` (since 8.2) it ends a clean
    /// shutdown that is under way; without, it waits for that one's lock.
    pub async fn lxc_stop(&self, node: &NodeName, vmid: Vmid, overrule_shutdown: bool) -> Result<Upid, Error> {
        let form = Params::default().flag("overrule-shutdown", overrule_shutdown);
        self.verb("POST /nodes/{node}/lxc/{vmid}/status/stop", lxc_path(node, vmid, "/status/stop"), form).await
    }

    /// `POST /nodes/{node}/lxc/{vmid}/status/shutdown` (VM.PowerMgmt): the clean one. Proxmox waits `timeout` seconds; then, with
    /// `force_stop`, it stops hard, else the task fails with `container did not stop`.
    pub async fn lxc_shutdown(&self, node: &NodeName, vmid: Vmid, timeout: Duration, force_stop: bool) -> Result<Upid, Error> {
        let form = Params::default().with("timeout", timeout.as_secs().to_string()).flag("forceStop", force_stop);
        self.verb("POST /nodes/{node}/lxc/{vmid}/status/shutdown", lxc_path(node, vmid, "/status/shutdown"), form).await
    }

    /// `POST /nodes/{node}/lxc/{vmid}/status/reboot` (VM.PowerMgmt): shutdown with a hard stop after `timeout` seconds, then start.
    pub async fn lxc_reboot(&self, node: &NodeName, vmid: Vmid, timeout: Duration) -> Result<Upid, Error> {
        let form = Params::default().with("timeout", timeout.as_secs().to_string());
        self.verb("POST /nodes/{node}/lxc/{vmid}/status/reboot", lxc_path(node, vmid, "/status/reboot"), form).await
    }

    async fn verb(&self, name: &'static str, path: String, form: Params) -> Result<Upid, Error> {
        self.call(name).post(path, form).patient().one().await
    }
}

/// Tasks.
impl Client {
    /// `GET /nodes/{node}/tasks`: newest first, with how many there are in all. One's own; all with Sys.Audit on the node.
    pub async fn tasks(&self, node: &NodeName, filter: &TaskFilter) -> Result<(Vec<NodeTask>, u64), Error> {
        self.call("GET /nodes/{node}/tasks").get(format!("/nodes/{node}/tasks")).query(filter.params()).window().await
    }

    /// `GET /nodes/{node}/tasks/{upid}/status` (its owner, or Sys.Audit on the node).
    pub async fn task_status(&self, upid: &Upid) -> Result<TaskStatus, Error> {
        self.call("GET /nodes/{node}/tasks/{upid}/status").get(task_path(upid, "/status")).one().await
    }

    /// `GET /nodes/{node}/tasks/{upid}/log` (its owner, or Sys.Audit on the node): `limit` lines from `start` on, the first being 0, with
    /// how many there are in all. An empty log has the line `no content` (Tools.pm, dump_logfile).
    pub async fn task_log(&self, upid: &Upid, start: u64, limit: u64) -> Result<(Vec<LogLine>, u64), Error> {
        let call = "GET /nodes/{node}/tasks/{upid}/log";
        let query = Params::default().with("start", start.to_string()).with("limit", limit.to_string());
        let envelope = self.call(call).get(task_path(upid, "/log")).query(query).send().await?;
        // of a task that is not known `data` is one line instead of a list (recording basic-46)
        if let Ok(LogLine { t: text, .. }) = serde_json::from_str(envelope.text()) {
            let cause = Cause::of_text(&text).unwrap_or(Cause::NotFound { what: Thing::Task, text });
            return Err(Error { call, cause });
        }
        let lines: Vec<LogLine> = wire::entries(call, envelope.text()).ok_or_else(|| protocol(call, "not a list"))?;
        let total = envelope.total.unwrap_or(start + lines.len() as u64);
        Ok((lines, total))
    }

    /// `DELETE /nodes/{node}/tasks/{upid}` (its owner, or Sys.Modify on the node): asks the task to end. That it has ended, only its status
    /// says. Of a task that has ended already it does nothing.
    pub async fn task_abort(&self, upid: &Upid) -> Result<(), Error> {
        self.call("DELETE /nodes/{node}/tasks/{upid}").delete(task_path(upid, "")).patient().done().await
    }
}
