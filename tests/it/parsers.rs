//! The parsers: what is printed is read the same again, whatever it is, and nothing makes them panic.
//!
//! Two ways to that: values made up from their types (proptest), and texts of a real server that are broken at random, for a minute.
//! `BERTH_FUZZ_SECONDS` makes that longer; a failure names its seed, and `BERTH_FUZZ_SEED` begins with it again.

use berth::proxmox::{
    Cause,
    config::{Features, Ipv4Setting, Ipv6Setting, MacAddress, MountPoint, NetworkInterface, Size, Source},
    ids::{ClusterName, NodeName, Realm, StorageName, TokenId, Upid, UserId, Vmid},
    wire::{self, LxcConfig, LxcStatus, Resource, Sample, StorageEntry, TaskStatus},
};
use proptest::{collection::vec, option, prelude::*};
use std::{
    collections::BTreeMap,
    fmt::{Debug, Display},
    str::FromStr,
    time::{Duration, Instant},
};

/// If it can be read, it is printed so that it is read the same, and printed the same.
fn survives<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    let Ok(value) = text.parse::<T>() else { return };
    let printed = value.to_string();
    let again = printed.parse::<T>().unwrap_or_else(|_| panic!("{printed:?}, printed from {text:?}, is not read"));
    assert_eq!(again, value, "{text:?}, printed as {printed:?}");
    assert_eq!(again.to_string(), printed);
}

/// What may be in a value of a property string.
fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 ./:;_é-]{0,6}[a-zA-Z0-9/]"
}

/// Keys that Proxmox does not have yet.
fn other() -> impl Strategy<Value = Vec<(String, String)>> {
    vec(("x-[a-z]{1,5}", word()), 0..3).prop_filter("a key stands there once", |pairs| {
        let keys: BTreeMap<_, _> = pairs.iter().cloned().collect();
        keys.len() == pairs.len()
    })
}

fn ipv4() -> impl Strategy<Value = Ipv4Setting> {
    prop_oneof![
        Just(Ipv4Setting::Dhcp),
        Just(Ipv4Setting::Manual),
        (any::<[u8; 4]>(), 0..=32_u16).prop_map(|(address, prefix)| Ipv4Setting::Static(address.into(), prefix)),
    ]
}

fn ipv6() -> impl Strategy<Value = Ipv6Setting> {
    prop_oneof![
        Just(Ipv6Setting::Auto),
        Just(Ipv6Setting::Dhcp),
        Just(Ipv6Setting::Manual),
        (any::<[u8; 16]>(), 0..=128_u16).prop_map(|(address, prefix)| Ipv6Setting::Static(address.into(), prefix)),
    ]
}

prop_compose! {
    fn interface()(
        name in "[-_.a-zA-Z0-9]{1,8}",
        (bridge, rate) in (option::of("[-_.a-zA-Z0-9]{1,8}"), option::of("[0-9]{1,3}(\\.[0-9])?")),
        hwaddr in option::of(any::<[u8; 6]>()),
        (ip, gw) in (option::of(ipv4()), option::of(any::<[u8; 4]>())),
        (ip6, gw6) in (option::of(ipv6()), option::of(any::<[u8; 16]>())),
        (firewall, link_down) in any::<(Option<bool>, Option<bool>)>(),
        (tag, mtu) in any::<(Option<u16>, Option<u16>)>(),
        trunks in option::of(vec("[0-9]{1,4}", 1..3)),
        other in other(),
    ) -> NetworkInterface {
        let (gw, gw6) = (gw.map(Into::into), gw6.map(Into::into));
        NetworkInterface {
            bridge, hwaddr: hwaddr.map(MacAddress), ip, gw, ip6, gw6, firewall, link_down, tag, trunks, mtu, rate, other,
            ..NetworkInterface::new(&name, "")
        }
    }
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        "[a-z][a-z0-9-]{1,5}:[a-z0-9/.-]{1,9}".prop_map(Source::Volume),
        "/[a-z0-9= ]{1,9}".prop_map(Source::Bind),
        "/dev/[a-z]{1,4}".prop_map(Source::Device),
    ]
}

