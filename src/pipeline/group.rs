//! Which files make up a device.
//!
//! 1. **The home of a file** is its folder; or the next folder above that the baseline's estate names; else the first folder above that is
//!    not one of the usual system folders (`etc`, `wireguard`, `openvpn` …). So `edge-fw/etc/wireguard/wg0.conf` is of `edge-fw`.
//! 2. **A home is one device**, named like it (or, where a collecting script wrote it and the estate has no such name, like the host that its manifest
//!    names), if its firewall files do not contradict each other: no two files of one format filter the
//!    same address family, and no file of ufw is there twice (one nftables file, one `iptables-save`, one `ip6tables-save` …). VPN files and companions (`ip addr`, `ipset
//!    save` …) join it. A home without firewall files is one device if it has one VPN file, a companion, only files with the usual names
//!    of tunnels (`wg0.conf`, `server.conf` …), or a name that the estate has.
//! 3. **Otherwise it is a flat folder of many exports**: each firewall file is a device named by its stem (`branch.v4` and `branch.v6` are
//!    both `branch`), VPN files and companions join the device whose stem their own begins with (`branch-wg0.conf`), other VPN files
//!    are devices by their stem, and other companions belong to nobody, which is said.
//! 4. Devices of one name get the name of the folder above put before: `berlin/gateway`, `paris/gateway`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::net::Family;
use crate::vendors::Role;

/// What must be known of a file to place it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its canonical folder; empty for standard input.
    pub folder: PathBuf,
    /// Its name.
    pub name: String,
    /// Id of its format.
    pub format: &'static str,
    /// What it is of a device.
    pub role: Role,
    /// The families that it filters.
    pub families: BTreeSet<Family>,
    /// For files that are read together: what there is only one of in a device.
    pub only: Option<&'static str>,
    /// The host that the manifest of a collecting script names.
    pub host: Option<String>,
}

/// A device: its name, and its files by index, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Group {
    pub name: String,
    pub members: Vec<usize>,
}

/// Devices in the order of their names, and the files that belong to none.
pub(super) fn group(members: &[Member], estate: &BTreeSet<String>) -> (Vec<Group>, Vec<usize>) {
    let mut homes: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
    for (i, member) in members.iter().enumerate() {
        homes.entry(home(&member.folder, estate)).or_default().push(i);
    }
    let mut placed: Vec<(PathBuf, Group)> = Vec::new();
    let mut homeless = Vec::new();
    for (home, files) in homes {
        let name = home.file_name().map_or_else(|| "host".to_owned(), |n| n.to_string_lossy().into_owned());
        let name = if home.as_os_str().is_empty() { "stdin".to_owned() } else { name };
        if is_one_device(members, &files, estate.contains(&name)) {
            let told = files.iter().find_map(|&i| members[i].host.clone()).filter(|_| !estate.contains(&name));
            let name = told.unwrap_or(name);
            placed.push((home, Group { name, members: files }));
            continue;
        }
        let (groups, rest) = split(members, &files);
        placed.extend(groups.into_iter().map(|g| (home.join(&g.name), g)));
        homeless.extend(rest);
    }
    make_unique(&mut placed);
    let mut groups: Vec<Group> = placed.into_iter().map(|(_, g)| g).collect();
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    homeless.sort_unstable();
    (groups, homeless)
}

/// Folders in which systems keep configurations, which name no host.
const SYSTEM_FOLDERS: &[&str] = &[
    "etc",
    "sysconfig",
    "iptables",
    "iptables.d",
    "nftables",
    "nftables.d",
    "wireguard",
    "openvpn",
    "ccd",
    "network",
    "conf.d",
    "sysctl.d",
    "firewalld",
    "usr",
    "lib",
    "default",
    "ufw",
    "applications.d",
    "Machine",
    "GPO",
    "DomainSysvol",
    "SecEdit",
    "Windows NT",
    "Microsoft",
    "shorewall",
    "shorewall6",
];

/// Folders below that of firewalld.
const FIREWALLD_FOLDERS: &[&str] = &["zones", "policies", "services", "ipsets", "icmptypes", "helpers"];

