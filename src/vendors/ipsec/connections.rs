//! Connections of `ipsec.conf` to tunnels.

use std::collections::{BTreeMap, BTreeSet};

use super::conf::{self, Conf, Kind, Param, Section};
use super::dialect::{self, Dialect};
use super::secrets::Psk;
use super::tunnel::{self, Ends, Round, Shunt, Ts};
use super::words::{is_yes, list};
use crate::diag::LineState;
use crate::model::{CryptoLayer, CryptoOffer, CryptoUse, Dns, Secret, Tunnel, TunnelRole, Unmodelled, ike};
use crate::source::Span;
use crate::vendors::Reader;

/// Steps through `also=` that a file may take: more is a file made to take long.
const STEPS: usize = 100_000;
/// Shunts times tunnels that a file may have.
const SHUNTS: usize = 200;

pub(super) fn read(reader: &mut Reader<'_>) {
    let conf = conf::parse(reader);
    for section in &conf.sections {
        for param in &section.params {
            mark(reader, section, param);
        }
    }
    let pairs = conf.sections.iter().filter(|s| s.kind != Kind::Ca).flat_map(|s| &s.params);
    let dialect = dialect::of(pairs.map(|p| (p.key.as_str(), p.value.as_str())));
    let mut secrets = Vec::new();
    for id in conf.secrets.clone() {
        secrets.extend(super::secrets::read_file(reader, id));
    }
    let used: BTreeSet<&str> = conf
        .sections
        .iter()
        .filter(|s| s.kind == Kind::Conn)
        .flat_map(|s| &s.params)
        .filter(|p| p.key == "also")
        .map(|p| p.value.as_str())
        .collect();
    let setup = conf.get(Kind::Setup, "setup");
    let drops_v1 = setup.is_some_and(|s| s.params.iter().any(|p| p.key == "ikev1-policy" && p.value != "accept"));
    let mut steps = STEPS;
    let mut shunts = Vec::new();
    for section in conf.sections.iter().filter(|s| s.kind == Kind::Conn && !s.name.starts_with('%') && !s.name.is_empty()) {
        let params = resolve(reader, &conf, section, &mut steps);
        let conn = Conn { section, params, dialect, drops_v1, secrets: &secrets };
        match conn.value("auto").unwrap_or("ignore") {
            "ignore" if conn.value("auto").is_some() || used.contains(section.name.as_str()) => {}
            "ignore" => {
                let text = "without `auto=` this connection is not loaded by itself: it is no tunnel here";
                reader.note(section.header, LineState::NotModelled, text);
            }
            _ => conn.lower(reader, &mut shunts),
        }
    }
    if shunts.len() > SHUNTS {
        let whole = reader.file.whole();
        reader.incomplete(Span { end: whole.start, ..whole }, LineState::Unsupported, "more shunts than are looked at");
        shunts.truncate(SHUNTS);
    }
    tunnel::apply(reader, &shunts);
}

fn mark(reader: &mut Reader<'_>, section: &Section, param: &Param) {
    let key = dialect::general(&param.key);
    let off = param.value.eq_ignore_ascii_case("no") || param.value.eq_ignore_ascii_case("none") || param.value.is_empty();
    match dialect::state(&param.key) {
        _ if section.kind == Kind::Ca => reader.mark(param.span, LineState::Irrelevant),
        Some(LineState::NotModelled) if off || (key == "installpolicy" && is_yes(&param.value)) => {
            reader.mark(param.span, LineState::Irrelevant);
        }
        Some(LineState::NotModelled) => {
            let text = match key.as_str() {
                "%firewall" => "the rules that this adds to the packet filter while the tunnel is up are not modelled".to_owned(),
                "%updown" => "what this script changes is not modelled".to_owned(),
                _ => format!("{} is not modelled", param.key),
            };
            reader.note(param.span, LineState::NotModelled, text);
        }
        Some(state) => reader.mark(param.span, state),
        None => reader.note(param.span, LineState::Unrecognised, "a parameter that neither strongSwan nor libreswan has"),
    }
}

