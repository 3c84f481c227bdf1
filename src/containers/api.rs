//! The server functions of containers.

#![expect(missing_docs, reason = "the fields of a server function's struct are its arguments, and its doc speaks of them")]

use super::model::{ContainerList, Outcome};
use crate::{error::AppError, proxmox::ids::Vmid};
use leptos::{prelude::*, server_fn::codec::GetUrl};

/// Every container that the user may see. Answers within a second: with the last good list where Proxmox is slower.
#[server(endpoint = "list_containers", input = GetUrl)]
pub async fn list_containers() -> Result<ContainerList, AppError> {
    crate::server::handle("list_containers", async |context| super::service::list_containers(&context).await).await
}

/// Starts a container and waits for the end.
#[server(endpoint = "start_container")]
pub async fn start_container(vmid: Vmid) -> Result<Outcome, AppError> {
    crate::server::handle("start_container", async |context| super::service::act(context, super::model::Verb::Start, vmid).await).await
}

/// Shuts a container down, hard after a while, and waits for the end.
#[server(endpoint = "shutdown_container")]
pub async fn shutdown_container(vmid: Vmid) -> Result<Outcome, AppError> {
    crate::server::handle("shutdown_container", async |context| super::service::act(context, super::model::Verb::Shutdown, vmid).await)
        .await
}

/// Stops a container hard and waits for the end.
#[server(endpoint = "stop_container")]
pub async fn stop_container(vmid: Vmid) -> Result<Outcome, AppError> {
    crate::server::handle("stop_container", async |context| super::service::act(context, super::model::Verb::Stop, vmid).await).await
}
