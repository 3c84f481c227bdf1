//! The switch between light and dark.

use super::model::Theme;
use crate::ui::icons::Icon;
use leptos::prelude::*;

/// A button that goes from the system's theme to light, to dark and back: a form, which the program answers at once where there is one.
#[component]
pub fn ThemeSwitch(
    /// The theme now.
    theme: Theme,
) -> impl IntoView {
    let next = theme.next().word();
    view! {
        <form method="post" action=Theme::ACTION>
            <input type="hidden" name="theme" value=next />
            <button type="submit" title=format!("Switch to {next}")>
                <Icon name="sun-moon" />
                <span>"Theme"</span>
                <span class="n">{theme.label()}</span>
            </button>
        </form>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preferences::api::SetTheme;
    use leptos::server_fn::ServerFn;

    #[test]
    fn the_form_is_sent_to_its_own_function() {
        assert_eq!(Theme::ACTION, SetTheme::PATH);
    }
}
