//! A list of any length: the rows on screen are there, the others leave their room, and come when they are scrolled to. The keyboard
//! walks it and reaches every row.
//!
//! The server says by `data-from` and `data-total` at `#rows` which part of the list a page has; `#above` and `#below` are the room of the
//! rest. A page without this program has links to its parts instead. Where the rows are cards, several may stand side by side in a line.

use super::{
    browser::{self, around, find, find_all, focus, set},
    menu, navigation,
    place::Place,
    selection,
};
use crate::{preferences::model::Layout, ui::toasts::Toasts};
use leptos::prelude::{GetValue, StoredValue, UpdateValue, document, request_animation_frame, set_timeout, window};
use std::time::Duration;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement, HtmlInputElement, KeyboardEvent};

/// Rows that are kept above and below those on screen.
const MARGIN: usize = 20;
/// Rows above and below the screen that are to be there, else others are asked for.
const NEAR: usize = 12;
/// A search waits this long for the next letter.
const WRITING: Duration = Duration::from_millis(150);
/// A window that is asked for has this many rows at least.
const LEAST: usize = 50;

/// Listens to scrolling and to the keyboard.
pub fn listen(place: Place, toasts: Toasts) {
    let is_waiting = StoredValue::new(false);
    let scrolled = move |_: Event| {
        if is_waiting.try_update_value(|waiting| std::mem::replace(waiting, true)) == Some(false) {
            request_animation_frame(move || {
                is_waiting.update_value(|waiting| *waiting = false);
                if wants_more() {
                    place.look_again();
                }
            });
        }
    };
    browser::listen(&window(), "scroll", scrolled);
    let resized = move |event: Event| {
        arrange();
        scrolled(event);
    };
    browser::listen(&window(), "resize", resized);
    browser::listen(&document(), "keydown", move |event| pressed(event, toasts));
    let turn = StoredValue::new(0);
    browser::listen(&document(), "input", move |event: Event| searched(&event, turn, place));
    arrange();
    if wants_more() {
        place.look_again();
    }
}

/// Whether rows are missing on the screen, or close to it.
pub fn wants_more() -> bool {
    Part::on_screen().is_some_and(|part| part.wants_more())
}

/// The part of the list that a page has, and what of it is on screen. In rows.
struct Part {
    from: usize,
    count: usize,
    total: usize,
    first: usize,
    last: usize,
    lines: Lines,
}

/// How rows stand: side by side in lines, each as far below the one before. All have the same height.
#[derive(Clone, Copy)]
struct Lines {
    columns: usize,
    /// In pixels.
    pitch: f64,
}

impl Lines {
    fn of(rows: &Element) -> Self {
        let top = |row: &Element| row.get_bounding_client_rect().top();
        let all = find_all(rows, "tr");
        let first = all.first().map(top).unwrap_or_default();
        let columns = all.iter().position(|row| top(row) > first + 1.0);
        let next = columns.map(|columns| top(&all[columns]) - first);
        let height = || all.first().map(|row| row.get_bounding_client_rect().height());
        Self { columns: columns.unwrap_or(1), pitch: next.or_else(height).filter(|pitch| *pitch > 1.0).unwrap_or(36.0) }
    }

    /// How many lines so many rows have.
    fn count(self, rows: usize) -> usize {
        rows.div_ceil(self.columns)
    }
}

impl Part {
    fn on_screen() -> Option<Self> {
        let rows = find("#rows")?;
        let number = |name: &str| rows.get_attribute(name)?.parse::<usize>().ok();
        let (from, total) = (number("data-from")?, number("data-total")?);
        let lines = Lines::of(&rows);
        let above = find("#above")?.get_bounding_client_rect().top();
        let line = |y: f64| ((y - above) / lines.pitch).max(0.0) as usize;
        let bottom = window().inner_height().ok()?.as_f64()?;
        let (first, last) = (line(0.0) * lines.columns, (line(bottom) + 1) * lines.columns);
        Some(Self { from, count: find_all(&rows, "tr").len(), total, first: first.min(total), last: last.min(total), lines })
    }

    fn wants_more(&self) -> bool {
        let to = self.from + self.count;
        let is_askew = !self.from.is_multiple_of(self.lines.columns);
        self.first.saturating_sub(NEAR) < self.from && self.from > 0 || (self.last + NEAR).min(self.total) > to || is_askew
    }

    /// What to ask for: where none of the screen is there, the screen at first, so that no task takes long, and then what is missing on one
    /// side, and on the other.
    fn window(&self) -> (usize, usize) {
        let end = self.from + self.count;
        if self.last <= self.from || self.first >= end {
            return (self.first, self.last - self.first);
        }
        let from = self.first.saturating_sub(MARGIN);
        let from = from - from % self.lines.columns;
        let to = (self.last + MARGIN).max(from + LEAST);
        let is_missing_on_both_sides = from < self.from && end < to.min(self.total);
        let from = if is_missing_on_both_sides { self.from - self.from % self.lines.columns } else { from };
        (from, to - from)
    }
}

/// The address of the list with the part of it that is on screen; any other address as it is.
pub fn with_window(address: &str, is_another: bool) -> String {
    match Part::on_screen() {
        Some(part) if !is_another => {
            let (from, count) = part.window();
            format!("{address}{}from={from}&count={count}", if address.contains('?') { "&" } else { "?" })
        }
        _ => address.to_owned(),
    }
}

