//! Forms: what is pressed shows at once, and is answered where it was pressed.
//!
//! Every form is a real one. Where there is a tab's program it takes the submission of a verb: the row shows that something is under way,
//! and the answer makes the page look again. How the operation stands, the page knows from the operation itself, by its id, in this tab
//! as in any other (DESIGN §8.17).

use super::{
    browser::{self, Submission, find_all, set},
    list,
    place::Place,
    selection,
};
use crate::{
    error::AppError,
    operations::model::Verb,
    paths,
    preferences::model::{Keys, Layout, Theme},
    ui::toasts::Toasts,
};
use leptos::{prelude::*, task::spawn_local};
use web_sys::{Element, SubmitEvent};

/// Takes the submissions of the whole document.
pub fn listen(place: Place, toasts: Toasts) {
    browser::listen(&document(), "submit", move |event: SubmitEvent| {
        let Some(form) = Submission::of(&event) else { return };
        if form.action() == Theme::ACTION {
            event.prevent_default();
            return switch_theme(&form);
        }
        if form.action() == Keys::ACTION {
            event.prevent_default();
            return switch_keys(&form);
        }
        if form.action() == Layout::ACTION {
            event.prevent_default();
            return switch_layout(&form, place);
        }
        if form.action() == paths::RUN_BATCH {
            event.prevent_default();
            return ask(form, place, toasts);
        }
        let Some(verb) = Verb::ALL.into_iter().find(|verb| form.action() == verb.action()) else { return };
        event.prevent_default();
        let id = form.value("id");
        if form.is_disabled() || !place.send(&id, Some(verb)) {
            return;
        }
        form.close_menu();
        form.mark(true);
        let name = match form.data("name") {
            // a row says it once
            name if name.is_empty() => browser::find(&format!("#r-{id} .name")).and_then(|name| name.text_content()).unwrap_or_default(),
            name => name,
        };
        toasts.announce(format!("{name}: {}", verb.under_way()));
        form.accept();
        shows(&id, verb);
        spawn_local(async move {
            let (answer, location) = browser::post(form.action(), form.body()).await;
            let operation = paths::operation_in(&location);
            form.mark(false);
            place.answered(&id);
            match answer {
                // the page of a question has no more to say
                Ok(()) if !form.data("then").is_empty() => return browser::leave_for(&location),
                Ok(()) => operation.iter().for_each(|operation| place.tell_of(operation)),
                Err(AppError::SignedOut) => return browser::leave_for(&paths::login_then(&browser::here())),
                Err(AppError::IdentityUnclear { .. }) => {
                    return browser::leave_for(&confirmation(&id, verb, form.value("graceful_only") == "true"));
                }
                // what is wrong with the field stands beside it, and with all else the field has nothing to do
                Err(error @ AppError::Invalid { .. }) if form.refuse(&error.to_string()) => {}
                Err(error) => {
                    operation.iter().for_each(|operation| place.has_told(operation));
                    let link = operation.as_ref().map(paths::operation);
                    toasts.fail(format!("{} failed for {name}.", verb.label()), Some(error), link);
                }
            }
            place.look_again();
        });
    });
}

/// Where a verb is asked for that needs the name typed: nothing else tells whether this is still the same container.
fn confirmation(id: &str, verb: Verb, is_graceful: bool) -> String {
    let Ok(id) = id.parse() else { return paths::home().to_owned() };
    // what was never to stop hard is asked for so again
    if verb == Verb::Shutdown && is_graceful { paths::confirm_graceful(&id) } else { paths::confirm(&id, verb) }
}

/// Sends the question about many containers, and goes to the page that follows them.
fn ask(form: Submission, place: Place, toasts: Toasts) {
    if form.is_disabled() || !place.send(paths::RUN_BATCH, None) {
        return;
    }
    form.mark(true);
    form.accept();
    spawn_local(async move {
        let (answer, location) = browser::post(form.action(), form.body()).await;
        form.mark(false);
        place.answered(paths::RUN_BATCH);
        match answer {
            Ok(()) => {
                selection::forget();
                browser::leave_for(&location);
            }
            Err(AppError::SignedOut) => browser::leave_for(&paths::login_then(&browser::here())),
            Err(error @ AppError::Invalid { .. }) if form.refuse(&error.to_string()) => {}
            Err(error) => toasts.fail("Nothing was begun.".to_owned(), Some(error), None),
        }
    });
}

/// Shows in every place of a container that a verb is under way, until the server says more.
pub fn shows(id: &str, verb: Verb) {
    let Some(body) = document().body() else { return };
    for row in find_all(&body, &format!("#r-{id}, [data-row='{id}']")) {
        // it is not what the server said any more
        set(&row, "data-h", None);
        for word in find_all(&row, "[data-word]") {
            word.set_text_content(Some(verb.under_way()));
            word.set_class_name("w-pending");
        }
        // what was more urgent than the word
        find_all(&row, ".r-only").iter().for_each(Element::remove);
        for glyph in find_all(&row, "[data-glyph]") {
            set(&glyph, "class", Some("g g-pending"));
            find_all(&glyph, "use").iter().for_each(|shape| set(shape, "href", Some("#s-pending")));
        }
        let why = format!("{} Allowed again when that ends.", verb.under_way());
        for button in find_all(&row, "[formaction]") {
            set(&button, "aria-disabled", Some("true"));
            set(&button, "title", Some(&why));
        }
    }
}

/// Shows a theme at once, and keeps it in the cookie.
fn switch_theme(form: &Submission) {
    let theme = Theme::of_cookie(&form.value("theme"));
    shows_in_page("data-theme", theme.attribute());
    browser::set_cookie(&theme.cookie());
    turned(Theme::ACTION, theme.next().word(), theme.label(), theme.title());
}

/// The same of the keys.
fn switch_keys(form: &Submission) {
    let keys = Keys::of_word(&form.value("keys"));
    shows_in_page("data-keys", keys.attribute());
    browser::set_cookie(&keys.cookie());
    turned(Keys::ACTION, keys.next().word(), keys.label(), keys.title());
}

fn shows_in_page(name: &str, value: Option<&str>) {
    if let Some(html) = document().document_element() {
        set(&html, name, value);
    }
}

/// A switch was turned: the same one may stand in several places.
fn turned(action: &str, next: &str, now: &str, title: &str) {
    let Some(body) = document().body() else { return };
    for form in find_all(&body, &format!("form[action='{action}']")) {
        find_all(&form, "input").iter().for_each(|input| set(input, "value", Some(next)));
        find_all(&form, "button").iter().for_each(|button| set(button, "title", Some(title)));
        find_all(&form, ".n").iter().for_each(|word| word.set_text_content(Some(now)));
    }
}

/// Shows the list in rows or in cards at once, and keeps it in the cookie.
fn switch_layout(form: &Submission, place: Place) {
    let Some(layout) = Layout::of_word(&form.value("layout")) else { return };
    shows_in_page("data-layout", Some(layout.word()));
    browser::set_cookie(&layout.cookie());
    list::arrange();
    if list::wants_more() {
        place.look_again();
    }
}
