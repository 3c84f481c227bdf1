//! The verbs of signing in and out, and the way from a session to a client that acts as its user.

use super::{
    model::{RealmChoice, SignInForm},
    second_factor::{self, Begun},
    store::{self, TicketRow},
};
use crate::{
    error::{AppError, Field, Flaw},
    proxmox::{
        self, Cause, Client,
        client::SignIn,
        ids::{ClusterName, Realm, UserId},
        ticket::{Challenge, LIFETIME, Ticket},
        wire::Domain,
    },
    server::{
        AppState, Context, Error, Visitor,
        context::SignedIn,
        flight::Flights,
        secrets::SecretError,
        session::{IDLE, session_key},
        state::Cluster,
    },
};
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use time::OffsetDateTime;

/// A ticket older than this is renewed when it is next used. See [`crate::server::session::IDLE`] for why 10 minutes.
pub const RENEW_AFTER: Duration = Duration::from_secs(10 * 60);
// A ticket outlives its session, even by a clock that is five minutes off.
const _: () = assert!(RENEW_AFTER.as_secs() + IDLE.whole_seconds() as u64 + 5 * 60 < LIFETIME.as_secs());
/// How long a cluster's realms are remembered.
const REALMS_FRESH: Duration = Duration::from_secs(60);

/// What this slice keeps in memory: each cluster's realms.
#[derive(Clone, Default)]
pub struct Realms {
    known: Arc<Mutex<HashMap<ClusterName, Known>>>,
    asked: Flights<ClusterName, Vec<RealmChoice>>,
}

/// Realms, and when they were read.
type Known = (Instant, Vec<RealmChoice>);

impl Realms {
    /// The cluster's realms, asked anew where they are not fresh.
    async fn of(&self, cluster: &Arc<Cluster>) -> Result<Vec<RealmChoice>, AppError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&cluster.name).cloned();
        if let Some((at, realms)) = known
            && at.elapsed() < REALMS_FRESH
        {
            return Ok(realms);
        }
        let (known, asked) = (self.known.clone(), cluster.clone());
        let question = async move {
            let domains = asked.connection.access_domains().await.map_err(|e| of_cluster(&asked, e))?;
            let choice = |domain: Domain| RealmChoice { title: realm_title(&domain), realm: domain.realm, default: domain.default };
            let realms: Vec<_> = domains.into_iter().map(choice).collect();
            known.lock().unwrap_or_else(PoisonError::into_inner).insert(asked.name.clone(), (Instant::now(), realms.clone()));
            Ok(realms)
        };
        self.asked.join(&cluster.name, question).await
    }
}

/// What a realm is called in the form. The two built-in ones have long comments by default (recording auth-14).
fn realm_title(domain: &Domain) -> String {
    let comment = domain.comment.as_deref().unwrap_or_default();
    let title = match (domain.realm.as_str(), comment) {
        ("pam", "Linux PAM standard authentication" | "") => "Linux PAM",
        ("pve", "Proxmox VE authentication server" | "") => "Proxmox VE",
        (realm, "") => return realm.to_owned(),
        (_, comment) => comment,
    };
    format!("{title} ({})", domain.realm)
}

/// What the form offers. A name of no cluster is answered with the first one; fails where there is none.
pub async fn get_sign_in_form(visitor: &Visitor, cluster: Option<String>) -> Result<SignInForm, Error> {
    let clusters = visitor.state.clusters();
    let chosen = cluster.and_then(|name| name.parse().ok()).and_then(|name| visitor.state.cluster(&name));
    let chosen = chosen.or_else(|| clusters.first().cloned()).ok_or(Error::Answer(AppError::NoCluster))?;
    let budget = visitor.state.page_budget();
    let (realms, trouble) = match tokio::time::timeout(budget, visitor.state.slice::<Realms>().of(&chosen)).await {
        Ok(Ok(realms)) => (realms, None),
        Ok(Err(error)) => (built_in_realms(), Some(error)),
        Err(_) => (built_in_realms(), Some(AppError::from(too_slow(&chosen, "GET /access/domains", budget)))),
    };
    Ok(SignInForm { clusters: clusters.iter().map(|c| c.name.clone()).collect(), cluster: chosen.name.clone(), realms, trouble })
}

/// The two realms that every cluster has (pve-access-control AccessControl.pm).
fn built_in_realms() -> Vec<RealmChoice> {
    [("pam", "Linux PAM (pam)", true), ("pve", "Proxmox VE (pve)", false)]
        .into_iter()
        .filter_map(|(realm, title, default)| Some(RealmChoice { realm: realm.parse().ok()?, title: title.to_owned(), default }))
        .collect()
}

/// Whether a sign-in has reached its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is a session.
    SignedIn,
    /// A second factor is asked for.
    Halfway,
}