/// Gives the rows that are not there their room, and says to who does not see it which ones are there, and how they stand.
pub fn arrange() {
    let Some(part) = Part::on_screen() else { return };
    let rows = find("#rows").map(|rows| find_all(&rows, "tr")).unwrap_or_default();
    for (row, index) in rows.iter().zip(part.from + 2..) {
        // the first is the head
        mark(row, "aria-rowindex", &index.to_string());
    }
    if let Some(rows) = find("#rows")
        && let Ok(Some(style)) = window().get_computed_style(&rows)
    {
        // rows are lines of a table, or of two lines each on a phone
        let is_cards = style.get_property_value("display").is_ok_and(|display| display == "grid");
        let pressed = |button: &Element| (button.get_attribute("value").as_deref() == Some(Layout::Cards.word())) == is_cards;
        let buttons = document().body().map(|body| find_all(&body, ".layouts button")).unwrap_or_default();
        buttons.iter().for_each(|button| mark(button, "aria-pressed", &pressed(button).to_string()));
    }
    let below = part.total.saturating_sub(part.from + part.count);
    for (selector, rows) in [("#above td", part.from), ("#below td", below)] {
        if let Some(room) = find(selector).and_then(|room| room.dyn_into::<HtmlElement>().ok()) {
            // fails only for a property that is none
            let _ = room.style().set_property("height", &format!("{}px", part.lines.count(rows) as f64 * part.lines.pitch));
        }
    }
}

/// Sets what is not so already.
fn mark(element: &Element, name: &str, value: &str) {
    if element.get_attribute(name).as_deref() != Some(value) {
        set(element, name, Some(value));
    }
}

/// The field says what is searched for: somebody may have written in it before they went to another view, by a link. Who writes in it goes
/// on.
pub fn say_search() {
    let field = find("[data-search]").and_then(|field| field.dyn_into::<HtmlInputElement>().ok());
    if let Some(field) = field.filter(|field| !browser::has_focus(field)) {
        field.set_value(&field.get_attribute("value").unwrap_or_default());
    }
}

/// A search is done while it is written, and its address follows.
fn searched(event: &Event, turn: StoredValue<u32>, place: Place) {
    let Some(input) = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok()) else { return };
    if !input.has_attribute("data-search") {
        return;
    }
    turn.update_value(|turn| *turn = turn.wrapping_add(1));
    let (own, moves) = (turn.get_value(), place.moves());
    set_timeout(
        move || {
            // who has gone on meanwhile is not brought back
            if (turn.get_value(), place.moves()) == (own, moves)
                && let Some(form) = input.form()
            {
                navigation::replace(browser::address_of(&form), place);
            }
        },
        WRITING,
    );
}

/// Keys of the list. None of them while somebody writes, or with a modifier.
fn pressed(event: KeyboardEvent, toasts: Toasts) {
    if event.ctrl_key() || event.meta_key() || event.alt_key() || event.default_prevented() {
        return;
    }
    let is_writing = around(&event, "input:not([type=checkbox]), textarea, select").is_some();
    if is_writing && event.key() == "Escape" {
        // it would empty a search
        event.prevent_default();
        if let Some(field) = document().active_element().and_then(|field| field.dyn_into::<HtmlElement>().ok()) {
            // fails only where it has no focus
            let _ = field.blur();
        }
        return;
    }
    if is_writing || find(":popover-open, dialog[open]").is_some() {
        return;
    }
    let key = event.key();
    // a single letter is a letter where the keys are switched off
    if key.chars().count() == 1 && find("[data-keys=off]").is_some() {
        return;
    }
    let is_done = match key.as_str() {
        "/" => find("[data-search]").map(|search| focus(&search)).is_some(),
        "ArrowDown" => line(1),
        "ArrowUp" => line(-1),
        "ArrowRight" if side_by_side() => step(1),
        "ArrowLeft" if side_by_side() => step(-1),
        "j" => step(1),
        "k" => step(-1),
        "x" => row_with_focus().is_some_and(|row| selection::toggle(&row, toasts)),
        "Escape" => selection::clear(toasts),
        "." => row_with_focus().and_then(|row| find_all(&row, "[data-menu]").pop()).map(menu::open).is_some(),
        _ => false,
    };
    if is_done {
        event.prevent_default();
    }
}

fn row_with_focus() -> Option<Element> {
    document().active_element()?.closest("#rows > tr").ok().flatten()
}

fn side_by_side() -> bool {
    find("#rows").is_some_and(|rows| Lines::of(&rows).columns > 1)
}

/// To the next line, or the one before.
fn line(by: isize) -> bool {
    let columns = find("#rows").map_or(1, |rows| Lines::of(&rows).columns);
    // the first step goes to the first row
    step(if row_with_focus().is_some() { by * columns.cast_signed() } else { by })
}

/// To the next row, or the one before: the focus is on its name, so that Enter opens it.
fn step(by: isize) -> bool {
    let Some(rows) = find("#rows") else { return false };
    let all = find_all(&rows, "tr");
    let current = all.iter().position(|row| row.contains(document().active_element().as_deref()));
    // without a row, an arrow scrolls
    let next = match (current, by) {
        (Some(current), _) => current.checked_add_signed(by),
        (None, 1..) => all.iter().position(|row| row.get_bounding_client_rect().top() >= 0.0),
        _ => None,
    };
    let Some(row) = next.and_then(|next| all.get(next)) else { return false };
    find_all(row, ".name").first().is_some_and(|name| {
        focus(name);
        true
    })
}
