//! The real Shorewall as an oracle: what its compiler makes of a configuration (`shorewall check -r`), read as iptables, and what we read of the
//! configuration must let the same packets through. The compiler runs in a network namespace of its own, and changes nothing. Skipped, visibly,
//! where it is missing.

// What was skipped must be seen.
#![allow(clippy::print_stderr)]

mod equal_sets;

use std::path::{Path, PathBuf};
use std::process::Command;

use fwproof::model::Device;
use fwproof::pipeline::{Options, read};

fn device(folder: &Path, notes: bool) -> Device {
    let mut inventory = read(&[folder.to_path_buf()], &Options::default());
    assert!(inventory.incomplete.is_empty(), "{:?}", inventory.incomplete);
    assert_eq!(inventory.devices.len(), 1, "{:?}", inventory.devices.iter().map(|d| &d.name).collect::<Vec<_>>());
    if notes && std::env::var_os("FWPROOF_NOTES").is_some() {
        for (file, note) in inventory.files.iter().flat_map(|f| f.notes.iter().map(move |n| (f, n))) {
            let source = inventory.sources.get(file.file);
            eprintln!("{}: {}: {}", source.path, source.slice(note.span).trim(), note.text);
        }
    }
    inventory.devices.remove(0)
}

/// What the compiler of a family makes of a folder, as `iptables-restore` gets it; what it says where it refuses.
fn compile(program: &str, folder: &Path) -> Result<String, String> {
    let run = Command::new("unshare").args(["-n", program, "check", "-r"]).arg(folder).output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    if said.contains("ERROR:") || !run.status.success() {
        return Err(said.lines().filter(|l| l.contains("ERROR")).collect::<Vec<_>>().join("\n"));
    }
    let wanted = |l: &String| l.starts_with(['*', ':']) || l.starts_with("-A ") || *l == "COMMIT";
    // In IPv6 there are loops over the anycast addresses that the firewall has when it starts: packets from or to them, whichever they are.
    let rules: Vec<String> = said.lines().map(anycast).filter(wanted).collect();
    Ok(rules.join("\n") + "\n")
}

fn anycast(line: &str) -> String {
    match line.trim().strip_prefix("echo \"").and_then(|l| l.strip_suffix("\" >&3")).filter(|l| l.contains(" $address ")) {
        Some(rule) => {
            rule.replace("-d $address", "-m addrtype --dst-type ANYCAST").replace("-s $address", "-m addrtype --src-type ANYCAST")
        }
        None => line.to_owned(),
    }
}

fn available() -> bool {
    let runs = |program: &str| Command::new("unshare").args(["-n", program, "version"]).output().is_ok_and(|o| o.status.success());
    runs("shorewall") && runs("shorewall6")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the folder of the configuration") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(std::fs::copy(&path, &target).expect("a copy")),
        }
    }
}

/// Compares one configuration: what is different, the number of pairs of sets, those left open. `v4` and `v6`: its folders.
fn compare(name: &str, v4: Option<&Path>, v6: Option<&Path>) -> (Vec<String>, usize, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let (files, dump) = (folder.path().join("files"), folder.path().join("dump"));
    std::fs::create_dir_all(&dump).expect("a folder");
    for (from, program, to) in [(v4, "shorewall", "rules.v4"), (v6, "shorewall6", "rules.v6")] {
        let Some(from) = from else { continue };
        let own = files.join("etc").join(program);
        copy(from, &own);
        let rules = compile(program, &own).unwrap_or_else(|e| panic!("{name}: {e}"));
        if std::env::var_os("FWPROOF_SHOW").is_some() {
            eprintln!("{name}\n{rules}");
        }
        std::fs::write(dump.join(to), rules).expect("written");
    }
    let (ours, theirs) = (device(&files, true), device(&dump, false));
    let (different, compared, open) = equal_sets::differences(("the files", &ours), ("Shorewall", &theirs));
    (different.into_iter().map(|d| format!("{name}: {d}")).collect(), compared, open)
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/shorewall/oracle")
}