/// The parameters of a connection: its own, then those of the sections that `also=` names, then those of `%default` (ipsec.conf(5)).
fn resolve<'c>(reader: &mut Reader<'_>, conf: &'c Conf, section: &'c Section, steps: &mut usize) -> BTreeMap<&'c str, &'c Param> {
    let mut found: BTreeMap<&str, &Param> = BTreeMap::new();
    let mut seen: BTreeSet<&str> = BTreeSet::from([section.name.as_str()]);
    let mut open: Vec<&Section> = vec![section];
    while let Some(at) = open.pop() {
        let mut own: BTreeMap<&str, &Param> = BTreeMap::new();
        let mut more: Vec<&Section> = Vec::new();
        for param in &at.params {
            let Some(left) = steps.checked_sub(1) else {
                reader.incomplete(section.header, LineState::Unsupported, "also= leads through more sections than are looked at");
                return found;
            };
            *steps = left;
            if param.key != "also" {
                own.insert(&param.key, param);
                continue;
            }
            match conf.get(Kind::Conn, &param.value) {
                Some(other) if seen.insert(&other.name) => more.push(other),
                Some(_) => {}
                None => reader.refused(param.span, format!("also= names {}, which is no section", param.value)),
            }
        }
        for (key, param) in own {
            found.entry(key).or_insert(param);
        }
        open.extend(more.into_iter().rev());
    }
    if let Some(default) = conf.get(Kind::Conn, "%default") {
        let mut own: BTreeMap<&str, &Param> = BTreeMap::new();
        own.extend(default.params.iter().map(|p| (p.key.as_str(), p)));
        for (key, param) in own {
            found.entry(key).or_insert(param);
        }
    }
    found
}

/// A connection with everything that applies to it.
struct Conn<'c> {
    section: &'c Section,
    params: BTreeMap<&'c str, &'c Param>,
    dialect: Dialect,
    drops_v1: bool,
    secrets: &'c [Psk],
}

