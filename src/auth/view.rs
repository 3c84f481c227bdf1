//! The sign-in page, and the corner of every page that says who is signed in.

use super::{
    api::{SignIn, SignOut, get_sign_in_form, sign_in},
    model::{Me, SignInForm},
};
use crate::{
    error::{AppError, Field, Flaw},
    paths,
    preferences::view::ThemeSwitch,
    ui::{
        flash::take_flash,
        icons::{Glyph, Icon, Mark},
        parts::ErrorNote,
        wire::{Loaded, load},
    },
};
use leptos::{prelude::*, server_fn::ServerFn, task::spawn_local};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

/// `/login`, `/login?cluster=…&next=…`.
#[component]
pub fn SignInPage() -> impl IntoView {
    let query = use_query_map();
    let cluster = Memo::new(move |_| query.read().get("cluster"));
    let form = load(move || cluster.get(), get_sign_in_form);
    view! {
        <Title text="Sign in" />
        {at_the_quay(
            view! {
                <Transition>
                    {move || Suspend::new(async move {
                        match form.await {
                            Ok(form) => view! { <SignInFields form /> }.into_any(),
                            Err(error) => view! { <div class="max-w-[22rem] w-full m-auto"><ErrorNote error /></div> }.into_any(),
                        }
                    })}
                </Transition>
            }
                .into_any(),
        )}
    }
    .into_any()
}

/// A form of signing in, and what stands around it.
pub fn at_the_quay(form: AnyView) -> AnyView {
    view! {
        <main class="signin">
            <section class="signin-form">
                <div class="brand">
                    <Mark />
                    "Berth"
                </div>
                {form}
                <div class="signin-foot">
                    <span>{concat!("Berth ", env!("CARGO_PKG_VERSION"))}</span>
                    <ThemeSwitch />
                </div>
            </section>
            <Quay />
        </main>
    }
    .into_any()
}

