//! How many bytes a first visit may cost: `xtask/size-budget.json` against the release site.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};

use crate::site::{self, Profile, stamp};

const LIMITS: &str = include_str!("../size-budget.json");

/// What is counted, the files in it, and whether they go into the total.
const GROUPS: [(&str, &[&str], bool); 5] = [
    ("wasm", &["berth.wasm"], true),
    ("js", &["berth.js"], true),
    ("css", &["berth.css"], true),
    ("fonts", &["geist.woff2", "geist-mono.woff2"], false),
    ("icons", &["icons.svg"], false),
];

/// What a first visit to the release site downloads, as brotli: WASM, JavaScript and CSS, and the fonts.
pub fn first_visit() -> Result<(u64, u64)> {
    let sizes = sizes()?;
    let of = |wanted: &str| sizes.iter().filter(|(name, _)| *name == wanted).map(|(_, size)| size.brotli).sum();
    Ok((of("total"), of("fonts")))
}

#[derive(Default, Clone, Copy)]
struct Size {
    raw: u64,
    gzip: u64,
    brotli: u64,
}

/// Prints what the release site weighs, and returns the sentences about what is over its limit.
pub fn report() -> Result<Vec<String>> {
    let limits: BTreeMap<String, u64> = serde_json::from_str(LIMITS).context("xtask/size-budget.json is not a map of numbers")?;
    let mut over = Vec::new();
    println!("  {:<18}{:>10}{:>10}{:>10}{:>10}", "bytes", "raw", "gzip", "brotli", "allowed");
    for (name, size) in sizes()? {
        let limit = *limits.get(name).with_context(|| format!("xtask/size-budget.json has no limit for {name}"))?;
        let label = if name == "total" { "wasm + js + css" } else { name };
        let fits = size.brotli <= limit;
        println!("  {label:<18}{:>10}{:>10}{:>10}{limit:>10}{}", size.raw, size.gzip, size.brotli, if fits { "" } else { "  over" });
        if !fits {
            over.push(format!("{label}: {} bytes as brotli, allowed are {limit}", size.brotli));
        }
    }
    Ok(over)
}

/// By group, and the total of those that count.
fn sizes() -> Result<Vec<(&'static str, Size)>> {
    let site = site::directory(Profile::Release);
    let manifest = stamp::read(&site.join("manifest.json"))?;
    let manifest: BTreeMap<String, String> = serde_json::from_slice(&manifest).context("the site's manifest is damaged")?;

    let mut rows = Vec::new();
    let mut total = Size::default();
    for (name, files, counts) in GROUPS {
        let mut sum = Size::default();
        for file in files {
            let path = manifest.get(*file).with_context(|| format!("the site's manifest lacks {file}"))?;
            add(&mut sum, size(&site.join(&path[1..]))?);
        }
        if counts {
            add(&mut total, sum);
        }
        rows.push((name, sum));
    }
    rows.push(("total", total));
    Ok(rows)
}

/// A file without compressed siblings travels as it is.
fn size(path: &Path) -> Result<Size> {
    let length = |suffix: &str| fs::metadata(format!("{}{suffix}", path.display())).map(|meta| meta.len());
    let raw = length("").with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Size { raw, gzip: length(".gz").unwrap_or(raw), brotli: length(".br").unwrap_or(raw) })
}

fn add(sum: &mut Size, size: Size) {
    sum.raw += size.raw;
    sum.gzip += size.gzip;
    sum.brotli += size.brotli;
}
