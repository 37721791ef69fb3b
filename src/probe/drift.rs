//! Where reality and configuration part.

use std::collections::BTreeMap;

use super::expect::{Expected, Side};
use super::{HostResult, PortResult, Protocol, Reason, Scan, State};
use crate::checks::{World, Zone, label, line_subject};
use crate::diag::{CheckResult, Finding, Label, Severity, Verdict};
use crate::eval::{Analysis, Line};
use crate::model::{Action, PolicyAction};
use crate::net::service_name;
use crate::source::Span;

/// The check: nothing is open that the configuration denies.
pub const DRIFT: &str = "drift";
/// What is dropped in silence stays silent.
pub const PASSES: &str = "drift-not-filtered";
/// What is let through is open.
pub const CLOSED: &str = "drift-not-open";

/// Findings of one sort for one line that are still said one by one; of more, the ports stand in one.
const ONE_BY_ONE: usize = 5;

/// Ports that one finding may tell of: the check, the line that decides, the protocol, and what was seen.
type Alike = (&'static str, Option<(String, Line)>, Protocol, State, Reason);

/// Counts of what was compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Compared {
    /// Allowed and open.
    pub open: usize,
    /// Denied and not open.
    pub denied: usize,
    /// It depends on what is not known.
    pub perhaps: usize,
    /// UDP that stays silent though it is allowed: nothing can be said.
    pub silent: usize,
    /// Where they part.
    pub drift: usize,
}

/// Compares a scan with what was expected. `place` stands for what has no line: the zone, or the configuration.
///
/// Returns the checks, in order of how bad they are, and counts. Every text has yet to pass the redactor.
pub fn compare(world: &World<'_>, zone: &Zone, scan: &Scan, expected: &[Expected], place: Span) -> (Vec<CheckResult>, Compared) {
    let mut found: BTreeMap<&'static str, Vec<Finding>> = BTreeMap::new();
    let mut compared = Compared::default();
    let mut considered = Vec::new();
    for host in &scan.hosts {
        let Some(e) = expected.iter().find(|e| e.address == host.address) else { continue };
        considered.extend(e.devices.iter().map(|(d, _)| d.clone()));
        let here = Label::new(place, "");
        let decided = e.tcp.perhaps.is_empty() && e.udp.perhaps.is_empty();
        for why in e.unknown.iter().filter(|_| !decided) {
            let message = format!("what should be open at {} is not known: {why}", host.address);
            found.entry(DRIFT).or_default().push(Finding::unknown(message, here.clone(), vec![]).about(format!("{}", host.address)));
        }
        let unseen = host.error.is_some() || host.ports.iter().all(|p| p.state == State::Unreachable) || scan.interrupted;
        if unseen {
            let why = host
                .error
                .clone()
                .unwrap_or_else(|| if scan.interrupted { "interrupted".into() } else { "nothing of it can be reached".into() });
            let message = format!("{} was not fully asked: {why}", host.address);
            found.entry(DRIFT).or_default().push(Finding::unknown(message, here.clone(), vec![]).about(format!("{}", host.address)));
        }
        // Where not even what is let through answers, the questions may never have come there.
        let mute = host.ports.iter().all(|p| matches!(p.reason, Reason::NoResponse));
        if !unseen && mute && host.ports.iter().any(|p| p.protocol == Protocol::Tcp && e.tcp.of(p.port) == Side::Open) {
            let message = format!(
                "nothing of {} answers, not even what is let through: whether what was asked gets there is not known",
                host.address
            );
            found.entry(DRIFT).or_default().push(Finding::unknown(message, here.clone(), vec![]).about(format!("{}", host.address)));
        }
        let mut parted: BTreeMap<Alike, Vec<u16>> = BTreeMap::new();
        for port in host.ports.iter().filter(|p| p.state != State::Unreachable) {
            let side = e.sides(port.protocol).of(port.port);
            let Some(check) = judge(world, e, port, side, &mut compared) else { continue };
            let line = e.deciding(port.protocol, port.port, side == Side::Closed).map(|(d, l)| (d.to_owned(), l));
            parted.entry((check, line, port.protocol, port.state, port.reason)).or_default().push(port.port);
        }
        for ((check, line, protocol, state, reason), ports) in parted {
            compared.drift += ports.len();
            let groups: Vec<&[u16]> = if ports.len() > ONE_BY_ONE { vec![&ports] } else { ports.chunks(1).collect() };
            for group in groups {
                let part = Part { check, line: line.as_ref(), protocol, ports: group, state, reason };
                found.entry(check).or_default().push(finding(world, zone, host, &part, place));
            }
        }
    }
    considered.sort();
    considered.dedup();
    let results = TEXTS.iter().map(|t| t.result(considered.clone(), found.remove(t.id).unwrap_or_default(), place)).collect();
    (results, compared)
}

/// Which check a port violates; `None`: none.
fn judge(world: &World<'_>, e: &Expected, port: &PortResult, side: Side, compared: &mut Compared) -> Option<&'static str> {
    match (side, port.state) {
        (Side::Perhaps, _) => compared.perhaps += 1,
        (Side::Closed, State::Open) => return Some(DRIFT),
        // An answer of the host itself got past a filter that should have kept the question in silence.
        (Side::Closed, State::Closed) => {
            let line = e.deciding(port.protocol, port.port, true);
            if line.is_some_and(|(device, line)| world.analysis(device).is_some_and(|a| drops(a, line))) {
                return Some(PASSES);
            }
            compared.denied += 1;
        }
        (Side::Closed, _) => compared.denied += 1,
        (Side::Open, State::Open) => compared.open += 1,
        (Side::Open, State::OpenFiltered) => compared.silent += 1,
        (Side::Open, _) => return Some(CLOSED),
    }
    None
}

/// Whether a line drops in silence.
fn drops(analysis: &Analysis<'_>, line: Line) -> bool {
    let Some(chain) = analysis.device.chains.get(line.chain.0 as usize) else { return false };
    match line.rule {
        Some(rule) => chain.rules.get(rule as usize).is_some_and(|r| r.action == Action::Drop),
        None => analysis.device.base_chains.iter().any(|b| b.chain == line.chain && b.policy.action == PolicyAction::Drop),
    }
}

/// Ports of one host that part in the same way.
struct Part<'a> {
    check: &'static str,
    line: Option<&'a (String, Line)>,
    protocol: Protocol,
    ports: &'a [u16],
    state: State,
    reason: Reason,
}

