//! What fwproof says and what the kernel did, packet for packet.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash as _, Hasher as _};
use std::path::Path;

use fwproof::eval::walk::{Outcome, walk};
use fwproof::eval::{Analysis, Way, words};
use fwproof::model::Device;
use fwproof::net::{Family, to_ip};
use fwproof::packets::fields::{addr_type, ct};
use fwproof::packets::{Field, Packet};
use fwproof::pipeline::{Options, read};
use fwproof::source::Limits;

use super::{Aim, Answer, Job, Loader, Random, Seen, Shot, inside, sample, wire};

/// A rule set with what is beside it.
pub struct Ruleset {
    pub name: String,
    pub text: String,
    /// The file's extension, by which fwproof knows the family.
    pub extension: &'static str,
    /// Commands for `ipset restore`.
    pub sets: Option<String>,
    /// The interfaces as `ip address` prints them: then the kernel routes as it would there.
    pub addresses: Option<String>,
}

/// What came out, for a back end, a hook and a family.
#[derive(Clone, Copy, Default, Debug)]
pub struct Count {
    pub same: usize,
    pub unknown: usize,
    pub different: usize,
}

/// What came out, of everything.
#[derive(Default, Debug)]
pub struct Tally {
    pub counts: BTreeMap<(&'static str, &'static str, &'static str), Count>,
    /// Rule set, share of unknown in percent.
    pub shares: Vec<(String, usize, usize)>,
    pub skipped: BTreeMap<String, usize>,
    pub not_loaded: Vec<(String, String)>,
    /// Lines of real rule sets that the kernel does not take here, and that were left out for both sides.
    pub left_out: BTreeMap<String, usize>,
    pub different: Vec<String>,
    /// The rule sets that were loaded, each counted once however often and by whatever program.
    pub rulesets: BTreeSet<u64>,
}

impl Tally {
    /// Packets whose answers were compared.
    pub fn packets(&self) -> usize {
        self.counts.values().map(|c| c.same + c.unknown + c.different).sum()
    }

    /// Takes in another one.
    pub fn add(&mut self, other: Tally) {
        for (key, c) in other.counts {
            let mine = self.counts.entry(key).or_default();
            mine.same += c.same;
            mine.unknown += c.unknown;
            mine.different += c.different;
        }
        for (why, n) in other.skipped {
            *self.skipped.entry(why).or_default() += n;
        }
        self.shares.extend(other.shares);
        self.not_loaded.extend(other.not_loaded);
        self.left_out.extend(other.left_out);
        self.different.extend(other.different);
        self.rulesets.extend(other.rulesets);
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut t =
            format!("{:<16} {:<8} {:<5} {:>9} {:>9} {:>9} {:>8}\n", "back end", "hook", "", "packets", "same", "different", "unknown");
        let mut row = |names: (&str, &str, &str), c: &Count| {
            let all = c.same + c.unknown + c.different;
            let share = c.unknown as f64 * 100.0 / all.max(1) as f64;
            let (a, b, d) = names;
            t.push_str(&format!("{a:<16} {b:<8} {d:<5} {all:>9} {:>9} {:>9} {share:>6.1} %\n", c.same, c.different));
        };
        let mut all = Count::default();
        for (names, c) in &self.counts {
            row(*names, c);
            all.same += c.same;
            all.unknown += c.unknown;
            all.different += c.different;
        }
        row(("all", "", ""), &all);
        t.push_str(&format!("{} rule sets", self.rulesets.len()));
        for (why, n) in &self.skipped {
            t.push_str(&format!("\nnot compared: {n} packets, {why}"));
        }
        for (name, n) in &self.left_out {
            t.push_str(&format!("\nwithout {n} lines: {name}"));
        }
        for (name, why) in &self.not_loaded {
            t.push_str(&format!("\nnot loaded: {name}: {}", why.lines().next().unwrap_or("")));
        }
        t
    }
}

/// The device that fwproof reads.
pub fn model(ruleset: &Ruleset) -> Result<Device, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).map_err(|e| e.to_string());
    write(&format!("rules.{}", ruleset.extension), &ruleset.text)?;
    if let Some(sets) = &ruleset.sets {
        write("ipset.save", sets)?;
    }
    if let Some(addresses) = &ruleset.addresses {
        write("ip-addr", addresses)?;
    }
    let inventory = read(&[folder.path().to_owned()], &Options { threads: 1, ..Options::default() });
    inventory.devices.into_iter().find(Device::has_filter).ok_or_else(|| "fwproof reads no packet filter".to_owned())
}

