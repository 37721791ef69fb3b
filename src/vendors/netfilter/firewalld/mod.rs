//! firewalld: the files below `/etc/firewalld`, and what `firewall-cmd` lists.
//!
//! `files`, `settings`, `list` and `rich` read into the words of firewalld (`objects`); `lower` with `chains`, `policies`, `rules`, `places` and
//! `direct` makes of them the chains that its nftables backend makes, so that order and packet sets are the same. `shipped` holds what
//! firewalld brings along.

mod chains;
mod direct;
mod files;
mod list;
mod lower;
mod objects;
mod places;
mod policies;
mod rich;
mod rules;
mod settings;
mod shipped;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use files::Config;
use lower::Extent;
use settings::Settings;

use crate::source::{FileId, SourceFile, Span};
use crate::vendors::{Confidence, Detection, Format, Reader, Role};

const LEAVES: &[&str] = &[
    "the zone that NetworkManager gives an interface (connection.zone), and changes that were never made permanent",
    "panic mode, lockdown",
    "dispatch of version 2.0 and later, where a packet has one zone at each end for policies too (read as in 1.x: every policy that fits)",
    "the iptables backend (its chains are taken for those of the nftables backend)",
    "limits of rich rules (opaque conditions), ip sets with interfaces or two addresses",
    "ebtables, passthroughs",
];

/// The configuration folder.
pub static FIREWALLD: Format = Format {
    id: "firewalld",
    title: "firewalld configuration",
    export: "cp -r /etc/firewalld HOST/etc/firewalld (and /usr/lib/firewalld to HOST/usr/lib/firewalld where the distribution adds zones or services)",
    covers: &[
        "zones with their bindings and targets, forwarding within a zone, services with includes, ports, protocols, ICMP blocks",
        "masquerading, forward ports, rich rules with priorities, policies between zones, ip sets",
        "firewalld.conf, direct rules; shipped zones and services of version 1.3.3",
    ],
    leaves: LEAVES,
    role: Role::Firewall,
    detect: |file| match kind(file) {
        Some(Kind::Settings) => Some(Detection { confidence: Confidence::Certain, why: "holds the settings of firewalld.conf" }),
        Some(Kind::Rules) => {
            Some(Detection { confidence: Confidence::Strong, why: "is XML of a zone, policy or direct rules of firewalld" })
        }
        _ => None,
    },
    read: read_files,
    includes: Some(includes),
};

/// Objects that zones refer to.
pub static FIREWALLD_OBJECT: Format = Format {
    id: "firewalld-object",
    title: "firewalld service, ip set, ICMP type or helper",
    export: "part of the folder /etc/firewalld",
    covers: &["services, ip sets; read with the zones of the same folder"],
    leaves: &["anything if there is no zone beside it"],
    role: Role::Companion,
    detect: |file| match kind(file) {
        Some(Kind::Object) => {
            Some(Detection { confidence: Confidence::Strong, why: "is XML of a service, ip set, ICMP type or helper of firewalld" })
        }
        _ => None,
    },
    read: |reader| {
        let mut config = Config::default();
        files::read(reader, reader.file, &mut config);
    },
    includes: None,
};

/// What `firewall-cmd` prints.
pub static FIREWALLD_LIST: Format = Format {
    id: "firewalld-list",
    title: "firewall-cmd listing of zones and policies",
    export: "(firewall-cmd --get-default-zone; firewall-cmd --list-all-zones; firewall-cmd --list-all-policies) > HOST.firewalld.txt",
    covers: &["zones, policies, rich rules, forward ports as they run; --info-service, --info-ipset; shipped services of version 1.3.3"],
    leaves: LEAVES,
    role: Role::Firewall,
    detect: detect_list,
    read: |reader| {
        let file = reader.file;
        let mut config = Config::default();
        let mut settings = Settings::new(file.line_span(0));
        let shown = list::read(reader, file, &mut config, &mut settings);
        lower::lower(reader, config, &settings, Extent { policies: shown.policies });
    },
    includes: None,
};

/// How much of a file is looked at.
const LOOK: usize = 64 << 10;

fn head(file: &SourceFile) -> &str {
    file.head(LOOK)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Settings,
    Rules,
    Object,
}

