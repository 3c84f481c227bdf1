//! The server functions of signing in and out.

#![expect(missing_docs, reason = "the fields of a server function's struct are its arguments, and its doc speaks of them")]

use super::model::{Me, SignInForm};
use crate::error::AppError;
use leptos::{prelude::*, server_fn::codec::GetUrl};

/// What the sign-in form offers for a cluster, or for the first one.
#[server(endpoint = "get_sign_in_form", input = GetUrl)]
pub async fn get_sign_in_form(cluster: Option<String>) -> Result<SignInForm, AppError> {
    crate::server::handle_visitor("get_sign_in_form", async |visitor| super::service::get_sign_in_form(&visitor, cluster).await).await
}

/// Signs in at a cluster and leads to `next`; or to the page that asks for a second factor, which it answers with.
#[server(endpoint = "sign_in")]
pub async fn sign_in(
    cluster: String,
    username: String,
    realm: String,
    password: String,
    next: Option<String>,
) -> Result<Option<String>, AppError> {
    crate::server::handle_visitor("sign_in", async |visitor| {
        let progress = super::service::sign_in(&visitor, &cluster, &username, &realm, password.into()).await?;
        Ok(super::page::lead_on(progress, &cluster, next.as_deref().unwrap_or_default()))
    })
    .await
}

/// Ends a sign-in with a code of an authenticator app, or with a recovery key, and leads to `next`.
#[server(endpoint = "enter_second_factor")]
pub async fn enter_second_factor(code: String, recovery: bool, next: Option<String>) -> Result<(), AppError> {
    crate::server::handle_visitor("enter_second_factor", async |visitor| {
        super::service::enter_second_factor(&visitor, code.into(), recovery).await?;
        leptos_axum::redirect(crate::paths::safe_next(next.as_deref().unwrap_or_default()));
        Ok(())
    })
    .await
}

/// Signs out, here only; other sessions of the same user go on.
#[server(endpoint = "sign_out")]
pub async fn sign_out() -> Result<(), AppError> {
    crate::server::handle("sign_out", async |context| {
        super::service::sign_out(&context).await?;
        leptos_axum::redirect(crate::paths::login());
        Ok(())
    })
    .await
}

/// Who is signed in.
#[server(endpoint = "get_me", input = GetUrl)]
pub async fn get_me() -> Result<Me, AppError> {
    crate::server::handle("get_me", async |context| Ok(Me { user: context.user, cluster: context.cluster.name.clone() })).await
}
