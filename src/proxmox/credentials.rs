//! Who a call is made as: a ticket, which has to be renewed, or an API token, which has not.

use super::{
    client::Connection,
    error::Cause,
    ids::{TokenId, UserId},
    ticket::Ticket,
};
use futures::{FutureExt, future::BoxFuture};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    Method,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// An API token with its secret.
#[derive(Debug, Clone)]
pub struct ApiToken {
    /// Its name.
    pub id: TokenId,
    /// What Proxmox showed once when it was made.
    pub secret: SecretString,
}

/// What a client shows of itself.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A user who has signed in.
    Ticket(Arc<Ticket>),
    /// An API token; it needs no CSRF token and does not end by itself.
    Token(ApiToken),
}

impl From<Ticket> for Credentials {
    fn from(ticket: Ticket) -> Self {
        Self::Ticket(Arc::new(ticket))
    }
}

impl From<Arc<Ticket>> for Credentials {
    fn from(ticket: Arc<Ticket>) -> Self {
        Self::Ticket(ticket)
    }
}

impl From<ApiToken> for Credentials {
    fn from(token: ApiToken) -> Self {
        Self::Token(token)
    }
}

impl Credentials {
    /// What a request carries: the ticket as a cookie and, with what changes something, its CSRF token (PVE/HTTPServer.pm:60-130).
    pub(super) fn headers(&self, method: &Method) -> Result<HeaderMap, Cause> {
        let mut headers = HeaderMap::new();
        match self {
            Self::Ticket(ticket) => {
                let cookie = format!("PVEAuthCookie={}", utf8_percent_encode(ticket.cookie(), NON_ALPHANUMERIC));
                headers.insert(header::COOKIE, sensitive(&cookie)?);
                if method != Method::GET {
                    headers.insert(HeaderName::from_static("csrfpreventiontoken"), sensitive(ticket.csrf())?);
                }
            }
            Self::Token(ApiToken { id, secret }) => {
                headers.insert(header::AUTHORIZATION, sensitive(&format!("PVEAPIToken={id}={}", secret.expose_secret()))?);
            }
        }
        Ok(headers)
    }
}

fn sensitive(value: &str) -> Result<HeaderValue, Cause> {
    let mut value = HeaderValue::from_str(value).map_err(|_| Cause::Protocol("a credential that is no header value".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Who hears of a renewed ticket.
type Tell = Box<dyn Fn(&Arc<Ticket>) + Send + Sync>;

/// The credentials of a client and its clones: where one renews the ticket, all have the new one.
pub(super) struct Holder {
    user: UserId,
    held: Mutex<Held>,
    /// Held by who renews, so that nobody else does at the same time.
    renewing: tokio::sync::Mutex<()>,
    tell: OnceLock<Tell>,
    /// The `Date` of the latest answer, in seconds since 1970; 0 before the first.
    date: AtomicI64,
}

struct Held {
    credentials: Credentials,
    /// Proxmox refused to renew it; there is no use in asking again.
    is_dead: bool,
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Holder").field(&self.user).finish()
    }
}

impl Holder {
    pub(super) fn new(credentials: Credentials) -> Self {
        let user = match &credentials {
            Credentials::Ticket(ticket) => ticket.user.clone(),
            Credentials::Token(token) => token.id.user(),
        };
        Self {
            user,
            held: Mutex::new(Held { credentials, is_dead: false }),
            renewing: tokio::sync::Mutex::default(),
            tell: OnceLock::new(),
            date: AtomicI64::new(0),
        }
    }

    pub(super) fn user(&self) -> &UserId {
        &self.user
    }

    /// Only the first who asks hears of it.
    pub(super) fn on_renewal(&self, tell: impl Fn(&Arc<Ticket>) + Send + Sync + 'static) {
        let _ = self.tell.set(Box::new(tell));
    }

    /// Notes what time it was where an answer came from.
    pub(super) fn note_date(&self, seconds: i64) {
        self.date.fetch_max(seconds, Ordering::Relaxed);
    }

    /// What time it was there when the latest answer was written.
    pub(super) fn date(&self) -> Option<i64> {
        Some(self.date.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }

    /// What to send now.
    pub(super) fn credentials(&self) -> Result<Credentials, Cause> {
        let held = self.held();
        if held.is_dead {
            return Err(Cause::SignedOut("the ticket could not be renewed".to_owned()));
        }
        Ok(held.credentials.clone())
    }

    /// The ticket, where it is so old that it should be renewed before it is used.
    pub(super) fn ticket_older_than(&self, age: Duration) -> Option<Arc<Ticket>> {
        match &self.held().credentials {
            Credentials::Ticket(ticket) if ticket.had_for() > age => Some(ticket.clone()),
            _ => None,
        }
    }

    /// Puts a new ticket in the place of `used`, unless somebody has done so meanwhile. A ticket that Proxmox refuses to renew is dead.
    ///
    /// A renewal is a call too; the box ends that circle.
    pub(super) fn renew<'a>(&'a self, connection: &'a Connection, used: &'a Arc<Ticket>) -> BoxFuture<'a, Result<(), Cause>> {
        async move {
            let _one_at_a_time = self.renewing.lock().await;
            match self.credentials()? {
                Credentials::Ticket(now) if Arc::ptr_eq(&now, used) => {}
                _ => return Ok(()),
            }
            let renewed = connection.renewed(used).await.map(Arc::new).map_err(|error| error.cause);
            match &renewed {
                Ok(ticket) => {
                    self.held().credentials = Credentials::Ticket(ticket.clone());
                    tracing::debug!(user = %self.user, "ticket renewed");
                    if let Some(tell) = self.tell.get() {
                        tell(ticket);
                    }
                }
                Err(Cause::SignedOut(_)) => self.held().is_dead = true,
                Err(_) => {}
            }
            renewed.map(|_| ())
        }
        .boxed()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
