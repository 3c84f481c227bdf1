//! The client against the simulated cluster, call after call: signing in by every way, and the life of a container.

use berth::{
    proxmox::{
        Cause, Client, Connection,
        client::{Address, SignIn, TaskFilter},
        config::{Features, Ipv4Setting, MountPoint, NetworkInterface, Size, Source},
        create::{LxcConfigUpdate, LxcCreate, LxcDelete},
        credentials::ApiToken,
        error::Thing,
        ids::{NodeName, Upid, Vmid},
        tasks::TaskEnd,
        ticket::{Challenge, SecondFactor},
        tls::Trust,
        wire::{ClusterResources, Feature, Rrd, RunState},
    },
    simulator::{File, Options, Simulator},
};
use ring::hmac;
use std::{collections::BTreeMap, time::Duration};

const TEMPLATE: &str = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst";

async fn cluster() -> (Simulator, Connection) {
    start(Options { speed: 1000.0, ..Options::default() }).await
}

async fn start(options: Options) -> (Simulator, Connection) {
    let simulator = Simulator::start(options).await.unwrap();
    let trust = Trust::Pinned(simulator.fingerprint().parse().unwrap());
    let address = Address { host: simulator.addr().ip().to_string(), port: simulator.addr().port(), trust };
    (simulator, Connection::new(&[address]).unwrap())
}

async fn sign_in(connection: &Connection, user: &str) -> Client {
    match connection.access_ticket(&user.parse().unwrap(), &"berth".to_owned().into()).await.unwrap() {
        SignIn::Ticket(ticket) => connection.with(ticket),
        SignIn::SecondFactor(_) => panic!("a second factor"),
    }
}

async fn challenge(connection: &Connection) -> Challenge {
    match connection.access_ticket(&"twofactor@pve".parse().unwrap(), &"berth".to_owned().into()).await.unwrap() {
        SignIn::Ticket(_) => panic!("no second factor"),
        SignIn::SecondFactor(challenge) => challenge,
    }
}

fn node() -> NodeName {
    "pve1".parse().unwrap()
}

fn number(vmid: u32) -> Vmid {
    vmid.try_into().unwrap()
}

async fn ok(client: &Client, upid: Upid) {
    assert_eq!(client.wait_for_task(&upid, Duration::from_secs(60)).await.unwrap(), TaskEnd::Ok, "{upid}");
}

/// The code that an authenticator app shows (RFC 6238, for the secret `JBSWY3DPEHPK3PXP`).
fn totp(now: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"Hello!\xDE\xAD\xBE\xEF");
    let tag = hmac::sign(&key, &(now / 30).to_be_bytes());
    let offset = usize::from(tag.as_ref()[19] & 15);
    let word: [u8; 4] = tag.as_ref()[offset..offset + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(word) & 0x7FFF_FFFF) % 1_000_000)
}

#[tokio::test]
async fn a_second_factor_is_answered_by_an_app_or_by_a_code_that_is_then_used_up() {
    let (simulator, connection) = start(Options { stepped: true, ..Options::default() }).await;
    let asked = challenge(&connection).await;
    assert_eq!((asked.user.as_str(), asked.totp, asked.recovery), ("twofactor@pve", true, true));
    let wrong = connection.access_ticket_second_factor(&asked, &SecondFactor::Totp("000000".to_owned().into())).await.unwrap_err();
    assert!(matches!(wrong.cause, Cause::SignedOut(_)), "{wrong:?}");
    let ticket = connection.access_ticket_second_factor(&asked, &SecondFactor::Totp(totp(simulator.now()).into())).await.unwrap();
    connection.with(ticket).version().await.unwrap();
    let code = SecondFactor::Recovery("1111-2222-3333-4444".to_owned().into());
    connection.access_ticket_second_factor(&challenge(&connection).await, &code).await.unwrap();
    let again = connection.access_ticket_second_factor(&challenge(&connection).await, &code).await.unwrap_err();
    assert!(matches!(again.cause, Cause::SignedOut(_)), "{again:?}");
}

