//! What the process has used.

use rustix::{
    param::page_size,
    time::{ClockId, clock_gettime},
};

/// Seconds of processor time of all threads so far.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Memory in use.
pub fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split_whitespace().nth(1).and_then(|x| x.parse::<u64>().ok()).unwrap_or_default();
    pages * page_size() as u64
}
