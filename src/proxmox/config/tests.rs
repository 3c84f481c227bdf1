use super::*;

#[test]
fn values_of_a_real_server_are_read_and_printed() {
    // recordings life-03, conf-41
    let net: NetworkInterface = "name=eth0,bridge=vmbr0,firewall=0,hwaddr=BC:24:11:2F:E8:53,ip=10.99.0.103/24,type=veth".parse().unwrap();
    assert_eq!(net.ip, Some(Ipv4Setting::Static([10, 99, 0, 103].into(), 24)));
    assert_eq!((net.firewall, net.bridge.as_deref()), (Some(false), Some("vmbr0")));
    assert_eq!(net.to_string(), "name=eth0,bridge=vmbr0,firewall=0,hwaddr=BC:24:11:2F:E8:53,ip=10.99.0.103/24,type=veth");
    let rootfs: MountPoint = "btr:103/vm-103-disk-0.raw,size=1G".parse().unwrap();
    assert_eq!((rootfs.source.storage(), rootfs.size), (Some("btr"), Some(Size(1 << 30))));
    assert_eq!(rootfs.to_string(), "btr:103/vm-103-disk-0.raw,size=1G");
}

#[test]
fn what_is_not_known_survives_in_its_order() {
    let net: NetworkInterface = "zeta=1,name=eth0,alpha=2,tag=none,mtu=1500".parse().unwrap();
    assert_eq!(net.to_string(), "name=eth0,mtu=1500,zeta=1,alpha=2,tag=none");
    let features: Features = "nesting=yes,glow=a;b,mount=nfs;cifs".parse().unwrap();
    assert_eq!(features.to_string(), "mount=nfs;cifs,nesting=1,glow=a;b");
}

#[test]
fn a_mount_is_a_volume_a_directory_or_a_device() {
    let source = |text: &str| text.parse::<MountPoint>().unwrap().source;
    assert_eq!(source("local-lvm:8,mp=/data"), Source::Volume("local-lvm:8".into()));
    assert_eq!(source("/srv/data,mp=/data"), Source::Bind("/srv/data".into()));
    assert_eq!(source("volume=/dev/sdb1,mp=/data,ro=1"), Source::Device("/dev/sdb1".into()));
    assert_eq!("mp=/data".parse::<MountPoint>(), Err(InvalidValue::Missing("volume")));
}

#[test]
fn what_is_no_property_string_is_refused() {
    for (text, error) in [
        ("name=eth0,name=eth1", InvalidValue::Twice),
        ("name=eth0,=x", InvalidValue::Incomplete),
        ("name=eth0,mtu=", InvalidValue::Incomplete),
        ("name=eth0,alone", InvalidValue::Incomplete),
        ("bridge=vmbr0", InvalidValue::Missing("name")),
        ("", InvalidValue::Missing("name")),
    ] {
        assert_eq!(text.parse::<NetworkInterface>(), Err(error), "{text:?}");
    }
}

#[test]
fn sizes_are_read_as_proxmox_reads_them() {
    let bytes = |text: &str| text.parse::<Size>().ok().map(|size| size.0);
    assert_eq!((bytes("8G"), bytes("1.5K"), bytes("512"), bytes("1TiB")), (Some(8 << 30), Some(1536), Some(512), Some(1 << 40)));
    for bad in ["", "G", "1.G", ".5G", "1P", "-1", "1 G", "1iB", "99999999999999999999", "9999999999T", "1.5.5G"] {
        assert_eq!(bytes(bad), None, "{bad:?}");
    }
    let printed = |size: u64| Size(size).to_string();
    assert_eq!((printed(0), printed(1536), printed(8 << 30), printed(1 << 50)), ("0".into(), "1536".into(), "8G".into(), "1024T".into()));
}
