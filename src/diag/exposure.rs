//! Who can reach what: one cell for each pair of zones.

use super::Label;

/// The matrix of zones: what opens a connection from one and gets to another.
#[derive(Clone, Debug, Default)]
pub struct Exposure {
    /// Names of the zones from which, in the order of the baseline.
    pub from: Vec<String>,
    /// Names of the zones to which; the last is "the firewalls themselves".
    pub to: Vec<String>,
    /// Row by row.
    pub cells: Vec<Cell>,
    /// What of the matrix was left out, and why.
    pub left_out: Option<String>,
}

/// The answer to "can it be reached from there?".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Answer {
    /// The same zone, or no device that was read stands between the two.
    #[default]
    Nothing,
    /// Nothing gets through.
    Closed,
    /// It is not known of some device.
    Unknown,
    /// Something may get through: it turns on what is not modelled.
    Perhaps,
    /// Something gets through.
    Open,
}

/// One pair of zones.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// The answer.
    pub answer: Answer,
    /// What gets through, by the line that lets it through.
    pub passages: Vec<Passage>,
    /// What is not known, by device.
    pub unknown: Vec<String>,
}

/// What one line of a configuration lets through.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Passage {
    /// The device.
    pub device: String,
    /// `IPv4` or `IPv6`.
    pub family: &'static str,
    /// The line, and what it is: "rule 3 of inet filter/forward".
    pub line: Label,
    /// Services, as the deciding line sees them: `tcp/443`.
    pub services: Vec<String>,
    /// The packets as they arrive, as few boxes in words.
    pub boxes: Vec<String>,
    /// How many boxes there are besides.
    pub more: usize,
    /// Whatever is not modelled, it gets through.
    pub certain: bool,
}
