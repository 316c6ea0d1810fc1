//! The class `Endpoint`.

use std::{
    os::fd::{AsFd, AsRawFd},
    sync::{Arc, Weak},
    time::Duration,
};

use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    types::{PyBytes, PyDict, PyList},
};
use wt_reactor::{AcceptOptions, ConnectRequest, Event, Field, Queued, Read, ReadError};

use crate::{
    buffer::{Target, join, to_bytes, views, with_bytes},
    config,
    error::{StreamResetError, config_error, failure},
    event,
};

type Handle = wt_reactor::Handle;
type Headers = Vec<(String, String)>;

/// See the stub.
#[pyclass(frozen, module = "pywebtransport._core")]
pub(crate) struct Endpoint(Arc<wt_reactor::Endpoint>);

/// Called by the event loop; does not keep the endpoint alive.
#[pyclass(frozen, module = "pywebtransport._core")]
struct Flush(Weak<wt_reactor::Endpoint>);

#[pymethods]
impl Flush {
    fn __call__(&self, py: Python<'_>) {
        if let Some(endpoint) = self.0.upgrade() {
            py.detach(|| endpoint.flush());
        }
    }
}

/// Gives the ID of a stream; does not keep the endpoint alive.
#[pyclass(frozen, module = "pywebtransport._core")]
struct StreamId {
    placed: wt_reactor::Placed,
    endpoint: Weak<wt_reactor::Endpoint>,
}

#[pymethods]
impl StreamId {
    fn __call__(&self, py: Python<'_>) -> Option<u64> {
        let endpoint = self.endpoint.upgrade()?;
        py.detach(|| endpoint.stream_id(&self.placed))
    }
}

fn fields(headers: Headers) -> PyResult<Vec<Field>> {
    event::fields(headers).ok_or_else(|| PyValueError::new_err("headers have to be octets (latin-1)"))
}

/// A finite timeout, or `None` for no limit.
fn timeout(seconds: Option<f64>) -> PyResult<Option<Duration>> {
    seconds
        .map(|x| Duration::try_from_secs_f64(x).map_err(|e| PyValueError::new_err(e.to_string())))
        .transpose()
}

impl Endpoint {
    fn read_pieces(&self, stream: Handle, limit: usize) -> PyResult<Option<Vec<bytes::Bytes>>> {
        match self.0.read(stream, limit).map_err(failure)? {
            Ok(Read::Data(pieces)) => Ok(Some(pieces)),
            Ok(Read::Fin) => Ok(Some(Vec::new())),
            Ok(Read::Nothing) => Ok(None),
            Err(ReadError::Reset(code)) => Err(StreamResetError::new_err((code,))),
        }
    }

    fn read_up_to(&self, stream: Handle, limit: isize) -> PyResult<Option<Vec<bytes::Bytes>>> {
        if limit == 0 {
            return Err(PyValueError::new_err("limit has to be positive, or negative for no limit"));
        }
        self.read_pieces(stream, usize::try_from(limit).unwrap_or(usize::MAX))
    }
}

#[pymethods]
impl Endpoint {
    #[new]
    fn new(py: Python<'_>, role: &str, config: &Bound<'_, PyDict>) -> PyResult<Self> {
        let config = config::parse(role, config)?;
        py.detach(|| wt_reactor::Endpoint::new(config)).map(|x| Self(Arc::new(x))).map_err(config_error)
    }

    #[getter]
    fn local_addresses(&self) -> Vec<(String, u16)> {
        self.0.local_addresses().iter().map(|x| (x.ip().to_string(), x.port())).collect()
    }

    #[getter]
    fn ended(&self) -> bool {
        self.0.has_ended()
    }

    #[getter]
    fn borrows(&self) -> bool {
        self.0.borrows()
    }

    fn fileno(&self) -> i32 {
        self.0.as_fd().as_raw_fd()
    }

