//! What a container is: its configuration in words, what waits for the next start, what somebody wrote about it, and the configuration as
//! Proxmox has it.

use super::{
    asked::{Known, Part, is_link_local},
    words::{self, addresses_as_configured, cpu_limit, is_set, mebibytes, mount_point, name_of, network_details, value_of},
};
use crate::{
    containers::model::{ContainerRow, Status, percent},
    error::AppError,
    proxmox::{
        config::{MountPoint, NetworkInterface},
        wire::{Interface, LxcConfig, LxcStatus, PendingOption},
    },
    ui::{
        format,
        icons::Icon,
        parts::{ErrorNote, Meter},
    },
};
use leptos::prelude::*;

/// The configuration and the notes.
#[component]
pub fn Configuration(known: Known, row: ContainerRow) -> impl IntoView {
    let Known { config, pending, status, interfaces, .. } = known;
    match config {
        Ok(config) => {
            let notes = config.get("description").map(|text| view! { <Notes text=text.trim_end().to_owned() /> });
            let raw = raw(&config);
            view! {
                <section class="panel" aria-labelledby="configuration-h">
                    <div class="panel-h panel-l">
                        <h2 id="configuration-h">"Configuration"</h2>
                    </div>
                    <Facts config=config.clone() status=status.ok() interfaces row />
                    <Pending pending />
                    <details class="raw" id="raw">
                        <summary>"As Proxmox has it"</summary>
                        <pre tabindex="0">{raw}</pre>
                    </details>
                </section>
                {notes}
            }
            .into_any()
        }
        Err(error) => view! {
            <section class="panel" aria-labelledby="configuration-h">
                <div class="panel-h panel-l">
                    <h2 id="configuration-h">"Configuration"</h2>
                </div>
                <div class="p-4">
                    <ErrorNote error more="The configuration is missing here.".to_owned() />
                </div>
            </section>
        }
        .into_any(),
    }
}

/// What somebody wrote, as a text with its line breaks. Proxmox takes it for Markdown; it is not made into HTML here.
#[component]
fn Notes(text: String) -> impl IntoView {
    (!text.is_empty()).then(|| {
        view! {
            <section class="panel" aria-labelledby="notes-h">
                <div class="panel-h panel-l">
                    <h2 id="notes-h">"Notes"</h2>
                </div>
                <p class="notes">{text}</p>
            </section>
        }
    })
}

