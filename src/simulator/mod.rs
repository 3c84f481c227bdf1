//! A simulated Proxmox VE at the other end of a TLS socket.
//!
//! It keeps state, makes tasks with UPIDs and lets time pass, so that everything between Berth and Proxmox is exercised too: TLS,
//! certificates, tickets, CSRF tokens, time limits, status lines, decoding. It serves `berth --demo`, the integration tests
//! (stepped: [`Simulator::finish_tasks`], never sleep) and the browser tests (automatic, by way of the control side).
//!
//! It is not a library of answers: a test says what the cluster is like and what goes wrong, not what to reply. It shares no
//! struct with [`crate::proxmox`] but the ids; if both sides shared one, both could be wrong together. Its witnesses are the API
//! of Proxmox VE 8.4 as it was recorded (comments cite the recording) and Proxmox's source (comments cite file and line).
//!
//! * `server` listens, `pipeline` takes a request through its checks, `routes` is the table of endpoints, `api` answers;
//! * `schema` is what parameters there are, `access` who may what, `authentication`, `sign_in`, `tickets` and `tls` who is who;
//! * `state` is the cluster, `file` how it is written down, `demo` the one that one begins with; `config` is a container's configuration
//!   and every change of it, `storage` what lies on disks, `create`, `destroy` and `feature` what the requests of these names do;
//! * `tasks`, `lifecycle` and `step` are what happens over time, `samples` and `usage` what it shows, `clock` the time;
//! * `version` says which release answers; `faults`, `requests` and `control` are for tests.
//!
//! # What is different from Proxmox
//!
//! * **Endpoints:** only those in `routes`. Others are 501 as on Proxmox, and are counted ([`Simulator::unknown_requests`]).
//!   Only the JSON format; no indexes (`/`, `/nodes/{node}`), no web interface and its format (`/api2/extjs`).
//! * **Connections:** a proxied 200 says `Connection: Keep-Alive` only, not `close` as well: hyper would close. No session
//!   resumption, so that every connection shows its certificate. `GET` and `DELETE` with a body are refused after the ticket was
//!   checked, as there, but the body is not read.
//! * **All nodes answer on one address**, and share one daemon with three workers; `/nodes` names another fingerprint for each.
//! * **Tickets** are signed with an HMAC as long as Proxmox's signature. Keys do not rotate by themselves. Realms other than `pam` and
//!   `pve` have no users; second factors are one-time codes and recovery keys.
//! * **Order:** where Perl takes keys in random order (several refused options at once), here they come by name.
//! * **Configurations:** a hookscript exists if it lies on a storage; every node has the same `/dev`; no zones of SDN but the node's own.
//! * **Creating:** OCI images, raw `lxc.*` options of a restored container and the back-conversion of templates are left out.
//! * **Storages** are never away by themselves, and keep one list of volumes for all nodes.
//! * **Tasks and requests** of long ago are forgotten: of more than 2,000 and 20,000 the older half.
//! * **Tasks** begin at once and take the same time each time. The log of a start that fails is shorter. A task that waited for the
//!   lock and finds its work done succeeds. Aborting answers at once. Before a start, bridges are checked as they were before pending
//!   changes came into force.
//! * **HA** is a container whose manager obeys after eight seconds; nothing is ever moved.
//! * **Usage** is made up from sines. The samples of all nodes are taken at the same moment; two workers take turns, whoever asks.
//! * **Time** can run faster, stand still or be skipped; `Date` is the simulated time.

mod access;
mod api;
mod authentication;
mod caller;
mod clock;
mod config;
mod control;
mod create;
mod demo;
mod destroy;
mod faults;
mod feature;
mod file;
mod handle;
mod lifecycle;
mod pipeline;
mod reply;
mod requests;
mod routes;
mod samples;
mod schema;
mod server;
mod shared;
mod sign_in;
mod state;
mod step;
mod storage;
mod surroundings;
mod tasks;
mod tickets;
mod tls;
mod usage;
mod version;

#[cfg(test)]
mod tests;

pub use faults::{Fault, FaultAction};
pub use file::{File, FileError};
pub use requests::Request;
pub use state::Status;
pub use tls::CertificateMode;

