//! The chains of a packet's way, flattened to one ordered list of entries.
//!
//! An entry is a cube and what happens to packets of it. Calls are written out: the entries of a called chain carry the condition of the
//! call, and `return` skips to the end of the called chain's entries. `accept` in a base chain skips to the next base chain. So a packet's
//! fate is: find the first entry that holds it, and go on from where that entry says.
//!
//! A rule that changes the packet (translation, marks) *diverts* it: it leaves this program, and goes on with its new header in
//! another program that begins after the rule. [`Program::resume`] builds that one.

use std::collections::HashMap;

use super::compile::{Compiler, TooMany};
use super::index::{Bounds, Index};
use super::solve::PATIENCE;
use super::space::Space;
pub use super::space::Way;
use crate::model::{Action, BaseChain, ChainId, Device, Effect, Hook, NatKind, Policy, PolicyAction, Translation};
use crate::net::{Family, Ranges};
use crate::packets::fields::ct;
use crate::packets::{Cube, Dim, Field};

/// Priority of connection tracking (`NF_IP_PRI_CONNTRACK`): chains at or below it see packets that are not yet tracked.
const TRACKING_PRIORITY: i32 = -200;

/// Calls may be nested this deep (the kernel allows 16 in nftables, `NFT_JUMP_STACK_SIZE`; xtables bounds by its chain count).
const CALL_DEPTH: usize = 64;

/// A bound was hit: the sentence says which, for the user.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Limit(pub String);

/// What happens to packets of an entry's cube.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// They are dropped.
    Drop,
    /// They are dropped with an answer.
    Reject,
    /// They have passed.
    Accept,
    /// They go on at this entry.
    Skip(u32),
    /// They do not take this way: the routing decision sends them on another.
    Elsewhere,
    /// They are changed, and go on in another program: an index into [`Program::diverts`].
    Divert(u32),
}

/// One step of a program.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which packets.
    pub cube: Cube,
    /// What happens to them.
    pub act: Act,
    /// Which line it comes from: an index into [`Program::lines`].
    pub line: u32,
    /// The first entry after all entries of this line at this place.
    pub after: u32,
    pub(super) frame: u32,
}

/// A line of policy: a rule of a chain, or a base chain's policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Line {
    /// The chain.
    pub chain: ChainId,
    /// The rule's index; `None` for the policy.
    pub rule: Option<u32>,
}

/// A stretch of entries that `return` or `accept` jump to the end of.
#[derive(Debug)]
pub(super) struct Frame {
    pub parent: Option<u32>,
    pub end: u32,
    /// Entries that skip to `end`, ascending.
    pub skips: Vec<u32>,
}

/// A change of the packet, and where it goes on.
#[derive(Clone, Debug)]
pub struct Divert {
    /// The line that does it.
    pub line: Line,
    /// What changes, besides translation.
    pub effects: Vec<Effect>,
    /// Translation, if the rule translates.
    pub translation: Option<Translation>,
    /// Where the packet goes on.
    pub then: Resume,
}

/// A place in the chains after a rule that changed the packet.
#[derive(Clone, PartialEq, Debug)]
pub struct Resume {
    /// Index of the base chain in the way's order.
    base: usize,
    /// The chains from the base chain to the current one, each with the rule to go on at.
    stack: Vec<(ChainId, usize)>,
    /// What the rule does besides changing the packet.
    action: Action,
}

impl Resume {
    /// A text that is equal for equal places.
    pub fn key(&self) -> String {
        format!("{:?}", (self.base, &self.stack, &self.action))
    }
}

/// What a program is built for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Purpose {
    /// Rules that log end the packet as accepted: what is still dropped is dropped without a log.
    pub logs_decide: bool,
    /// Also write out chains at the end of the way that can block nothing (for the fates of their rules).
    pub all_chains: bool,
}