prop_compose! {
    fn mount()(
        source in source(),
        mp in option::of("/[a-z]{0,6}"),
        size in option::of(any::<u64>().prop_map(Size)),
        (acl, backup, ro, quota) in any::<(Option<bool>, Option<bool>, Option<bool>, Option<bool>)>(),
        (replicate, shared, keepattrs) in any::<(Option<bool>, Option<bool>, Option<bool>)>(),
        mountoptions in option::of(vec("[a-z]{1,7}", 1..3)),
        other in other(),
    ) -> MountPoint {
        MountPoint { size, acl, backup, ro, quota, replicate, shared, keepattrs, mountoptions, other, ..MountPoint::new(source, mp) }
    }
}

prop_compose! {
    fn features()(
        (nesting, keyctl, fuse, mknod, force_rw_sys) in any::<(Option<bool>, Option<bool>, Option<bool>, Option<bool>, Option<bool>)>(),
        mount in option::of(vec("[a-z0-9_ ]{0,4}[a-z]", 1..3)),
        other in other(),
    ) -> Features {
        Features { nesting, keyctl, fuse, mknod, force_rw_sys, mount, other }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_network_interface_is_read_as_it_was_printed(value in interface()) {
        prop_assert_eq!(value.to_string().parse(), Ok(value));
    }

    #[test]
    fn a_mount_point_is_read_as_it_was_printed(value in mount()) {
        prop_assert_eq!(value.to_string().parse(), Ok(value));
    }

    #[test]
    fn features_are_read_as_they_were_printed(value in features()) {
        prop_assert_eq!(value.to_string().parse(), Ok(value));
    }

    #[test]
    fn a_size_is_read_as_it_was_printed(bytes in any::<u64>(), shift in 0..54_u32) {
        let value = Size(bytes >> shift << (shift / 10 * 10));
        prop_assert_eq!(value.to_string().parse(), Ok(value));
    }

    #[test]
    fn a_upid_of_proxmoxs_form_is_read(
        upid in "UPID:[a-z]([a-z0-9-]{0,9}[a-z0-9])?:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:[a-z]{2,9}:([0-9]{3,9}|[0-9]{3}@[a-z]{2,5})?:[a-z.]{1,8}@[a-z]{2,6}(![a-z]{2,6})?:"
    ) {
        prop_assert_eq!(upid.parse::<Upid>().map(|read| read.to_string()), Ok(upid));
    }

    #[test]
    fn unknown_keys_keep_their_order(other in other()) {
        let text = other.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
        let read: NetworkInterface = format!("{text},name=eth0").parse().unwrap();
        prop_assert_eq!(read.other, other);
    }
}

/// What a real server sent, and what our own values look like.
const TEXTS: &[&str] = &[
    "name=eth0,bridge=vmbr0,firewall=0,hwaddr=BC:24:11:2F:E8:53,ip=10.99.0.103/24,type=veth",
    "name=eth1,bridge=vmbr1,gw=10.0.0.1,gw6=fe80::1,ip6=2001:db8::5/64,link_down=1,mtu=1450,rate=12.5,tag=42,trunks=1;2;3,host-managed=1",
    "btr:103/vm-103-disk-0.raw,size=1G",
    "volume=local-lvm:vm-101-disk-1,mp=/srv,acl=1,backup=on,mountoptions=noatime;nodev,quota=0,replicate=no,ro=1,shared=true,size=1.5T",
    "/srv/data,mp=/data,idmap=u:0:100000:65536",
    "nesting=1,keyctl=1,mount=nfs;cifs,fuse=0,force_rw_sys=1,mknod=yes",
    "UPID:pve1:00000741:00029807:6B0325C5:vzstart:103:admin@pve!dash:",
    "UPID:pve1:00000741:0000029807:6B0325C5:startall::root@pam:",
    "root@pam!backup",
    "ann@example.org@ldap-1",
    "local-lvm",
    "999999999",
    "512M",
    "1.25TiB",
    "CT is locked (snapshot-delete)",
    "Permission check failed (/vms/101, VM.PowerMgmt)",
    "Configuration file 'nodes/pve1/lxc/999.conf' does not exist",
    "PVE:!tfa!{\"totp\"%3Atrue,\"recovery\"%3A[0,1]}:6B0325C5::c2ln",
    r#"[{"type":"lxc","vmid":"101","node":"pve1","cpu":"0.5","template":1,"tags":"a;b","time":1795364940,"key":"x","storage":"local"}]"#,
    r#"{"status":"running","upid":"UPID:pve1:00000741:00029807:6B0325C5:vzstart:103:a@pve:","lxc":[["a","b"]],"ha":{"managed":0},"memory":5}"#,
];

/// What texts are broken with.
const SHARDS: &[&str] = &[
    ",",
    "=",
    ";",
    ":",
    "/",
    "!",
    "@",
    " ",
    "\n",
    "\0",
    "é",
    "٣",
    "-",
    "+",
    ".",
    "0",
    "1",
    "00000000",
    "99999999999999999999",
    "1e9",
    "name",
    "volume",
    "mp",
    "size",
    "ip=dhcp",
    "ip6=auto",
    "yes",
    "off",
    "iB",
    "T",
    "UPID:",
    "(",
    ")",
    "'",
    "\"",
    "null",
    "[",
    "{",
    "true",
    "-1",
];

/// Numbers that look random and are the same for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }

    /// Where a text can be cut.
    fn place(&mut self, text: &str) -> usize {
        let mut place = self.below(text.len() + 1);
        while !text.is_char_boundary(place) {
            place -= 1;
        }
        place
    }

    /// One to five breaks: a shard or a part of another text put in or over, a part cut out or doubled.
    fn broken(&mut self) -> String {
        let mut text = TEXTS[self.below(TEXTS.len())].to_owned();
        for _ in 0..=self.below(5) {
            let (a, b) = (self.place(&text), self.place(&text));
            let (from, to) = (a.min(b), a.max(b));
            match self.below(6) {
                0 => text.insert_str(from, SHARDS[self.below(SHARDS.len())]),
                1 => text.replace_range(from..to, SHARDS[self.below(SHARDS.len())]),
                2 => text.replace_range(from..to, ""),
                3 => {
                    let part = text[from..to].to_owned();
                    text.insert_str(to, &part);
                }
                4 => {
                    let other = TEXTS[self.below(TEXTS.len())];
                    let (c, d) = (self.place(other), self.place(other));
                    text.insert_str(from, &other[c.min(d)..c.max(d)]);
                }
                _ => {
                    let mut parts: Vec<_> = text.split(',').collect();
                    let (i, j) = (self.below(parts.len()), self.below(parts.len()));
                    parts.swap(i, j);
                    text = parts.join(",");
                }
            }
        }
        text
    }
}

