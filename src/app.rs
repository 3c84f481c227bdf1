//! The pages, every route on one screen, and what stands around them.

use crate::{
    auth::{
        api::get_me,
        view::{Account, SignInPage},
    },
    containers::view::ContainersPage,
    operations::desk::Desk,
    pages::view::ServerPage,
    paths,
    preferences::{
        model::Theme,
        view::{ThemeChoice, ThemeSwitch},
    },
    ui::{
        flash::{Flash, provide_flash},
        icons::{Icon, Mark},
        toasts::{ToastRegion, Toasts},
        wire::{carried, load},
    },
};
use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::{
    components::{A, Outlet, ParentRoute, Route, Router, Routes},
    path,
};
use serde::{Deserialize, Serialize};

/// What a page needs to know of the browser that asks; the server reads it from cookies, the browser from the page.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Seed {
    /// What a form without JavaScript has to say.
    pub flash: Option<Flash>,
    /// Light or dark.
    pub theme: Theme,
}

/// The application.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let seed = carried(seed);
    provide_context(ThemeChoice(RwSignal::new(seed.theme)));
    provide_flash(seed.flash);
    view! {
        <Title formatter=|title: String| if title.is_empty() { "Berth".to_owned() } else { format!("{title} · Berth") } />
        <Router>
            <Routes fallback=|| ()>
                // /login/code is a page of the server's own: auth::page
                <Route path=path!("/login") view=SignInPage />
                <ParentRoute path=path!("") view=Frame>
                    <Route path=path!("/") view=ContainersPage />
                    <Route path=path!("/*any") view=ServerPage />
                </ParentRoute>
            </Routes>
        </Router>
    }
}

/// The side bar, the page, and what appears above it.
#[component]
fn Frame() -> impl IntoView {
    let toasts = Toasts::provide();
    let desk = Desk::provide();
    let me = load(|| (), |()| get_me());
    view! {
        <a class="skip" href="#main">"Skip to content"</a>
        <div class="shell">
            <aside class="side" aria-label="Main">
                <a class="brand" href=paths::home()>
                    <Mark />
                    <span>"Berth"</span>
                </a>
                <nav class="nav" aria-label="Pages">
                    <A href=paths::home() exact=true>
                        <Icon name="container" />
                        <span>"Containers"</span>
                    </A>
                </nav>
                <div class="nav mt-auto">
                    <ThemeSwitch />
                    <Account me />
                </div>
            </aside>
            <main class="main" id="main" on:submit=move |event| desk.submit(event, toasts)>
                <Outlet />
            </main>
        </div>
        <div class="pop mn nav" id="account" popover="auto" role="group" aria-label="Account">
            <ThemeSwitch />
            <Account me />
        </div>
        <ToastRegion toasts />
    }
    .into_any()
}

cfg_if::cfg_if! {
    if #[cfg(feature = "ssr")] {
        use crate::{preferences::model::THEME_COOKIE, server::{AppState, flash}};
        use axum::http::{HeaderValue, header, request::Parts};
        use leptos::nonce::use_nonce;
        use leptos_axum::ResponseOptions;
        use leptos_meta::MetaTags;

        fn seed() -> Seed {
            let Some(parts) = use_context::<Parts>() else { return Seed::default() };
            let flash = flash::get(&parts.headers);
            if flash.is_some() && let Some(response) = use_context::<ResponseOptions>() {
                response.append_header(header::SET_COOKIE, flash::clear());
            }
            Seed { flash, theme: flash::cookie(&parts.headers, THEME_COOKIE).map(Theme::of_cookie).unwrap_or_default() }
        }

        /// The document around the application, on the server only.
        pub fn shell(state: &AppState) -> impl IntoView + use<> {
            let assets = state.assets();
            let (script, wasm) = (assets.path("berth.js").to_owned(), assets.path("berth.wasm").to_owned());
            // asked for at once, by a script: without JavaScript nobody loads it
            let fetch = format!("const wasm = fetch('{wasm}')");
            let start = format!("import init, {{ hydrate }} from '{script}'; init({{ module_or_path: wasm }}).then(hydrate);");
            let program = view! {
                <script nonce=use_nonce() inner_html=fetch></script>
                <link rel="modulepreload" href=script />
                <script type="module" nonce=use_nonce() inner_html=start></script>
            };
            document(state, None, program.into_any(), view! { <App /> }.into_any())
        }

        /// The document around a page that is whole without the program: a form on it is sent once, and that is all.
        pub fn plain_shell<P: FnOnce() -> AnyView>(state: &AppState, page: P) -> impl IntoView + use<P> {
            const SEND_ONCE: &str = "addEventListener('submit', e => e.target.ariaBusy ? e.preventDefault() : e.target.ariaBusy = 'true'); \
                                     addEventListener('pageshow', () => { for (const form of document.forms) form.ariaBusy = null })";
            provide_meta_context();
            let seed = seed();
            provide_context(ThemeChoice(RwSignal::new(seed.theme)));
            provide_flash(seed.flash);
            let script = view! { <script nonce=use_nonce() inner_html=SEND_ONCE></script> };
            document(state, Some(""), script.into_any(), page())
        }

        fn document(state: &AppState, ready: Option<&'static str>, scripts: AnyView, body: AnyView) -> impl IntoView + use<> {
            let theme = use_context::<Parts>()
                .and_then(|parts| flash::cookie(&parts.headers, THEME_COOKIE).map(Theme::of_cookie))
                .unwrap_or_default();
            let nonce = use_nonce();
            if let (Some(response), Some(nonce)) = (use_context::<ResponseOptions>(), &nonce) {
                let policy = format!(
                    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
                     font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
                );
                if let Ok(policy) = HeaderValue::from_str(&policy) {
                    response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
                }
            }
            let assets = state.assets();
            view! {
                <!DOCTYPE html>
                <html lang="en" data-theme=theme.attribute() data-ready=ready>
                    <head>
                        <meta charset="utf-8" />
                        <meta name="viewport" content="width=device-width, initial-scale=1" />
                        <meta name="color-scheme" content="light dark" />
                        <link rel="icon" type="image/svg+xml" href="/favicon.svg" />
                        <link rel="stylesheet" href=assets.path("berth.css").to_owned() />
                        {scripts}
                        <MetaTags />
                    </head>
                    <body>
                        {body}
                        <div class="sprite" aria-hidden="true" inner_html=assets.sprite().to_owned()></div>
                    </body>
                </html>
            }
        }
    } else {
        fn seed() -> Seed {
            Seed::default()
        }
    }
}
