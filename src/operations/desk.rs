//! What a tab has asked for, and when it has to look again.
//!
//! Every form of a verb is a real one. Where there is JavaScript, the desk takes its submission: the row shows at once that something is
//! under way, and the answer alone makes the page look again. How the operation stands, a page knows from the operation itself, by its
//! id, in this tab as in any other (DESIGN §8.17).

use super::model::{ContainerId, Verb};
use crate::ui::toasts::Toasts;
use leptos::prelude::*;

/// The desk of a tab.
#[derive(Clone, Copy)]
pub struct Desk {
    /// What was sent and is not answered yet.
    pending: RwSignal<Vec<(ContainerId, Verb)>>,
    /// Counts the reasons to look again.
    news: RwSignal<usize>,
}

impl Desk {
    /// Makes it, hands it to every page below, and listens to what others do.
    pub fn provide() -> Self {
        let desk = Self { pending: RwSignal::new(Vec::new()), news: RwSignal::new(0) };
        provide_context(desk);
        desk.listen();
        desk
    }

    /// What was asked of a container in this tab and is not answered yet.
    pub fn pending(self, container: &ContainerId) -> Option<Verb> {
        self.pending.with(|pending| pending.iter().find(|(id, _)| id == container).map(|(_, verb)| *verb))
    }

    /// Changes with every reason to look again; what a page loads depends on it.
    pub fn news(self) -> usize {
        self.news.get()
    }

    /// There is a reason to look again.
    pub fn look_again(self) {
        self.news.update(|news| *news = news.wrapping_add(1));
    }
}

cfg_if::cfg_if! {
    if #[cfg(feature = "hydrate")] {
        use crate::{error::AppError, paths, ui::browser};
        use leptos::{ev::SubmitEvent, task::spawn_local};
        use std::time::Duration;

        /// Proxmox refreshes its own figures about every ten seconds.
        const BEAT: Duration = Duration::from_secs(10);

        impl Desk {
            /// Takes the submission of a verb's form; all other forms go their own way.
            pub fn submit(self, event: SubmitEvent, toasts: Toasts) {
                let Some(form) = browser::Submission::of(&event) else { return };
                let Some(verb) = Verb::ALL.into_iter().find(|verb| form.action() == verb.action()) else { return };
                event.prevent_default();
                let Ok(id) = form.value("id").parse::<ContainerId>() else { return };
                if form.is_disabled() || self.pending.with_untracked(|pending| pending.iter().any(|(other, _)| *other == id)) {
                    return;
                }
                form.close_menu();
                form.mark(true);
                self.pending.update(|pending| pending.push((id.clone(), verb)));
                let name = form.data("name");
                toasts.announce(format!("{name}: {}", verb.under_way()));
                spawn_local(async move {
                    let answer = browser::post(form.action(), form.body()).await;
                    form.mark(false);
                    self.pending.update(|pending| pending.retain(|(other, _)| *other != id));
                    match answer {
                        // the page of a question has no more to say
                        Ok(location) if !form.data("then").is_empty() => return browser::leave_for(&location),
                        Ok(_) => {}
                        Err(AppError::SignedOut) => return leave_if_signed_out(&AppError::SignedOut),
                        Err(error) if form.refuse(&error.to_string()) => {}
                        Err(error) => toasts.fail(format!("{} failed for {name}.", verb.label()), error),
                    }
                    self.look_again();
                });
            }

            /// Looks again on every beat, and when somebody else did something, as long as somebody looks at this tab.
            fn listen(self) {
                let beat = set_interval_with_handle(
                    move || {
                        if browser::is_visible() {
                            self.look_again();
                        }
                    },
                    BEAT,
                );
                if let Ok(beat) = beat {
                    on_cleanup(move || beat.clear());
                }
                browser::follow(paths::live(), move || self.look_again());
            }
        }

        /// The session has ended: on to the sign-in form, which leads back here.
        pub fn leave_if_signed_out(error: &AppError) {
            if *error == AppError::SignedOut {
                browser::leave_for(&paths::login_then(&browser::here()));
            }
        }
    } else {
        impl Desk {
            /// Takes the submission of a verb's form, in the browser.
            pub fn submit(self, _: leptos::ev::SubmitEvent, _: Toasts) {}

            fn listen(self) {}
        }

        /// In the browser: on to the sign-in form.
        pub fn leave_if_signed_out(_: &crate::error::AppError) {}
    }
}
