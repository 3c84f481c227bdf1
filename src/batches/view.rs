//! The question before a verb for many containers, and the page that follows it. The server renders both; see [`crate::pages`].

use super::{
    model::{BatchId, BatchItem, BatchView, Chosen, Cut, ItemState, MOST, MOST_BY_ID, confirmation},
    plan::{Plan, Unreadable, Which, Wish, plan},
    service::{self, PER_NODE},
    store::OpenBatchRow,
};
use crate::{
    containers::model::{ContainerRow, Status},
    error::{AppError, Field, Flaw},
    operations::model::{Manner, OperationState, Verb},
    pages::{
        model::RenderedPage,
        parts::{ConfirmField, Crumbs, Parts, exact, rendered},
    },
    paths,
    server::{Context, Error},
    ui::{
        format,
        icons::{Glyph, Icon},
        parts::ErrorNote,
    },
};
use leptos::prelude::*;

/// So many names stand in a line; more are folded.
const NAMES: usize = 12;
/// Containers on a page of a batch.
const PER_PAGE: usize = 100;

/// `12 containers`
fn containers(count: usize) -> String {
    format!("{} container{}", format::count(count), if count == 1 { "" } else { "s" })
}

/// A batch that is under way, in a line that leads to it: for who has gone back to the list meanwhile.
#[component]
pub fn OpenBatch(
    /// The batch.
    batch: OpenBatchRow,
) -> impl IntoView {
    let count = |number: i64| usize::try_from(number).unwrap_or_default();
    let waiting = (batch.waiting > 0)
        .then(|| view! { <span class="text-ink-3">{format!(" · {} waiting", format::count(count(batch.waiting)))}</span> });
    view! {
        <a class="banner" id=format!("batch-{}", batch.id) href=paths::batch(&batch.id)>
            <Glyph name="pending" />
            <span class="min-w-0">
                {format!("{} {}", batch.verb.label(), containers(count(batch.containers)))}
                {waiting}
            </span>
            <span class="ml-auto text-link whitespace-nowrap">"Follow"</span>
        </a>
    }
}

/// `/bulk?verb=…`: what happens to how many, which are left out, and why. `refused` is what a form without JavaScript has to say.
pub async fn question(context: &Context, url_query: &str, refused: Option<AppError>) -> Result<RenderedPage, Error> {
    let wish = match Wish::of_url(url_query) {
        Ok(wish) => wish,
        Err(Unreadable::WithoutVerb) => return Err(Error::Answer(AppError::NoSuchPage)),
        Err(Unreadable::TooMany(verb, count)) => return Ok(too_many(verb, count)),
    };
    let plan = plan(context, &wish).await?;
    let back = match &wish.which {
        Which::Fitting(query, _) if !query.to_url(1).is_empty() => format!("{}?{}", paths::home(), query.to_url(1)),
        Which::NotDoneIn(batch) => paths::batch(batch),
        _ => paths::home().to_owned(),
    };
    let title = title(plan.verb, plan.rows.len());
    Ok(rendered(title.clone(), false, move || view! { <Question plan title back refused /> }))
}

fn title(verb: Verb, count: usize) -> String {
    match count {
        0 => format!("Nothing to {}", verb.label().to_lowercase()),
        count => format!("{} {}?", verb.label(), containers(count)),
    }
}

/// More were ticked one by one than an address can name.
fn too_many(verb: Verb, count: usize) -> RenderedPage {
    rendered("Too many at once".to_owned(), false, move || {
        view! {
            <Crumbs steps=vec![(verb.label().to_owned(), None)] />
            <div class="empty">
                <h1 class="text-xl">"Too many at once"</h1>
                <p>
                    {format!(
                        "{} are ticked, and at most {MOST_BY_ID} can be ticked one by one. The box in the head of the list takes all that fit a search.",
                        format::count(count),
                    )}
                </p>
                <div class="act">
                    <a class="btn btn-primary" href=paths::home()>"Go to the containers"</a>
                </div>
            </div>
        }
    })
}

/// What happens to each.
fn what_happens(verb: Verb) -> &'static str {
    match verb {
        Verb::Start => "Each of them is started.",
        Verb::Shutdown => "Each of them is asked to shut down. What does not do so in time is stopped hard.",
        Verb::Restart => "Each of them is shut down, hard where it does not listen in time, and started again.",
        Verb::Stop => "Each of them is stopped at once, like pulling the plug. What is not written to disk is lost.",
        Verb::Delete => "Each of them is removed with all its disks. This cannot be undone.",
    }
}

