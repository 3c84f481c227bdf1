//! The document around every page: its head, the side bar, and what appears above it. Which page an address leads to says
//! [`crate::pages::service`].

use crate::{
    auth::view::Account,
    pages::service::{Answer, is_list},
    paths,
    preferences::{
        model::{KEYS_COOKIE, Keys, LAYOUT_COOKIE, Layout, THEME_COOKIE, Theme},
        view::{KeysSwitch, ThemeSwitch},
    },
    server::{AppState, Context, flash, secrets::random_hex},
    tab::Tab,
    ui::{
        flash::Flash,
        icons::{Icon, Mark},
    },
};
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use leptos::prelude::*;

/// What a page needs to know of the browser that asks, from its cookies.
#[derive(Debug, Clone, Default)]
pub struct Browser {
    /// Light or dark.
    pub theme: Theme,
    /// Rows or cards, where somebody has chosen.
    pub layout: Option<Layout>,
    /// Whether single keys act.
    pub keys: Keys,
    /// What a form without JavaScript has to say.
    pub flash: Option<Flash>,
}

impl Browser {
    /// From the headers of its request.
    pub fn of(headers: &HeaderMap) -> Self {
        let theme = flash::cookie(headers, THEME_COOKIE).map(Theme::of_cookie).unwrap_or_default();
        let layout = flash::cookie(headers, LAYOUT_COOKIE).and_then(Layout::of_word);
        let keys = flash::cookie(headers, KEYS_COOKIE).map(Keys::of_word).unwrap_or_default();
        Self { theme, layout, keys, flash: flash::get(headers) }
    }
}

/// The document of a page for who is signed in.
pub fn document(context: &Context, browser: &Browser, address: &str, answered: Answer) -> Response {
    let Answer { page, status } = answered;
    let assets = context.state.assets();
    let (script, wasm) = (assets.path("berth.js"), assets.path("berth.wasm"));
    // asked for at once, by a script: without JavaScript nobody loads it
    let fetch = format!("const wasm = fetch('{wasm}')");
    let start = format!(
        "import init, * as berth from '{script}'; init({{ module_or_path: wasm }}).then(() => {{ berth.hydrate(); \
         for (const island of document.querySelectorAll('leptos-island')) berth[island.dataset.component](island); }});"
    );
    let (script, wasm) = (script.to_owned(), wasm.to_owned());
    let program = move |nonce: &str| {
        view! {
            <script nonce=nonce.to_owned() inner_html=fetch></script>
            <link rel="modulepreload" href=script />
            <script type="module" nonce=nonce.to_owned() inner_html=start></script>
        }
        .into_any()
    };
    let (user, cluster) = (context.user.to_string(), context.cluster.name.to_string());
    let title = page.title.clone();
    let current = is_list(address).then_some("page");
    let ended = page.ended.iter().map(|ended| ended.id.as_str()).collect::<Vec<_>>().join(" ");
    let (theme, keys) = (browser.theme, browser.keys);
    let body = move || {
        view! {
            <a class="skip" href="#main">"Skip to content"</a>
            <div class="shell">
                <aside class="side" aria-label="Main">
                    <a class="brand" href=paths::home()>
                        <Mark />
                        <span>"Berth"</span>
                    </a>
                    <nav class="nav" aria-label="Pages">
                        <a href=paths::home() aria-current=current>
                            <Icon name="container" />
                            <span>"Containers"</span>
                        </a>
                    </nav>
                    <div class="nav mt-auto">
                        <ThemeSwitch theme />
                        <KeysSwitch keys />
                        <Account user=user.clone() cluster=cluster.clone() />
                    </div>
                </aside>
                <main class="main" id="main">
                    <Tab />
                    <div
                        id="page"
                        data-under-way=page.is_under_way.then_some("")
                        data-ended=ended
                        data-site=wasm
                        inner_html=page.html
                    ></div>
                </main>
            </div>
            <div class="pop mn" id="row-menu" popover="auto" role="group"></div>
            <div class="pop mn nav" id="account" popover="auto" role="group" aria-label="Account">
                <ThemeSwitch theme />
                <KeysSwitch keys />
                <Account user cluster />
            </div>
        }
        .into_any()
    };
    answer(&context.state, browser, Shell { title, ready: None, status }, program, body)
}

/// The document of a page that needs nothing of the program: a form on it is sent once, and that is all. The program is fetched meanwhile,
/// for the page that comes next.
pub fn plain_document<P: FnOnce() -> AnyView>(state: &AppState, browser: &Browser, title: &str, page: P) -> Response {
    const SCRIPT: &str = "addEventListener('submit', e => e.target.ariaBusy ? e.preventDefault() : e.target.ariaBusy = 'true'); \
                          addEventListener('pageshow', () => { for (const form of document.forms) form.ariaBusy = null }); \
                          addEventListener('click', e => { const b = e.target.closest('[data-shows]'); if (!b) return; \
                          const shown = b.ariaPressed !== 'true'; b.ariaPressed = shown; \
                          document.getElementById(b.dataset.shows).type = shown ? 'text' : 'password' })";
    let assets = state.assets();
    // by a script: without JavaScript nobody loads it
    let fetch = format!(
        "addEventListener('load', () => {{ for (const [href, as] of [['{}', 'script'], ['{}', 'fetch']]) \
         document.head.append(Object.assign(document.createElement('link'), {{ rel: 'prefetch', href, as, crossOrigin: 'anonymous' }})) }});",
        assets.path("berth.js"),
        assets.path("berth.wasm")
    );
    let scripts = move |nonce: &str| view! { <script nonce=nonce.to_owned() inner_html=format!("{SCRIPT}; {fetch}")></script> }.into_any();
    answer(state, browser, Shell { title: title.to_owned(), ready: Some(""), status: 200 }, scripts, page)
}

/// A text as an element's content.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

struct Shell {
    title: String,
    /// Whether everything on it works from the first byte.
    ready: Option<&'static str>,
    status: u16,
}

fn answer<S, B>(state: &AppState, browser: &Browser, shell: Shell, scripts: S, body: B) -> Response
where
    S: FnOnce(&str) -> AnyView,
    B: FnOnce() -> AnyView,
{
    let nonce = match random_hex::<16>() {
        Ok(nonce) => nonce,
        Err(error) => return crate::server::web::plain(&crate::server::Error::from(error).into()),
    };
    let assets = state.assets();
    let title = escaped(&if shell.title.is_empty() { "Berth".to_owned() } else { format!("{} · Berth", shell.title) });
    let owner = Owner::new();
    let html = owner.with(|| {
        view! {
            <!DOCTYPE html>
            <html lang="en" data-theme=browser.theme.attribute() data-layout=browser.layout.map(Layout::word) data-keys=browser.keys.attribute() data-ready=shell.ready>
                <head>
                    <meta charset="utf-8" />
                    <meta name="viewport" content="width=device-width, initial-scale=1" />
                    <meta name="color-scheme" content="light dark" />
                    <title inner_html=title></title>
                    <link rel="icon" type="image/svg+xml" href="/favicon.svg" />
                    <link rel="stylesheet" href=assets.path("berth.css").to_owned() />
                    {scripts(&nonce)}
                </head>
                <body>
                    {body()}
                    <div class="sprite" aria-hidden="true" inner_html=assets.sprite().to_owned()></div>
                </body>
            </html>
        }
        .to_html()
    });
    owner.cleanup();
    let mut response = Html(html).into_response();
    *response.status_mut() = StatusCode::from_u16(shell.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if browser.flash.is_some() {
        response.headers_mut().append(header::SET_COOKIE, flash::clear());
    }
    response
}
