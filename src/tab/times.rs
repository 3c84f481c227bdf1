//! Times in the browser's own zone, for who points at one: the server knows no zone and says UTC.

use super::browser::{self, around, set};
use js_sys::Date;
use leptos::prelude::document;
use wasm_bindgen::JsValue;
use web_sys::MouseEvent;

/// Listens to all times, also to those that come later.
pub fn listen() {
    browser::listen(&document(), "mouseover", |event: MouseEvent| {
        let Some(time) = around(&event, "time[datetime]").filter(|time| !time.has_attribute("data-local")) else { return };
        let (Some(at), Some(utc)) = (time.get_attribute("datetime"), time.get_attribute("title")) else { return };
        let local = String::from(Date::new(&at.into()).to_locale_string("default", &JsValue::UNDEFINED));
        set(&time, "title", Some(&format!("{local} here\n{utc}")));
        set(&time, "data-local", Some(""));
    });
}
