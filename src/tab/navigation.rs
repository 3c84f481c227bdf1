//! From page to page without a new document, where the browser has the Navigation API; elsewhere each page is a document of its own.
//!
//! The browser itself keeps the addresses, the way back, the scroll position and the focus.

use super::{browser, place::Place};
use crate::paths::Page;
use js_sys::{Function, Object, Reflect};
use leptos::task::spawn_local;
use wasm_bindgen::{JsCast, JsValue, closure::Closure, prelude::wasm_bindgen};
use wasm_bindgen_futures::future_to_promise;
use web_sys::{Event, EventTarget};

#[wasm_bindgen]
extern "C" {
    /// <https://html.spec.whatwg.org/multipage/nav-history-apis.html#the-navigateevent-interface>
    #[wasm_bindgen(extends = Event)]
    type NavigateEvent;
    #[wasm_bindgen(method, getter, js_name = canIntercept)]
    fn can_intercept(this: &NavigateEvent) -> bool;
    #[wasm_bindgen(method, getter, js_name = hashChange)]
    fn hash_change(this: &NavigateEvent) -> bool;
    #[wasm_bindgen(method, getter, js_name = downloadRequest)]
    fn download_request(this: &NavigateEvent) -> JsValue;
    #[wasm_bindgen(method, getter, js_name = formData)]
    fn form_data(this: &NavigateEvent) -> JsValue;
    #[wasm_bindgen(method, getter, js_name = navigationType)]
    fn navigation_type(this: &NavigateEvent) -> String;
    #[wasm_bindgen(method, getter)]
    fn destination(this: &NavigateEvent) -> Destination;
    #[wasm_bindgen(method)]
    fn intercept(this: &NavigateEvent, options: &Object);

    type Destination;
    #[wasm_bindgen(method, getter)]
    fn url(this: &Destination) -> String;
}

/// Takes over what leads to a page of ours.
pub fn listen(place: Place) {
    let Some(navigation) = property("navigation").and_then(|navigation| navigation.dyn_into::<EventTarget>().ok()) else { return };
    browser::listen(&navigation, "navigate", move |event: NavigateEvent| {
        let is_form = !event.form_data().is_null();
        let is_download = !event.download_request().is_null();
        let is_plain = matches!(event.navigation_type().as_str(), "push" | "replace" | "traverse");
        if place.is_outdated() || !event.can_intercept() || event.hash_change() || is_form || is_download || !is_plain {
            return;
        }
        let Some(address) = address_of(&event.destination().url()) else { return };
        let path = address.split('?').next().unwrap_or_default();
        if Page::of(path).is_none() {
            return;
        }
        let is_view = browser::here().split('?').next() == Some(path);
        let handler = Closure::once_into_js(move || {
            JsValue::from(future_to_promise(async move {
                place.go(address).await;
                Ok(JsValue::UNDEFINED)
            }))
        });
        let options = Object::new();
        let set = |name: &str, value: &JsValue| {
            // fails only for what is no object
            let _ = Reflect::set(&options, &name.into(), value);
        };
        set("handler", &handler.unchecked_into::<Function>());
        // another view of the same page: who writes in it goes on, and it begins at its top
        if is_view && event.navigation_type() != "traverse" {
            set("focusReset", &"manual".into());
            set("scroll", &"manual".into());
            leptos::prelude::window().scroll_to_with_x_and_y(0.0, 0.0);
        }
        event.intercept(&options);
    });
}

/// To another view of this page, in the place of this one.
pub fn replace(address: String, place: Place) {
    let navigate = || {
        let navigation = property("navigation")?;
        let navigate = Reflect::get(&navigation, &"navigate".into()).ok()?.dyn_into::<Function>().ok()?;
        let options = Object::new();
        Reflect::set(&options, &"history".into(), &"replace".into()).ok()?;
        navigate.call2(&navigation, &address.as_str().into(), &options).ok()
    };
    if navigate().is_none() {
        let history = leptos::prelude::window().history();
        // fails for another site's address
        let _ = history.and_then(|history| history.replace_state_with_url(&JsValue::NULL, "", Some(&address)));
        spawn_local(place.go(address));
    }
}

fn property(name: &str) -> Option<JsValue> {
    Reflect::get(&leptos::prelude::window(), &name.into()).ok().filter(|value| !value.is_undefined())
}

/// The path of this site in an address, with its query.
fn address_of(url: &str) -> Option<String> {
    let origin = leptos::prelude::window().location().origin().ok()?;
    let path = url.strip_prefix(&origin)?;
    let path = path.split('#').next().unwrap_or_default();
    Some(if path.is_empty() { "/".to_owned() } else { path.to_owned() })
}
