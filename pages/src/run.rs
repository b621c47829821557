//! The table of the README and the picture below it are of one run of the example.

use std::path::Path;

use crate::site::Site;

pub(crate) fn check(site: &Site) -> Vec<String> {
    let readme = site.read(Path::new("README.md"));
    let picture = site.read(Path::new("docs/stampede.svg"));
    let (table, drawn) = (table(&readme), drawn(&picture));
    let alike = |(a, b): (&Way, &Way)| {
        // The table has three digits of the milliseconds.
        a.requests == b.requests && a.at_once == b.at_once && (a.p99 - b.p99).abs() <= 0.005 * b.p99
    };
    match table.len() == 3 && drawn.len() == 3 && table.iter().zip(&drawn).all(alike) {
        true => Vec::new(),
        false => vec![format!(
            "README.md: its table has {table:?}, docs/stampede.svg {drawn:?}: they are not of one run"
        )],
    }
}

#[derive(Debug)]
struct Way {
    requests: u64,
    at_once: u64,
    p99: f64,
}

/// `Dogpile   8   1   15562   0.13 ms   4.81 ms ...`, for each of the three ways.
fn table(readme: &str) -> Vec<Way> {
    let lines = readme
        .lines()
        .skip_while(|line| !line.contains("requests at once"));
    let ways = lines.skip(1).take(3).filter_map(|line| {
        // The name may be two words.
        let mut numbers = line
            .split_whitespace()
            .filter_map(|word| word.parse::<f64>().ok());
        let (requests, at_once) = (numbers.next()? as u64, numbers.next()? as u64);
        let p99 = numbers.nth(2)?;
        Some(Way {
            requests,
            at_once,
            p99,
        })
    });
    ways.collect()
}

/// `8 requests, at most 1 at once; 99 of 100 tokens answered within 4.8 ms`.
fn drawn(picture: &str) -> Vec<Way> {
    let lines = picture.lines().filter(|line| line.contains(" at once; "));
    let ways = lines.filter_map(|line| {
        let (requests, rest) = line.split_once(" requests, at most ")?;
        let (at_once, rest) = rest.split_once(" at once; 99 of 100 tokens answered within ")?;
        Some(Way {
            requests: requests.trim().parse().ok()?,
            at_once: at_once.parse().ok()?,
            p99: rest.trim().trim_end_matches(" ms").parse().ok()?,
        })
    });
    ways.collect()
}
