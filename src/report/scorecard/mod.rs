//! One part for each remote worker, in words that the worker understands, with what to click or type on that platform; and a table for whoever
//! answers for all of them, the worst first. Markdown, so that a part can be sent as it is.
//!
//! What comes from configurations, the roster or the baseline is no markdown.

mod steps;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use super::markdown::escape;
use super::{Lines, View, counted};
use crate::diag::{CheckResult, Finding, Label, Severity, Verdict, Worker};
use steps::{Firewall, Platform, advice};

/// Things that could not be read, of which so many are named at most.
const UNREAD: usize = 20;

/// Places that are named for one thing to do at most.
pub(super) const PLACES: usize = 3;

/// The report, with a line end at the end.
pub fn render(view: &View<'_>) -> String {
    let lines = Lines::new(view.sources, view.redactor, &view.report.files);
    let cards = cards(view);
    let mut out = table(view, &lines, &cards, None);
    for card in &cards {
        out.push('\n');
        out.push_str(&part(&lines, card, "##"));
    }
    out
}

/// The same as files: an index, and one file for each worker.
pub fn files(view: &View<'_>) -> Vec<(String, String)> {
    let lines = Lines::new(view.sources, view.redactor, &view.report.files);
    let cards = cards(view);
    let mut names = HashMap::new();
    let mut taken = BTreeSet::from(["index.md".to_owned()]);
    for (i, card) in cards.iter().enumerate() {
        names.insert(i, file_name(&card.worker.device, &mut taken));
    }
    let mut out = vec![("index.md".to_owned(), table(view, &lines, &cards, Some(&names)))];
    out.extend(cards.iter().enumerate().map(|(i, card)| (names[&i].clone(), part(&lines, card, "#"))));
    out
}

/// A file's name of a device's: nothing in it leads elsewhere, and no two are the same whatever the file system makes of capitals.
fn file_name(device: &str, taken: &mut BTreeSet<String>) -> String {
    let plain: String =
        device.chars().take(80).map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' }).collect();
    let mut n = 1;
    loop {
        let name = if n == 1 { format!("{plain}.md") } else { format!("{plain}-{n}.md") };
        if taken.insert(name.to_lowercase()) {
            return name;
        }
        n += 1;
    }
}

/// What is known of a worker's device.
pub(super) struct Card<'a> {
    pub worker: &'a Worker,
    platform: Platform,
    /// What is wrong, the worst first.
    pub wrong: Vec<(&'a CheckResult, &'a Finding)>,
    /// What is not known.
    pub unknown: Vec<(&'a CheckResult, &'a Finding)>,
    /// What somebody accepted.
    pub waived: usize,
    /// Titles of the checks that hold.
    pub holds: Vec<&'a str>,
}

impl Card<'_> {
    /// The severity of the worst that is wrong.
    pub fn worst(&self) -> Option<Severity> {
        self.wrong.iter().map(|(_, f)| f.severity).max()
    }

    /// In one word.
    pub fn word(&self) -> &'static str {
        match (self.worst(), self.worker.read, self.unknown.is_empty()) {
            (Some(severity), ..) => severity.name(),
            (None, false, _) if self.worker.left.is_some() => "left",
            (None, false, _) => "nothing read",
            (None, true, false) => "not known",
            (None, true, true) => "in order",
        }
    }
}

/// All workers, the worst first.
pub(super) fn cards<'a>(view: &View<'a>) -> Vec<Card<'a>> {
    let report = view.report;
    let mut formats: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for file in &report.files {
        if let (Some(device), Some(format)) = (file.device.as_deref(), file.format) {
            formats.entry(device).or_default().insert(format);
        }
    }
    let mut by_device: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, worker) in report.workers.iter().enumerate() {
        by_device.entry(&worker.device).or_default().push(i);
    }
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, worker) in report.workers.iter().enumerate().filter(|(_, w)| w.name != w.device) {
        by_name.entry(&worker.name).or_default().push(i);
    }
    let mut cards: Vec<Card<'_>> = report
        .workers
        .iter()
        .map(|worker| {
            let platform = platform(worker, formats.get(worker.device.as_str()));
            Card { worker, platform, wrong: vec![], unknown: vec![], waived: 0, holds: vec![] }
        })
        .collect();
    for check in &report.checks {
        let mut touched: BTreeSet<usize> = BTreeSet::new();
        for finding in &check.findings {
            for &i in finding.device.as_deref().and_then(|d| by_device.get(d)).into_iter().flatten() {
                // What is said of a leaver is not said of whoever has the device now.
                if check.id == "leavers-have-no-device" && finding.subject != cards[i].worker.name {
                    continue;
                }
                touched.insert(i);
                let list = match (finding.waived.is_some(), finding.verdict) {
                    (true, _) => {
                        cards[i].waived += 1;
                        continue;
                    }
                    (false, Verdict::Unknown) => &mut cards[i].unknown,
                    _ => &mut cards[i].wrong,
                };
                list.push((check, finding));
            }
        }
        let considered =
            check.considered.iter().flat_map(|name| by_device.get(name.as_str()).into_iter().chain(by_name.get(name.as_str())));
        let fine: BTreeSet<usize> = considered.flatten().copied().filter(|i| !touched.contains(i)).collect();
        for i in fine {
            cards[i].holds.push(&check.title);
        }
    }
    for card in &mut cards {
        card.wrong.sort_by_key(|(_, f)| std::cmp::Reverse(f.severity));
        card.unknown.sort_by_key(|(_, f)| std::cmp::Reverse(f.severity));
    }
    cards.sort_by(|a, b| {
        let key = |c: &Card<'_>| {
            (std::cmp::Reverse(c.worst()), std::cmp::Reverse(c.wrong.len()), c.word() == "left", std::cmp::Reverse(c.unknown.len()))
        };
        key(a).cmp(&key(b)).then_with(|| (&a.worker.name, &a.worker.device).cmp(&(&b.worker.name, &b.worker.device)))
    });
    cards
}

