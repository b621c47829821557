//! The command line.

use std::env;
use std::ops::RangeInclusive;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: cargo run --release --example stampede -- [options]
  --seconds N     how long each of the three ways runs, 3 to 60 (default 4)
  --threads N     how many threads check tokens, 2 to 256 (default 32)
  --rate N        tokens that arrive per second, in all; 0: as many as can be checked
                  (default 16000)
  --forged N      of so many tokens, one names a key that does not exist, and one has a
                  wrong signature (default 10000)
  --out FILE.svg  where the time line goes (default stampede.svg)";

pub(crate) struct Options {
    pub(crate) seconds: u64,
    pub(crate) threads: u64,
    pub(crate) rate: u64,
    pub(crate) forged: u64,
    pub(crate) out: PathBuf,
}

impl Options {
    /// The options given; `None` if help was asked for.
    pub(crate) fn from_args() -> Result<Option<Self>, String> {
        let mut options = Self {
            seconds: 4,
            threads: 32,
            rate: 16_000,
            forged: 10_000,
            out: PathBuf::from("stampede.svg"),
        };
        let mut args = env::args_os().skip(1);
        while let Some(arg) = args.next() {
            let name = arg.to_string_lossy().into_owned();
            if matches!(name.as_str(), "--help" | "-h") {
                return Ok(None);
            }
            let range = match name.as_str() {
                "--seconds" => 3..=60,
                "--threads" => 2..=256,
                "--rate" => 0..=1_000_000,
                "--forged" => 4..=1_000_000,
                "--out" => 0..=0,
                _ => return Err(format!("unknown option `{name}`")),
            };
            let value = args
                .next()
                .ok_or_else(|| format!("`{name}` needs a value"))?;
            match name.as_str() {
                "--out" => options.out = PathBuf::from(value),
                "--seconds" => options.seconds = number(&name, &value.to_string_lossy(), range)?,
                "--threads" => options.threads = number(&name, &value.to_string_lossy(), range)?,
                "--rate" => options.rate = number(&name, &value.to_string_lossy(), range)?,
                _ => options.forged = number(&name, &value.to_string_lossy(), range)?,
            }
        }
        if options.rate != 0 && options.rate < options.threads * 10 {
            return Err(format!(
                "`--rate {}` is too low for {} threads: give each at least 10 tokens a second",
                options.rate, options.threads
            ));
        }
        Ok(Some(options))
    }
}

fn number(name: &str, value: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    value
        .parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            format!(
                "`{name}` takes a whole number from {} to {}, not `{value}`",
                range.start(),
                range.end()
            )
        })
}
