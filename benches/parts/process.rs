//! What the kernel says about a process.

/// A figure of `/proc/PID/status`, in KiB.
pub(crate) fn status(process: &str, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process of Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect(field);
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().expect(field)
}