use clock::Clock;
use shared::{Parts, Phase, Shared};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tickets::Tickets;
use tls::Certificates;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// How to start a simulator.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; port 0 is any free one.
    pub listen: SocketAddr,
    /// How many simulated seconds pass in a real one: 1 with the durations that were measured, 50 for browser tests.
    pub speed: f64,
    /// Time stands still but for [`Simulator::advance`], tasks end only with it or with [`Simulator::finish_tasks`], and nobody
    /// waits for the 3 s of a 401.
    pub stepped: bool,
    /// Is added to every text of an error (reasons, messages, exit statuses, log lines of failures), so that a test can find it
    /// where it must not be.
    pub marker: Option<String>,
    /// Whether there is a control side, `/sim/…`.
    pub control: bool,
    /// Certificate and private key (both PEM), for a fingerprint that stays. Otherwise both are made at the start.
    pub certificate: Option<(String, String)>,
    /// Whether a start makes reads of its container wait, as it does on Proxmox. A stepped test that reads while a start is under
    /// way has to finish the task from elsewhere, or turn this off.
    pub start_blocks_reads: bool,
    /// How much later the second worker sees a new sample in `/cluster/resources`; zero and answers do not flip.
    pub worker_lag: Duration,
    /// How the cluster begins.
    pub state: File,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            speed: 1.0,
            stepped: false,
            marker: None,
            control: false,
            certificate: None,
            start_blocks_reads: true,
            worker_lag: Duration::from_secs(2),
            state: File::demo(),
        }
    }
}

/// An account of the demo, for its printout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// With the realm.
    pub userid: String,
    /// In plain text: nothing here is real.
    pub password: String,
    /// What it may, in a few words.
    pub about: String,
}

/// A running simulator. Clones are the same one; it ends with the last of them.
#[derive(Clone)]
pub struct Simulator(Arc<Running>);

struct Running {
    shared: Arc<Shared>,
    addr: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.wanted.send_replace(Phase::Ended);
    }
}

impl Simulator {
    /// Listens, and serves on the current runtime until the last handle is gone.
    pub async fn start(options: Options) -> io::Result<Self> {
        let Options { listen, speed, stepped, marker, control, certificate, start_blocks_reads, worker_lag, state } = options;
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let clock = Clock::new(speed, stepped);
        let certificates = Certificates::new(certificate.as_ref())?;
        let acceptor = TlsAcceptor::from(Arc::new(certificates.server_config()?));
        let tickets = Tickets::new().map_err(|_| io::Error::other("no random numbers for the tickets' key"))?;
        let worker_lag = clock::millis(worker_lag);
        let parts = Parts { clock, file: state, worker_lag, tickets, certificates, marker, has_control: control, start_blocks_reads };
        let shared = Arc::new(Shared::new(parts).map_err(io::Error::other)?);
        tokio::spawn(server::run(Arc::clone(&shared), listener, addr, acceptor));
        Ok(Self(Arc::new(Running { shared, addr })))
    }

