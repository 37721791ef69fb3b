//! What is known of the application firewall, and where it is said.

use crate::source::Span;

/// Where something is said; a later one goes before an earlier one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Source {
    /// `com.apple.alf.plist`.
    Preferences,
    /// A configuration profile: what the device is made to do.
    Profile,
    /// What the tool prints: what the device does.
    Listing,
}

/// A switch of the firewall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Switch {
    Enabled,
    BlockAll,
    /// Software that comes with the system, and is signed, receives connections without being asked for.
    BuiltIn,
    /// The same for signed software that was installed.
    Downloaded,
    Stealth,
    Logging,
}

impl Switch {
    /// The value that lets less in.
    fn stricter(self) -> bool {
        !matches!(self, Switch::BuiltIn | Switch::Downloaded)
    }
}

/// What the firewall does with connections to a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Treated {
    Allowed,
    Blocked,
    Unknown,
}

/// A program of the list.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// Its path, or the identifier of its bundle.
    pub name: String,
    pub treated: Treated,
    pub source: Source,
    pub span: Span,
}

/// What a switch is set to.
#[derive(Clone, Copy, Debug)]
struct Said {
    switch: Switch,
    value: bool,
    source: Source,
    /// Said by another word that brings it about.
    implied: bool,
    span: Span,
}

/// What all files say.
#[derive(Default, Debug)]
pub(super) struct Facts {
    said: Vec<Said>,
    /// Programs, in the order in which they are written.
    pub programs: Vec<Program>,
    /// The list of programs was exported, and where.
    pub listed: Option<Span>,
    /// Something could not be read.
    pub lost: Option<Span>,
}

impl Facts {
    /// Notes what a switch is set to.
    pub fn say(&mut self, switch: Switch, value: bool, source: Source, span: Span) {
        self.said.push(Said { switch, value, source, implied: false, span });
    }

    /// The same, for what follows from something else that is said.
    pub fn imply(&mut self, switch: Switch, value: bool, source: Source, span: Span) {
        self.said.push(Said { switch, value, source, implied: true, span });
    }

    /// What holds: of the source that goes first; where several profiles say it, the stricter value (Apple, "Firewall": the most restrictive union).
    pub fn effective(&self, switch: Switch) -> Option<(bool, Span)> {
        let of = || self.said.iter().filter(move |s| s.switch == switch);
        let source = of().map(|s| s.source).max()?;
        let mut found: Vec<&Said> = of().filter(|s| s.source == source).collect();
        if found.iter().any(|s| !s.implied) {
            found.retain(|s| !s.implied);
        }
        let best = match source {
            Source::Profile => found.iter().find(|s| s.value == switch.stricter()).or(found.last()),
            _ => found.last(),
        };
        best.map(|s| (s.value, s.span))
    }

    /// The programs that count: those that the tool lists, where it lists any; else all.
    pub fn effective_programs(&self) -> impl Iterator<Item = &Program> {
        let listed = self.programs.iter().any(|p| p.source == Source::Listing);
        self.programs.iter().filter(move |p| !listed || p.source == Source::Listing)
    }

    /// Whether anything is said at all.
    pub fn any(&self) -> bool {
        !self.said.is_empty() || self.listed.is_some()
    }
}
