//! What lives as long as the process.

use super::{
    assets::Assets,
    config::{ClusterConfig, Config, PublicUrl},
    db::Db,
    secrets::Sealer,
};
use crate::proxmox::{
    Connection,
    client::{ConnectionError, Limits},
    ids::ClusterName,
};
use axum::{extract::FromRef, http::Extensions};
use leptos::prelude::LeptosOptions;
use std::{sync::Arc, time::Duration};

/// A configured cluster with its pool of connections.
#[derive(Debug)]
pub struct Cluster {
    /// What we call it.
    pub name: ClusterName,
    /// How we reach it.
    pub connection: Connection,
}

impl Cluster {
    /// Prepares a cluster; nothing is sent yet.
    pub fn new(config: &ClusterConfig, limits: &Limits) -> Result<Self, ConnectionError> {
        Ok(Self { name: config.name.clone(), connection: Connection::with_limits(&config.addresses, limits.clone())? })
    }
}

/// The state of the application. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

struct Inner {
    db: Db,
    sealer: Sealer,
    clusters: Vec<Arc<Cluster>>,
    assets: Assets,
    public_url: Option<PublicUrl>,
    page_budget: Duration,
    slices: Extensions,
    leptos: LeptosOptions,
}

impl AppState {
    /// Puts it together. `slices` holds what single slices keep in memory.
    pub fn new(config: &Config, db: Db, sealer: Sealer, clusters: Vec<Cluster>, assets: Assets, slices: Extensions) -> Self {
        let clusters = clusters.into_iter().map(Arc::new).collect();
        let leptos = LeptosOptions::builder().output_name("berth").build();
        let (public_url, page_budget) = (config.public_url.clone(), config.page_budget);
        Self(Arc::new(Inner { db, sealer, clusters, assets, public_url, page_budget, slices, leptos }))
    }

    /// Our database.
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// What seals secrets.
    pub fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    /// The clusters, in the order of the configuration; none before the first is connected.
    pub fn clusters(&self) -> &[Arc<Cluster>] {
        &self.0.clusters
    }

    /// A cluster by its name, where it is configured.
    pub fn cluster(&self, name: &ClusterName) -> Option<Arc<Cluster>> {
        self.0.clusters.iter().find(|cluster| cluster.name == *name).cloned()
    }

    /// The built site.
    pub fn assets(&self) -> &Assets {
        &self.0.assets
    }

    /// How browsers reach us, where a proxy stands before us.
    pub fn public_url(&self) -> Option<&PublicUrl> {
        self.0.public_url.as_ref()
    }

    /// How long a page waits for a cluster before it shows what is known.
    pub fn page_budget(&self) -> Duration {
        self.0.page_budget
    }

    /// What a slice keeps in memory.
    ///
    /// # Panics
    /// Where `startup` did not put it there; every request of that slice would, so any test finds it.
    pub fn slice<T: Clone + Send + Sync + 'static>(&self) -> &T {
        self.0.slices.get::<T>().expect("startup puts in what each slice keeps in memory")
    }
}

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(state: &AppState) -> Self {
        state.0.leptos.clone()
    }
}
