//! Events as tuples.

use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict, PyList, PyTuple},
};
use wt_reactor::{
    Answer, ConnectionEndSource, ConnectionInfo, ConnectionStats, Dir, Draft, Event, Field, FlowLimits,
    Negotiated, SessionEndSource, SessionLimits,
};

macro_rules! kinds {
    ($($name:ident),* $(,)?) => {
        /// The first element of an event.
        #[derive(Clone, Copy)]
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Kind { $($name),* }

        pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
            $(module.add(stringify!($name), Kind::$name as u8)?;)*
            Ok(())
        }
    };
}

kinds! {
    CONNECTION_READY, CONNECTION_CLOSED, SESSION_REQUEST, SESSION_READY, SESSION_REJECTED, SESSION_DRAINING,
    SESSION_CLOSED, STREAM_OPENED, STREAM_FAILED, STREAM_INCOMING, READABLE, WRITABLE, STREAM_STOPPED,
    STREAM_FINISHED, DATAGRAMS, ANSWER, ENDPOINT_CLOSED,
}

/// Number that stands for a draft and those that share its code point.
/// Field lines as Python has them: octets as latin-1.
fn headers(fields: &[Field]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect();
    fields.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// Field lines from Python; `None` if a character is no octet.
pub(crate) fn fields(headers: Vec<(String, String)>) -> Option<Vec<Field>> {
    let octets = |text: &str| text.chars().map(|x| u8::try_from(x).ok()).collect::<Option<Vec<u8>>>();
    headers.iter().map(|(name, value)| Some((octets(name)?.into(), octets(value)?.into()))).collect()
}

fn connection_end(source: ConnectionEndSource) -> &'static str {
    match source {
        ConnectionEndSource::Local => "local",
        ConnectionEndSource::Error => "error",
        ConnectionEndSource::Application => "application",
        ConnectionEndSource::Transport => "transport",
        ConnectionEndSource::Tls => "tls",
        ConnectionEndSource::Timeout => "timeout",
        ConnectionEndSource::Reset => "reset",
        ConnectionEndSource::Version => "version",
        ConnectionEndSource::Refused => "refused",
    }
}

fn session_end(source: SessionEndSource) -> &'static str {
    match source {
        SessionEndSource::Peer => "peer",
        SessionEndSource::Local => "local",
        SessionEndSource::Reset => "reset",
        SessionEndSource::Error => "error",
        SessionEndSource::Connection => "connection",
    }
}

