//! What a container uses: charts over a time that can be chosen, and the same as a table. The lines are paths that stretch, the words
//! beside them are HTML, so that a label has the same size at every width. [`crate::tab::chart`] adds the crosshair in the browser.

use super::{
    asked::{Known, Part},
    chart::{Grid, area, gaps, largest, latest, line, short_bytes, top_for_bytes, y},
};
use crate::{
    containers::{
        model::{ContainerRow, Status},
        service::Sight,
    },
    error::AppError,
    pages::query::Query,
    paths,
    proxmox::wire::{LxcStatus, Rrd, Sample},
    ui::{format, parts::ErrorNote},
};
use leptos::prelude::*;
use time::{OffsetDateTime, macros::format_description};

/// The times that can be chosen: Proxmox's word, the button, and in words.
const RANGES: [(Rrd, &str, &str); 5] = [
    (Rrd::Hour, "1 h", "last hour"),
    (Rrd::Day, "1 d", "last day"),
    (Rrd::Week, "1 w", "last week"),
    (Rrd::Month, "1 mo", "last month"),
    (Rrd::Year, "1 y", "last year"),
];
/// In which the figures stand as texts.
const TABLE: &str = "usage-table";

/// The time that an address asks for.
pub fn range(query: &Query) -> Rrd {
    let wanted = query.get("range").unwrap_or_default();
    RANGES.into_iter().map(|(range, ..)| range).find(|range| range.as_str() == wanted).unwrap_or(Rrd::Hour)
}

/// A figure, or two that are compared.
struct Figure {
    id: &'static str,
    title: &'static str,
    /// Now, or when it was last seen.
    now: String,
    /// Of what.
    of: String,
    /// `live` where it comes with every look at the list; all else comes once a minute.
    pace: &'static str,
    /// Of when `now` is, where it is not of now.
    seen: Option<String>,
    series: Vec<Series>,
    top: f64,
    /// At the top, in the middle and at the bottom of the scale.
    scale: [String; 3],
}

