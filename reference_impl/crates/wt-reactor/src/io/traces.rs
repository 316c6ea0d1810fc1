//! qlog: one file per connection, bounded in number and size.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::json;
use wt_core::Role;
use wt_quic::{QlogConfig, TransportConfig};

use super::trace_records::Record;
use crate::{
    config::{Error, Qlog, Transport},
    message::Handle,
};

/// Bytes that are gathered before they are written
const GATHERED: usize = 16 << 10;
/// A JSON text sequence ends each record with it (RFC 7464 §2.2)
const END_OF_RECORD: u8 = b'\n';

/// The traces of an endpoint.
pub(super) struct Traces {
    config: Qlog,
    role: Role,
    /// Part of the names, so that runs do not get into each other's way
    started: u128,
    files: VecDeque<PathBuf>,
}

impl Traces {
    pub(super) fn new(config: &Qlog, role: Role) -> Result<Self, Error> {
        fs::create_dir_all(&config.folder)
            .map_err(|e| Error::Config(format!("qlog: {}: {e}", config.folder.display())))?;
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Ok(Self { config: config.clone(), role, started, files: VecDeque::new() })
    }

    /// The configuration of QUIC for one connection; `None` where there can't be a file for it.
    pub(super) fn transport(
        &mut self,
        transport: &Transport,
        handle: Handle,
    ) -> Option<(Arc<TransportConfig>, Trace)> {
        let mut config = transport.build().ok()?;
        let file = Bounded::new(self.create(handle).ok()?, self.config.max_file_size);
        let started = Instant::now();
        let trace = Trace { file: Arc::new(Mutex::new(file)), started, now: started };
        let mut qlog = QlogConfig::default();
        qlog.writer(Box::new(trace.clone()))
            .title(Some(format!("{:?} connection {handle}", self.role)))
            .start_time(started);
        config.qlog_stream(qlog.into_stream());
        Some((Arc::new(config), trace))
    }

    fn create(&mut self, handle: Handle) -> io::Result<File> {
        while self.files.len() >= self.config.max_files.max(1) {
            if let Some(oldest) = self.files.pop_front() {
                // Someone may have taken it away
                let _ = fs::remove_file(oldest);
            }
        }
        let role = if self.role == Role::Server { "server" } else { "client" };
        let path = self.config.folder.join(format!("{}-{handle}_{role}.sqlog", self.started));
        let file = File::create_new(&path)?;
        self.files.push_back(path);
        Ok(file)
    }
}

/// The trace of a connection: the engine writes its records to it, and we ours.
#[derive(Clone)]
pub(super) struct Trace {
    /// Whoever runs the reactor writes, one record after the other
    file: Arc<Mutex<Bounded<File>>>,
    started: Instant,
    /// Of the round, as in the engine's records
    pub(super) now: Instant,
}

impl Trace {
    /// Adds a record.
    pub(super) fn record(&self, (name, data): Record) {
        let time = self.now.saturating_duration_since(self.started).as_secs_f64() * 1e3;
        let record = json!({"time": time, "name": name, "data": data});
        // A full disk must not end the connection
        let _ = self.file().write_all(format!("\x1e{record}\n").as_bytes());
    }

    fn file(&self) -> MutexGuard<'_, Bounded<File>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Trace {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file().write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

/// Writes whole records as long as they fit.
struct Bounded<W: Write> {
    inner: W,
    left: u64,
    gathered: Vec<u8>,
    /// Bytes of `gathered` that are whole records
    whole: usize,
}

impl<W: Write> Bounded<W> {
    fn new(inner: W, limit: u64) -> Self {
        Self { inner, left: limit, gathered: Vec::new(), whole: 0 }
    }

    fn put(&mut self) -> io::Result<()> {
        let result = self.inner.write_all(&self.gathered[..self.whole]);
        self.gathered.drain(..self.whole);
        self.whole = 0;
        result
    }
}

impl<W: Write> Write for Bounded<W> {
    /// What does not fit is swallowed, for the engine would report each record else.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(data.len());
        }
        self.gathered.extend_from_slice(data);
        if data.ends_with(&[END_OF_RECORD]) {
            let record = (self.gathered.len() - self.whole) as u64;
            if let Some(left) = self.left.checked_sub(record) {
                self.left = left;
                self.whole = self.gathered.len();
            } else {
                self.left = 0;
                self.gathered.truncate(self.whole);
            }
        }
        if self.whole >= GATHERED || self.left == 0 {
            self.put()?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.put()?;
        self.inner.flush()
    }
}

impl<W: Write> Drop for Bounded<W> {
    fn drop(&mut self) {
        // A full disk must not end the connection
        let _ = self.put();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(limit: u64, pieces: &[&str]) -> String {
        let mut out = Vec::new();
        let mut bounded = Bounded::new(&mut out, limit);
        for piece in pieces {
            bounded.write_all(piece.as_bytes()).unwrap();
        }
        drop(bounded);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_whole_records_are_written() {
        assert_eq!(written(100, &["\x1e{\"a\":", "1}", "\n", "\x1e{"]), "\x1e{\"a\":1}\n");
        assert_eq!(written(8, &["12", "3\n", "4567\n", "8\n"]), "123\n");
        assert_eq!(written(4, &["123\n", "4\n"]), "123\n");
        assert_eq!(written(3, &["123\n", "4\n"]), "");
    }
}