#[component]
fn Facts(config: LxcConfig, status: Option<LxcStatus>, interfaces: Part<Option<Vec<Interface>>>, row: ContainerRow) -> impl IntoView {
    let get = |key: &str| config.get(key);
    let cores = match (get("cores"), get("cpulimit").and_then(cpu_limit)) {
        (Some(cores), Some(limit)) => format!("{cores}, at most {limit}"),
        (Some(cores), None) => cores.to_owned(),
        (None, Some(limit)) => format!("All of the node, at most {limit}"),
        (None, None) => "All of the node".to_owned(),
    };
    // what holds where nothing is said (pve-container LXC/Config.pm, confdesc)
    let memory = format::bytes(get("memory").and_then(mebibytes).unwrap_or(512 << 20));
    let swap = match get("swap").and_then(mebibytes).unwrap_or(512 << 20) {
        0 => "no swap".to_owned(),
        swap => format!("{} swap", format::bytes(swap)),
    };
    let disk = get("rootfs").map(|text| text.parse().map_or_else(|_| text.to_owned(), |point| mount_point(&point)));
    let used = status.as_ref().filter(|_| row.status == Status::Running).and_then(|status| Some((status.disk?, status.maxdisk?)));
    let points: Vec<(String, MountPoint)> = numbered(&config, "mp");
    let nets: Vec<(String, NetworkInterface)> = numbered(&config, "net");
    let system = [get("ostype").map(words::system), get("arch").map(str::to_owned)].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let features = get("features").map(|text| value_of("features", text));
    let access = if get("unprivileged").is_some_and(is_set) { "Unprivileged" } else { "Privileged" };
    let boot = match (get("onboot").is_some_and(is_set), get("startup")) {
        (true, Some(order)) => format!("Yes, {}", words::startup(order)),
        (true, None) => "Yes".to_owned(),
        (false, Some(order)) => format!("No ({})", words::startup(order)),
        (false, None) => "No".to_owned(),
    };
    let dns = [get("nameserver").map(str::to_owned), get("searchdomain").map(|domain| format!("search {domain}"))];
    let dns = dns.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let ha = status.as_ref().and_then(|status| status.ha.clone()).filter(|ha| ha.managed).map(|ha| match ha.state {
        Some(state) => format!("Managed, {state}"),
        None => "Managed".to_owned(),
    });
    let is_template = get("template").is_some_and(is_set);
    let addresses = interfaces.clone().ok().flatten().unwrap_or_default();
    let trouble = interfaces.err().filter(|_| row.status == Status::Running).map(|error| view! { <MissingAddresses error /> });
    let nets = nets.into_iter().map(|(key, net)| view! { <Network key net addresses=addresses.clone() /> }).collect_view();
    let points = points.into_iter().map(|(key, point)| fact(&name_of(&key), mount_point(&point))).collect_view();
    view! {
        <dl class="dl">
            {fact("Cores", cores)}
            <dt>"Memory"</dt>
            <dd>{memory} <span class="text-ink-3">" + " {swap}</span></dd>
            {disk.map(|disk| view! {
                <dt>"Root disk"</dt>
                <dd>{disk} {used.map(|(used, whole)| view! { <Used used whole /> })}</dd>
            })}
            {points}
            {nets}
            {trouble}
            {(!dns.is_empty()).then(|| fact("DNS", dns))}
            {(!system.is_empty()).then(|| fact("System", system))}
            {fact("Privileges", access.to_owned())}
            {fact("Features", features.unwrap_or_else(|| "none".to_owned()))}
            {fact("Start on boot", boot)}
            {fact("Protection", value_of("protection", get("protection").unwrap_or("0")))}
            {ha.map(|ha| fact("HA", ha))}
            {is_template.then(|| fact("Template", "Yes: it cannot be started".to_owned()))}
            {get("timezone").map(|zone| fact("Time zone", zone.to_owned()))}
            {get("hookscript").map(|script| fact("Hook script", script.to_owned()))}
        </dl>
    }
    .into_any()
}

fn fact(name: &str, value: String) -> impl IntoView + use<> {
    view! {
        <dt>{name.to_owned()}</dt>
        <dd>{value}</dd>
    }
}

/// The options of a kind, by number, that can be read.
fn numbered<T: std::str::FromStr>(config: &LxcConfig, kind: &str) -> Vec<(String, T)> {
    let number = |key: &str| key.strip_prefix(kind).and_then(|n| n.parse::<u32>().ok());
    let mut options: Vec<(u32, String, T)> =
        config.options.iter().filter_map(|(key, text)| Some((number(key)?, key.clone(), text.parse().ok()?))).collect();
    options.sort_by_key(|(number, ..)| *number);
    options.into_iter().map(|(_, key, value)| (key, value)).collect()
}

#[component]
fn Used(used: u64, whole: u64) -> impl IntoView {
    view! {
        <span class="used">
            <Meter percent=percent(used, whole) label="Root disk" />
            <span>{format::bytes(used)} " used"</span>
        </span>
    }
}

