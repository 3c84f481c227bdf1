//! What a form without JavaScript has to say after its redirect: the error, and what had been entered.

use crate::error::AppError;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// Shown once, on the next page. Holds no password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    /// Why it failed.
    pub error: AppError,
    /// What had been entered, by field.
    #[serde(default)]
    pub fields: Vec<(String, String)>,
}

impl Flash {
    /// What had been entered in a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The flash of this page, until somebody shows it.
#[derive(Clone, Copy)]
struct Slot(StoredValue<Option<Flash>>);

/// Hands it to the pages below.
pub fn provide_flash(flash: Option<Flash>) {
    provide_context(Slot(StoredValue::new(flash)));
}

/// What this page has to show. It is gone afterwards: a page that is reached later without a full load must not show it again.
pub fn take_flash() -> Option<Flash> {
    let Slot(flash) = use_context()?;
    // runs in the browser alone, once the page is there; the server may render a part twice
    Effect::new(move || flash.set_value(None));
    flash.get_value()
}
