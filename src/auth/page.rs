//! The page that asks for a second factor, and where a sign-in leads.

use super::{
    api::EnterSecondFactor,
    second_factor::{self, Begun},
    service::Progress,
    view::{Said, at_the_quay},
};
use crate::{
    error::AppError,
    paths,
    preferences::model::Theme,
    server::{Error, Visitor},
    ui::{icons::Glyph, parts::ErrorNote},
};
use axum::http::{HeaderValue, header};
use leptos::{prelude::*, server_fn::ServerFn};
use leptos_axum::ResponseOptions;

/// Leads to where a sign-in goes on. To `next` the program goes by itself; this page it has to load, so it is told.
pub fn lead_on(progress: Progress, cluster: &str, next: &str) -> Option<String> {
    if progress == Progress::SignedIn {
        leptos_axum::redirect(paths::safe_next(next));
        return None;
    }
    let page = paths::second_factor_at(cluster, next, false);
    if let (Some(response), Ok(location)) = (use_context::<ResponseOptions>(), HeaderValue::from_str(&page)) {
        response.insert_header(header::LOCATION, location);
    }
    Some(page)
}

/// What the page shows.
#[derive(Debug, Clone)]
pub struct SecondFactorPage {
    user: String,
    cluster: String,
    next: String,
    /// Whether it asks for a recovery key.
    by_key: bool,
    /// Whether Proxmox takes the other one, too.
    has_other: bool,
}

impl SecondFactorPage {
    /// The page for somebody who has begun to sign in; `query` is that of its address. Nothing where they have not, or too long ago.
    pub async fn of(visitor: &Visitor, query: &str) -> Result<Option<Self>, Error> {
        let Some(Begun { cluster, challenge }) = second_factor::begun(visitor).await? else { return Ok(None) };
        let query: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
        let asked = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        Ok(Some(Self {
            user: challenge.user.to_string(),
            cluster: cluster.name.to_string(),
            next: asked("next").unwrap_or_default(),
            by_key: challenge.recovery && (!challenge.totp || asked("key").is_some()),
            has_other: challenge.totp && challenge.recovery,
        }))
    }

    /// The form. User and realm travel along for the sign-in form, should this one come too late.
    pub fn view(self, error: Option<AppError>, theme: Theme) -> AnyView {
        let Self { user, cluster, next, by_key, has_other } = self;
        let (username, realm) = user.rsplit_once('@').unwrap_or((&user, ""));
        let (username, realm) = (username.to_owned(), realm.to_owned());
        let intro = match (by_key, has_other) {
            (true, _) => "With one of your recovery keys. Each one works once.",
            (false, true) => "With a code of your authenticator app, or with a recovery key.",
            (false, false) => "With a code of your authenticator app.",
        };
        let other = has_other.then(|| {
            let text = if by_key { "Use a code" } else { "Use a recovery key" };
            view! { <a class="a" href=paths::second_factor_at(&cluster, &next, !by_key)>{text}</a> }
        });
        let back = paths::login_at(&cluster, &next);

        // what belongs to the field stands beside it, all else above
        let is_of_field = |error: &AppError| matches!(error, AppError::Invalid { .. } | AppError::WrongCode | AppError::WrongRecoveryKey);
        let (said, note) = match error {
            Some(error) if is_of_field(&error) => (Some(error.to_string()), None),
            error => (None, error.map(|error| view! { <ErrorNote error /> })),
        };

        view! {
            {at_the_quay(
                theme,
                view! {
                    <form class="w-full max-w-[22rem] m-auto py-10 grid gap-4" method="post" action=EnterSecondFactor::PATH novalidate>
                        <div class="mb-2">
                            <h1 class="text-2xl tracking-[-0.02em]">"Second factor"</h1>
                            <p class="text-base text-ink-3 mt-1">{intro}</p>
                        </div>
                        {note}
                        <p class="hint -mt-2">
                            "Signing in as " <b class="font-medium text-ink-2">{user}</b> " at cluster "
                            <b class="font-medium text-ink-2">{cluster}</b>
                        </p>
                        <input type="hidden" name="username" value=username />
                        <input type="hidden" name="realm" value=realm />
                        <input type="hidden" name="next" value=next />
                        <input type="hidden" name="recovery" value=by_key.to_string() />
                        <div class="field">
                            <label for="code">{if by_key { "Recovery key" } else { "Code" }}</label>
                            <input
                                class="input input-lg"
                                id="code"
                                name="code"
                                autocomplete=if by_key { "off" } else { "one-time-code" }
                                inputmode=if by_key { "text" } else { "numeric" }
                                autocapitalize="none"
                                spellcheck="false"
                                autofocus
                                aria-invalid=said.is_some().to_string()
                                aria-describedby="code-said"
                            />
                            <Said id="code-said" text=said />
                        </div>
                        <button class="btn btn-primary btn-lg mt-2">
                            <span class="while-idle">"Sign in"</span>
                            <span class="while-busy">
                                <Glyph name="pending" />
                                "Signing in…"
                            </span>
                        </button>
                        <p class="signin-more">{other} <a class="a" href=back>"Cancel"</a></p>
                    </form>
                }
                    .into_any(),
            )}
        }
        .into_any()
    }
}
