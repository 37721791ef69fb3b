//! One packet walks the chains. Written a second time, independently of programs and cubes, and as simply as can be: every witness is replayed
//! here before it is shown, and `trace` answers with it.

use super::compile::{interface_of, port_of};
use super::program::{Line, Stage, base_chains};
use super::{Analysis, Space, Way};
use crate::model::{
    Action, BaseChain, ChainId, Device, Direction, Effect, Hook, Match, NatKind, PolicyAction, Rule, SetValue, Translation,
};
use crate::net::Family;
use crate::packets::fields::{ABSENT_PORT, ct};
use crate::packets::{Dim, Field, Packet};

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It passes every base chain of its way.
    Accept,
    /// It is dropped in silence.
    Drop,
    /// It is dropped with an answer.
    Reject,
    /// It depends on something that is not known.
    Unknown,
}

impl Outcome {
    /// Whether the packet passes for certain.
    pub fn passes(self) -> bool {
        self == Outcome::Accept
    }

    /// The word of `trace`.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Accept => "accept",
            Outcome::Drop => "drop",
            Outcome::Reject => "reject",
            Outcome::Unknown => "unknown",
        }
    }
}

/// A packet's way.
#[derive(Clone, Debug)]
pub struct Walked {
    /// What becomes of it.
    pub verdict: Outcome,
    /// The lines that matched it, in order; for an unknown verdict those of one possible way.
    pub path: Vec<Line>,
    /// The line to name: the one that ended the packet, or that let it through the filter of its hook.
    pub decided: Option<Line>,
    /// The opaque conditions on which an unknown verdict turns.
    pub conditions: Vec<u32>,
    /// Why it is unknown, where no condition is to blame.
    pub because: Option<String>,
    /// The packet at the end of its way.
    pub became: Packet,
}

/// Valuations of opaque conditions that are tried before the answer is "unknown".
const FORKS: usize = 1 << 10;
const CALL_DEPTH: usize = 64;
/// Fields of the transport header.
const TRANSPORT: [Field; 4] = [Field::Sport, Field::Dport, Field::Icmp, Field::TcpFlags];

/// Walks a packet through the device. `conditions`: those that hold (all others do not), or `None` if that is open. `nat_hint`: the
/// packet as it is to become, where a translation leaves a choice.
pub fn walk(
    analysis: &Analysis<'_>,
    way: Way,
    family: Family,
    packet: &Packet,
    conditions: Option<&[u32]>,
    nat_hint: Option<&Packet>,
    logs_decide: bool,
) -> Walked {
    walk_where(analysis, (way, family), packet, (conditions, &[]), nat_hint, logs_decide)
}

/// As [`walk`] with all conditions open but those whose answers are given.
pub fn walk_given(
    analysis: &Analysis<'_>,
    (way, family): (Way, Family),
    packet: &Packet,
    given: &[(u32, bool)],
    nat_hint: Option<&Packet>,
    logs_decide: bool,
) -> Walked {
    walk_where(analysis, (way, family), packet, (None, given), nat_hint, logs_decide)
}