/// What the device is: as what was read shows, else as the roster says.
fn platform(worker: &Worker, formats: Option<&BTreeSet<&str>>) -> Platform {
    let read = |names: &[&str]| formats.is_some_and(|f| f.iter().any(|f| names.iter().any(|n| f.starts_with(n))));
    let said = worker.platform.as_deref().unwrap_or("").to_lowercase();
    let linux = || {
        Platform::Linux(if read(&["ufw"]) {
            Firewall::Ufw
        } else if read(&["firewalld"]) {
            Firewall::Firewalld
        } else if read(&["nftables"]) {
            Firewall::Nftables
        } else if read(&["iptables"]) {
            Firewall::Iptables
        } else {
            Firewall::Unknown
        })
    };
    if read(&["windows", "rasphone"]) {
        Platform::Windows
    } else if read(&["apple", "macos"]) {
        Platform::MacOs
    } else if read(&["ufw", "firewalld", "nftables", "iptables", "networkmanager"]) {
        linux()
    } else if said.starts_with("win") {
        Platform::Windows
    } else if said.starts_with("mac") || said.starts_with("darwin") || said.starts_with("os x") || read(&["pf"]) {
        Platform::MacOs
    } else if ["linux", "ubuntu", "debian", "fedora", "arch", "suse", "mint", "rhel", "red hat"].iter().any(|n| said.contains(n)) {
        linux()
    } else {
        Platform::Unknown
    }
}

fn platform_words(card: &Card<'_>) -> &'static str {
    match card.platform {
        Platform::Windows => "Windows",
        Platform::MacOs => "macOS",
        Platform::Linux(Firewall::Ufw) => "Linux (ufw)",
        Platform::Linux(Firewall::Firewalld) => "Linux (firewalld)",
        Platform::Linux(Firewall::Nftables) => "Linux (nftables)",
        Platform::Linux(Firewall::Iptables) => "Linux (iptables)",
        Platform::Linux(Firewall::Unknown) => "Linux",
        Platform::Unknown => "not known",
    }
}

fn table(view: &View<'_>, lines: &Lines<'_>, cards: &[Card<'_>], files: Option<&HashMap<usize, String>>) -> String {
    let report = view.report;
    let clean = |text: &str| escape(&lines.prose(text));
    let title = if report.title.is_empty() { "Remote workers".to_owned() } else { format!("{}: remote workers", clean(&report.title)) };
    let mut out = format!("# {title}\n\nAs of {}. ", report.as_of);
    if !report.incomplete.is_empty() {
        let what = counted(report.incomplete.len(), "thing", "things");
        let _ = writeln!(out, "**{what} could not be read or judged, so nothing here is certain:**\n");
        for i in report.incomplete.iter().take(UNREAD) {
            let at = i.span.map_or_else(|| clean(&i.path), |s| escape(&lines.locate(s)));
            let _ = writeln!(out, "- {at}: {}", clean(&i.text));
        }
        if report.incomplete.len() > UNREAD {
            let _ = writeln!(out, "- and {} more", report.incomplete.len() - UNREAD);
        }
        out.push('\n');
    }
    if cards.is_empty() {
        out.push_str("There is no roster: `estate: workers: roster:` of the baseline names one.\n");
        return out;
    }
    let mut words: BTreeMap<&str, usize> = BTreeMap::new();
    for card in cards {
        *words.entry(card.word()).or_default() += 1;
    }
    let order = ["critical", "high", "medium", "low", "info", "nothing read", "not known", "in order", "left"];
    let parts: Vec<String> = order.iter().filter_map(|w| words.get(w).map(|n| format!("{n} {w}"))).collect();
    let _ = writeln!(out, "{}: {}. The worst first.\n", counted(cards.len(), "device", "devices"), parts.join(", "));
    out.push_str("| worker | device | role | platform | exported | state | wrong | not known | in order |\n|---|---|---|---|---|---|---:|---:|---:|\n");
    for (i, card) in cards.iter().enumerate() {
        let w = card.worker;
        let name = clean(&w.name);
        let name = files.and_then(|f| f.get(&i)).map_or(name.clone(), |file| format!("[{name}]({file})"));
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} |",
            clean(&w.device),
            w.role.as_deref().map_or_else(String::new, clean),
            platform_words(card),
            w.exported.as_deref().unwrap_or(if w.read { "not known" } else { "never" }),
            card.word(),
            card.wrong.len(),
            card.unknown.len(),
            card.holds.len()
        );
    }
    out
}

