//! The serial numbers that a list names, packed: one sorted run of bytes for each length that occurs. A million of 16
//! bytes take 16 MB, where a map of owned entries takes ten times that.

use std::collections::BTreeMap;
use std::fmt;

use webpki::BorrowedCertRevocationList;

/// Serial numbers as they stand in certificates: the content of an INTEGER, sign byte and all.
#[derive(Default)]
pub(super) struct Serials {
    /// By their length in bytes.
    runs: BTreeMap<usize, Vec<u8>>,
}

impl fmt::Debug for Serials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serials({})", self.len())
    }
}

impl Serials {
    /// Reads every entry; one that is malformed spoils the list.
    pub(super) fn of(list: &BorrowedCertRevocationList<'_>) -> Result<Self, webpki::Error> {
        let mut runs: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        for entry in list {
            let serial = entry?.serial_number;
            runs.entry(serial.len()).or_default().extend_from_slice(serial);
        }
        // INTEGERs have at least one byte: webpki has seen to that.
        runs.remove(&0);
        for (length, run) in &mut runs {
            *run = sorted(run, *length);
        }
        Ok(Self { runs })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.runs.iter().map(|(length, run)| run.len() / length).sum()
    }

    pub(super) fn contain(&self, serial: &[u8]) -> bool {
        let Some(run) = self.runs.get(&serial.len()).filter(|_| !serial.is_empty()) else { return false };
        let (mut low, mut high) = (0, run.len() / serial.len());
        while low < high {
            let middle = low.midpoint(high);
            let at = middle * serial.len();
            match run[at..at + serial.len()].cmp(serial) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return true,
            }
        }
        false
    }
}

/// The chunks in order, each once.
fn sorted(run: &[u8], length: usize) -> Vec<u8> {
    let mut chunks: Vec<&[u8]> = run.chunks_exact(length).collect();
    chunks.sort_unstable();
    chunks.dedup();
    chunks.concat()
}
