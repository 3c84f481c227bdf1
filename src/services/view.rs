//! The services of a container as a list. The server renders it; see [`crate::pages`].

use super::{
    model::{ServiceKind, ServiceStatus},
    store::ServiceRow,
};
use crate::{
    pages::parts::When,
    ui::icons::{Glyph, Icon},
};
use leptos::prelude::*;

/// What runs in a container, as far as our database knows.
#[component]
pub fn Services(
    /// By name.
    services: Vec<ServiceRow>,
    /// Epoch milliseconds.
    now: i64,
) -> impl IntoView {
    if services.is_empty() {
        return view! {
            <div class="empty !px-0">
                <h2>"No services are known"</h2>
                <p>"Berth knows the services of containers that it has made. What else runs in this one, it has not looked for."</p>
            </div>
        }
        .into_any();
    }
    let rows = services.into_iter().map(|service| view! { <Service service now /> }).collect_view();
    view! {
        <section class="panel overflow-hidden" aria-labelledby="services-h">
            <div class="panel-h panel-l">
                <h2 id="services-h">"Services"</h2>
            </div>
            <table class="svcs">
                <thead class="sr-only">
                    <tr>
                        <th scope="col">"Name"</th>
                        <th scope="col">"Port"</th>
                        <th scope="col">"Page"</th>
                        <th scope="col">"Status"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </section>
    }
    .into_any()
}

#[component]
fn Service(service: ServiceRow, now: i64) -> impl IntoView {
    let (glyph, word, tone) = match service.status {
        ServiceStatus::Running => ("running", "Running", "text-ink-2"),
        ServiceStatus::Stopped => ("stopped", "Stopped", "text-ink-2"),
        ServiceStatus::Installing => ("creating", "Installing", "w-creating"),
        ServiceStatus::Error => ("error", "Error", "w-error"),
    };
    let kind = match service.kind {
        ServiceKind::Systemd => "systemd",
        ServiceKind::Docker => "Docker",
        ServiceKind::Process => "process",
    };
    let shown = service.web_url.clone();
    let page = match service.web_url.filter(|url| is_web(url)) {
        Some(url) => view! {
            <a class="a inline-flex items-center gap-1" href=url target="_blank" rel="external noopener noreferrer">
                {shown}
                <Icon name="external-link" class="i-xs" />
            </a>
        }
        .into_any(),
        None => view! { <span class="text-ink-3">"no web page"</span> }.into_any(),
    };
    view! {
        <tr>
            <th scope="row">
                <span class="flex items-center gap-2.5 min-w-0">
                    <Glyph name=glyph />
                    <span class="min-w-0 truncate" title=service.name.clone()>{service.name.clone()}</span>
                    <span class="font-normal text-xs text-ink-3">{kind}</span>
                </span>
            </th>
            <td class="text-ink-2">{service.port.map_or_else(|| "–".to_owned(), |port| port.to_string())}</td>
            <td>{page}</td>
            <td class="num"><span class=tone>{word}</span> <span class="text-ink-3">" · " <When at=service.updated_at now /></span></td>
        </tr>
    }
}

/// Whether a link leads to a web page, and to nothing that would run.
fn is_web(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_web_page_is_a_link() {
        assert!(is_web("https://192.0.2.7:8443/") && !is_web("javascript:alert(1)") && !is_web("//evil.example"));
    }
}