/// The family of whose packets a dump of iptables decides, as fwproof reads it.
#[allow(dead_code, reason = "asked by the long comparison alone")]
pub fn family(ruleset: &Ruleset) -> Option<Family> {
    model(ruleset).ok()?.base_chains.first()?.families.first().copied()
}

/// Sends packets into a rule set and compares. `arguments`: how this program starts its inside.
pub fn compare(ruleset: &Ruleset, loader: Loader, most: usize, seed: u64, arguments: &[&str]) -> Tally {
    let mut tally = Tally::default();
    let name = format!("{} ({})", ruleset.name, loader.backend());
    let device = match model(ruleset) {
        Ok(device) => device,
        Err(why) => {
            tally.not_loaded.push((name, why));
            return tally;
        }
    };
    let loads = match loader {
        Loader::Nft => None,
        Loader::Legacy | Loader::Translated => Some(Family::V4),
        Loader::Legacy6 | Loader::Translated6 => Some(Family::V6),
    };
    if loads.is_some_and(|f| device.base_chains.iter().any(|b| b.families != [f])) {
        // Else packets of a family would be sent about which nothing was loaded.
        tally.not_loaded.push((name, "fwproof reads it as rules of the other family".into()));
        return tally;
    }
    let extra = [fwproof::model::NamePattern::exact("lo")];
    let analysis = Analysis::new(&device, &extra, &Limits::default());
    let mut random = Random(seed);
    let names = sample::interfaces(&analysis);
    let ways = analysis.used_ways();
    let mut packets: Vec<(Way, Family, Packet)> = Vec::new();
    for (way, family) in &ways {
        let some = sample::packets(&analysis, *way, *family, most.div_ceil(ways.len()), &mut random);
        packets.extend(some.into_iter().map(|p| (*way, *family, p)));
    }
    let space = &analysis.space;
    let types = space.is_matched(Field::DstType) || space.is_matched(Field::SrcType);
    let natural = ruleset.addresses.is_some();
    let mut own: Vec<String> = Vec::new();
    let mut asked: Vec<(Way, Family, Packet)> = Vec::new();
    let mut shots: Vec<Shot> = Vec::new();
    if types && !natural {
        // Few own addresses, so that they can be made; a packet is never to one of them by chance.
        packets.truncate(1200);
    }
    for (way, family, mut packet) in packets {
        let number = u16::try_from(shots.len() + 1).unwrap_or(0);
        if number == 0 || natural && way == Way::Output {
            continue;
        }
        let side = if way == Way::Output { Field::Src } else { Field::Dst };
        let group = matches!(space.address_types(way, family, 0, packet.field(Field::Dst)).1, addr_type::MULTICAST | addr_type::BROADCAST);
        let looped = iif_is_lo(space, way, &packet);
        // Some of the arriving packets are to addresses that are the host's own in every respect: only from there does it answer.
        let made = types || way == Way::Input && number % 3 == 0;
        if made && !natural && !looped && (way == Way::Output || way == Way::Input && !group) {
            let n = pool(family, packet.field(side));
            packet.set(side, n);
            let address = to_ip(family, n).to_string() + if family == Family::V4 { "/32" } else { "/128" };
            if !own.contains(&address) {
                own.push(address);
            }
        }
        let Some(built) = wire::build(&packet, family, number, space.tracks()) else {
            *tally.skipped.entry("of a kind that cannot be built".into()).or_default() += 1;
            continue;
        };
        packet.set(Field::Length, built.bytes.len() as u128);
        let interface = |f: Field| names.get(&packet.field(f)).cloned().unwrap_or_default();
        let (iif, oif) = (interface(Field::Iif), interface(Field::Oif));
        if way != Way::Output && iif.is_empty() || way != Way::Input && oif.is_empty() {
            continue;
        }
        let has_mac = way != Way::Output && iif != "lo";
        let src_mac = (has_mac && space.is_matched(Field::SrcMac)).then(|| packet.field(Field::SrcMac) as u64);
        shots.push(Shot {
            aim: match way {
                Way::Input => Aim::Input,
                Way::Forward => Aim::Forward,
                Way::Output => Aim::Output,
            },
            iif,
            oif,
            bytes: built.bytes,
            opener: built.opener,
            src_mac,
            pkttype: packet.field(Field::PktType) as u8,
            mark: packet.field(Field::Mark) as u32,
        });
        asked.push((way, family, packet));
    }
    let mut interfaces: Vec<String> = names.values().filter(|n| *n != "lo").cloned().collect();
    let addresses: Vec<(String, String)> = device
        .interfaces
        .iter()
        .flatten()
        .filter(|i| natural && &*i.name != "lo")
        .flat_map(|i| i.addresses.iter().map(|a| (i.name.to_string(), a.to_string())))
        .collect();
    // The first one leads to everywhere else.
    interfaces.sort();
    let job = Job {
        loader,
        ruleset: ruleset.text.clone(),
        sets: ruleset.sets.clone(),
        interfaces,
        tracks: space.tracks(),
        own,
        addresses,
        shots,
    };
    let seen = match inside::run(&job, arguments) {
        Answer::Seen(seen) => seen,
        Answer::NotLoaded(why) => {
            tally.not_loaded.push((name, why));
            return tally;
        }
        Answer::Broken(why) => {
            tally.different.push(format!("{name}: the test itself failed: {why}"));
            return tally;
        }
    };
    let mut hasher = std::hash::DefaultHasher::new();
    ruleset.text.hash(&mut hasher);
    tally.rulesets.insert(hasher.finish());
    let (mut unknown, mut all) = (0, 0);
    for (((way, family, packet), seen), shot) in asked.into_iter().zip(seen).zip(&job.shots) {
        match judge(&analysis, way, family, packet, &seen, shot, natural) {
            Judged::Skipped(why) => *tally.skipped.entry(why).or_default() += 1,
            Judged::Compared(way, result) => {
                all += 1;
                let family = if family == Family::V4 { "IPv4" } else { "IPv6" };
                let count = tally.counts.entry((loader.backend(), way.name(), family)).or_default();
                match result {
                    Ok(true) => count.same += 1,
                    Ok(false) => {
                        unknown += 1;
                        count.unknown += 1;
                    }
                    Err(text) => {
                        count.different += 1;
                        tally.different.push(format!("{name}: {text}"));
                    }
                }
            }
        }
    }
    tally.shares.push((name, unknown, all));
    tally
}