/// Everything that reads a text.
fn try_all(text: &str) {
    survives::<NetworkInterface>(text);
    survives::<MountPoint>(text);
    survives::<Features>(text);
    survives::<Size>(text);
    survives::<Vmid>(text);
    survives::<NodeName>(text);
    survives::<Realm>(text);
    survives::<UserId>(text);
    survives::<TokenId>(text);
    survives::<StorageName>(text);
    survives::<ClusterName>(text);
    survives::<Upid>(text);
    if let Ok(upid) = text.parse::<Upid>() {
        let fields = [upid.node().as_str(), upid.kind(), upid.id(), upid.user()].join(":");
        assert!(upid.as_str().contains(upid.kind()) && upid.as_str().len() > fields.len());
    }
    for status in [400, 403, 500] {
        drop(Cause::of_answer(status, text, BTreeMap::from([("upid".to_owned(), text.to_owned())])));
    }
    drop(berth::proxmox::ticket::Challenge::new("x@pve".parse().unwrap(), text.to_owned()));
    drop(wire::entries::<Resource>("", text));
    drop(wire::entries::<LxcStatus>("", text));
    drop(wire::entries::<StorageEntry>("", text));
    drop(wire::entries::<Sample>("", text));
    drop(serde_json::from_str::<LxcConfig>(text));
    drop(serde_json::from_str::<TaskStatus>(text));
    let _ = wire::vmid(text);
}

#[test]
fn no_text_makes_a_parser_panic_or_lose_what_it_read() {
    let said = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    // once is enough where the suite runs on both databases
    let usual = if std::env::var_os("BERTH_TEST_POSTGRES").is_some() { 1 } else { 60 };
    let time = Duration::from_secs(said("BERTH_FUZZ_SECONDS").unwrap_or(usual));
    let mut seed = said("BERTH_FUZZ_SEED").unwrap_or_else(|| std::process::id().into());
    let began = Instant::now();
    let mut tried = 0_u64;
    TEXTS.iter().for_each(|text| try_all(text));
    while began.elapsed() < time {
        let mut random = Random(seed);
        for _ in 0..100 {
            let text = random.broken();
            let result = std::panic::catch_unwind(|| try_all(&text));
            assert!(result.is_ok(), "BERTH_FUZZ_SEED={seed}: {text:?}");
            tried += 1;
        }
        seed = Random(seed).next();
    }
    println!("{tried} texts in {time:?}");
}
