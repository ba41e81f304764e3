//! What the figures were measured on, so that they can be compared with others.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

/// The machine, as far as it tells.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// The processor's name.
    pub cpu: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// The file system type under the server's data directory.
    pub data_file_system: Option<String>,
    /// The median of small write + fsync in that directory, in milliseconds: no acknowledgement can be faster.
    pub fsync_ms: Option<f64>,
}

impl Machine {
    /// Looks around. Writes and removes one small file in `data_parent`; blocks for some milliseconds.
    #[must_use]
    pub fn inspect(data_parent: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        let place = data_parent.canonicalize().unwrap_or_else(|_| data_parent.to_path_buf());
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: read("/proc/cpuinfo").as_deref().and_then(cpu_name),
            kernel: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            data_file_system: read("/proc/mounts").and_then(|mounts| file_system_of(&mounts, &place)),
            fsync_ms: fsync(data_parent).ok().map(|time| time.as_secs_f64() * 1e3),
        }
    }
}

fn cpu_name(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The type of the mount with the longest mount point above `place`; a later mount hides an earlier one.
fn file_system_of(mounts: &str, place: &Path) -> Option<String> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(point, _)| place.starts_with(point))
        .max_by_key(|(point, _)| point.len())
        .map(|(_, kind)| kind.to_owned())
}

fn fsync(parent: &Path) -> std::io::Result<Duration> {
    let path = parent.join(format!(".bellwire-bench-fsync-{}", std::process::id()));
    let times = (|| {
        let mut file = File::create(&path)?;
        (0..51)
            .map(|_| {
                let start = Instant::now();
                file.write_all(&[0u8; 4096])?;
                file.sync_data()?;
                Ok(start.elapsed())
            })
            .collect::<std::io::Result<Vec<_>>>()
    })();
    let _ = fs::remove_file(&path);
    let mut times = times?;
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_mount_decides_the_file_system() {
        let mounts =
            "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /tmp/data xfs rw 0 0\ntmpfs /tm tmpfs rw 0 0\n";
        let of = |place: &str| file_system_of(mounts, Path::new(place));
        assert_eq!(of("/tmp/data/x").as_deref(), Some("xfs"));
        assert_eq!(of("/tmp/other").as_deref(), Some("tmpfs"));
        assert_eq!(of("/var/tmp").as_deref(), Some("ext4"));
    }

    #[test]
    fn inspecting_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::inspect(folder.path());
        assert!(machine.cores >= 1);
        assert!(machine.fsync_ms.is_some());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