/// The flattened chains of one way and family.
pub struct Program {
    /// Packets of this family.
    pub family: Family,
    /// The way.
    pub way: Way,
    /// The entries in order.
    pub entries: Vec<Entry>,
    /// The lines that entries come from.
    pub lines: Vec<Line>,
    /// The changes that entries divert to.
    pub diverts: Vec<Divert>,
    /// Places of rules that have no entry of their own (calls, logs): for the fates of those rules.
    pub marks: Vec<Mark>,
    pub(super) frames: Vec<Frame>,
    pub(super) index: Index,
    /// For each entry, in what range its packets lie.
    pub(super) bounds: Vec<Bounds>,
    /// The entries that divert.
    pub(super) changing: Vec<u32>,
    /// The entries that accept.
    pub(super) accepting: Vec<u32>,
    /// The entries that drop or reject.
    pub(super) blocking: Vec<u32>,
    /// Which fields some entry asks for.
    pub(super) matched: [bool; Field::ALL.len()],
    /// Steps after which a search goes over to its second method.
    pub(super) patience: usize,
}

/// The place of a rule that has no entry of its own.
#[derive(Debug)]
pub struct Mark {
    /// Its line: an index into [`Program::lines`].
    pub line: u32,
    /// The entry before which it stands.
    pub at: u32,
    /// The packets that it matches there.
    pub cubes: Vec<Cube>,
}

impl Program {
    /// Writes out all chains of a way.
    pub fn new(device: &Device, space: &Space, family: Family, way: Way, purpose: Purpose, limit: usize) -> Result<Program, Limit> {
        Builder::new(device, space, family, way, purpose, limit).run(None)
    }

    /// Writes out what comes after a diverting rule.
    pub fn resume(
        device: &Device,
        space: &Space,
        (family, way): (Family, Way),
        purpose: Purpose,
        limit: usize,
        from: &Resume,
    ) -> Result<Program, Limit> {
        Builder::new(device, space, family, way, purpose, limit).run(Some(from))
    }
}

/// The base chains of a way for a family, in the order in which packets meet them.
pub fn base_chains(device: &Device, family: Family, way: Way) -> Vec<&BaseChain> {
    let mut list: Vec<(usize, &BaseChain)> = device
        .base_chains
        .iter()
        .filter(|b| b.families.contains(&family))
        .filter_map(|b| way.hooks().iter().position(|h| *h == b.hook).map(|at| (at, b)))
        .collect();
    list.sort_by_key(|(at, b)| (*at, b.priority));
    list.into_iter().map(|(_, b)| b).collect()
}

fn blocks(device: &Device, base: &BaseChain) -> bool {
    base.policy.action != PolicyAction::Accept || can_block(device, base.chain)
}

/// Whether the last base chain of a way can keep a packet from passing: then all its base chains are written out in any case.
pub(super) fn last_can_block(device: &Device, family: Family, way: Way) -> bool {
    base_chains(device, family, way).last().is_none_or(|b| blocks(device, b))
}

fn before_routing(hook: Hook) -> bool {
    matches!(hook, Hook::Ingress | Hook::Prerouting)
}

/// What has happened to a packet on its way when the rules of a base chain look at it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Stage {
    /// Connection tracking has not seen it.
    pub early: bool,
    /// It has been routed on, which took one hop off its time to live (`ip_forward`, `ip6_forward`: before the forward hook).
    pub hopped: bool,
}

impl Stage {
    /// The stage of a base chain on a way.
    pub fn of(base: &BaseChain, way: Way) -> Stage {
        let before = matches!(base.hook, Hook::Prerouting | Hook::Output) && base.priority <= TRACKING_PRIORITY;
        Stage {
            early: base.hook == Hook::Ingress || before,
            hopped: way == Way::Forward && matches!(base.hook, Hook::Forward | Hook::Postrouting),
        }
    }

    /// The time to live that a packet must have arrived with so that a rule reads one of these values here.
    pub fn arriving_ttl(self, read: &Ranges) -> Ranges {
        if !self.hopped {
            return read.clone();
        }
        let up = read.intervals().iter().filter(|(lo, _)| *lo < 255).map(|&(lo, hi)| (lo + 1, (hi + 1).min(255)));
        Ranges::from_intervals(up.collect())
    }
}

