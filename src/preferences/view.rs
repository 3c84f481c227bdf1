//! The switches: between light and dark, between rows and cards, and of the keys.

use super::model::{Keys, Layout, Theme};
use crate::ui::icons::Icon;
use leptos::prelude::*;

/// A button that goes from the system's theme to light, to dark and back: a form, which the program answers at once where there is one.
#[component]
pub fn ThemeSwitch(
    /// The theme now.
    theme: Theme,
) -> impl IntoView {
    turn(Theme::ACTION, ("theme", theme.next().word()), "sun-moon", "Theme", theme.label(), theme.title())
}

/// A button that switches the single keys off, or on again.
#[component]
pub fn KeysSwitch(
    /// As they are now.
    keys: Keys,
) -> impl IntoView {
    turn(Keys::ACTION, ("keys", keys.next().word()), "keyboard", "Shortcuts", keys.label(), keys.title())
}

/// One entry of the menu: what it is about, how it is now, and a form that goes to the next.
fn turn(
    action: &'static str,
    (name, next): (&'static str, &'static str),
    icon: &'static str,
    about: &'static str,
    now: &'static str,
    title: &'static str,
) -> impl IntoView {
    view! {
        <form method="post" action=action>
            <input type="hidden" name=name value=next />
            <button type="submit" title=title>
                <Icon name=icon />
                <span>{about}</span>
                <span class="n">{now}</span>
            </button>
        </form>
    }
}

/// The form of [`LayoutSwitch`], which stands where no other form is around it.
#[component]
pub fn LayoutForm() -> impl IntoView {
    view! { <form id="layout" method="post" action=Layout::ACTION></form> }
}

/// Rows or cards. Which of them it is now says the width of the screen where nobody has chosen, so the style sheet marks it.
#[component]
pub fn LayoutSwitch() -> impl IntoView {
    let button = |layout: Layout, icon: &'static str, label: &'static str| {
        view! {
            <button type="submit" form="layout" name="layout" value=layout.word() aria-label=label title=label>
                <Icon name=icon />
            </button>
        }
    };
    view! {
        <span class="seg layouts" role="group" aria-label="Layout" data-own>
            {button(Layout::Rows, "rows-3", "Rows")}
            {button(Layout::Cards, "layout-grid", "Cards")}
        </span>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preferences::api::{SetKeys, SetLayout, SetTheme};
    use leptos::server_fn::ServerFn;

    #[test]
    fn the_form_is_sent_to_its_own_function() {
        assert_eq!([Theme::ACTION, Layout::ACTION, Keys::ACTION], [SetTheme::PATH, SetLayout::PATH, SetKeys::PATH]);
    }
}
