//! Buttons that copy a text: `data-copy` is the id of the element in which it stands.

use leptos::prelude::*;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Element, MouseEvent};

/// Listens to all of them, also to those that come later. To be called once.
pub fn listen() {
    let copy = Closure::<dyn Fn(MouseEvent)>::new(|event: MouseEvent| {
        let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        let Some(button) = target.and_then(|target| target.closest("[data-copy]").ok()?) else { return };
        let text = button.get_attribute("data-copy").and_then(|id| document().get_element_by_id(&id)?.text_content());
        let Some(text) = text else { return };
        // where the browser forbids it, nothing is copied, and the download is beside it
        let _ = window().navigator().clipboard().write_text(&text);
        // these fail only for a name that is no name
        let _ = button.set_attribute("title", "Copied");
        let _ = button.set_attribute("aria-label", "Copied");
    });
    // fails only where there is no document
    let _ = document().add_event_listener_with_callback("click", copy.as_ref().unchecked_ref());
    // as long as the tab
    copy.forget();
}
