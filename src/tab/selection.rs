//! What is selected in the list: containers by their ids, whatever of the list is on screen, or all that fit the query but for some.
//!
//! Without this program the boxes are ticked and sent as they are. Here the bar says for how many each verb is, as far as their rows have
//! been on screen, and leads to the question with the ids, or with the query.

use super::browser::{self, Submission, around, find, find_all, focus_in_place, set};
use crate::{
    batches::model::MOST_BY_ID,
    operations::model::Verb,
    paths,
    ui::{format, toasts::Toasts},
};
use leptos::prelude::document;
use std::cell::RefCell;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlInputElement, MouseEvent, SubmitEvent};

#[derive(Default)]
struct Selection {
    /// All that fit are selected, and those below are not.
    is_all: bool,
    /// What all of them fit. Of another search it would be others.
    search: String,
    /// What was ticked, or left out of all: what is allowed with each, as its row said last.
    ids: Vec<(String, u8)>,
    /// The row that was ticked last, from which a range goes.
    last: String,
}

thread_local! {
    static SELECTION: RefCell<Selection> = RefCell::default();
}

/// Listens to the boxes, and to the bar.
pub fn listen(toasts: Toasts) {
    // what was ticked before there was a program
    rows().iter().filter(|row| tick(row).is_some_and(|tick| tick.checked())).for_each(|row| select(row, true));
    browser::listen(&document(), "click", move |event: MouseEvent| {
        if around(&event, "[data-clear]").is_some() {
            clear(toasts);
        } else if let Some(head) = around(&event, "#select-all").and_then(|head| head.dyn_into::<HtmlInputElement>().ok()) {
            let is_all = head.checked();
            SELECTION.with_borrow_mut(|selection| *selection = Selection { is_all, search: search(), ..Selection::default() });
            show(toasts);
        } else if around(&event, ".c-sel input").is_some()
            && let Some(row) = around(&event, "#rows > tr")
        {
            let is_ticked = tick(&row).is_some_and(|tick| tick.checked());
            if event.shift_key() {
                select_range(&row, is_ticked)
            } else {
                select(&row, is_ticked)
            }
            show(toasts);
        }
    });
    browser::listen(&document(), "submit", move |event: SubmitEvent| {
        let Some(form) = Submission::of(&event).filter(|form| form.action() == paths::bulk()) else { return };
        event.prevent_default();
        if !form.is_disabled() {
            browser::leave_for(&question(&form.value("verb")));
        }
    });
    arrange();
}

/// Ticks a row, or takes its tick away: the key `x`.
pub fn toggle(row: &Element, toasts: Toasts) -> bool {
    let is_ticked = tick(row).is_some_and(|tick| tick.checked());
    select(row, !is_ticked);
    show(toasts);
    true
}

/// Nothing is selected any more; false where nothing was.
pub fn clear(toasts: Toasts) -> bool {
    let is_any = SELECTION.with_borrow(|selection| selection.is_all || !selection.ids.is_empty());
    if is_any {
        let last = SELECTION.with_borrow(|selection| selection.last.clone());
        let is_in_bar = find("#bulk").is_some_and(|bar| bar.contains(document().active_element().as_deref()));
        forget();
        show(toasts);
        // the bar has gone
        if is_in_bar && let Some(name) = find(&format!("#r-{last} .name")).or_else(|| find("#rows .name")) {
            focus_in_place(&name);
        }
    }
    is_any
}

/// The same without a word.
pub fn forget() {
    SELECTION.with_borrow_mut(|selection| *selection = Selection::default());
}

fn rows() -> Vec<Element> {
    find("#rows").map(|rows| find_all(&rows, "tr")).unwrap_or_default()
}

fn tick(row: &Element) -> Option<HtmlInputElement> {
    row.query_selector(".c-sel input").ok()??.dyn_into().ok()
}

fn id_of(row: &Element) -> String {
    row.id().trim_start_matches("r-").to_owned()
}

fn allowed(row: &Element) -> u8 {
    row.get_attribute("data-may").and_then(|allowed| allowed.parse().ok()).unwrap_or_default()
}