    #[pyo3(signature = (limit = 4096))]
    fn drain<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyList>> {
        let mut events: Vec<Event> = Vec::new();
        // It may include work of the I/O thread's
        py.detach(|| self.0.drain(limit, &mut events));
        let list = PyList::empty(py);
        for event in events {
            list.append(event::to_tuple(py, event)?)?;
        }
        Ok(list)
    }

    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = self::timeout(timeout)?;
        Ok(py.detach(|| self.0.wait(timeout)))
    }

    fn connect(&self, address: (String, u16), server_name: &str) -> PyResult<Handle> {
        let address = config::address(&address.0, address.1)?;
        self.0.connect(address, server_name).map_err(failure)
    }

    #[pyo3(signature = (connection, code = 0x100, reason = ""))]
    fn close_connection(&self, connection: Handle, code: u64, reason: &str) -> PyResult<()> {
        self.0.close_connection(connection, code, reason).map_err(failure)
    }

    fn goaway(&self, connection: Handle) -> PyResult<()> {
        self.0.goaway(connection).map_err(failure)
    }

    fn stop_accepting(&self) -> PyResult<()> {
        self.0.stop_accepting().map_err(failure)
    }

    #[pyo3(
        signature = (
            connection, authority, path, *, origin = None, headers = Headers::new(), protocols = Vec::new(),
            require_protocol = false
        ),
        text_signature = "($self, connection, authority, path, *, origin=None, headers=(), protocols=(), \
            require_protocol=False)"
    )]
    #[allow(clippy::too_many_arguments)]
    fn request_session(
        &self,
        connection: Handle,
        authority: String,
        path: String,
        origin: Option<String>,
        headers: Headers,
        protocols: Vec<String>,
        require_protocol: bool,
    ) -> PyResult<Handle> {
        let headers = fields(headers)?;
        let request = ConnectRequest { authority, path, origin, protocols, require_protocol, headers };
        self.0.request_session(connection, request).map_err(failure)
    }

    #[pyo3(
        signature = (session, *, headers = Headers::new(), protocol = None),
        text_signature = "($self, session, *, headers=(), protocol=None)"
    )]
    fn accept_session(&self, session: Handle, headers: Headers, protocol: Option<String>) -> PyResult<()> {
        let options = AcceptOptions { protocol, headers: fields(headers)? };
        self.0.accept_session(session, options).map_err(failure)
    }

    #[pyo3(
        signature = (session, *, status = 404, headers = Headers::new()),
        text_signature = "($self, session, *, status=404, headers=())"
    )]
    fn reject_session(&self, session: Handle, status: u16, headers: Headers) -> PyResult<()> {
        self.0.reject_session(session, status, fields(headers)?).map_err(failure)
    }

    #[pyo3(signature = (session, code = 0, reason = "", *, capsule = true))]
    fn close_session(&self, session: Handle, code: u64, reason: &str, capsule: bool) -> PyResult<()> {
        if !capsule && (code, reason) != (0, "") {
            return Err(PyValueError::new_err("code and reason need a capsule"));
        }
        let code = u32::try_from(code).map_err(|_| PyValueError::new_err("code exceeds 32 bits"))?;
        self.0.close_session(session, code, reason).map_err(failure)
    }

    fn drain_session(&self, session: Handle) -> PyResult<()> {
        self.0.drain_session(session).map_err(failure)
    }

    fn answer_stops_with(&self, session: Handle, code: Option<u32>) -> PyResult<()> {
        self.0.answer_stops_with(session, code).map_err(failure)
    }

    fn send_datagram(&self, py: Python<'_>, session: Handle, data: &Bound<'_, PyAny>) -> PyResult<bool> {
        let queued = with_bytes(data, |data| self.0.queue_datagram(session, data))?.map_err(failure)?;
        if queued == Queued::Now {
            py.detach(|| self.0.flush());
        }
        Ok(queued != Queued::Dropped)
    }

    fn max_datagram_size(&self, session: Handle) -> PyResult<usize> {
        self.0.max_datagram_size(session).map_err(failure)
    }

    fn defer(&self, py: Python<'_>, call_soon: Py<PyAny>) -> PyResult<()> {
        let flush = Py::new(py, Flush(Arc::downgrade(&self.0)))?;
        let endpoint = Arc::downgrade(&self.0);
        self.0.defer(move || {
            // Fails if the event loop is closed
            if Python::attach(|py| call_soon.call1(py, (&flush,)).is_err())
                && let Some(endpoint) = endpoint.upgrade()
            {
                endpoint.flush();
            }
        });
        Ok(())
    }

    fn open_stream_at_once(
        &self,
        session: Handle,
        bidirectional: bool,
    ) -> PyResult<Option<(Handle, StreamId)>> {
        let opened = self.0.open_stream_at_once(session, event::dir(bidirectional)).map_err(failure)?;
        Ok(opened.map(|(handle, placed)| (handle, StreamId { placed, endpoint: Arc::downgrade(&self.0) })))
    }

    fn open_stream(&self, session: Handle, bidirectional: bool) -> PyResult<Handle> {
        self.0.open_stream(session, event::dir(bidirectional)).map_err(failure)
    }

    #[pyo3(signature = (stream, data, fin = false))]
    fn write(&self, stream: Handle, data: &Bound<'_, PyAny>, fin: bool) -> PyResult<bool> {
        self.0.write(stream, to_bytes(data)?, fin).map_err(failure)
    }

    fn finish(&self, stream: Handle) -> PyResult<()> {
        match self.0.write(stream, bytes::Bytes::new(), true) {
            Err(wt_reactor::Failure::Stopped(_)) => Ok(()),
            result => result.map(|_| ()).map_err(failure),
        }
    }

    fn watch_finished(&self, stream: Handle) -> PyResult<bool> {
        self.0.watch_finished(stream).map_err(failure)
    }

    #[pyo3(signature = (stream, code = 0))]
    fn reset(&self, stream: Handle, code: u32) -> PyResult<()> {
        self.0.reset(stream, code).map_err(failure)
    }

    #[pyo3(signature = (stream, limit = -1), text_signature = "($self, stream, limit=-1)")]
    fn read<'py>(
        &self,
        py: Python<'py>,
        stream: Handle,
        limit: isize,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.read_up_to(stream, limit)?.map(|x| join(py, &x)).transpose()
    }

    #[pyo3(signature = (stream, limit = -1), text_signature = "($self, stream, limit=-1)")]
    fn read_views<'py>(
        &self,
        py: Python<'py>,
        stream: Handle,
        limit: isize,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        self.read_up_to(stream, limit)?.map(|x| views(py, x)).transpose()
    }

    fn read_into(&self, stream: Handle, buffer: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        let mut target = Target::new(buffer)?;
        if target.len() == 0 {
            return Err(PyValueError::new_err("the buffer is empty"));
        }
        let pieces = self.read_pieces(stream, target.len())?;
        pieces.map(|x| target.fill(&x)).transpose()
    }

    fn buffered(&self, stream: Handle) -> PyResult<usize> {
        self.0.buffered(stream).map_err(failure)
    }

    #[pyo3(signature = (stream, code = 0))]
    fn stop(&self, stream: Handle, code: u32) -> PyResult<()> {
        self.0.stop(stream, code).map_err(failure)
    }

    fn release(&self, stream: Handle) {
        self.0.release(stream);
    }

    fn export_keying_material(
        &self,
        session: Handle,
        label: &[u8],
        context: &[u8],
        length: usize,
    ) -> PyResult<Handle> {
        self.0.export_keying_material(session, label, context, length).map_err(failure)
    }

    fn session_limits(&self, session: Handle) -> PyResult<Handle> {
        self.0.session_limits(session).map_err(failure)
    }

    fn connection_stats(&self, connection: Handle) -> PyResult<Handle> {
        self.0.connection_stats(connection).map_err(failure)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.0.stats();
        let dict = PyDict::new(py);
        dict.set_item("connections", stats.connections)?;
        dict.set_item("connections_total", stats.connections_total)?;
        dict.set_item("handshakes_refused", stats.handshakes_refused)?;
        dict.set_item("retries_sent", stats.retries_sent)?;
        dict.set_item("sessions", stats.sessions)?;
        dict.set_item("streams", stats.streams)?;
        dict.set_item("stream_handles", stats.stream_handles)?;
        dict.set_item("events_queued", stats.events_queued)?;
        dict.set_item("datagrams_dropped", stats.datagrams_dropped)?;
        dict.set_item("send_errors", stats.send_errors)?;
        dict.set_item("application_rounds", stats.application_rounds)?;
        Ok(dict)
    }

    /// Only in builds for tests.
    #[cfg(feature = "panic-hook")]
    fn panic(&self) -> PyResult<()> {
        self.0.panic().map_err(failure)
    }

    #[pyo3(signature = (code = 0x100, reason = "", timeout = 1.0))]
    fn close(&self, code: u64, reason: &str, timeout: f64) -> PyResult<()> {
        let timeout = self::timeout(Some(timeout))?.unwrap_or_default();
        self.0.close(code, reason, timeout);
        Ok(())
    }

    #[pyo3(signature = (timeout = None))]
    fn join(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = self::timeout(timeout)?;
        Ok(py.detach(|| self.0.join(timeout)))
    }
}
