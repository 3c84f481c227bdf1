//! The crosshair of charts: by mouse, and by the arrow keys with a chart focused.
//!
//! A chart is an element `.ch` that the server made. Its `data-points` has the places of its points, of 1000 from the top: one list for
//! each series, joined by `|`, with `-` where nothing was measured. The values as texts stand in the table `data-table`: point n in row n,
//! the series in the columns `data-columns`. So nothing is computed here, and the words are the server's.

use super::browser;
use leptos::prelude::document;
use std::cell::RefCell;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement, KeyboardEvent, MouseEvent};

thread_local! {
    /// The chart that shows its crosshair, by its id, and at which point.
    static SHOWN: RefCell<Option<(String, usize)>> = const { RefCell::new(None) };
}

/// Listens to all charts, also to those that come later. To be called once.
pub fn listen() {
    browser::listen(&document(), "mousemove", |event: MouseEvent| match chart_of(&event) {
        Some(chart) => show(&chart, |count| Some(place_under(&chart, &event, count))),
        None => hide_unless_focused(),
    });
    browser::listen(&document(), "focusin", |event: Event| {
        if let Some(chart) = chart_of(&event) {
            // one that was put in place anew goes on where it was
            let last = SHOWN.with_borrow(|shown| shown.as_ref().filter(|(id, _)| *id == chart.id()).map(|(_, index)| *index));
            show(&chart, |count| last.or(count.checked_sub(1)));
        }
    });
    browser::listen(&document(), "focusout", |event: Event| {
        if let Some(chart) = chart_of(&event) {
            hide(&chart);
        }
    });
    browser::listen(&document(), "keydown", |event: KeyboardEvent| {
        let Some(chart) = chart_of(&event) else { return };
        let at = SHOWN.with_borrow(|shown| shown.as_ref().map_or(0, |(_, index)| *index));
        let to = move |count: usize| {
            match event.key().as_str() {
                "ArrowLeft" => Some(at.saturating_sub(1)),
                "ArrowRight" => Some(at + 1),
                "PageUp" => Some(at.saturating_sub(10)),
                "PageDown" => Some(at + 10),
                "Home" => Some(0),
                "End" => count.checked_sub(1),
                _ => None,
            }
            .inspect(|_| event.prevent_default())
        };
        show(&chart, to);
    });
}

/// A chart was put in place anew: one with the focus shows its crosshair where it was.
pub fn refresh() {
    let shown = SHOWN.with_borrow(Clone::clone);
    let focused = document().active_element().and_then(|focused| focused.dyn_into::<HtmlElement>().ok());
    if let (Some((id, index)), Some(chart)) = (shown, focused)
        && chart.id() == id
    {
        show(&chart, |_| Some(index));
    }
}

fn chart_of(event: &Event) -> Option<HtmlElement> {
    browser::around(event, ".ch")?.dyn_into().ok()
}

/// The point that is nearest to the mouse.
fn place_under(chart: &HtmlElement, event: &MouseEvent, count: usize) -> usize {
    let Some(plot) = find(chart, ".plot") else { return 0 };
    let plot = plot.get_bounding_client_rect();
    let share = ((f64::from(event.client_x()) - plot.left()) / plot.width().max(1.0)).clamp(0.0, 1.0);
    (share * count.saturating_sub(1) as f64).round() as usize
}

fn find(chart: &Element, what: &str) -> Option<Element> {
    chart.query_selector(what).ok().flatten()
}

/// Shows the crosshair at a point of `count`.
fn show(chart: &HtmlElement, place: impl FnOnce(usize) -> Option<usize>) {
    let points = chart.get_attribute("data-points").unwrap_or_default();
    let series: Vec<Vec<&str>> = points.split('|').map(|list| list.split(' ').collect()).collect();
    let count = series.first().map_or(0, Vec::len);
    let Some(index) = place(count).map(|index| index.min(count.saturating_sub(1))) else { return };
    let before = SHOWN.with_borrow_mut(|shown| shown.replace((chart.id(), index)));
    if let Some((id, _)) = before
        && id != chart.id()
        && let Some(other) = document().get_element_by_id(&id)
    {
        lower(&other);
    }
    let share = index as f64 / count.saturating_sub(1).max(1) as f64 * 100.0;
    let x = format!("{share:.2}%");
    set(find(chart, ".cross"), &[("x1", &x), ("x2", &x)]);
    if let Ok(dots) = chart.query_selector_all(".dot") {
        for (number, places) in series.iter().enumerate() {
            let dot = dots.get(number as u32).and_then(|dot| dot.dyn_into::<Element>().ok());
            // outside of the plot where nothing was measured
            let y = places[index].parse::<f64>().map_or_else(|_| "-9999".to_owned(), |y| format!("{:.1}%", y / 10.0));
            set(dot, &[("cx", &x), ("cy", &y)]);
        }
    }
    if let Some(tip) = find(chart, ".ch-tip").and_then(|tip| tip.dyn_into::<HtmlElement>().ok()) {
        tip.set_text_content(Some(&text(chart, index).unwrap_or_default()));
        // beside the line, on the side where there is room
        let (near, far, place) = if share < 55.0 { ("left", "right", share) } else { ("right", "left", 100.0 - share) };
        let style = tip.style();
        // these fail only for a property that is none
        let _ = style.set_property(near, &format!("calc({place:.2}% + 8px)"));
        let _ = style.set_property(far, "auto");
    }
    browser::set(chart, "data-on", Some(""));
}

fn set(element: Option<Element>, attributes: &[(&str, &str)]) {
    let Some(element) = element else { return };
    attributes.iter().for_each(|(name, value)| browser::set(&element, name, Some(value)));
}

/// What the table says of a point: its time, and each series with its name.
fn text(chart: &Element, index: usize) -> Option<String> {
    let table = document().get_element_by_id(&chart.get_attribute("data-table")?)?;
    let cell = |row: &str, column: usize| {
        let cell = table.query_selector(&format!("{row} > :nth-child({})", column + 1)).ok().flatten();
        cell.and_then(|cell| cell.text_content()).unwrap_or_default()
    };
    let row = format!("tbody > tr:nth-child({})", index + 1);
    let mut lines = vec![cell(&row, 0)];
    for column in chart.get_attribute("data-columns")?.split(' ').filter_map(|column| column.parse().ok()) {
        lines.push(format!("{}  {}", cell("thead > tr", column), cell(&row, column)));
    }
    Some(lines.join("\n"))
}

fn hide(chart: &Element) {
    SHOWN.with_borrow_mut(|shown| {
        // where it stood is remembered, for when it is put in place anew with the focus on it
        if shown.as_ref().is_some_and(|(id, _)| *id != chart.id()) {
            *shown = None;
        }
    });
    lower(chart);
}

fn lower(chart: &Element) {
    browser::set(chart, "data-on", None);
}

/// The mouse is elsewhere: a chart with the focus keeps its crosshair.
fn hide_unless_focused() {
    let shown = SHOWN.with_borrow(|shown| shown.as_ref().map(|(id, _)| id.clone()));
    let Some(chart) = shown.and_then(|id| document().get_element_by_id(&id)) else { return };
    if document().active_element().as_ref() != Some(&chart) {
        lower(&chart);
    }
}
