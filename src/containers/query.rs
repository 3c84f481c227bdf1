//! What somebody asks of the list: which containers, in which order, and how many there are of each status.
//!
//! The grammar is the one that people know from Proxmox Datacenter Manager: words, and `field:value`.
//!
//! | written | means |
//! |---|---|
//! | `web` | the name or the number contains it, whatever its case |
//! | `status:running` | `running`, `stopped`, `creating`, `error` or `unknown`, or how one of them begins |
//! | `tag:prod` `node:pve1` `cluster:homelab` `vmid:101` | exactly that, whatever its case |
//! | `name:web` `template:debian` | the name, or that of what it was made from, contains it |
//! | `lock:backup` | a lock whose word, as the list shows it, begins so |
//! | `tag:` | it has any |
//! | `-tag:prod` `-web` | not those |
//! | `name:"a b"` `"status:running"` | one value with spaces in it; words that look like a field and are none |
//!
//! Every term narrows: what is shown fits all of them, two of the same field too (`tag:prod tag:web` has both tags, and
//! `status:running status:stopped` is nothing). In Datacenter Manager a row has to fit only one of the terms without a `+`, and all with
//! one (pdm-search/src/lib.rs, `Search::matches`); a `+` is read here, and changes nothing.
//!
//! Reading never fails: what is no known field is a word.
//!
//! What this is not for: windows, which are the server's ([`super::service`]).

use super::model::{ContainerRow, Status};
use crate::{error::Lock, operations::model::ContainerId};
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, collections::HashMap, fmt, net::IpAddr, str::FromStr};
use strum::{Display, EnumIter, EnumString};

/// How many terms a query has at most; what comes after them is left out.
const MOST_TERMS: usize = 32;
/// How many characters of a query are read.
const MOST_TEXT: usize = 1000;

/// What a term is about, where it is not the name or the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumString, EnumIter)]
#[strum(serialize_all = "snake_case", ascii_case_insensitive)]
pub enum Field {
    /// One of the five figures.
    Status,
    /// A tag.
    Tag,
    /// Where it lives.
    Node,
    /// Where that is.
    Cluster,
    /// What it was made from.
    Template,
    /// What holds its configuration.
    Lock,
    /// Its host name.
    Name,
    /// Its number.
    Vmid,
}

/// A part of a query. Made by reading one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Term {
    field: Option<Field>,
    /// As it was written.
    value: String,
    /// In small letters.
    needle: String,
    excludes: bool,
}

impl Term {
    /// A term of a field.
    pub fn new(field: Field, value: &str) -> Self {
        Self::of(Some(field), value, false)
    }

    fn of(field: Option<Field>, value: &str, excludes: bool) -> Self {
        // quotes only hold together; no name has any
        let value = value.replace('"', "").trim().to_owned();
        Self { field, needle: value.to_lowercase(), value, excludes }
    }

    /// What it is about; none where it is a word.
    pub fn field(&self) -> Option<Field> {
        self.field
    }

    /// What is looked for, as it was written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether what fits is left out.
    pub fn excludes(&self) -> bool {
        self.excludes
    }

    /// Whether a row is to be shown, as far as this goes. `name` is the row's in small letters.
    fn admits(&self, row: &ContainerRow, name: &str) -> bool {
        self.fits(row, name) != self.excludes
    }