#[tokio::test]
async fn a_token_acts_without_a_ticket_and_its_tasks_bear_its_name() {
    let (simulator, connection) = cluster().await;
    let token = |id: &str, secret: &str| ApiToken { id: id.parse().unwrap(), secret: secret.to_owned().into() };
    let client = connection.with(token("alice@pve!berth", "0b1e55ed-0000-4000-8000-00000000be27"));
    let upid = client.lxc_start(&node(), number(103)).await.unwrap();
    assert_eq!(upid.user(), "alice@pve!berth");
    ok(&client, upid).await;
    let weak = connection.with(token("root@pam!readonly", "0b1e55ed-0000-4000-8000-00000000a0d1"));
    let refused = weak.lxc_stop(&node(), number(103), false).await.unwrap_err();
    assert!(matches!(&refused.cause, Cause::Forbidden { path: Some(path), .. } if path == "/vms/103"), "{refused:?}");
    simulator.clear_requests();
    let wrong = connection.with(token("alice@pve!berth", "0b1e55ed-0000-4000-8000-000000000000")).version().await.unwrap_err();
    assert!(matches!(wrong.cause, Cause::SignedOut(_)), "{wrong:?}");
    assert_eq!(simulator.requests().len(), 1);
}

#[tokio::test]
async fn what_the_cluster_and_its_nodes_say_is_read() {
    let (_simulator, connection) = cluster().await;
    let alice = sign_in(&connection, "alice@pve").await;
    assert!(connection.access_domains().await.unwrap().iter().any(|realm| realm.default));
    assert!(alice.version().await.unwrap().number() >= (7, 4));
    let rows = alice.cluster_resources(ClusterResources::Guests).await.unwrap();
    assert!(rows.iter().all(|row| row.kind == "lxc" || row.kind == "qemu") && rows.iter().any(|row| row.vmid == Some(number(101))));
    assert_eq!(alice.cluster_resources(ClusterResources::Nodes).await.unwrap().len(), 3);
    let members = alice.cluster_status().await.unwrap();
    assert_eq!(members.iter().find(|member| member.kind == "cluster").and_then(|cluster| cluster.quorate), Some(true));
    assert_eq!(members.iter().filter(|member| member.kind == "node" && member.online == Some(true)).count(), 2);
    let options = alice.cluster_options().await.unwrap();
    assert_eq!(options.tag_style.unwrap().colours["prod"].0, "b91c1c");
    let nobody = sign_in(&connection, "nobody@pve").await;
    assert!(nobody.cluster_options().await.unwrap().registered_tags.is_empty());
    assert!(nobody.cluster_resources(ClusterResources::Guests).await.unwrap().is_empty());
    let refused = nobody.node_status(&node()).await.unwrap_err();
    assert!(matches!(&refused.cause, Cause::Forbidden { privilege: Some(asked), .. } if asked == "Sys.Audit"), "{refused:?}");

    let status = alice.node_status(&node()).await.unwrap();
    assert!(status.memory.and_then(|memory| memory.total).is_some() && status.loadavg.len() == 3);
    assert!(!alice.node_rrddata(&node(), Rrd::Hour).await.unwrap().is_empty());
    let storages = alice.node_storage(&node(), Some("rootdir")).await.unwrap();
    assert!(storages.iter().all(|storage| storage.content.contains(&"rootdir".to_owned())) && !storages.is_empty());
    let templates = alice.node_storage_content(&node(), &"local".parse().unwrap(), Some("vztmpl"), None).await.unwrap();
    assert!(templates.iter().any(|volume| volume.volid == TEMPLATE));
    assert!(alice.node_network(&node()).await.unwrap().iter().any(|bridge| bridge.iface == "vmbr0"));
    let away = alice.node_status(&"pve3".parse().unwrap()).await.unwrap_err();
    assert!(matches!(away.cause, Cause::NodeUnreachable { status: 595, .. }), "{away:?}");
    let unknown = alice.node_status(&"nosuch".parse().unwrap()).await.unwrap_err();
    assert!(matches!(unknown.cause, Cause::NotFound { what: Thing::Node, .. }), "{unknown:?}");
}

