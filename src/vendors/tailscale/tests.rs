use proptest::prelude::*;

use super::TAILSCALE;
use crate::diag::LineState;
use crate::model::Match;
use crate::source::{FileId, SourceFile};
use crate::vendors::detect;

const POLICY: &str = include_str!("../../../tests/fixtures/tailscale/policy.hujson");

#[test]
fn a_policy_is_known_and_read() {
    let (file, reading) = TAILSCALE.read_text("policy.hujson", POLICY);
    assert_eq!(detect(&file).iter().map(|d| d.0.id).collect::<Vec<_>>(), ["tailscale"]);
    assert!(reading.lines[&file.id].iter().all(|s| *s != LineState::Unrecognised), "{:?}", reading.notes);
    let device = &reading.device;
    // Five destinations of ACLs, two of grants (one has only an application), and a rule that nobody wrote.
    assert_eq!(device.chains[0].rules.len(), 8);
    assert!(device.refused.is_empty(), "{:?}", device.refused);
    assert!(device.names.undefined().is_empty() && device.names.unused().is_empty(), "{:?}", device.names.unused());
}

#[test]
fn users_and_tags_are_conditions_and_addresses_are_not() {
    let (_, reading) = TAILSCALE.read_text("policy.hujson", POLICY);
    let opaque = |i: usize| {
        let mut n = 0;
        reading.device.chains[0].rules[i].matcher.walk(&mut |m| n += usize::from(matches!(m, Match::Opaque(_))));
        n
    };
    assert_eq!([1, 2, 3, 4, 5, 6, 7].map(opaque), [1, 2, 1, 0, 1, 3, 2]);
}

#[test]
fn tests_of_the_policy_are_decided() {
    let fails = |from: &str, to: &str| {
        let (_, reading) = TAILSCALE.read_text("policy.hujson", &POLICY.replace(from, to));
        reading.device.refused.iter().map(|r| r.1.clone()).collect::<Vec<_>>()
    };
    let denied = fails("\"deny\": [\"tag:server:3389\"]", "\"deny\": [\"tag:server:443\"]");
    assert_eq!(denied, ["the policy's own test fails: bert@acme.example reaches tag:server:443"]);
    let unreached = fails("\"tag:server:22,443\"", "\"tag:server:443\"");
    assert_eq!(unreached, ["the policy's own test fails: bert@acme.example does not reach tag:server:22"]);
}

#[test]
fn what_is_not_defined_is_said() {
    let (_, reading) = TAILSCALE.read_text("policy.hujson", &POLICY.replace("\"tag:ci\": [\"group:admins\"],", ""));
    assert_eq!(reading.device.names.undefined().iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["tag:ci"]);
}

#[test]
fn other_json_is_no_policy() {
    for text in ["{}", "[]", "{\"hosts\": {}}", "{\"input\": {\"acls\": [{\"src\": [\"group:a\"]}]}}", "acls", "{\"nftables\": []}"] {
        let file = SourceFile::from_text(FileId(0), "x.json", text);
        assert!((TAILSCALE.detect)(&file).is_none(), "{text}");
    }
}

#[test]
fn deep_and_odd_policies_end_soon() {
    for text in [
        format!("{{\"acls\": {}", "[".repeat(200_000)),
        "{\"acls\":[{\"src\":1,\"dst\":[{}]}],\"tests\":[1,{\"src\":\"a\"}],\"hosts\":[]}".into(),
        "{\"acls\":[{\"action\":\"drop\"}]}".into(),
    ] {
        TAILSCALE.read_text("x", &text);
    }
}

proptest! {
    #[test]
    fn damaged_policies_are_read_without_panic(cut in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let mut bytes = POLICY.as_bytes().to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let file = SourceFile::new(FileId(0), "x", &bytes);
        let _ = detect(&file);
        let reading = TAILSCALE.read_file(&file);
        prop_assert_eq!(reading.lines[&file.id].len(), file.line_count());
    }
}