#[test]
fn the_files_of_shorewall_let_through_what_its_compiler_lets_through() {
    if !available() {
        eprintln!("skipped: shorewall cannot be run in a namespace of its own here");
        return;
    }
    let mut folders: Vec<PathBuf> = std::fs::read_dir(fixtures()).expect("fixtures").map(|e| e.expect("an entry").path()).collect();
    folders.sort();
    let only = std::env::var("FWPROOF_ONLY").ok();
    let (mut wrong, mut pairs, mut open, mut count) = (Vec::new(), 0, 0, 0);
    for folder in folders.iter().filter(|f| only.as_ref().is_none_or(|o| f.ends_with(o))) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (v4, v6) = (folder.join("shorewall"), folder.join("shorewall6"));
        let v4 = if v4.is_dir() || v6.is_dir() { Some(v4).filter(|f| f.is_dir()) } else { Some(folder.clone()) };
        let (different, compared, left) = compare(&name, v4.as_deref(), Some(v6.as_path()).filter(|f| f.is_dir()));
        eprintln!("{name}: {compared} pairs of sets, {left} left open, {} different", different.len());
        wrong.extend(different);
        (pairs, open, count) = (pairs + compared, open + left, count + 1);
    }
    eprintln!("compared with the real compiler: {count} configurations, {pairs} pairs of sets, {open} left open");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The intents of `tests/cross` in this format, and their wrong twins.
#[test]
fn intents_are_read_as_the_compiler_reads_them() {
    if !available() {
        eprintln!("skipped: shorewall cannot be run in a namespace of its own here");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cross");
    let (mut wrong, mut pairs, mut left, mut count) = (Vec::new(), 0, 0, 0);
    for entry in std::fs::read_dir(root).expect("the intents") {
        let intent = entry.expect("an entry").path();
        for folder in [intent.join("shorewall/etc"), intent.join("wrong/shorewall/etc")].iter().filter(|f| f.is_dir()) {
            let name = intent.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (different, compared, open) = compare(&name, Some(&folder.join("shorewall")), Some(&folder.join("shorewall6")));
            wrong.extend(different);
            (pairs, left, count) = (pairs + compared, left + open, count + 1);
        }
    }
    eprintln!("compared with the real compiler: {count} intents, {pairs} pairs of sets, {left} left open");
    assert!(count > 0 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_samples_of_shorewall_are_read_as_its_compiler_reads_them() {
    let samples = Path::new("/usr/share/doc/shorewall/examples");
    let samples6 = Path::new("/usr/share/doc/shorewall6/examples");
    if !available() || !samples.is_dir() {
        eprintln!("skipped: shorewall or its samples are not here");
        return;
    }
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (top, six) in [(samples, false), (samples6, true)] {
        for entry in std::fs::read_dir(top).into_iter().flatten().flatten() {
            let path = entry.path();
            if !path.join("zones").is_file() {
                continue;
            }
            // A sample says that it must not be started; the comparison is about one that is.
            let folder = tempfile::tempdir().expect("a folder");
            copy(&path, folder.path());
            let conf = folder.path().join(if six { "shorewall6.conf" } else { "shorewall.conf" });
            let text = std::fs::read_to_string(&conf).expect("the settings");
            std::fs::write(&conf, text.replace("STARTUP_ENABLED=No", "STARTUP_ENABLED=Yes")).expect("written");
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (v4, v6) = if six { (None, Some(folder.path())) } else { (Some(folder.path()), None) };
            let (different, compared, open) = compare(&name, v4, v6);
            eprintln!("{name} {}: {compared} pairs of sets, {open} left open", if six { "IPv6" } else { "IPv4" });
            wrong.extend(different);
            count += 1;
        }
    }
    eprintln!("compared with the real compiler: {count} samples");
    assert!(count > 0 && wrong.is_empty(), "{}", wrong.join("\n"));
}
