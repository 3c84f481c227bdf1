//! Buttons that copy a text: `data-copy` is the id of the element in which it stands.

use super::browser::{self, around};
use crate::ui::toasts::Toasts;
use leptos::prelude::{document, window};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlDocument, MouseEvent};

/// Listens to all of them, also to those that come later. To be called once.
pub fn listen(toasts: Toasts) {
    browser::listen(&document(), "click", move |event: MouseEvent| {
        let Some(button) = around(&event, "[data-copy]") else { return };
        let text = button.get_attribute("data-copy").and_then(|id| document().get_element_by_id(&id));
        if text.is_some_and(|text| copy(&text).is_some()) {
            toasts.succeed("Copied to the clipboard.".to_owned(), None);
        } else {
            toasts.fail("Nothing was copied: this browser does not allow it. The log can be downloaded.".to_owned(), None, None);
        }
    });
}

/// Selects it, so that one sees what is copied, and copies what is selected: the browser's newer clipboard is not there over plain HTTP, which
/// is how many reach a Berth at home.
fn copy(text: &Element) -> Option<()> {
    window().get_selection().ok()??.select_all_children(text).ok()?;
    document().dyn_into::<HtmlDocument>().ok()?.exec_command("copy").ok()?.then_some(())
}
