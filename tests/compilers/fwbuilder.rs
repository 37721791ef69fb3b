//! Policies for Firewall Builder, whose own files are XML of which most says nothing: ours are short, and the XML is made here.
//!
//! `tests/fixtures/compilers/fwbuilder/common.yaml` has the objects that all of them name, every other file there is a policy.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;

use fwproof::eval::{Analysis, Way};
use fwproof::net::{Family, Ranges, parse_cidr};
use fwproof::packets::{Cube, Dim, Field};
use serde::Deserialize;

use super::inside::{shell, text};

const FOLDER: &str = "tests/fixtures/compilers/fwbuilder";

/// `common.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Common {
    /// With the addresses of each.
    pub interfaces: BTreeMap<String, Vec<String>>,
    objects: BTreeMap<String, Object>,
    services: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Object {
    Single(String),
    Group(Vec<String>),
}

/// A policy. Lists of names: empty for any; after a `not`, for all but these. `fw` is the firewall itself, and the name of an interface its
/// addresses, or in `on`, `in` and `out` the interface.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    #[serde(skip)]
    pub name: String,
    /// In a sentence.
    #[serde(rename = "about")]
    _about: String,
    rules: Vec<Rule>,
    #[serde(default)]
    nat: Vec<Nat>,
    /// Targets for which the compiler refuses, with the reason.
    #[serde(default)]
    pub cannot: BTreeMap<String, String>,
    /// Targets that mean something else, with the reason.
    #[serde(default)]
    pub differs: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    src: Vec<String>,
    #[serde(default)]
    dst: Vec<String>,
    #[serde(default)]
    service: Vec<String>,
    #[serde(default)]
    on: Vec<String>,
    /// `in`, `out`, or both.
    #[serde(default)]
    way: String,
    /// `accept`, `deny` or `reject`.
    #[serde(rename = "do")]
    action: String,
    #[serde(default)]
    log: bool,
    #[serde(default)]
    disabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Nat {
    #[serde(default)]
    src: Vec<String>,
    #[serde(default)]
    dst: Vec<String>,
    #[serde(default)]
    service: Vec<String>,
    #[serde(default)]
    r#in: Vec<String>,
    #[serde(default)]
    out: Vec<String>,
    #[serde(default)]
    to_src: Vec<String>,
    #[serde(default)]
    to_dst: Vec<String>,
    #[serde(default)]
    to_service: Vec<String>,
}

fn load<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The common objects and all policies, by name.
pub fn policies() -> (Common, Vec<Policy>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    let mut paths: Vec<_> = std::fs::read_dir(&folder).expect("the folder").map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    let policy = |path: &std::path::PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        (name != "common").then(|| Policy { name, ..load(path) })
    };
    (load(&folder.join("common.yaml")), paths.iter().filter_map(policy).collect())
}

/// What the compiler is to write: the name here, its platform, the version of that, and options of the firewall.
pub struct Target {
    pub name: &'static str,
    platform: &'static str,
    version: &'static str,
    system: &'static str,
    options: &'static [(&'static str, &'static str)],
}

/// The first is what the others are compared with: commands of a shell, which the kernel prints as rules when they have run.
pub const TARGETS: [Target; 4] = [
    Target { name: "commands", platform: "iptables", version: "1.4.20", system: "linux24", options: &[] },
    Target { name: "restore", platform: "iptables", version: "1.4.20", system: "linux24", options: &[("use_iptables_restore", "True")] },
    Target { name: "pf-old", platform: "pf", version: "ge_4.3", system: "openbsd", options: &[] },
    Target { name: "pf-new", platform: "pf", version: "4.7", system: "openbsd", options: &[] },
];

impl Target {
    pub fn is_pf(&self) -> bool {
        self.platform == "pf"
    }
}

const FLAGS: [&str; 6] = ["urg", "ack", "psh", "rst", "syn", "fin"];

/// A range as the two attributes of its ends.
fn range(text: &str, side: &str) -> String {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    format!(" {side}_range_start=\"{first}\" {side}_range_end=\"{last}\"")
}

