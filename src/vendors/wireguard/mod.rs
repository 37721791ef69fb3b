//! WireGuard: `wg-quick` files, `wg showconf`, and what `wg show` prints.
//!
//! The smallest complete format, and so the one to copy: [`parse`] makes sections and entries with spans of the text,
//! [`lower`] makes a [`Tunnel`](crate::model::Tunnel) of them, [`show`] reads the other spellings into the same sections.
//! Facts about the format are from wg(8), wg-quick(8) and wg-quick's `linux.bash`.

mod hooks;
mod keys;
mod lower;
mod names;
mod parse;
mod show;
#[cfg(test)]
mod tests;

use super::{Confidence, Detection, Format, Reader, Role};
use crate::source::SourceFile;

/// The format.
pub static WIREGUARD: Format = Format {
    id: "wireguard",
    title: "WireGuard",
    export: "sudo cat /etc/wireguard/wg0.conf   (or: sudo wg showconf wg0)",
    covers: &[
        "[Interface] and [Peer] of wg-quick and wg showconf",
        "wg show, wg show all dump",
        "public keys derived from private keys",
        "routes that wg-quick makes of AllowedIPs",
        "the kill switch of wg-quick(8)",
        "peer names in comments",
    ],
    leaves: &["other commands in PostUp and its like", "routing tables other than main"],
    role: Role::Vpn,
    detect,
    read,
    includes: None,
};

/// How much of a file detection looks at, in bytes.
const DETECTED: usize = 64 << 10;

fn detect(file: &SourceFile) -> Option<Detection> {
    let text = file.head(DETECTED);
    let why = if show::is_dump(text) {
        "has the columns of `wg show dump`"
    } else if show::is_show(text) {
        "begins as `wg show` does"
    } else if parse::is_conf(text) {
        "has an [Interface] or [Peer] section with WireGuard keys"
    } else {
        return None;
    };
    Some(Detection { confidence: Confidence::Certain, why })
}

fn read(reader: &mut Reader<'_>) {
    let file = reader.file;
    if show::is_dump(&file.text) {
        let sections = show::parse_dump(file, reader);
        lower::lower(reader, &sections, lower::Origin::Show);
    } else if show::is_show(&file.text) {
        let sections = show::parse_show(file, reader);
        lower::lower(reader, &sections, lower::Origin::Show);
    } else {
        let sections = parse::parse(file, reader);
        lower::lower(reader, &sections, lower::Origin::Conf);
    }
}
