//! What a collecting script says of the files that it wrote.

use crate::source::Span;

/// What an export would have shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shows {
    /// The packet filter.
    Filter,
    /// VPNs.
    Vpn,
    /// Addresses, routes, settings of the kernel.
    Network,
    /// What listens.
    Listening,
}

impl Shows {
    /// As a manifest writes it.
    pub const ALL: [(&'static str, Shows); 4] =
        [("filter", Shows::Filter), ("vpn", Shows::Vpn), ("network", Shows::Network), ("listening", Shows::Listening)];
}

/// An export that could not be made.
#[derive(Clone, Debug)]
pub struct Lacking {
    /// What it would have shown.
    pub shows: Shows,
    /// A sentence on it.
    pub text: String,
    /// The manifest's line.
    pub span: Span,
}

/// A file that was written, and what its bytes were.
#[derive(Clone, Debug)]
pub struct Digest {
    /// Its name, seen from the manifest's folder.
    pub file: String,
    /// SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// The manifest's line.
    pub span: Span,
}