fn netmask(bits: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX.checked_shl(32 - bits).unwrap_or(0))
}

/// An address with its mask, as attributes.
fn address(text: &str) -> (bool, String) {
    let (host, bits) = text.split_once('/').unwrap_or((text, ""));
    let ip: IpAddr = host.parse().unwrap_or_else(|_| panic!("{text} is no address"));
    let bits: u32 = bits.parse().unwrap_or(if ip.is_ipv4() { 32 } else { 128 });
    let mask = if ip.is_ipv4() { netmask(bits).to_string() } else { bits.to_string() };
    (ip.is_ipv4(), format!("address=\"{ip}\" netmask=\"{mask}\""))
}

impl Common {
    fn objects(&self) -> String {
        let mut out = String::new();
        for (name, object) in &self.objects {
            let id = format!("id=\"o-{name}\" name=\"{name}\"");
            let _ = match object {
                Object::Group(names) => {
                    let members: String = names.iter().map(|n| format!("<ObjectRef ref=\"o-{n}\"/>")).collect();
                    writeln!(out, "<ObjectGroup {id}>{members}</ObjectGroup>")
                }
                Object::Single(text) => match text.split_once('-') {
                    Some((first, last)) => writeln!(out, "<AddressRange {id} start_address=\"{first}\" end_address=\"{last}\"/>"),
                    None => {
                        let kind = match (address(text).0, text.contains('/')) {
                            (true, true) => "Network",
                            (true, false) => "IPv4",
                            (false, true) => "NetworkIPv6",
                            (false, false) => "IPv6",
                        };
                        writeln!(out, "<{kind} {id} {}/>", address(text).1)
                    }
                },
            };
        }
        out
    }

    fn services(&self) -> String {
        let mut out = String::new();
        for (name, text) in &self.services {
            let id = format!("id=\"s-{name}\" name=\"{name}\"");
            let (kind, rest) = text.split_once('/').unwrap_or_else(|| panic!("{text} is no service"));
            let (to, from) = rest.split_once(" from ").unwrap_or((rest, "0"));
            let ports = || range(to, "dst") + &range(from, "src");
            let _ = match kind {
                "tcp" => {
                    let flags: String = FLAGS.iter().map(|f| format!(" {f}_flag=\"False\" {f}_flag_mask=\"False\"")).collect();
                    writeln!(out, "<TCPService {id}{}{flags}/>", ports())
                }
                "udp" => writeln!(out, "<UDPService {id}{}/>", ports()),
                "icmp" => writeln!(out, "<ICMPService {id} type=\"{rest}\" code=\"-1\"/>"),
                "icmp6" => writeln!(out, "<ICMP6Service {id} type=\"{rest}\" code=\"-1\"/>"),
                "ip" => writeln!(out, "<IPService {id} protocol_num=\"{rest}\"/>"),
                other => panic!("{other} is no kind of service"),
            };
        }
        out
    }

    fn interfaces(&self, firewall: &str) -> String {
        let mut out = String::new();
        for (name, addresses) in &self.interfaces {
            let id = format!("{firewall}-{name}");
            let _ = write!(out, "<Interface id=\"{id}\" name=\"{name}\" dyn=\"False\" unnum=\"False\" security_level=\"0\">");
            // Those of IPv4 come first.
            for four in [true, false] {
                for (k, text) in addresses.iter().enumerate().filter(|(_, text)| address(text).0 == four) {
                    let kind = if four { "IPv4" } else { "IPv6" };
                    let _ = write!(out, "<{kind} id=\"{id}-{k}\" name=\"{name}-{k}\" {}/>", address(text).1);
                }
            }
            out.push_str("<InterfaceOptions/></Interface>\n");
        }
        out
    }