    fn fits(&self, row: &ContainerRow, name: &str) -> bool {
        let needle = self.needle.as_str();
        let is = |text: &str| needle.is_empty() || text.to_lowercase() == needle;
        match self.field {
            None => name.contains(needle) || row.vmid.to_string().contains(needle),
            Some(Field::Status) => Condition::of(row).to_string().starts_with(needle),
            Some(Field::Tag) => row.tags.iter().any(|tag| is(&tag.name)),
            Some(Field::Node) => is(row.node.as_str()),
            Some(Field::Cluster) => is(row.cluster.as_str()),
            Some(Field::Template) => row.template_name.as_ref().is_some_and(|name| name.to_lowercase().contains(needle)),
            Some(Field::Lock) => row.lock.is_some_and(|lock| lock.word().starts_with(needle)),
            Some(Field::Name) => name.contains(needle),
            Some(Field::Vmid) => is(&row.vmid.to_string()),
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.excludes {
            f.write_str("-")?;
        }
        let value = self.value.as_str();
        let quoted = match self.field {
            Some(field) => {
                write!(f, "{field}:")?;
                value.contains(char::is_whitespace)
            }
            // what would be read as something else
            None => value.contains(char::is_whitespace) || value.starts_with(['-', '+']) || field_of(value).is_some(),
        };
        if quoted { write!(f, "\"{value}\"") } else { f.write_str(value) }
    }
}

/// The field that a word begins with, and the rest.
fn field_of(word: &str) -> Option<(Field, &str)> {
    let (field, rest) = word.split_once(':')?;
    Some((field.parse().ok()?, rest))
}

/// Reads terms. What is empty, or there already, is left out.
fn terms_of(text: &str) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    let end = text.char_indices().nth(MOST_TEXT).map_or(text.len(), |(end, _)| end);
    let mut rest = text[..end].trim_start();
    while !rest.is_empty() && terms.len() < MOST_TERMS {
        let (term, behind) = first_term(rest);
        rest = behind.trim_start();
        terms.extend(term.filter(|term| !terms.contains(term)));
    }
    terms
}

/// The first term of a text that does not begin with a space, and what stands behind it.
fn first_term(text: &str) -> (Option<Term>, &str) {
    let is_more = |rest: &str| !rest.is_empty() && !rest.starts_with(char::is_whitespace);
    let (excludes, text) = match text.strip_prefix('-') {
        Some(rest) if is_more(rest) => (true, rest),
        _ => (false, text.strip_prefix('+').filter(|rest| is_more(rest)).unwrap_or(text)),
    };
    let word_end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (field, value) = match field_of(&text[..word_end]) {
        Some((field, rest)) => (Some(field), &text[word_end - rest.len()..]),
        None => (None, text),
    };
    let (value, behind) = match value.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        None => value.split_at(value.find(char::is_whitespace).unwrap_or(value.len())),
    };
    let term = Term::of(field, value, excludes);
    (Some(term).filter(|term| field.is_some() || !term.value.is_empty()), behind)
}

/// What the rows are sorted by. Those of which it is not known come last, in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Display, EnumString, EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Sort {
    /// By name, whatever its case.
    #[default]
    Name,
    /// What runs first; then what is being made, what stands, what failed, and what nobody knows.
    Status,
    /// By number.
    Vmid,
    /// By node.
    Node,
    /// By the share of its cores that it uses.
    Cpu,
    /// By the bytes that it uses.
    Memory,
    /// By how long it has been running.
    Uptime,
    /// By the first tag, then the second, …; those without come last.
    Tags,
    /// By what it was made from.
    Template,
    /// By its first address, as far as it was read.
    Address,
    /// By the name of its first service.
    Services,
    /// By what happened to it last: what has not changed for longest comes first.
    Event,
}

/// Which of the five figures a row is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumString, EnumIter)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Condition {
    /// It runs.
    Running,
    /// It is being made, by us or by somebody else.
    Creating,
    /// It does not run.
    Stopped,
    /// Our making of it failed.
    Error,
    /// Nobody knows.
    Unknown,
}

impl Condition {
    /// Of a row.
    pub fn of(row: &ContainerRow) -> Self {
        use super::model::Lifecycle;
        match (row.lifecycle, row.lock, row.status) {
            (Lifecycle::Error, ..) => Self::Error,
            (Lifecycle::Creating, ..) | (_, Some(Lock::Create), _) => Self::Creating,
            (.., Status::Running) => Self::Running,
            (.., Status::Stopped) => Self::Stopped,
            (.., Status::Unknown) => Self::Unknown,
        }
    }
}

/// How many rows there are of each condition. They add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// All.
    pub total: usize,
    /// Those that run.
    pub running: usize,
    /// Those that stand.
    pub stopped: usize,
    /// Those that are being made.
    pub creating: usize,
    /// Those whose making failed.
    pub error: usize,
    /// Those of which nobody knows.
    pub unknown: usize,
}

impl Counts {
    fn add(&mut self, condition: Condition) {
        self.total += 1;
        *match condition {
            Condition::Running => &mut self.running,
            Condition::Stopped => &mut self.stopped,
            Condition::Creating => &mut self.creating,
            Condition::Error => &mut self.error,
            Condition::Unknown => &mut self.unknown,
        } += 1;
    }

