//! `cargo xtask site`: what the browser loads, in `target/site/dev` or `target/site/release`.
//!
//! Every file but those of `public/` has a part of its content's hash in its name and may be cached for ever; `manifest.json`
//! maps the plain names to the paths: `{"berth.js": "/pkg/berth.0123456789ab.js", …}`. The JavaScript is given the WASM's
//! address by the page; the CSS is given the fonts' addresses here. A release also has `.br` and `.gz` beside each file that
//! gets smaller by it.
//!
//! The steps keep what they made in `target/xtask/` and are skipped while their inputs stay the same; then the site is put
//! together in a folder beside the old one and takes its place, so that a build that stops half-way leaves the old one.

mod assemble;
mod icons;
pub mod stamp;
mod styles;
mod wasm;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;

use crate::{budget, paths, setup};

#[derive(clap::Args)]
pub struct Args {
    /// Small and compressed, as it is shipped
    #[arg(long)]
    release: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Profile {
    Dev,
    Release,
}

impl Profile {
    pub fn of(release: bool) -> Self {
        if release { Self::Release } else { Self::Dev }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }

    fn is_release(self) -> bool {
        self == Self::Release
    }

    /// Where the steps keep what they made.
    fn stage(self) -> PathBuf {
        paths::work().join(self.name())
    }
}

/// Something that gets a hashed name: the plain name and the content.
struct Asset {
    name: &'static str,
    content: Vec<u8>,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let site = build(Profile::of(args.release))?;
    println!("{}", site.display());
    if args.release {
        budget::report()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the built site of that profile is.
pub fn directory(profile: Profile) -> PathBuf {
    paths::root().join("target/site").join(profile.name())
}

pub fn build(profile: Profile) -> Result<PathBuf> {
    setup::for_site()?;
    let program = wasm::build(profile)?;
    let assets = [
        Asset { name: "berth.js", content: stamp::read(&program.js)? },
        Asset { name: "berth.wasm", content: stamp::read(&program.wasm)? },
        Asset { name: "icons.svg", content: icons::sprite()?.into_bytes() },
    ];
    let fonts = styles::fonts()?;
    let css = styles::build(profile)?;
    assemble::assemble(profile, assets.into(), fonts, css)
}