#[tokio::test]
async fn the_life_of_a_container() {
    let (_simulator, connection) = cluster().await;
    let alice = sign_in(&connection, "alice@pve").await;
    let node = node();
    let vmid = alice.cluster_nextid(None).await.unwrap();
    let network = NetworkInterface { ip: Some(Ipv4Setting::Dhcp), ..NetworkInterface::new("eth0", "vmbr0") };
    let create = LxcCreate::new(vmid, TEMPLATE)
        .hostname("young")
        .cores(1)
        .memory(256, 128)
        .rootfs(&"local-lvm".parse().unwrap(), 2)
        .network(0, &network)
        .mount(0, &MountPoint::new(Source::Volume("local-lvm:1".to_owned()), Some("/data".to_owned())))
        .features(&Features { nesting: Some(true), ..Features::default() })
        .tags(&["young".to_owned()])
        .unprivileged(true)
        .password("correct horse".to_owned().into());
    // a registered tag is for admins of the datacenter
    let refused = alice.lxc_create(&node, &create.clone().tags(&["prod".to_owned()])).await.unwrap_err();
    assert!(matches!(&refused.cause, Cause::Forbidden { privilege: Some(asked), .. } if asked == "Sys.Modify"), "{refused:?}");
    let upid = alice.lxc_create(&node, &create).await.unwrap();
    assert_eq!((upid.kind(), upid.id()), ("vzcreate", vmid.to_string().as_str()));
    ok(&alice, upid).await;
    let taken = alice.lxc_create(&node, &create).await.unwrap_err();
    assert!(matches!(taken.cause, Cause::AlreadyExists(_)), "{taken:?}");
    assert!(matches!(alice.cluster_nextid(Some(vmid)).await.unwrap_err().cause, Cause::AlreadyExists(_)));

    let config = alice.lxc_config(&node, vmid).await.unwrap();
    let rootfs: MountPoint = config.get("rootfs").unwrap().parse().unwrap();
    assert_eq!(rootfs.size, Some(Size(2 << 30)));
    let plugged: NetworkInterface = config.get("net0").unwrap().parse().unwrap();
    assert_eq!(plugged.ip, Some(Ipv4Setting::Dhcp));
    assert!(plugged.hwaddr.is_some());
    assert!(alice.lxc_interfaces(&node, vmid).await.unwrap().is_none());

    let set = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let change = LxcConfigUpdate { set: set("memory", "512"), digest: config.digest.clone(), ..LxcConfigUpdate::default() };
    alice.lxc_config_update(&node, vmid, &change).await.unwrap();
    let late = alice.lxc_config_update(&node, vmid, &change).await.unwrap_err();
    assert!(matches!(late.cause, Cause::DigestMismatch), "{late:?}");
    let bad = alice.lxc_config_update(&node, vmid, &LxcConfigUpdate { set: set("memory", "lots"), ..LxcConfigUpdate::default() }).await;
    let Err(Cause::Invalid { fields, .. }) = bad.map_err(|error| error.cause) else { panic!("lots of memory") };
    assert!(fields.contains_key("memory"), "{fields:?}");

    ok(&alice, alice.lxc_start(&node, vmid).await.unwrap()).await;
    assert!(matches!(alice.lxc_start(&node, vmid).await.unwrap_err().cause, Cause::AlreadyRunning));
    assert_eq!(alice.lxc_status_current(&node, vmid).await.unwrap().status, RunState::Running);
    assert!(alice.lxc(&node).await.unwrap().iter().any(|row| row.vmid == Some(vmid) && row.status == RunState::Running));
    let interfaces = alice.lxc_interfaces(&node, vmid).await.unwrap().unwrap();
    assert!(interfaces.iter().any(|interface| interface.name == "eth0"));
    alice
        .lxc_config_update(&node, vmid, &LxcConfigUpdate { set: set("nameserver", "192.0.2.53"), ..LxcConfigUpdate::default() })
        .await
        .unwrap();
    let pending = alice.lxc_pending(&node, vmid).await.unwrap();
    let nameserver = pending.iter().find(|option| option.key == "nameserver").unwrap();
    assert_eq!((nameserver.value.as_deref(), nameserver.pending.as_deref()), (None, Some("192.0.2.53")));
    assert_eq!(alice.lxc_config(&node, vmid).await.unwrap().get("nameserver"), Some("192.0.2.53"));
    assert_eq!(alice.lxc_config_current(&node, vmid).await.unwrap().get("nameserver"), None);
    alice.lxc_rrddata(&node, vmid, Rrd::Hour).await.unwrap();
    assert!(!alice.lxc_feature(&node, vmid, Feature::Clone).await.unwrap());
    assert_eq!(alice.lxc_snapshots(&node, vmid).await.unwrap().last().map(|last| last.name.clone()), Some("current".to_owned()));

    let running = alice.lxc_delete(&node, vmid, LxcDelete::default()).await.unwrap_err();
    assert!(matches!(running.cause, Cause::MustBeStopped), "{running:?}");
    ok(&alice, alice.lxc_reboot(&node, vmid, Duration::from_secs(30)).await.unwrap()).await;
    ok(&alice, alice.lxc_shutdown(&node, vmid, Duration::from_secs(30), true).await.unwrap()).await;
    assert!(matches!(alice.lxc_stop(&node, vmid, true).await.unwrap_err().cause, Cause::NotRunning));
    alice.lxc_config_update(&node, vmid, &LxcConfigUpdate { set: set("protection", "1"), ..LxcConfigUpdate::default() }).await.unwrap();
    let protected = alice.lxc_delete(&node, vmid, LxcDelete::default()).await.unwrap_err();
    assert!(matches!(protected.cause, Cause::Protected), "{protected:?}");
    let free = LxcConfigUpdate { delete: ["protection".to_owned()].into(), ..LxcConfigUpdate::default() };
    alice.lxc_config_update(&node, vmid, &free).await.unwrap();
    let all = LxcDelete { force: true, purge: true, destroy_unreferenced_disks: true };
    ok(&alice, alice.lxc_delete(&node, vmid, all).await.unwrap()).await;
    let gone = alice.lxc_status_current(&node, vmid).await.unwrap_err();
    assert!(matches!(gone.cause, Cause::NotFound { what: Thing::Container, .. }), "{gone:?}");

    let filter = TaskFilter { running_too: true, vmid: Some(vmid), ..TaskFilter::default() };
    let (tasks, total) = alice.tasks(&node, &filter).await.unwrap();
    assert_eq!((tasks.len() as u64, tasks[0].upid.kind()), (total, "vzdestroy"));
    let (first, _) = alice.tasks(&node, &TaskFilter { kind: Some("vzcreate".to_owned()), limit: Some(1), ..filter }).await.unwrap();
    assert_eq!(first.iter().map(|task| task.status.as_deref()).collect::<Vec<_>>(), [Some("OK")]);
    assert!(alice.cluster_tasks().await.unwrap().iter().any(|task| task.upid == tasks[0].upid));
}

