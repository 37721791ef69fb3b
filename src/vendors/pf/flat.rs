//! The rules of one direction in one list, those of anchors in their place.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::ast::{Dir, Item, Kind, Rule, Stage, Verb, Xlate};
use super::lower::Lowering;
use crate::diag::LineState;
use crate::model::Match;
use crate::source::Span;

/// A rule in its place.
pub(super) struct Step<'i> {
    pub item: &'i Item,
    pub rule: &'i Rule,
    /// What the rule and the anchors around it ask of a packet.
    pub matcher: Match,
    /// `tagged` is asked for, by the rule or an anchor around it.
    pub tagged: bool,
    pub what: What<'i>,
}

pub(super) enum What<'i> {
    /// A rule.
    Rule,
    /// An anchor of which nobody knows what it holds; its name.
    Unknown(&'i str),
    /// The end of an anchor with `quick`; the index of its first step.
    EndOfQuick(usize),
}

/// Anchors by their path, as far as their rules are known.
pub(super) type Anchors = BTreeMap<String, Rc<Vec<Item>>>;

#[derive(Clone, Default)]
struct Around {
    path: String,
    layers: Vec<Layer>,
}

/// What one anchor asks of a packet before it looks at its rules.
#[derive(Clone)]
struct Layer {
    matcher: Match,
    tagged: bool,
    addresses: bool,
    /// Index of the first step within.
    first: usize,
    span: Span,
}

/// Anchors in anchors.
const DEPTH: usize = 64;

impl Lowering<'_, '_> {
    /// The filter rules (`stage` is [`Stage::Filter`]) or old translation rules of one kind, in the order in which pf looks at them.
    pub fn flatten<'i>(&mut self, items: &'i [Item], anchors: &'i Anchors, dir: Dir, stage: Stage) -> Vec<Step<'i>> {
        let mut steps = Vec::new();
        (self.last_tag, self.last_translation) = (None, None);
        self.walk_items(items, anchors, dir, stage, &Around::default(), 0, &mut steps);
        steps
    }

    #[allow(clippy::too_many_arguments)] // One recursion: what it carries does not change on its way down, but for `around` and `depth`.
    fn walk_items<'i>(
        &mut self,
        items: &'i [Item],
        anchors: &'i Anchors,
        dir: Dir,
        stage: Stage,
        around: &Around,
        depth: usize,
        steps: &mut Vec<Step<'i>>,
    ) {
        for item in items {
            if steps.len() >= self.most_steps {
                let text = "the rules of all anchors come to more than are read: the rest is left out";
                self.reader.incomplete(item.span, LineState::Unsupported, text);
                return;
            }
            match &item.kind {
                Kind::Filter(rule) if stage == Stage::Filter && applies(rule, dir) => self.step(item, rule, dir, around, What::Rule, steps),
                Kind::Translate(rule) if matches!(rule.verb, Verb::Translate { stage: Some(s), .. } if s == stage) => {
                    self.step(item, rule, dir, around, What::Rule, steps);
                }
                Kind::Anchor { stage: s, name, rule, body } if *s == stage && (rule.dir.is_none() || rule.dir == Some(dir)) => {
                    let matcher = self.matcher(&anchor_rule(rule), dir);
                    let first = steps.len();
                    let mut inner = around.clone();
                    inner.path = join(&around.path, name.as_deref().unwrap_or("_"));
                    let addresses = super::chains::asks_addresses(&matcher);
                    inner.layers.push(Layer { matcher, tagged: rule.tagged.is_some(), addresses, first, span: item.span });
                    let known = body.as_deref().map(|b| vec![b]).unwrap_or_else(|| called(anchors, &inner.path));
                    let open = body.is_none() && (known.is_empty() || inner.path.ends_with("/*"));
                    if depth >= DEPTH {
                        let text = "anchors are nested too deep, or contain themselves";
                        self.reader.incomplete(item.span, LineState::Unsupported, text);
                    } else {
                        for body in known {
                            self.walk_items(body, anchors, dir, stage, &inner, depth + 1, steps);
                        }
                    }
                    if open {
                        self.step(item, rule, dir, around, What::Unknown(name.as_deref().unwrap_or("")), steps);
                    }
                    if rule.quick {
                        steps.push(Step { item, rule, matcher: Match::Any, tagged: false, what: What::EndOfQuick(first) });
                    }
                }
                _ => {}
            }
        }
    }

    fn step<'i>(&mut self, item: &'i Item, rule: &'i Rule, dir: Dir, around: &Around, what: What<'i>, steps: &mut Vec<Step<'i>>) {
        self.refused = None;
        let own = match what {
            What::Rule if dir == Dir::In && is_binat(rule) => self.matcher(&turned(rule), dir),
            What::Rule => self.matcher(rule, dir),
            _ => self.matcher(&anchor_rule(rule), dir),
        };
        if let Some(text) = self.refused.take() {
            self.reader.note(item.span, LineState::Unsupported, text);
        }
        let mut parts: Vec<Match> = Vec::new();
        for layer in &around.layers {
            // An anchor asks once, before its rules: what they change in the packet does not make it ask again.
            let since = |last: Option<usize>| last.is_some_and(|i| i >= layer.first);
            let stale = (layer.tagged && since(self.last_tag)) || (layer.addresses && since(self.last_translation));
            parts.push(if stale {
                let spot = super::lower::spot(self.reader, layer.span);
                self.opaque(&format!("met the anchor of {spot} before its rules changed the packet"), layer.span)
            } else {
                layer.matcher.clone()
            });
        }
        parts.push(own);
        let tagged = rule.tagged.is_some() || around.layers.iter().any(|l| l.tagged);
        let step = Step { item, rule, matcher: Match::all(parts), tagged, what };
        if matches!(step.what, What::Rule) && rule.tag.is_some() {
            self.last_tag = Some(steps.len());
        }
        if step.translates() {
            self.last_translation = Some(steps.len());
        }
        steps.push(step);
    }
}

