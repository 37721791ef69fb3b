//! pfSense and OPNsense: the `config.xml` of either.
//!
//! Both are one family: OPNsense began as a copy of pfSense in 2014, and both make rules for FreeBSD's pf of the same elements. What they do
//! differently is asked of [`Dialect`]. [`tree`] is how elements are asked, [`interfaces`] and [`routes`] say what a name stands for,
//! [`aliases`] and [`places`] turn the words of a rule into matches, [`rules`] and [`automatic`] make the steps of pf's rule set in its order,
//! [`nat`] the translations, and [`chains`] turns "the last match decides, `quick` ends" into "the first match decides". The rest is about
//! administration and tunnels.
//!
//! Facts are from the programs that make the rules: `src/etc/inc/filter.inc` of pfSense (2.4 to 2.7), `filter.inc`, `filter.lib.inc`,
//! `plugins.inc.d/*.inc` and the classes of `OPNsense\Firewall` of OPNsense (17.1 to 26.1), and from pf.conf(5) of FreeBSD.

mod aliases;
mod automatic;
mod chains;
mod interfaces;
mod ipsec;
mod lower;
mod management;
mod mark;
mod nat;
mod openvpn;
mod outbound;
mod places;
mod routes;
mod rules;
mod services;
#[cfg(test)]
mod tests;
mod tree;
mod wireguard;
mod words;

use super::{Confidence, Detection, Format, Role};
use crate::source::SourceFile;

const COVERS: &[&str] = &[
    "interfaces, virtual addresses, groups, gateways, static routes",
    "floating, group and interface rules in pf's order, and the rules that the firewall makes by itself",
    "aliases of hosts, networks and ports, nested",
    "port forwarding with reflection, 1:1 and prefix translation, outbound translation in all modes",
    "web interface, SSH, SNMP, accounts, lockout, UPnP, remote logging",
    "OpenVPN, IPsec and WireGuard with all proposals",
];
const LEAVES: &[&str] = &[
    "tables that fill while the firewall runs (login guard, overload, intrusion detection)",
    "where a gateway in a rule sends a packet",
    "traffic shaping, captive portals, load balancing, proxies and other packages",
    "rules that an authentication server sends for VPN users",
];

/// pfSense.
pub static PFSENSE: Format = Format {
    id: "pfsense",
    title: "pfSense",
    export: "Diagnostics > Backup & Restore > Download configuration as XML   (or: cat /conf/config.xml)",
    covers: COVERS,
    leaves: LEAVES,
    role: Role::Firewall,
    detect: |file| detect(file, Dialect::Pfsense),
    read: |reader| lower::read(reader, Dialect::Pfsense),
    includes: None,
};

/// OPNsense.
pub static OPNSENSE: Format = Format {
    id: "opnsense",
    title: "OPNsense",
    export: "System > Configuration > Backups > Download configuration   (or: cat /conf/config.xml)",
    covers: COVERS,
    leaves: LEAVES,
    role: Role::Firewall,
    detect: |file| detect(file, Dialect::Opnsense),
    read: |reader| lower::read(reader, Dialect::Opnsense),
    includes: None,
};

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::vendors) enum Dialect {
    Pfsense,
    Opnsense,
}

impl Dialect {
    /// The name of the outermost element.
    fn root(self) -> &'static str {
        match self {
            Dialect::Pfsense => "pfsense",
            Dialect::Opnsense => "opnsense",
        }
    }
}

/// How much of a file detection looks at, in bytes.
const DETECTED: usize = 16 << 10;

fn detect(file: &SourceFile, dialect: Dialect) -> Option<Detection> {
    let name = first_element(file.head(DETECTED))?;
    let why = match dialect {
        Dialect::Pfsense => "its outermost element is <pfsense>",
        Dialect::Opnsense => "its outermost element is <opnsense>",
    };
    (name == dialect.root()).then_some(Detection { confidence: Confidence::Certain, why })
}

/// The name of the first element, past the declaration, comments and a document type.
fn first_element(text: &str) -> Option<&str> {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let inner = rest.strip_prefix('<')?;
        let past = if inner.starts_with("!--") {
            "-->"
        } else if inner.starts_with('?') {
            "?>"
        } else if inner.starts_with('!') {
            // A document type may hold declarations in brackets.
            let close = inner.find('>')?;
            let bracket = inner.find('[').filter(|b| *b < close);
            if bracket.is_some() { "]>" } else { ">" }
        } else {
            let end = inner.find(|c: char| c.is_whitespace() || c == '>' || c == '/')?;
            return inner.get(..end);
        };
        rest = rest.split_once(past)?.1.trim_start();
    }
}