#[tokio::test]
async fn a_task_is_aborted_and_says_so() {
    let (simulator, connection) = start(Options { stepped: true, ..Options::default() }).await;
    let alice = sign_in(&connection, "alice@pve").await;
    let upid = alice.lxc_shutdown(&node(), number(101), Duration::from_secs(60), false).await.unwrap();
    alice.task_abort(&upid).await.unwrap();
    simulator.advance(Duration::from_secs(10));
    let error = alice.wait_for_task(&upid, Duration::from_secs(60)).await.unwrap_err();
    assert!(matches!(&error.cause, Cause::TaskFailed { exitstatus, .. } if exitstatus == "unexpected status"), "{error:?}");
    alice.task_abort(&upid).await.unwrap();
}

#[tokio::test]
async fn a_long_log_is_read_without_gaps_or_repeats() {
    let upid = "UPID:pve1:00001DCB:00044B10:6B032A1F:vzcreate:220:alice@pve:";
    let mut state = serde_json::to_value(File::demo()).unwrap();
    let task = serde_json::json!({ "upid": upid, "exitstatus": "no space", "endtime": 1_795_370_000, "log-lines": 9691 });
    state["tasks"] = serde_json::json!([task]);
    let (simulator, connection) =
        start(Options { speed: 1000.0, state: serde_json::from_value(state).unwrap(), ..Options::default() }).await;
    let alice = sign_in(&connection, "alice@pve").await;
    simulator.clear_requests();
    let lines = alice.whole_task_log(&upid.parse().unwrap()).await.unwrap();
    assert_eq!(lines.len(), 9691);
    assert!(lines.iter().zip(1..).all(|(line, n)| *line == format!("line {n}")), "{:?}", lines.last());
    assert!(simulator.requests().len() <= 9691 / 500 + 3, "{} requests", simulator.requests().len());
}
