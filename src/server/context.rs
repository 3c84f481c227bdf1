//! Who is asking.

use super::{AppState, Error, state::Cluster};
use crate::proxmox::ids::{ClusterName, UserId};
use axum::{extract::ConnectInfo, http::request::Parts};
use leptos::prelude::use_context;
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tower_sessions::Session;

/// What a session says. Who holds it has shown Proxmox their password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// Who.
    pub user: UserId,
    /// Where.
    pub cluster: ClusterName,
    /// When this was last written; see [`SignedIn::touch`]. Epoch seconds.
    pub seen: i64,
}

/// Where the session keeps it.
const KEY: &str = "signed_in";

impl SignedIn {
    /// What the session holds, from the store.
    pub async fn load(session: &Session) -> Result<Option<Self>, Error> {
        Ok(session.get(KEY).await?)
    }

    /// Writes it; the session is stored at the end of the request, or by `save`.
    pub async fn store(&self, session: &Session) -> Result<(), Error> {
        Ok(session.insert(KEY, self).await?)
    }

    /// Keeps a session that is in use from expiring, with at most one write a minute.
    pub async fn touch(&mut self, session: &Session, now: i64) -> Result<(), Error> {
        if now - self.seen >= 60 {
            self.seen = now;
            self.store(session).await?;
        }
        Ok(())
    }
}

/// Somebody, perhaps not signed in.
#[derive(Clone)]
pub struct Visitor {
    /// The application.
    pub state: AppState,
    /// Their session; new where they had none.
    pub session: Session,
    /// Who they are, where they are signed in.
    pub signed_in: Option<SignedIn>,
    /// From which address they come.
    pub source: Option<IpAddr>,
}

/// Somebody who is signed in, and their cluster.
#[derive(Clone)]
pub struct Context {
    /// The application.
    pub state: AppState,
    /// Their session.
    pub session: Session,
    /// Who.
    pub user: UserId,
    /// Where.
    pub cluster: Arc<Cluster>,
    /// From which address they come.
    pub source: Option<IpAddr>,
}

/// The address that a request comes from. A proxy is believed only where the configuration says that there is one.
fn source(state: &AppState, parts: &Parts) -> Option<IpAddr> {
    let forwarded = || {
        state.public_url()?;
        // what stands before the last one may be made up by the client
        let mut lists = parts.headers.get_all("x-forwarded-for").iter().filter_map(|list| list.to_str().ok());
        lists.next_back()?.rsplit(',').next()?.trim().parse().ok()
    };
    let peer = || Some(parts.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip());
    forwarded().or_else(peer)
}

impl Visitor {
    /// The visitor of the request under way. The layer [`crate::server::web::identify`] has put them there.
    pub fn of_request() -> Result<Self, Error> {
        let state = use_context::<AppState>().ok_or(Error::OutsideRequest)?;
        let parts = use_context::<Parts>().ok_or(Error::OutsideRequest)?;
        Self::of(state, &parts)
    }

    /// The visitor of a request.
    pub fn of(state: AppState, parts: &Parts) -> Result<Self, Error> {
        let session = parts.extensions.get::<Session>().cloned().ok_or(Error::OutsideRequest)?;
        let signed_in = parts.extensions.get::<SignedIn>().cloned();
        let source = source(&state, parts);
        Ok(Self { state, session, signed_in, source })
    }

    /// The same, signed in. A cluster that is no longer configured signs its users out.
    pub fn signed_in(self) -> Result<Context, Error> {
        let who = self.signed_in.ok_or(Error::NotSignedIn)?;
        let cluster = self.state.cluster(&who.cluster).ok_or(Error::NotSignedIn)?;
        Ok(Context { state: self.state, session: self.session, user: who.user, cluster, source: self.source })
    }
}
