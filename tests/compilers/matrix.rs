//! Policies against targets: what came of each.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What came of a policy in a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cell {
    /// What the others are compared with.
    Measure,
    /// The same packets as in the target that it was compared with.
    Equal,
    /// The compiler means something else there by its own design or mistake; it is said beside the policy, and the sets do differ.
    OtherMeaning,
    /// The compiler refuses, as is said beside the policy.
    CannotBeSaid,
    /// It was not tried here.
    Skipped,
    /// It is not as it should be: why.
    Wrong(String),
}

impl Cell {
    fn mark(&self) -> &'static str {
        match self {
            Cell::Measure => "measure",
            Cell::Equal => "equal",
            Cell::OtherMeaning => "differs, as said",
            Cell::CannotBeSaid => "cannot be said",
            Cell::Skipped => "skipped",
            Cell::Wrong(_) => "WRONG",
        }
    }
}

/// Cells by policy and target, both in the order of their arrival.
#[derive(Default)]
pub struct Matrix {
    policies: Vec<String>,
    targets: Vec<String>,
    cells: BTreeMap<(usize, usize), Cell>,
}

fn place(list: &mut Vec<String>, name: &str) -> usize {
    list.iter().position(|n| n == name).unwrap_or_else(|| {
        list.push(name.to_owned());
        list.len() - 1
    })
}

impl Matrix {
    /// Notes what came of one.
    pub fn set(&mut self, policy: &str, target: &str, cell: Cell) {
        let key = (place(&mut self.policies, policy), place(&mut self.targets, target));
        self.cells.insert(key, cell);
    }

    /// How many cells are so.
    pub fn count(&self, wanted: &Cell) -> usize {
        self.cells.values().filter(|c| *c == wanted).count()
    }

    /// The cells that are not as they should be, in words.
    pub fn wrong(&self) -> Vec<String> {
        let wrong = |((p, t), cell): (&(usize, usize), &Cell)| match cell {
            Cell::Wrong(why) => Some(format!("{} in {}: {why}", self.policies[*p], self.targets[*t])),
            _ => None,
        };
        self.cells.iter().filter_map(wrong).collect()
    }

    /// The table, and the sums below it.
    pub fn table(&self) -> String {
        let width = self.policies.iter().map(String::len).max().unwrap_or(0);
        let mark = |p, t| self.cells.get(&(p, t)).map_or("", Cell::mark);
        let columns: Vec<usize> = (0..self.targets.len())
            .map(|t| (0..self.policies.len()).map(|p| mark(p, t).len()).max().unwrap_or(0).max(self.targets[t].len()))
            .collect();
        let mut out = " ".repeat(width);
        for (t, w) in columns.iter().enumerate() {
            let _ = write!(out, "  {:<w$}", self.targets[t]);
        }
        for (p, name) in self.policies.iter().enumerate() {
            let _ = write!(out, "\n{name:<width$}");
            for (t, w) in columns.iter().enumerate() {
                let _ = write!(out, "  {:<w$}", mark(p, t));
            }
            out.truncate(out.trim_end().len());
        }
        let _ = write!(out, "\n{} policies, {} targets", self.policies.len(), self.targets.len());
        for cell in [Cell::Equal, Cell::OtherMeaning, Cell::CannotBeSaid, Cell::Skipped] {
            let _ = write!(out, ", {} {}", self.count(&cell), cell.mark());
        }
        let _ = write!(out, ", {} wrong", self.wrong().len());
        out
    }
}
