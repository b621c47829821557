//! Stops another process, and lets it go on.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Stops a process, and waits until all of its threads stand still: on a busy machine some of them go on
/// for a moment after the signal was sent. One that has ended is left alone.
///
/// # Panics
///
/// If it does not stop.
pub fn stop(id: u32) {
    signal(id, "-STOP");
    let begun = Instant::now();
    while !stands_still(id) {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{id} does not stop"
        );
        thread::yield_now();
    }
}

/// Lets a stopped process go on.
pub fn go_on(id: u32) {
    signal(id, "-CONT");
}

/// Sends a signal, as `"-QUIT"`. A process that has ended is left alone.
pub fn signal(id: u32, signal: &str) {
    let mut kill = Command::new("kill");
    let sent = kill
        .args([signal, &id.to_string()])
        .stderr(Stdio::null())
        .status();
    sent.expect("kill(1) is there");
}

/// Whether no thread of it runs, as far as the system tells.
fn stands_still(id: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else {
        return true;
    };
    threads.flatten().all(|thread| {
        // A thread that has ended meanwhile has none.
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // "7 (name) T ...": the name is anything.
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
        state.is_none_or(|state| state.starts_with(['T', 't', 'Z', 'X']))
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_until_it_is_to_go_on() {
        let mut child = Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep(1) is there");
        assert!(!stands_still(child.id()));
        stop(child.id());
        assert!(stands_still(child.id()));
        go_on(child.id());
        while stands_still(child.id()) {
            thread::yield_now();
        }
        child.kill().expect("a child can be killed");
        child.wait().expect("it is dead");
        stop(child.id());
    }
}