/// What is different for some of them.
fn exception(verb: Verb, rows: &[ContainerRow]) -> Option<String> {
    let count = |status| rows.iter().filter(|row| row.status == status).count();
    let (one, many, status) = match verb {
        Verb::Restart => ("does not run: it is started.", "do not run: they are started.", Status::Stopped),
        Verb::Delete => ("runs: it is stopped hard first.", "run: they are stopped hard first.", Status::Running),
        _ => return None,
    };
    match count(status) {
        0 => None,
        1 => Some(format!("1 of them {one}")),
        count => Some(format!("{} of them {many}", format::count(count))),
    }
}

#[component]
fn Question(plan: Plan, title: String, back: String, refused: Option<AppError>) -> impl IntoView {
    let verb = plan.verb;
    let count = plan.rows.len();
    let chosen = Chosen::of(plan.rows.iter().map(|row| row.id.clone()));
    let why = match (&chosen, count) {
        (Some(_), _) => None,
        (None, 0) => Some("There is none to which it can be done now.".to_owned()),
        (None, _) => Some(format!("At most {} at a time. A search narrows it down.", format::count(MOST))),
    };
    let (in_field, above) = match refused {
        Some(error @ AppError::Invalid { field: Field::ConfirmMany, .. }) => (Some(error), None),
        other => (None, other),
    };
    let wrong = in_field.map(|error| match error {
        AppError::Invalid { flaw: Flaw::Unknown, .. } => format!("That is not it. Type “{}”.", confirmation(count)),
        error => error.to_string(),
    });
    let is_hard = matches!(verb, Verb::Stop | Verb::Delete);
    let except = exception(verb, &plan.rows);
    let said = move || view! { <span>{what_happens(verb)} " " {except}</span> };
    let what = (count > 0).then(|| match is_hard {
        true => view! { <p class="note note-warn"><Icon name="triangle-alert" />{said()}</p> }.into_any(),
        false => view! { <p>{said()}</p> }.into_any(),
    });
    let kept = (verb == Verb::Delete && count > 0).then(|| {
        view! {
            <dl class="losses">
                <dt>"Deleted"</dt>
                <dd>
                    <ul>
                        <li>"All their disks"</li>
                        <li>"Their entries in backup jobs, firewall and HA"</li>
                    </ul>
                </dd>
                <dt>"Kept"</dt>
                <dd>
                    <ul>
                        <li>"Their backups"</li>
                        <li>"Their operations and events in Berth"</li>
                    </ul>
                </dd>
            </dl>
        }
    });
    let asks = verb == Verb::Delete && chosen.is_some();
    let field = asks.then(|| {
        view! { <ConfirmField words=confirmation(count) wrong /> }
    });
    let button = if is_hard { "btn btn-error" } else { "btn btn-primary" };
    view! {
        <Crumbs steps=vec![(verb.label().to_owned(), None)] />
        <form class="question" method="post" action=paths::RUN_BATCH autocomplete="off">
            <h1 class="text-lg">{title}</h1>
            {above.map(|error| view! { <ErrorNote error /> })}
            {plan.trouble.clone().map(|error| view! { <ErrorNote error more="What stands here is what it said last." /> })}
            {what}
            {(count > 0).then(|| names(&plan.rows))}
            {kept}
            {left_out(&plan)}
            {(count > PER_NODE).then(|| view! { <p class="text-xs text-ink-3">{format!("At most {PER_NODE} of a node at a time.")}</p> })}
            <input type="hidden" name="verb" value=verb.to_string() />
            <input type="hidden" name="ids" value=chosen.as_ref().map(Chosen::to_string) />
            {field}
            <footer>
                {why.clone().map(|why| view! { <span class="mr-auto text-xs text-ink-3" id="why">{why}</span> })}
                <a class="btn" href=back autofocus=!asks>"Cancel"</a>
                <button type="submit" class=button aria-disabled=why.is_some().to_string() aria-describedby=why.is_some().then_some("why")>
                    {if count == 0 { verb.label().to_owned() } else { format!("{} {}", verb.label(), containers(count)) }}
                </button>
            </footer>
        </form>
    }
}

/// Names, folded where they are many.
fn names(rows: &[ContainerRow]) -> AnyView {
    let all = rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>().join(", ");
    if rows.len() <= NAMES {
        return view! { <p class="break-words">{all}</p> }.into_any();
    }
    view! {
        <details>
            <summary class="a cursor-pointer">{format!("Show the {}", containers(rows.len()))}</summary>
            <p class="break-words mt-1">{all}</p>
        </details>
    }
    .into_any()
}

