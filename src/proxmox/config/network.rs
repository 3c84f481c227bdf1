//! `netN`: a network interface of a container (pve-container LXC/Config.pm:852, netconf_desc).

use super::properties::{InvalidValue, Properties, Value, Writer};
use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Six bytes in hex, with colons. Proxmox writes them in capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl Value for MacAddress {
    fn read(text: &str) -> Option<Self> {
        let mut pairs = text.split(':');
        let mut bytes = [0; 6];
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        pairs.next().is_none().then_some(Self(bytes))
    }

    fn print(&self) -> String {
        self.0.map(|byte| format!("{byte:02X}")).join(":")
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.print())
    }
}

/// How an interface comes to its IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv4Setting {
    /// It asks for one.
    Dhcp,
    /// Somebody inside sets it.
    Manual,
    /// This one, with the length of the network's part.
    Static(Ipv4Addr, u16),
}

impl Value for Ipv4Setting {
    fn read(text: &str) -> Option<Self> {
        match text {
            "dhcp" => Some(Self::Dhcp),
            "manual" => Some(Self::Manual),
            _ => cidr(text, 32).map(|(address, prefix)| Self::Static(address, prefix)),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Dhcp => "dhcp".to_owned(),
            Self::Manual => "manual".to_owned(),
            Self::Static(address, prefix) => format!("{address}/{prefix}"),
        }
    }
}

/// How an interface comes to its IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv6Setting {
    /// It makes one up from what the router says.
    Auto,
    /// It asks for one.
    Dhcp,
    /// Somebody inside sets it.
    Manual,
    /// This one, with the length of the network's part.
    Static(Ipv6Addr, u16),
}

impl Value for Ipv6Setting {
    fn read(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "dhcp" => Some(Self::Dhcp),
            "manual" => Some(Self::Manual),
            _ => cidr(text, 128).map(|(address, prefix)| Self::Static(address, prefix)),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Auto => "auto".to_owned(),
            Self::Dhcp => "dhcp".to_owned(),
            Self::Manual => "manual".to_owned(),
            Self::Static(address, prefix) => format!("{address}/{prefix}"),
        }
    }
}

fn cidr<A: Value>(text: &str, longest: u16) -> Option<(A, u16)> {
    let (address, prefix) = text.split_once('/')?;
    Some((A::read(address)?, u16::read(prefix).filter(|prefix| *prefix <= longest)?))
}

/// The parts of `netN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInterface {
    /// What it is called inside, such as `eth0`.
    pub name: String,
    /// What it is plugged into.
    pub bridge: Option<String>,
    /// Proxmox makes one up where none is said.
    pub hwaddr: Option<MacAddress>,
    /// IPv4.
    pub ip: Option<Ipv4Setting>,
    /// The IPv4 router.
    pub gw: Option<Ipv4Addr>,
    /// IPv6.
    pub ip6: Option<Ipv6Setting>,
    /// The IPv6 router.
    pub gw6: Option<Ipv6Addr>,
    /// Whether Proxmox's firewall looks at it.
    pub firewall: Option<bool>,
    /// As if the plug were pulled.
    pub link_down: Option<bool>,
    /// The VLAN.
    pub tag: Option<u16>,
    /// VLANs that are let through, joined by `;`.
    pub trunks: Option<Vec<String>>,
    /// The longest packet.
    pub mtu: Option<u16>,
    /// The most megabytes per second, as Proxmox writes it.
    pub rate: Option<String>,
    /// What else there is, by key; `type=veth` is among it.
    pub other: Vec<(String, String)>,
}

impl NetworkInterface {
    /// An interface that is plugged into a bridge; nothing more is said.
    pub fn new(name: &str, bridge: &str) -> Self {
        Self {
            name: name.to_owned(),
            bridge: Some(bridge.to_owned()),
            hwaddr: None,
            ip: None,
            gw: None,
            ip6: None,
            gw6: None,
            firewall: None,
            link_down: None,
            tag: None,
            trunks: None,
            mtu: None,
            rate: None,
            other: Vec::new(),
        }
    }
}

impl FromStr for NetworkInterface {
    type Err = InvalidValue;
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let mut parts = Properties::parse(text, None)?;
        Ok(Self {
            name: parts.take("name").ok_or(InvalidValue::Missing("name"))?,
            bridge: parts.take("bridge"),
            hwaddr: parts.take("hwaddr"),
            ip: parts.take("ip"),
            gw: parts.take("gw"),
            ip6: parts.take("ip6"),
            gw6: parts.take("gw6"),
            firewall: parts.take("firewall"),
            link_down: parts.take("link_down"),
            tag: parts.take("tag"),
            trunks: parts.take("trunks"),
            mtu: parts.take("mtu"),
            rate: parts.take("rate"),
            other: parts.rest(),
        })
    }
}

impl fmt::Display for NetworkInterface {
    /// In the order in which Proxmox prints it: what must be there, then by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Writer::default();
        text.maybe("name", Some(&self.name));
        text.maybe("bridge", self.bridge.as_ref());
        text.maybe("firewall", self.firewall.as_ref());
        text.maybe("gw", self.gw.as_ref());
        text.maybe("gw6", self.gw6.as_ref());
        text.maybe("hwaddr", self.hwaddr.as_ref());
        text.maybe("ip", self.ip.as_ref());
        text.maybe("ip6", self.ip6.as_ref());
        text.maybe("link_down", self.link_down.as_ref());
        text.maybe("mtu", self.mtu.as_ref());
        text.maybe("rate", self.rate.as_ref());
        text.maybe("tag", self.tag.as_ref());
        text.maybe("trunks", self.trunks.as_ref());
        f.write_str(&text.finish(&self.other))
    }
}
