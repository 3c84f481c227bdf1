//! Puts the site together: hashed names, the fonts' addresses in the style sheet, compressed siblings, the manifest.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{
    Asset, Profile, directory,
    stamp::{self, Digest, files, fingerprint},
};
use crate::paths;

/// Text and WASM; fonts are compressed already.
const COMPRESSIBLE: [&str; 8] = ["js", "wasm", "css", "svg", "txt", "html", "json", "xml"];

/// Plain name to path on the server.
type Manifest = BTreeMap<&'static str, String>;

pub fn assemble(profile: Profile, mut assets: Vec<Asset>, fonts: Vec<Asset>, css: Asset) -> Result<PathBuf> {
    let mut manifest = Manifest::new();
    for asset in assets.iter().chain(&fonts) {
        manifest.insert(asset.name, address(asset));
    }
    let css = Asset { name: css.name, content: with_font_addresses(css.content, &fonts, &manifest)? };
    manifest.insert(css.name, address(&css));
    assets.extend(fonts);
    assets.push(css);

    let public = paths::root().join("public");
    let public_files = if public.is_dir() { files(&public, &[])? } else { Vec::new() };
    let mut inputs = Digest::new().text(include_str!("assemble.rs"));
    for address in manifest.values() {
        inputs = inputs.text(address);
    }
    for file in &public_files {
        inputs = inputs.text(&file.display().to_string()).file(file)?;
    }

    let site = directory(profile);
    let written = [site.join("manifest.json")];
    stamp::step("site", &profile.stage(), inputs.finish(), &written, || {
        let new = site.with_extension("new");
        remove(&new)?;
        for asset in &assets {
            let path = new.join(&manifest[asset.name][1..]);
            stamp::write(&path, &asset.content)?;
            if profile.is_release() {
                compress(&path, &asset.content, Some(&site.join(&manifest[asset.name][1..])))?;
            }
        }
        for file in &public_files {
            let path = new.join(file.strip_prefix(&public).expect("it was found there"));
            let content = stamp::read(file)?;
            stamp::write(&path, &content)?;
            if profile.is_release() {
                compress(&path, &content, None)?;
            }
        }
        stamp::write(&new.join("manifest.json"), serde_json::to_string_pretty(&manifest)? + "\n")?;
        replace(&site, &new)
    })?;
    Ok(site)
}

fn address(asset: &Asset) -> String {
    let (stem, extension) = asset.name.rsplit_once('.').expect("every asset has an extension");
    format!("/pkg/{stem}.{}.{extension}", fingerprint(&asset.content))
}

/// The style sheet names its fonts `/pkg/NAME`; the real name is known only here.
fn with_font_addresses(css: Vec<u8>, fonts: &[Asset], manifest: &Manifest) -> Result<Vec<u8>> {
    let mut css = String::from_utf8(css).context("the style sheet is not UTF-8")?;
    for font in fonts {
        let plain = format!("/pkg/{}", font.name);
        if !css.contains(&plain) {
            bail!("the style sheet does not use {plain}; style/main.css has to name it in @font-face");
        }
        css = css.replace(&plain, &manifest[font.name]);
    }
    Ok(css.into_bytes())
}

/// Writes `.br` and `.gz` beside a file. A file of the same hashed name has the same content, so its old siblings serve.
fn compress(path: &Path, content: &[u8], old: Option<&Path>) -> Result<()> {
    if !path.extension().is_some_and(|extension| COMPRESSIBLE.iter().any(|known| extension == *known)) {
        return Ok(());
    }
    for (suffix, pack) in [(".br", brotli as fn(&[u8]) -> Result<Vec<u8>>), (".gz", gzip)] {
        let with = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        let packed = match old.and_then(|old| fs::read(with(old)).ok()) {
            Some(packed) => packed,
            None => pack(content)?,
        };
        if packed.len() < content.len() {
            stamp::write(&with(path), packed)?;
        }
    }
    Ok(())
}

pub fn brotli(content: &[u8]) -> Result<Vec<u8>> {
    let mut packed = brotli::CompressorWriter::new(Vec::new(), 1 << 16, 11, 24);
    packed.write_all(content)?;
    Ok(packed.into_inner())
}

fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(content)?;
    Ok(packed.finish()?)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// Two renames: the old site is whole until the new one takes its place.
fn replace(site: &Path, new: &Path) -> Result<()> {
    let old = site.with_extension("old");
    remove(&old)?;
    if site.exists() {
        fs::rename(site, &old).with_context(|| format!("cannot move {} away", site.display()))?;
    }
    fs::rename(new, site).with_context(|| format!("cannot move the new site to {}", site.display()))?;
    remove(&old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_carries_the_hash_of_the_content() {
        assert_eq!(address(&Asset { name: "geist-mono.woff2", content: Vec::new() }), "/pkg/geist-mono.e3b0c44298fc.woff2");
    }

    #[test]
    fn the_style_sheet_gets_the_real_names_of_its_fonts() {
        let fonts = [Asset { name: "geist.woff2", content: Vec::new() }];
        let manifest = Manifest::from([("geist.woff2", address(&fonts[0]))]);
        let css = with_font_addresses(b"@font-face{src:url(/pkg/geist.woff2)}".to_vec(), &fonts, &manifest).unwrap();
        assert_eq!(css, b"@font-face{src:url(/pkg/geist.e3b0c44298fc.woff2)}");
        assert!(with_font_addresses(b"body{}".to_vec(), &fonts, &manifest).is_err());
    }
}
