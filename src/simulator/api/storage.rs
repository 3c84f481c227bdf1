//! `/nodes/{node}/storage`: storages, what they have room for, and what is on them.
//!
//! Not here: what storages can do and how their volumes are named ([`crate::simulator::storage`]).

use super::Call;
use crate::simulator::{
    caller::Caller,
    reply::{Answer, Failure},
    schema::Params,
    storage::{self, Kind, Storage, Volume, archive_format, archive_kind},
    version::Version,
};
use serde_json::{Map, Value, json};

/// What somebody needs on a storage to see it at all.
const SEE: &[&str] = &["Datastore.Audit", "Datastore.AllocateSpace"];

/// `GET …/storage`
pub fn list(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let may = |path: &str, privilege: &str| call.may(path, privilege);
    let caller = Caller { user: call.user, may: &may };
    Ok(rows(&call.state.storages, call.node(), call.params, &caller, call.state.version)?.into())
}

/// `GET …/storage/{storage}/status`
pub fn status(call: &mut Call<'_>) -> Result<Answer, Failure> {
    Ok(status_row(&call.state.storages, call.node(), call.params.text("storage").unwrap_or_default())?.into())
}

/// `GET …/storage/{storage}/content`
pub fn content(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let may = |path: &str, privilege: &str| call.may(path, privilege);
    let caller = Caller { user: call.user, may: &may };
    let is_container = |vmid| call.state.containers.contains_key(&vmid);
    Ok(contents(&call.state.storages, call.node(), call.params, &caller, &is_container, call.state.version)?.into())
}

/// `GET …/storage` (basic-14, basic-15, basic-16, storage-01, perm-09; API2/Storage/Status.pm:213).
fn rows(storages: &[Storage], node: &str, params: &Params, caller: &Caller<'_>, version: Version) -> Result<Value, Failure> {
    let text = |name: &str| params.text(name).filter(|value| !value.is_empty());
    let wants_formats = params.flag("format");
    let contents = text("content").map(|list| list.split([',', ';', ' ', '\t', '\n']).filter(|part| !part.is_empty()).collect::<Vec<_>>());
    let fits = |storage: &Storage| {
        let has_any = |contents: &Vec<&str>| contents.iter().any(|content| storage.content.has(content));
        contents.as_ref().is_none_or(|contents| has_any(contents) && is_enabled(storage, node))
    };
    let wanted = text("storage");
    let candidates = storages.iter().filter(|storage| fits(storage) && wanted.is_none_or(|name| name == storage.name));
    let found: Vec<_> = candidates.collect();
    if wanted.is_some() && found.is_empty() {
        return Err(Failure::parameter("storage", "No such storage."));
    }
    let target = text("target").filter(|target| *target != node && *target != "localhost");
    let is_reachable = |storage: &Storage| target.is_none_or(|target| storage.is_shared() && storage.is_on(node) && storage.is_on(target));
    let is_shown = |storage: &&&Storage| {
        let path = format!("/storage/{}", storage.name);
        let is_wanted = !(params.flag("enabled") && storage.is_disabled);
        SEE.iter().any(|privilege| (caller.may)(&path, privilege)) && is_wanted && is_reachable(storage)
    };
    let rows = found.iter().filter(is_shown).map(|storage| {
        let mut row = status_of(storage, node);
        row["storage"] = json!(storage.name);
        if storage.total > 0 && is_enabled(storage, node) {
            row["used_fraction"] = json!(storage.used as f64 / storage.total as f64);
        }
        if wants_formats && is_enabled(storage, node) {
            add_formats(&mut row, storage.kind, version);
        }
        row
    });
    Ok(rows.collect())
}

/// `GET …/storage/{storage}/status` (basic-20-storage-status).
fn status_row(storages: &[Storage], node: &str, name: &str) -> Result<Value, Failure> {
    let found = storages.iter().find(|storage| storage.name == name);
    found.map(|storage| status_of(storage, node)).ok_or_else(|| Failure::parameter("storage", "No such storage."))
}

fn is_enabled(storage: &Storage, node: &str) -> bool {
    !storage.is_disabled && storage.is_on(node)
}

