//! Rulesets that come with the program.

/// A shipped ruleset.
pub struct Shipped {
    /// Its id: what `use:` names.
    pub id: &'static str,
    /// Its YAML text.
    pub text: &'static str,
}

/// All of them, by id.
pub static SHIPPED: &[Shipped] = &[
    Shipped { id: "customer-data", text: include_str!("../../rulesets/customer-data.yaml") },
    Shipped { id: "estate", text: include_str!("../../rulesets/estate.yaml") },
    Shipped { id: "network-edge", text: include_str!("../../rulesets/network-edge.yaml") },
    Shipped { id: "remote-worker", text: include_str!("../../rulesets/remote-worker.yaml") },
];
