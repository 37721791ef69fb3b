//! The columns of a rule, how those of a macro and of the rule that calls it become one, and targets in the words of iptables.

use super::book::Asks;
use super::lines::Entry;
use super::values::UNKNOWN;

/// The columns of a rule.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    pub action: String,
    pub source: String,
    pub dest: String,
    pub proto: String,
    pub dport: String,
    pub sport: String,
    pub origdest: String,
    pub rate: String,
    pub user: String,
    pub mark: String,
    pub connlimit: String,
    pub time: String,
    pub headers: String,
    pub switch: String,
    pub helper: String,
}

const PLACES: [(&str, usize); 20] = [
    ("action", 0),
    ("source", 1),
    ("dest", 2),
    ("proto", 3),
    ("dport", 4),
    ("dports", 4),
    ("sport", 5),
    ("sports", 5),
    ("origdest", 6),
    ("rate", 7),
    ("user", 8),
    ("mark", 9),
    ("connlimit", 10),
    ("time", 11),
    ("headers", 12),
    ("switch", 13),
    ("helper", 14),
    ("target", 0),
    ("ports", 4),
    ("protos", 3),
];

impl Columns {
    pub fn of(entry: &Entry) -> Columns {
        let get = |place: usize| {
            let names: Vec<&str> = PLACES.iter().filter(|(_, p)| *p == place).map(|(n, _)| *n).collect();
            entry.column(&names, place).to_owned()
        };
        Columns {
            action: get(0),
            source: get(1),
            dest: get(2),
            proto: get(3),
            dport: get(4),
            sport: get(5),
            origdest: get(6),
            rate: get(7),
            user: get(8),
            mark: get(9),
            connlimit: get(10),
            time: get(11),
            headers: get(12),
            switch: get(13),
            helper: get(14),
        }
    }

    /// The columns of a macro's body, completed by those of the rule that calls it.
    pub fn within(&self, call: &Columns, source: String, dest: String) -> Columns {
        let pick = |body: &str, call: &str| if call.is_empty() || call == "-" { body.to_owned() } else { call.to_owned() };
        Columns {
            action: self.action.clone(),
            source,
            dest,
            proto: pick(&self.proto, &call.proto),
            dport: pick(&self.dport, &call.dport),
            sport: pick(&self.sport, &call.sport),
            origdest: pick(&self.origdest, &call.origdest),
            rate: pick(&self.rate, &call.rate),
            user: pick(&self.user, &call.user),
            mark: pick(&self.mark, &call.mark),
            connlimit: pick(&self.connlimit, &call.connlimit),
            time: pick(&self.time, &call.time),
            headers: pick(&self.headers, &call.headers),
            switch: pick(&self.switch, &call.switch),
            helper: pick(&self.helper, &call.helper),
        }
    }
}

/// Source or destination of a macro's or inline action's rule: its own addresses with the zone of the rule that calls it. `own` is the same
/// column of that rule and `other` the other one, which `DEST` in the source and `SOURCE` in the destination stand for.
pub(super) fn merged(body: &str, (own_word, own): (&str, &str), (other_word, other): (&str, &str)) -> String {
    if body == "-" || body.is_empty() {
        return own.to_owned();
    }
    let after = |word: &str| body.strip_prefix(word).map(|rest| rest.strip_prefix(':').unwrap_or(rest));
    let (rest, call) = match (after(other_word), after(own_word)) {
        (Some(rest), _) => (rest, other),
        (None, Some(rest)) => (rest, own),
        _ => (body, own),
    };
    if rest.is_empty() {
        return call.to_owned();
    }
    if call == "-" || call.is_empty() {
        return rest.to_owned();
    }
    let addresses = call.matches('.').count() >= 2 || call.starts_with(['+', '!', '~']);
    if addresses { format!("{rest}:{call}") } else { format!("{call}:{rest}") }
}

/// Words of iptables as they stand on the line.
pub(super) fn raw(text: &str) -> Asks {
    let text = text.trim();
    let plain = !text.contains(['"', '\'', '`', '\\'])
        && !text.contains(UNKNOWN)
        && !format!(" {text} ").contains(" -j ")
        && !text.contains(" -g ");
    match plain {
        _ if text.is_empty() => Asks::default(),
        true => Asks::words(text),
        false => Asks::unknown(format!("words of iptables: {text}").replace(UNKNOWN, "?")),
    }
}

/// The target of a queue.
pub(super) fn queue(parameter: &str) -> String {
    let (numbers, bypass) = parameter.split_once(',').unwrap_or((parameter, ""));
    let bypass = if bypass == "bypass" || numbers == "bypass" { " --queue-bypass" } else { "" };
    let number = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    match numbers.trim_end_matches('c').split_once(':') {
        Some((a, b)) if number(a) && number(b) => format!("-j NFQUEUE --queue-balance {a}:{b}{bypass}"),
        None if number(numbers) => format!("-j NFQUEUE --queue-num {numbers}{bypass}"),
        _ => format!("-j NFQUEUE --queue-num 0{bypass}"),
    }
}

/// The target of a mark, in the words of iptables.
pub(super) fn mark_target(target: &str, parameter: &str, mask: u32) -> String {
    let (option, value) = match parameter.as_bytes().first() {
        Some(b'|') => ("--or-mark", parameter.get(1..).unwrap_or("")),
        Some(b'&') => ("--and-mark", parameter.get(1..).unwrap_or("")),
        _ => ("--set-mark", parameter),
    };
    let legal = !value.is_empty() && value.bytes().all(|b| b.is_ascii_hexdigit() || b == b'x' || b == b'/');
    let value = if legal { value.to_owned() } else { format!("{mask:#x}") };
    format!("-j {target} {option} {value}")
}

/// The target that puts an address into a set, or takes it out.
pub(super) fn set_target(action: &str, parameter: &str) -> String {
    let mut parts = parameter.split(':');
    let set = parts.next().unwrap_or("").trim_start_matches('+');
    let flags = parts.next().filter(|f| !f.is_empty()).unwrap_or("src");
    let timeout = parts.next().filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()));
    let option = if action == "ADD" { "--add-set" } else { "--del-set" };
    let legal = !set.is_empty() && set.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let flags = if flags.split(',').all(|f| matches!(f, "src" | "dst")) { flags } else { "src" };
    let timeout = timeout.map_or(String::new(), |t| format!(" --timeout {t} --exist"));
    if legal { format!("-j SET {option} {set} {flags}{timeout}") } else { String::new() }
}