    /// How many there are of one.
    pub fn of(&self, condition: Condition) -> usize {
        match condition {
            Condition::Running => self.running,
            Condition::Stopped => self.stopped,
            Condition::Creating => self.creating,
            Condition::Error => self.error,
            Condition::Unknown => self.unknown,
        }
    }
}

/// What is asked of the list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Query {
    /// All of which a row has to fit.
    pub terms: Vec<Term>,
    /// What the rows are sorted by.
    pub sort: Sort,
    /// The other way round.
    pub descending: bool,
}

impl FromStr for Query {
    type Err = std::convert::Infallible;

    /// Reads what stands in the search box, with the usual order.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { terms: terms_of(text), ..Self::default() })
    }
}

impl Query {
    /// What stands in the search box.
    pub fn text(&self) -> String {
        self.terms.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// Reads the query of an address (`q=web+tag:prod&sort=cpu&desc&page=2`), and the page, from 1. What is not known or cannot be read
    /// is as if it were absent.
    pub fn of_url(url_query: &str) -> (Self, usize) {
        let (mut query, mut page) = (Self::default(), 1);
        for pair in url_query.trim_start_matches('?').split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "q" => query.terms = terms_of(&decoded(value)),
                "sort" => query.sort = value.parse().unwrap_or_default(),
                "desc" => query.descending = true,
                "page" => page = value.parse().unwrap_or(1).max(1),
                _ => {}
            }
        }
        (query, page)
    }

    /// The one way of writing it in an address, without the `?`; empty for the list as it is without any query.
    pub fn to_url(&self, page: usize) -> String {
        let mut parts = Vec::new();
        if !self.terms.is_empty() {
            parts.push(format!("q={}", encoded(&self.text())));
        }
        if self.sort != Sort::default() {
            parts.push(format!("sort={}", self.sort));
        }
        if self.descending {
            parts.push("desc".to_owned());
        }
        if page > 1 {
            parts.push(format!("page={page}"));
        }
        parts.join("&")
    }

    /// The same with a status in the place of those that it asks for, or without any: what a figure leads to.
    pub fn with_status(&self, condition: Option<Condition>) -> Self {
        let others = self.terms.iter().filter(|term| term.field != Some(Field::Status)).cloned();
        let terms = others.chain(condition.map(|condition| Term::new(Field::Status, &condition.to_string()))).collect();
        Self { terms, ..self.clone() }
    }

    /// The same with one more term, or without it where it is there: what a tag leads to.
    pub fn toggled(&self, term: Term) -> Self {
        let mut terms = self.terms.clone();
        match terms.iter().position(|other| *other == term) {
            Some(position) => drop(terms.remove(position)),
            None => terms.push(term),
        }
        Self { terms, ..self.clone() }
    }

    /// Whether a row fits.
    pub fn matches(&self, row: &ContainerRow) -> bool {
        let name = row.name.to_lowercase();
        self.terms.iter().all(|term| term.admits(row, &name))
    }

    /// Whether a row fits but for its status: what the figures count.
    fn matches_but_for_status(&self, row: &ContainerRow) -> bool {
        let name = row.name.to_lowercase();
        self.terms.iter().filter(|term| term.field != Some(Field::Status)).all(|term| term.admits(row, &name))
    }

    /// How many rows there are of each status among those that fit the rest of the query.
    pub fn count<'a>(&self, rows: impl IntoIterator<Item = &'a ContainerRow>) -> Counts {
        let mut counts = Counts::default();
        rows.into_iter().filter(|row| self.matches_but_for_status(row)).for_each(|row| counts.add(Condition::of(row)));
        counts
    }

    /// Which of two rows comes first: a total order, ties by name, then number.
    pub fn compare(&self, a: &ContainerRow, b: &ContainerRow) -> Ordering {
        let by_name = || a.name.to_lowercase().cmp(&b.name.to_lowercase());
        self.by_key(&Key::of(self.sort, a), &Key::of(self.sort, b)).then_with(by_name).then_with(|| a.vmid.cmp(&b.vmid))
    }

    fn by_key(&self, a: &Key<'_>, b: &Key<'_>) -> Ordering {
        match (a, b) {
            (Key::Absent, _) | (_, Key::Absent) => a.cmp(b),
            _ if self.descending => b.cmp(a),
            _ => a.cmp(b),
        }
    }

    /// The places of the rows that fit, in order. The rows come in the order of the [default query](Query::default), so that ties have
    /// theirs already. What only a window's rows have is in `keys`.
    pub fn order<R: AsRef<ContainerRow>>(&self, rows: &[R], keys: &HashMap<ContainerId, Key<'static>>) -> Vec<u32> {
        let fitting = rows.iter().map(AsRef::as_ref).zip(0..).filter(|(row, _)| self.matches(row));
        if self.sort == Sort::Name && !self.descending {
            return fitting.map(|(_, place)| place).collect();
        }
        let keyed = fitting.map(|(row, place)| (keys.get(&row.id).cloned().unwrap_or_else(|| Key::of(self.sort, row)), place));
        let mut keyed: Vec<(Key<'_>, u32)> = keyed.collect();
        keyed.sort_by(|(a, _), (b, _)| self.by_key(a, b));
        keyed.into_iter().map(|(_, place)| place).collect()
    }
}

