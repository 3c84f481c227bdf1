//! The parts that every page is made of, in the language of one look: icons, meters, notes, toasts, formats.
//!
//! They know no slice: nothing here says "container" or "cluster".

pub mod flash;
pub mod format;
pub mod icons;
pub mod parts;
pub mod toasts;
pub mod wire;

cfg_if::cfg_if! {
    if #[cfg(feature = "hydrate")] {
        pub mod browser;
        pub mod chart;
        pub mod copy;
    }
}
