//! Makes what is on screen the same as what the server says now, by the least changes: what is the same stays the same element, with its
//! focus, its selection and what is open in it.
//!
//! Elements are told apart by their `id`. One whose `data-h` is the same as before is the same all through, whatever else is in it. One
//! that comes with its `data-h` alone is said to be here: where it has become another meanwhile, by a press or by another answer, it is left
//! as it is, and is to be asked for again. What people have opened (`details`, `dialog`) or are writing in is left to them, and what has
//! `data-own` belongs to the tab alone.

use super::browser::{focus_in_place, has_focus, set};
use leptos::prelude::document;
use std::{
    collections::{BTreeMap, BTreeSet},
    iter::successors,
};
use wasm_bindgen::JsCast;
use web_sys::{CharacterData, Element, HtmlInputElement, HtmlTemplateElement, Node};

/// Gives an element the content of an HTML text; false where a part of it is not here any more.
pub fn morph(element: &Element, html: &str) -> bool {
    // fails for no such name
    let Some(new) = document().create_element("template").ok().and_then(|new| new.dyn_into::<HtmlTemplateElement>().ok()) else {
        return true;
    };
    new.set_inner_html(html);
    // in a template it is not the text that it is in a document with scripts, and would come alive
    while let Ok(Some(element)) = new.content().query_selector("noscript") {
        element.remove();
    }
    let focused = document().active_element().filter(|focused| element.contains(Some(focused)));
    let heirs = focused.as_ref().map(|focused| heirs(focused, element)).unwrap_or_default();
    let is_whole = children(element, &new.content());
    // an element that changed its place has lost it, and of one that is gone another takes it
    if let Some(focused) = focused
        && !has_focus(&focused)
    {
        let id = focused.id();
        let same = (!id.is_empty()).then(|| document().get_element_by_id(&id)).flatten();
        [Some(focused), same].into_iter().flatten().chain(heirs).any(|heir| take_focus(&heir));
    }
    is_whole
}

/// Who takes the focus where its owner has gone: who is nearest to it, after it at first. The next row, where a row has gone.
fn heirs(focused: &Element, within: &Element) -> Vec<Element> {
    let up = |element: &Element| element.parent_element().filter(|parent| !parent.is_same_node(Some(within)));
    let line = successors(Some(focused.clone()), up);
    line.flat_map(|element| {
        let after = successors(element.next_element_sibling(), Element::next_element_sibling);
        let before = successors(element.previous_element_sibling(), Element::previous_element_sibling);
        after.chain(before).collect::<Vec<_>>()
    })
    .collect()
}

/// The element itself, what names it, or the first in it that can have the focus; false where none can.
fn take_focus(heir: &Element) -> bool {
    let first = |selector| heir.query_selector(selector).ok().flatten();
    let candidates = [Some(heir.clone()), first("a.name"), first("a[href], button, input")];
    heir.is_connected()
        && candidates.into_iter().flatten().any(|candidate| {
            focus_in_place(&candidate);
            has_focus(&candidate)
        })
}

fn children(old: &Node, new: &Node) -> bool {
    let mut is_whole = true;
    let wanted: BTreeSet<String> = nodes(new).filter_map(|node| id(&node)).collect();
    let mut known: BTreeMap<String, Node> = nodes(old).filter_map(|node| Some((id(&node)?, node))).collect();
    let mut next = old.first_child();
    for want in nodes(new) {
        // what is not wanted any more makes way first, so that nothing moves that need not
        while let Some(node) = next.take_if(|node| id(node).is_some_and(|id| !wanted.contains(&id))) {
            next = node.next_sibling();
            remove(old, &node);
        }
        let mate = match id(&want) {
            Some(id) => known.remove(&id),
            // further on, where what was before it has gone
            None => successors(next.clone(), Node::next_sibling).find(|node| id(node).is_none() && is_alike(node, &want)),
        };
        let Some(mate) = mate else {
            if is_said(&want) {
                is_whole = false;
                continue;
            }
            insert(old, &want, next.as_ref());
            continue;
        };
        if next.as_ref().is_some_and(|next| next.is_same_node(Some(&mate))) {
            next = mate.next_sibling();
        } else {
            insert(old, &mate, next.as_ref());
        }
        if is_alike(&mate, &want) {
            is_whole &= same(&mate, &want);
        } else if old.replace_child(&want, &mate).is_ok() {
            // it is where the other was
        }
    }
    while let Some(node) = next {
        next = node.next_sibling();
        remove(old, &node);
    }
    is_whole
}

/// Whether the server has left out what is in it, because the browser has said that it has it.
fn is_said(node: &Node) -> bool {
    node.dyn_ref::<Element>().is_some_and(|element| element.has_attribute("data-h")) && !node.has_child_nodes()
}

/// The nodes in another as they are now.
fn nodes(of: &Node) -> impl Iterator<Item = Node> + use<> {
    let mut all = Vec::new();
    let mut next = of.first_child();
    while let Some(node) = next {
        next = node.next_sibling();
        all.push(node);
    }
    all.into_iter()
}

fn id(node: &Node) -> Option<String> {
    // not by its property, which is a form's field where one is called that
    node.dyn_ref::<Element>()?.get_attribute("id").filter(|id| !id.is_empty())
}

fn is_alike(one: &Node, other: &Node) -> bool {
    one.node_type() == other.node_type() && one.node_name() == other.node_name()
}

fn insert(parent: &Node, node: &Node, before: Option<&Node>) {
    // fails only where `before` is no child of it
    let _ = parent.insert_before(node, before);
}

fn remove(parent: &Node, node: &Node) {
    // fails only where it is no child of it
    let _ = parent.remove_child(node);
}

fn same(old: &Node, new: &Node) -> bool {
    if let (Some(old), Some(new)) = (old.dyn_ref::<CharacterData>(), new.dyn_ref::<CharacterData>()) {
        if old.data() != new.data() {
            old.set_data(&new.data());
        }
        return true;
    }
    let (Some(element), Some(want)) = (old.dyn_ref::<Element>(), new.dyn_ref::<Element>()) else { return true };
    let hash = want.get_attribute("data-h");
    if element.has_attribute("data-own") || hash.is_some() && hash == element.get_attribute("data-h") {
        return true;
    }
    if is_said(new) {
        return false;
    }
    attributes(element, want);
    children(old, new)
}

fn attributes(element: &Element, want: &Element) {
    if has_focus(element) && element.has_type::<HtmlInputElement>() {
        return;
    }
    for name in names(want) {
        let value = want.get_attribute(&name);
        if value == element.get_attribute(&name) {
            continue;
        }
        if name == "value"
            && let Some(input) = element.dyn_ref::<HtmlInputElement>()
        {
            input.set_value(value.as_deref().unwrap_or_default());
        }
        set(element, &name, value.as_deref());
    }
    for name in names(element) {
        if !want.has_attribute(&name) && !["open", "style"].contains(&name.as_str()) {
            set(element, &name, None);
        }
    }
}

fn names(element: &Element) -> Vec<String> {
    element.get_attribute_names().iter().filter_map(|name| name.as_string()).collect()
}
