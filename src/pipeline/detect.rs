//! Which format a file is in: every format is asked, the strongest claim wins, a tie is said.

use super::resemble;
use crate::source::{Encoding, SourceFile};
use crate::vendors::{self, Format};

/// What a file turned out to be.
#[derive(Clone)]
pub(super) enum Kind {
    /// A configuration of this format.
    Format(&'static Format),
    /// No configuration that is read here. It keeps the analysis from being complete if it was meant to be one.
    Other {
        /// As the end of a sentence that begins with its path.
        text: String,
        /// It was meant to be a configuration: it was named, its name says so, or it looks like one.
        meant: bool,
    },
    /// Known not to be a configuration.
    PassedOver,
}

/// Ends of names that only configurations have.
const TELLING: &[&str] = &["nft", "nftables", "rules", "v4", "v6", "iptables", "ip6tables", "ipset", "ovpn", "wfw"];

/// Ends of names that no configuration has which is read here: documents, tables, pictures, programs, certificates.
const FOREIGN: &[&str] = &[
    "md", "markdown", "rst", "adoc", "csv", "tsv", "yaml", "yml", "toml", "lock", "pdf", "doc", "docx", "xls", "xlsx", "ods", "odt", "png",
    "jpg", "jpeg", "gif", "svg", "ico", "html", "htm", "css", "js", "ts", "py", "rs", "go", "c", "h", "java", "rb", "pl", "log", "zip",
    "gz", "xz", "bz2", "tar", "tgz", "7z", "pem", "crt", "cer", "key", "csr", "p12", "pfx", "der", "crl", "pub", "asc", "sig", "sqlite",
    "db", "pcap", "pcapng", "snap", "bak~", "swp", "tmpl", "j2", "sarif",
];

/// Whole names, in lower case, of the same sort.
const FOREIGN_NAMES: &[&str] = &[
    "readme",
    "license",
    "licence",
    "copying",
    "changelog",
    "authors",
    "makefile",
    "dockerfile",
    "codeowners",
    "sources",
    "notice",
    ".ds_store",
];

/// Whether the name alone says that a file is no configuration, so that it need not be opened.
pub(super) fn is_foreign(name: &str) -> bool {
    let name = name.to_lowercase();
    let (stem, ext) = name.rsplit_once('.').unwrap_or((name.as_str(), ""));
    FOREIGN_NAMES.contains(&name.as_str())
        || FOREIGN_NAMES.contains(&stem)
        || (!ext.is_empty() && FOREIGN.contains(&ext))
        || name.starts_with(".git")
        || name.ends_with('~')
}

/// Whether the name is that of a table: rosters are tables, and so are some exports.
pub(super) fn is_table(name: &str) -> bool {
    let name = name.to_lowercase();
    name.ends_with(".csv") || name.ends_with(".tsv")
}

/// What `file` is. `explicit`: the user named it; `forced`: the format that the user named for it.
pub(super) fn recognise(file: &SourceFile, explicit: bool, forced: Option<&'static Format>) -> Kind {
    if let Some(format) = forced {
        return Kind::Format(format);
    }
    let name = file.path.rsplit('/').next().unwrap_or(&file.path).to_lowercase();
    let telling = name.rsplit_once('.').is_some_and(|(_, ext)| TELLING.contains(&ext));
    if file.text.trim().is_empty() {
        let text = "is empty: nothing can be said of it (was it exported without the rights to read the rules?)".into();
        return Kind::Other { text, meant: explicit || telling };
    }
    if file.text.starts_with("regf") && file.text.contains('\0') {
        let text = "is a registry hive, as \"netsh advfirewall export\" writes it (.wfw), and is not read: export the rules and profiles with PowerShell \
                    instead (`fwproof formats` has the command), or with \"reg export\""
            .into();
        return Kind::Other { text, meant: true };
    }
    let lower = file.path.to_ascii_lowercase();
    if file.text.starts_with("bplist00") && (explicit || ["alf", "globalprotect", "firewall"].iter().any(|w| lower.contains(w))) {
        let text =
            "is a binary property list, and is not read: convert it first (plutil -convert xml1 -o alf.plist com.apple.alf.plist)".into();
        return Kind::Other { text, meant: true };
    }
    if file.encoding == Encoding::Binary {
        return match explicit || telling {
            true => Kind::Other { text: "is not text; export the configuration as text".into(), meant: true },
            false => Kind::PassedOver,
        };
    }
    let claims = vendors::detect(file);
    match claims.as_slice() {
        [(format, first), (other, second), ..] if first.confidence == second.confidence => Kind::Other {
            text: format!(
                "looks like {} ({}) as much as like {} ({}); say which: --format-of {}={}",
                format.title,
                first.why,
                other.title,
                second.why,
                quoted(&file.path),
                format.id
            ),
            meant: true,
        },
        [(format, _), ..] => Kind::Format(format),
        [] if is_table(&name) && !explicit => Kind::PassedOver,
        [] => unclaimed(file, explicit || telling),
    }
}

/// Lines that must look like a configuration before a file in a folder counts as one.
const ENOUGH: usize = 3;

fn unclaimed(file: &SourceFile, meant: bool) -> Kind {
    let guess = resemble::guess(file);
    let looked = match file.line_count() {
        1 => "1 line was looked at".to_owned(),
        n => format!("{n} lines were looked at"),
    };
    let text = match guess {
        Some(g) => match g.id {
            Some(id) => format!(
                "is in no format that is recognised ({looked}; {} look like {}): if it is that, say --format-of {}={id}",
                g.lines,
                g.name,
                quoted(&file.path)
            ),
            None => format!("is not read by this version ({looked}; {} look like {}); `fwproof formats` lists what is", g.lines, g.name),
        },
        None => format!(
            "is in no format that is recognised ({looked}); name it with --format-of {}=FORMAT (`fwproof formats`)",
            quoted(&file.path)
        ),
    };
    Kind::Other { text, meant: meant || guess.is_some_and(|g| g.lines >= ENOUGH) }
}

/// A path as an argument of a shell.
fn quoted(path: &str) -> String {
    let plain = path.chars().all(|c| c.is_alphanumeric() || "/._-+:,@".contains(c));
    if plain { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileId;

    fn kind(path: &str, text: &str, explicit: bool) -> Kind {
        recognise(&SourceFile::from_text(FileId(0), path, text), explicit, None)
    }

    #[test]
    fn a_named_file_of_no_format_is_meant_and_a_letter_in_a_folder_is_not() {
        assert!(matches!(kind("a.txt", "hello\n", true), Kind::Other { meant: true, .. }));
        assert!(matches!(kind("a.txt", "hello\n", false), Kind::Other { meant: false, .. }));
        assert!(matches!(kind("a.nft", "hello\n", false), Kind::Other { meant: true, .. }));
    }

    #[test]
    fn a_foreign_firewall_in_a_folder_is_never_overlooked() {
        let text = "set security policies default-policy deny-all\nset interfaces ge-0/0/0 unit 0\nset firewall family inet filter x\n";
        let Kind::Other { text, meant } = kind("edge.txt", text, false) else { panic!("no reader for it") };
        assert!(meant && text.contains("Junos"), "{text}");
    }

    #[test]
    fn documents_and_tables_are_passed_over_by_name() {
        for name in ["README", "README.md", "staff.csv", "baseline.yaml", "server.key", ".gitignore"] {
            assert!(is_foreign(name), "{name}");
        }
        for name in ["edge.nft", "wg0.conf", "iptables-save", "rules.v4", "anna.ovpn", "ip-addr.txt", "nft.json"] {
            assert!(!is_foreign(name), "{name}");
        }
    }
}
