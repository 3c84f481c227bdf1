//! What only a browser can do.

use crate::error::AppError;
use leptos::{
    prelude::*,
    server_fn::{
        client::{Client, browser::BrowserClient},
        error::FromServerFnError,
        request::{ClientReq, browser::BrowserRequest},
        response::ClientRes,
    },
};
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Element, EventSource, FormData, HtmlElement, HtmlFormElement, MessageEvent, UrlSearchParams};

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

/// A form that was submitted, and the button that did it.
pub struct Submission {
    form: HtmlFormElement,
    button: Option<HtmlElement>,
    action: String,
    body: String,
}

impl Submission {
    /// Reads it.
    pub fn of(event: &leptos::ev::SubmitEvent) -> Option<Self> {
        let form: HtmlFormElement = event.target()?.dyn_into().ok()?;
        let button = event.submitter();
        let of_button = |name| button.as_ref().and_then(|button| button.get_attribute(name));
        let action = of_button("formaction").or_else(|| form.get_attribute("action"))?;
        let data = FormData::new_with_form(&form).ok()?;
        if let (Some(name), Some(value)) = (of_button("name"), of_button("value")) {
            data.append_with_str(&name, &value).ok()?;
        }
        let body = UrlSearchParams::new_with_str_sequence_sequence(&data).ok()?.to_string().into();
        Some(Self { form, button, action, body })
    }

    /// Where it goes.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// What it says, encoded.
    pub fn body(&self) -> String {
        self.body.clone()
    }

    /// What a field says.
    pub fn value(&self, name: &str) -> String {
        FormData::new_with_form(&self.form).ok().and_then(|data| data.get(name).as_string()).unwrap_or_default()
    }

    /// What stands at the form for programs, as `data-…`.
    pub fn data(&self, name: &str) -> String {
        self.form.get_attribute(&format!("data-{name}")).unwrap_or_default()
    }

    /// Whether the button says that it is not allowed now.
    pub fn is_disabled(&self) -> bool {
        self.button.as_ref().is_some_and(|button| button.get_attribute("aria-disabled").as_deref() == Some("true"))
    }

    /// Shows at the button that it is at work.
    pub fn mark(&self, is_busy: bool) {
        if let Some(button) = &self.button {
            // fails only for a name that is no name
            let _ = if is_busy { button.set_attribute("aria-busy", "true") } else { button.remove_attribute("aria-busy") };
        }
    }

    /// Closes the menu that the button stands in; the focus goes back to the button that opened it. A button that submits a form does not
    /// do so by itself.
    pub fn close_menu(&self) {
        let menu = self.button.as_ref().and_then(|button| button.closest("[popover]").ok()?);
        if let Some(menu) = menu.and_then(|menu| menu.dyn_into::<HtmlElement>().ok()) {
            // fails only where it is closed already
            let _ = menu.hide_popover();
        }
    }

    /// Says in the form why it was refused, and goes back to its field; false where it has no place for that.
    pub fn refuse(&self, sentence: &str) -> bool {
        let find = |what| self.form.query_selector(what).ok().flatten();
        let Some(place) = find(".err") else { return false };
        place.set_text_content(Some(sentence));
        if let Some(field) = find(".input").and_then(|field| field.dyn_into::<HtmlElement>().ok()) {
            // these fail only where the field is gone
            let _ = field.set_attribute("aria-invalid", "true");
            let _ = field.focus();
        }
        true
    }
}

/// Sends a form and reads the answer as a server function's own caller does. Where it went well: where a form would be led.
pub async fn post(action: &str, body: String) -> Result<String, AppError> {
    let request: BrowserRequest =
        ClientReq::<AppError>::try_new_post(action, "application/x-www-form-urlencoded", "application/json", body)?;
    let response = <BrowserClient as Client<AppError>>::send(request).await?;
    let (is_error, location) = (ClientRes::<AppError>::status(&response) >= 400, ClientRes::<AppError>::location(&response));
    // an answer that is not read to its end keeps its connection
    let bytes = ClientRes::<AppError>::try_into_bytes(response).await?;
    if is_error { Err(AppError::de(bytes)) } else { Ok(location) }
}

/// Listens to a stream while this tab is on screen, and says so when it comes back: what happened meanwhile was not heard.
pub fn follow(path: &'static str, tell: impl Fn() + Clone + 'static) {
    let open = move || {
        let source = EventSource::new(path).ok()?;
        let tell = tell.clone();
        let hear = Closure::<dyn Fn(MessageEvent)>::new(move |_| tell());
        source.set_onmessage(Some(hear.as_ref().unchecked_ref()));
        // it lives as long as the tab; there are few of them
        hear.forget();
        Some(source)
    };
    let stream = StoredValue::new_local(if is_visible() { open() } else { None });
    let switch = window_event_listener_untyped("visibilitychange", move |_| {
        stream.update_value(|stream| match stream.take() {
            Some(source) => source.close(),
            None => *stream = open(),
        });
    });
    on_cleanup(move || {
        switch.remove();
        if let Some(Some(source)) = stream.try_update_value(Option::take) {
            source.close();
        }
    });
}

/// Puts a new content into an element. Where it is the same page again, not while somebody writes in it or has opened something there, and
/// the focus stays where it was; on `another` page it is where that wants it.
pub fn replace_content(element: &Element, html: &str, another: bool) -> bool {
    let find = |what| element.query_selector(what).ok().flatten();
    let focused = document().active_element().filter(|focused| element.contains(Some(focused)));
    if !another && find("input:focus, details[open], :popover-open").is_some() {
        return false;
    }
    let id = focused.map(|focused| focused.id()).filter(|id| !id.is_empty());
    element.set_inner_html(html);
    let again = match id {
        Some(id) if !another => document().get_element_by_id(&id),
        _ => element.query_selector("[autofocus]").ok().flatten(),
    };
    if let Some(again) = again.and_then(|again| again.dyn_into::<HtmlElement>().ok()) {
        // fails only where it is gone
        let _ = again.focus();
    }
    true
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
