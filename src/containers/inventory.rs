//! What each user sees of their cluster, kept fresh while anybody looks or listens.
//!
//! There is one watcher for each cluster and user, however many tabs they have. It asks Proxmox every [`BEAT`] with the ticket of one of
//! their sessions, the latest that looked first; one whose ticket is dead is left out. It ends when nobody has looked or listened for
//! [`LEAVE_AFTER`], and with the user's last live session: it looks at sessions and uses none, so that it keeps none alive. What it has
//! seen is in memory: a page that comes while Proxmox hangs shows the last good list, and a restart begins with none.
//!
//! What was read from a container itself counts for [`EXACT_FOR`](super::snapshot::EXACT_FOR), at once and for everybody.

use super::{
    errands::{self, Errands, Waiting},
    model::{ContainerRow, Reach, Status},
    service::status_of,
    snapshot::{Answers, EXACT_FOR, Memory, SharedRows, Snapshot},
    store::{self, KnownRow, SeenRow},
};
use crate::{
    auth,
    error::AppError,
    operations::{self, model::ContainerId, probe::StepKind},
    proxmox::{
        Cause, Client,
        ids::{ClusterName, NodeName, UserId, Vmid},
        wire::{ClusterResources, Permissions, Resource, RunState, TagColours},
    },
    server::{
        AppState, Context, Error,
        context::SignedIn,
        flight::{Asked, Flights},
        pace::Pace,
        session::Sessions,
        state::Cluster,
    },
};
use std::{
    collections::{HashMap, HashSet},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tower_sessions::{Session, session::Id};

/// How often Proxmox is asked: it looks itself every ten seconds.
const BEAT: Duration = Duration::from_secs(10);
/// How long a watcher goes on when nobody looks or listens any more.
const LEAVE_AFTER: Duration = Duration::from_secs(30);
/// How often the user's rights are asked for.
const RIGHTS_FRESH: Duration = Duration::from_secs(60);
/// How often the colours of tags are asked for.
const STYLE_FRESH: Duration = Duration::from_secs(5 * 60);
/// A user who has not looked for this long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);

/// Whose list: one user at one cluster.
pub type Viewer = (ClusterName, UserId);

/// The watchers. Cheap to clone.
#[derive(Clone)]
pub struct Inventory(Arc<Inner>);

struct Inner {
    pace: Pace,
    watches: Mutex<HashMap<Viewer, Arc<Watch>>>,
    shared: Mutex<HashMap<ClusterName, Arc<SharedRows>>>,
    exact: Mutex<HashMap<(ClusterName, Vmid), (Status, Duration)>>,
    errands: Errands,
    closing: watch::Sender<bool>,
    /// Whatever works in the background has one of these.
    at_work: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
}

/// One user's watcher.
pub struct Watch {
    viewer: Viewer,
    state: Mutex<State>,
    /// Counts the differences that its user would see.
    changed: watch::Sender<u64>,
    /// The question of the beat, and the one beside it.
    asked: Flights<bool, ()>,
    waiting: Waiting,
}

#[derive(Default)]
struct State {
    memory: Memory,
    /// When the question was asked whose answer was taken in last.
    taken_in: Duration,
    trouble: Option<AppError>,
    /// How the cluster answers, and since when.
    reach: Option<(Reach, i64)>,
    rights: Option<(Arc<Permissions>, Duration)>,
    style: Option<(Option<Arc<TagColours>>, Duration)>,
    /// Who looks, the latest first.
    sessions: Vec<Id>,
    /// Those of them whose ticket is dead.
    dead: HashSet<Id>,
    looked_at: Duration,
    /// Whether Proxmox is asked on every beat.
    is_running: bool,
    /// Whether it has answered, or failed to, since that began.
    is_warm: bool,
}

/// What a watcher knows at one time.
pub struct View {
    /// What Proxmox said last.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Why that is not fresh.
    pub trouble: Option<AppError>,
    /// How the cluster answers, and since when.
    pub reach: Option<(Reach, i64)>,
}

/// Who watches, and where.
#[derive(Clone)]
pub struct Post {
    /// The application.
    pub state: AppState,
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The watcher.
    pub watch: Arc<Watch>,
}

impl Inventory {
    /// Nobody watches yet.
    pub fn new(pace: Pace) -> Self {
        let inner = Inner {
            errands: Errands::new(pace.clone()),
            pace,
            watches: Mutex::default(),
            shared: Mutex::default(),
            exact: Mutex::default(),
            closing: watch::Sender::new(false),
            at_work: Mutex::new(Some(mpsc::channel(1))),
        };
        Self(Arc::new(inner))
    }

    /// The clock that it goes by.
    pub fn pace(&self) -> &Pace {
        &self.0.pace
    }

    /// What is read of single containers in the background.
    pub fn errands(&self) -> &Errands {
        &self.0.errands
    }

    /// Ends all watchers, so that the process can.
    pub async fn close(&self) {
        self.0.closing.send_replace(true);
        let at_work = self.0.at_work.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((own, mut others)) = at_work {
            drop(own);
            while others.recv().await.is_some() {}
        }
    }

    /// Somebody looks: their watcher, which asks Proxmox from now on where it did not. A session whose ticket is dead sees nothing.
    pub fn look(&self, context: &Context) -> Result<Post, Error> {
        let session = context.session.id().ok_or(Error::NotSignedIn)?;
        let viewer = (context.cluster.name.clone(), context.user.clone());
        self.post(&context.state, &context.cluster, viewer, session).ok_or(Error::NotSignedIn)
    }

    /// Somebody listens, and as long as they do, their watcher goes on. Each change of the number is a difference that they would see.
    pub fn listen(&self, state: &AppState, listener: &SignedIn, session: Id) -> watch::Receiver<u64> {
        let viewer = (listener.cluster.clone(), listener.user.clone());
        let post = state.cluster(&listener.cluster).and_then(|cluster| self.post(state, &cluster, viewer, session));
        // who may not look hears nothing
        post.map_or_else(|| watch::Sender::new(0).subscribe(), |post| post.watch.changed.subscribe())
    }

    fn post(&self, state: &AppState, cluster: &Arc<Cluster>, viewer: Viewer, session: Id) -> Option<Post> {
        let mut watches = self.watches();
        let shared = || self.0.shared.lock().unwrap_or_else(PoisonError::into_inner).entry(viewer.0.clone()).or_default().clone();
        let watch = watches.entry(viewer.clone()).or_insert_with_key(|viewer| Arc::new(Watch::of(viewer.clone(), shared()))).clone();
        let mut known = watch.state();
        if known.dead.contains(&session) {
            return None;
        }
        known.looked_at = self.0.pace.now();
        known.sessions.retain(|other| *other != session);
        known.sessions.insert(0, session);
        let begins = !std::mem::replace(&mut known.is_running, true);
        drop(known);
        let post = Post { state: state.clone(), cluster: cluster.clone(), watch };
        if begins {
            self.spawn(watch_over(self.clone(), post.clone()));
        }
        Some(post)
    }

    /// Lets something go on in the background until [`Inventory::close`].
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let at_work = self.0.at_work.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(own, _)| own.clone());
        let Some(at_work) = at_work else { return };
        let mut closing = self.0.closing.subscribe();
        tokio::spawn(async move {
            let _at_work = at_work;
            tokio::select! {
                () = work => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
        });
    }

    /// Asks Proxmox now, or joins who is asking already. `anew` asks beside the beat, and for the user's rights too: what is answered then
    /// is no older than this call, unless somebody else is asking so.
    pub fn ask(&self, post: &Post, anew: bool) -> Asked<()> {
        let anew = anew && post.watch.state().is_warm;
        let (inventory, own) = (self.clone(), post.clone());
        let at_work = self.0.at_work.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(own, _)| own.clone());
        let mut closing = self.0.closing.subscribe();
        post.watch.asked.join(&anew, async move {
            let _at_work = at_work;
            tokio::select! {
                asked = inventory.ask_as_somebody(&own, anew) => asked,
                _ = closing.wait_for(|closing| *closing) => Err(Error::Answer(AppError::Offline)),
            }
        })
    }

    /// With the ticket of the latest who looked, or of another.
    async fn ask_as_somebody(&self, post: &Post, anew: bool) -> Result<(), Error> {
        let watch = &post.watch;
        let answered = async {
            for session in watch.sessions() {
                let Some(context) = self.context_of(post, session).await? else {
                    watch.leave(session);
                    continue;
                };
                let asked = async {
                    let client = auth::service::create_proxmox_client_from_session(&context).await?;
                    self.ask_as(post, &context, &client, anew).await
                };
                match asked.await {
                    Err(error) if is_dead(&error) => {
                        tracing::info!(user = %context.user, "a ticket is dead; another session's is taken, where there is one");
                        watch.state().dead.insert(session);
                    }
                    answered => return answered,
                }
            }
            Err(Error::NotSignedIn)
        };
        let failed = answered.await.map_err(AppError::from).err();
        {
            let mut state = watch.state();
            state.is_warm = state.is_running;
        }
        // a session that is over is no trouble of the cluster's
        if failed != Some(AppError::SignedOut) {
            watch.settle(failed.clone(), self.0.pace.epoch());
        }
        failed.map_or(Ok(()), |error| Err(Error::Answer(error)))
    }

    /// Somebody's own session, where that is still theirs. It is looked at, not used: this keeps no session alive, and wakes none.
    async fn context_of(&self, post: &Post, id: Id) -> Result<Option<Context>, Error> {
        let session = Session::new(Some(id), Arc::new(Sessions(post.state.db().clone())), None);
        let known = SignedIn::load(&session).await?;
        let (cluster, user) = &post.watch.viewer;
        let is_theirs = known.is_some_and(|known| known.user == *user && known.cluster == *cluster);
        let context = Context { state: post.state.clone(), session, user: user.clone(), cluster: post.cluster.clone(), source: None };
        Ok(is_theirs.then_some(context))
    }

    /// A client with the ticket of somebody who looks; none where nobody's lives.
    pub(super) async fn client(&self, post: &Post) -> Option<Client> {
        for session in post.watch.sessions() {
            if let Ok(Some(context)) = self.context_of(post, session).await
                && let Ok(client) = auth::service::create_proxmox_client_from_session(&context).await
            {
                return Some(client);
            }
        }
        None
    }

    /// Asks with a client that is at hand, and takes the answer in.
    pub async fn ask_as(&self, post: &Post, context: &Context, client: &Client, anew: bool) -> Result<(), Error> {
        let at = self.0.pace.now();
        let (rights, style) = post.watch.fresh(at, anew);
        let budget = context.state.page_budget();
        let ask = async {
            let permissions = async {
                match rights {
                    Some(rights) => Ok(rights),
                    None => client.access_permissions().await.map(Arc::new),
                }
            };
            // what else there is to say is not waited for as long
            let tasks = async { timeout(budget, client.cluster_tasks()).await.ok()?.ok() };
            let style = async {
                match style {
                    Some(style) => style,
                    None => timeout(budget, client.cluster_options()).await.ok()?.ok()?.tag_style.map(Arc::new),
                }
            };
            let list = async { futures::try_join!(client.cluster_resources(ClusterResources::All), permissions) };
            let (list, tasks, style) = futures::join!(list, tasks, style);
            let (resources, permissions) = list?;
            Ok((resources, permissions, tasks, style))
        };
        let answers = operations::service::probe(context).around(StepKind::List, None, ask).await;
        let (resources, permissions, tasks, style) = answers.map_err(|e| auth::service::of_cluster(&context.cluster, e))?;
        let known = reconcile(context, &resources).await?;
        let now = self.0.pace.epoch();
        let behind = client.latest_date().map_or(0, |date| now - date);
        let answers = Answers { resources, tasks: tasks.unwrap_or_default(), permissions, style, known, now, behind };
        self.take_in(post, answers, at);
        Ok(())
    }

    fn take_in(&self, post: &Post, answers: Answers, at: Duration) {
        let (cluster, _) = &post.watch.viewer;
        let unrecognised = answers.known.values().filter(|known| !known.is_recognised).map(|known| known.id.clone()).collect();
        let mut state = post.watch.state();
        if at < state.taken_in {
            return;
        }
        state.taken_in = at;
        state.note_rights(&answers, at);
        let exact = self.exact(cluster);
        let changed = state.memory.take_in(cluster, &answers, |vmid| exact.get(&vmid).copied(), at);
        let snapshot = state.memory.snapshot().cloned();
        drop(state);
        if let Some(snapshot) = snapshot {
            self.0.errands.recognise(post, &snapshot, &unrecognised);
        }
        if changed {
            post.watch.tell();
        }
    }

    fn exact(&self, cluster: &ClusterName) -> HashMap<Vmid, Status> {
        let now = self.0.pace.now();
        let known = self.0.exact.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = known.iter().filter(|((of, _), (_, at))| of == cluster && now.saturating_sub(*at) < EXACT_FOR);
        fresh.map(|((_, vmid), (status, _))| (*vmid, *status)).collect()
    }

    /// Notes what was read from a container itself, by an operation that begins or ends; whoever has it in their list sees it at once.
    pub fn note_exact(&self, cluster: &ClusterName, vmid: Vmid, status: Status) {
        if status == Status::Unknown {
            return;
        }
        let now = self.0.pace.now();
        let mut exact = self.0.exact.lock().unwrap_or_else(PoisonError::into_inner);
        exact.retain(|_, (_, at)| now.saturating_sub(*at) < EXACT_FOR);
        exact.insert((cluster.clone(), vmid), (status, now));
        drop(exact);
        self.tell_if(cluster, |memory| memory.take_in_exact(vmid, status, now));
    }

    /// Notes that a container is no more; it leaves every list at once.
    pub fn note_gone(&self, cluster: &ClusterName, id: &ContainerId) {
        self.tell_if(cluster, |memory| memory.forget(id));
    }

    fn tell_if(&self, cluster: &ClusterName, change: impl Fn(&mut Memory) -> bool) {
        let watches: Vec<_> = self.watches().values().filter(|watch| watch.viewer.0 == *cluster).cloned().collect();
        for watch in watches {
            let changed = change(&mut watch.state().memory);
            if changed {
                watch.tell();
            }
        }
    }

    /// Notes how a node answered whoever watches here.
    pub(super) fn note_node(&self, post: &Post, node: &NodeName, reach: Reach) {
        let changed = post.watch.state().memory.take_in_node(node, reach, self.0.pace.epoch());
        if changed {
            post.watch.tell();
        }
    }

    /// Notes that Proxmox refused something to a user: their rights are asked for at the next beat.
    pub fn note_refusal(&self, viewer: &Viewer) {
        if let Some(watch) = self.watches().get(viewer) {
            watch.state().rights = None;
        }
    }

    /// Whether a user's list has this container, and is no older than `within`.
    pub fn shows(&self, viewer: &Viewer, container: &ContainerId, within: Duration) -> bool {
        let snapshot = self.watches().get(viewer).and_then(|watch| watch.view().snapshot);
        snapshot.is_some_and(|snapshot| self.is_recent(&snapshot, within) && snapshot.row(container).is_some())
    }

    /// Whether Proxmox said this no longer ago than that.
    pub fn is_recent(&self, snapshot: &Snapshot, within: Duration) -> bool {
        self.0.pace.epoch() - snapshot.as_of <= within.as_secs() as i64
    }

    /// Whether a watcher is to end, on a beat. One that does leaves what it has seen, unless nobody is signed in any more.
    fn ends(&self, watch: &Arc<Watch>) -> bool {
        let now = self.0.pace.now();
        let mut watches = self.watches();
        let mut state = watch.state();
        if watch.changed.receiver_count() > 0 {
            state.looked_at = now;
        }
        let is_over = state.sessions.iter().all(|session| state.dead.contains(session));
        let is_left = now.saturating_sub(state.looked_at) >= LEAVE_AFTER;
        if is_over || is_left {
            (state.is_running, state.is_warm) = (false, false);
        }
        drop(state);
        if is_over {
            watches.remove(&watch.viewer);
            // who still listens finds out when they look
            watch.tell();
        }
        watches.retain(|_, watch| {
            let state = watch.state();
            state.is_running || now.saturating_sub(state.looked_at) < FORGET_AFTER
        });
        is_over || is_left
    }

    fn watches(&self) -> MutexGuard<'_, HashMap<Viewer, Arc<Watch>>> {
        self.0.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks Proxmox on every beat, as long as somebody looks or listens.
