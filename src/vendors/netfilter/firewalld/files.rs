//! XML files to objects.

use super::objects::{
    Body, Element as About, IpSet, Place, Port, Rich, Said, Service, Target, Verdict, addresses, forward_port, mac, place, port, protocol,
};
use crate::diag::LineState;
use crate::net::Family;
use crate::source::{SourceFile, Span};
use crate::syntax::xml::{Document, Element};
use crate::vendors::Reader;

/// Everything that was read, in the order of reading: of two of one name the later one counts.
#[derive(Default)]
pub(super) struct Config {
    pub zones: Vec<Body>,
    pub policies: Vec<Body>,
    pub services: Vec<(String, Service)>,
    pub sets: Vec<IpSet>,
    /// ICMP types of one's own: their names. What they match is not in their files.
    pub icmp_types: Vec<String>,
    /// Direct rules, chains and passthroughs.
    pub direct: Vec<Direct>,
}

/// A direct rule: iptables words.
pub(super) struct Direct {
    pub family: Option<Family>,
    pub bridge: bool,
    pub table: String,
    pub chain: String,
    pub priority: i32,
    /// `None`: the chain is created.
    pub words: Option<Said<String>>,
    /// A whole iptables command.
    pub passthrough: bool,
    pub span: Span,
}

/// The name of an object: that of its file without its end.
fn name_of(file: &SourceFile) -> &str {
    let name = file.path.rsplit('/').next().unwrap_or("");
    name.strip_suffix(".xml").unwrap_or(name)
}

/// For a zone in a folder of its own below `zones/`: the name of that folder.
fn combined(file: &SourceFile) -> Option<&str> {
    let mut parts = file.path.rsplit('/').skip(1);
    let (folder, above) = (parts.next()?, parts.next()?);
    (above == "zones").then_some(folder)
}

/// Reads an XML file of firewalld.
pub(super) fn read(reader: &mut Reader<'_>, file: &SourceFile, config: &mut Config) {
    let document = Document::read(file, reader.limits);
    for span in document.asides() {
        reader.mark(*span, LineState::Irrelevant);
    }
    for problem in document.problems() {
        let text = format!("{}; firewalld would not load this file", problem.text);
        match problem.kind.loses() {
            true => reader.incomplete(problem.span, LineState::Unrecognised, text),
            false => reader.mark(problem.span, LineState::Irrelevant),
        }
    }
    let Some(root) = document.root() else { return };
    let mut xml = Xml { reader };
    xml.understood(root);
    match root.name() {
        "zone" => {
            let mut zone = xml.body(root, name_of(file), true);
            // A zone that is read from a file lets its own interfaces talk to each other only if it says `<forward/>` (`zone_reader`).
            if let Some(folder) = combined(file) {
                folder.clone_into(&mut zone.name);
                zone.combined = true;
            }
            config.zones.push(zone);
        }
        "policy" => {
            let policy = xml.body(root, name_of(file), false);
            config.policies.push(policy);
        }
        "service" => {
            let service = xml.service(root);
            config.services.push((name_of(file).to_owned(), service));
        }
        "ipset" => {
            if let Some(set) = xml.ipset(root, name_of(file)) {
                config.sets.push(set);
            }
        }
        "icmptype" => {
            for child in root.children() {
                xml.irrelevant(child);
            }
            config.icmp_types.push(name_of(file).to_owned());
        }
        "helper" | "whitelist" => {
            for child in root.descendants() {
                xml.irrelevant(child);
            }
        }
        "direct" => {
            for child in root.children() {
                config.direct.extend(xml.direct(child));
            }
        }
        other => {
            let text = format!("`<{other}>` is no object of firewalld");
            xml.reader.note(root.span(), LineState::Unrecognised, text);
        }
    }
}

struct Xml<'r, 'a> {
    reader: &'r mut Reader<'a>,
}

/// The attribute of a name, empty if it is not there.
fn attribute(element: Element<'_>, name: &str) -> String {
    element.attribute(name).map(|a| a.value().trim().to_owned()).unwrap_or_default()
}