fn iif_is_lo(space: &fwproof::eval::Space, way: Way, p: &Packet) -> bool {
    way == Way::Input && p.field(Field::Iif) == space.interface_number("lo")
}

/// One of 40 addresses for any, beside those that the addresses of rules are near to.
fn pool(family: Family, n: u128) -> u128 {
    match family {
        Family::V4 => 0x0b07_0000 | (n % 40 + 1),
        Family::V6 => (0x2001_0db8_0b07 << 80) | (n % 40 + 1),
    }
}

enum Judged {
    Skipped(String),
    /// The way that it took, and whether the answers are the same (`false`: fwproof says unknown, and why).
    Compared(Way, Result<bool, String>),
}

fn judge(analysis: &Analysis<'_>, asked: Way, family: Family, mut packet: Packet, seen: &Seen, shot: &Shot, natural: bool) -> Judged {
    let skipped = |why: &str| Judged::Skipped(why.to_owned());
    let space = &analysis.space;
    let Some((hook, behind)) = &seen.last else { return skipped("not seen at the first hook") };
    let took = match hook.as_str() {
        "input" => Way::Input,
        "forward" => Way::Forward,
        "output" => Way::Output,
        "postrouting" if asked == Way::Output => Way::Output,
        "postrouting" => Way::Forward,
        _ => asked,
    };
    if hook == "prerouting" && *behind {
        return skipped("the kernel does not route it");
    }
    if hook == "output" && *behind {
        return skipped("the kernel does not send it");
    }
    if took != asked && !(natural && asked != Way::Output && took != Way::Output) {
        return skipped("the kernel takes it another way");
    }
    let way = took;
    if let Some(oif) = seen.oif.as_ref().filter(|o| way != Way::Input && !o.is_empty()) {
        if natural {
            packet.set(Field::Oif, space.interface_number(oif));
        } else if *oif != shot.oif {
            return skipped("the kernel takes it through another interface");
        }
    }
    if natural {
        if way == Way::Input {
            packet.set(Field::Oif, 0);
        }
        let (source, destination) = space.address_types(way, family, packet.field(Field::Src), packet.field(Field::Dst));
        packet.set(Field::SrcType, source);
        packet.set(Field::DstType, destination);
    }
    if space.tracks() {
        let alone = space.state_alone(way, family, packet.field(Field::Proto), packet.field(Field::Icmp), packet.field(Field::TcpFlags));
        let state = seen.state.as_ref().and_then(|s| ct::NAMES.iter().position(|n| n == s)).map(|n| n as u128);
        // What a rule has exempted was something else before.
        let state = state.filter(|s| *s != ct::UNTRACKED || alone == ct::UNTRACKED);
        packet.set(Field::Ct, state.unwrap_or(alone));
    }
    let walked = walk(analysis, way, family, &packet, None, None, false);
    let passed = *behind && matches!((way, hook.as_str()), (Way::Input, "input") | (_, "postrouting"));
    let kernel = if passed {
        Outcome::Accept
    } else if seen.answered {
        Outcome::Reject
    } else {
        Outcome::Drop
    };
    let result = match (walked.verdict, kernel) {
        (a, b) if a == b => Ok(true),
        (Outcome::Unknown, _) if !walked.conditions.is_empty() || walked.because.is_some() => Ok(false),
        (Outcome::Reject, Outcome::Drop) if silent(family, &packet) || foreign(way, family, &packet, shot) => Ok(true),
        (ours, theirs) => Err(format!(
            "fwproof: {}{}, kernel: {} ({hook}{}): {}",
            ours.name(),
            walked.decided.map_or(String::new(), |l| format!(" by {}", analysis.line_words(l))),
            theirs.name(),
            seen.state.as_ref().map_or(String::new(), |s| format!(", {s}")),
            words::packet_json(&packet, way, family, space),
        )),
    };
    Judged::Compared(way, result)
}