struct Series {
    name: &'static str,
    now: String,
    values: Vec<Option<f64>>,
    say: fn(f64) -> String,
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn bytes(bytes: f64) -> String {
    format::bytes(bytes.max(0.0) as u64)
}

fn rate(bytes: f64) -> String {
    format!("{}/s", self::bytes(bytes))
}

/// When the figures of a row were seen, where they are not of now.
pub fn stale(sight: &Sight, row: Option<&ContainerRow>) -> Option<String> {
    let row = row?;
    let is_away = sight.trouble.is_some() || !row.node_online || row.last_seen.is_some();
    let at = row.last_seen.or(sight.as_of).filter(|_| is_away)?;
    Some(format!("seen {}", format::ago(at, sight.now)))
}

/// The charts.
#[component]
pub fn Usage(known: Known, row: ContainerRow, stale: Option<String>, range: Rrd, page: String) -> impl IntoView {
    let words = RANGES.iter().find(|(other, ..)| *other == range).map_or("", |(_, _, words)| words);
    let links = RANGES.map(|(other, text, words)| {
        // the hour needs no saying
        let to = if other == Rrd::Hour { page.clone() } else { paths::with_query(&page, &[("range", other.as_str())]) };
        let is_this = other == range;
        view! { <a href=to aria-label=format!("{text}: {words}") aria-current=is_this.then_some("true")>{text}</a> }
    });
    let body = match charts(&known, &row, stale.as_deref(), range) {
        Ok(Some((grid, figures))) => view! { <Charts grid figures range words /> }.into_any(),
        Ok(None) => view! { <p class="p-4 text-ink-3">"Proxmox has no figures of this time."</p> }.into_any(),
        Err(error) => {
            let more = "The charts are missing; all else on this page is not concerned.".to_owned();
            view! { <div class="p-4"><ErrorNote error more /></div> }.into_any()
        }
    };
    view! {
        <section class="panel" aria-labelledby="usage-h" id="usage">
            <div class="panel-h panel-l">
                <h2 id="usage-h">"Usage"</h2>
                <span class="text-ink-3 text-xs">"UTC"</span>
                <nav class="seg ml-auto" aria-label="Time">{links.into_iter().collect_view()}</nav>
            </div>
            {body}
        </section>
    }
    .into_any()
}

/// The figures over a time; none where Proxmox has none.
fn charts(known: &Known, row: &ContainerRow, stale: Option<&str>, range: Rrd) -> Part<Option<(Grid, Vec<Figure>)>> {
    let samples: &[Sample] = known.samples.as_ref().map_err(AppError::clone)?;
    let Some(grid) = Grid::of(samples, range) else { return Ok(None) };
    let is_running = row.status == Status::Running;
    let finest = if range == Rrd::Hour { samples } else { known.latest.as_deref().unwrap_or_default() };
    let now = |name: &str| latest(finest, name).filter(|_| is_running);
    let status = known.status.as_ref().ok();
    let figures = vec![
        of_row(cpu(&grid, row, status), row, stale),
        of_row(memory(&grid, row, status), row, stale),
        rates(&grid, "network", "Network", [("In", "netin"), ("Out", "netout")], now),
        rates(&grid, "disk-io", "Disk I/O", [("Write", "diskwrite"), ("Read", "diskread")], now),
        disk(&grid, status, is_running, now),
    ];
    Ok(Some((grid, figures)))
}

const UNKNOWN: &str = "–";

/// A figure that comes with the list: live, or of when its container was last seen.
fn of_row(figure: Figure, row: &ContainerRow, stale: Option<&str>) -> Figure {
    let seen = row.usage.and(stale).map(str::to_owned);
    let pace = if row.usage.is_some() && seen.is_none() { "live" } else { "" };
    Figure { pace, seen, ..figure }
}

fn cpu(grid: &Grid, row: &ContainerRow, status: Option<&LxcStatus>) -> Figure {
    let now = row.usage.map_or_else(|| UNKNOWN.to_owned(), |usage| format!("{} %", usage.cpu_percent));
    let cores = status.and_then(|status| status.cpus).or_else(|| grid.values("maxcpu").into_iter().rev().flatten().next());
    let of = match cores {
        Some(1.0) => "of 1 core".to_owned(),
        Some(cores) => format!("of {cores} cores"),
        None => String::new(),
    };
    let series = vec![Series { name: "CPU", now: now.clone(), values: grid.values("cpu"), say: percent }];
    Figure { id: "cpu", title: "CPU", now, of, pace: "", seen: None, series, top: 1.0, scale: ["100 %", "50 %", "0 %"].map(str::to_owned) }
}

fn memory(grid: &Grid, row: &ContainerRow, status: Option<&LxcStatus>) -> Figure {
    let values = grid.values("mem");
    let limit = row.usage.map(|usage| usage.memory_limit).or_else(|| status?.maxmem).map(|limit| limit as f64);
    let limit = limit.or_else(|| grid.values("maxmem").into_iter().rev().flatten().next());
    let now = row.usage.map_or_else(|| UNKNOWN.to_owned(), |usage| format::bytes(usage.memory));
    part_of_whole("memory", "Memory", now, values, limit)
}

fn disk(grid: &Grid, status: Option<&LxcStatus>, is_running: bool, now: impl Fn(&str) -> Option<f64>) -> Figure {
    let values = grid.values("disk");
    let used = status.filter(|_| is_running).and_then(|status| status.disk).map(|used| used as f64).or_else(|| now("disk"));
    let whole = status.and_then(|status| status.maxdisk).map(|whole| whole as f64);
    let whole = whole.or_else(|| grid.values("maxdisk").into_iter().rev().flatten().next());
    part_of_whole("disk", "Root disk", used.map_or_else(|| UNKNOWN.to_owned(), bytes), values, whole)
}

fn part_of_whole(id: &'static str, title: &'static str, now: String, values: Vec<Option<f64>>, whole: Option<f64>) -> Figure {
    let top = whole.filter(|whole| *whole > 0.0).unwrap_or_else(|| top_for_bytes(largest(&values)));
    let of = whole.map(|whole| format!("of {}", bytes(whole))).unwrap_or_default();
    let scale = [bytes(top), bytes(top / 2.0), "0".to_owned()];
    let series = vec![Series { name: title, now: now.clone(), values, say: bytes }];
    Figure { id, title, now, of, pace: "", seen: None, series, top, scale }
}

fn rates(
    grid: &Grid,
    id: &'static str,
    title: &'static str,
    names: [(&'static str, &'static str); 2],
    now: impl Fn(&str) -> Option<f64>,
) -> Figure {
    let said = |value: Option<f64>| value.map_or_else(|| UNKNOWN.to_owned(), rate);
    let sum = names.iter().map(|(_, key)| now(key)).sum::<Option<f64>>();
    let series = names.map(|(name, key)| Series { name, now: said(now(key)), values: grid.values(key), say: rate });
    let top = top_for_bytes(series.iter().map(|series| largest(&series.values)).fold(0.0, f64::max));
    let scale = [short_bytes(top), short_bytes(top / 2.0), "0".to_owned()];
    Figure { id, title, now: said(sum), of: String::new(), pace: "", seen: None, series: series.into(), top, scale }
}

#[component]
fn Charts(grid: Grid, figures: Vec<Figure>, range: Rrd, words: &'static str) -> impl IntoView {
    let labels = time_labels(&grid, range);
    let table = view! { <Table grid=grid.clone() figures=&figures range words /> }.into_any();
    let mut column = 1;
    let charts = figures.into_iter().map(|figure| {
        let first = column;
        column += figure.series.len();
        view! { <Chart figure labels=labels.clone() words first /> }
    });
    let charts = charts.collect_view();
    view! {
        <svg class="sprite" aria-hidden="true">
            <defs>
                <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
                    <line class="hatch" x1="0" y1="0" x2="0" y2="6" />
                </pattern>
            </defs>
        </svg>
        <div class="charts">{charts}</div>
        {table}
    }
    .into_any()
}

/// One chart. `first` is the column of the table in which its first series stands.
#[component]
fn Chart(figure: Figure, labels: Vec<String>, words: &'static str, first: usize) -> impl IntoView {
    let Figure { id, title, now, of, pace, seen, series, top, scale } = figure;
    let described = describe(title, words, &now, seen.as_deref(), &series);
    let tone = if seen.is_some() { "font-medium text-base text-ink-3" } else { "font-medium text-base" };
    let of_when = seen.or_else(|| (!pace.is_empty()).then(|| pace.to_owned()));
    let points: Vec<String> = series.iter().map(|series| places(&series.values, top)).collect();
    let columns: Vec<String> = (first..first + series.len()).map(|column| column.to_string()).collect();
    let gaps = gaps(&series[0].values).into_iter().map(|(from, to)| {
        let word =
            (to - from >= 16.0).then(|| view! { <text class="no-data" x=format!("{:.2}%", (from + to) / 2.0) y="50%">"no data"</text> });
        view! {
            <rect class="gap" x=format!("{from:.2}%") y="0" width=format!("{:.2}%", to - from) height="100%" fill="url(#hatch)" />
            {word}
        }
    });
    let gaps = gaps.collect_view();
    let grid_lines = ["0", "50%", "100%"].map(|y| view! { <line class="grid-l" x1="0" x2="100%" y1=y y2=y /> });
    let ground = area(&series[0].values, top);
    let lines = series.iter().enumerate().map(|(index, series)| {
        let class = if index == 0 { "l1" } else { "l2" };
        view! { <path class=class d=line(&series.values, top) /> }
    });
    let lines = lines.collect_view();
    let dots =
        (0..series.len()).map(|index| view! { <circle class=if index == 0 { "dot" } else { "dot dot-2" } r="3.5" /> }).collect_view();
    let legend = (series.len() > 1).then(|| {
        let entries = series.iter().enumerate().map(|(index, series)| {
            let class = if index == 0 { "l1" } else { "l2" };
            view! {
                <span>
                    <svg width="16" height="4" aria-hidden="true"><line class=class x1="0" x2="16" y1="2" y2="2" /></svg>
                    {series.name} " " <span class="text-ink-2">{series.now.clone()}</span>
                </span>
            }
        });
        view! { <span class="legend">{entries.collect_view()}</span> }
    });
    let scale = scale.into_iter().zip(["y-top", "y-mid", "y-low"]).map(|(text, class)| view! { <span class=class>{text}</span> });
    let scale = scale.collect_view();
    let labels = labels.into_iter().map(|label| view! { <span>{label}</span> }).collect_view();
    view! {
        <figure class="chart">
            <figcaption>
                <span class="text-ink-3">{title}</span>
                <b class=tone>{now}</b>
                <span class="text-ink-3">{of}</span>
                {of_when.map(|text| view! { <span class="text-ink-3 text-xs">{text}</span> })}
                {legend}
            </figcaption>
            <div
                class="ch"
                id=format!("chart-{id}")
                role="img"
                tabindex="0"
                aria-label=described
                data-points=points.join("|")
                data-table=TABLE
                data-columns=columns.join(" ")
            >
                <div class="y" aria-hidden="true">{scale}</div>
                <div class="plot">
                    <svg aria-hidden="true">
                        {grid_lines}
                        {gaps}
                        <svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%">
                            <path class="f1" d=ground />
                            {lines}
                        </svg>
                        <line class="cross" x1="0" x2="0" y1="0" y2="100%" />
                        {dots}
                    </svg>
                    <output class="pop ch-tip"></output>
                </div>
                <div class="x" aria-hidden="true">{labels}</div>
            </div>
        </figure>
    }
    .into_any()
}

/// A chart in words: what it shows, now or when it was last seen, and between which values it moves.
fn describe(title: &str, words: &str, now: &str, seen: Option<&str>, series: &[Series]) -> String {
    let moves = series.iter().filter_map(|series| {
        let measured: Vec<f64> = series.values.iter().flatten().copied().collect();
        let least = measured.iter().copied().reduce(f64::min)?;
        let name = if series.name == title { String::new() } else { format!("{} ", series.name) };
        Some(format!("{name}{} to {}", (series.say)(least), (series.say)(largest(&series.values))))
    });
    let moves: Vec<String> = moves.collect();
    let moves = if moves.is_empty() { "no data".to_owned() } else { moves.join(", ") };
    let now = seen.map_or_else(|| format!("now {now}"), |seen| format!("{now} when {seen}"));
    format!("{title}, {words}: {now}, {moves}. The table below has all values.")
}

/// The places of the points for the crosshair, of 1000 from the top; `-` where there is none.
fn places(values: &[Option<f64>], top: f64) -> String {
    let place = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{:.0}", y(value, top)));
    values.iter().map(place).collect::<Vec<_>>().join(" ")
}

/// All values as texts: for who cannot see a line, and for the crosshair.
#[component]
fn Table<'a>(grid: Grid, figures: &'a [Figure], range: Rrd, words: &'static str) -> impl IntoView + use<> {
    let heads = figures.iter().flat_map(|figure| {
        figure.series.iter().map(|series| {
            let name = if series.name == figure.title {
                series.name.to_owned()
            } else {
                format!("{} {}", figure.title, series.name.to_lowercase())
            };
            view! { <th scope="col">{name}</th> }
        })
    });
    let heads = heads.collect_view();
    let series: Vec<&Series> = figures.iter().flat_map(|figure| &figure.series).collect();
    let rows = grid.times().enumerate().map(|(index, time)| {
        let cells = series.iter().map(|series| {
            let text = series.values[index].map_or_else(|| "no data".to_owned(), series.say);
            view! { <td>{text}</td> }
        });
        view! { <tr><th scope="row">{in_table(time, range)}</th>{cells.collect_view()}</tr> }
    });
    let rows = rows.collect_view();
    view! {
        <details class="raw" id="usage-values">
            <summary>"As a table"</summary>
            <div class="scroll-x" tabindex="0" role="region" aria-label="Usage as a table">
                <table class="values" id=TABLE>
                    <caption class="sr-only">{format!("Usage, {words}. Times are UTC.")}</caption>
                    <thead>
                        <tr>
                            <th scope="col">"Time (UTC)"</th>
                            {heads}
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </details>
    }
    .into_any()
}

