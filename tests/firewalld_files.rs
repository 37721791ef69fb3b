//! A folder of firewalld is one device; real files are read.
#![allow(missing_docs, clippy::print_stderr)]

use std::path::{Path, PathBuf};

use fwproof::diag::LineState;
use fwproof::pipeline::{Inventory, Options, read};

fn inventory(path: &Path) -> Inventory {
    read(&[path.to_path_buf()], &Options::default())
}

#[test]
fn a_folder_with_all_its_files_is_one_device() {
    let inventory = inventory(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/firewalld/gate"));
    let names: Vec<&str> = inventory.devices.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["gate"]);
    assert_eq!(inventory.incomplete, []);
    assert!(inventory.files.iter().all(|f| f.device.as_deref() == Some("gate")), "{:?}", inventory.files);
    let unknown = inventory.files.iter().flat_map(|f| &f.lines).filter(|s| **s == LineState::Unrecognised).count();
    assert_eq!(unknown, 0);
    let device = &inventory.devices[0];
    let chain = |name: &str| device.chains.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("{name}"));
    // The service of the folder wins over the shipped one, and what it includes is there.
    assert_eq!(chain("filter_IN_external_allow").rules.len(), 2);
    assert_eq!(chain("filter/FORWARD").rules.len(), 1);
    assert!(device.settings.iter().any(|s| s.name == "firewalld.Lockdown" && s.value == "no"));
    // The default zone is one that firewalld ships.
    assert!(device.chains.iter().any(|c| c.name == "filter_IN_drop"));
}

#[test]
fn what_the_distribution_ships_is_read_first_and_replaced_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| {
        let path = folder.path().join("gate").join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, text).expect("a file");
    };
    put("etc/firewalld/firewalld.conf", "DefaultZone=public\nLockdown=no\nLogDenied=off\n");
    put("etc/firewalld/zones/public.xml", "<zone><service name='own'/><service name='ssh'/></zone>");
    put("usr/lib/firewalld/zones/public.xml", "<zone target='ACCEPT'><service name='own'/></zone>");
    put("usr/lib/firewalld/services/own.xml", "<service><port port='1' protocol='tcp'/><port port='2' protocol='tcp'/></service>");
    let inventory = inventory(folder.path());
    assert_eq!(inventory.devices.len(), 1);
    assert_eq!(inventory.incomplete, []);
    let chain = |name: &str| inventory.devices[0].chains.iter().find(|c| c.name == name).expect("a chain");
    assert_eq!(chain("filter_IN_public_allow").rules.len(), 3);
    assert_ne!(chain("filter_IN_public").rules.last().map(|r| r.action.clone()), Some(fwproof::model::Action::Accept));
}

#[test]
fn every_file_of_the_corpus_is_read_and_hardly_a_line_is_unknown() {
    let given = std::env::var_os("FWPROOF_CORPUS").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|a| a.join("shared/corpus")).find(|p| p.is_dir());
    let Some(corpus) = given.or(beside).map(|c| c.join("firewalld")).filter(|c| c.is_dir()) else {
        eprintln!("skipped: no corpus (set FWPROOF_CORPUS)");
        return;
    };
    let inventory = inventory(&corpus);
    let (mut files, mut counts) = (0, std::collections::BTreeMap::<&str, usize>::new());
    for file in &inventory.files {
        let path = &inventory.sources.get(file.file).path;
        if !(path.ends_with(".xml") || path.ends_with(".conf")) {
            continue;
        }
        assert!(file.format.is_some_and(|f| f.starts_with("firewalld")), "{path}: {:?}", file.format);
        files += 1;
        for state in &file.lines {
            *counts.entry(state.name()).or_default() += 1;
        }
        for note in &file.notes {
            eprintln!("{path}: {}", note.text);
        }
    }
    eprintln!("firewalld: {files} files, {counts:?}");
    let lines: usize = counts.values().sum();
    assert!(files > 0 && counts.get("unrecognised").copied().unwrap_or(0) * 200 <= lines);
}
