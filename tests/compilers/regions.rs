//! Of which packets two targets must say the same.

use fwproof::net::{Family, Ranges};
use fwproof::packets::fields::{ABSENT_PORT, ct};
use fwproof::packets::{Cube, Dim, Field, header_space};

/// Packets on which two targets must agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Region {
    /// All there are.
    All,
    /// Those that are no later fragment. Without connection tracking, what iptables makes of such a fragment turns on what it carries.
    Whole,
    /// Those that begin a connection for the kernel's tracking. What belongs to one is a matter of each compiler: one lets it pass before
    /// any term, another term by term.
    New,
    /// Those that begin a connection for everybody: TCP with SYN alone, and of other protocols any, whole, from and to real ports. pf
    /// knows a new TCP connection by its flags, and drops some strange packets by itself.
    Opening,
}

fn with(cube: Cube, field: Field, set: &Ranges, family: Family) -> Option<Cube> {
    cube.with(Dim::field(field), set, family)
}

impl Region {
    /// Its packets.
    pub fn cubes(self, family: Family) -> Vec<Cube> {
        let new = || with(Cube::any(), Field::Ct, &Ranges::single(ct::NEW), family).expect("a field of every packet");
        match self {
            Region::All => vec![Cube::any()],
            Region::Whole => with(Cube::any(), Field::Fragment, &Ranges::interval(0, 1), family).into_iter().collect(),
            Region::New => vec![new()],
            Region::Opening => {
                let ports = Ranges::interval(1, ABSENT_PORT);
                let fixed = [Field::Fragment, Field::Mark, Field::CtMark, Field::PktType, Field::CtNat];
                let whole = fixed.into_iter().try_fold(new(), |c, f| with(c, f, &Ranges::single(0), family));
                let whole = [Field::Sport, Field::Dport]
                    .into_iter()
                    .try_fold(whole.expect("fields of every packet"), |c, f| with(c, f, &ports, family));
                let whole = whole.expect("fields of every packet");
                let others = Ranges::interval(0, 5).or(&Ranges::interval(7, 255));
                let syn = with(whole.clone(), Field::Proto, &Ranges::single(6), family)
                    .and_then(|c| with(c, Field::TcpFlags, &Ranges::single(2), family));
                let kinds: Vec<Cube> = syn.into_iter().chain(with(whole, Field::Proto, &others, family)).collect();
                header_space(family).iter().flat_map(|h| kinds.iter().filter_map(|k| k.and(h))).collect()
            }
        }
    }
}