fn moment(at: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

// a time has all that these formats ask for

fn in_table(at: i64, range: Rrd) -> String {
    let text = match range {
        Rrd::Hour | Rrd::Day => moment(at).format(format_description!("[hour]:[minute]")),
        Rrd::Week | Rrd::Month => moment(at).format(format_description!("[day padding:none] [month repr:short] [hour]:[minute]")),
        Rrd::Year => moment(at).format(format_description!("[day padding:none] [month repr:short] [year]")),
    };
    text.unwrap_or_default()
}

/// Five times below the chart.
fn time_labels(grid: &Grid, range: Rrd) -> Vec<String> {
    let whole = grid.step * (grid.len() as i64 - 1);
    let label = |part: i64| {
        let at = moment(grid.from + whole * part / 4);
        let text = match range {
            Rrd::Hour | Rrd::Day => at.format(format_description!("[hour]:[minute]")),
            Rrd::Week => at.format(format_description!("[weekday repr:short] [day padding:none]")),
            Rrd::Month => at.format(format_description!("[day padding:none] [month repr:short]")),
            Rrd::Year => at.format(format_description!("[month repr:short] [year repr:last_two]")),
        };
        text.unwrap_or_default()
    };
    (0..5).map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_none_of_the_five_is_the_hour() {
        let asked = ["range=year", "range=decade", "", "range=DAY"].map(|text| range(&Query::of(text)));
        assert_eq!(asked, [Rrd::Year, Rrd::Hour, Rrd::Hour, Rrd::Hour]);
    }

    #[test]
    fn a_chart_says_between_which_values_it_moves() {
        let series = [Series { name: "CPU", now: String::new(), values: vec![Some(0.02), None, Some(0.38)], say: percent }];
        assert!(
            describe("CPU", "last hour", "9 %", Some("seen 3 min ago"), &series).starts_with("CPU, last hour: 9 % when seen 3 min ago, ")
        );
        assert_eq!(
            describe("CPU", "last hour", "9 %", None, &series),
            "CPU, last hour: now 9 %, 2 % to 38 %. The table below has all values."
        );
        assert_eq!(places(&series[0].values, 1.0), "980 - 620");
    }
}
