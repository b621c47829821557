//! What the command line says.

use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: cargo run --release --manifest-path benches/Cargo.toml -- [OPTION ...] [GROUP ...]

groups, all unless named: hit adapters keyed writer herd tasks growth memory ratio
and, if named only: instructions (needs valgrind)

  --quick               fewer rounds: a look, not a figure to quote
  --plots DIR           also draw DIR/hit.svg (needs growth) and DIR/herd.svg (needs herd)
  --without-membarrier  have the kernel refuse membarrier(2), as some sandboxes do (Linux)
  --repeat ROW N        nothing but N laps of a row of the hit group, for a profiler";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Group {
    Hit,
    Adapters,
    Keyed,
    Writer,
    Herd,
    Tasks,
    Growth,
    Memory,
    Ratio,
    Instructions,
}

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) plots: Option<PathBuf>,
    pub(crate) without_membarrier: bool,
    pub(crate) repeat: Option<(String, u64)>,
    groups: Vec<Group>,
}

impl Options {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => options.quick = true,
                "--without-membarrier" => options.without_membarrier = true,
                "--plots" => {
                    let dir = words.next().ok_or("--plots needs a directory")?;
                    options.plots = Some(PathBuf::from(dir));
                }
                "--repeat" => {
                    let row = words.next().ok_or("--repeat needs a row")?;
                    let laps = words.next().and_then(|laps| laps.parse().ok());
                    options.repeat = Some((row, laps.ok_or("--repeat needs a number")?));
                }
                "hit" => options.groups.push(Group::Hit),
                "adapters" => options.groups.push(Group::Adapters),
                "keyed" => options.groups.push(Group::Keyed),
                "writer" => options.groups.push(Group::Writer),
                "herd" => options.groups.push(Group::Herd),
                "tasks" => options.groups.push(Group::Tasks),
                "growth" => options.groups.push(Group::Growth),
                "memory" => options.groups.push(Group::Memory),
                "ratio" => options.groups.push(Group::Ratio),
                "instructions" => options.groups.push(Group::Instructions),
                other => return Err(format!("what is {other}?")),
            }
        }
        Ok(options)
    }

    pub(crate) fn wants(&self, group: Group) -> bool {
        let by_default = self.groups.is_empty() && group != Group::Instructions;
        by_default || self.groups.contains(&group)
    }

    /// As many rounds as `full`, or a fifth of them.
    pub(crate) fn rounds(&self, full: usize) -> usize {
        if self.quick {
            full.div_ceil(5)
        } else {
            full
        }
    }
}
