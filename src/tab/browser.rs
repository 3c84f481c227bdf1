//! What only a browser can do.

use crate::{error::AppError, paths};
use js_sys::{Function, Object, Promise, Reflect};
use leptos::{
    prelude::*,
    server_fn::{
        client::{Client, browser::BrowserClient},
        error::FromServerFnError,
        request::{ClientReq, browser::BrowserRequest},
        response::ClientRes,
    },
};
use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};
use wasm_bindgen::{JsCast, closure::Closure, convert::FromWasmAbi, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Element, Event, EventSource, EventTarget, FormData, HtmlElement, HtmlFormElement, MessageEvent, UrlSearchParams};

#[wasm_bindgen]
extern "C" {
    /// An element, as far as it takes the focus in a way of one's own.
    type Focusable;
    #[wasm_bindgen(method)]
    fn focus(this: &Focusable, options: &Object);
}

/// After so many seconds a stream that was refused is asked for again, and each time after twice as many.
const AGAIN: u64 = 2;
/// But never after more than these.
const AGAIN_AT_MOST: u64 = 30;

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

/// Milliseconds of a clock that never goes back.
pub fn now() -> f64 {
    window().performance().map_or(0.0, |clock| clock.now())
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
    data: FormData,
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
        Some(Self { form, button, action, data, body })
    }

    /// Where it goes.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// What it says, encoded.
    pub fn body(&self) -> String {
        self.body.clone()
    }

    /// What a field says, or the button in a field's place.
    pub fn value(&self, name: &str) -> String {
        self.data.get(name).as_string().unwrap_or_default()
    }

    /// What stands at the button or the form for programs, as `data-…`.
    pub fn data(&self, name: &str) -> String {
        let name = format!("data-{name}");
        let of_button = self.button.as_ref().and_then(|button| button.get_attribute(&name));
        of_button.or_else(|| self.form.get_attribute(&name)).unwrap_or_default()
    }

    /// Whether the button says that it is not allowed now.
    pub fn is_disabled(&self) -> bool {
        self.button.as_ref().is_some_and(|button| button.get_attribute("aria-disabled").as_deref() == Some("true"))
    }

    /// Shows at the button that it is at work.
    pub fn mark(&self, is_busy: bool) {
        if let Some(button) = &self.button {
            set(button, "aria-busy", is_busy.then_some("true"));
        }
    }

    /// The form itself.
    pub fn form(&self) -> &HtmlFormElement {
        &self.form
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

    /// Says beside its field what is wrong with that, and goes back to it; false where it has no place for that.
    pub fn refuse(&self, sentence: &str) -> bool {
        let is_said = self.say(sentence);
        if is_said && let Some(field) = self.field() {
            focus(&field);
        }
        is_said
    }

    /// Nothing is known to be wrong with its field any more.
    pub fn accept(&self) {
        self.say("");
    }

    fn field(&self) -> Option<Element> {
        self.form.query_selector(".input").ok().flatten()
    }

    fn say(&self, sentence: &str) -> bool {
        let Some(place) = self.form.query_selector(".err").ok().flatten() else { return false };
        place.set_text_content(Some(sentence));
        if let Some(field) = self.field() {
            set(&field, "aria-invalid", Some(if sentence.is_empty() { "false" } else { "true" }));
        }
        true
    }
}

/// Sends a form and reads the answer as a server function's own caller does; and where a form would be led, which follows the operation
/// behind the answer.
pub async fn post(action: &str, body: String) -> (Result<(), AppError>, String) {
    let sent = async {
        let request: BrowserRequest =
            ClientReq::<AppError>::try_new_post(action, "application/x-www-form-urlencoded", "application/json", body)?;
        let response = <BrowserClient as Client<AppError>>::send(request).await?;
        let (is_error, location) = (ClientRes::<AppError>::status(&response) >= 400, ClientRes::<AppError>::location(&response));
        // an answer that is not read to its end keeps its connection
        let bytes = ClientRes::<AppError>::try_into_bytes(response).await?;
        Ok((if is_error { Err(AppError::de(bytes)) } else { Ok(()) }, location))
    };
    sent.await.unwrap_or_else(|error: AppError| (Err(error), String::new()))
}

/// What comes of some work, where it comes in time.
pub async fn within<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    let over = Promise::new(&mut |done, _| {
        let millis = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        // fails for no function
        let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(&done, millis);
    });
    let (mut work, mut over) = (pin!(work), pin!(JsFuture::from(over)));
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => over.as_mut().poll(context).map(|_| None),
    })
    .await
}