    /// Packets that there can be at this firewall: to it, through it and from it, by its own addresses and on its own interfaces.
    pub fn real(&self, analysis: &Analysis<'_>, way: Way, family: Family) -> Vec<Cube> {
        let numbers =
            |names: &[&String]| names.iter().fold(Ranges::EMPTY, |all, n| all.or(&Ranges::single(analysis.space.interface_number(n))));
        let (loopback, wires): (Vec<&String>, Vec<&String>) = self.interfaces.keys().partition(|n| *n == "lo");
        let of = |names: &[&String]| {
            let hosts = names.iter().flat_map(|n| &self.interfaces[*n]).filter_map(|text| parse_cidr(text.split_once('/')?.0));
            hosts.filter(|h| h.0 == family).fold(Ranges::EMPTY, |all, h| all.or(&Ranges::single(h.1)))
        };
        // The address of the loopback interface goes nowhere else.
        let (own, inner) = (of(&wires), of(&loopback));
        let loopback_net = if family == Family::V4 { Ranges::interval(0x7f00_0000, 0x7fff_ffff) } else { inner.clone() };
        let all = Ranges::interval(0, family.max_address());
        let others = all.minus(&own).minus(&loopback_net);
        let (wires, loopback, none) = (numbers(&wires), numbers(&loopback), Ranges::single(0));
        let itself = own.or(&inner);
        let kinds = match way {
            Way::Input => vec![(&others, &own, &wires, &none), (&itself, &itself, &loopback, &none)],
            Way::Forward => vec![(&others, &others, &wires, &wires)],
            Way::Output => vec![(&own, &others, &none, &wires), (&itself, &itself, &none, &loopback)],
        };
        let cube = |(src, dst, iif, oif): (&Ranges, &Ranges, &Ranges, &Ranges)| {
            [(Field::Src, src), (Field::Dst, dst), (Field::Iif, iif), (Field::Oif, oif)]
                .into_iter()
                .try_fold(Cube::any(), |c, (field, set)| c.with(Dim::field(field), set, family))
        };
        kinds.into_iter().filter_map(cube).collect()
    }

    /// What `ip address` (or `ifconfig`) would print there.
    pub fn addresses(&self, bsd: bool) -> String {
        let mut out = String::new();
        for (k, (name, addresses)) in self.interfaces.iter().enumerate() {
            let loopback = name == "lo";
            let _ = match (bsd, loopback) {
                (true, true) => writeln!(out, "{name}: flags=8049<UP,LOOPBACK,RUNNING,MULTICAST> mtu 32768"),
                (true, false) => writeln!(out, "{name}: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500"),
                (false, true) => {
                    writeln!(out, "{}: {name}: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default", k + 1)
                }
                (false, false) => {
                    writeln!(out, "{}: {name}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc fq state UP group default qlen 1000", k + 1)
                }
            };
            for text in addresses {
                let (ip, bits) = text.split_once('/').expect("an address with its length");
                let four = address(text).0;
                let scope = if loopback { "host" } else { "global" };
                let _ = match (bsd, four) {
                    (true, true) => writeln!(out, "\tinet {ip} netmask 0x{:08x}", u32::from(netmask(bits.parse().expect("a number")))),
                    (true, false) => writeln!(out, "\tinet6 {ip} prefixlen {bits}"),
                    (false, true) => writeln!(out, "    inet {text} scope {scope} {name}\n       valid_lft forever preferred_lft forever"),
                    (false, false) => writeln!(out, "    inet6 {text} scope {scope}\n       valid_lft forever preferred_lft forever"),
                };
            }
        }
        out
    }
}

/// Names as references of an element.
fn references(element: &str, names: &[String], firewall: &str) -> String {
    let services = element.ends_with("Srv");
    let (negated, names) = match names.split_first() {
        Some((first, rest)) if first == "not" => (true, rest),
        _ => (false, names),
    };
    let reference = |name: &str| match name {
        name if services => format!("<ServiceRef ref=\"s-{name}\"/>"),
        "fw" => format!("<ObjectRef ref=\"{firewall}\"/>"),
        name if name == "lo" || name.starts_with("eth") => format!("<ObjectRef ref=\"{firewall}-{name}\"/>"),
        name => format!("<ObjectRef ref=\"o-{name}\"/>"),
    };
    let mut inner: String = names.iter().map(|n| reference(n)).collect();
    if inner.is_empty() {
        inner = if services { "<ServiceRef ref=\"sysid1\"/>" } else { "<ObjectRef ref=\"sysid0\"/>" }.to_owned();
    }
    format!("<{element} neg=\"{}\">{inner}</{element}>", word(negated))
}

