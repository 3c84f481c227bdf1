//! The server function behind the switch, for browsers without JavaScript; with it the switch works at once, in the browser.

#![expect(missing_docs, reason = "the fields of a server function's struct are its arguments, and its doc speaks of them")]

use super::model::Theme;
use crate::error::AppError;
use leptos::prelude::*;

/// Keeps the theme in the browser's cookie.
#[server(endpoint = "set_theme")]
pub async fn set_theme(theme: Theme) -> Result<(), AppError> {
    crate::server::handle_visitor("set_theme", async |_| {
        let options = expect_context::<leptos_axum::ResponseOptions>();
        if let Ok(cookie) = axum::http::HeaderValue::from_str(&theme.cookie()) {
            options.append_header(axum::http::header::SET_COOKIE, cookie);
        }
        Ok(())
    })
    .await
}