/// What a row is sorted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key<'a> {
    /// A text, where case matters not in lower case.
    Text(String),
    /// A number.
    Number(u64),
    /// An address: those of version 4 come first.
    Address(IpAddr),
    /// Tags, one after the other.
    Tags(Vec<&'a str>),
    /// Its status.
    Condition(Condition),
    /// It is not known.
    Absent,
}

impl<'a> Key<'a> {
    fn of(sort: Sort, row: &'a ContainerRow) -> Self {
        let usage = row.usage.as_ref().filter(|_| row.status == Status::Running);
        let number = |number: Option<u64>| number.map_or(Self::Absent, Self::Number);
        match sort {
            Sort::Name => Self::Text(row.name.to_lowercase()),
            Sort::Status => Self::Condition(Condition::of(row)),
            Sort::Vmid => Self::Number(row.vmid.get().into()),
            Sort::Node => Self::Text(row.node.as_str().to_lowercase()),
            Sort::Cpu => number(usage.map(|usage| usage.cpu_percent.into())),
            Sort::Memory => number(usage.map(|usage| usage.memory)),
            // who was started last has been running for the shortest time
            Sort::Uptime => number(usage.map(|usage| u64::MAX - u64::try_from(usage.started_at).unwrap_or_default())),
            Sort::Tags if row.tags.is_empty() => Self::Absent,
            Sort::Tags => Self::Tags(row.tags.iter().map(|tag| tag.name.as_str()).collect()),
            Sort::Template => row.template_name.as_ref().map_or(Self::Absent, |name| Self::Text(name.to_lowercase())),
            Sort::Address => row.addresses.first().map_or(Self::Absent, |address| Self::Address(*address)),
            Sort::Services => row.services.first().map_or(Self::Absent, |service| Self::Text(service.name.to_lowercase())),
            Sort::Event => row.last_event.as_ref().map_or(Self::Absent, |event| Self::Text(event.id.to_string())),
        }
    }
}