/// The form. Without JavaScript it posts, and comes back with the error and everything but the password.
#[component]
fn SignInFields(form: SignInForm) -> impl IntoView {
    let query = use_query_map();
    let next = query.read_untracked().get("next").unwrap_or_default();
    let flash = take_flash();
    let entered = |name: &str| flash.as_ref().and_then(|flash| flash.field(name)).map(str::to_owned);
    let username = entered("username").unwrap_or_default();
    let realm = entered("realm");
    let chosen = move |choice: &super::model::RealmChoice| match &realm {
        Some(realm) => choice.realm.as_str() == realm,
        None => choice.default,
    };
    let error = RwSignal::new(flash.map(|flash| flash.error));
    let busy = RwSignal::new(false);
    let shown = RwSignal::new(false);
    let password = NodeRef::<leptos::html::Input>::new();
    let user = NodeRef::<leptos::html::Input>::new();
    let realm = NodeRef::<leptos::html::Select>::new();
    let cluster = form.cluster.clone();

    let submit = {
        let (cluster, next) = (cluster.to_string(), next.clone());
        move |event: leptos::ev::SubmitEvent| {
            event.prevent_default();
            if busy.get_untracked() {
                return;
            }
            let value = |input: NodeRef<leptos::html::Input>| input.get_untracked().map(|i| i.value()).unwrap_or_default();
            let (username, secret) = (value(user), value(password));
            let realm = realm.get_untracked().map(|select| select.value()).unwrap_or_default();
            let (cluster, next) = (cluster.clone(), next.clone());
            busy.set(true);
            spawn_local(async move {
                match sign_in(cluster, username, realm, secret, Some(next)).await {
                    Ok(Some(page)) => leave_for(&page),
                    // leads to `next` by itself
                    Ok(None) => {}
                    Err(refused) => {
                        if let Some(input) = password.get_untracked() {
                            input.set_value("");
                        }
                        let first = if on_field(&refused, Field::Username) { user } else { password };
                        error.set(Some(refused));
                        busy.set(false);
                        if let Some(input) = first.get_untracked() {
                            // fails only where the field is gone
                            let _ = input.focus();
                        }
                    }
                }
            });
        }
    };
    let refused = move || error.with(|e| matches!(e, Some(AppError::WrongCredentials { .. })));
    let invalid = move |field: Field| {
        error.with(|e| e.as_ref().is_some_and(|e| on_field(e, field))) || refused() && field != Field::Cluster && field != Field::Realm
    };
    let said = move |field: Field| error.with(|e| e.as_ref().filter(|e| on_field(e, field)).map(ToString::to_string));
    let password_said = move || said(Field::Password).or_else(|| refused().then(|| "Enter the password again.".to_owned()));
    // what belongs to no field stands above them all
    let note = move || {
        error.get().filter(|e| !matches!(e, AppError::Invalid { .. })).map(|error| {
            let more = match &error {
                AppError::WrongCredentials { user, cluster } => format!("{cluster} refused this sign-in for {user}."),
                AppError::SecondFactorUnsupported { .. } => {
                    "Add an authenticator app or recovery keys in Proxmox, under Permissions › Two Factor.".to_owned()
                }
                _ => String::new(),
            };
            view! { <ErrorNote error more /> }
        })
    };
    let trouble = form.trouble.clone().map(|error| view! { <ErrorNote error more="Your password is not sent before it answers." /> });

    view! {
        <form class="w-full max-w-[22rem] m-auto py-10 grid gap-4" method="post" action=SignIn::PATH on:submit=submit novalidate>
            <div class="mb-2">
                <h1 class="text-2xl tracking-[-0.02em]">"Sign in"</h1>
                <p class="text-base text-ink-3 mt-1">"With your Proxmox VE account."</p>
            </div>
            {note}
            {trouble}
            <ClusterField form=form.clone() next=next.clone() />
            <input type="hidden" name="next" value=next />
            <div class="grid grid-cols-[minmax(0,1fr)_9.5rem] gap-3 max-[420px]:grid-cols-1">
                <div class="field">
                    <label for="username">"User name"</label>
                    <input
                        class="input input-lg"
                        id="username"
                        name="username"
                        autocomplete="username"
                        autocapitalize="none"
                        spellcheck="false"
                        autofocus
                        node_ref=user
                        value=username
                        aria-invalid=move || invalid(Field::Username).to_string()
                        aria-describedby="username-said"
                    />
                    <Said id="username-said" text=Signal::derive(move || said(Field::Username)) />
                </div>
                <div class="field">
                    <label for="realm">"Realm"</label>
                    <select
                        class="select input-lg"
                        id="realm"
                        name="realm"
                        node_ref=realm
                        aria-invalid=move || invalid(Field::Realm).to_string()
                        aria-describedby="realm-said"
                    >
                        {form
                            .realms
                            .iter()
                            .map(|choice| {
                                view! { <option value=choice.realm.to_string() selected=chosen(choice)>{choice.title.clone()}</option> }
                            })
                            .collect_view()}
                    </select>
                    <Said id="realm-said" text=Signal::derive(move || said(Field::Realm)) />
                </div>
            </div>
            <div class="field">
                <label for="password">"Password"</label>
                <span class="input input-lg pr-1" class:is-err=move || invalid(Field::Password)>
                    <input
                        id="password"
                        name="password"
                        type=move || if shown.get() { "text" } else { "password" }
                        autocomplete="current-password"
                        node_ref=password
                        aria-invalid=move || invalid(Field::Password).to_string()
                        aria-describedby="password-said"
                    />
                    <button
                        type="button"
                        class="vb needs-js"
                        aria-pressed=move || shown.get().to_string()
                        aria-label="Show password"
                        on:click=move |_| shown.update(|shown| *shown = !*shown)
                    >
                        {move || view! { <Icon name=if shown.get() { "eye-off" } else { "eye" } class="i-sm" /> }}
                    </button>
                </span>
                <Said id="password-said" text=Signal::derive(password_said) />
            </div>
            <button class="btn btn-primary btn-lg mt-2" aria-disabled=move || busy.get().to_string()>
                <Show when=move || busy.get()>
                    <Glyph name="pending" />
                </Show>
                {move || if busy.get() { "Signing in…" } else { "Sign in" }}
            </button>
            <p class="hint">"Berth acts with your own Proxmox rights. Your password goes to the cluster and is not kept."</p>
        </form>
    }
    .into_any()
}