async fn watch_over(inventory: Inventory, post: Post) {
    let beats = async {
        let pace = inventory.pace();
        let mut at = pace.now();
        loop {
            let asked = inventory.ask(&post, false);
            let budget = post.state.page_budget();
            if timeout(budget, asked.clone()).await.is_err() {
                post.watch.slow(&post.cluster, budget, pace.epoch());
                // how it ends is in the watcher's state
                let _ = asked.await;
            }
            if inventory.ends(&post.watch) {
                return;
            }
            at = (at + BEAT).max(pace.now());
            pace.until(at).await;
            if inventory.ends(&post.watch) {
                return;
            }
        }
    };
    tokio::select! {
        () = beats => {}
        () = errands::run(&inventory, &post) => {}
    }
}

/// Whether a call failed because its session or its ticket is over.
fn is_dead(error: &Error) -> bool {
    match error {
        Error::NotSignedIn | Error::Answer(AppError::SignedOut) => true,
        Error::Proxmox { source, .. } => matches!(source.cause, Cause::SignedOut(_)),
        _ => false,
    }
}

impl Watch {
    fn of(viewer: Viewer, shared: Arc<SharedRows>) -> Self {
        let state = Mutex::new(State { memory: Memory::sharing(shared), ..State::default() });
        Self { viewer, state, changed: watch::Sender::new(0), asked: Flights::default(), waiting: Waiting::default() }
    }

