//! Templates and backups: what unpacking them takes and says, and what is in them as far as their names tell.

use crate::simulator::storage::{self, Storage, find_usable};

/// An archive that is there.
pub struct Archive {
    /// Where it lies.
    pub path: String,
    /// Bytes that come out of it.
    pub unpacked: u64,
    /// Of a backup.
    pub config: Option<String>,
    is_corrupt: bool,
}

/// What unpacking has to say.
pub struct Said {
    pub lines: Vec<String>,
    /// Milliseconds.
    pub takes: i64,
    pub is_fine: bool,
}

/// The systems that Proxmox knows by the names of their templates (Setup.pm:42).
const SYSTEMS: &[(&str, &str)] = &[
    ("alma", "centos"),
    ("alpine", "alpine"),
    ("arch", "archlinux"),
    ("centos", "centos"),
    ("debian", "debian"),
    ("devuan", "devuan"),
    ("fedora", "fedora"),
    ("gentoo", "gentoo"),
    ("nixos", "nixos"),
    ("openeuler", "openeuler"),
    ("opensuse", "opensuse"),
    ("rocky", "centos"),
    ("ubuntu", "ubuntu"),
];

const MIB: u64 = 1 << 20;
/// MiB in a second (create-47 and others: 101 to 231).
const SPEED: u64 = 158;
/// A tar file is made of blocks of this size.
const BLOCK: u64 = 10_240;

impl Archive {
    pub fn find(storages: &[Storage], node: &str, volid: &str) -> Result<Self, String> {
        let (name, _) = storage::split_volid(volid).ok_or_else(|| format!("can't find file '{volid}'"))?;
        let storage = find_usable(storages, name, node)?;
        let volume = storage::find_volume(storages, volid).ok_or_else(|| storage.missing(volid))?;
        // 58,374,010 bytes came to 170,158,080 (create-13b).
        let unpacked = (volume.size.saturating_mul(2915) / 1000) / BLOCK * BLOCK;
        Ok(Self { path: storage.path_of(volid), unpacked, config: volume.config.clone(), is_corrupt: volume.is_corrupt })
    }

    /// The option that tar needs for the compression (LC Create.pm:91).
    pub fn flag(&self) -> Result<&'static str, String> {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let no_archive = || format!("file does not look like a template archive: {}", self.path);
        if name.ends_with(".tar") {
            return Ok("");
        }
        let (rest, extension) = name.rsplit_once('.').ok_or_else(no_archive)?;
        if !rest.ends_with(".tar") {
            return Err(no_archive());
        }
        match extension {
            "gz" => Ok("-z"),
            "bz2" => Ok("-j"),
            "xz" => Ok("-J"),
            "lzo" => Ok("--lzop"),
            "zst" => Ok("--zstd"),
            _ => Err(format!("unrecognized compression format: .{extension}")),
        }
    }

    /// What tar says when so many bytes may come out.
    pub fn unpack(&self, room: u64) -> Said {
        if self.is_corrupt {
            return self.fail();
        }
        let takes = i64::try_from(self.unpacked * 1000 / (SPEED * MIB)).unwrap_or(i64::MAX);
        let totals = format!("Total bytes read: {} ({}, {SPEED}MiB/s)", self.unpacked, human(self.unpacked));
        if self.unpacked <= room {
            return Said { lines: vec![totals], takes, is_fine: true };
        }
        // One line for each file that found no room; they are small (create-60-disk-too-small-for-template).
        let left = (self.unpacked - room) / 12_288;
        let file = |number: u64| format!("tar: ./usr/share/doc/package-{}/file-{number}", number / 40);
        let mut lines = vec![format!("{}: Wrote only 5632 of 10240 bytes", file(0))];
        lines.extend((1..=left).map(|number| format!("{}: Cannot write: No space left on device", file(number))));
        lines.extend([totals, "tar: Exiting with failure status due to previous errors".to_owned()]);
        Said { lines, takes: takes + 300, is_fine: false }
    }

    fn fail(&self) -> Said {
        let first = match self.flag() {
            Ok("--zstd") => "zstd: /*stdin*\\: unsupported format ",
            Ok("-z") => "gzip: stdin: not in gzip format",
            Ok("-J") => "xz: (stdin): File format not recognized",
            _ => "tar: This does not look like a tar archive",
        };
        // create-61-corrupt-template
        let lines = [first, "tar: Child returned status 1", "tar: Error is not recoverable: exiting now"];
        Said { lines: lines.map(str::to_owned).to_vec(), takes: 100, is_fine: false }
    }

    fn file(&self) -> String {
        self.path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase()
    }

    /// The `ostype` of what is in it.
    pub fn system(&self) -> &'static str {
        let file = self.file();
        SYSTEMS.iter().find(|(prefix, _)| file.starts_with(prefix)).map_or("unmanaged", |(_, system)| system)
    }

    pub fn arch(&self) -> &'static str {
        let file = self.file();
        let found = ["arm64", "armhf", "i386", "riscv64"].into_iter().find(|arch| file.contains(&format!("_{arch}.")));
        found.unwrap_or("amd64")
    }
}

/// As tar writes sizes: rounded up, with a decimal when it is small.
fn human(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (MIB, "MiB"), (1 << 10, "KiB")];
    let (size, unit) = units.into_iter().find(|(size, _)| bytes >= *size).unwrap_or((1, "B"));
    let tenths = (bytes * 10).div_ceil(size);
    if tenths < 100 { format!("{}.{}{unit}", tenths / 10, tenths % 10) } else { format!("{}{unit}", bytes.div_ceil(size)) }
}

/// The command that unpacks, as it stands in errors (create-61-corrupt-template).
pub fn command(vmid: u32, flag: &str, is_unprivileged: bool, limit: Option<f64>) -> String {
    let limit = limit.map(|kib| format!("set -o pipefail && cstream -t {} | ", kib * 1024.0)).unwrap_or_default();
    let namespace = if is_unprivileged { "lxc-usernsexec -m u:0:100000:65536 -m g:0:100000:65536 -- " } else { "" };
    let flag = if flag.is_empty() { String::new() } else { format!("{flag} ") };
    format!(
        "{limit}{namespace}tar xpf - {flag}--totals --one-file-system -p --sparse --numeric-owner --acls --xattrs \
         '--xattrs-include=user.*' '--xattrs-include=security.capability' '--warning=no-file-ignored' '--warning=no-xattr-write' \
         -C /var/lib/lxc/{vmid}/rootfs --skip-old-files --anchored --exclude './dev/*'"
    )
}

/// None where a character is none of base64's. Padding ends it.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let (mut decoded, mut buffer, mut bits) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes().take_while(|byte| *byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        buffer = (buffer << 6 | u32::from(value)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            decoded.push((buffer >> bits & 0xff) as u8);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_tar_writes_them() {
        // FACTS §11, create-13b
        assert_eq!((human(8_960_000), human(170_158_080), human(512)), ("8.6MiB".to_owned(), "163MiB".to_owned(), "512B".to_owned()));
    }

    #[test]
    fn base64_is_read_up_to_its_padding() {
        assert_eq!(decode_base64("AAAAC3Nz").as_deref(), Some(&[0, 0, 0, 11, b's', b's'][..]));
        assert_eq!(decode_base64("YQ==").as_deref(), Some(&b"a"[..]));
        assert_eq!(decode_base64("no key!"), None);
    }
}