/// Listens to a stream while this tab is on screen, word by word. Where it comes back to the screen, or was refused for a while, there is
/// news about everything ([`paths::LIVE_EVERYTHING`]): what happened meanwhile was not heard.
pub fn follow(path: &'static str, tell: impl Fn(&str) + Clone + 'static) {
    let stream = StoredValue::new_local(None::<EventSource>);
    // how often, since it was open last
    let refused = StoredValue::new(0_u32);
    let callbacks = StoredValue::new_local(Vec::<Function>::new());
    let open = move || {
        let Ok(source) = EventSource::new(path) else { return };
        callbacks.with_value(|callbacks| {
            source.set_onmessage(callbacks.first());
            source.set_onopen(callbacks.get(1));
            source.set_onerror(callbacks.get(2));
        });
        stream.set_value(Some(source));
    };
    let heard = tell.clone();
    let hear = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| heard(&event.data().as_string().unwrap_or_default()));
    let opened = tell.clone();
    let opened = Closure::<dyn Fn()>::new(move || {
        if refused.try_update_value(std::mem::take).is_some_and(|times| times > 0) {
            opened(paths::LIVE_EVERYTHING);
        }
    });
    let failed = Closure::<dyn Fn()>::new(move || {
        // after a break the browser comes back by itself; an answer that is no stream, as a proxy sends it, is the end of it
        let is_over = stream.with_value(|stream| stream.as_ref().is_some_and(|source| source.ready_state() == EventSource::CLOSED));
        if !is_over {
            return;
        }
        stream.set_value(None);
        let times = refused.get_value();
        refused.set_value(times + 1);
        let wait = AGAIN_AT_MOST.min(AGAIN << times.min(8));
        let again = move || {
            if is_visible() && stream.with_value(Option::is_none) {
                open();
            }
        };
        set_timeout(again, Duration::from_secs(wait));
    });
    // with the tab
    callbacks.set_value([hear.into_js_value(), opened.into_js_value(), failed.into_js_value()].map(JsCast::unchecked_into).into());
    if is_visible() {
        open();
    }
    let follow = move || {
        let is_open = stream.with_value(Option::is_some);
        if is_visible() && !is_open {
            open();
            tell(paths::LIVE_EVERYTHING);
        } else if !is_visible() {
            stream.update_value(|stream| stream.take().iter().for_each(EventSource::close));
        }
    };
    let shown = follow.clone();
    listen(&document(), "visibilitychange", move |_: Event| shown());
    // a page that is kept for the way back has no stream
    let hide = move |_: Event| stream.update_value(|stream| stream.take().iter().for_each(EventSource::close));
    listen(&window(), "pagehide", hide);
    listen(&window(), "pageshow", move |_: Event| follow());
}

/// Listens for as long as the tab lives.
pub fn listen<E: FromWasmAbi + 'static>(target: &EventTarget, name: &str, hear: impl FnMut(E) + 'static) {
    let hear = Closure::<dyn FnMut(E)>::new(hear);
    // fails for no name and no closure
    let _ = target.add_event_listener_with_callback(name, hear.as_ref().unchecked_ref());
    hear.forget();
}

/// Where a form leads that only asks: fields without a value are left out.
pub fn address_of(form: &HtmlFormElement) -> String {
    let action = form.get_attribute("action").unwrap_or_default();
    let asked = FormData::new_with_form(form).ok().and_then(|data| UrlSearchParams::new_with_str_sequence_sequence(&data).ok());
    let query = asked.map(|asked| String::from(asked.to_string())).unwrap_or_default();
    let query: Vec<&str> = query.split('&').filter(|pair| !pair.ends_with('=') || *pair == "desc=").collect();
    if query.is_empty() { action } else { format!("{action}?{}", query.join("&")) }
}

/// An element by a selector of ours.
pub fn find(selector: &str) -> Option<Element> {
    document().query_selector(selector).ok().flatten()
}

/// All elements by a selector of ours, within another.
pub fn find_all(within: &Element, selector: &str) -> Vec<Element> {
    let Ok(found) = within.query_selector_all(selector) else { return Vec::new() };
    (0..found.length()).filter_map(|index| found.item(index)?.dyn_into().ok()).collect()
}

/// The nearest element around the one that an event is about.
pub fn around(event: &Event, selector: &str) -> Option<Element> {
    let target: Element = event.target()?.dyn_into().ok()?;
    target.closest(selector).ok().flatten()
}

/// Sets an attribute, or takes it away.
pub fn set(element: &Element, name: &str, value: Option<&str>) {
    // fails only for a name that is no name
    let _ = match value {
        Some(value) => element.set_attribute(name, value),
        None => element.remove_attribute(name),
    };
}

/// Whether an element has the focus.
pub fn has_focus(element: &Element) -> bool {
    document().active_element().is_some_and(|now| now.is_same_node(Some(element)))
}

/// Puts the focus on an element.
pub fn focus(element: &Element) {
    if let Some(element) = element.dyn_ref::<HtmlElement>() {
        // fails only where it is gone
        let _ = element.focus();
    }
}

/// The same, and nothing scrolls: nobody has asked for that.
pub fn focus_in_place(element: &Element) {
    let options = Object::new();
    // fails for what is no object
    let _ = Reflect::set(&options, &"preventScroll".into(), &true.into());
    if element.has_type::<HtmlElement>() {
        element.unchecked_ref::<Focusable>().focus(&options);
    }
}

/// Marks the document as taken over. The browser tests wait for it.
pub fn mark_ready() {
    request_animation_frame(|| {
        if let Some(html) = document().document_element() {
            set(&html, "data-ready", Some(""));
        }
    });
}