fn walk_where(
    analysis: &Analysis<'_>,
    (way, family): (Way, Family),
    packet: &Packet,
    (conditions, given): (Option<&[u32]>, &[(u32, bool)]),
    nat_hint: Option<&Packet>,
    logs_decide: bool,
) -> Walked {
    let bases = base_chains(analysis.device, family, way);
    let run = |known: Vec<(u32, bool)>| {
        let mut walker = Walker {
            device: analysis.device,
            space: &analysis.space,
            family,
            packet: packet.clone(),
            closed: conditions,
            known,
            nat_hint,
            logs_decide,
            unknown_fields: Vec::new(),
            path: Vec::new(),
            stage: Stage::default(),
        };
        walker.packet_through(&bases, way)
    };
    let mut todo = vec![given.to_vec()];
    let mut first: Option<Walked> = None;
    let mut turned: Vec<u32> = Vec::new();
    let mut runs = 0;
    while let Some(known) = todo.pop() {
        runs += 1;
        match run(known.clone()) {
            Ok(done) => match &first {
                None => first = Some(done),
                Some(f) if f.verdict == done.verdict => {}
                Some(f) => {
                    turned.extend(known.iter().skip(given.len()).map(|k| k.0));
                    turned.sort_unstable();
                    turned.dedup();
                    let mut out = f.clone();
                    out.verdict = Outcome::Unknown;
                    out.conditions = turned;
                    return out;
                }
            },
            Err(Stop::Condition(id)) if runs < FORKS => {
                turned.push(id);
                for value in [true, false] {
                    let mut next = known.clone();
                    next.push((id, value));
                    todo.push(next);
                }
            }
            Err(stop) => {
                let because = match stop {
                    Stop::Condition(id) => {
                        turned.push(id);
                        "more conditions are open than can be tried".to_owned()
                    }
                    Stop::Unknown(why) => why,
                };
                turned.sort_unstable();
                turned.dedup();
                return Walked {
                    verdict: Outcome::Unknown,
                    path: Vec::new(),
                    decided: None,
                    conditions: turned,
                    because: Some(because),
                    became: packet.clone(),
                };
            }
        }
    }
    first.unwrap_or(Walked {
        verdict: Outcome::Unknown,
        path: Vec::new(),
        decided: None,
        conditions: Vec::new(),
        because: None,
        became: packet.clone(),
    })
}

/// Why a run could not go on.
enum Stop {
    /// It turns on this condition.
    Condition(u32),
    /// It turns on something else.
    Unknown(String),
}

/// What became of the packet in a chain.
enum Flow {
    /// The end of the chain, or `return`.
    Returned,
    /// Accepted: the base chain ends.
    Accepted,
    /// Ended.
    Ended(Outcome),
}

struct Walker<'a> {
    device: &'a Device,
    space: &'a Space,
    family: Family,
    packet: Packet,
    closed: Option<&'a [u32]>,
    known: Vec<(u32, bool)>,
    nat_hint: Option<&'a Packet>,
    logs_decide: bool,
    unknown_fields: Vec<Field>,
    path: Vec<Line>,
    stage: Stage,
}