/// Signs in. The realm is checked first, because Proxmox answers for an unknown one as for a wrong password; all else it refuses in
/// one way, and so do we.
pub async fn sign_in(visitor: &Visitor, cluster: &str, username: &str, realm: &str, password: SecretString) -> Result<Progress, Error> {
    let invalid = |field, flaw| Error::Answer(AppError::Invalid { field, flaw });
    if visitor.state.clusters().is_empty() {
        return Err(Error::Answer(AppError::NoCluster));
    }
    let cluster = cluster.parse().ok().and_then(|name| visitor.state.cluster(&name));
    let cluster = cluster.ok_or_else(|| invalid(Field::Cluster, Flaw::Unknown))?;
    if username.trim().is_empty() {
        return Err(invalid(Field::Username, Flaw::Empty));
    }
    if realm.is_empty() {
        return Err(invalid(Field::Realm, Flaw::Empty));
    }
    if password.expose_secret().is_empty() {
        return Err(invalid(Field::Password, Flaw::Empty));
    }
    let realm: Realm = realm.parse().map_err(|_| invalid(Field::Realm, Flaw::Unknown))?;
    let user = UserId::new(username.trim(), &realm).map_err(|_| invalid(Field::Username, Flaw::Malformed))?;
    let realms = visitor.state.slice::<Realms>().of(&cluster).await.map_err(Error::Answer)?;
    if !realms.iter().any(|choice| choice.realm == realm) {
        return Err(invalid(Field::Realm, Flaw::Unknown));
    }
    let ticket = match cluster.connection.access_ticket(&user, &password).await {
        Ok(SignIn::Ticket(ticket)) => ticket,
        Ok(SignIn::SecondFactor(challenge)) => return begin_second_factor(visitor, &cluster, challenge).await,
        Err(proxmox::Error { cause: Cause::SignedOut(_), .. }) => {
            tracing::info!(%user, cluster = %cluster.name, "a sign-in was refused");
            return Err(Error::Answer(AppError::WrongCredentials { user, cluster: cluster.name.clone() }));
        }
        Err(error) => return Err(of_cluster(&cluster, error)),
    };
    begin_session(visitor, &cluster, &ticket).await?;
    Ok(Progress::SignedIn)
}

async fn begin_second_factor(visitor: &Visitor, cluster: &Cluster, challenge: Challenge) -> Result<Progress, Error> {
    if !challenge.totp && !challenge.recovery {
        tracing::info!(user = %challenge.user, cluster = %cluster.name, factor = ?challenge.other, "a second factor cannot be asked for");
        return Err(Error::Answer(AppError::SecondFactorUnsupported { factor: challenge.other }));
    }
    second_factor::keep(visitor, cluster, &challenge).await?;
    tracing::info!(user = %challenge.user, cluster = %cluster.name, "a second factor is asked for");
    Ok(Progress::Halfway)
}

/// Ends a sign-in. After a wrong answer it can be tried again as long as the sign-in has not expired; Proxmox counts.
pub async fn enter_second_factor(visitor: &Visitor, text: SecretString, recovery: bool) -> Result<(), Error> {
    let Begun { cluster, challenge } = second_factor::begun(visitor).await?.ok_or(Error::Answer(AppError::SignInExpired))?;
    let (field, answer, wrong) = match recovery {
        true => (Field::RecoveryKey, second_factor::recovery_key(&text), AppError::WrongRecoveryKey),
        false => (Field::Code, second_factor::code(&text), AppError::WrongCode),
    };
    let answer = answer.map_err(|flaw| Error::Answer(AppError::Invalid { field, flaw }))?;
    match cluster.connection.access_ticket_second_factor(&challenge, &answer).await {
        Ok(ticket) => begin_session(visitor, &cluster, &ticket).await,
        Err(proxmox::Error { cause: Cause::SignedOut(_), .. }) => {
            tracing::info!(user = %challenge.user, cluster = %cluster.name, "a second factor was refused");
            Err(Error::Answer(wrong))
        }
        Err(error) => Err(of_cluster(&cluster, error)),
    }
}

/// A new session with a new id, whatever the browser had before; its ticket is stored before anybody hears of it.
async fn begin_session(visitor: &Visitor, cluster: &Cluster, ticket: &Ticket) -> Result<(), Error> {
    let session = &visitor.session;
    session.clear().await;
    session.cycle_id().await?;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    SignedIn { user: ticket.user.clone(), cluster: cluster.name.clone(), seen: now }.store(session).await?;
    session.save().await?;
    let key = session.id().map(|id| session_key(&id)).ok_or(Error::NotSignedIn)?;
    let kept = keep_ticket(&visitor.state, &key, &cluster.name, ticket, now).await;
    if kept.is_err() {
        session.flush().await?;
    }
    kept?;
    tracing::info!(user = %ticket.user, cluster = %cluster.name, "signed in");
    Ok(())
}

async fn keep_ticket(state: &AppState, key: &str, cluster: &ClusterName, ticket: &Ticket, issued_at: i64) -> Result<(), Error> {
    let text = format!("{}\n{}", ticket.csrf(), ticket.cookie());
    let sealed = state.sealer().seal(key, &text)?;
    let row = TicketRow { cluster: cluster.to_string(), user_id: ticket.user.to_string(), sealed, issued_at };
    store::put_ticket(state.db(), key, &row).await.map_err(|error| match error {
        // signed out in the meantime
        sqlx::Error::Database(refused) if refused.is_foreign_key_violation() => Error::NotSignedIn,
        error => Error::Db("keep a ticket", error),
    })
}

