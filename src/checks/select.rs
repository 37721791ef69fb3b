//! Which devices a check is about.

use std::collections::HashSet;

use super::{Spec, World};
use crate::model::Device;

/// Groups of devices that `on:` may name beside device names and `*` patterns, with what they mean.
pub const GROUPS: &[(&str, &str)] =
    &[("group:offices", "every device that is not a remote worker's"), ("group:workers", "every device on the roster of remote workers")];

/// The devices that a check is about, in the order of the world: all, if it does not say.
pub fn devices<'a>(world: &World<'a>, spec: &Spec) -> Vec<&'a Device> {
    let workers = worker_devices(world);
    world.judged().iter().filter(|d| spec.on.is_empty() || spec.on.iter().any(|p| selects(&workers, p, &d.name))).collect()
}

/// The devices on the roster: for looking up many, where [`World::is_worker`] looks up one.
pub fn worker_devices<'w>(world: &'w World<'_>) -> HashSet<&'w str> {
    world.workers.iter().flat_map(|w| w.people.iter().map(|p| p.device.as_str())).collect()
}

/// Those entries of `on:` that select no device. A group may be empty: the check has nothing to look at then and says so itself.
pub fn unmatched<'s>(world: &World<'_>, spec: &'s Spec) -> Vec<&'s str> {
    let nobody = |p: &&String| !p.starts_with("group:") && !world.devices.iter().any(|d| matches(p, &d.name));
    spec.on.iter().filter(nobody).map(String::as_str).collect()
}

/// Whether an entry of `on:` selects the device of a worker.
pub fn selects_worker(pattern: &str, device: &str) -> bool {
    match pattern {
        "group:offices" => false,
        "group:workers" => true,
        _ => matches(pattern, device),
    }
}

fn selects(workers: &HashSet<&str>, pattern: &str, device: &str) -> bool {
    match pattern {
        "group:offices" => !workers.contains(device),
        "group:workers" => workers.contains(device),
        _ => matches(pattern, device),
    }
}

/// Whether a text fits a pattern in which `*` stands for any characters. Linear in practice: a later `*` forgets the earlier one.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (p, t) = (pattern.as_bytes(), text.as_bytes());
    let (mut i, mut j) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while j < t.len() {
        match p.get(i) {
            Some(b'*') => {
                retry = Some((i + 1, j));
                i += 1;
            }
            Some(c) if *c == t[j] => {
                i += 1;
                j += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    i = after;
                    j = from + 1;
                }
                None => return false,
            },
        }
    }
    p[i..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, fits) in [
            ("edge-*", "edge-1", true),
            ("*-fw", "edge-fw", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b", "ac", false),
            ("", "", true),
            ("*", "", true),
            ("a", "", false),
            ("edge", "edge-1", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