impl Xml<'_, '_> {
    /// Marks the tags of an element as understood (its text and children mark themselves).
    fn understood(&mut self, element: Element<'_>) {
        self.mark(element, LineState::Understood);
    }

    fn irrelevant(&mut self, element: Element<'_>) {
        self.reader.mark(element.span(), LineState::Irrelevant);
    }

    fn mark(&mut self, element: Element<'_>, state: LineState) {
        self.reader.mark(element.tag_span(), state);
        let span = element.span();
        // The end tag.
        let end = Span { start: span.end.saturating_sub(1).max(span.start), ..span };
        self.reader.mark(end, state);
    }

    fn refused(&mut self, element: Element<'_>, what: &str) {
        let text = format!("{what}: firewalld would not load this configuration, and use its shipped one instead");
        self.reader.incomplete(element.span(), LineState::Unsupported, text);
    }

    fn unknown(&mut self, element: Element<'_>) {
        let text = format!("`<{}>` is not known here; firewalld passes over what it does not know", element.name());
        self.reader.note(element.span(), LineState::Unrecognised, text);
    }

    /// A zone (`zone`) or a policy.
    fn body(&mut self, root: Element<'_>, name: &str, zone: bool) -> Body {
        let mut body = Body::new(name, root.tag_span(), if zone { Target::Default } else { Target::Continue });
        // firewalld `DEFAULT_POLICY_PRIORITY`.
        body.priority = if zone { 0 } else { -1 };
        for attribute in root.attributes() {
            let value = attribute.value();
            match attribute.name() {
                "target" => match Target::of(&value).filter(|t| zone || *t != Target::Default) {
                    Some(target) => body.target = target,
                    None => self.refused(root, &format!("the target `{value}` does not exist")),
                },
                "priority" if !zone => match value.trim().parse() {
                    Ok(n) => body.priority = n,
                    Err(_) => self.refused(root, "the priority is no number"),
                },
                // firewalld 2.0 and later.
                "ingress-priority" | "egress-priority" if zone => match value.trim().parse::<i32>() {
                    Ok(0) => {}
                    Ok(n) if attribute.name() == "ingress-priority" => body.priority = n,
                    _ => self.reader.note(
                        attribute.whole_span(),
                        LineState::NotModelled,
                        "the egress priority of a zone (firewalld 2.0) decides about address translation only, and is not modelled",
                    ),
                },
                "name" | "version" | "immutable" => {}
                other => {
                    body.doubtful = true;
                    let text = format!("the attribute `{other}` is not known here");
                    self.reader.note(attribute.whole_span(), LineState::Unrecognised, text);
                }
            }
        }
        if !zone && root.attribute("target").is_none() {
            self.refused(root, "a policy must have a target");
        }
        for child in root.children() {
            self.part(child, &mut body, zone);
        }
        body
    }

    fn part(&mut self, child: Element<'_>, body: &mut Body, zone: bool) {
        let span = child.span();
        self.understood(child);
        let name = attribute(child, "name");
        let bad = |what: &str| format!("`<{}>` {what}", child.name());
        match child.name() {
            "short" | "description" => self.irrelevant(child),
            "service" if !name.is_empty() => body.services.push(Said { value: name, span }),
            "icmp-block" if !name.is_empty() => body.icmp_blocks.push(Said { value: name, span }),
            "interface" if zone && !name.is_empty() => body.interfaces.push(Said { value: name.replace('+', "*"), span }),
            "ingress-zone" if !zone && !name.is_empty() => body.ingress.push(Said { value: name, span }),
            "egress-zone" if !zone && !name.is_empty() => body.egress.push(Said { value: name, span }),
            "port" | "source-port" => match self.port(child) {
                Some(value) if child.name() == "port" => body.ports.push(Said { value, span }),
                Some(value) => body.source_ports.push(Said { value, span }),
                None => self.refused(child, &bad("has no valid port and protocol")),
            },
            "protocol" => match protocol(&attribute(child, "value")) {
                Some(value) => body.protocols.push(Said { value, span }),
                None => self.refused(child, &bad("names no protocol")),
            },
            "icmp-block-inversion" => body.inversion = Some(span),
            "forward" if zone => body.forward = Some(span),
            "masquerade" => {
                if !matches!(attribute(child, "enabled").to_lowercase().as_str(), "no" | "false") {
                    body.masquerade = Some(span);
                } else {
                    self.reader.note(
                        span,
                        LineState::NotModelled,
                        "`enabled` is an attribute of old versions; newer ones masquerade whatever it says",
                    );
                    body.masquerade = Some(span);
                }
            }
            "forward-port" => match self.forward_port(child) {
                Some(value) => body.forward_ports.push(Said { value, span }),
                None => self.refused(child, &bad("is not complete or valid")),
            },
            "source" if zone => {
                let set = attribute(child, "ipset");
                let text = if set.is_empty() { attribute(child, "address") } else { format!("ipset:{set}") };
                let text = if text.is_empty() { attribute(child, "mac") } else { text };
                match place(&text) {
                    Some(value) => body.sources.push(Said { value, span }),
                    None => self.refused(child, &bad("is no address")),
                }
            }
            "rule" => {
                let rule = self.rich(child);
                body.rules.push(rule);
            }
            _ => {
                body.doubtful = true;
                self.unknown(child);
            }
        }
    }