/// Signs out: the session and its ticket are gone from the database before the answer.
pub async fn sign_out(context: &Context) -> Result<(), Error> {
    context.session.flush().await?;
    tracing::info!(user = %context.user, "signed out");
    Ok(())
}

/// A client that acts as the user of the session, at the session's cluster.
///
/// The ticket is renewed on the way where it is older than [`RENEW_AFTER`]. Where the cluster cannot be reached for that, the old one
/// is used as long as it lives; where the ticket is dead, the session is over. Two that renew at once do no harm: both tickets are good.
pub async fn create_proxmox_client_from_session(context: &Context) -> Result<Client, Error> {
    let session = open_session(context).await?;
    if !session.is_due() {
        return Ok(session.client);
    }
    match session.renew().await? {
        Some(ticket) => session.keep(ticket).await,
        None => Ok(session.client),
    }
}

/// The client of a session, before its ticket is renewed. For who has to do something around the steps of
/// [`create_proxmox_client_from_session`].
pub struct SessionClient<'a> {
    context: &'a Context,
    key: String,
    issued_at: i64,
    /// With the ticket that the session has.
    pub client: Client,
}

/// The client of a session with the ticket as it is.
pub async fn open_session(context: &Context) -> Result<SessionClient<'_>, Error> {
    let key = context.session.id().map(|id| session_key(&id)).ok_or(Error::NotSignedIn)?;
    let row = store::get_ticket(context.state.db(), &key).await.map_err(|e| Error::Db("read a ticket", e))?.ok_or(Error::NotSignedIn)?;
    if row.cluster != context.cluster.name.as_str() || row.user_id != context.user.as_str() {
        return Err(Error::NotSignedIn);
    }
    let opened = context.state.sealer().open(&key, &row.sealed).map_err(|error| match error {
        // the key was replaced: nobody can use this session any more
        SecretError::Sealed => {
            tracing::error!(user = %context.user, "a ticket cannot be opened; was the key file replaced?");
            Error::NotSignedIn
        }
        error => error.into(),
    })?;
    let (csrf, cookie) = opened.split_once('\n').ok_or(Error::NotSignedIn)?;
    let client = client_that_keeps(context, key.clone(), Ticket::new(context.user.clone(), cookie.to_owned(), csrf.to_owned()));
    Ok(SessionClient { context, key, issued_at: row.issued_at, client })
}

impl SessionClient<'_> {
    /// Whether the ticket is older than [`RENEW_AFTER`].
    pub fn is_due(&self) -> bool {
        OffsetDateTime::now_utc().unix_timestamp() - self.issued_at >= RENEW_AFTER.as_secs() as i64
    }

    /// Asks for a new ticket; none where the old one has to do.
    pub async fn renew(&self) -> Result<Option<Ticket>, Error> {
        match self.client.access_ticket_renewal().await {
            Ok(ticket) => Ok(Some(ticket)),
            Err(error) if matches!(error.cause, Cause::SignedOut(_)) => Err(of_cluster(&self.context.cluster, error)),
            Err(error) => {
                let user = &self.context.user;
                tracing::warn!(%user, "a ticket could not be renewed; the old one is used: {}", crate::server::telemetry::chain(&error));
                Ok(None)
            }
        }
    }

    /// Keeps a new ticket, and goes on with it.
    pub async fn keep(self, ticket: Ticket) -> Result<Client, Error> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        keep_ticket(&self.context.state, &self.key, &self.context.cluster.name, &ticket, now).await?;
        tracing::debug!(user = %self.context.user, "ticket renewed");
        Ok(client_that_keeps(self.context, self.key, ticket))
    }
}

/// A client whose ticket is kept for its session where a call renews it on the way.
fn client_that_keeps(context: &Context, key: String, ticket: Ticket) -> Client {
    let client = context.cluster.connection.with(ticket);
    let (state, cluster) = (context.state.clone(), context.cluster.name.clone());
    client.on_renewal(move |ticket| {
        let (state, cluster, key, ticket) = (state.clone(), cluster.clone(), key.clone(), ticket.clone());
        tokio::spawn(async move {
            let now = OffsetDateTime::now_utc().unix_timestamp();
            if let Err(error) = keep_ticket(&state, &key, &cluster, &ticket, now).await {
                tracing::warn!(user = %ticket.user, "a renewed ticket could not be kept: {}", crate::server::telemetry::chain(&error));
            }
        });
    });
    client
}

/// An error of a call that is about the cluster as a whole.
pub fn of_cluster(cluster: &Cluster, source: proxmox::Error) -> Error {
    Error::Proxmox { cluster: cluster.name.clone(), node: None, vmid: None, source: Box::new(source) }
}

/// A cluster that did not answer within what a page can wait.
pub fn too_slow(cluster: &Cluster, call: &'static str, budget: Duration) -> Error {
    of_cluster(cluster, proxmox::Error { call, cause: Cause::TimedOut(budget) })
}
