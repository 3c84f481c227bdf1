//! All verbs of a container: what the list shows as the menu of a row; where a menu cannot open, it is a page.

use super::{refusal, subject};
use crate::{
    containers::view::MenuItems,
    error::AppError,
    operations::model::{ContainerId, OperationView, Verb},
    pages::{
        model::RenderedPage,
        parts::{Crumbs, rendered},
    },
    paths,
    server::{Context, Error},
    ui::parts::ErrorNote,
};
use leptos::prelude::*;

/// `/containers/{id}/menu`. `refused` is what a form without JavaScript has to say.
pub async fn menu(context: &Context, id: &ContainerId, refused: Option<AppError>) -> Result<RenderedPage, Error> {
    let subject = subject(context, id).await?;
    let Some(row) = subject.row else { return Err(Error::Answer(AppError::NoSuchContainer)) };
    let running = subject.operation.map(OperationView::from).filter(OperationView::is_open);
    let now = subject.sight.now;
    let container = paths::container(id);
    let id = id.clone();
    Ok(rendered(format!("Actions for {}", row.name), false, move || {
        let refusals = Verb::ALL.map(|verb| (verb, refusal(verb, &row, running.as_ref(), now)));
        let why = move |verb| refusals.iter().find(|(other, _)| *other == verb).and_then(|(_, why)| why.clone());
        let name = row.name.clone();
        let title = format!("Actions for {name}");
        view! {
            <Crumbs steps=vec![(name.clone(), Some(container)), ("Actions".to_owned(), None)] />
            <h1 class="text-xl px-page pb-3 max-[860px]:pt-3">{title.clone()}</h1>
            {refused.map(|error| view! { <div class="px-page pb-3" id="refused"><ErrorNote error /></div> })}
            <form id="menu-verbs" method="post" action=Verb::Start.action() data-name=name.clone()>
                <input type="hidden" name="id" value=id.to_string() />
            </form>
            <div class="mn mn-page" id="menu-items" role="group" aria-label=title>
                <MenuItems id name form="menu-verbs" refusal=why />
            </div>
        }
    }))
}