struct Builder<'a> {
    device: &'a Device,
    space: &'a Space,
    compiler: Compiler<'a>,
    bases: Vec<&'a BaseChain>,
    purpose: Purpose,
    limit: usize,
    out: Program,
    /// Numbers of lines by chain and rule, the policy's first; `u32::MAX` where there is none yet.
    line_ids: Vec<Vec<u32>>,
    no_line: Option<u32>,
    compiled: HashMap<(ChainId, usize, Stage), std::sync::Arc<Vec<Cube>>>,
    stack: Vec<(ChainId, usize)>,
    /// Frame, base chain index and stage of the entries being written.
    frame: u32,
    base: usize,
    last_base: usize,
    stage: Stage,
}

impl<'a> Builder<'a> {
    fn new(device: &'a Device, space: &'a Space, family: Family, way: Way, purpose: Purpose, limit: usize) -> Builder<'a> {
        let bases = base_chains(device, family, way);
        let last_base = if purpose.all_chains { bases.len() } else { bases.iter().rposition(|b| blocks(device, b)).map_or(0, |i| i + 1) };
        Builder {
            device,
            space,
            compiler: Compiler::new(device, space, family, limit),
            bases,
            purpose,
            limit,
            out: Program {
                family,
                way,
                entries: Vec::new(),
                lines: Vec::new(),
                diverts: Vec::new(),
                marks: Vec::new(),
                frames: Vec::new(),
                index: Index::default(),
                bounds: Vec::new(),
                changing: Vec::new(),
                accepting: Vec::new(),
                blocking: Vec::new(),
                matched: [false; Field::ALL.len()],
                patience: PATIENCE,
            },
            line_ids: vec![Vec::new(); device.chains.len()],
            no_line: None,
            compiled: HashMap::new(),
            stack: Vec::new(),
            frame: 0,
            base: 0,
            last_base,
            stage: Stage::default(),
        }
    }

    fn run(mut self, from: Option<&Resume>) -> Result<Program, Limit> {
        // The frame of the whole program: "accept" at its end.
        let whole = self.open(None);
        let start = match from {
            None => 0,
            Some(resume) => {
                self.resume_base(resume, whole)?;
                resume.base + 1
            }
        };
        let mut routed = from.is_some_and(|r| !before_routing(self.bases[r.base].hook));
        for base in start..self.last_base {
            if !routed && !before_routing(self.bases[base].hook) {
                self.guard(whole)?;
                routed = true;
            }
            let any = self.entry_condition(base);
            self.base_chain(base, whole, |b, inner| {
                let chain = b.bases[base].chain;
                b.chain(chain, 0, &any, inner)
            })?;
        }
        if !routed {
            self.guard(whole)?;
        }
        // Who gets here has passed. The line is that of the last base chain's policy, if there is a base chain.
        self.frame = whole;
        let line = match self.bases.get(self.last_base.max(1) - 1) {
            Some(base) => self.line(Line { chain: base.chain, rule: None }),
            None => self.line(Line { chain: ChainId(u32::MAX), rule: None }),
        };
        self.push(vec![Cube::any()], Act::Accept, line)?;
        self.close(whole);
        for i in 0..self.out.entries.len() {
            match self.out.entries[i].act {
                Act::Divert(_) => self.out.changing.push(i as u32),
                Act::Accept => self.out.accepting.push(i as u32),
                Act::Drop | Act::Reject => self.out.blocking.push(i as u32),
                _ => {}
            }
            if let Act::Skip(frame) = self.out.entries[i].act {
                let frame = &mut self.out.frames[frame as usize];
                frame.skips.push(i as u32);
                self.out.entries[i].act = Act::Skip(frame.end);
            }
        }
        self.out.index = Index::new(&self.out.entries);
        self.out.bounds = self.out.entries.iter().map(|e| Bounds::of(&e.cube, self.out.family)).collect();
        let mut matched = [false; Field::ALL.len()];
        for field in self.out.entries.iter().flat_map(|e| e.cube.dims()).filter_map(|d| d.0.as_field()) {
            matched[field as usize] = true;
        }
        self.out.matched = matched;
        Ok(self.out)
    }

    /// Writes the routing decision: packets that cannot be on this way leave it.
    fn guard(&mut self, whole: u32) -> Result<(), Limit> {
        let Some(routed) = self.space.routed(self.out.way, self.out.family) else { return Ok(()) };
        let mut others = vec![Cube::any()];
        for cube in &routed {
            others = others.iter().flat_map(|o| o.minus(cube, self.out.family)).collect();
        }
        self.frame = whole;
        let line = self.line(Line { chain: ChainId(u32::MAX), rule: None });
        self.push(others, Act::Elsewhere, line)
    }

    /// Writes one base chain: its rules (by `body`) in an inner frame, whose end is the policy, inside an outer frame, whose end is the next
    /// base chain.
    fn base_chain(&mut self, base: usize, whole: u32, body: impl FnOnce(&mut Self, u32) -> Result<(), Limit>) -> Result<(), Limit> {
        self.base = base;
        self.stage = Stage::of(self.bases[base], self.out.way);
        let outer = self.open(Some(whole));
        let inner = self.open(Some(outer));
        self.frame = inner;
        self.stack.clear();
        body(self, inner)?;
        self.close(inner);
        self.frame = outer;
        let chain = self.bases[base].chain;
        let Policy { action, .. } = self.bases[base].policy;
        let condition = self.entry_condition(base);
        match action {
            PolicyAction::Accept => {}
            PolicyAction::Drop => {
                let line = self.line(Line { chain, rule: None });
                self.push(condition, Act::Drop, line)?;
            }
            PolicyAction::Unknown => {
                let line = self.line(Line { chain, rule: None });
                if let Some(id) = self.space.policy_condition(chain) {
                    let drops = self.narrowed(&condition, Dim::condition(id), &Ranges::single(0));
                    self.push(drops, Act::Drop, line)?;
                }
            }
        }
        self.close(outer);
        Ok(())
    }

    /// Which packets enter a base chain.
    fn entry_condition(&self, base: usize) -> Vec<Cube> {
        let base = self.bases[base];
        let family = self.out.family;
        let mut cubes = vec![Cube::any()];
        if !base.devices.is_empty() {
            let set = base.devices.iter().fold(Ranges::EMPTY, |s, p| s.or(&self.space.interfaces(p)));
            cubes = self.narrowed(&cubes, Dim::field(Field::Iif), &set);
        }
        if base.nat {
            // `nf_nat_inet_fn`: only the first packet of a connection looks the rules up; so does that of an expected
            // connection, but ICMP errors about a connection follow it.
            let icmp = Ranges::single(if family == Family::V4 { 1 } else { 58 });
            let new = self.narrowed(&cubes, Dim::field(Field::Ct), &Ranges::single(ct::NEW));
            let related = self.narrowed(&cubes, Dim::field(Field::Ct), &Ranges::single(ct::RELATED));
            let related = self.narrowed(&related, Dim::field(Field::Proto), &icmp.complement(255));
            cubes = [new, related].concat();
        }
        cubes
    }

    fn narrowed(&self, cubes: &[Cube], dim: Dim, set: &Ranges) -> Vec<Cube> {
        cubes.iter().filter_map(|c| c.with(dim, set, self.out.family)).collect()
    }

    /// Writes what comes after a diverting rule in its base chain.
    fn resume_base(&mut self, from: &Resume, whole: u32) -> Result<(), Limit> {
        let any = vec![Cube::any()];
        self.base_chain(from.base, whole, |b, inner| {
            // Frames of the chains on the stack, the outermost first; the base chain's own frame is `inner`.
            let mut frames = vec![inner];
            for _ in 1..from.stack.len() {
                let parent = frames.last().copied();
                frames.push(b.open(parent));
            }
            for level in (0..from.stack.len()).rev() {
                let frame = frames[level];
                b.frame = frame;
                b.stack = from.stack[..=level].to_vec();
                let (chain, next) = from.stack[level];
                if level + 1 == from.stack.len() {
                    let line = b.line(Line { chain, rule: Some(next.saturating_sub(1) as u32) });
                    b.act(chain, next.saturating_sub(1), &from.action, any.clone(), frame, line)?;
                }
                b.chain(chain, next, &any, frame)?;
                if level > 0 {
                    b.close(frame);
                }
            }
            Ok(())
        })
    }

    /// Writes the rules of a chain from `first` on, for packets of `condition`.
    fn chain(&mut self, chain: ChainId, first: usize, condition: &[Cube], frame: u32) -> Result<(), Limit> {
        if condition.is_empty() {
            return Ok(());
        }
        if self.stack.len() >= CALL_DEPTH {
            return Err(Limit(format!("calls are nested more than {CALL_DEPTH} deep at chain {}", self.device.chain(chain).name)));
        }
        let nested = self.stack.last().is_none_or(|(c, n)| *c != chain || *n != first);
        if nested {
            self.stack.push((chain, first));
        }
        for (r, rule) in self.device.chain(chain).rules.iter().enumerate().skip(first) {
            if !rule.enabled {
                continue;
            }
            let logs = rule.log && self.purpose.logs_decide;
            let changes = relevant(&rule.effects, self.space, self.stage);
            let late = !self.stage.early && rule.effects.contains(&Effect::Untrack) && self.space.is_matched(Field::Ct);
            let silent = rule.action == Action::Continue && changes.is_empty() && !logs && !late;
            if silent && !self.purpose.all_chains {
                continue;
            }
            let cubes = match condition {
                [only] if only.dims().is_empty() => self.compile(chain, r)?,
                _ => {
                    let cubes = self.rule_cubes(chain, r)?;
                    self.cross(condition, &cubes)?
                }
            };
            if self.purpose.all_chains && (silent || cubes.is_empty() || matches!(rule.action, Action::Jump(_) | Action::Goto(_))) {
                let line = self.line(Line { chain, rule: Some(r as u32) });
                self.out.marks.push(Mark { line, at: self.out.entries.len() as u32, cubes: cubes.clone() });
            }
            if cubes.is_empty() || silent {
                continue;
            }
            if let Some(top) = self.stack.last_mut() {
                top.1 = r + 1;
            }
            let line = self.line(Line { chain, rule: Some(r as u32) });
            self.frame = frame;
            let cubes = if late && !logs { self.late_untrack(chain, r, cubes, &changes, line)? } else { cubes };
            if logs {
                self.push(cubes, Act::Accept, line)?;
            } else if !changes.is_empty() {
                let divert = Divert {
                    line: Line { chain, rule: Some(r as u32) },
                    effects: changes,
                    translation: translation(&rule.action),
                    then: Resume { base: self.base, stack: self.stack.clone(), action: settled(&rule.action) },
                };
                self.divert(divert, cubes, line)?;
            } else {
                self.act(chain, r, &rule.action, cubes, frame, line)?;
            }
        }
        if nested {
            self.stack.pop();
        }
        Ok(())
    }

    /// Writes what an exemption from tracking does that comes after tracking: packets in no valid connection read as untracked from then
    /// on, all others stay what they are (`nft_notrack_eval`). Gives back the others.
    fn late_untrack(&mut self, chain: ChainId, rule: usize, cubes: Vec<Cube>, changes: &[Effect], line: u32) -> Result<Vec<Cube>, Limit> {
        let invalid = Ranges::single(ct::INVALID);
        let exempt = self.narrowed(&cubes, Dim::field(Field::Ct), &invalid);
        if !exempt.is_empty() {
            let action = &self.device.chain(chain).rules[rule].action;
            let mut effects = changes.to_vec();
            effects.push(Effect::Set(Field::Ct, ct::UNTRACKED));
            let divert = Divert {
                line: Line { chain, rule: Some(rule as u32) },
                effects,
                translation: translation(action),
                then: Resume { base: self.base, stack: self.stack.clone(), action: settled(action) },
            };
            self.divert(divert, exempt, line)?;
        }
        Ok(self.narrowed(&cubes, Dim::field(Field::Ct), &invalid.complement(Field::Ct.max(self.out.family))))
    }

    /// Writes what an action does to packets of `cubes`.
    fn act(&mut self, chain: ChainId, rule: usize, action: &Action, cubes: Vec<Cube>, frame: u32, line: u32) -> Result<(), Limit> {
        match action {
            Action::Continue => {}
            Action::Drop => self.push(cubes, Act::Drop, line)?,
            Action::Reject(_) => self.push(cubes, Act::Reject, line)?,
            Action::Return => self.push(cubes, Act::Skip(frame), line)?,
            Action::Accept => {
                let act = self.accepted(frame);
                self.push(cubes, act, line)?;
            }
            Action::Nat(translation) => {
                let divert = Divert {
                    line: Line { chain, rule: Some(rule as u32) },
                    effects: Vec::new(),
                    translation: Some(translation.clone()),
                    then: Resume { base: self.base, stack: self.stack.clone(), action: Action::Accept },
                };
                self.divert(divert, cubes, line)?;
            }
            Action::Jump(to) => {
                let inner = self.open(Some(frame));
                self.frame = inner;
                self.chain(*to, 0, &cubes, inner)?;
                self.close(inner);
                self.frame = frame;
            }
            Action::Goto(to) => {
                // The called chain takes the place of this one: it returns to where this one would.
                let top = self.stack.pop();
                self.chain(*to, 0, &cubes, frame)?;
                self.stack.extend(top);
                self.frame = frame;
                self.push(cubes, Act::Skip(frame), line)?;
            }
            Action::Opaque(_) => {
                if let Some(id) = self.space.rule_condition(chain, rule) {
                    let yes = Ranges::single(1);
                    let drops = self.narrowed(&cubes, Dim::condition(id + 1), &yes);
                    self.push(drops, Act::Drop, line)?;
                    let accepts = self.narrowed(&cubes, Dim::condition(id), &yes);
                    let act = self.accepted(frame);
                    self.push(accepts, act, line)?;
                }
            }
        }
        Ok(())
    }

    /// What accepting means in the base chain that is being written.
    fn accepted(&self, frame: u32) -> Act {
        if self.base + 1 >= self.last_base {
            return Act::Accept;
        }
        // The outer frame of the base chain is the child of the whole program's frame 0.
        let mut at = frame;
        while let Some(parent) = self.out.frames[at as usize].parent {
            if parent == 0 {
                break;
            }
            at = parent;
        }
        Act::Skip(at)
    }

    fn divert(&mut self, divert: Divert, cubes: Vec<Cube>, line: u32) -> Result<(), Limit> {
        // Source translation concerns only what comes after it: nothing, unless a later chain looks at the source.
        let id = self.out.diverts.len() as u32;
        self.out.diverts.push(divert);
        self.push(cubes, Act::Divert(id), line)
    }

    fn rule_cubes(&mut self, chain: ChainId, rule: usize) -> Result<std::sync::Arc<Vec<Cube>>, Limit> {
        let key = (chain, rule, self.stage);
        if let Some(done) = self.compiled.get(&key) {
            return Ok(done.clone());
        }
        let cubes = std::sync::Arc::new(self.compile(chain, rule)?);
        self.compiled.insert(key, cubes.clone());
        Ok(cubes)
    }

    fn compile(&mut self, chain: ChainId, rule: usize) -> Result<Vec<Cube>, Limit> {
        let rules = &self.device.chain(chain).rules;
        self.compiler.cubes(&rules[rule].matcher, self.stage).map_err(|TooMany| {
            Limit(format!("a rule of chain {} has more than {} alternatives", self.device.chain(chain).name, self.limit))
        })
    }

    fn cross(&self, condition: &[Cube], cubes: &[Cube]) -> Result<Vec<Cube>, Limit> {
        if condition.len().saturating_mul(cubes.len()) > self.limit {
            return Err(self.too_many());
        }
        Ok(condition.iter().flat_map(|a| cubes.iter().filter_map(|b| a.and(b))).collect())
    }

    fn too_many(&self) -> Limit {
        Limit(format!("the rules expand to more than {} entries", self.limit))
    }

    fn line(&mut self, line: Line) -> u32 {
        let new = self.out.lines.len() as u32;
        let id = match self.line_ids.get_mut(line.chain.0 as usize) {
            None => self.no_line.get_or_insert(new),
            Some(ids) => {
                let at = line.rule.map_or(0, |r| r as usize + 1);
                if ids.len() <= at {
                    let rules = self.device.chains.get(line.chain.0 as usize).map_or(0, |c| c.rules.len());
                    ids.resize(at.max(rules) + 1, u32::MAX);
                }
                let id = &mut ids[at];
                if *id == u32::MAX {
                    *id = new;
                }
                id
            }
        };
        if *id == new {
            self.out.lines.push(line);
        }
        *id
    }

    fn push(&mut self, cubes: Vec<Cube>, act: Act, line: u32) -> Result<(), Limit> {
        if self.out.entries.len() + cubes.len() > self.limit {
            return Err(self.too_many());
        }
        let after = (self.out.entries.len() + cubes.len()) as u32;
        let frame = self.frame;
        self.out.entries.extend(cubes.into_iter().map(|cube| Entry { cube, act, line, after, frame }));
        Ok(())
    }

    fn open(&mut self, parent: Option<u32>) -> u32 {
        self.out.frames.push(Frame { parent, end: 0, skips: Vec::new() });
        self.out.frames.len() as u32 - 1
    }

    fn close(&mut self, frame: u32) {
        self.out.frames[frame as usize].end = self.out.entries.len() as u32;
    }
}

