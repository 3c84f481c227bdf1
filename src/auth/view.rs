//! The sign-in page, and the corner of every page that says who is signed in. The server renders both.

use super::{
    api::{SignIn, SignOut},
    model::{RealmChoice, SignInForm},
};
use crate::{
    error::{AppError, Field, Flaw},
    paths,
    preferences::{model::Theme, view::ThemeSwitch},
    ui::{
        flash::Flash,
        icons::{Glyph, Icon, Mark},
        parts::ErrorNote,
    },
};
use leptos::{prelude::*, server_fn::ServerFn};

/// `/login`, `/login?cluster=…&next=…`: the form posts, and comes back with the error and everything but the password.
pub fn sign_in_page(form: Result<SignInForm, AppError>, next: String, flash: Option<Flash>, theme: Theme) -> AnyView {
    let fields = match form {
        Err(AppError::NoCluster) => view! { <FirstCluster /> }.into_any(),
        Ok(form) => view! { <SignInFields form next flash /> }.into_any(),
        Err(error) => view! { <div class="max-w-[22rem] w-full m-auto"><ErrorNote error /></div> }.into_any(),
    };
    at_the_quay(theme, fields)
}

/// Where there is nowhere to sign in yet: how to connect the first cluster.
#[component]
fn FirstCluster() -> impl IntoView {
    let step = |title: &'static str, text: AnyView| {
        view! {
            <li>
                <h2>{title}</h2>
                {text}
            </li>
        }
    };
    let file = "[[cluster]]\nname = \"home\"\nhost = \"192.0.2.10\"\nfingerprint = \"AB:CD:EF:…\"\n";
    let certificate = view! {
        <p>"In Proxmox, under Node › System › Certificates, open " <code>"pve-ssl.pem"</code> " and copy its fingerprint. Berth then trusts exactly that certificate."</p>
    };
    let configuration = view! {
        <pre tabindex="0" aria-label="The least that a configuration says">{file}</pre>
        <p><code>"berth --example-config"</code> " prints everything that can be said."</p>
    };
    let start = view! { <pre tabindex="0" aria-label="The command">"berth --config berth.toml"</pre> };
    view! {
        <div class="w-full max-w-[28rem] m-auto py-10 grid gap-4">
            <div class="mb-2">
                <h1 class="text-2xl tracking-[-0.02em]">"Connect a cluster"</h1>
                <p class="text-base text-ink-3 mt-1">"Berth is running, and knows no Proxmox cluster yet. Whoever runs it connects the first one:"</p>
            </div>
            <ol class="steps">
                {step("Read the certificate’s fingerprint", certificate.into_any())}
                {step("Name the cluster in a file, berth.toml", configuration.into_any())}
                {step("Start Berth again with it", start.into_any())}
            </ol>
            <a class="btn btn-lg" href="">"Look again"</a>
            <p class="hint">"Only looking around? " <code>"berth --demo"</code> " has a simulated cluster in it."</p>
        </div>
    }
}

/// A form of signing in, and what stands around it.
pub fn at_the_quay(theme: Theme, form: AnyView) -> AnyView {
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
                    <ThemeSwitch theme />
                </div>
            </section>
            <Quay />
        </main>
    }
    .into_any()
}