    fn port(&mut self, element: Element<'_>) -> Option<Port> {
        port(&attribute(element, "port"), &attribute(element, "protocol"))
    }

    fn forward_port(&mut self, e: Element<'_>) -> Option<super::objects::ForwardPort> {
        forward_port(&attribute(e, "port"), &attribute(e, "protocol"), &attribute(e, "to-port"), &attribute(e, "to-addr"))
    }

    fn rich(&mut self, element: Element<'_>) -> Rich {
        let mut rule = Rich::new(element.span());
        for a in element.attributes() {
            let value = a.value();
            match a.name() {
                "family" => match &*value {
                    "ipv4" => rule.family = Some(Family::V4),
                    "ipv6" => rule.family = Some(Family::V6),
                    _ => rule.puzzle(format!("family `{value}`")),
                },
                "priority" => match value.trim().parse::<i32>() {
                    Ok(n) => rule.priority = n,
                    Err(_) => rule.puzzle("its priority"),
                },
                other => rule.puzzle(format!("attribute `{other}`")),
            }
        }
        for child in element.children() {
            self.rich_part(child, &mut rule);
        }
        if let Some(what) = &rule.unknown {
            let text = format!("{what} in this rich rule is not understood");
            self.reader.note(rule.span, LineState::NotModelled, text);
        }
        rule
    }

    fn rich_part(&mut self, child: Element<'_>, rule: &mut Rich) {
        self.understood(child);
        let name = attribute(child, "name");
        let limit = child.child("limit").map(|l| {
            self.understood(l);
            attribute(l, "value")
        });
        let inverted = matches!(attribute(child, "invert").to_lowercase().as_str(), "yes" | "true");
        let about = match child.name() {
            "source" | "destination" => {
                let set = attribute(child, "ipset");
                let address = attribute(child, "address");
                let found = if !set.is_empty() {
                    Some(Place::Set(set))
                } else if address.is_empty() {
                    mac(&attribute(child, "mac")).map(Place::Mac)
                } else {
                    addresses(&address).map(|(f, r)| Place::Addresses(f, r))
                };
                match found {
                    Some(found) if child.name() == "source" => rule.source = Some((found, inverted)),
                    Some(found) => rule.destination = Some((found, inverted)),
                    None => rule.puzzle(format!("`<{}>`", child.name())),
                }
                return;
            }
            "log" | "nflog" => {
                rule.log = Some(limit);
                return;
            }
            "audit" => {
                rule.audit = Some(limit);
                return;
            }
            "accept" | "reject" | "drop" | "mark" => {
                rule.limit = limit;
                let kind = Some(attribute(child, "type")).filter(|t| !t.is_empty());
                rule.action = Some(match child.name() {
                    "accept" => Verdict::Accept,
                    "reject" => Verdict::Reject(kind),
                    "drop" => Verdict::Drop,
                    _ => Verdict::Mark(attribute(child, "set")),
                });
                return;
            }
            "service" => Some(About::Service(name)),
            "port" => self.port(child).map(About::Port),
            "source-port" => self.port(child).map(About::SourcePort),
            "protocol" => protocol(&attribute(child, "value")).map(About::Protocol),
            "icmp-block" => Some(About::IcmpBlock(name)),
            "icmp-type" => Some(About::IcmpType(name)),
            "masquerade" => Some(About::Masquerade),
            "forward-port" => self.forward_port(child).map(About::ForwardPort),
            "tcp-mss-clamp" => Some(About::MssClamp),
            _ => None,
        };
        match about {
            Some(about) if rule.element == About::None => rule.element = about,
            _ => rule.puzzle(format!("`<{}>`", child.name())),
        }
    }