impl Step<'_> {
    /// A `match` rule that changes addresses at once.
    pub fn translates(&self) -> bool {
        matches!(self.what, What::Rule) && self.rule.verb == Verb::Match && !self.rule.pools.is_empty()
    }
}

/// Whether a filter rule looks at packets of a direction. Translation belongs to a direction (pfctl asks for one).
fn applies(rule: &Rule, dir: Dir) -> bool {
    match rule.dir {
        _ if is_binat(rule) => true,
        Some(own) => own == dir,
        None => match rule.pools.first().map(|p| p.kind) {
            Some(Xlate::Nat) => dir == Dir::Out,
            Some(Xlate::Rdr) => dir == Dir::In,
            _ => true,
        },
    }
}

/// Whether a rule translates both ways.
fn is_binat(rule: &Rule) -> bool {
    rule.pools.first().is_some_and(|p| p.kind == Xlate::Binat)
}

/// The rule for the other way of a `binat`: what comes to the outer address, from where the rule says that packets go.
fn turned(rule: &Rule) -> Rule {
    let outer = rule.pools.first().map(|p| p.places.clone()).unwrap_or_default();
    Rule { src: rule.dst.clone(), dst: outer, sport: rule.dport.clone(), dport: rule.sport.clone(), ..rule.clone() }
}

/// The conditions of an anchor: those of a rule that does not keep state.
fn anchor_rule(rule: &Rule) -> Rule {
    Rule { verb: Verb::Match, ..rule.clone() }
}

/// The path of an anchor that is named within another one. A leading slash names it from the top.
fn join(around: &str, name: &str) -> String {
    match name.strip_prefix('/') {
        Some(top) => top.to_owned(),
        None if around.is_empty() => name.to_owned(),
        None => format!("{}/{name}", around.trim_end_matches("/*")),
    }
}

/// The known rules of an anchor; of `name/*` those of the anchors below it, in the order of their names.
fn called<'i>(anchors: &'i Anchors, path: &str) -> Vec<&'i [Item]> {
    match path.strip_suffix("/*").or(if path == "*" { Some("") } else { None }) {
        None => anchors.get(path).map(|items| items.as_slice()).into_iter().collect(),
        Some(parent) => {
            let start = if parent.is_empty() { String::new() } else { format!("{parent}/") };
            let below = anchors.range(start.clone()..).take_while(|(p, _)| p.starts_with(&start));
            below.filter(|(p, _)| !p[start.len()..].contains('/')).map(|(_, items)| items.as_slice()).collect()
        }
    }
}