impl Walker<'_> {
    fn packet_through(&mut self, bases: &[&BaseChain], way: Way) -> Result<Walked, Stop> {
        let mut filter: Option<Line> = None;
        let no_own = !bases.iter().any(|b| !b.nat && b.hook == way.hook());
        for base in bases {
            // Translation looks at a packet before the rules of its chains, which are at priority -100 (`NF_IP_PRI_NAT_DST`).
            let first = matches!(base.hook, Hook::Ingress) || matches!(base.hook, Hook::Prerouting | Hook::Output) && base.priority < -100;
            if !first && self.space.is_lost_redirect(self.family, &self.packet) {
                return Ok(self.end(Outcome::Drop, None));
            }
            if !self.enters(base) {
                continue;
            }
            self.stage = Stage::of(base, way);
            if self.stage.hopped
                && self.space.is_matched(Field::Ttl)
                && self.packet.field(Field::Ttl) < 2
                && !self.unknown_fields.contains(&Field::Ttl)
            {
                // Who has no hop left is not routed on (`ip_forward`, `ip6_forward`).
                return Ok(self.end(Outcome::Drop, None));
            }
            let before = self.path.len();
            let flow = self.chain(base.chain, 0)?;
            let policy = Line { chain: base.chain, rule: None };
            let decided = match flow {
                Flow::Ended(verdict) => return Ok(self.end(verdict, self.path.last().copied())),
                Flow::Accepted => self.path.last().copied(),
                Flow::Returned => {
                    let drops = match base.policy.action {
                        PolicyAction::Accept => false,
                        PolicyAction::Drop => true,
                        PolicyAction::Unknown => match self.space.policy_condition(base.chain) {
                            Some(id) => !self.holds(id)?,
                            None => return Err(Stop::Unknown("the policy is not known".into())),
                        },
                    };
                    if drops {
                        self.path.push(policy);
                        return Ok(self.end(Outcome::Drop, Some(policy)));
                    }
                    Some(policy)
                }
            };
            // The line to name is the one that let the packet through the filter of its hook: an accepting rule rather than a
            // policy, and no NAT chain. Where nothing hangs on that hook, rules decide on arrival and departure.
            let explicit = self.path.len() > before && decided.is_some_and(|d| d.rule.is_some());
            if !base.nat && (base.hook == way.hook() || no_own) && (explicit || filter.is_none_or(|f| f.rule.is_none())) {
                filter = decided;
            }
        }
        if self.space.is_lost_redirect(self.family, &self.packet) {
            return Ok(self.end(Outcome::Drop, None));
        }
        let last = filter.or(bases.last().map(|b| Line { chain: b.chain, rule: None }));
        Ok(self.end(Outcome::Accept, last))
    }

    fn end(&self, verdict: Outcome, decided: Option<Line>) -> Walked {
        Walked { verdict, path: self.path.clone(), decided, conditions: Vec::new(), because: None, became: self.packet.clone() }
    }

    fn enters(&self, base: &BaseChain) -> bool {
        let iif = self.packet.field(Field::Iif);
        let on_device = base.devices.is_empty() || base.devices.iter().any(|p| self.space.interfaces(p).contains(iif));
        let icmp = if self.family == Family::V4 { 1 } else { 58 };
        let opens = match self.packet.field(Field::Ct) {
            ct::NEW => true,
            ct::RELATED => self.packet.field(Field::Proto) != icmp,
            _ => false,
        };
        on_device && (!base.nat || opens)
    }

    fn chain(&mut self, id: ChainId, depth: usize) -> Result<Flow, Stop> {
        if depth > CALL_DEPTH {
            return Err(Stop::Unknown("calls are nested too deep".into()));
        }
        let device = self.device;
        for (r, rule) in device.chain(id).rules.iter().enumerate() {
            if !rule.enabled || !self.matches(&rule.matcher)? {
                continue;
            }
            self.path.push(Line { chain: id, rule: Some(r as u32) });
            if rule.log && self.logs_decide {
                return Ok(Flow::Ended(Outcome::Accept));
            }
            self.change(rule);
            match &rule.action {
                Action::Continue => {}
                Action::Accept => return Ok(Flow::Accepted),
                Action::Drop => return Ok(Flow::Ended(Outcome::Drop)),
                Action::Reject(_) => return Ok(Flow::Ended(Outcome::Reject)),
                Action::Return => return Ok(Flow::Returned),
                Action::Jump(to) => match self.chain(*to, depth + 1)? {
                    Flow::Returned => {}
                    other => return Ok(other),
                },
                Action::Goto(to) => return self.chain(*to, depth + 1),
                Action::Nat(translation) => {
                    self.translate(translation);
                    return Ok(Flow::Accepted);
                }
                Action::Opaque(what) => match self.space.rule_condition(id, r) {
                    None => return Err(Stop::Unknown(what.to_string())),
                    Some(c) => {
                        if self.holds(c + 1)? {
                            return Ok(Flow::Ended(Outcome::Drop));
                        }
                        if self.holds(c)? {
                            return Ok(Flow::Accepted);
                        }
                    }
                },
            }
        }
        Ok(Flow::Returned)
    }

    fn change(&mut self, rule: &Rule) {
        for effect in &rule.effects {
            match effect {
                // After the hop, the packet is kept as if it had not been made.
                Effect::Set(Field::Ttl, v) if self.stage.hopped && *v < 255 => self.set(Field::Ttl, v + 1),
                Effect::Set(Field::Ttl, _) | Effect::SetBits { field: Field::Ttl, .. } if self.stage.hopped => {
                    self.unknown_fields.push(Field::Ttl)
                }
                Effect::Set(f, v) => self.set(*f, *v & (*f).max(self.family)),
                Effect::SetBits { field, mask, value, xor } => {
                    let old = self.packet.field(*field);
                    let new = if *xor { (old & !mask) ^ value } else { (old & !mask) | (value & mask) };
                    if !self.unknown_fields.contains(field) {
                        self.set(*field, new);
                    }
                }
                Effect::Copy { from, to } => {
                    if self.unknown_fields.contains(from) {
                        self.unknown_fields.push(*to);
                    } else {
                        self.set(*to, self.packet.field(*from));
                    }
                }
                Effect::Unknown(f) => self.unknown_fields.push(*f),
                Effect::Untrack => {
                    // After tracking, only what is in no connection can still be exempt (`nft_notrack_eval`).
                    if self.stage.early || self.packet.field(Field::Ct) == ct::INVALID {
                        self.set(Field::Ct, ct::UNTRACKED);
                    }
                }
            }
        }
    }

    fn set(&mut self, field: Field, value: u128) {
        self.packet.set(field, value);
        self.unknown_fields.retain(|f| *f != field);
    }

    fn translate(&mut self, t: &Translation) {
        let (address, port, kind, bit) = match t.kind {
            NatKind::Destination | NatKind::Redirect => (Field::Dst, Field::Dport, Field::DstType, 2),
            NatKind::Source | NatKind::Masquerade => (Field::Src, Field::Sport, Field::SrcType, 1),
        };
        let hint = self.nat_hint;
        let wanted = |f: Field| hint.map(|h| h.field(f));
        let old = self.packet.field(address);
        let own = || self.space.local(self.family).and_then(|l| wanted(address).filter(|w| l.contains(*w)).or(l.min()));
        let new = match (&t.addresses, t.kind) {
            _ if t.unknown => None,
            (Some((f, _)), _) if *f != self.family => return,
            (Some((_, set)), _) if t.keep_host_bits => match set.intervals() {
                [(lo, hi)] => Some(lo | (old & (hi - lo))),
                _ => None,
            },
            (Some((_, set)), _) => wanted(address).filter(|w| set.contains(*w)).or(set.min()),
            (None, NatKind::Redirect) => own(),
            (None, NatKind::Masquerade) => self.space.masquerade(self.family, self.packet.field(Field::Oif)),
            (None, _) => Some(old),
        };
        match new {
            Some(n) => self.set(address, n),
            None => match wanted(address) {
                Some(w) => self.set(address, w),
                None => self.unknown_fields.push(address),
            },
        }
        match wanted(kind) {
            Some(w) => self.set(kind, w),
            None if t.kind == NatKind::Redirect => self.set(kind, crate::packets::fields::addr_type::LOCAL),
            None => {}
        }
        if self.packet.field(port) != ABSENT_PORT {
            if t.unknown {
                match wanted(port) {
                    Some(w) => self.set(port, w),
                    None => self.unknown_fields.push(port),
                }
            } else if let Some(set) = &t.ports
                && let Some(p) = wanted(port).filter(|w| set.contains(*w)).or(set.min())
            {
                self.set(port, p);
            }
        }
        self.set(Field::CtNat, self.packet.field(Field::CtNat) | bit);
    }

    /// Whether an opaque condition holds.
    fn holds(&self, id: u32) -> Result<bool, Stop> {
        if let Some(list) = self.closed {
            return Ok(list.contains(&id));
        }
        match self.known.iter().find(|k| k.0 == id) {
            Some(k) => Ok(k.1),
            None => Err(Stop::Condition(id)),
        }
    }

    /// Whether the packet matches. What is certain is looked at first: a rule whose address differs does not match, whatever
    /// its opaque condition is.
    fn matches(&self, m: &Match) -> Result<bool, Stop> {
        match m {
            Match::Any => Ok(true),
            Match::Never => Ok(false),
            Match::Family(f) => Ok(*f == self.family),
            Match::Field(field, set) => {
                if self.unknown_fields.contains(field) {
                    return Err(Stop::Unknown(format!("the value of {} is not known here", field.name())));
                }
                let value = match *field {
                    Field::Ct if self.stage.early => self.early_state(),
                    Field::Ttl => self.packet.field(Field::Ttl).saturating_sub(self.stage.hopped.into()),
                    field => self.packet.field(field),
                };
                self.or_fragment(set.contains(value), || self.space.fragment_condition(*field, set), *field)
            }
            Match::Address(field, family, set) => {
                if *family != self.family {
                    return Ok(false);
                }
                if self.unknown_fields.contains(field) {
                    return Err(Stop::Unknown(format!("the {} address is not known here", field.name())));
                }
                Ok(set.contains(self.packet.field(*field)))
            }
            Match::Interface(direction, pattern) => {
                let field = match direction {
                    Direction::In => Field::Iif,
                    Direction::Out => Field::Oif,
                };
                Ok(self.space.interfaces(pattern).contains(self.packet.field(field)))
            }
            Match::InSet { set, fields, .. } => {
                let key = fields.iter().find(|f| TRANSPORT.contains(f));
                let inside = self.in_set(set, fields)?;
                key.map_or(Ok(inside), |f| self.or_fragment(inside, || self.space.fragment_set_condition(set, fields), *f))
            }
            Match::Opaque(id) => self.holds(id.0),
            Match::Not(inner) => Ok(!self.matches(inner)?),
            Match::All(parts) => self.combine(parts, false),
            Match::AnyOf(parts) => self.combine(parts, true),
        }
    }

    /// All (`stops_at` false) or any (`stops_at` true) of the parts: a part that settles it wins over one that is open.
    fn combine(&self, parts: &[Match], stops_at: bool) -> Result<bool, Stop> {
        let mut open = None;
        for part in parts {
            match self.matches(part) {
                Ok(value) if value == stops_at => return Ok(stops_at),
                Ok(_) => {}
                Err(stop) => open = open.or(Some(stop)),
            }
        }
        open.map_or(Ok(!stops_at), Err)
    }

    /// Whether a transport field matches: in a later fragment, which has none, also if what it carries reads so.
    fn or_fragment(&self, matches: bool, condition: impl Fn() -> Option<u32>, field: Field) -> Result<bool, Stop> {
        if matches || self.packet.field(Field::Fragment) != 2 || !TRANSPORT.contains(&field) {
            return Ok(matches);
        }
        match condition() {
            Some(id) => self.holds(id),
            None if self.space.fragments_are_unknown() => {
                Err(Stop::Unknown("what a later fragment carries may be read as its header".into()))
            }
            None => Ok(false),
        }
    }

    fn early_state(&self) -> u128 {
        if self.packet.field(Field::Ct) == ct::UNTRACKED { ct::UNTRACKED } else { ct::INVALID }
    }

    fn in_set(&self, name: &str, fields: &[Field]) -> Result<bool, Stop> {
        let mut inside = false;
        if let Some(set) = self.device.set(name) {
            for element in &set.elements {
                let fits = element.values.len() <= fields.len();
                let hit = fits && element.values.iter().zip(fields).all(|(v, f)| self.value_is(v, *f));
                if hit {
                    inside = !element.excluded;
                }
            }
        }
        match self.space.set_condition(name, fields) {
            Some(id) if !inside => self.holds(id),
            _ => Ok(inside),
        }
    }

    fn value_is(&self, value: &SetValue, field: Field) -> bool {
        let at = |f: Field| self.packet.get(Dim::field(f));
        match value {
            SetValue::Any => true,
            SetValue::Address(family, set) => *family == self.family && set.contains(at(field)),
            SetValue::Number(set) => set.contains(at(field)),
            SetValue::Interface(p) => self.space.interfaces(p).contains(at(interface_of(field))),
            SetValue::Service(protocol, rest) => {
                at(Field::Proto) == u128::from(*protocol) && rest.as_ref().is_none_or(|(kind, set)| set.contains(at(port_of(*kind, field))))
            }
        }
    }
}