fn part(lines: &Lines<'_>, card: &Card<'_>, heading: &str) -> String {
    let clean = |text: &str| escape(&lines.prose(text));
    let w = card.worker;
    let mut out = format!("{heading} {}: {}\n\n", clean(&w.name), card.word());
    let exported = match (&w.exported, w.read) {
        (Some(day), _) => format!("as it was on {day}"),
        (None, true) => "of a day that is not known".into(),
        (None, false) => "of which nothing was read".into(),
    };
    let _ = writeln!(out, "Your device **{}** ({}), {exported}.\n", clean(&w.device), platform_words(card));
    if let Some(left) = &w.left {
        let _ = writeln!(out, "On the roster as leaving on {left}.\n");
    }
    if !card.wrong.is_empty() {
        let _ = writeln!(out, "{heading}# What to do\n");
        things(&mut out, lines, &card.to_do());
    }
    if !card.unknown.is_empty() {
        let _ = writeln!(out, "{heading}# What could not be told\n");
        things(&mut out, lines, &card.untold());
    }
    if card.wrong.is_empty() && card.unknown.is_empty() && w.read {
        out.push_str("There is nothing that you need to do.\n\n");
    }
    if card.waived > 0 {
        let _ = writeln!(out, "{} accepted for a time.\n", counted(card.waived, "finding was", "findings were"));
    }
    if !card.holds.is_empty() {
        let _ = writeln!(out, "{heading}# In order\n");
        for title in &card.holds {
            let _ = writeln!(out, "- {}", clean(title));
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// Something to do, or that could not be told.
pub(super) struct Thing<'a> {
    /// What is the matter, in words of ours; `None`: the title of the check says it.
    pub says: Option<&'static str>,
    pub check: &'a CheckResult,
    pub findings: Vec<&'a Finding>,
    /// It is not known whether it is so.
    pub unknown: bool,
    /// What to click or type. None: it is for somebody else to do.
    pub steps: &'static [&'static str],
}

impl<'a> Card<'a> {
    /// What is wrong, by check.
    pub fn to_do(&self) -> Vec<Thing<'a>> {
        self.by_check(&self.wrong)
    }

    /// What could not be told, by check.
    pub fn untold(&self) -> Vec<Thing<'a>> {
        self.by_check(&self.unknown)
    }

    /// The platform, in words.
    pub fn platform_words(&self) -> &'static str {
        platform_words(self)
    }

    fn by_check(&self, list: &[(&'a CheckResult, &'a Finding)]) -> Vec<Thing<'a>> {
        let mut things: Vec<Thing<'a>> = Vec::new();
        for (check, finding) in list {
            if let Some(thing) = things.iter_mut().find(|t| t.check.id == check.id) {
                thing.findings.push(finding);
                continue;
            }
            let unknown = finding.verdict == Verdict::Unknown;
            let known = advice(&check.id).filter(|_| !unknown);
            let steps = known.map_or(&[][..], |a| a.steps(self.platform));
            things.push(Thing { says: known.map(|a| a.says), check, findings: vec![*finding], unknown, steps });
        }
        things
    }
}

fn things(out: &mut String, lines: &Lines<'_>, list: &[Thing<'_>]) {
    let clean = |text: &str| escape(&lines.prose(text));
    for (i, thing) in list.iter().enumerate() {
        let says = thing.says.map_or_else(|| format!("{}.", clean(thing.check.title.trim_end_matches('.'))), str::to_owned);
        let doubt = match (thing.unknown, thing.says) {
            (true, _) => "It is not known whether this holds: ",
            (false, None) => "This must hold, and does not: ",
            (false, Some(_)) => "",
        };
        let _ = writeln!(out, "{}. **{doubt}{says}** ({})", i + 1, thing.check.severity);
        for finding in thing.findings.iter().take(PLACES) {
            let place = lines.named(&[Label::new(finding.primary.span, "")], 1).concat();
            let _ = writeln!(out, "   - seen: {} ({})", clean(&finding.message), escape(&place));
        }
        if thing.findings.len() > PLACES {
            let _ = writeln!(out, "   - and {} more", thing.findings.len() - PLACES);
        }
        for step in thing.steps {
            let _ = writeln!(out, "   - do: {step}");
        }
        if thing.steps.is_empty() && !thing.unknown && !thing.check.fix.is_empty() {
            let _ = writeln!(out, "   - for IT: {}", clean(&thing.check.fix));
        }
    }
    out.push('\n');
}
