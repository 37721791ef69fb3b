//! Policies for Aerleon: `tests/fixtures/compilers/aerleon/policies/*.pol` hold terms alone; a header for each target is put before them here.
//!
//! Lines that begin with `## ` say how a policy is meant:
//!
//! * `hook: input`, `forward` or `output`, and `default: drop` or `accept`;
//! * `stateless`: without connection tracking, where the compiler has a choice;
//! * `cannot in TARGET: why`: the compiler refuses;
//! * `differs in TARGET: why`: the compiler writes what means something else;
//! * `refused in TARGET: why`: the kernel does not load what the compiler writes. fwproof reads it all the same.

use std::path::Path;
use std::process::Command;

use fwproof::eval::Way;

use super::regions::Region;

/// The folder of the policies and of the networks and services that they name.
pub const FOLDER: &str = "tests/fixtures/compilers/aerleon";

/// A policy.
pub struct Policy {
    pub name: String,
    pub way: Way,
    accepts: bool,
    stateless: bool,
    said: Vec<(String, String)>,
    terms: String,
}

impl Policy {
    /// Whether it is said beside the policy that this happens in a target.
    pub fn says(&self, what: &str, target: &str) -> bool {
        self.said.iter().any(|(w, t)| w == what && t == target)
    }

    /// The part of a region on which targets must agree for this policy.
    pub fn part(&self, region: Region) -> Region {
        if self.stateless && region == Region::All { Region::Whole } else { region }
    }

    fn read(path: &Path) -> Policy {
        let terms = std::fs::read_to_string(path).expect("a policy");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let notes: Vec<&str> = terms.lines().filter_map(|l| l.strip_prefix("## ")).collect();
        let value = |key: &str| notes.iter().find_map(|n| n.strip_prefix(key)?.strip_prefix(": "));
        let way = match value("hook") {
            Some("input") => Way::Input,
            Some("forward") => Way::Forward,
            Some("output") => Way::Output,
            other => panic!("{name}: hook {other:?}"),
        };
        let mut said = Vec::new();
        for note in &notes {
            let Some((what, (target, why))) = note.split_once(" in ").and_then(|(w, rest)| Some((w, rest.split_once(": ")?))) else {
                continue;
            };
            if ["cannot", "differs", "refused"].contains(&what) {
                assert!(why.len() > 10 && TARGETS.iter().any(|t| t.name == target), "{name}: {note}");
                said.push((what.to_owned(), target.to_owned()));
            }
        }
        let (accepts, stateless) = (value("default") == Some("accept"), notes.contains(&"stateless"));
        Policy { way, accepts, stateless, said, terms: terms.clone(), name }
    }
}

/// All policies, by name.
pub fn policies() -> Vec<Policy> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join("policies");
    let mut paths: Vec<_> = std::fs::read_dir(folder).expect("the folder").map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|p| Policy::read(p)).collect()
}

/// What the compiler is to write.
pub struct Target {
    pub name: &'static str,
    /// The target whose packets it must have, and of which packets.
    pub like: &'static [(&'static str, Region)],
    /// The compiler's own names of its platform and of the families: one file for each text, one header for each family in it.
    platform: &'static str,
    families: &'static [&'static [&'static str]],
}

/// Each is compared with what it is `like`; the first with none.
pub static TARGETS: [Target; 8] = [
    Target { name: "speedway", like: &[], platform: "speedway", families: &[&["inet"], &["inet6"]] },
    Target { name: "iptables", like: &[("speedway", Region::All)], platform: "iptables", families: &[&["inet"], &["inet6"]] },
    Target { name: "ipset", like: &[("speedway", Region::All)], platform: "ipset", families: &[&["inet"], &["inet6"]] },
    Target { name: "nft-split", like: &[("speedway", Region::New)], platform: "nftables", families: &[&["inet", "inet6"]] },
    Target {
        name: "nft-mixed",
        like: &[("nft-split", Region::All), ("speedway", Region::New)],
        platform: "nftables",
        families: &[&["mixed"]],
    },
    Target { name: "pf-split", like: &[("speedway", Region::Opening)], platform: "packetfilter", families: &[&["inet", "inet6"]] },
    Target {
        name: "pf-mixed",
        like: &[("pf-split", Region::All), ("speedway", Region::Opening)],
        platform: "packetfilter",
        families: &[&["mixed"]],
    },
    // Its policy is about what goes through; what is for the firewall itself is another matter there.
    Target { name: "fortigate", like: &[("speedway", Region::Opening)], platform: "fortigate", families: &[&["mixed"]] },
];

impl Target {
    /// Whether it has a word for what the policy is about.
    pub fn takes(&self, policy: &Policy) -> bool {
        self.platform != "fortigate" || policy.way == Way::Forward && !policy.accepts
    }