fn select(row: &Element, is_selected: bool) {
    SELECTION.with_borrow_mut(|selection| {
        selection.last = id_of(row);
        selection.ids.retain(|(id, _)| *id != selection.last);
        if is_selected != selection.is_all {
            selection.ids.push((selection.last.clone(), allowed(row)));
        }
    });
}

/// From the row that was ticked last to this one, as far as they are on screen.
fn select_range(row: &Element, is_selected: bool) {
    let rows = rows();
    let last = SELECTION.with_borrow(|selection| selection.last.clone());
    let from = rows.iter().position(|other| id_of(other) == last);
    let to = rows.iter().position(|other| other.is_same_node(Some(row)));
    match (from, to) {
        (Some(from), Some(to)) => rows[from.min(to)..=from.max(to)].iter().for_each(|row| select(row, is_selected)),
        _ => select(row, is_selected),
    }
}

fn show(toasts: Toasts) {
    let said = arrange();
    toasts.announce(said.unwrap_or_else(|| "Nothing is selected.".to_owned()));
}

/// Shows in the rows that are there, and in the bar, what is selected; and answers with that in words, where something is.
pub fn arrange() -> Option<String> {
    let bar = find("#bulk")?;
    let total = find("#rows")?.get_attribute("data-total")?.parse::<usize>().ok()?;
    SELECTION.with_borrow_mut(|selection| {
        if selection.is_all && selection.search != search() {
            *selection = Selection::default();
        }
        let Selection { is_all, ids, .. } = selection;
        for row in rows() {
            let id = id_of(&row);
            let known = ids.iter_mut().find(|(known, _)| *known == id);
            let is_selected = known.is_some() != *is_all;
            if let Some((_, known)) = known {
                *known = allowed(&row);
            }
            set(&row, "aria-selected", is_selected.then_some("true"));
            if let Some(tick) = tick(&row) {
                tick.set_checked(is_selected);
            }
        }
        let count = if *is_all { total.saturating_sub(ids.len()) } else { ids.len() };
        if let Some(head) = find("#select-all").and_then(|head| head.dyn_into::<HtmlInputElement>().ok()) {
            head.set_checked(*is_all && ids.is_empty());
            head.set_indeterminate(count > 0 && !(*is_all && ids.is_empty()));
        }
        set(&bar, "data-selected", (count > 0).then_some(""));
        let is_too_many = ids.len() > MOST_BY_ID;
        let said = match is_too_many {
            true => format!("{} selected: at most {MOST_BY_ID} one by one", format::count(count)),
            false => format!("{} selected", format::count(count)),
        };
        find_all(&bar, ".said").iter().for_each(|place| place.set_text_content(Some(&said)));
        for button in find_all(&bar, "[name=verb]") {
            let verb = button.get_attribute("value");
            let place = Verb::ALL.iter().position(|other| Some(other.to_string()) == verb).unwrap_or_default();
            // of those that fit, and were not on screen, the question says it
            let number = (!*is_all).then(|| ids.iter().filter(|(_, allowed)| allowed >> place & 1 == 1).count());
            find_all(&button, ".n").iter().for_each(|n| n.set_text_content(number.map(format::count).as_deref()));
            set(&button, "aria-disabled", (is_too_many || number == Some(0)).then_some("true"));
            set(&button, "title", (number == Some(0)).then_some("It can be done to none of them now"));
        }
        (count > 0).then_some(said)
    })
}

/// The search in the address, as one more pair of an address has it.
fn search() -> String {
    let here = browser::here();
    let query = here.split_once('?').map(|(_, query)| query).unwrap_or_default();
    query.split('&').find(|pair| pair.starts_with("q=")).map(|pair| format!("&{pair}")).unwrap_or_default()
}

/// Where a verb leads for what is selected.
fn question(verb: &str) -> String {
    SELECTION.with_borrow(|selection| {
        let name = if selection.is_all { "&not=" } else { "&id=" };
        let mut address = format!("{}?verb={verb}", paths::bulk());
        if selection.is_all {
            address += "&all";
            address += &selection.search;
        }
        for (id, _) in &selection.ids {
            address += name;
            address += id;
        }
        address
    })
}