fn finding(world: &World<'_>, zone: &Zone, host: &HostResult, part: &Part<'_>, place: Span) -> Finding {
    let name = part.protocol.name();
    let service = |p: u16| service_name(part.protocol.number(), p).map(|s| format!(" ({s})")).unwrap_or_default();
    let ports = match part.ports {
        [one] => format!("{name}/{one}{}", service(*one)),
        many => {
            let runs: Vec<String> = many
                .chunk_by(|a, b| a.checked_add(1) == Some(*b))
                .map(|r| if r.len() == 1 { r[0].to_string() } else { format!("{}-{}", r[0], r[r.len() - 1]) })
                .collect();
            format!("{} {name} ports ({})", many.len(), runs.join(","))
        }
    };
    let who = format!("{} of {} from {}", ports, host.address, zone.name);
    let seen = format!("{} ({})", part.state.name(), part.reason.name());
    let analysis = part.line.and_then(|(device, line)| Some((world.analysis(device)?, *line)));
    let words = analysis
        .as_ref()
        .map_or_else(|| "the configuration".to_owned(), |(a, line)| format!("{} of {}", a.line_words(*line), a.device.name));
    let (message, text) = match part.check {
        DRIFT => (format!("{who} is {seen}, and {words} should have stopped it"), "this should have stopped it"),
        PASSES => (format!("{who} answers: {seen}, though {words} drops in silence"), "this should have dropped it"),
        _ => (format!("{who} is {seen}, though {words} lets it through"), "this lets it through"),
    };
    let primary = match &analysis {
        Some((a, line)) => label(a, *line, place, text),
        None => Label::new(place, text),
    };
    let subject = analysis.as_ref().map_or_else(String::new, |(a, line)| format!(" {}", line_subject(world, a, *line)));
    let mut finding = Finding::new(message, primary).about(format!("{} {ports}{subject}", host.address));
    finding.count = part.ports.len() as u32;
    finding.device = part.line.map(|(device, _)| device.clone());
    finding.fix = Some(advice(world, part));
    finding
}

/// What could explain it, and what to look at.
fn advice(world: &World<'_>, part: &Part<'_>) -> String {
    let age = part.line.and_then(|(device, _)| Some((device, world.exported.get(device)?)));
    let age = age.map(|(device, day)| format!(" (the export of {device} is of {day})")).unwrap_or_default();
    match part.check {
        DRIFT => format!(
            "Close it first, then find out why: the device may run another configuration than was exported{age}; packets may take another path \
             around it; address translation, UPnP or Docker may publish the port by rules of their own; something before it may answer in its \
             place. If none of this is so, the model is mistaken: report it."
        ),
        PASSES => format!(
            "Nothing listens there, but the question got through to somebody who answers: the device may run another configuration than was \
             exported{age}, packets may take another path, or something before it answers in its place."
        ),
        _ if part.state == State::Closed => "Nothing listens there: if nothing is meant to, the rule can go.".into(),
        _ => format!(
            "Another filter in between stops it (the host's own, a provider's), or the device runs another configuration than was exported{age}."
        ),
    }
}

struct Text {
    id: &'static str,
    title: &'static str,
    severity: Severity,
    why: &'static str,
    fix: &'static str,
}

const TEXTS: [Text; 3] = [
    Text {
        id: DRIFT,
        title: "Nothing is open that the configuration denies",
        severity: Severity::Critical,
        why: "What is open in reality is what an attacker finds, whatever the configuration says.",
        fix: "Close it, then find out why configuration and reality part.",
    },
    Text {
        id: PASSES,
        title: "What the configuration drops in silence stays silent",
        severity: Severity::Medium,
        why: "An answer shows that packets get past a filter that should have dropped them: today nothing listens, tomorrow something may.",
        fix: "Compare the running configuration with the export, and look for another path.",
    },
    Text {
        id: CLOSED,
        title: "What the configuration lets through is open",
        severity: Severity::Info,
        why: "A rule for which nothing listens is an open door to an empty room: whatever is put there later is open at once.",
        fix: "Delete the rule, or start what it is for.",
    },
];

impl Text {
    fn result(&self, considered: Vec<String>, mut findings: Vec<Finding>, place: Span) -> CheckResult {
        if considered.is_empty() && findings.is_empty() {
            findings.push(Finding::unknown("there was nothing to compare", Label::new(place, ""), vec![]));
        }
        for finding in &mut findings {
            finding.check = self.id.to_owned();
            finding.severity = self.severity;
        }
        CheckResult {
            id: self.id.to_owned(),
            title: self.title.to_owned(),
            severity: self.severity,
            kind: "drift",
            ruleset: None,
            why: self.why.to_owned(),
            fix: self.fix.to_owned(),
            refs: Vec::new(),
            verdict: findings.iter().map(|f| f.verdict).max().unwrap_or(Verdict::Holds),
            considered,
            inapplicable: Vec::new(),
            zones: Vec::new(),
            findings,
        }
    }
}