    /// The header before the terms, which names the family and the hook in this platform's words.
    fn header(&self, policy: &Policy, family: &str) -> String {
        let hook = policy.way.name().to_ascii_uppercase();
        let default = if policy.accepts { "ACCEPT" } else { "DROP" };
        let stateless = if policy.stateless { "nostate" } else { "" };
        let options = match self.platform {
            "nftables" => format!("{family} {hook} {default}"),
            "packetfilter" => {
                let direction = match policy.way {
                    Way::Input => "in",
                    Way::Output => "out",
                    // A packet that goes through a machine with pf is filtered as it comes in and as it goes out.
                    Way::Forward => "",
                };
                format!("{} {family} {direction} {stateless}", policy.name)
            }
            "fortigate" => format!("from-zone any to-zone any {family}"),
            _ => format!("{hook} {default} {family} {stateless}"),
        };
        format!("header {{\n  target:: {} {options}\n}}\n", self.platform)
    }

    /// The texts to compile: for each file the headers and terms.
    fn sources(&self, policy: &Policy) -> Vec<String> {
        // Of pf, the compiler says no default; there it passes.
        let end = if self.platform == "packetfilter" && !policy.accepts { "term end {\n  action:: deny\n}\n" } else { "" };
        let one = |family: &&str| self.header(policy, family) + &policy.terms + end;
        self.families.iter().map(|families| families.iter().map(one).collect()).collect()
    }

    /// The names of the files that fwproof reads, with the text for each, of what the compiler wrote.
    pub fn files(&self, written: &[String]) -> Vec<(&'static str, String)> {
        match (self.platform, written) {
            ("packetfilter", [text]) => vec![("pf.conf", text.clone())],
            ("fortigate", [text]) => vec![("fortigate.conf", text.clone())],
            ("nftables", [text]) => vec![("rules.nft", text.clone())],
            // As the compiler writes it, with commands `-P`, `-N`, `-A` for a table that it leaves open.
            ("iptables", [v4, v6]) => vec![("rules.v4", table(v4)), ("rules.v6", table(v6))],
            ("ipset", [v4, v6]) => {
                let ((sets4, rules4), (sets6, rules6)) = (sets(v4), sets(v6));
                vec![("rules.v4", table(&rules4)), ("rules.v6", table(&rules6)), ("ipset.save", sets4 + &sets6)]
            }
            (_, [v4, v6]) => vec![("rules.v4", v4.clone()), ("rules.v6", v6.clone())],
            _ => panic!("{} wrote {} files", self.name, written.len()),
        }
    }
}

fn table(commands: &str) -> String {
    format!("*filter\n{commands}COMMIT\n")
}

/// The commands for sets, and those for rules, of what the compiler writes in one file.
fn sets(text: &str) -> (String, String) {
    let lines = |wanted: bool| {
        text.lines().filter(|l| (l.starts_with("create ") || l.starts_with("add ")) == wanted).map(|l| format!("{l}\n")).collect()
    };
    (lines(true), lines(false))
}

/// Every policy with each target that can say it.
pub fn possible(policies: &[Policy]) -> Vec<(&Policy, &'static Target)> {
    policies.iter().flat_map(|p| TARGETS.iter().filter(|t| t.takes(p) && !p.says("cannot", t.name)).map(move |t| (p, t))).collect()
}

/// Compiles; what the compiler wrote for each policy and target, in the order that was asked for, or what it said.
pub fn compile(work: &[(&Policy, &Target)]) -> Result<Vec<Vec<String>>, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let (sources, written) = (folder.path().join("pol"), folder.path().join("written"));
    for path in [&sources, &written] {
        std::fs::create_dir(path).map_err(|e| e.to_string())?;
    }
    let stem = |policy: &Policy, target: &Target, part: usize| format!("{}--{}--{part}", policy.name, target.name);
    for (policy, target) in work {
        for (part, text) in target.sources(policy).iter().enumerate() {
            std::fs::write(sources.join(stem(policy, target, part) + ".pol"), text).map_err(|e| e.to_string())?;
        }
    }
    let definitions = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join("def");
    let mut command = Command::new("aclgen");
    command.arg("--base_directory").arg(folder.path()).arg("--definitions_directory").arg(definitions);
    let output = command.arg("--output_directory").arg(&written).current_dir(folder.path()).output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(said);
    }
    let mut out = Vec::new();
    for (policy, target) in work {
        let mut texts = Vec::new();
        for part in 0..target.families.len() {
            let found = ["nft", "ipt", "ips", "pf", "fgacl", ""].iter().find_map(|end| {
                let name = stem(policy, target, part) + if end.is_empty() { "" } else { "." } + end;
                std::fs::read_to_string(written.join(name)).ok()
            });
            texts.push(found.ok_or_else(|| said.clone())?);
        }
        out.push(texts);
    }
    Ok(out)
}