/// What a file of the configuration folder is.
fn kind(file: &SourceFile) -> Option<Kind> {
    let text = head(file);
    let mut rest = text.trim_start();
    if !rest.starts_with('<') {
        let known = text.lines().filter_map(settings::setting).filter(|(key, _)| settings::KEYS.contains(key)).count();
        let named = file.path.rsplit('/').next() == Some("firewalld.conf");
        let other = text.lines().map(str::trim).any(|l| l.starts_with(['*', '[', '{', ':', '<']));
        return (!other && (known >= 3 || (named && known > 0))).then_some(Kind::Settings);
    }
    // The first element, after declarations and comments.
    loop {
        let after = match rest {
            r if r.starts_with("<?") => r.split_once("?>")?.1,
            r if r.starts_with("<!--") => r.split_once("-->")?.1,
            r if r.starts_with("<!") => r.split_once('>')?.1,
            _ => break,
        };
        rest = after.trim_start();
    }
    let name = rest.strip_prefix('<')?.split([' ', '\t', '\r', '\n', '>', '/']).next()?;
    let holds = |words: &[&str]| words.iter().any(|w| text.contains(w));
    match name {
        "zone" => Some(Kind::Rules),
        "policy" if holds(&["<ingress-zone", "<egress-zone", "target=", "<short"]) => Some(Kind::Rules),
        "direct" if holds(&["ipv="]) || !text.contains("</") => Some(Kind::Rules),
        "service" if holds(&["<port", "<short", "<protocol", "<include", "<module", "<helper", "<source-port"]) => Some(Kind::Object),
        "ipset" if holds(&["type=\"hash:", "type='hash:"]) => Some(Kind::Object),
        "icmptype" => Some(Kind::Object),
        "helper" if holds(&["module="]) => Some(Kind::Object),
        "whitelist" if holds(&["<command", "<selinux", "<user"]) => Some(Kind::Object),
        _ => None,
    }
}

fn detect_list(file: &SourceFile) -> Option<Detection> {
    let text = head(file);
    let mut lines = text.lines().filter(|l| !l.trim().is_empty());
    list::heading(lines.next()?)?;
    let entries = lines.take(12).filter(|l| list::entry(l).is_some()).count();
    (entries >= 4).then_some(Detection { confidence: Confidence::Certain, why: "lists zones or policies as firewall-cmd does" })
}

/// Folders of objects.
const FOLDERS: &[&str] = &["icmptypes", "helpers", "ipsets", "services", "zones", "policies"];

/// How the top folder is reached from that of a file; `None` for a file that stands elsewhere.
fn way_up(path: &str) -> Option<&'static str> {
    let mut parts = path.rsplit('/');
    let name = parts.next()?;
    let (folder, above) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    match () {
        () if matches!(name, "firewalld.conf" | "direct.xml" | "lockdown-whitelist.xml") => Some(""),
        () if FOLDERS.contains(&folder) => Some("../"),
        () if above == "zones" => Some("../../"),
        () => None,
    }
}

/// The patterns of all files of one configuration, what is shipped first.
fn patterns(path: &str) -> Vec<String> {
    let Some(up) = way_up(path) else { return Vec::new() };
    let mut out = Vec::new();
    for top in [format!("{up}../../usr/lib/firewalld/"), up.to_owned()] {
        out.extend(FOLDERS.iter().map(|folder| format!("{top}{folder}/*.xml")));
    }
    out.push(format!("{up}zones/*/*.xml"));
    // As patterns, so that they need not be there.
    out.extend(["firewalld.con[f]", "direct.xm[l]", "lockdown-whitelist.xm[l]"].iter().map(|name| format!("{up}{name}")));
    out
}

fn includes(file: &SourceFile) -> Vec<(String, Span)> {
    let start = Span::new(file.id, 0, 0);
    patterns(&file.path).into_iter().map(|p| (p, start)).collect()
}

fn read_files(reader: &mut Reader<'_>) {
    let own = reader.file;
    let mut all: Vec<&SourceFile> = Vec::new();
    let mut seen: BTreeSet<FileId> = BTreeSet::new();
    for pattern in patterns(&own.path) {
        for file in reader.include(own.id, &pattern) {
            if seen.insert(file.id) {
                all.push(file);
            }
        }
    }
    if seen.insert(own.id) {
        all.push(own);
    }
    let mut config = Config::default();
    let mut settings = Settings::new(own.line_span(0));
    for file in &all {
        match kind(file) {
            Some(Kind::Settings) => settings::read(reader, file, &mut settings),
            _ => files::read(reader, file, &mut config),
        }
    }
    // With the folder (its settings were read), what is not in it is not there; a file on its own says nothing of the others.
    let policies = settings.read || !config.policies.is_empty() && all.len() > 1;
    lower::lower(reader, config, &settings, Extent { policies });
}
