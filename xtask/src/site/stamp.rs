//! Digests of inputs, and steps that are skipped while those stay the same.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use ring::digest::{Context as Hasher, SHA256};

/// A running SHA-256 over things that are told apart (each goes in with its length).
pub struct Digest(Hasher);

impl Digest {
    pub fn new() -> Self {
        Self(Hasher::new(&SHA256))
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub fn file(self, path: &Path) -> Result<Self> {
        Ok(self.bytes(&read(path)?))
    }

    pub fn finish(self) -> String {
        hex(self.0.finish().as_ref())
    }
}

/// The first twelve hexadecimal digits of the SHA-256 of a file's content: the part of its name that changes with it.
pub fn fingerprint(content: &[u8]) -> String {
    hex(&ring::digest::digest(&SHA256, content).as_ref()[..6])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// Does `make` unless it was done with the same inputs and what it made is still there. The stamp goes before the work
/// begins and comes back after it ended, so an interrupted step is done again.
pub fn step(name: &str, stage: &Path, inputs: String, outputs: &[PathBuf], make: impl FnOnce() -> Result<()>) -> Result<()> {
    let stamp = stage.join(format!("{name}.stamp"));
    if fs::read_to_string(&stamp).is_ok_and(|done| done == inputs) && outputs.iter().all(|output| output.exists()) {
        return Ok(());
    }
    if stamp.exists() {
        fs::remove_file(&stamp).with_context(|| format!("cannot remove {}", stamp.display()))?;
    }
    make()?;
    write(&stamp, inputs)
}

/// All files below a folder with one of these extensions (all if none is named), npm packages left out; sorted, so that
/// their order is no input.
pub fn files(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                if !path.ends_with("node_modules") {
                    folders.push(path);
                }
            } else if extensions.is_empty() || path.extension().is_some_and(|e| extensions.iter().any(|wanted| e == *wanted)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_step_is_done_again_only_when_an_input_or_an_output_is_not_the_same() {
        let stage = std::env::temp_dir().join(format!("berth-stamp-{}", std::process::id()));
        let output = stage.join("out");
        let done = Cell::new(0);
        let go = |inputs: &str| {
            step("try", &stage, inputs.to_owned(), std::slice::from_ref(&output), || {
                done.set(done.get() + 1);
                write(&output, "x")
            })
            .unwrap();
            done.get()
        };
        assert_eq!((go("a"), go("a"), go("b")), (1, 1, 2));
        fs::remove_file(&output).unwrap();
        assert_eq!(go("b"), 3);
        fs::remove_dir_all(&stage).unwrap();
    }

    #[test]
    fn the_fingerprint_is_the_beginning_of_the_sha256() {
        assert_eq!(fingerprint(b""), "e3b0c44298fc");
    }
}
