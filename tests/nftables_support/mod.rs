//! The model as text without spans, in an order that does not depend on how the elements of a set are written.
#![allow(dead_code)]

use fwproof::model::{Action, Device, Match, SetValue};
use fwproof::net::{Family, Ranges};

/// Everything the device holds of a packet filter, one line for each thing.
pub fn dump(device: &Device) -> Vec<String> {
    let mut out = Vec::new();
    for base in &device.base_chains {
        let name = &device.chain(base.chain).name;
        // `nft -j` of version 1.0.6 leaves out the devices.
        out.push(format!(
            "base {name} {} {} {:?} nat={} {:?}",
            base.hook.name(),
            base.priority,
            base.families,
            base.nat,
            base.policy.action
        ));
    }
    for chain in &device.chains {
        out.push(format!("chain {}", chain.name));
        // Rules made of one written rule are in the order of a map's elements, which nft does not keep.
        let mut group: Vec<String> = Vec::new();
        let mut whole = None;
        for rule in &chain.rules {
            if whole != Some(rule.whole) {
                group.sort();
                out.append(&mut group);
                whole = Some(rule.whole);
            }
            let action = match &rule.action {
                Action::Jump(c) => format!("jump {}", device.chain(*c).name),
                Action::Goto(c) => format!("goto {}", device.chain(*c).name),
                a => format!("{a:?}"),
            };
            group.push(format!(
                "  {} => {:?} {action}{}{}",
                text(device, &rule.matcher),
                rule.effects,
                if rule.log { " log" } else { "" },
                rule.comment.as_ref().map(|c| format!(" # {c}")).unwrap_or_default()
            ));
        }
        group.sort();
        out.append(&mut group);
    }
    let mut sets: Vec<String> = device
        .sets
        .iter()
        .map(|s| {
            let mut single = Vec::new();
            let mut elements: Vec<String> = Vec::new();
            for e in &s.elements {
                match e.values.as_slice() {
                    [SetValue::Address(_, r)] | [SetValue::Number(r)] => single.extend_from_slice(r.intervals()),
                    _ => elements.push(format!("{:?}", e.values)),
                }
            }
            elements.sort();
            format!("set {} dynamic={} {:?} {elements:?}", s.name, s.dynamic, Ranges::from_intervals(single))
        })
        .collect();
    sets.sort();
    out.extend(sets);
    out
}

/// A match as text.
pub fn text(device: &Device, m: &Match) -> String {
    let many = |v: &[Match], separator: &str| {
        let mut parts: Vec<String> = v.iter().map(|m| text(device, m)).collect();
        parts.sort();
        parts.dedup();
        format!("({})", parts.join(separator))
    };
    match m {
        Match::All(v) => many(v, " && "),
        Match::AnyOf(v) => many(v, " || "),
        Match::Not(m) => format!("!{}", text(device, m)),
        Match::Opaque(id) => format!("<{}>", device.conditions.get(*id).0),
        Match::InSet { set, fields, .. } => format!("{fields:?} in {set}"),
        Match::Address(f, family, r) => format!("{}={}", f.name(), fwproof::net::format_addresses(*family, r)),
        Match::Field(f, r) => format!("{}={r:?}", f.name()),
        Match::Family(Family::V4) => "v4".into(),
        Match::Family(Family::V6) => "v6".into(),
        Match::Interface(d, n) => format!("{d:?} {}{}", n.name, if n.wildcard { "*" } else { "" }),
        m => format!("{m:?}"),
    }
}
