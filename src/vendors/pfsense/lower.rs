//! From the tree to the device.

use std::collections::{HashMap, HashSet};

use super::Dialect;
use super::aliases::Aliases;
use super::interfaces::{Interfaces, On};
use super::rules::{Step, Way};
use super::tree::Tree;
use crate::diag::LineState;
use crate::model::{Action, Match};
use crate::source::{Span, secret_elements};
use crate::syntax::xml::{Document, Element, ProblemKind};
use crate::vendors::Reader;

/// What lowering has in its hands.
pub(super) struct Lowering<'r, 'a, 'd> {
    pub reader: &'r mut Reader<'a>,
    pub root: Element<'d>,
    pub dialect: Dialect,
    /// What rules that nobody wrote are a part of: the filter's section, or the start tag.
    pub whole: Span,
    pub ifaces: Interfaces<'d>,
    pub aliases: Aliases,
    /// Numbers of the tags that rules set.
    pub tags: HashMap<String, u128>,
    pub gateway_names: HashSet<String>,
    /// Marks of packets that a translation lets go past the filter, with the place of each translation.
    pub passes: Vec<(u128, Span)>,
    /// Something of the file was not read.
    pub loses: bool,
    pub most_steps: usize,
}

/// Rules of one device.
const STEPS: usize = 200_000;

pub(super) fn read(reader: &mut Reader<'_>, dialect: Dialect) {
    let file = reader.file;
    for span in secret_elements(file) {
        reader.secret(span);
    }
    let document = Document::read(file, reader.limits);
    let mut loses = false;
    for span in document.asides() {
        reader.mark(*span, LineState::Irrelevant);
    }
    for problem in document.problems() {
        loses |= problem.kind.loses();
        match problem.kind {
            ProblemKind::Doctype => reader.note(problem.span, LineState::NotModelled, problem.text.clone()),
            ProblemKind::Refused => reader.incomplete(problem.span, LineState::Unsupported, problem.text.clone()),
            ProblemKind::Limit => reader.incomplete(problem.span, LineState::Unsupported, problem.text.clone()),
            ProblemKind::Damaged => reader.incomplete(problem.span, LineState::Unrecognised, problem.text.clone()),
        }
    }
    let Some(root) = document.root() else { return };
    if root.name() != dialect.root() {
        let text = format!("the outermost element is <{}>, not <{}>", root.name(), dialect.root());
        reader.incomplete(root.tag_span(), LineState::Unrecognised, text);
        return;
    }
    super::mark::mark(reader, root);
    let whole = root.child("filter").map_or(root.tag_span(), |f| f.tag_span());
    let most_steps = reader.limits.expanded_rules.min(STEPS);
    let mut lowering = Lowering {
        reader,
        root,
        dialect,
        whole,
        ifaces: Interfaces::none(),
        aliases: Aliases::default(),
        tags: HashMap::new(),
        gateway_names: HashSet::new(),
        passes: Vec::new(),
        loses,
        most_steps,
    };
    lowering.all();
}

impl Lowering<'_, '_, '_> {
    fn all(&mut self) {
        self.hostname();
        self.interfaces();
        self.aliases();
        self.routes();
        self.schedules();
        self.survey_tags();
        self.reader.device.exhaustive = true;
        self.reader.device.no_sysctl = true;
        self.policy();
        self.management();
        self.openvpn();
        self.ipsec();
        self.wireguard();
    }

    fn hostname(&mut self) {
        let Some(name) = self.root.at(&["system"]).and_then(|s| s.value("hostname")) else { return };
        self.reader.device.hostname = Some((name.text.into_owned(), name.span));
    }

    fn schedules(&mut self) {
        for schedule in self.root.child("schedules").into_iter().flat_map(|s| s.list("schedule")) {
            if let Some(name) = schedule.value("name") {
                self.reader.device.names.define("schedule", name.text, name.span);
            }
        }
    }

    /// The tags that some rule sets: rules before it may ask for them.
    fn survey_tags(&mut self) {
        let root = self.root;
        let legacy = root.child("filter").into_iter().flat_map(|s| s.list("rule"));
        let new = root.at(&["OPNsense", "Firewall", "Filter", "rules"]).into_iter().flat_map(|s| s.list("rule"));
        for rule in legacy.chain(new) {
            if let Some(tag) = rule.value("tag").filter(|_| !self.switched_off(rule)) {
                self.tag(&tag.text);
            }
        }
    }

    fn policy(&mut self) {
        let off = self.root.child("system").and_then(|s| s.child("disablefilter"));
        if let Some(off) = off {
            // `pfctl -d`: neither filter nor translation.
            let step = Step::implied("the packet filter is switched off", On::Any, Way::Both, true, Match::Any, Action::Accept, off.span());
            let step = Step {
                rule: crate::model::Rule::implied("the packet filter is switched off", Match::Any, Action::Accept, off.span()),
                ..step
            };
            self.chains(&[step], Vec::new(), Vec::new());
            return;
        }
        let mut steps = self.before_rules();
        steps.extend(self.written_rules());
        steps.extend(self.after_rules());
        let rdr = self.port_forwards();
        let nat = self.outbound();
        self.chains(&steps, rdr, nat);
    }
}