    fn service(&mut self, root: Element<'_>) -> Service {
        let mut service = Service::default();
        for child in root.children() {
            self.understood(child);
            let ok = match child.name() {
                "short" | "description" => {
                    self.irrelevant(child);
                    true
                }
                "port" if attribute(child, "port").is_empty() => {
                    protocol(&attribute(child, "protocol")).map(|p| service.protocols.push(p)).is_some()
                }
                "port" => self.port(child).map(|p| service.ports.push(p)).is_some(),
                "source-port" => self.port(child).map(|p| service.source_ports.push(p)).is_some(),
                "protocol" => protocol(&attribute(child, "value")).map(|p| service.protocols.push(p)).is_some(),
                "include" => {
                    service.includes.push(attribute(child, "service"));
                    true
                }
                "destination" => ["ipv4", "ipv6"].iter().all(|k| match attribute(child, k) {
                    text if text.is_empty() => true,
                    text => addresses(&text).map(|d| service.destinations.push(d)).is_some(),
                }),
                // Helpers of connection tracking decide about no packet.
                "helper" | "module" => true,
                _ => false,
            };
            if !ok {
                service.unknown.get_or_insert(format!("`<{}>`", child.name()));
                self.reader.note(child.span(), LineState::Unrecognised, format!("`<{}>` is not understood here", child.name()));
            }
        }
        service
    }

    fn ipset(&mut self, root: Element<'_>, name: &str) -> Option<IpSet> {
        let kind = attribute(root, "type");
        let Some(parts) = kind.strip_prefix("hash:") else {
            self.refused(root, &format!("the type `{kind}` of ip sets does not exist in firewalld"));
            return None;
        };
        let parts = parts.split(',').map(str::to_owned).collect();
        let mut set = IpSet { name: name.to_owned(), span: root.tag_span(), parts, family: Family::V4, timeout: false, entries: vec![] };
        for child in root.children() {
            self.understood(child);
            match child.name() {
                "short" | "description" => self.irrelevant(child),
                "option" => match (attribute(child, "name").as_str(), attribute(child, "value").as_str()) {
                    ("family", "inet6") => set.family = Family::V6,
                    ("timeout", value) => set.timeout = value != "0",
                    ("family" | "hashsize" | "maxelem", _) => {}
                    _ => self.unknown(child),
                },
                "entry" => set.entries.push(Said { value: child.text().into_owned(), span: child.span() }),
                _ => self.unknown(child),
            }
        }
        Some(set)
    }

    fn direct(&mut self, child: Element<'_>) -> Option<Direct> {
        self.understood(child);
        let ipv = attribute(child, "ipv");
        let family = match ipv.as_str() {
            "ipv4" => Some(Family::V4),
            "ipv6" => Some(Family::V6),
            _ => None,
        };
        let words = Said { value: child.text().into_owned(), span: child.text_span() };
        let known = matches!(child.name(), "chain" | "rule" | "passthrough");
        if !known || (family.is_none() && ipv != "eb") {
            self.unknown(child);
            return None;
        }
        Some(Direct {
            family,
            bridge: family.is_none(),
            table: attribute(child, "table"),
            chain: attribute(child, "chain"),
            priority: attribute(child, "priority").parse().unwrap_or(0),
            words: (child.name() != "chain").then_some(words),
            passthrough: child.name() == "passthrough",
            span: child.span(),
        })
    }
}