    /// Ends it and all its connections, and waits until nothing listens any more.
    pub async fn shutdown(&self) {
        self.reach(Phase::Ended).await;
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// SHA-256 of the certificate that is shown now, `AA:BB:…`.
    pub fn fingerprint(&self) -> String {
        self.0.shared.certificates.fingerprint()
    }

    /// The certificate, for a client that trusts a file.
    pub fn certificate_pem(&self) -> String {
        self.0.shared.certificates.pem()
    }

    /// Shows another certificate from now on. Connections end after the request that is under way.
    ///
    /// # Errors
    /// When no new key can be made.
    pub fn set_certificate(&self, mode: CertificateMode) -> io::Result<()> {
        self.0.shared.certificates.set(mode)
    }

    /// Refuses connections and cuts those that are open. The address stays free for [`Simulator::resume_listening`].
    pub async fn stop_listening(&self) {
        self.reach(Phase::Closed).await;
    }

    /// Listens again on the same port.
    pub async fn resume_listening(&self) {
        self.reach(Phase::Listening).await;
    }

    async fn reach(&self, wanted: Phase) {
        let mut phase = self.0.shared.phase.subscribe();
        // What has ended does not begin again.
        self.0.shared.wanted.send_if_modified(|now| *now != Phase::Ended && std::mem::replace(now, wanted) != wanted);
        let _ = phase.wait_for(|phase| *phase == wanted || *phase == Phase::Ended).await;
    }

    /// Ends every task that will ever end, now, with all it does. Time does not pass by it.
    pub fn finish_tasks(&self) {
        handle::finish_tasks(&self.0.shared);
    }

    /// Lets simulated time pass at once.
    pub fn advance(&self, by: Duration) {
        handle::advance(&self.0.shared, by);
    }

    /// The simulated time, in seconds since the Unix epoch.
    pub fn now(&self) -> i64 {
        clock::seconds(self.0.shared.clock.now())
    }

    /// Lets tasks that begin from now on take so many times longer; 1 is as measured.
    pub fn slow_down(&self, factor: f64) {
        handle::slow_down(&self.0.shared, factor);
    }

    /// Lets `/cluster/resources` know everything that is true now.
    pub fn refresh_resources(&self) {
        handle::refresh_resources(&self.0.shared);
    }

    /// Makes every ticket given so far invalid.
    pub fn expire_tickets(&self) {
        self.0.shared.tickets.expire_all();
    }

    /// Lets requests that fit fail; the first fitting fault wins.
    pub fn fault(&self, fault: Fault) {
        self.0.shared.faults.add(fault);
    }

    /// Also lets go of requests that hang.
    pub fn clear_faults(&self) {
        handle::clear_faults(&self.0.shared);
    }

    /// Every request to the API so far.
    pub fn requests(&self) -> Vec<Request> {
        self.0.shared.requests.all()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.0.shared.requests.clear();
    }

    /// `{method} {path}` of every request that no endpoint fits. A test's harness wants this to be empty.
    pub fn unknown_requests(&self) -> Vec<String> {
        let unknown = self.requests().into_iter().filter(|request| request.is_unknown);
        unknown.map(|Request { method, path, .. }| format!("{method} {path}")).collect()
    }

    /// Waits until the log of requests is as wanted; it is looked at when a request comes and when it is answered.
    pub async fn wait_for_requests(&self, mut wanted: impl FnMut(&[Request]) -> bool) {
        let shared = &self.0.shared;
        shared.wait_until(|| shared.requests.fit(&mut wanted)).await;
    }

    /// Waits until at least so many tasks are under way, so that [`Simulator::finish_tasks`] finds them.
    pub async fn wait_for_running_tasks(&self, count: usize) {
        self.0.shared.wait_until(|| self.running_tasks().len() >= count).await;
    }

    /// The UPIDs of the tasks that have not ended.
    pub fn running_tasks(&self) -> Vec<String> {
        let (state, _) = self.0.shared.state();
        state.tasks.running().map(|task| task.upid.clone()).collect()
    }

    /// The UPIDs of all tasks, in the order they began.
    pub fn tasks(&self) -> Vec<String> {
        let (state, _) = self.0.shared.state();
        state.tasks.list.iter().map(|task| task.upid.clone()).collect()
    }

    /// What a container is, apart from any permission or sample.
    pub fn container_status(&self, vmid: u32) -> Option<Status> {
        let (state, _) = self.0.shared.state();
        state.containers.get(&vmid).map(state::Container::status)
    }

    /// The vmid of the container with this name.
    pub fn vmid_of(&self, name: &str) -> Option<u32> {
        let (state, _) = self.0.shared.state();
        state.containers.values().find(|container| container.name() == name).map(|container| container.vmid)
    }

    /// Sets a container running or stopped as if somebody had done it from inside, without a task. False: there is none.
    pub fn set_status(&self, vmid: u32, status: Status) -> bool {
        handle::set_status(&self.0.shared, vmid, status)
    }

    /// Locks or unlocks a container's configuration. False: there is none.
    pub fn set_lock(&self, vmid: u32, lock: Option<&str>) -> bool {
        handle::set_lock(&self.0.shared, vmid, lock)
    }

    /// Begins another state, as if the cluster had always been so.
    ///
    /// # Errors
    /// When the state contradicts itself; then nothing changes.
    pub fn load(&self, state: File) -> Result<(), FileError> {
        self.0.shared.load(state)
    }

    /// The state as it is now.
    pub fn state(&self) -> File {
        handle::state(&self.0.shared)
    }

    /// Everybody who can sign in with a password, with what their comment says.
    pub fn accounts(&self) -> Vec<Account> {
        let (state, _) = self.0.shared.state();
        let accounts = state.access.users.iter().filter_map(|(id, user)| {
            let password = state.access.passwords.get(id)?.clone();
            Some(Account { userid: id.clone(), password, about: user.comment.clone() })
        });
        accounts.collect()
    }
}