fn status_of(storage: &Storage, node: &str) -> Value {
    let is_enabled = is_enabled(storage, node);
    let figure = |bytes: u64| if is_enabled { bytes } else { 0 };
    json!({
        "type": storage.kind.as_str(),
        "content": String::from(storage.content.clone()),
        "shared": u8::from(storage.is_shared()),
        "enabled": u8::from(is_enabled),
        "active": u8::from(is_enabled),
        "total": figure(storage.total),
        "used": figure(storage.used),
        "avail": figure(storage.available()),
    })
}

fn add_formats(row: &mut Value, kind: Kind, version: Version) {
    let Some(formats) = kind.formats(version) else { return };
    let valid: Map<_, _> = formats.iter().map(|format| ((*format).to_owned(), json!(1))).collect();
    row["format"] = json!([valid, "raw"]);
    if version >= Version::V9_2 {
        row["formats"] = json!({ "supported": formats, "default": "raw" });
    }
}

/// `GET …/storage/{storage}/content` (basic-17, backup-02, storage-03; API2/Storage/Content.pm:157). Disks count as a container's while
/// there is a container of that number.
fn contents(
    storages: &[Storage],
    node: &str,
    params: &Params,
    caller: &Caller<'_>,
    is_container: &dyn Fn(u32) -> bool,
    version: Version,
) -> Result<Value, Failure> {
    let name = params.text("storage").unwrap_or_default();
    let storage = storage::find_usable(storages, name, node).map_err(Failure::died)?;
    let wanted = params.text("content").filter(|content| !content.is_empty());
    let vmid = params.text("vmid").map(|_| params.vmid());
    let mut rows: Vec<_> = storage.volumes.iter().filter_map(|volume| describe(storage, volume, vmid, is_container)).collect();
    rows.retain(|row| {
        let content = row["content"].as_str().unwrap_or_default();
        storage.content.has(content) && wanted.is_none_or(|wanted| wanted == content)
    });
    let may_read = |row: &Value| {
        let volid = row["volid"].as_str().unwrap_or_default();
        storage::check_access(caller, storages, None, volid, None, version).is_ok()
    };
    rows.retain(may_read);
    rows.sort_by_key(|row| row["volid"].as_str().unwrap_or_default().to_ascii_lowercase());
    Ok(Value::Array(rows))
}

/// A volume with what its plugin knows of it; none where another guest is asked for (Plugin.pm:1629-1810).
fn describe(storage: &Storage, volume: &Volume, vmid: Option<u32>, is_container: &dyn Fn(u32) -> bool) -> Option<Value> {
    let name = storage.name_of(volume)?;
    let is_asked_for = vmid.is_none() || name.owner == vmid;
    let mut row = json!({ "volid": volume.volid, "size": volume.size, "format": name.format });
    if !matches!(storage.kind, Kind::ZfsPool | Kind::Rbd) {
        row["ctime"] = json!(volume.ctime);
    }
    match name.content {
        "images" => {
            if !is_asked_for {
                return None;
            }
            let owner = name.owner?;
            row["content"] = json!(if is_container(owner) { "rootdir" } else { "images" });
            row["vmid"] = json!(owner);
            match storage.kind {
                Kind::Lvm | Kind::LvmThin => {}
                Kind::ZfsPool | Kind::Rbd => {
                    row["name"] = json!(name.name);
                    row["parent"] = json!(name.base.map(|base| format!("{base}@__base__")));
                }
                _ => {
                    let owner_of = |base: &str| base.split('-').nth(1).unwrap_or_default().to_owned();
                    row["used"] = json!(volume.used.unwrap_or_default());
                    row["parent"] = json!(name.base.map(|base| format!("../{}/{base}", owner_of(base))));
                }
            }
        }
        "backup" => {
            if !is_asked_for {
                return None;
            }
            row["content"] = json!("backup");
            let is_archive = storage.kind != Kind::Pbs;
            let subtype = if is_archive { archive_kind(name.name) } else { name.format.strip_prefix("pbs-").map_or("", guest_kind) };
            row["subtype"] = json!(subtype);
            if is_archive {
                row["format"] = json!(archive_format(name.name));
            }
            if let Some(owner) = name.owner {
                row["vmid"] = json!(owner);
            }
            if let Some(notes) = &volume.notes {
                row["notes"] = json!(notes);
            }
            if volume.is_protected {
                row["protected"] = json!(1);
            }
        }
        content => {
            // These are nobody's, and the first two of them are left out for that.
            if vmid.is_some() && matches!(content, "iso" | "vztmpl") {
                return None;
            }
            row["content"] = json!(content);
            row["format"] = match content {
                "vztmpl" => json!(template_format(name.name)),
                "iso" => json!("iso"),
                "snippets" => json!("snippet"),
                _ => json!(name.format),
            };
        }
    }
    Some(row)
}

