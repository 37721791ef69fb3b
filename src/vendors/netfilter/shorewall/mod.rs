//! Shorewall: the files of `/etc/shorewall` and `/etc/shorewall6`.
//!
//! None of these files is a ruleset by itself: Shorewall's compiler makes one of all of them. So the files of a device are read together, those
//! of each family apart. `lines` reads their common syntax, `values` and `settings` their variables and settings; `compile` and what it calls
//! does what the compiler does, into the chains of `book`, whose words the reader of iptables lowers.

mod actions;
mod book;
mod columns;
mod compile;
mod extras;
mod files;
mod lines;
mod macros;
mod matrix;
mod nat;
mod options;
mod policy;
mod rules;
mod settings;
#[cfg(test)]
mod tests;
mod values;
mod words;
mod zones;

use std::collections::BTreeMap;

use compile::{Folder, compile, without_six};

use crate::diag::LineState::{Irrelevant, NotModelled};
use crate::net::Family;
use crate::source::SourceFile;
use crate::vendors::{Format, Reader, Role};

pub use files::evidence;

/// The format.
pub static SHOREWALL: Format = Format {
    id: "shorewall",
    title: "Shorewall: /etc/shorewall and /etc/shorewall6",
    export: "cp -r --parents /etc/shorewall /etc/shorewall6 HOST/",
    covers: &[
        "zones with nesting, interfaces with their options, hosts, policies with their actions and limits",
        "rules of all sections, blrules; macros and actions, those of version 5.2.8 and the user's own",
        "snat, masq, nat, netmap, conntrack, tunnels, maclist; marks of mangle",
        "shorewall.conf, params with plain assignments, directives and includes; IPv4 and IPv6",
    ],
    leaves: &[
        "what the dynamic blacklist holds while the firewall runs",
        "scripts that Shorewall runs, embedded Perl and shell",
        "addresses that are found when the firewall starts (names, &eth0, detect), rates, times, users by name (opaque conditions)",
        "providers and routing rules, traffic shaping, accounting, what is let through while Shorewall is stopped",
        "translation within actions that are chains of their own",
    ],
    role: Role::Firewall,
    detect: files::detect,
    read,
    includes: Some(lines::includes),
};

fn read(reader: &mut Reader<'_>) {
    let mut all = vec![reader.file];
    all.extend(reader.beside.iter().copied());
    // By family and folder.
    let mut folders: BTreeMap<(bool, String), Folder<'_>> = BTreeMap::new();
    let mut unused: Vec<&SourceFile> = Vec::new();
    for file in all {
        let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        if !files::is_loaded(name) {
            unused.push(file);
            continue;
        }
        folders.entry((false, folder.to_owned())).or_default().files.insert(name.to_owned(), file);
    }
    let mut by_family: BTreeMap<bool, Vec<Folder<'_>>> = BTreeMap::new();
    for ((_, path), folder) in folders {
        by_family.entry(files::is_six(&path, &folder.files)).or_default().push(folder);
    }
    for file in unused {
        // Shorewall looks at files by their names.
        reader.mark(file.whole(), Irrelevant);
    }
    let has_six = by_family.contains_key(&true) || reader.dumped.contains(&Family::V6);
    for (six, mut folders) in by_family {
        let family = if six { Family::V6 } else { Family::V4 };
        // The folder with the zones is the one that is compiled; what another one holds beside it is found by the path of configurations.
        folders.sort_by_key(|f| (!f.has("zones"), std::cmp::Reverse(f.files.len())));
        let mut folders = folders.into_iter();
        let Some(mut first) = folders.next() else { continue };
        for other in folders {
            let whole = other.has("zones");
            for (name, file) in other.files {
                if whole || first.has(&name) {
                    let text = "another folder of this device has the configuration that is read; this file is not";
                    reader.note(file.line_span(0), NotModelled, text);
                    reader.mark(file.whole(), Irrelevant);
                } else {
                    first.files.insert(name, file);
                }
            }
        }
        if reader.dumped.contains(&family) {
            for file in first.files.values() {
                reader.mark(file.whole(), Irrelevant);
                let text =
                    "another file of this device shows the rules of this family as the kernel has them: that one is read, and not this";
                reader.note(file.line_span(0), NotModelled, text);
            }
            continue;
        }
        if let Some(span) = compile(reader, family, first).filter(|_| !has_six) {
            without_six(reader, span);
        }
    }
}