fn word(is: bool) -> &'static str {
    if is { "True" } else { "False" }
}

/// What all firewalls here say of themselves: no more than rules is written, and what belongs to a connection passes.
const OPTIONS: [(&str, &str); 9] = [
    ("accept_established", "True"),
    ("accept_new_tcp_with_no_syn", "True"),
    ("check_shading", "False"),
    ("firewall_is_part_of_any_and_networks", "True"),
    ("load_modules", "False"),
    ("verify_interfaces", "False"),
    ("configure_interfaces", "False"),
    ("manage_virtual_addr", "False"),
    ("loopback_interface", "lo"),
];

impl Policy {
    fn firewall(&self, common: &Common, target: &Target) -> String {
        let id = target.name;
        let mut out = format!(
            "<Firewall id=\"{id}\" name=\"{id}\" platform=\"{}\" version=\"{}\" host_OS=\"{}\">\n",
            target.platform, target.version, target.system
        );
        let families = |both: bool| format!("ipv4_rule_set=\"{0}\" ipv6_rule_set=\"{0}\" top_rule_set=\"True\"", word(both));
        let _ = writeln!(out, "<NAT id=\"{id}-nat\" name=\"NAT\" {}>", families(false));
        for (k, n) in self.nat.iter().enumerate() {
            let _ = write!(out, "<NATRule id=\"{id}-nat-{k}\" position=\"{k}\" action=\"Translate\">");
            let parts = [
                ("OSrc", &n.src),
                ("ODst", &n.dst),
                ("OSrv", &n.service),
                ("TSrc", &n.to_src),
                ("TDst", &n.to_dst),
                ("TSrv", &n.to_service),
                ("ItfInb", &n.r#in),
                ("ItfOutb", &n.out),
            ];
            parts.iter().for_each(|(element, names)| out.push_str(&references(element, names, id)));
            out.push_str("<NATRuleOptions/></NATRule>\n");
        }
        let _ = writeln!(out, "<RuleSetOptions/></NAT>\n<Policy id=\"{id}-policy\" name=\"Policy\" {}>", families(true));
        for (k, r) in self.rules.iter().enumerate() {
            let action = match r.action.as_str() {
                "accept" => "Accept",
                "deny" => "Deny",
                "reject" => "Reject",
                other => panic!("{}: {other} is no action", self.name),
            };
            let direction = match r.way.as_str() {
                "in" => "Inbound",
                "out" => "Outbound",
                _ => "Both",
            };
            let _ = write!(
                out,
                "<PolicyRule id=\"{id}-rule-{k}\" position=\"{k}\" action=\"{action}\" direction=\"{direction}\" log=\"{}\" disabled=\"{}\">",
                word(r.log),
                word(r.disabled)
            );
            let parts = [("Src", &r.src), ("Dst", &r.dst), ("Srv", &r.service), ("Itf", &r.on)];
            parts.iter().for_each(|(element, names)| out.push_str(&references(element, names, id)));
            let stateless = word(r.action != "accept");
            let _ = writeln!(
                out,
                "<When neg=\"False\"><IntervalRef ref=\"sysid2\"/></When><PolicyRuleOptions><Option name=\"stateless\">{stateless}</Option></PolicyRuleOptions></PolicyRule>"
            );
        }
        let _ = writeln!(out, "<RuleSetOptions/></Policy>\n<Routing id=\"{id}-routing\" name=\"Routing\"><RuleSetOptions/></Routing>");
        out.push_str(&common.interfaces(id));
        out.push_str("<Management address=\"0.0.0.0\"/><FirewallOptions>");
        OPTIONS.iter().chain(target.options).for_each(|(name, value)| {
            let _ = write!(out, "<Option name=\"{name}\">{value}</Option>");
        });
        out + "</FirewallOptions></Firewall>\n"
    }

    /// The compiler's file of objects, with one firewall for each target.
    fn database(&self, common: &Common) -> String {
        let firewalls: String = TARGETS.iter().map(|t| self.firewall(common, t)).collect();
        format!(
            r#"<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE FWObjectDatabase SYSTEM "fwbuilder.dtd">
<FWObjectDatabase xmlns="http://www.fwbuilder.org/1.0/" version="24" lastModified="0" id="root">
<Library id="syslib000" name="Standard" ro="True">
<AnyNetwork id="sysid0" name="Any"/><AnyIPService id="sysid1" name="Any"/><AnyInterval id="sysid2" name="Any" days_of_week="0,1,2,3,4,5,6"/>
</Library>
<Library id="own" name="Own">
<ObjectGroup id="stdid01" name="Objects">
{}</ObjectGroup>
<ServiceGroup id="stdid05" name="Services">
{}</ServiceGroup>
<ObjectGroup id="stdid12" name="Firewalls">
{firewalls}</ObjectGroup>
<IntervalGroup id="stdid11" name="Time"/>
</Library>
</FWObjectDatabase>
"#,
            common.objects(),
            common.services()
        )
    }

    /// Compiles for a target; the script or list of rules that the compiler wrote, or what it said.
    pub fn compile(&self, common: &Common, target: &Target) -> Result<String, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        std::fs::write(folder.path().join("policy.fwb"), self.database(common)).map_err(|e| e.to_string())?;
        let program = if target.is_pf() { "fwb_pf" } else { "fwb_ipt" };
        let output = Command::new(program).args(["-f", "policy.fwb", "-d", ".", target.name]).current_dir(folder.path()).output();
        let output = output.map_err(|e| e.to_string())?;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let written = folder.path().join(format!("{}.{}", target.name, if target.is_pf() { "conf" } else { "fw" }));
        // Its exit code is not to be had: `fwb_pf` ends with 1 however it went.
        match std::fs::read_to_string(written) {
            Ok(text) if said.contains("Compiled successfully") => Ok(text),
            _ => Err(said),
        }
    }
}