/// What a rule's action still does once its changes are made.
fn settled(action: &Action) -> Action {
    if matches!(action, Action::Nat(_)) { Action::Accept } else { action.clone() }
}

fn translation(action: &Action) -> Option<Translation> {
    match action {
        Action::Nat(t) => Some(t.clone()),
        _ => None,
    }
}

/// The effects that some rule can see. What exempts from tracking after tracking is left out: see [`Builder::late_untrack`].
fn relevant(effects: &[Effect], space: &Space, stage: Stage) -> Vec<Effect> {
    let seen = |f: &Field| space.is_matched(*f);
    let keep = |e: &&Effect| match e {
        Effect::Set(f, _) | Effect::SetBits { field: f, .. } | Effect::Unknown(f) => seen(f),
        Effect::Copy { to, .. } => seen(to),
        Effect::Untrack => stage.early && (seen(&Field::Ct) || space.tracks()),
    };
    // After the hop, the field holds one more than what is written.
    let hopped = |e: &Effect| match e {
        Effect::Set(Field::Ttl, v) if stage.hopped && *v < 255 => Effect::Set(Field::Ttl, v + 1),
        Effect::Set(Field::Ttl, _) | Effect::SetBits { field: Field::Ttl, .. } if stage.hopped => Effect::Unknown(Field::Ttl),
        other => other.clone(),
    };
    effects.iter().filter(keep).map(hopped).collect()
}

/// Whether a chain, or a chain that it calls, can keep a packet from passing.
fn can_block(device: &Device, chain: ChainId) -> bool {
    let mut seen = vec![false; device.chains.len()];
    let mut todo = vec![chain];
    while let Some(c) = todo.pop() {
        if std::mem::replace(&mut seen[c.0 as usize], true) {
            continue;
        }
        for rule in device.chain(c).rules.iter().filter(|r| r.enabled) {
            match &rule.action {
                Action::Drop | Action::Reject(_) | Action::Opaque(_) => return true,
                Action::Jump(to) | Action::Goto(to) => todo.push(*to),
                Action::Nat(t) if t.kind == NatKind::Redirect => {}
                _ => {}
            }
        }
    }
    false
}