/// The cluster: nothing to choose where there is one; else links, so that its realms come without JavaScript too.
#[component]
fn ClusterField(form: SignInForm, next: String) -> impl IntoView {
    let hidden = form.cluster.to_string();
    let choices = (form.clusters.len() > 1).then(|| {
        let links = form.clusters.iter().map(|cluster| {
            let current = (*cluster == form.cluster).then_some("true");
            view! { <a href=paths::login_at(cluster.as_str(), &next) aria-current=current>{cluster.to_string()}</a> }
        });
        view! {
            <div class="field">
                <span class="lab" id="cluster-label">"Cluster"</span>
                <nav class="choices" aria-labelledby="cluster-label">{links.collect_view()}</nav>
            </div>
        }
    });
    let alone = (form.clusters.len() == 1)
        .then(|| view! { <p class="hint -mt-2">"Cluster " <b class="font-medium text-ink-2">{hidden.clone()}</b></p> });
    view! {
        {choices}
        {alone}
        <input type="hidden" name="cluster" value=hidden />
    }
}

/// What is wrong with a field, in the place of its hint.
#[component]
pub fn Said(
    /// By which the field names it.
    id: &'static str,
    /// Nothing where nothing is wrong.
    text: Signal<Option<String>>,
) -> impl IntoView {
    view! {
        <span class="err" id=id>
            {move || {
                text.get().map(|text| view! { <Glyph name="fail" class="g-error" /> {text} })
            }}
        </span>
    }
}

fn on_field(error: &AppError, field: Field) -> bool {
    matches!(error, AppError::Invalid { field: on, flaw: Flaw::Empty | Flaw::Unknown | Flaw::Malformed } if *on == field)
}

/// Who is signed in, and out again. In the side bar, and on a phone in the menu.
#[component]
pub fn Account(
    /// By [`get_me`](super::api::get_me), asked once for the whole frame.
    me: Loaded<Result<Me, AppError>>,
) -> impl IntoView {
    view! {
        <Transition>
            {move || Suspend::new(async move {
                me.await.ok().map(|me| view! {
                    <p class="account" title=format!("{} on {}", me.user, me.cluster)>
                        <Icon name="circle-user" />
                        <span class="truncate">{me.user.to_string()}</span>
                        <span class="n">{me.cluster.to_string()}</span>
                    </p>
                })
            })}
        </Transition>
        <form method="post" action=SignOut::PATH>
            <button type="submit">
                <Icon name="log-out" />
                <span>"Sign out"</span>
            </button>
        </form>
    }
    .into_any()
}

cfg_if::cfg_if! {
    if #[cfg(feature = "hydrate")] {
        use crate::ui::browser::leave_for;
    } else {
        fn leave_for(_: &str) {}
    }
}

/// The picture beside the form: a quay from above, rows of berths, two of them yours.
#[component]
fn Quay() -> impl IntoView {
    let berths = (0..28u32).flat_map(|row| (0..12u32).map(move |column| (row, column))).filter_map(|(row, column)| {
        // no randomness: server and browser draw the same
        let mixed = ((row * 7 + 3) * (column * 5 + 11) + row * row * 3 + column * 17) % 23;
        let class = match (row, column) {
            (10, 3) | (15, 6) => "mine",
            _ if mixed < 11 => "full",
            _ if mixed < 16 => "free",
            _ => return None,
        };
        Some(view! { <rect class=class x=(column * 76 + 8).to_string() y=(row * 38 + 2).to_string() width="66" height="26" rx="4" /> })
    });
    view! {
        <section class="quay" aria-hidden="true">
            <svg viewBox="0 0 846 994" preserveAspectRatio="xMidYMid slice">{berths.collect_view()}</svg>
        </section>
    }
}