pub(crate) fn to_tuple<'py>(py: Python<'py>, event: Event) -> PyResult<Bound<'py, PyTuple>> {
    match event {
        Event::Readable { stream } => (Kind::READABLE as u8, stream).into_pyobject(py),
        Event::Writable { stream } => (Kind::WRITABLE as u8, stream).into_pyobject(py),
        Event::Datagrams { session, payloads } => {
            let payloads = PyList::new(py, payloads.iter().map(|x| PyBytes::new(py, x)))?;
            (Kind::DATAGRAMS as u8, session, payloads).into_pyobject(py)
        }
        Event::StreamIncoming { session, stream, id } => {
            // RFC 9000 §2.1
            let bidirectional = id & 2 == 0;
            (Kind::STREAM_INCOMING as u8, stream, session, bidirectional, id).into_pyobject(py)
        }
        Event::StreamOpened { stream, id } => (Kind::STREAM_OPENED as u8, stream, id).into_pyobject(py),
        Event::StreamFailed { stream, reason } => {
            (Kind::STREAM_FAILED as u8, stream, reason).into_pyobject(py)
        }
        Event::StreamStopped { stream, code } => (Kind::STREAM_STOPPED as u8, stream, code).into_pyobject(py),
        Event::StreamFinished { stream } => (Kind::STREAM_FINISHED as u8, stream).into_pyobject(py),
        Event::ConnectionReady { connection, info } => {
            (Kind::CONNECTION_READY as u8, connection, connection_info(py, &info)?).into_pyobject(py)
        }
        Event::ConnectionClosed { connection, end } => {
            let source = connection_end(end.source);
            (Kind::CONNECTION_CLOSED as u8, connection, source, end.code, end.reason).into_pyobject(py)
        }
        Event::SessionRequest { connection, session, request, id, early_data } => {
            let info = PyDict::new(py);
            info.set_item("path", request.path)?;
            info.set_item("authority", request.authority)?;
            info.set_item("scheme", "https")?;
            info.set_item("origin", request.origin)?;
            info.set_item("headers", headers(&request.headers))?;
            info.set_item("protocols", request.protocols)?;
            info.set_item("draft", request.draft.number())?;
            info.set_item("early_data", early_data)?;
            info.set_item("quic_stream_id", id)?;
            (Kind::SESSION_REQUEST as u8, session, connection, info).into_pyobject(py)
        }
        Event::SessionReady { session, info } => {
            let dict = PyDict::new(py);
            dict.set_item("status", info.status)?;
            dict.set_item("headers", headers(&info.headers))?;
            dict.set_item("protocol", info.protocol)?;
            dict.set_item("draft", info.draft.number())?;
            dict.set_item("quic_stream_id", info.id)?;
            (Kind::SESSION_READY as u8, session, dict).into_pyobject(py)
        }
        Event::SessionRejected { session, status, headers: fields, reason } => {
            (Kind::SESSION_REJECTED as u8, session, status, headers(&fields), reason).into_pyobject(py)
        }
        Event::SessionDraining { session } => (Kind::SESSION_DRAINING as u8, session).into_pyobject(py),
        Event::SessionClosed { session, code, reason, source } => {
            (Kind::SESSION_CLOSED as u8, session, code, reason, session_end(source)).into_pyobject(py)
        }
        Event::Answer { token, answer } => {
            let answer = match answer {
                Answer::KeyingMaterial(bytes) => PyBytes::new(py, &bytes).into_any(),
                Answer::Stats(stats, negotiated) => {
                    let dict = connection_stats(py, &stats)?;
                    add_negotiated(&dict, &negotiated)?;
                    dict.into_any()
                }
                Answer::Limits(limits) => {
                    let dict = PyDict::new(py);
                    let of = |x: SessionLimits| (numbers(x.peer), numbers(x.ours));
                    let (peer, local) = limits.map(of).unzip();
                    dict.set_item("peer", peer)?;
                    dict.set_item("local", local)?;
                    dict.into_any()
                }
                Answer::Nothing => py.None().into_bound(py),
            };
            (Kind::ANSWER as u8, token, answer).into_pyobject(py)
        }
        Event::EndpointClosed { error } => (Kind::ENDPOINT_CLOSED as u8, 0, error).into_pyobject(py),
    }
}

/// Body bytes, bidirectional and unidirectional streams
fn numbers(limits: FlowLimits) -> (u64, u64, u64) {
    (limits.data, limits.bidi, limits.uni)
}

fn connection_info<'py>(py: Python<'py>, info: &ConnectionInfo) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("remote_address", (info.remote.ip().to_string(), info.remote.port()))?;
    dict.set_item("local_ip", info.local.map(|x| x.to_string()))?;
    dict.set_item("server_name", &info.server_name)?;
    dict.set_item("alpn", &info.alpn)?;
    // As RFC 8446 §B.4 has it
    dict.set_item("tls_cipher", info.cipher_suite.map(|x| x.replace("TLS13_", "TLS_")))?;
    let chain = PyList::new(py, info.peer_certificates.iter().map(|x| PyBytes::new(py, x)))?;
    dict.set_item("peer_certificates", chain)?;
    dict.set_item("draft", info.draft.map(Draft::number))?;
    dict.set_item("unsupported", info.unsupported)?;
    dict.set_item("peer_max_datagram_frame_size", info.peer_max_datagram_frame_size)?;
    dict.set_item("reset_stream_at", info.peer_reset_stream_at)?;
    let drafts: Vec<_> = info.flow_control_drafts.iter().copied().map(Draft::number).collect();
    dict.set_item("flow_control_drafts", drafts)?;
    dict.set_item("peer_limits", numbers(info.peer_limits))?;
    Ok(dict)
}