#[component]
fn SignInFields(form: SignInForm, next: String, flash: Option<Flash>) -> impl IntoView {
    let entered = |name: &str| flash.as_ref().and_then(|flash| flash.field(name)).map(str::to_owned);
    let (username, realm) = (entered("username"), entered("realm"));
    let error = flash.map(|flash| flash.error);
    let refused = matches!(error, Some(AppError::WrongCredentials { .. }));
    let said = |field: Field| error.as_ref().filter(|e| on_field(e, field)).map(ToString::to_string);
    let said_of_password = said(Field::Password).or_else(|| refused.then(|| "Enter the password again.".to_owned()));
    let said_of_user = said(Field::Username);
    let said_of_realm = said(Field::Realm);
    let user_is_wrong = refused || said_of_user.is_some();
    let password_is_wrong = said_of_password.is_some();
    // where the user name is known and right so far, what is missing is the password
    let begins_with_password = username.as_ref().is_some_and(|name| !name.is_empty()) && said_of_user.is_none();
    // what belongs to no field stands above them all
    let note = error.filter(|e| !matches!(e, AppError::Invalid { .. })).map(|error| {
        let more = match &error {
            AppError::WrongCredentials { user, cluster } => format!("{cluster} refused this sign-in for {user}."),
            AppError::SecondFactorUnsupported { .. } => {
                "Add an authenticator app or recovery keys in Proxmox, under Permissions › Two Factor.".to_owned()
            }
            _ => String::new(),
        };
        view! { <ErrorNote error more /> }
    });
    let trouble = form.trouble.clone().map(|error| view! { <ErrorNote error more="Your password is not sent before it answers." /> });
    let option = |choice: &RealmChoice| {
        let chosen = match &realm {
            Some(realm) => choice.realm.as_str() == realm,
            None => choice.default,
        };
        view! { <option value=choice.realm.to_string() selected=chosen>{choice.title.clone()}</option> }
    };
    let options = form.realms.iter().map(option).collect_view();
    view! {
        <form class="w-full max-w-[22rem] m-auto py-10 grid gap-4" method="post" action=SignIn::PATH novalidate>
            <div class="mb-2">
                <h1 class="text-2xl tracking-[-0.02em]">"Sign in"</h1>
                <p class="text-base text-ink-3 mt-1">"With your Proxmox VE account."</p>
            </div>
            {note}
            {trouble}
            <ClusterField form next=next.clone() />
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
                        autofocus=!begins_with_password
                        value=username.unwrap_or_default()
                        aria-invalid=user_is_wrong.to_string()
                        aria-describedby="username-said"
                    />
                    <Said id="username-said" text=said_of_user />
                </div>
                <div class="field">
                    <label for="realm">"Realm"</label>
                    <select
                        class="select input-lg"
                        id="realm"
                        name="realm"
                        aria-invalid=said_of_realm.is_some().to_string()
                        aria-describedby="realm-said"
                    >
                        {options}
                    </select>
                    <Said id="realm-said" text=said_of_realm />
                </div>
            </div>
            <div class="field">
                <label for="password">"Password"</label>
                <span class="input input-lg pr-1" class:is-err=password_is_wrong>
                    <input
                        id="password"
                        name="password"
                        type="password"
                        autocomplete="current-password"
                        autofocus=begins_with_password
                        aria-invalid=password_is_wrong.to_string()
                        aria-describedby="password-said"
                    />
                    <button type="button" class="vb needs-js" data-shows="password" aria-pressed="false" aria-label="Show password">
                        <Icon name="eye" class="i-sm" />
                        <Icon name="eye-off" class="i-sm" />
                    </button>
                </span>
                <Said id="password-said" text=said_of_password />
            </div>
            <button class="btn btn-primary btn-lg mt-2">
                <span class="while-idle">"Sign in"</span>
                <span class="while-busy">
                    <Glyph name="pending" />
                    "Signing in…"
                </span>
            </button>
            <p class="hint">"Berth acts with your own Proxmox rights. Your password goes to the cluster and is not kept."</p>
        </form>
    }
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
    text: Option<String>,
) -> impl IntoView {
    view! { <span class="err" id=id>{text.map(|text| view! { <Glyph name="fail" class="g-error" /> {text} })}</span> }
}

fn on_field(error: &AppError, field: Field) -> bool {
    matches!(error, AppError::Invalid { field: on, flaw: Flaw::Empty | Flaw::Unknown | Flaw::Malformed } if *on == field)
}

/// Who is signed in, and out again. In the side bar, and on a phone in the menu.
#[component]
pub fn Account(
    /// Who.
    user: String,
    /// Where.
    cluster: String,
) -> impl IntoView {
    let both = format!("{user} on {cluster}");
    view! {
        <p class="account" title=both>
            <Icon name="circle-user" />
            <span class="truncate">{user}</span>
            <span class="n">{cluster}</span>
        </p>
        <form method="post" action=SignOut::PATH>
            <button type="submit">
                <Icon name="log-out" />
                <span>"Sign out"</span>
            </button>
        </form>
    }
}

/// The picture beside the form: a quay from above, rows of berths, two of them yours.
#[component]
fn Quay() -> impl IntoView {
    let berths = (0..28u32).flat_map(|row| (0..12u32).map(move |column| (row, column))).filter_map(|(row, column)| {
        // the same picture every time
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
