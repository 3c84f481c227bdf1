//! Values that a page carries from the server to the browser, read there by the same code that reads the answers of server functions.
//!
//! Leptos's own JSON codec reads from a `str`, server functions from bytes; two readers of the same types would cost the browser
//! 60 kB of code, 5 kB as brotli.

use leptos::{
    prelude::*,
    serde_json,
    server::codee::{Decoder, Encoder},
};
use serde::{Serialize, de::DeserializeOwned};
use std::future::Future;

/// JSON, read from bytes.
pub struct Json;

impl<T: Serialize> Encoder<T> for Json {
    type Error = serde_json::Error;
    type Encoded = String;

    fn encode(value: &T) -> Result<String, serde_json::Error> {
        serde_json::to_string(value)
    }
}

impl<T: DeserializeOwned> Decoder<T> for Json {
    type Error = serde_json::Error;
    type Encoded = str;

    fn decode(text: &str) -> Result<T, serde_json::Error> {
        serde_json::from_slice(text.as_bytes())
    }
}

/// What a page loads: on the server while it is rendered, in the browser when `source` changes or somebody asks again.
pub type Loaded<T> = Resource<T, Json>;

/// Makes one.
pub fn load<S, T, F>(source: impl Fn() -> S + Send + Sync + 'static, fetcher: impl Fn(S) -> F + Send + Sync + 'static) -> Loaded<T>
where
    S: PartialEq + Clone + Send + Sync + 'static,
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
    F: Future<Output = T> + Send + 'static,
{
    Resource::new_with_options(source, fetcher, false)
}

/// What the server knows when it renders a page, and the browser reads from it.
pub fn carried<T>(on_server: impl FnOnce() -> T) -> T
where
    T: Serialize + DeserializeOwned + 'static,
{
    SharedValue::<T, Json>::new_with_encoding(on_server).into_inner()
}
