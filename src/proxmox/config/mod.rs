//! The values of a container's configuration that have parts: `net0`, `rootfs` and `mp0`, `features`, and sizes.
//!
//! What is read is printed so that it is read the same again. Keys that we do not know survive, in their order, and so do known ones with a
//! value that we do not understand: who changes one part of a value must not lose another that a newer Proxmox put there.
//!
//! Not here: whether Proxmox would take a value; it says so itself, by name.

mod features;
mod mount;
mod network;
mod properties;
mod size;
#[cfg(test)]
mod tests;

pub use features::Features;
pub use mount::{MountPoint, Source};
pub use network::{Ipv4Setting, Ipv6Setting, MacAddress, NetworkInterface};
pub use properties::InvalidValue;
pub use size::Size;