/// The folder that stands for the host of a file in `folder`.
pub(super) fn home(folder: &Path, estate: &BTreeSet<String>) -> PathBuf {
    let named = |p: &Path| p.file_name().is_some_and(|n| estate.contains(n.to_string_lossy().as_ref()));
    if let Some(known) = folder.ancestors().find(|p| named(p)) {
        return known.to_path_buf();
    }
    let mut at = folder;
    while let (Some(name), Some(parent)) = (at.file_name(), at.parent()) {
        let of_openvpn = matches!(name.to_str(), Some("server" | "client")) && parent.file_name().is_some_and(|n| n == "openvpn");
        let of_firewalld =
            name.to_str().is_some_and(|n| FIREWALLD_FOLDERS.contains(&n)) && parent.file_name().is_some_and(|n| n == "firewalld");
        let of_openwrt = name == "config" && parent.file_name().is_some_and(|n| n == "etc");
        let system = of_openwrt || name.to_str().is_some_and(|n| SYSTEM_FOLDERS.contains(&n)) || of_openvpn || of_firewalld;
        if !system || parent.file_name().is_none() {
            break;
        }
        at = parent;
    }
    at.to_path_buf()
}

fn is_one_device(members: &[Member], files: &[usize], known: bool) -> bool {
    let of = |role: Role| files.iter().map(|&i| &members[i]).filter(move |m| m.role == role);
    if of(Role::Firewall).next().is_some() {
        return !contradict(of(Role::Firewall));
    }
    known || of(Role::Vpn).count() <= 1 || of(Role::Companion).next().is_some() || of(Role::Vpn).all(is_usual)
}

/// Whether two of these firewall files cannot be of one host.
fn contradict<'a>(files: impl Iterator<Item = &'a Member>) -> bool {
    let mut seen = BTreeSet::new();
    // Text and JSON of one firewall are two exports of the same thing.
    let keys = |m: &'a Member| {
        let format = m.format.trim_end_matches("-json");
        let families = m.families.iter().map(move |f| (format, Some(*f), None));
        families.chain(m.only.map(|o| (format, None, Some(o))))
    };
    files.flat_map(keys).any(|key| !seen.insert(key))
}

/// Whether a VPN file bears a name that says nothing of its host: an interface, a role, or a client's file in `ccd`.
fn is_usual(member: &Member) -> bool {
    let stem = stem(&member.name).to_lowercase();
    let letters = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    matches!(letters, "wg" | "tun" | "tap" | "utun" | "server" | "client" | "openvpn" | "wireguard")
        || member.folder.file_name().is_some_and(|n| n == "ccd")
}

/// A flat folder of many exports.
fn split(members: &[Member], files: &[usize]) -> (Vec<Group>, Vec<usize>) {
    let mut by_stem: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for &i in files.iter().filter(|&&i| members[i].role == Role::Firewall) {
        by_stem.entry(stem(&members[i].name).to_owned()).or_default().push(i);
    }
    let mut groups: Vec<Group> = Vec::new();
    for (name, same) in by_stem {
        if contradict(same.iter().map(|&i| &members[i])) {
            groups.extend(same.into_iter().map(|i| Group { name: members[i].name.clone(), members: vec![i] }));
        } else {
            groups.push(Group { name, members: same });
        }
    }
    let mut join = |role: Role, own: bool| -> Vec<usize> {
        let mut rest = Vec::new();
        for &i in files.iter().filter(|&&i| members[i].role == role) {
            let mine = stem(&members[i].name);
            let fits = |g: &&mut Group| mine.strip_prefix(stem(&g.name)).is_some_and(|r| !r.starts_with(|c: char| c.is_alphanumeric()));
            match groups.iter_mut().filter(fits).max_by_key(|g| g.name.len()) {
                Some(group) => group.members.push(i),
                None if own => groups.push(Group { name: mine.to_owned(), members: vec![i] }),
                None => rest.push(i),
            }
        }
        rest
    };
    join(Role::Vpn, true);
    let homeless = join(Role::Companion, false);
    for group in &mut groups {
        group.members.sort_unstable();
    }
    (groups, homeless)
}

