//! Buttons that copy a text: `data-copy` is the id of the element in which it stands.

use super::browser::{self, around, set};
use leptos::prelude::{document, window};
use web_sys::MouseEvent;

/// Listens to all of them, also to those that come later. To be called once.
pub fn listen() {
    browser::listen(&document(), "click", |event: MouseEvent| {
        let Some(button) = around(&event, "[data-copy]") else { return };
        let text = button.get_attribute("data-copy").and_then(|id| document().get_element_by_id(&id)?.text_content());
        let Some(text) = text else { return };
        // where the browser forbids it, nothing is copied, and the download is beside it
        let _ = window().navigator().clipboard().write_text(&text);
        set(&button, "title", Some("Copied"));
        set(&button, "aria-label", Some("Copied"));
    });
}