/// Whether the packet's answer would have to come from an address that is not the host's own, or go over `lo` to one: there is none then.
fn foreign(way: Way, family: Family, p: &Packet, shot: &Shot) -> bool {
    let dst = p.field(Field::Dst);
    let own = dst >> 8 == 0x000b_0700 || dst >> 24 == 127;
    shot.iif == "lo" || shot.oif == "lo" || way == Way::Input && family == Family::V4 && !own
}

/// Whether the kernel may keep silent where a rule says that it answers: it answers no reset with a reset, no ICMP error with another
/// (`nf_reject_ipv4.c`, `nf_reject_ipv6.c`, `icmp_send`), nothing sent to groups, no later fragment, and nothing whose checksum it cannot verify,
/// which for most protocols depends on what the packet carries.
fn silent(family: Family, p: &Packet) -> bool {
    let icmp = p.field(Field::Icmp) >> 8;
    let answers = match p.field(Field::Proto) {
        6 => p.field(Field::TcpFlags) & 4 == 0,
        17 => true,
        1 if family == Family::V4 => icmp == 8,
        58 if family == Family::V6 => icmp == 128,
        _ => false,
    };
    !answers
        || p.field(Field::Fragment) != 0
        || p.field(Field::PktType) != 0
        || matches!(p.field(Field::DstType), addr_type::MULTICAST | addr_type::BROADCAST)
}

/// The rule sets of a folder: `*.nft`, `*.v4`, `*.v6`, with `.ipset` and `.addr` files beside them.
pub fn folder(path: &Path) -> Vec<Ruleset> {
    let mut files: Vec<_> = std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path()).collect();
    files.sort();
    files
        .into_iter()
        .filter_map(|file| {
            let extension = match file.extension()?.to_str()? {
                "nft" => "nft",
                "v4" => "v4",
                "v6" => "v6",
                _ => return None,
            };
            let beside = |end: &str| std::fs::read_to_string(format!("{}.{end}", file.display())).ok();
            let name = file.file_name()?.to_string_lossy().into_owned();
            Some(Ruleset { name, text: std::fs::read_to_string(&file).ok()?, extension, sets: beside("ipset"), addresses: beside("addr") })
        })
        .collect()
}

/// Who can load a rule set.
pub fn loaders(extension: &str) -> &'static [Loader] {
    match extension {
        "nft" => &[Loader::Nft],
        "v4" => &[Loader::Legacy, Loader::Translated],
        _ => &[Loader::Legacy6, Loader::Translated6],
    }
}
