//! The built site: script, WASM, styles, icons, fonts, each with a hash in its name, and what stands at the root.
//!
//! A release holds it in the program (feature `embed`); in development it is read from a directory. Either way it is in memory from
//! the start, with the compressed forms that the build made.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use std::{collections::HashMap, path::Path, sync::Arc};

/// Where the files with a hash in their name stand.
const HASHED: &str = "/pkg/";

/// The site, by the path that a browser asks for.
#[derive(Clone)]
pub struct Assets(Arc<Inner>);

struct Inner {
    files: HashMap<String, File>,
    names: HashMap<String, String>,
    sprite: String,
}

#[derive(Default)]
struct File {
    plain: axum::body::Bytes,
    brotli: Option<axum::body::Bytes>,
    gzip: Option<axum::body::Bytes>,
    kind: String,
}

/// The site cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// A directory or a file cannot be read.
    #[error("the site cannot be read from {0}; build it with `cargo xtask build`")]
    Read(std::path::PathBuf, #[source] std::io::Error),
    /// No list of names, or one that is none.
    #[error("the site has no readable manifest.json; build it with `cargo xtask build`")]
    Manifest,
    /// Neither embedded nor named.
    #[error("this program was built without the site; give its directory by --site")]
    Missing,
}

impl Assets {
    /// The site from a directory, else the embedded one.
    pub fn load(directory: Option<&Path>) -> Result<Self, AssetError> {
        match directory {
            Some(directory) => {
                let mut files = Vec::new();
                read_directory(directory, "", &mut files)?;
                Self::of(files)
            }
            None => Self::of(embedded()?),
        }
    }

    fn of(contents: Vec<(String, axum::body::Bytes)>) -> Result<Self, AssetError> {
        let mut files: HashMap<String, File> = HashMap::new();
        let mut names = None;
        for (path, bytes) in contents {
            if path == "/manifest.json" {
                names = serde_json::from_slice(&bytes).ok();
            } else if let Some(plain) = path.strip_suffix(".br") {
                files.entry(plain.to_owned()).or_default().brotli = Some(bytes);
            } else if let Some(plain) = path.strip_suffix(".gz") {
                files.entry(plain.to_owned()).or_default().gzip = Some(bytes);
            } else {
                let kind = mime_guess::from_path(&path).first_or_octet_stream();
                let charset = if kind.type_() == "text" { "; charset=utf-8" } else { "" };
                let file = files.entry(path).or_default();
                file.kind = format!("{kind}{charset}");
                file.plain = bytes;
            }
        }
        let names: HashMap<String, String> = names.ok_or(AssetError::Manifest)?;
        let sprite = names.get("icons.svg").and_then(|path| files.get(path)).map(|file| String::from_utf8_lossy(&file.plain).into_owned());
        Ok(Self(Arc::new(Inner { files, names, sprite: sprite.ok_or(AssetError::Manifest)? })))
    }

    /// The path of a file by its name without the hash: `berth.js`.
    pub fn path(&self, name: &str) -> &str {
        self.0.names.get(name).map_or("", String::as_str)
    }

    /// The icons, to be placed in every page.
    pub fn sprite(&self) -> &str {
        &self.0.sprite
    }

    /// Answers for a path, where the site has it, in the best form that the browser takes.
    pub fn get(&self, path: &str, request: &HeaderMap) -> Option<Response<Body>> {
        let file = self.0.files.get(path)?;
        let accepts = |coding: &str| {
            let header = request.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
            header.split(',').any(|part| part.split(';').next().is_some_and(|name| name.trim() == coding))
        };
        let (bytes, coding) = match (&file.brotli, &file.gzip) {
            (Some(brotli), _) if accepts("br") => (brotli, Some("br")),
            (_, Some(gzip)) if accepts("gzip") => (gzip, Some("gzip")),
            _ => (&file.plain, None),
        };
        let mut response = Response::new(Body::from(bytes.clone()));
        let headers = response.headers_mut();
        let kind = HeaderValue::from_str(&file.kind).unwrap_or(HeaderValue::from_static("application/octet-stream"));
        headers.insert(header::CONTENT_TYPE, kind);
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        let hashed = path.starts_with(HASHED);
        let caching = if hashed { "public, max-age=31536000, immutable" } else { "public, max-age=3600" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        if let Some(coding) = coding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        Some(response)
    }

    /// Whether a path can only be an asset's, so that an unknown one is a plain 404.
    pub fn owns(path: &str) -> bool {
        path.starts_with(HASHED)
    }

    /// The plain 404 for an asset of another build.
    pub fn not_found() -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    }
}

fn read_directory(directory: &Path, prefix: &str, files: &mut Vec<(String, axum::body::Bytes)>) -> Result<(), AssetError> {
    let failed = |e| AssetError::Read(directory.to_owned(), e);
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().map_err(failed)?.is_dir() {
            read_directory(&entry.path(), &path, files)?;
        } else {
            files.push((path, std::fs::read(entry.path()).map_err(failed)?.into()));
        }
    }
    Ok(())
}

cfg_if::cfg_if! {
    if #[cfg(feature = "embed")] {
        #[derive(rust_embed::Embed)]
        #[folder = "$CARGO_MANIFEST_DIR/target/site/release"]
        struct Embedded;

        fn embedded() -> Result<Vec<(String, axum::body::Bytes)>, AssetError> {
            use std::borrow::Cow;
            let bytes = |data| match data {
                Cow::Borrowed(data) => axum::body::Bytes::from_static(data),
                Cow::Owned(data) => axum::body::Bytes::from(data),
            };
            Ok(Embedded::iter().filter_map(|path| Embedded::get(&path).map(|file| (format!("/{path}"), bytes(file.data)))).collect())
        }
    } else {
        fn embedded() -> Result<Vec<(String, axum::body::Bytes)>, AssetError> {
            Err(AssetError::Missing)
        }
    }
}