/// Which are left out, and why.
fn left_out(plan: &Plan) -> Option<AnyView> {
    let count = plan.left_out_count();
    if count == 0 {
        return None;
    }
    let reason = |(why, rows): &(String, Vec<ContainerRow>)| {
        view! {
            <li>
                <span class="text-ink-2">{format!("{}: {why}", format::count(rows.len()))}</span>
                <div class="text-ink-3">{names(rows)}</div>
            </li>
        }
    };
    let unseen = (plan.unseen > 0).then(|| {
        view! { <li class="text-ink-2">{format!("{}: Not in your list of containers any more.", format::count(plan.unseen))}</li> }
    });
    let title = if count == 1 { "1 is left out".to_owned() } else { format!("{} are left out", format::count(count)) };
    Some(
        view! {
            <section class="grid gap-2" aria-labelledby="left-out">
                <h2 class="font-medium" id="left-out">{title}</h2>
                <ul class="grid gap-2">{plan.left_out.iter().map(reason).collect_view()} {unseen}</ul>
            </section>
        }
        .into_any(),
    )
}

/// `/bulk/{batch}`: how far it is, and what became of each container.
pub async fn batch(context: &Context, id: &BatchId, url_query: &str, parts: Parts<'_>) -> Result<RenderedPage, Error> {
    let batch = service::get_batch(context, id).await?;
    let page = url_query.split('&').find_map(|pair| pair.strip_prefix("page=")?.parse::<usize>().ok()).unwrap_or(1).max(1);
    let title = format!("{} {}", batch.verb.label(), containers(batch.tally.total));
    Ok(rendered(title.clone(), batch.tally.is_under_way(), || progress(&batch, title, page, &parts)))
}

fn progress(batch: &BatchView, title: String, page: usize, parts: &Parts<'_>) -> impl IntoView + use<> {
    let tally = batch.tally;
    let is_under_way = tally.is_under_way();
    let lasts = |end: i64| format::duration((end - batch.created_at) / 1000);
    let lasts = match batch.ended_at {
        Some(end) => format!(" · took {}", lasts(end)),
        None if is_under_way => format!(" · {} so far", lasts(batch.now)),
        // nobody knows when its process ended
        None => String::new(),
    };
    let glyph = match (is_under_way, tally.failed + tally.refused, tally.not_begun) {
        (true, ..) => "pending",
        (_, 1.., _) => "fail",
        (_, _, 1..) => "cut",
        _ => "ok",
    };
    let percent = (tally.total - tally.waiting - tally.open) * 100 / tally.total.max(1);
    // what needs somebody comes first
    let mut items: Vec<&BatchItem> = batch.items.iter().collect();
    items.sort_by_key(|item| !item.state.is_bad());
    // beyond the end is the last one
    let page = page.min(items.len().div_ceil(PER_PAGE)).max(1);
    let from = (page - 1) * PER_PAGE;
    let to = (from + PER_PAGE).min(items.len());
    let lines: String =
        items[from..to].iter().map(|item| parts.keyed("li", &format!("b-{}", item.position), || line(batch, item))).collect();
    let again = (tally.bad() > 0 && !is_under_way).then(|| {
        let words = if tally.bad() == tally.failed { "Retry the failed" } else { "Retry what was not done" };
        view! {
            <a class="btn" href=paths::bulk_again(batch.verb, &batch.id)>
                <Icon name="rotate-cw" />
                {format!("{words} ({})", format::count(tally.bad()))}
            </a>
        }
    });
    let hidden = tally.total - items.len();
    let hidden = (hidden > 0).then(|| {
        let text = format!("{} not shown: your Proxmox account may not see them now.", format::count(hidden));
        view! { <p class="px-4 pb-3 text-ink-3">{text}</p> }
    });
    let part = |page: usize, rel: &'static str, text: &'static str| view! { <a class="btn" rel=rel href=paths::batch_part(&batch.id, page)>{text}</a> };
    let previous = (from > 0).then(|| part(page - 1, "prev", "Previous"));
    let next = (to < items.len()).then(|| part(page + 1, "next", "Next"));
    let pager = (previous.is_some() || next.is_some()).then(|| {
        view! {
            <nav class="tl-foot items-center" aria-label="Parts of the list">
                {previous}
                {next}
                <span class="text-ink-3">{format!("{}–{} of {}", from + 1, to, format::count(items.len()))}</span>
            </nav>
        }
    });
    let cut = batch.cut.filter(|_| tally.not_begun > 0).map(|cut| {
        let text = match cut {
            Cut::SignedOut => "You signed out, or your session ended, before it was done.",
            Cut::Stopped => "Berth was restarted before it was done.",
        };
        view! { <p class="note note-warn"><Icon name="triangle-alert" /><span>{text} " What had begun goes on; the rest was not begun."</span></p> }
    });
    view! {
        <Crumbs steps=vec![(batch.verb.label().to_owned(), None)] />
        <div class="px-page pb-6 grid gap-5 max-w-[52rem]">
            <div class="flex items-start gap-3 flex-wrap max-[860px]:pt-3">
                <div class="grid gap-1 min-w-0">
                    <h1 class="text-xl flex items-center gap-2.5">
                        <Glyph name=glyph />
                        {title}
                    </h1>
                    <p class="text-ink-3">
                        <time title="By Berth's database">{exact(batch.created_at)}</time>
                        {lasts}
                    </p>
                </div>
                <div class="page-verbs">{again}</div>
            </div>
            <div class="grid gap-2">
                <p class="font-medium" role="status">{tally.sentence()}</p>
                <svg class="m" role="progressbar" aria-label="Containers that have had their turn" aria-valuenow=percent.to_string()>
                    <rect width=format!("{percent}%") height="100%" />
                </svg>
            </div>
            {cut}
            <section class="panel" aria-labelledby="each">
                <div class="panel-h">
                    <h2 id="each">"Each container"</h2>
                </div>
                <ol class="tl" id="items" inner_html=lines></ol>
                {hidden}
                {pager}
            </section>
            {is_under_way.then(|| view! { <p class="text-xs text-ink-3">"Leaving this page changes nothing: it runs on the server, until you sign out."</p> })}
        </div>
    }
}

