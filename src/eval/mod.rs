//! From a device's rules to exact answers: which packets pass, and which rule decides.
//!
//! * [`space`]: the device's interfaces and address types as numbers, and which packets can occur at a hook;
//! * `compile`: matchers to cubes;
//! * [`program`]: the chains of a packet's way, flattened to one ordered list of entries;
//! * `index`: finds the entries that concern a packet or a cube;
//! * `solve`: who decides about a packet, and whether a packet of a region gets to an entry;
//! * `cells`: the same for hard clusters of rules, another way;
//! * [`facts`]: what a device is besides its packet filter, for comparison;
//! * [`fates`]: which rules are live, shadowed, or redundant;
//! * [`flow`]: the packets of a region that are accepted or denied, through address translation;
//! * [`trace`]: packets as lines of JSON;
//! * [`walk`]: the same semantics a second time, one packet at a time, written without any of the above.

mod cells;
pub mod compare;
mod compile;
pub mod facts;
pub mod fates;
pub mod flow;
mod index;
pub mod plain;
pub mod program;
mod solve;
pub mod space;
pub mod trace;
pub mod walk;
pub mod words;

pub use program::{Act, Limit, Line, Program, Purpose};
pub use space::{Space, Way};

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};

use crate::model::{Device, NamePattern, Rule};
use crate::net::Family;
use crate::source::{Limits, Span};

/// A device under analysis: its names as numbers, and the programs built so far.
pub struct Analysis<'a> {
    /// The device.
    pub device: &'a Device,
    /// Its names as numbers.
    pub space: Space,
    limit: usize,
    /// Some rule logs.
    logs: bool,
    patience: usize,
    programs: Mutex<HashMap<Key, Arc<OnceLock<ProgramResult>>>>,
    fates: OnceLock<FatesResult>,
}

/// What an export lacks, see [`Analysis::missing`].
pub struct Missing {
    /// What was not read.
    pub what: String,
    /// How to come by it.
    pub export: String,
}

type ProgramResult = Result<Arc<Program>, Limit>;

type FatesResult = Result<BTreeMap<Line, fates::Fate>, Limit>;

type Key = (Way, Family, Purpose, Option<String>);

impl<'a> Analysis<'a> {
    /// Prepares a device. `interfaces`: names that questions will use besides those of the device.
    pub fn new(device: &'a Device, interfaces: &[NamePattern], limits: &Limits) -> Analysis<'a> {
        let space = Space::new(device, interfaces);
        let logs = device.chains.iter().flat_map(|c| &c.rules).any(|r| r.log);
        let (limit, patience) = (limits.expanded_rules, solve::PATIENCE);
        Analysis { device, space, limit, logs, patience, programs: Mutex::new(HashMap::new()), fates: OnceLock::new() }
    }

    /// With another number of steps after which a search goes over to its second method, for tests of that method: the answers are the same.
    pub fn with_patience(self, steps: usize) -> Analysis<'a> {
        Analysis { patience: steps, ..self }
    }

    /// The program of a way, built once.
    pub fn program(&self, way: Way, family: Family, mut purpose: Purpose, from: Option<&program::Resume>) -> Result<Arc<Program>, Limit> {
        // Purposes that come to the same share a program.
        purpose.logs_decide &= self.logs;
        purpose.all_chains |= !purpose.logs_decide && program::last_can_block(self.device, family, way);
        let key = (way, family, purpose, from.map(program::Resume::key));
        // Who comes while it is being built waits for it; others are not held up.
        let cell = self.programs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).entry(key).or_default().clone();
        let built = cell.get_or_init(|| {
            let mut program = match from {
                None => Program::new(self.device, &self.space, family, way, purpose, self.limit)?,
                Some(from) => Program::resume(self.device, &self.space, (family, way), purpose, self.limit, from)?,
            };
            program.patience = self.patience;
            Ok(Arc::new(program))
        });
        built.clone()
    }

    /// The fate of every rule, found once.
    pub fn fates(&self) -> Result<&BTreeMap<Line, fates::Fate>, Limit> {
        self.fates.get_or_init(|| fates::fates(self)).as_ref().map_err(Clone::clone)
    }

    /// The ways and families on which a base chain hangs.
    pub fn used_ways(&self) -> Vec<(Way, Family)> {
        let all = Way::ALL.into_iter().flat_map(|w| Family::BOTH.into_iter().map(move |f| (w, f)));
        all.filter(|(w, f)| !program::base_chains(self.device, *f, *w).is_empty()).collect()
    }

    /// What the export lacks so that it is not known what becomes of packets on a way. `None`: nothing.
    ///
    /// A way of which no filter was read lets everything pass only if the export shows every filter that there is.
    pub fn missing(&self, way: Way, family: Family) -> Option<Missing> {
        // Address translation, and the tables mangle and security of iptables (priorities -150 and 50, `nf_ip_hook_priorities`), say nothing
        // of what the table filter would: a listing of one table, `iptables -t nat -L`, leaves the others out.
        let filters = |b: &&&crate::model::BaseChain| !b.nat && !matches!(b.priority, -150 | 50) && b.hook == way.hook();
        if self.device.exhaustive || program::base_chains(self.device, family, way).iter().any(|b| filters(&b)) {
            return None;
        }
        let command = if family == Family::V4 { "iptables-save" } else { "ip6tables-save" };
        let export = match &self.device.fragment {
            Some((_, sign)) => format!("{sign}, and does not show the rest: export nft list ruleset"),
            None => format!("export them too ({command}, or nft list ruleset)"),
        };
        Some(Missing { what: format!("no {} rules for {} were read", family.name(), way.name()), export })
    }

    /// The place of a line: the rule, or the policy; `None` for "no firewall at all".
    pub fn span(&self, line: Line) -> Option<Span> {
        let chain = self.device.chains.get(line.chain.0 as usize)?;
        match line.rule {
            Some(r) => chain.rules.get(r as usize).map(|r| r.span),
            None => self.device.base_chains.iter().find(|b| b.chain == line.chain).map(|b| b.policy.span),
        }
    }

    /// A line in words: "rule 3 of filter/INPUT", "policy of filter/INPUT".
    pub fn line_words(&self, line: Line) -> String {
        match (self.device.chains.get(line.chain.0 as usize), line.rule) {
            (Some(chain), Some(r)) => match chain.rules.get(r as usize) {
                Some(Rule { implied: Some(what), .. }) => format!("the implied rule \"{what}\" of {}", chain.name),
                Some(Rule { name: Some(name), .. }) => format!("rule {name} of {}", chain.name),
                _ => format!("rule {} of {}", r + 1, chain.name),
            },
            (Some(chain), None) => format!("policy of {}", chain.name),
            (None, _) => "the absence of a filter chain".into(),
        }
    }
}
