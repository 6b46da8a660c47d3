//! The threads of this process, and the memory that it has.

use std::fs;

/// Ids and names of this process's threads. The system keeps 15 bytes of a name.
pub fn all() -> Vec<(i32, String)> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let named = tasks.filter_map(|task| {
        let task = task.ok()?;
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        Some((task.file_name().to_str()?.parse().ok()?, name.trim_end().to_owned()))
    });
    named.collect()
}

/// Id of the calling thread.
pub fn own_id() -> i32 {
    // SAFETY: it takes nothing and always answers.
    unsafe { libc::gettid() }
}

/// Bytes of this process that are in memory now.
pub fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok());
    // SAFETY: it takes a name and answers with a number.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.unwrap_or(0_u64) * page_bytes.max(0) as u64
}

/// The most bytes of this process that were in memory at once.
pub fn resident_bytes_max() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