/// What became of a container, in a word.
fn word(verb: Verb, item: &BatchItem) -> String {
    match (item.state, item.operation_state) {
        (ItemState::Waiting, _) => "Waiting".to_owned(),
        (ItemState::Open, _) => verb.under_way().to_owned(),
        (ItemState::Done, _) if item.warnings => "Done, with warnings".to_owned(),
        (ItemState::Done, _) if is_forced(verb, item) => "Done, stopped hard".to_owned(),
        (ItemState::Done, _) => "Done".to_owned(),
        (ItemState::Failed, state) => verb.not_done(state.unwrap_or(OperationState::Failed)),
        (ItemState::Refused, _) => "Refused".to_owned(),
        (ItemState::NotBegun, _) => "Not begun".to_owned(),
    }
}

fn is_forced(verb: Verb, item: &BatchItem) -> bool {
    item.manner == Some(Manner::Forced) && matches!(verb, Verb::Shutdown | Verb::Restart)
}

fn glyph(verb: Verb, item: &BatchItem) -> &'static str {
    match (item.state, item.operation_state) {
        (ItemState::Waiting, _) => "wait",
        (ItemState::Open, _) => "pending",
        (ItemState::Done, _) if item.warnings || is_forced(verb, item) => "warn",
        (ItemState::Done, _) => "ok",
        (ItemState::Failed, Some(OperationState::Interrupted | OperationState::Unknown)) | (ItemState::NotBegun, _) => "cut",
        (ItemState::Failed | ItemState::Refused, _) => "fail",
    }
}

fn line(batch: &BatchView, item: &BatchItem) -> impl IntoView + use<> {
    let word = word(batch.verb, item);
    let tone = match item.state {
        ItemState::Failed | ItemState::Refused => "font-medium text-bad-ink",
        ItemState::Open => "text-link",
        ItemState::Waiting | ItemState::NotBegun => "text-ink-3",
        ItemState::Done => "text-ink-2",
    };
    let result = match &item.operation {
        Some(operation) => {
            let label = format!("{word}: the operation on {}", item.name);
            view! { <a class=format!("tl-what {tone}") href=paths::operation(operation) aria-label=label>{word}</a> }.into_any()
        }
        None => view! { <span class=tone>{word}</span> }.into_any(),
    };
    let reference = item.error.as_ref().and_then(AppError::incident).map(|number| format!(" Reference {number}"));
    let why = match (item.state, &item.error, batch.cut) {
        (ItemState::NotBegun, _, Some(cut)) => Some(cut.sentence().to_owned()),
        (ItemState::Failed | ItemState::Refused, Some(error), _) => Some(error.to_string()),
        _ => None,
    };
    view! {
        <li>
            <Glyph name=glyph(batch.verb, item) />
            <span class="min-w-0">
                <a class="tl-what" href=paths::container(&item.container)>{item.name.clone()}</a>
                <span class="text-ink-3">{format!(" CT {} on {}", item.vmid, item.node)}</span>
                {why.map(|why| view! { <span class="tl-who">{why} {reference}</span> })}
            </span>
            {result}
        </li>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::model::tests::row;

    #[test]
    fn a_question_says_how_many_and_what_is_different_for_some() {
        assert_eq!(title(Verb::Shutdown, 12), "Shut down 12 containers?");
        assert_eq!(title(Verb::Delete, 1), "Delete 1 container?");
        assert_eq!(title(Verb::Start, 0), "Nothing to start");
        let rows = [row(Status::Running), row(Status::Stopped), row(Status::Stopped)];
        assert_eq!(exception(Verb::Restart, &rows).as_deref(), Some("2 of them do not run: they are started."));
        assert_eq!(exception(Verb::Delete, &rows).as_deref(), Some("1 of them runs: it is stopped hard first."));
        assert_eq!(exception(Verb::Stop, &rows), None);
    }
}