impl<'c> Conn<'c> {
    fn param(&self, key: &str) -> Option<&'c Param> {
        self.params.get(key).copied().filter(|p| !p.value.is_empty())
    }

    fn value(&self, key: &str) -> Option<&'c str> {
        self.param(key).map(|p| p.value.as_str())
    }

    fn yes(&self, key: &str) -> bool {
        self.value(key).is_some_and(is_yes)
    }

    fn of(&self, side: &str, key: &str) -> Option<&'c Param> {
        self.param(&format!("{side}{key}")).or_else(|| self.param(&format!("{side}-{key}")))
    }

    /// Which of left and right is this end. The programs look at the addresses of the host's interfaces, and take left where these do not tell
    /// (ipsec.conf(5)); `%defaultroute` is always this end, and to libreswan `%any` never is.
    fn sides(&self) -> (&'static str, &'static str) {
        let left = self.value("left").unwrap_or("%any");
        let right = self.value("right").unwrap_or("%any");
        let swap = right == "%defaultroute"
            || right.starts_with("%eth")
            || (self.dialect == Dialect::Libreswan && left == "%any" && !tunnel::is_any(right))
            || (self.dialect == Dialect::Libreswan
                && (self.yes("leftxauthclient") || self.yes("leftmodecfgclient"))
                && right == "%defaultroute");
        if swap { ("right", "left") } else { ("left", "right") }
    }

    fn lower(&self, reader: &mut Reader<'_>, shunts: &mut Vec<Shunt>) {
        let (here, there) = self.sides();
        let span = self.section.header;
        let kind = self.value("type").unwrap_or("tunnel");
        let (local, remote) = (self.selectors(here), self.selectors(there));
        match kind {
            "passthrough" | "pass" => return shunts.push(Shunt::Pass(remote, span)),
            "drop" | "reject" => return shunts.push(Shunt::Drop(span)),
            "tunnel" | "transport" | "transport_proxy" | "beet" => {}
            _ => reader.note(self.param("type").map_or(span, |p| p.span), LineState::NotModelled, "a type that is not modelled"),
        }
        let far = self.value(there).unwrap_or("%any");
        let asks = self.asks(here);
        let role = match (tunnel::is_any(far) || far.starts_with('%'), asks) {
            (true, _) => TunnelRole::Server,
            (false, true) => TunnelRole::Client,
            (false, false) => TunnelRole::Peer,
        };
        let mut tunnel = tunnel::tunnel(role, &self.section.name, span);
        self.addresses(here, there, &mut tunnel);
        let pools = self.pools(there);
        let ends = Ends { local: self.value(here).and_then(|a| a.parse().ok()), remote: far.parse().ok(), asks, pools };
        self.versions(&mut tunnel);
        self.crypto(reader, &mut tunnel);
        let (own, other) = (self.rounds(here, there), self.rounds(there, here));
        tunnel::authenticate(&mut tunnel, &own, &other);
        let transport = kind.starts_with("transport") || kind == "beet";
        let at = self.of(there, "subnet").or_else(|| self.of(there, "subnets")).map_or(span, |p| p.span);
        tunnel::select(reader, &mut tunnel, &ends, (&local, &remote), transport, at);
        self.peer(&mut tunnel, here, there);
        self.interface(&mut tunnel);
        for key in [
            "auto",
            "type",
            "mobike",
            "dpdaction",
            "dpddelay",
            "ikelifetime",
            "lifetime",
            "keylife",
            "salifetime",
            "ipsec-lifetime",
            "inactivity",
        ] {
            tunnel::setting(&mut tunnel, key, self.param(key).map(|p| (p.value.as_str(), p.span)));
        }
        // Without a name, the address is one (ipsec.conf(5), `leftid`).
        for (name, side) in [("local-id", here), ("remote-id", there)] {
            let id = self.of(side, "id").or_else(|| self.param(side).filter(|p| !tunnel::is_any(&p.value) && !p.value.starts_with('%')));
            tunnel::setting(&mut tunnel, name, id.map(|p| (p.value.as_str(), p.span)));
        }
        if let Some(compress) = self.param("compress").filter(|p| is_yes(&p.value)) {
            ike::offer(&mut tunnel.crypto, CryptoUse::Compression, CryptoLayer::Data, "IPCOMP", compress.span);
        }
        reader.device.tunnels.push(tunnel);
    }

    /// Whether this end asks for a virtual address.
    fn asks(&self, here: &str) -> bool {
        let source = self.of(here, "sourceip").map(|p| p.value.as_str());
        source.is_some_and(|s| self.dialect != Dialect::Libreswan || s.starts_with('%'))
            || self.of(here, "modecfgclient").or_else(|| self.of(here, "modeconfigclient")).is_some_and(|p| is_yes(&p.value))
    }

    fn addresses(&self, here: &str, there: &str, tunnel: &mut Tunnel) {
        if let Some(source) = self.of(here, "sourceip") {
            let nets = list(&source.value).filter(|a| !a.contains('/')).filter_map(tunnel::network);
            tunnel.addresses.extend(nets.map(|n| (n, source.span)));
        }
        let mut servers: Vec<&Param> =
            ["modecfgdns", "modecfgdns1", "modecfgdns2", "modecfgdomains", "modecfgdomain"].iter().filter_map(|k| self.param(k)).collect();
        let side = if tunnel.role == TunnelRole::Client { here } else { there };
        servers.extend(self.of(side, "dns"));
        for param in servers {
            for word in list(&param.value).filter(|w| !w.starts_with('%')) {
                tunnel.dns.push(Dns { server: word.parse().ok(), text: word.to_owned(), span: param.span });
            }
        }
    }

    /// Addresses that the far end gets.
    fn pools(&self, there: &str) -> Vec<ipnetwork::IpNetwork> {
        let given = self.of(there, "sourceip").or_else(|| self.of(there, "addresspool"));
        given.map(|p| list(&p.value).filter_map(tunnel::network).collect()).unwrap_or_default()
    }

    fn selectors(&self, side: &str) -> Vec<Ts> {
        let nets = self.of(side, "subnet").or_else(|| self.of(side, "subnets")).or_else(|| self.of(side, "subnetwithin"));
        let mut found = tunnel::selectors(nets.map_or("%dynamic", |p| p.value.as_str()));
        let limit = self.of(side, "protoport").map(|p| p.value.as_str());
        if limit.is_some_and(|l| !matches!(l, "%any" | "0" | "any" | "0/0" | "%any/%any")) {
            found.iter_mut().for_each(|t| t.limited = true);
        }
        found
    }

    /// strongSwan: `ike`, the default, initiates version 2 and answers to both (ipsec.conf(5), `keyexchange`). libreswan: version 2 since 4.0;
    /// before, version 1 was tried first (its ipsec.conf(5), `ikev2`), and 5.0 answers to no version 1 unless told so (`ikev1-policy`).
    fn versions(&self, tunnel: &mut Tunnel) {
        let written = self.param("keyexchange").or_else(|| self.param("ikev2"));
        let span = written.map_or(self.section.header, |p| p.span);
        let client = tunnel.role == TunnelRole::Client;
        let both: &[(&str, bool, bool)] = match self.dialect {
            Dialect::StrongSwan if client => &[("2", true, false)],
            Dialect::StrongSwan => &[("2", true, false), ("1", true, false)],
            _ if self.drops_v1 => &[("2", true, false)],
            _ => &[("2", true, false), ("1", true, true)],
        };
        let list: &[(&str, bool, bool)] = match (written.map(|p| p.key.as_str()), written.map(|p| p.value.as_str())) {
            (_, Some("ikev1" | "never" | "no" | "off" | "false")) => &[("1", false, false)],
            (_, Some("ikev2" | "insist" | "always")) => &[("2", false, false)],
            (Some("ikev2"), Some("permit")) => &[("1", false, false), ("2", false, false)],
            // Before 4.0 these let the other end fall back to version 1.
            (Some("ikev2"), Some("yes" | "propose" | "on" | "true")) if self.drops_v1 => &[("2", false, false)],
            (Some("ikev2"), Some("yes" | "propose" | "on" | "true")) => &[("2", false, false), ("1", false, true)],
            _ => both,
        };
        let aggressive = self.param("aggressive").or_else(|| self.param("aggrmode")).filter(|p| is_yes(&p.value)).map(|p| p.span);
        tunnel::versions(tunnel, list, aggressive, span);
    }

    fn crypto(&self, reader: &mut Reader<'_>, tunnel: &mut Tunnel) {
        self.proposals(reader, tunnel, self.param("ike"), CryptoLayer::Control);
        let esp = self.param("esp").or_else(|| self.param("phase2alg"));
        let ah = self.param("ah").or_else(|| self.param("esp").filter(|_| self.value("phase2") == Some("ah")));
        let only_ah = ah.is_some() || matches!((self.value("phase2"), self.value("auth")), (Some("ah"), _) | (_, Some("ah")));
        if only_ah {
            let span = ah.or_else(|| self.param("phase2")).or_else(|| self.param("auth")).map_or(self.section.header, |p| p.span);
            ike::offer(&mut tunnel.crypto, CryptoUse::Cipher, CryptoLayer::Data, "NULL", span);
        }
        if !only_ah || ah.is_some() {
            self.proposals(reader, tunnel, if only_ah { ah } else { esp }, CryptoLayer::Data);
        }
        // libreswan keeps perfect forward secrecy on, with the groups of IKE, unless told otherwise (ipsec.conf(5), `pfs`).
        if let Some(pfs) = self.param("pfs").filter(|p| !is_yes(&p.value) && self.dialect != Dialect::StrongSwan) {
            ike::offer(&mut tunnel.crypto, CryptoUse::KeyExchange, CryptoLayer::Data, "NONE", pfs.span);
        }
    }

    fn proposals(&self, reader: &mut Reader<'_>, tunnel: &mut Tunnel, written: Option<&Param>, layer: CryptoLayer) {
        let span = written.map_or(self.section.header, |p| p.at);
        let out = &mut tunnel.crypto;
        let versions: Vec<u8> = {
            let all = out.iter().filter(|o| o.usage == CryptoUse::IkeVersion && !o.perhaps).map(|o| if o.name == "2" { 2 } else { 1 });
            all.collect()
        };
        let text = written.map_or("", |p| p.value.as_str());
        let (text, strict) = text.strip_suffix('!').map_or((text, false), |t| (t, true));
        let mut unknown = Vec::new();
        match self.dialect {
            Dialect::Libreswan => {
                let defaults: Vec<_> = versions.iter().flat_map(|v| ike::libreswan_default(*v, layer)).copied().collect();
                if text.is_empty() {
                    ike::defaults(unique(defaults.iter().copied()), layer, span, out);
                }
                for proposal in text.split(',').filter(|p| !p.trim().is_empty()) {
                    let at = out.len();
                    unknown.extend(ike::libreswan(proposal, layer, span, out));
                    let has = |list: &[CryptoOffer], usage: CryptoUse| list.get(at..).unwrap_or(&[]).iter().any(|o| o.usage == usage);
                    // What a proposal leaves out is filled in (ike_info.c: "merging it with the below defaults").
                    let aead = out
                        .get(at..)
                        .unwrap_or(&[])
                        .iter()
                        .filter(|o| o.usage == CryptoUse::Cipher)
                        .all(|o| o.name.ends_with("GCM") || o.name.ends_with("1305"));
                    let digests = has(out, CryptoUse::Digest) || has(out, CryptoUse::Prf);
                    let exchanges = has(out, CryptoUse::KeyExchange);
                    let missing = defaults.iter().copied().filter(|(usage, _)| match usage {
                        CryptoUse::Digest => !digests && !aead,
                        CryptoUse::Prf => !digests && aead,
                        CryptoUse::KeyExchange => !exchanges,
                        _ => false,
                    });
                    let missing = unique(missing);
                    ike::defaults(missing, layer, span, out);
                }
            }
            Dialect::StrongSwan => {
                for proposal in text.split(',').filter(|p| !p.trim().is_empty()) {
                    unknown.extend(ike::strongswan(proposal, layer, span, out));
                }
                if !strict {
                    // The daemon adds its own list unless `!` ends the proposals (ipsec.conf(5), `ike`); `esp` began as `aes128-sha1,3des-sha1`
                    // up to 5.3.
                    ike::defaults(ike::strongswan_default(layer).iter().copied(), layer, span, out);
                    if written.is_none() && layer == CryptoLayer::Data {
                        ike::defaults([(CryptoUse::Cipher, "3DES-CBC", true)], layer, span, out);
                    }
                }
            }
            Dialect::Unknown => {
                for proposal in text.split(',').filter(|p| !p.trim().is_empty()) {
                    unknown.extend(ike::libreswan(proposal, layer, span, out));
                }
                if text.is_empty() {
                    let which = if layer == CryptoLayer::Data { "esp" } else { "ike" };
                    let text = format!(
                        "no `{which}=` here: what is offered depends on the program, and nothing tells whether it is strongSwan or libreswan"
                    );
                    reader.note(self.section.header, LineState::NotModelled, text);
                }
            }
        }
        if !unknown.is_empty() {
            unknown.truncate(3);
            reader.note(span, LineState::NotModelled, format!("algorithms that are not known: {}", unknown.join(", ")));
        }
    }

    /// The rounds in which one end proves who it is.
    fn rounds(&self, side: &str, other: &str) -> Vec<Round> {
        let round = |p: &Param, auth: &str| Round { auth: auth.to_owned(), span: p.span, default: false };
        let mut rounds = Vec::new();
        if let Some(first) = self.of(side, "auth") {
            rounds.push(round(first, &first.value));
        } else if let Some(authby) = self.param("authby").or_else(|| self.param("authenticateby")) {
            match authby.value.as_str() {
                "xauthpsk" | "xauthrsasig" => {
                    rounds.push(round(authby, if authby.value == "xauthpsk" { "psk" } else { "pubkey" }));
                    // The end that asks for XAuth is the server (`xauth`, client by default).
                    let server = self.value("xauth") == Some("server");
                    if server != (self.sides().0 == side) {
                        rounds.push(round(authby, "xauth"));
                    }
                }
                "never" => {}
                words => {
                    for word in words.split(|c: char| matches!(c, ',' | '|') || c.is_whitespace()).filter(|w| !w.is_empty()) {
                        rounds.push(round(authby, word));
                    }
                }
            }
        } else {
            // Signatures are the default of both (`authby`).
            rounds.push(Round { auth: "pubkey".into(), span: self.section.header, default: true });
        }
        if let Some(second) = self.of(side, "auth2") {
            rounds.push(round(second, &second.value));
        }
        let client = self.of(side, "xauthclient").or_else(|| self.of(other, "xauthserver"));
        if let Some(xauth) = client.filter(|p| is_yes(&p.value)) {
            rounds.push(round(xauth, if self.value("xauthby") == Some("pam") { "xauth-pam" } else { "xauth" }));
        }
        if let Some(eap) = self.of(side, "autheap").filter(|p| p.value != "none") {
            rounds.push(round(eap, &format!("eap-{}", eap.value)));
        }
        rounds
    }

    fn peer(&self, tunnel: &mut Tunnel, here: &str, there: &str) {
        let host = self.param(there).filter(|p| !tunnel::is_any(&p.value) && !p.value.starts_with('%'));
        let port = self.of(there, "ikeport").and_then(|p| p.value.parse().ok()).unwrap_or(500);
        let mut peer = tunnel::peer(host.map(|p| (p.value.as_str(), p.at)), port, self.section.header);
        let id = self.of(there, "id").map(|p| p.value.as_str());
        peer.name = id.filter(|i| !i.contains(['%', '*'])).map(|i| i.trim_start_matches('@').to_owned());
        let psk = tunnel.crypto.iter().any(|o| o.usage == CryptoUse::Authentication && o.name == "PSK");
        if psk {
            let ids = [self.of(here, "id").or_else(|| self.param(here)), self.of(there, "id").or_else(|| self.param(there))];
            let ids = ids.map(|p| p.map(|p| p.value.as_str()).unwrap_or("%any"));
            peer.preshared_key = super::secrets::find(self.secrets, ids[0], ids[1]).map(Secret);
        }
        let local = self.of(here, "ikeport").and_then(|p| p.value.parse().ok()).unwrap_or(500);
        if tunnel.role == TunnelRole::Server {
            tunnel.listen = Some((17, local, self.section.header));
        }
        tunnel.peers.push(peer);
    }

    /// A policy with a mark or an interface takes only what routes lead there.
    fn interface(&self, tunnel: &mut Tunnel) {
        if let Some(p) = self.param("ipsec-interface").filter(|p| p.value != "no" && p.value != "0") {
            // `yes` is `ipsec1` (libreswan's ipsec.conf(5), `ipsec-interface`). The program makes its routes itself.
            tunnel.interface = format!("ipsec{}", if is_yes(&p.value) { "1" } else { p.value.as_str() });
        } else if let Some(p) = self.param("vti-interface") {
            tunnel.interface = p.value.clone();
            if !self.yes("vti-routing") {
                tunnel.unmodelled.push(Unmodelled::routes(p.span));
            }
        } else if let Some(p) = ["mark", "mark_in", "mark_out", "mark-in", "mark-out"].iter().find_map(|k| self.param(k)) {
            tunnel.unmodelled.push(Unmodelled::routes(p.span));
        }
    }
}

fn unique(list: impl Iterator<Item = (CryptoUse, &'static str)>) -> Vec<(CryptoUse, &'static str, bool)> {
    let mut out: Vec<(CryptoUse, &'static str, bool)> = Vec::new();
    for (usage, name) in list {
        if !out.iter().any(|o| o.0 == usage && o.1 == name) {
            out.push((usage, name, false));
        }
    }
    out
}