/// Ends of names that say what a file is, not whose.
const SUFFIXES: &[&str] = &[
    ".rules",
    ".nft",
    ".nftables",
    ".conf",
    ".v4",
    ".v6",
    ".iptables",
    ".ip6tables",
    ".ipset",
    ".save",
    ".dump",
    ".txt",
    ".json",
    ".ovpn",
    ".pf",
    ".pfctl",
    ".ifconfig",
    ".reg",
    ".pol",
    ".csv",
    ".xml",
    ".clixml",
    "-iptables",
    "-ip6tables",
    "-iptables-save",
    "-ip6tables-save",
    "_iptables",
    "_ip6tables",
    "-nft",
    "-nftables",
    "-ruleset",
    "-rules",
    "-firewall",
    "-profiles",
    "-profile",
    "-networks",
    "-netsh",
    "-windows",
];

/// A file name without the ends that say what the file is; the whole name if nothing else is left.
fn stem(name: &str) -> &str {
    let mut at = name;
    while let Some(shorter) = SUFFIXES.iter().find_map(|s| at.strip_suffix(s)).filter(|s| !s.is_empty()) {
        at = shorter;
    }
    at
}

/// Puts names of folders before equal names until all differ; if folders give out, the names are numbered.
fn make_unique(placed: &mut [(PathBuf, Group)]) {
    let mut above: Vec<Option<PathBuf>> = placed.iter().map(|(home, _)| home.parent().map(Path::to_path_buf)).collect();
    loop {
        let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (i, (_, group)) in placed.iter().enumerate() {
            by_name.entry(group.name.clone()).or_default().push(i);
        }
        let clashes: Vec<Vec<usize>> = by_name.into_values().filter(|v| v.len() > 1).collect();
        if clashes.is_empty() {
            return;
        }
        for clash in clashes {
            for (n, i) in clash.into_iter().enumerate() {
                let folder = above[i].take();
                match folder.as_deref().and_then(Path::file_name) {
                    Some(name) => {
                        placed[i].1.name = format!("{}/{}", name.to_string_lossy(), placed[i].1.name);
                        above[i] = folder.as_deref().and_then(Path::parent).map(Path::to_path_buf);
                    }
                    None if n > 0 => placed[i].1.name = format!("{} ({})", placed[i].1.name, n + 1),
                    None => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, format: &'static str, families: &[Family]) -> Member {
        let path = Path::new(path);
        let role = match format {
            "iptables" | "nftables" | "nftables-json" | "ufw" => Role::Firewall,
            "wireguard" | "openvpn" => Role::Vpn,
            _ => Role::Companion,
        };
        let folder = path.parent().unwrap().to_path_buf();
        Member {
            folder,
            name: path.file_name().unwrap().to_string_lossy().into(),
            format,
            role,
            families: families.iter().copied().collect(),
            only: None,
            host: None,
        }
    }

    fn names(files: &[Member], estate: &[&str]) -> Vec<(String, Vec<usize>)> {
        let estate = estate.iter().map(|s| (*s).to_owned()).collect();
        group(files, &estate).0.into_iter().map(|g| (g.name, g.members)).collect()
    }

    const V4: &[Family] = &[Family::V4];
    const V6: &[Family] = &[Family::V6];
    const BOTH: &[Family] = &[Family::V4, Family::V6];

    #[test]
    fn a_folder_of_one_host_is_one_device() {
        let files = [
            file("/x/edge/rules.v4", "iptables", V4),
            file("/x/edge/rules.v6", "iptables", V6),
            file("/x/edge/ip-addr.txt", "ip-addr", &[]),
            file("/x/edge/wg0.conf", "wireguard", &[]),
            file("/x/edge/usr/lib/firewalld/services/own.xml", "firewalld-object", &[]),
        ];
        assert_eq!(names(&files, &[]), [("edge".to_owned(), vec![0, 1, 2, 3, 4])]);
    }

    #[test]
    fn what_a_script_collected_is_named_by_its_manifest_unless_the_estate_knows_the_folder() {
        let manifest = |path| Member { host: Some("anna".into()), ..file(path, "collect-manifest", &[]) };
        let files =
            [manifest("/x/anna-20261123T081502Z/manifest.txt"), file("/x/anna-20261123T081502Z/wireguard/wg0.conf", "wireguard", &[])];
        assert_eq!(names(&files, &[]), [("anna".to_owned(), vec![0, 1])]);
        assert_eq!(names(&files, &["anna-20261123T081502Z"]), [("anna-20261123T081502Z".to_owned(), vec![0, 1])]);
    }

    #[test]
    fn system_folders_do_not_name_a_host() {
        let files = [file("/x/edge/etc/nftables.conf", "nftables", BOTH), file("/x/edge/etc/openvpn/server/server.conf", "openvpn", &[])];
        assert_eq!(names(&files, &[]), [("edge".to_owned(), vec![0, 1])]);
        assert_eq!(names(&[file("/etc/nftables.conf", "nftables", BOTH)], &[]), [("etc".to_owned(), vec![0])]);
    }

    #[test]
    fn the_files_of_ufw_are_one_device_and_those_of_two_hosts_are_two() {
        let ufw = |path: &str, only| Member { only, ..file(path, "ufw", &[]) };
        let files = [
            ufw("/x/anna/etc/default/ufw", Some("default/ufw")),
            ufw("/x/anna/etc/ufw/user.rules", Some("user.rules")),
            ufw("/x/anna/etc/ufw/applications.d/web", None),
        ];
        assert_eq!(names(&files, &[]), [("anna".to_owned(), vec![0, 1, 2])]);
        let files = [ufw("/x/anna.rules", Some("user.rules")), ufw("/x/ben.rules", Some("user.rules"))];
        assert_eq!(names(&files, &[]), [("anna".to_owned(), vec![0]), ("ben".to_owned(), vec![1])]);
    }

    #[test]
    fn a_folder_that_the_estate_names_is_that_device_with_all_below() {
        let files = [file("/x/anna/host/fw.nft", "nftables", BOTH), file("/x/anna/vpn/home.conf", "wireguard", &[])];
        assert_eq!(names(&files, &["anna"]), [("anna".to_owned(), vec![0, 1])]);
        assert_eq!(names(&files, &[]), [("host".to_owned(), vec![0]), ("vpn".to_owned(), vec![1])]);
    }

    #[test]
    fn a_flat_folder_of_exports_is_split_by_stem() {
        let files = [
            file("/x/berlin.v4", "iptables", V4),
            file("/x/berlin.v6", "iptables", V6),
            file("/x/paris.v4", "iptables", V4),
            file("/x/berlin-wg0.conf", "wireguard", &[]),
            file("/x/anna.conf", "wireguard", &[]),
            file("/x/parisian.conf", "wireguard", &[]),
            file("/x/paris-ipset.txt", "ipset", &[]),
            file("/x/ip-addr.txt", "ip-addr", &[]),
        ];
        let expected =
            [("anna", vec![4]), ("berlin", vec![0, 1, 3]), ("paris", vec![2, 6]), ("parisian", vec![5])].map(|(n, v)| (n.to_owned(), v));
        assert_eq!(names(&files, &[]), expected);
        assert_eq!(group(&files, &BTreeSet::new()).1, [7]);
    }

    #[test]
    fn files_of_one_stem_that_contradict_are_devices_by_their_whole_name() {
        let files = [file("/x/a.rules", "iptables", V4), file("/x/a.v4", "iptables", V4)];
        assert_eq!(names(&files, &[]), [("a.rules".to_owned(), vec![0]), ("a.v4".to_owned(), vec![1])]);
    }

    #[test]
    fn clients_in_one_folder_are_devices_and_tunnels_of_one_gateway_are_not() {
        let clients = [file("/x/anna.ovpn", "openvpn", &[]), file("/x/bob.ovpn", "openvpn", &[])];
        assert_eq!(names(&clients, &[]), [("anna".to_owned(), vec![0]), ("bob".to_owned(), vec![1])]);
        let gateway = [file("/gw/wg0.conf", "wireguard", &[]), file("/gw/server.conf", "openvpn", &[])];
        assert_eq!(names(&gateway, &[]), [("gw".to_owned(), vec![0, 1])]);
    }

    #[test]
    fn equal_names_get_the_folder_above_put_before() {
        let files = [file("/x/berlin/gw/a.nft", "nftables", BOTH), file("/x/paris/gw/a.nft", "nftables", BOTH)];
        assert_eq!(names(&files, &[]), [("berlin/gw".to_owned(), vec![0]), ("paris/gw".to_owned(), vec![1])]);
    }
}
