//! Programs that open ports on request of machines inside.

use super::lower::Lowering;
use super::tree::Tree;
use crate::source::Span;

impl Lowering<'_, '_, '_> {
    /// Where miniupnpd is switched on, with the interface outside: `installedpackages/miniupnpd/config` of both.
    pub fn upnp(&self) -> Option<(Span, Option<String>)> {
        let config = self.root.at(&["installedpackages", "miniupnpd", "config"])?;
        let enable = config.child("enable").filter(|e| !matches!(&*e.text(), "0" | "off"))?;
        let outside = config.value("ext_iface").map(|i| i.text.into_owned()).filter(|i| self.ifaces.get(i).is_some());
        Some((enable.span(), outside))
    }
}
