//! What the kernel prints of rules that were loaded into a network namespace of their own.

use std::path::Path;
use std::process::Command;

/// Runs a script of the shell among files, if wanted in a namespace; the folder with what it wrote, or what it complained of.
pub fn shell(namespace: &[&str], files: &[(&str, &str)], script: &str) -> Result<tempfile::TempDir, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).map_err(|e| e.to_string())?;
    }
    std::fs::write(folder.path().join("run"), format!("PATH=$PATH:/usr/sbin:/sbin\n{script}\n")).map_err(|e| e.to_string())?;
    let words: Vec<&str> = namespace.iter().copied().chain(["sh", "run"]).collect();
    let output = Command::new(words[0]).args(&words[1..]).current_dir(folder.path()).output().map_err(|e| e.to_string())?;
    if output.status.success() { Ok(folder) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// A file that a script wrote.
pub fn text(folder: &Path, name: &str) -> Result<String, String> {
    std::fs::read_to_string(folder.join(name)).map_err(|e| format!("{name}: {e}"))
}

/// The same files as the kernel prints them after it has loaded them.
pub fn printed(namespace: &[&str], files: &[(&'static str, String)]) -> Result<Vec<(&'static str, String)>, String> {
    let has = |name: &str| files.iter().any(|f| f.0 == name);
    let sets = if has("ipset.save") { "ipset restore < ipset.save && ipset save > ipset.out && " } else { "" };
    let script = if has("rules.nft") {
        "nft -f rules.nft && nft list ruleset > rules.nft.out".to_owned()
    } else {
        let one = |family: &str, file: &str| format!("{family}-legacy-restore < {file} && {family}-legacy-save > {file}.out");
        format!("{sets}{} && {}", one("iptables", "rules.v4"), one("ip6tables", "rules.v6"))
    };
    let written: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let folder = shell(namespace, &written, &script)?;
    let out = |name: &str| if name == "ipset.save" { "ipset.out".to_owned() } else { format!("{name}.out") };
    files.iter().map(|(name, _)| Ok((*name, text(folder.path(), &out(name))?))).collect()
}
