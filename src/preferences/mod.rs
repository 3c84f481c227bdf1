//! What a browser remembers about how Berth looks there: the theme, how the list is laid out, and whether single keys act. Each is
//! in a cookie of the browser, not in our database, so that server and browser render the same from the first byte.

pub mod api;
pub mod model;

cfg_if::cfg_if! {
    if #[cfg(feature = "ssr")] {
        pub mod view;
    }
}
