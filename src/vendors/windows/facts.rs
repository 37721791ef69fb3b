//! Everything that the files of a device say, before it is put together.

use super::props::Props;
use super::rule::Origin;
use super::settings::{Setting, Settings, Store, Value};
use crate::source::Span;

/// Which sort of export a rule was read from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Source {
    PowerShell,
    Registry,
    Netsh,
    /// A policy: `Registry.pol`, a report, Intune.
    Policy,
}

/// What was read.
#[derive(Default, Debug)]
pub(super) struct Facts {
    /// Rules, with whose they are where the form itself says so.
    pub rules: Vec<(Source, Option<Origin>, Props)>,
    /// What the profiles are set to.
    pub settings: Settings,
    /// Settings of the old standard profile of a policy.
    pub standard: Vec<(Store, Setting, Value, Span)>,
    /// Rules that could not be read, or that the file lost.
    pub lost: Vec<Span>,
    /// The rules are those of the active store: everything that Windows asks.
    pub active: bool,
    /// Stores of which the rules were exported whole.
    pub whole_rules: Vec<Store>,
    /// Interfaces with the name of the network's category, where it was exported.
    pub networks: Vec<(String, String, Span)>,
    /// A place that stands for the whole where nothing better is at hand.
    pub place: Option<Span>,
}

impl Facts {
    /// Something that may have been a rule was not read.
    pub fn lost(&mut self, span: Span) {
        self.lost.push(span);
    }

    /// Whether rules of this sort were read.
    pub fn has(&self, source: Source) -> bool {
        self.rules.iter().any(|(s, ..)| *s == source)
    }
}