fn add_negotiated(dict: &Bound<'_, PyDict>, negotiated: &Negotiated) -> PyResult<()> {
    let numbers = |pairs: &[(&'static str, u64)]| -> PyResult<_> {
        let numbers = PyDict::new(dict.py());
        pairs.iter().try_for_each(|(name, value)| numbers.set_item(name, value))?;
        Ok(numbers)
    };
    dict.set_item("settings", numbers(&negotiated.settings)?)?;
    dict.set_item("peer_settings", negotiated.peer_settings.as_deref().map(numbers).transpose()?)?;
    dict.set_item("transport_parameters", numbers(&negotiated.parameters)?)?;
    dict.set_item("peer_transport_parameters", numbers(&negotiated.peer_parameters)?)
}

fn connection_stats<'py>(py: Python<'py>, stats: &ConnectionStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let path = &stats.path;
    dict.set_item("rtt_us", path.rtt.as_micros() as u64)?;
    dict.set_item("cwnd", path.cwnd)?;
    dict.set_item("mtu", path.current_mtu)?;
    dict.set_item("bytes_sent", stats.udp_tx.bytes)?;
    dict.set_item("bytes_received", stats.udp_rx.bytes)?;
    dict.set_item("datagrams_sent", stats.udp_tx.datagrams)?;
    dict.set_item("datagrams_received", stats.udp_rx.datagrams)?;
    dict.set_item("packets_sent", path.sent_packets)?;
    dict.set_item("packets_lost", path.lost_packets)?;
    dict.set_item("congestion_events", path.congestion_events)?;
    for (name, frames) in [("frames_sent", &stats.frame_tx), ("frames_received", &stats.frame_rx)] {
        let counts = PyDict::new(py);
        let table = [
            ("ACK", frames.acks),
            ("CRYPTO", frames.crypto),
            ("CONNECTION_CLOSE", frames.connection_close),
            ("DATA_BLOCKED", frames.data_blocked),
            ("DATAGRAM", frames.datagram),
            ("HANDSHAKE_DONE", frames.handshake_done.into()),
            ("MAX_DATA", frames.max_data),
            ("MAX_STREAM_DATA", frames.max_stream_data),
            ("MAX_STREAMS_BIDI", frames.max_streams_bidi),
            ("MAX_STREAMS_UNI", frames.max_streams_uni),
            ("NEW_CONNECTION_ID", frames.new_connection_id),
            ("NEW_TOKEN", frames.new_token),
            ("PATH_CHALLENGE", frames.path_challenge),
            ("PATH_RESPONSE", frames.path_response),
            ("PING", frames.ping),
            ("RESET_STREAM", frames.reset_stream),
            ("RESET_STREAM_AT", frames.reset_stream_at),
            ("RETIRE_CONNECTION_ID", frames.retire_connection_id),
            ("STOP_SENDING", frames.stop_sending),
            ("STREAM", frames.stream),
            ("STREAM_DATA_BLOCKED", frames.stream_data_blocked),
            ("STREAMS_BLOCKED_BIDI", frames.streams_blocked_bidi),
            ("STREAMS_BLOCKED_UNI", frames.streams_blocked_uni),
        ];
        for (name, count) in table {
            counts.set_item(name, count)?;
        }
        dict.set_item(name, counts)?;
    }
    Ok(dict)
}

/// Direction of a stream to open.
pub(crate) fn dir(bidirectional: bool) -> Dir {
    if bidirectional { Dir::Bidi } else { Dir::Uni }
}