    /// What waits to be read of single containers.
    pub(super) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// What it knows now.
    pub fn view(&self) -> View {
        let state = self.state();
        View { snapshot: state.memory.snapshot().cloned(), trouble: state.trouble.clone(), reach: state.reach }
    }

    /// Whether it has asked Proxmox since somebody began to look.
    pub fn is_warm(&self) -> bool {
        self.state().is_warm
    }

    /// Whether a session's ticket was found to be dead.
    pub fn is_dead(&self, session: &Session) -> bool {
        session.id().is_some_and(|id| self.state().dead.contains(&id))
    }

    /// The CPU of the last hour, of each of some containers.
    pub fn histories(&self, rows: &mut [ContainerRow]) {
        let state = self.state();
        for row in rows {
            row.history = state.memory.history(row.vmid);
        }
    }

    /// Notes that the cluster is taking longer than a page can wait.
    pub fn slow(&self, cluster: &Cluster, budget: Duration, now: i64) {
        if !matches!(self.state().trouble, Some(AppError::ClusterSlow { .. })) {
            let error = AppError::from(auth::service::too_slow(cluster, "GET /cluster/resources", budget));
            self.settle(Some(error), now);
        }
    }

    /// Tells whoever listens of a difference.
    pub(super) fn tell(&self) {
        self.changed.send_modify(|number| *number = number.wrapping_add(1));
    }