fn guest_kind(kind: &str) -> &'static str {
    if kind == "vm" { "qemu" } else { "lxc" }
}

/// `tzst` of `….tar.zst`
fn template_format(name: &str) -> String {
    match name.rsplit('.').next() {
        Some("tar") | None => "tar".to_owned(),
        Some(compression) => format!("t{compression}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::schema::{self, tables};

    fn storages() -> Vec<Storage> {
        let text = r#"[
            {"storage":"local","type":"dir","content":"vztmpl,iso,backup","total":100,"used":25,"volumes":[
                {"volid":"local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst","size":58374010,"ctime":1795367520},
                {"volid":"local:backup/vzdump-lxc-102-2026_11_22-17_43_32.tar.zst","size":58584154,"ctime":1795369412,"notes":"web-102"}]},
            {"storage":"thin","type":"lvmthin","content":"images,rootdir","volumes":[
                {"volid":"thin:vm-200-disk-0","size":1},{"volid":"thin:vm-100-disk-0","size":1}]},
            {"storage":"off","type":"nfs","content":"iso","disabled":true,"total":100}
        ]"#;
        serde_json::from_str(text).unwrap()
    }

    const ROOT: Caller<'_> = Caller { user: "root@pam", may: &|_, _| true };

    fn read(path: &str, params: &[(&str, &str)], caller: &Caller<'_>) -> Value {
        let table = if path == "content" { tables::storage::CONTENT } else { tables::storage::LIST };
        let given = params.iter().chain(&[("node", "pve1")]).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let params = schema::check(table, given, Version::V8_4).unwrap();
        match path {
            "content" => contents(&storages(), "pve1", &params, caller, &|vmid| vmid == 100, Version::V8_4).unwrap(),
            _ => rows(&storages(), "pve1", &params, caller, Version::V8_4).unwrap(),
        }
    }

    #[test]
    fn a_disabled_storage_has_no_figures_and_is_left_out_where_a_content_is_asked_for() {
        let rows = read("list", &[], &ROOT);
        assert_eq!(rows[0]["used_fraction"], json!(0.25));
        let off = json!({ "storage": "off", "type": "nfs", "content": "iso", "shared": 1, "enabled": 0, "active": 0, "total": 0, "used": 0,
            "avail": 0 });
        assert_eq!(rows[2], off);
        assert_eq!(read("list", &[("content", "iso")], &ROOT).as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn contents_are_those_that_the_caller_may_read() {
        // basic-17, backup-02
        let template = json!({ "format": "tzst", "ctime": 1_795_367_520, "volid": "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst",
            "size": 58_374_010, "content": "vztmpl" });
        assert_eq!(read("content", &[("storage", "local"), ("content", "vztmpl")], &ROOT), json!([template]));
        let backup = json!({ "notes": "web-102", "ctime": 1_795_369_412, "subtype": "lxc", "vmid": 102, "content": "backup",
            "format": "tar.zst", "size": 58_584_154, "volid": "local:backup/vzdump-lxc-102-2026_11_22-17_43_32.tar.zst" });
        assert_eq!(read("content", &[("storage", "local"), ("vmid", "102")], &ROOT), json!([backup]));
        let reader = Caller { user: "a@pve", may: &|path, privilege| path == "/storage/local" && privilege == "Datastore.Audit" };
        assert_eq!(read("content", &[("storage", "local")], &reader), json!([template]));
    }

    #[test]
    fn a_disk_is_a_containers_while_there_is_such_a_container() {
        let rows = read("content", &[("storage", "thin")], &ROOT);
        assert_eq!((&rows[0]["content"], &rows[1]["content"]), (&json!("rootdir"), &json!("images")));
    }
}