/// The rules that a script of the compiler feeds to `iptables-restore` and `ip6tables-restore`: its function for them is run, and those
/// programs write what they get.
pub fn restored(script: &str) -> Result<(String, String), String> {
    let ends = r#"IPTABLES_RESTORE='tee four' IP6TABLES_RESTORE='tee six'; run_epilog_and_exit() { exit 1; }"#;
    run(&[], script, ends, "true")
}

/// The rules that the kernel prints when the commands of a script have run in a network namespace of their own.
pub fn saved(script: &str, namespace: &[&str]) -> Result<(String, String), String> {
    let mut ends = String::from("checked() { \"$@\" || { echo \"failed: $*\" >&2; exit 1; }; }\n");
    for (variable, program) in [("IPTABLES", "iptables-legacy"), ("IP6TABLES", "ip6tables-legacy")] {
        let _ = write!(ends, "{variable}='checked {program}'; ");
        // As the script does by itself, in a function that also stops what it finds.
        let _ = write!(ends, "for chain in INPUT OUTPUT FORWARD; do checked {program} -P $chain DROP; done; ");
    }
    let after = "iptables-legacy-save > four && ip6tables-legacy-save > six";
    run(namespace, script, &ends, after)
}

/// Runs the function of a script that sets the rules, between what is put before and after; the files `four` and `six` that come of it.
fn run(namespace: &[&str], script: &str, before: &str, after: &str) -> Result<(String, String), String> {
    let body = script.split_once("\nscript_body() {").and_then(|(_, rest)| rest.split_once("\n}\n")).ok_or("no body of the script")?.0;
    let folder = shell(namespace, &[], &format!("{before}\nscript_body() {{{body}\n}}\nscript_body\n{after}"))?;
    Ok((text(folder.path(), "four")?, text(folder.path(), "six")?))
}
