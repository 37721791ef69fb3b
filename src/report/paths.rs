//! Paths as a repository names its files: build servers show a finding only on a file that they know.

/// Where the run takes place. Empty: paths are shown as they were given.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    /// The folder to which relative paths belong: absolute, with `/`.
    pub folder: String,
    /// The root of the repository: absolute, with `/`.
    pub root: String,
}

impl Workspace {
    /// The path from the root of the repository where it lies in it; else without `.` and `..` as far as they can be resolved.
    pub(super) fn relative(&self, path: &str) -> String {
        if path == "-" || path.starts_with('<') {
            return path.to_owned();
        }
        let whole = if is_absolute(path) || self.folder.is_empty() { path.to_owned() } else { format!("{}/{path}", self.folder) };
        let whole = resolved(&whole);
        let root = resolved(&self.root);
        match whole.strip_prefix(root.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/')) {
            Some(inside) if !root.is_empty() && !inside.is_empty() => inside.to_owned(),
            _ if is_absolute(path) => whole,
            _ => resolved(path),
        }
    }

    /// The same as a URI reference, and whether it is relative to the root of the repository.
    pub(super) fn uri(&self, path: &str) -> (String, bool) {
        let path = self.relative(path);
        if is_absolute(&path) { (format!("file:///{}", encoded(path.trim_start_matches('/'))), false) } else { (encoded(&path), true) }
    }
}

fn is_absolute(path: &str) -> bool {
    let drive = |b: &[u8]| b.len() > 2 && b[0].is_ascii_alphabetic() && b[1] == b':' && b[2] == b'/';
    path.starts_with('/') || drive(path.as_bytes())
}

/// Without `.`, and without `..` where something stands before it.
fn resolved(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    format!("{}{}", if path.starts_with('/') { "/" } else { "" }, parts.join("/"))
}

/// Percent-encoded as RFC 3986, section 3.3 asks of a path; `:` too, which may not stand in the first part of a relative one.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'/'
            | b'!'
            | b'$'
            | b'&'
            | b'\''
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b','
            | b';'
            | b'='
            | b'@' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_that_of_the_repository_wherever_the_run_takes_place() {
        let here = Workspace { folder: "/builds/acme/net/configs".into(), root: "/builds/acme/net/".into() };
        assert_eq!(here.relative("edge/fw.nft"), "configs/edge/fw.nft");
        assert_eq!(here.relative("./edge/../fw.nft"), "configs/fw.nft");
        assert_eq!(here.relative("../staff.csv"), "staff.csv");
        assert_eq!(here.relative("/builds/acme/net/a b.nft"), "a b.nft");
        assert_eq!(here.relative("/etc/nftables.conf"), "/etc/nftables.conf");
        assert_eq!(here.relative("../../../other/x"), "../../../other/x");
        assert_eq!(here.relative("-"), "-");
        assert_eq!(Workspace::default().relative("./a/./b"), "a/b");
        assert_eq!(Workspace::default().relative("../a"), "../a");
    }

    #[test]
    fn what_a_uri_cannot_hold_is_encoded() {
        assert_eq!(Workspace::default().uri("a b/ä#?%[x]:1.nft"), ("a%20b/%C3%A4%23%3F%25%5Bx%5D%3A1.nft".into(), true));
        assert_eq!(Workspace::default().uri("/etc/fw"), ("file:///etc/fw".into(), false));
    }
}
