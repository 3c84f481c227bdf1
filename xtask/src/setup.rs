//! What has to be there before anything can be built. Each function looks first and acts only if something is missing, so
//! that calling it again costs nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};

use crate::{
    paths,
    process::{self, command},
    site::stamp::Digest,
};

const WASM: &str = "wasm32-unknown-unknown";
const OLDEST_NODE: u32 = 20;

/// For the site: Node, the wasm32 target and the packages in `style/`.
pub fn for_site() -> Result<()> {
    node()?;
    wasm_target()?;
    packages(&paths::style())
}

pub fn node() -> Result<()> {
    let advice = format!(
        "Berth needs Node.js {OLDEST_NODE} or newer with npm (for Tailwind CSS, wasm-opt and the browser tests). \
         It comes with your distribution (on Debian and Ubuntu: apt-get install nodejs npm) or from https://nodejs.org"
    );
    let version =
        process::capture(command("node", paths::root()).arg("--version")).ok().with_context(|| format!("Node.js is missing. {advice}"))?;
    match major(&version) {
        Some(major) if major >= OLDEST_NODE => {}
        _ => bail!("Node.js {} is too old. {advice}", version.trim()),
    }
    if paths::on_path("npm").is_none() {
        bail!("npm is missing. {advice}");
    }
    Ok(())
}

/// 22 of "v22.12.0".
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

pub fn wasm_target() -> Result<()> {
    let installed = || -> Result<bool> {
        let libraries = process::capture(command("rustc", paths::root()).args(["--print", "target-libdir", "--target", WASM]))?;
        Ok(Path::new(libraries.trim()).is_dir())
    };
    if !installed()? {
        process::run(command("rustup", paths::root()).args(["target", "add", WASM])).with_context(|| {
            format!("the Rust target {WASM} is missing; with rustup from https://rustup.rs it is added by `rustup target add {WASM}`")
        })?;
        if !installed()? {
            bail!("the Rust target {WASM} is still missing after `rustup target add`; is `rustc` the one of rustup?");
        }
    }
    Ok(())
}

/// `npm ci` if the lock file is not the one that was installed. Install scripts stay off: nothing here needs one.
pub fn packages(directory: &Path) -> Result<()> {
    let lock = directory.join("package-lock.json");
    let wanted = Digest::new().file(&lock)?.finish();
    let stamp = directory.join("node_modules/.berth-stamp");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let mut npm = command("npm", directory);
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    let name = directory.strip_prefix(paths::root()).unwrap_or(directory).display().to_string();
    process::run(&mut npm).with_context(|| format!("the npm packages of {name}/ could not be installed"))?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

/// A browser for the tests: `$BERTH_CHROMIUM`, or chromium on PATH, or Debian's package.
pub fn chromium() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("BERTH_CHROMIUM") {
        let named = PathBuf::from(named);
        if !named.is_file() {
            bail!("BERTH_CHROMIUM names {}, and there is no such file", named.display());
        }
        return Ok(named);
    }
    let find = || ["chromium", "chromium-browser"].into_iter().find_map(paths::on_path);
    if let Some(found) = find() {
        return Ok(found);
    }
    apt_install(&["chromium", "fonts-liberation"])
        .context("the browser tests need Chromium: install the package chromium, or let BERTH_CHROMIUM name the program")?;
    find().context("the package chromium was installed, and there is still no chromium on PATH")
}

pub fn is_root() -> bool {
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Installs Debian packages where that is ours to do: as root, on a system with apt-get.
pub fn apt_install(names: &[&str]) -> Result<()> {
    if !is_root() || paths::on_path("apt-get").is_none() {
        bail!("it is missing, and only root on Debian or Ubuntu gets it installed by itself");
    }
    let apt = || {
        let mut apt = command("apt-get", paths::root());
        apt.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
        apt
    };
    process::run(apt().args(["-qq", "update"]))?;
    process::run(apt().args(["-qq", "install", "-y", "--no-install-recommends"]).args(names))
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn the_major_version_is_read_from_what_node_prints() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("something else"), None);
    }
}
