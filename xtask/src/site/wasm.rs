//! The program for the browser: cargo, then wasm-bindgen (linked in, so that its version is the one in Cargo.lock), then
//! esbuild, which puts the glue and its snippets into one module; for a release also wasm-opt and a small glue.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use wasm_bindgen_cli_support::Bindgen;

use super::{
    Profile,
    stamp::{self, Digest, step},
};
use crate::{
    paths,
    process::{self, cargo, command},
};

/// What rustc's target has switched on; wasm-opt has to be told.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-multivalue",
    "--enable-sign-ext",
    "--enable-mutable-globals",
];

pub struct Program {
    pub js: PathBuf,
    pub wasm: PathBuf,
}

pub fn build(profile: Profile) -> Result<Program> {
    let raw = compile(profile)?;
    let stage = profile.stage();
    let program = Program { js: stage.join("berth.js"), wasm: stage.join("berth.wasm") };
    let inputs = Digest::new()
        .text(include_str!("wasm.rs"))
        .file(&paths::root().join("Cargo.lock"))?
        .file(&paths::style().join("package-lock.json"))?
        .file(&raw)?
        .finish();
    step("wasm", &stage, inputs, &[program.js.clone(), program.wasm.clone()], || {
        println!("  wasm-bindgen, esbuild{}", if profile.is_release() { ", wasm-opt -Oz" } else { "" });
        let glued = stage.join("bindgen");
        bind(profile, &raw, &glued)?;
        bundle(profile, &glued, &program)?;
        shrink(profile, &glued, &program)?;
        fs::remove_dir_all(&glued).with_context(|| format!("cannot remove {}", glued.display()))
    })?;
    Ok(program)
}

fn compile(profile: Profile) -> Result<PathBuf> {
    let mut build = cargo(&["build", "--lib", "--target", "wasm32-unknown-unknown", "--no-default-features", "--features", "hydrate"]);
    let folder = match profile {
        Profile::Dev => "debug",
        Profile::Release => {
            build.args(["--profile", "wasm-release"]);
            "wasm-release"
        }
    };
    process::run(&mut build)?;
    Ok(paths::target().join("wasm32-unknown-unknown").join(folder).join("berth.wasm"))
}

fn bind(profile: Profile, raw: &Path, into: &Path) -> Result<()> {
    if into.exists() {
        fs::remove_dir_all(into).with_context(|| format!("cannot remove {}", into.display()))?;
    }
    // No default path of the WASM in the glue: its name carries a hash, so the page has to hand it in.
    Bindgen::new()
        .input_path(raw)
        .out_name("berth")
        .web(true)
        .and_then(|bindgen| {
            bindgen
                .typescript(false)
                .omit_default_module_path(true)
                .keep_debug(false)
                .remove_name_section(profile.is_release())
                .remove_producers_section(profile.is_release())
                .generate(into)
        })
        .map_err(|error| anyhow!("wasm-bindgen failed: {error:#}"))
}

/// The glue may import snippets by relative paths; one module with one hash is simpler to cache.
fn bundle(profile: Profile, glued: &Path, program: &Program) -> Result<()> {
    let mut esbuild = command(paths::style().join("node_modules/.bin/esbuild"), glued);
    esbuild.args(["berth.js", "--bundle", "--format=esm", "--target=es2022", "--legal-comments=none", "--log-level=warning"]);
    esbuild.arg(format!("--outfile={}", program.js.display()));
    if profile.is_release() {
        esbuild.arg("--minify");
    }
    process::capture(&mut esbuild).map(drop)
}

fn shrink(profile: Profile, glued: &Path, program: &Program) -> Result<()> {
    let bound = glued.join("berth_bg.wasm");
    if !profile.is_release() {
        return stamp::write(&program.wasm, stamp::read(&bound)?);
    }
    let mut wasm_opt = command(paths::style().join("node_modules/.bin/wasm-opt"), glued);
    wasm_opt.args(["-Oz", "--strip-debug", "--strip-producers", "--strip-target-features"]).args(FEATURES);
    wasm_opt.arg(&bound).arg("-o").arg(&program.wasm);
    process::capture(&mut wasm_opt).map(drop)
}
