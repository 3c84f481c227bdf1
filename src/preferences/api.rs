//! The server functions behind the switches, for browsers without JavaScript; with it they work at once, in the browser.

#![expect(missing_docs, reason = "the fields of a server function's struct are its arguments, and its doc speaks of them")]

use super::model::{Keys, Layout, Theme};
use crate::error::AppError;
use leptos::prelude::*;

/// Keeps the theme in the browser's cookie.
#[server(endpoint = "set_theme")]
pub async fn set_theme(theme: Theme) -> Result<(), AppError> {
    keep("set_theme", theme.cookie()).await
}

/// Keeps the layout in the browser's cookie.
#[server(endpoint = "set_layout")]
pub async fn set_layout(layout: Layout) -> Result<(), AppError> {
    keep("set_layout", layout.cookie()).await
}

/// Keeps in the browser's cookie whether single keys act.
#[server(endpoint = "set_keys")]
pub async fn set_keys(keys: Keys) -> Result<(), AppError> {
    keep("set_keys", keys.cookie()).await
}

#[cfg(feature = "ssr")]
async fn keep(function: &'static str, cookie: String) -> Result<(), AppError> {
    crate::server::handle_visitor(function, async |_| {
        let options = expect_context::<leptos_axum::ResponseOptions>();
        if let Ok(cookie) = axum::http::HeaderValue::from_str(&cookie) {
            options.append_header(axum::http::header::SET_COOKIE, cookie);
        }
        Ok(())
    })
    .await
}