    /// Notes how it came out. The same trouble keeps its first number, so that nothing changes while somebody reads it out.
    fn settle(&self, trouble: Option<AppError>, now: i64) {
        let mut state = self.state();
        let reach = Reach::of(trouble.as_ref());
        let code = |trouble: &Option<AppError>| trouble.as_ref().map(AppError::code);
        let is_new = code(&state.trouble) != code(&trouble);
        if is_new {
            state.trouble = trouble;
        }
        if state.reach.is_none_or(|(before, _)| before != reach) {
            state.reach = Some((reach, now));
        }
        drop(state);
        if is_new {
            self.tell();
        }
    }

    fn sessions(&self) -> Vec<Id> {
        let state = self.state();
        state.sessions.iter().filter(|session| !state.dead.contains(session)).copied().collect()
    }

    /// A session is over.
    fn leave(&self, session: Id) {
        let mut state = self.state();
        state.sessions.retain(|other| *other != session);
        state.dead.remove(&session);
    }

    /// The rights and the style of tags that need not be asked for.
    fn fresh(&self, at: Duration, anew: bool) -> (Option<Arc<Permissions>>, Option<Option<Arc<TagColours>>>) {
        let state = self.state();
        let is_fresh = |since: Duration, fresh: Duration| at.saturating_sub(since) < fresh;
        let rights = state.rights.as_ref().filter(|(_, since)| !anew && is_fresh(*since, RIGHTS_FRESH));
        let style = state.style.as_ref().filter(|(_, since)| is_fresh(*since, STYLE_FRESH));
        (rights.map(|(rights, _)| rights.clone()), style.map(|(style, _)| style.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note_rights(&mut self, answers: &Answers, at: Duration) {
        if self.rights.as_ref().is_none_or(|(rights, _)| !Arc::ptr_eq(rights, &answers.permissions)) {
            self.rights = Some((answers.permissions.clone(), at));
        }
        let is_known = |style: &Option<Arc<TagColours>>| match (style, &answers.style) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        if self.style.as_ref().is_none_or(|(style, since)| !is_known(style) || at.saturating_sub(*since) >= STYLE_FRESH) {
            self.style = Some((answers.style.clone(), at));
        }
    }
}

/// Brings our rows in line with what a user sees: what is new gets a row, what has changed follows, and what is not in the list is left as
/// it is, because it may only be invisible to this user.
async fn reconcile(context: &Context, resources: &[Resource]) -> Result<HashMap<Vmid, KnownRow>, Error> {
    let of_kind = |kind: &'static str| resources.iter().filter(move |r| r.kind == kind);
    let online: Vec<NodeName> = of_kind("node").filter(|r| r.status == Some(RunState::Online)).filter_map(|r| r.node.clone()).collect();
    let seen = of_kind("lxc").filter_map(|resource| {
        let (vmid, node) = (resource.vmid?, resource.node.clone()?);
        Some(SeenRow { vmid, node, hostname: resource.name.clone(), status: status_of(resource.status.as_ref()) })
    });
    let seen: Vec<SeenRow> = seen.collect();
    let follow = store::upsert_seen(context.state.db(), &context.cluster.name, &online, &seen);
    let known = operations::service::probe(context).around(StepKind::Follow, None, follow).await;
    known.map_err(|e| Error::Db("bring the containers' rows up to date", e))
}