/// As a form writes it, but for what can be read in an address as it is.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' | b'/' | b'@' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// What a form, or [`encoded`], has written. What is no escape stands for itself.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        let is_hex = |digits: &&[u8]| digits.iter().all(u8::is_ascii_hexdigit);
        match (first, behind.get(..2).filter(is_hex).and_then(escaped)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &behind[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
        rest = behind;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{
        super::model::{Colour, Lifecycle, Tag, Usage, tests::row},
        *,
    };
    use strum::IntoEnumIterator;

    fn read(text: &str) -> Query {
        text.parse().unwrap()
    }

    fn full() -> ContainerRow {
        let tag = |name: &str| Tag { name: name.into(), colour: Colour([0; 3]), text: Colour([255; 3]) };
        ContainerRow {
            name: "Web-1".into(),
            tags: vec![tag("prod"), tag("Web")],
            template_name: Some("Debian 12".into()),
            lock: Some(Lock::SnapshotDelete),
            ..row(Status::Running)
        }
    }

    #[test]
    fn what_fits_and_what_does_not() {
        let row = full();
        for fits in [
            "",
            "web",
            "WEB-1",
            "01",
            "status:running",
            "status:RUN",
            "tag:prod",
            "TAG:web tag:PROD",
            "node:pve1",
            "cluster:homelab",
            "template:debian",
            "template:\"debian 12\"",
            "lock:snap",
            "lock:",
            "tag:",
            "name:web",
            "vmid:101",
            "-tag:test",
            "-status:stopped",
            "+web +tag:prod",
            "-nothing",
            "\"web\"",
        ] {
            assert!(read(fits).matches(&row), "{fits:?}");
        }
        for not in [
            "db",
            "102",
            "status:stopped",
            "tag:pro",
            "tag:prod tag:test",
            "node:pve",
            "cluster:home",
            "vmid:10",
            "-web",
            "-lock:",
            "-tag:prod",
            "status:running status:stopped",
            "web db",
            "tags:prod",
            "\"status:running\"",
            "\"tag:prod\"",
            "-\"web\"",
        ] {
            assert!(!read(not).matches(&row), "{not:?}");
        }
        assert!(
            read("-").matches(&ContainerRow { name: "a-b".into(), ..row.clone() })
                && read("-tag:").matches(&super::super::model::tests::row(Status::Running))
        );
    }

    #[test]
    fn there_is_one_way_of_writing_each() {
        for (written, canonical) in [
            ("  web   db ", "web db"),
            ("web web", "web"),
            ("Status:running", "status:running"),
            ("tag:\"prod\"", "tag:prod"),
            ("name:\"a b\"", "name:\"a b\""),
            ("name:\"a b", "name:\"a b\""),
            ("\"status:running\"", "\"status:running\""),
            ("\"a\"b", "a b"),
            ("+web", "web"),
            ("- --x", "\"-\" -\"-x\""),
            ("\"\" -\"\"", ""),
            ("other:value", "other:value"),
            ("status:", "status:"),
        ] {
            assert_eq!(read(written).text(), canonical, "{written:?}");
        }
    }

    #[test]
    fn an_address_says_what_is_not_usual() {
        for (address, canonical) in [
            ("", ""),
            ("q=", ""),
            ("?q=web+tag%3Aprod&sort=cpu&desc&page=2", "q=web+tag:prod&sort=cpu&desc&page=2"),
            ("desc=&sort=name", "desc"),
            ("page=0&sort=odd&other=1", ""),
            ("q=%zz%", "q=%25zz%25"),
            ("q=caf%C3%A9%26%23", "q=caf%C3%A9%26%23"),
        ] {
            let (query, page) = Query::of_url(address);
            assert_eq!(query.to_url(page), canonical, "{address:?}");
            assert_eq!(Query::of_url(canonical), (query, page));
        }
        for sort in Sort::iter() {
            let query = Query { sort, ..Query::default() };
            assert_eq!(Query::of_url(&query.to_url(1)), (query, 1));
        }
    }

    #[test]
    fn a_figure_takes_the_place_of_the_status_and_a_tag_comes_and_goes() {
        let query = read("web status:running tag:prod");
        assert_eq!(query.with_status(Some(Condition::Stopped)).text(), "web tag:prod status:stopped");
        assert_eq!(query.with_status(None).text(), "web tag:prod");
        assert_eq!(query.toggled(Term::new(Field::Tag, "prod")).text(), "web status:running");
        assert_eq!(query.toggled(Term::new(Field::Tag, "a b")).text(), "web status:running tag:prod tag:\"a b\"");
    }

    #[test]
    fn what_is_being_made_is_neither_stopped_nor_running() {
        let stopped = row(Status::Stopped);
        assert_eq!(Condition::of(&ContainerRow { lock: Some(Lock::Create), ..stopped.clone() }), Condition::Creating);
        assert_eq!(Condition::of(&ContainerRow { lifecycle: Lifecycle::Creating, ..stopped.clone() }), Condition::Creating);
        assert_eq!(Condition::of(&ContainerRow { lifecycle: Lifecycle::Error, lock: Some(Lock::Create), ..stopped }), Condition::Error);
    }

    mod any {
        use super::*;
        use proptest::{collection::vec, option, prelude::*, sample::select};

        fn word() -> impl Strategy<Value = String> {
            "[a-cA-C0-2:\" +-]{0,6}"
        }

        pub fn text() -> impl Strategy<Value = String> {
            let field =
                select(Field::iter().map(|field| format!("{field}:")).chain(["".into(), "-".into(), "\"".into()]).collect::<Vec<_>>());
            vec((field, word()), 0..6).prop_map(|parts| parts.into_iter().map(|(field, word)| field + &word).collect::<Vec<_>>().join(" "))
        }

        fn a_row() -> impl Strategy<Value = ContainerRow> {
            let status = select(vec![Status::Running, Status::Stopped, Status::Unknown]);
            let lifecycle = select(vec![Lifecycle::Ready, Lifecycle::Ready, Lifecycle::Creating, Lifecycle::Error]);
            let tags = vec(select(vec!["a", "B", "c1"]), 0..3);
            let figures = option::of((0..4_u16, 0..4_u64, 0..4_i64));
            ("[a-cA-C]{1,3}", 100..120_u32, status, lifecycle, tags, figures, option::of(select(vec!["a", "B"])), 0..3_u32).prop_map(
                |(name, vmid, status, lifecycle, tags, figures, template, node)| ContainerRow {
                    name,
                    vmid: vmid.try_into().unwrap(),
                    lifecycle,
                    node: format!("pve{node}").parse().unwrap(),
                    tags: tags.into_iter().map(|name| Tag { name: name.into(), colour: Colour([0; 3]), text: Colour([0; 3]) }).collect(),
                    usage: figures.map(|(cpu_percent, memory, started_at)| Usage { cpu_percent, memory, memory_limit: 4, started_at }),
                    template_name: template.map(str::to_owned),
                    ..row(status)
                },
            )
        }

        fn query() -> impl Strategy<Value = Query> {
            (text(), select(Sort::iter().collect::<Vec<_>>()), any::<bool>()).prop_map(|(text, sort, descending)| Query {
                sort,
                descending,
                ..read(&text)
            })
        }

        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

            #[test]
            fn what_is_written_down_is_read_as_the_same(text in text(), page in 1..5_usize) {
                let query = read(&text);
                prop_assert_eq!(&read(&query.text()), &query);
                prop_assert_eq!(Query::of_url(&query.to_url(page)), (query, page));
            }

            #[test]
            fn anything_at_all_can_be_read(text in any::<String>()) {
                let query = read(&text);
                prop_assert_eq!(&read(&query.text()), &query);
                prop_assert_eq!(Query::of_url(&query.to_url(1)).0, query);
                Query::of_url(&text);
            }

            #[test]
            fn the_figures_add_up_and_each_is_a_filter(rows in vec(a_row(), 0..40), query in query()) {
                let rows = sorted(rows);
                let counts = query.count(&rows);
                prop_assert_eq!(counts.total, counts.running + counts.stopped + counts.creating + counts.error + counts.unknown);
                prop_assert_eq!(query.with_status(None).order(&rows, &HashMap::new()).len(), counts.total);
                for condition in Condition::iter() {
                    prop_assert_eq!(query.with_status(Some(condition)).order(&rows, &HashMap::new()).len(), counts.of(condition));
                }
            }

            #[test]
            fn the_order_is_total_and_is_the_one_that_comparing_gives(rows in vec(a_row(), 0..40), query in query()) {
                let rows = sorted(rows);
                let order = query.order(&rows, &HashMap::new());
                let got: Vec<_> = order.iter().map(|place| &rows[*place as usize]).collect();
                prop_assert!(got.iter().all(|row| query.matches(row)));
                prop_assert_eq!(got.len(), rows.iter().filter(|row| query.matches(row)).count());
                prop_assert!(got.is_sorted_by(|a, b| query.compare(a, b).is_lt()), "{:?}", got);
                for (a, b) in rows.iter().zip(rows.iter().rev()) {
                    prop_assert_eq!(query.compare(a, b), query.compare(b, a).reverse());
                }
            }
        }

        /// Each number once, by name.
        fn sorted(mut rows: Vec<ContainerRow>) -> Vec<ContainerRow> {
            rows.sort_by_key(|row| row.vmid);
            rows.dedup_by_key(|row| row.vmid);
            rows.sort_by(|a, b| Query::default().compare(a, b));
            rows
        }
    }
}
