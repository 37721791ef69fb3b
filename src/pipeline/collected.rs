//! Files that a collecting script wrote: whose they are, and whether they are still what was collected.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::walk::Found;
use crate::diag::{LineState, Note};
use crate::model::{Device, HostSetting};
use crate::source::Sources;
use crate::vendors::Format;

/// The name of a manifest, and the id of its format.
const MANIFEST: (&str, &str) = ("manifest.txt", "collect-manifest");

/// The host that a manifest names.
pub(super) fn host(device: &Device, format: &Format) -> Option<String> {
    let (name, _) = device.hostname.as_ref().filter(|_| format.id == MANIFEST.1)?;
    (!name.is_empty()).then(|| name.clone())
}

/// Whether a manifest lies in the folder of a file, or in the one above.
pub(super) fn has_manifest(found: &Found) -> bool {
    let above = found.path.as_deref().map(|p| p.ancestors().skip(1).take(2)).into_iter().flatten();
    above.map(Path::to_path_buf).any(|folder| folder.join(MANIFEST.0).is_file())
}

/// SHA-256 in lower-case hexadecimal digits.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

/// Compares the files of a manifest with what was read: a setting for each, and a note on each that is not the same.
pub(super) fn verify(device: &mut Device, sources: &Sources, digests: &HashMap<&str, Option<&str>>) -> Vec<Note> {
    let mut notes = Vec::new();
    for entry in &device.digests {
        let manifest = &sources.get(entry.span.file).path;
        let folder = manifest.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = if folder.is_empty() { entry.file.clone() } else { format!("{folder}/{}", entry.file) };
        let (value, text) = match digests.get(path.as_str()) {
            Some(Some(is)) if *is == entry.sha256 => ("true", None),
            Some(_) => ("false", Some(format!("{} is not what was collected: it was changed afterwards", entry.file))),
            None => ("missing", Some(format!("{} was collected and is not there", entry.file))),
        };
        device.settings.push(HostSetting { name: format!("collected.{}.unchanged", entry.file), value: value.into(), span: entry.span });
        let line = sources.get(entry.span.file).slice(entry.span);
        if let Some(text) = text.as_ref().filter(|_| line.split_ascii_whitespace().nth(1) == Some("filter")) {
            // What the manifest says of the whole filter is no longer so.
            device.exhaustive = false;
            device.fragment.get_or_insert((entry.span, text.clone()));
        }
        notes.extend(text.map(|text| Note { span: entry.span, state: LineState::NotModelled, text, incomplete: false }));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_fips_180() {
        assert_eq!(digest(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
