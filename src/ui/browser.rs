//! What only a browser can do.

use leptos::prelude::*;
use wasm_bindgen::JsCast;

/// Sets a cookie that the server reads at the next page.
pub fn set_cookie(line: &str) {
    if let Ok(document) = document().dyn_into::<web_sys::HtmlDocument>() {
        // fails only where the browser forbids cookies; then the choice lasts as long as the tab
        let _ = document.set_cookie(line);
    }
}

/// Leaves for another address with a full load: the session has ended, and nothing of it stays in memory.
pub fn leave_for(path: &str) {
    if let Err(error) = window().location().assign(path) {
        leptos::logging::error!("cannot leave for {path}: {error:?}");
    }
}

/// The path of this tab with its query.
pub fn here() -> String {
    let location = window().location();
    let path = location.pathname().unwrap_or_else(|_| "/".to_owned());
    path + &location.search().unwrap_or_default()
}

/// Whether this tab is on screen.
pub fn is_visible() -> bool {
    !document().hidden()
}

/// Closes a popover; the focus goes back to the button that opened it. A button that submits a form does not do so by itself.
pub fn close_popover(id: &str) {
    if let Some(element) = document().get_element_by_id(id).and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok()) {
        // fails only where it is closed already
        let _ = element.hide_popover();
    }
}

/// Marks the document as taken over, once what hydration has queued is done. The browser tests wait for it.
pub fn mark_ready() {
    request_animation_frame(|| {
        if let Some(html) = document().document_element() {
            // fails only for a name that is no name
            let _ = html.set_attribute("data-ready", "");
        }
    });
}
