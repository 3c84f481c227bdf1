//! What `mkfs.ext4` says, as far as Proxmox lets it through (L:2520): sizes as mke2fs chooses them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

struct Geometry {
    /// Bytes.
    block: u64,
    blocks: u64,
    inodes: u64,
    /// Of blocks.
    groups: u64,
    group: u64,
    first: u64,
}

/// The usage types of mke2fs.conf: small file systems have small blocks, large ones fewer inodes.
fn geometry(bytes: u64) -> Geometry {
    const MIB: u64 = 1 << 20;
    let (block, bytes_per_inode): (u64, u64) = match bytes / MIB {
        0..3 => (1024, 8192),
        3..512 => (1024, 4096),
        512..0x40_0000 => (4096, 16_384),
        0x40_0000..0x100_0000 => (4096, 32_768),
        _ => (4096, 65_536),
    };
    let (blocks, group, first) = (bytes / block, block * 8, u64::from(block == 1024));
    let groups = blocks.saturating_sub(first).div_ceil(group).max(1);
    let wanted = (bytes / bytes_per_inode).div_ceil(groups);
    // Whole blocks of inodes, which have 256 bytes each, and whole bytes of their bitmap.
    let inodes = ((wanted * 256).div_ceil(block) * block / 256) & !7;
    Geometry { block, blocks, inodes: inodes * groups, groups, group, first }
}

/// The first group after the first one, and the powers of 3, 5 and 7 keep a copy of the superblock.
fn backups(geometry: &Geometry) -> Vec<u64> {
    let powers = |base: u64| std::iter::successors(Some(base), move |power| power.checked_mul(base));
    let mut groups: Vec<u64> = [3, 5, 7].into_iter().flat_map(|base| powers(base).take_while(|group| *group < geometry.groups)).collect();
    if geometry.groups > 1 {
        groups.push(1);
    }
    groups.sort_unstable();
    groups.into_iter().map(|number| number * geometry.group + geometry.first).collect()
}

pub fn log_of_mkfs(volid: &str, now: i64, bytes: u64) -> Vec<String> {
    let geometry = geometry(bytes);
    let Geometry { block, blocks, inodes, .. } = geometry;
    let mut log = vec![
        format!("Creating filesystem with {blocks} {}k blocks and {inodes} inodes", block / 1024),
        format!("Filesystem UUID: {}", uuid(volid, now)),
        "Superblock backups stored on blocks: ".to_owned(),
    ];
    let mut line = String::new();
    for backup in backups(&geometry) {
        let number = backup.to_string();
        // mke2fs breaks lines after 72 characters, separators counted.
        if !line.is_empty() && line.len() + number.len() + 2 > 72 {
            log.push(format!("\t{line}"));
            line.clear();
        }
        line.push_str(&number);
        line.push_str(", ");
    }
    let last = line.trim_end_matches(", ");
    // Proxmox knows these lines by their having more than one number.
    if last.contains(", ") {
        log.push(format!("\t{last}"));
    }
    log
}

fn uuid(volid: &str, now: i64) -> String {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, volid, now).hash(&mut hasher);
        hasher.finish()
    };
    let (a, b) = (half(0), half(1));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        0x8000 | (b >> 48) & 0x3fff,
        b & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mkfs_says_what_was_recorded() {
        // create-13b, create-60 and create-48
        let log = log_of_mkfs("local:102/vm-102-disk-0.raw", 0, 1 << 30);
        assert_eq!(log[0], "Creating filesystem with 262144 4k blocks and 65536 inodes");
        assert_eq!(log[3..], ["\t32768, 98304, 163840, 229376"]);
        let log = log_of_mkfs("local:220/vm-220-disk-0.raw", 0, 53_477_376);
        assert_eq!(log[0], "Creating filesystem with 52224 1k blocks and 13048 inodes");
        assert_eq!(log[3..], ["\t8193, 24577, 40961"]);
        let log = log_of_mkfs("btr:160/vm-160-disk-0.raw", 0, 107_374_182_400_000);
        assert_eq!(log[0], "Creating filesystem with 26214400000 4k blocks and 1638400000 inodes");
        assert_eq!(log[3], "\t32768, 98304, 163840, 229376, 294912, 819200, 884736, 1605632, 2654208, ");
        assert_eq!(log[6], "\t2560000000, 3855122432, 5804752896, 12800000000, 17414258688");
    }
}
