//! The style sheet (Tailwind, which looks for class names in the Rust sources) and the two fonts.

use anyhow::Result;

use super::{
    Asset, Profile,
    stamp::{self, Digest, files, step},
};
use crate::{
    paths,
    process::{self, command},
};

pub fn build(profile: Profile) -> Result<Asset> {
    let style = paths::style();
    let stage = profile.stage();
    let output = stage.join("berth.css");

    let mut inputs = Digest::new().text(include_str!("styles.rs")).file(&style.join("package-lock.json"))?;
    let mut sources = files(&paths::root().join("src"), &["rs"])?;
    sources.extend(files(&style, &["css"])?);
    for source in &sources {
        inputs = inputs.file(source)?;
    }

    step("styles", &stage, inputs.finish(), std::slice::from_ref(&output), || {
        println!("  tailwindcss");
        let mut tailwind = command(style.join("node_modules/.bin/tailwindcss"), &style);
        tailwind.args(["-i", "main.css", "-o"]).arg(&output);
        if profile.is_release() {
            tailwind.arg("--minify");
        }
        process::capture(&mut tailwind).map(drop)
    })?;
    Ok(Asset { name: "berth.css", content: stamp::read(&output)? })
}

/// Geist and Geist Mono, the variable Latin subsets.
pub fn fonts() -> Result<Vec<Asset>> {
    let packages = paths::style().join("node_modules/@fontsource-variable");
    [
        ("geist.woff2", "geist/files/geist-latin-wght-normal.woff2"),
        ("geist-mono.woff2", "geist-mono/files/geist-mono-latin-wght-normal.woff2"),
    ]
    .into_iter()
    .map(|(name, file)| Ok(Asset { name, content: stamp::read(&packages.join(file))? }))
    .collect()
}
