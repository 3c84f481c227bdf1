//! The menu of a row: its verbs come from the server when it is opened, so that they are those of now, and a list of any length carries
//! none.

use super::{
    browser::{self, around, find, find_all, focus},
    place::get_in_time,
};
use js_sys::{Function, Object, Reflect};
use leptos::{prelude::document, task::spawn_local};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, HtmlElement, HtmlTemplateElement, MouseEvent};

/// Opens the menus of the whole document. A press with a modifier opens the page of a menu, as any link.
pub fn listen() {
    browser::listen(&document(), "click", |event: MouseEvent| {
        let Some(link) = around(&event, "[data-menu]") else { return };
        if event.default_prevented() || event.button() != 0 || event.ctrl_key() || event.meta_key() || event.shift_key() {
            return;
        }
        event.prevent_default();
        open(link);
    });
}

/// Opens the menu of the row that a link stands in.
pub fn open(link: Element) {
    let Some(address) = link.get_attribute("href") else { return };
    spawn_local(async move {
        let Ok(page) = get_in_time(address.clone(), None).await else { return browser::leave_for(&address) };
        if fill(&page.html).is_none() {
            return browser::leave_for(&address);
        }
        show(&link);
    });
}

fn fill(html: &str) -> Option<()> {
    let template: HtmlTemplateElement = document().create_element("template").ok()?.dyn_into().ok()?;
    template.set_inner_html(html);
    let content = template.content();
    let form = content.query_selector("#menu-verbs").ok()??;
    let items = content.query_selector("#menu-items").ok()??;
    let menu = find("#row-menu")?;
    menu.set_inner_html("");
    menu.append_child(&form).ok()?;
    browser::set(&menu, "aria-label", items.get_attribute("aria-label").as_deref());
    while let Some(item) = items.first_element_child() {
        menu.append_child(&item).ok()?;
    }
    Some(())
}

/// Under its link, where the browser can.
fn show(link: &Element) {
    let Some(menu) = find("#row-menu").and_then(|menu| menu.dyn_into::<HtmlElement>().ok()) else { return };
    // open already, for another row
    let _ = menu.hide_popover();
    let options = Object::new();
    // these fail only for what is no object and no function
    let _ = Reflect::set(&options, &"source".into(), link);
    let shown = Reflect::get(&menu, &"showPopover".into()).ok().and_then(|show| show.dyn_into::<Function>().ok());
    if let Some(show) = shown {
        let _ = show.call1(&menu, &JsValue::from(options));
    }
    if let Some(first) = find_all(&menu, ".mi").first() {
        focus(first);
    }
}
