//! Where things are. Everything starts from the top of the repository, so that each command works from any folder in it.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The top of the repository: the folder above this package, known since compile time.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in a folder of the repository")
}

pub fn style() -> PathBuf {
    root().join("style")
}

pub fn end2end() -> PathBuf {
    root().join("end2end")
}

/// Cargo's target directory.
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Intermediate files and stamps of this tool.
pub fn work() -> PathBuf {
    root().join("target/xtask")
}

/// The first executable of that name on PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(program)).find(|file| file.is_file())
}
