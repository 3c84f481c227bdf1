//! Reads a folder of the form of `../shared/pve`: `vectors/{validation,permission,behaviour}.jsonl`, `recordings-8.4/*.json`,
//! `permission-user.cfg`. Whatever is not there is empty; a line that cannot be read is said and counts against us.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::paths;

pub struct Data {
    pub validation: Vec<Case>,
    pub permission: Vec<Case>,
    pub behaviour: Vec<Case>,
    /// In the order in which they were recorded.
    pub recordings: Vec<Case>,
    /// Users, groups, roles and rights of the vectors, in Proxmox's own form.
    pub user_cfg: String,
}

/// A vector or a recording: what it is called in a report, and what it says.
pub struct Case {
    pub name: String,
    /// `null` where it cannot be read.
    pub value: Value,
    /// Of a recording: of which version, as its folder says (`recordings-8.4`).
    pub version: Option<String>,
}

impl Case {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value[name].as_str()
    }

    /// Whether it says what is asked for.
    pub fn is_readable(&self) -> bool {
        self.text("path").is_some()
    }

    pub fn method(&self) -> &str {
        self.text("method").unwrap_or("GET")
    }

    pub fn path(&self) -> &str {
        self.text("path").unwrap_or_default()
    }

    pub fn status(&self) -> u16 {
        let default = if self.value.get("errors").is_some() { 400 } else { 200 };
        self.value["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(default)
    }
}

/// Where the data is when nobody says: `$BERTH_PVE_DATA`, or `../shared/pve` beside the repository.
pub fn folder() -> PathBuf {
    let named = env::var_os("BERTH_PVE_DATA").map(|folder| paths::root().join(folder));
    named.unwrap_or_else(|| paths::root().join("../shared/pve"))
}

pub fn read(folder: &Path) -> Result<Data> {
    if !folder.is_dir() {
        bail!("{} is not there to check against: name a folder with --from DIR", folder.display());
    }
    let vectors = |kind: &str| read_lines(&folder.join("vectors").join(format!("{kind}.jsonl")));
    let data = Data {
        validation: vectors("validation")?,
        permission: vectors("permission")?,
        behaviour: vectors("behaviour")?,
        recordings: read_recordings(folder)?,
        user_cfg: fs::read_to_string(folder.join("permission-user.cfg")).unwrap_or_default(),
    };
    if [&data.validation, &data.permission, &data.behaviour, &data.recordings].iter().all(|cases| cases.is_empty()) {
        bail!("{} has neither vectors/*.jsonl nor recordings-*/*.json", folder.display());
    }
    Ok(data)
}

fn read_lines(file: &Path) -> Result<Vec<Case>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    Ok(lines
        .map(|(number, line)| {
            let value: Value = serde_json::from_str(line).unwrap_or_default();
            let name = value["id"].as_str().map_or_else(|| format!("line {}", number + 1), str::to_owned);
            Case { name, value, version: None }
        })
        .collect())
}

fn read_recordings(folder: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(version) = name.strip_prefix("recordings").filter(|_| path.is_dir()) else { continue };
        let version = version.strip_prefix('-').map(str::to_owned);
        for entry in fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "json") {
                let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
                let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                cases.push(Case { name, value: serde_json::from_str(&text).unwrap_or_default(), version: version.clone() });
            }
        }
    }
    // Those without a time, the timelines, come last.
    cases.sort_by_key(|case| {
        let recorded = case.text("recorded").unwrap_or_default().to_owned();
        (recorded.is_empty(), recorded, case.name.clone())
    });
    Ok(cases)
}