/// An interface with the addresses that it has, and how it is to come to them.
#[component]
fn Network(key: String, net: NetworkInterface, addresses: Vec<Interface>) -> impl IntoView {
    let mac = net.hwaddr.map(|mac| mac.to_string());
    let is_this = |interface: &&Interface| {
        let same_mac = mac.as_ref().zip(interface.hwaddr.as_ref()).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
        same_mac || interface.name == net.name
    };
    let has = addresses.iter().find(is_this).map(|interface| interface.addresses.clone()).unwrap_or_default();
    let (own, reachable): (Vec<_>, Vec<_>) = has.into_iter().partition(|address| is_link_local(&address.address));
    let line = |address: crate::proxmox::wire::InterfaceAddress| {
        address.prefix.map_or_else(|| address.address.clone(), |prefix| format!("{}/{prefix}", address.address))
    };
    let shown = if reachable.is_empty() { own } else { reachable };
    let shown: Vec<String> = shown.into_iter().map(line).collect();
    // an address that was set by hand is said once
    let how = addresses_as_configured(&net).filter(|how| !shown.iter().any(|address| address == how));
    let on = net.bridge.as_ref().map_or_else(|| net.name.clone(), |bridge| format!("{} on {bridge}", net.name));
    let details: Vec<String> = how.into_iter().chain(network_details(&net)).collect();
    let lines = shown.into_iter().map(|address| view! { <span class="block">{address}</span> }).collect_view();
    view! {
        <dt>{if key == "net0" { "Network".to_owned() } else { name_of(&key) }}</dt>
        <dd>
            {lines}
            <span class="block">{on}</span>
            {(!details.is_empty()).then(|| view! { <span class="block text-ink-3">{details.join(", ")}</span> })}
            {mac.map(|mac| view! { <code class="block text-ink-3">{mac}</code> })}
        </dd>
    }
    .into_any()
}

#[component]
fn MissingAddresses(error: AppError) -> impl IntoView {
    let reference = error.incident().map(|number| view! { " · " <code>{number.to_string()}</code> });
    view! {
        <dt>"Addresses"</dt>
        <dd class="text-ink-3">"Proxmox does not say now which it has" {reference}</dd>
    }
}

/// What waits for the next start, each with what holds until then.
#[component]
fn Pending(pending: Part<Vec<PendingOption>>) -> impl IntoView {
    let changes: Vec<(String, String)> = match pending {
        Ok(pending) => pending.iter().filter_map(change).collect(),
        Err(error) => {
            let more = "Whether changes wait for the next start is missing here.".to_owned();
            return view! { <div class="px-4 pb-4"><ErrorNote error more /></div> }.into_any();
        }
    };
    if changes.is_empty() {
        return ().into_any();
    }
    let lines = changes.into_iter().map(|(name, what)| view! { <li><b class="font-medium">{name}</b> " " {what}</li> });
    let lines = lines.collect_view();
    view! {
        <div class="mx-4 mb-4 note note-warn">
            <Icon name="rotate-cw" />
            <div>
                <ul>{lines}</ul>
                <span class="text-ink-2">"Takes effect at the next restart."</span>
            </div>
        </div>
    }
    .into_any()
}

/// "Swap", "512 MiB → 1 GiB".
fn change(option: &PendingOption) -> Option<(String, String)> {
    let say = |text: &String| value_of(&option.key, text);
    let what = match (&option.value, &option.pending, option.delete) {
        (old, Some(new), _) if old.as_ref() != Some(new) => {
            format!("{} → {}", old.as_ref().map_or_else(|| "default".to_owned(), say), say(new))
        }
        (Some(old), _, true) => format!("{} → removed", say(old)),
        _ => return None,
    };
    Some((name_of(&option.key), what))
}

/// The configuration as a file.
fn raw(config: &LxcConfig) -> String {
    let options = config.options.iter().filter(|(key, _)| *key != "description").map(|(key, value)| format!("{key}: {value}"));
    let lxc = config.lxc.iter().map(|(key, value)| format!("{key}: {value}"));
    options.chain(lxc).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_change_says_what_holds_and_what_comes() {
        let option = |value: Option<&str>, pending: Option<&str>, delete| PendingOption {
            key: "swap".to_owned(),
            value: value.map(str::to_owned),
            pending: pending.map(str::to_owned),
            delete,
        };
        let said = |option: PendingOption| change(&option).map(|(name, what)| format!("{name} {what}"));
        assert_eq!(said(option(Some("512"), Some("1024"), false)).as_deref(), Some("Swap 512 MiB → 1 GiB"));
        assert_eq!(said(option(None, Some("1024"), false)).as_deref(), Some("Swap default → 1 GiB"));
        assert_eq!(said(option(Some("512"), None, true)).as_deref(), Some("Swap 512 MiB → removed"));
        assert_eq!(said(option(Some("512"), None, false)), None);
    }
}
