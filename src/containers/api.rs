//! The server functions of containers.
//!
//! A verb answers at its end, or after ten seconds while it goes on; see [`crate::operations`].

#![expect(missing_docs, reason = "the fields of a server function's struct are its arguments, and its doc speaks of them")]

use super::model::{ContainerList, Window};
use crate::{
    error::AppError,
    operations::model::{ContainerId, Outcome},
};
use leptos::{prelude::*, server_fn::codec::GetUrl};

/// Every container that the user may see. Answers within a second: with the last good list where Proxmox is slower.
#[server(endpoint = "list_containers", input = GetUrl)]
pub async fn list_containers() -> Result<ContainerList, AppError> {
    crate::server::handle("list_containers", async |context| super::service::list_containers(&context).await).await
}

/// A part of the user's list: `count` rows, at most 1,000, from the place `from` on. `query` is that of the page's address, as
/// [`super::query::Query::of_url`] reads it. Proxmox is not asked where the user is looking already.
#[server(endpoint = "get_window", input = GetUrl)]
pub async fn get_window(query: String, from: usize, count: usize) -> Result<Window, AppError> {
    let (query, _) = super::query::Query::of_url(&query);
    crate::server::handle("get_window", async |context| super::service::window(&context, &query, from, count).await).await
}

/// Starts a container. `confirm` is its name, typed where nothing else tells that it is still the same.
#[server(endpoint = "start_container")]
pub async fn start_container(id: ContainerId, confirm: Option<String>) -> Result<Outcome, AppError> {
    crate::server::handle("start_container", async |context| crate::operations::service::start(context, id, confirm).await).await
}

/// Stops a container hard.
#[server(endpoint = "stop_container")]
pub async fn stop_container(id: ContainerId, confirm: Option<String>) -> Result<Outcome, AppError> {
    crate::server::handle("stop_container", async |context| crate::operations::service::stop(context, id, confirm).await).await
}

/// Shuts a container down, and hard after a while, unless `graceful_only`.
#[server(endpoint = "shutdown_container")]
pub async fn shutdown_container(id: ContainerId, graceful_only: Option<bool>, confirm: Option<String>) -> Result<Outcome, AppError> {
    crate::server::handle("shutdown_container", async |context| {
        crate::operations::service::shutdown(context, id, graceful_only == Some(true), confirm).await
    })
    .await
}

/// Shuts a container down where it runs, and starts it.
#[server(endpoint = "restart_container")]
pub async fn restart_container(id: ContainerId, confirm: Option<String>) -> Result<Outcome, AppError> {
    crate::server::handle("restart_container", async |context| crate::operations::service::restart(context, id, confirm).await).await
}

/// Stops a container hard where it runs, and removes it with all its data. `confirm` is its name, typed once more.
#[server(endpoint = "delete_container")]
pub async fn delete_container(id: ContainerId, confirm: String) -> Result<Outcome, AppError> {
    crate::server::handle("delete_container", async |context| crate::operations::service::delete(context, id, confirm).await).await
}
