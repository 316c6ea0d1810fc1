//! What a trace tells of HTTP/3 and WebTransport: all that passes the state machine, in both directions.
//!
//! The engine's records tell of packets. These have names of their own, since no schema of qlog covers
//! WebTransport; `raw` is that of qlog (RawInfo), cut short.

use std::fmt::Write;

use serde_json::{Value, json};
use wt_core::{Action, Draft, Event, Field, Input, Rejection, SessionEnd, SessionId, settings::Settings};

/// Bytes of a record that are shown
const SHOWN: usize = 64;

pub(super) type Record = (&'static str, Value);

/// What came from the network.
pub(super) fn input(input: &Input) -> Record {
    match input {
        Input::Established { facts, control, .. } => (
            "webtransport:established",
            json!({
                "control_stream_id": control.0,
                "peer_datagrams": facts.peer_datagrams,
                "peer_reset_stream_at": facts.peer_reset_stream_at,
                "early_data_accepted": facts.early_data_accepted,
            }),
        ),
        Input::StreamData { stream, data, fin } => (
            "webtransport:stream_data_received",
            json!({"stream_id": stream.0, "fin": fin, "raw": raw(data)}),
        ),
        Input::StreamReset { stream, code, final_size } => (
            "webtransport:reset_received",
            json!({"stream_id": stream.0, "error_code": code, "final_size": final_size}),
        ),
        Input::StreamStopped { stream, code } => {
            ("webtransport:stop_sending_received", json!({"stream_id": stream.0, "error_code": code}))
        }
        Input::Datagram(data) => ("webtransport:datagram_received", json!({"raw": raw(data)})),
        Input::ConnectionLost => ("webtransport:connection_lost", json!({})),
    }
}

/// What is sent for it.
pub(super) fn action(action: &Action) -> Record {
    match action {
        Action::Write { stream, data, fin } => {
            ("webtransport:stream_data_sent", json!({"stream_id": stream.0, "fin": fin, "raw": raw(data)}))
        }
        Action::Reset { stream, code } => {
            ("webtransport:reset_sent", json!({"stream_id": stream.0, "error_code": code}))
        }
        Action::ResetAt { stream, code, reliable_size } => (
            "webtransport:reset_sent",
            json!({"stream_id": stream.0, "error_code": code, "reliable_size": reliable_size}),
        ),
        Action::Stop { stream, code } => {
            ("webtransport:stop_sending_sent", json!({"stream_id": stream.0, "error_code": code}))
        }
        Action::CloseConnection { code, reason } => {
            ("webtransport:connection_closed", json!({"error_code": code, "reason": reason}))
        }
    }
}

/// What the application is told, with the SETTINGS of both sides where they decide something.
pub(super) fn event(event: &Event, settings: (&Settings, Option<&Settings>)) -> Record {
    match event {
        Event::Ready { draft } => (
            "webtransport:negotiated",
            json!({
                "draft": draft.number(),
                "local_settings": shown(settings.0),
                "peer_settings": settings.1.map(shown),
            }),
        ),
        Event::Unsupported { reason } => {
            ("webtransport:unsupported", json!({"reason": reason, "peer_settings": settings.1.map(shown)}))
        }
        Event::SessionRequest { session, request } => (
            "webtransport:session_requested",
            json!({
                "session_id": id(*session),
                "draft": request.draft.number(),
                "authority": request.authority,
                "path": request.path,
                "origin": request.origin,
                "protocols": request.protocols,
                "headers": fields(&request.headers),
            }),
        ),
        Event::SessionEstablished { session, response } => (
            "webtransport:session_established",
            json!({
                "session_id": id(*session),
                "draft": response.draft.number(),
                "status": response.status,
                "protocol": response.protocol,
                "headers": fields(&response.headers),
            }),
        ),
        Event::SessionRejected { session, reason } => {
            ("webtransport:session_rejected", json!({"session_id": id(*session), "cause": rejection(reason)}))
        }
        Event::SessionClosed { session, end: how } => {
            ("webtransport:session_closed", json!({"session_id": id(*session), "cause": end(how)}))
        }
        Event::SessionDraining { session } => {
            ("webtransport:session_draining", json!({"session_id": id(*session)}))
        }
        Event::GoingAway => ("webtransport:goaway_received", json!({})),
        Event::IncomingStream { session, stream, .. } => {
            ("webtransport:stream_accepted", json!({"session_id": id(*session), "stream_id": stream.0}))
        }
        Event::StreamReset { session, stream, code } => (
            "webtransport:stream_reset",
            json!({"session_id": id(*session), "stream_id": stream.0, "application_code": code}),
        ),
        Event::StreamStopped { session, stream, code } => (
            "webtransport:stream_stopped",
            json!({"session_id": id(*session), "stream_id": stream.0, "application_code": code}),
        ),
        Event::Datagram { session, payload } => {
            ("webtransport:datagram", json!({"session_id": id(*session), "length": payload.len()}))
        }
        Event::StreamCredit { session, dir } => (
            "webtransport:stream_credit",
            json!({"session_id": id(*session), "bidirectional": *dir == wt_core::Dir::Bidi}),
        ),
        Event::DataCredit { session } => ("webtransport:data_credit", json!({"session_id": id(*session)})),
    }
}

fn id(session: SessionId) -> u64 {
    session.0.0
}

fn raw(data: &[u8]) -> Value {
    let mut shown = String::with_capacity(2 * data.len().min(SHOWN));
    for byte in &data[..data.len().min(SHOWN)] {
        // Writing to a string does not fail
        let _ = write!(shown, "{byte:02x}");
    }
    json!({"length": data.len(), "data": shown})
}

fn fields(fields: &[Field]) -> Value {
    let text = |x: &[u8]| String::from_utf8_lossy(x).into_owned();
    fields.iter().map(|(name, value)| json!({"name": text(name), "value": text(value)})).collect()
}

fn shown(settings: &Settings) -> Value {
    let drafts: Vec<_> = Draft::ALL.iter().zip(settings.webtransport).filter(|x| x.1 > 0).collect();
    json!({
        "qpack_max_table_capacity": settings.qpack_max_table_capacity,
        "qpack_blocked_streams": settings.qpack_blocked_streams,
        "max_field_section_size": settings.max_field_section_size,
        "enable_connect_protocol": settings.connect_protocol,
        "h3_datagram": settings.h3_datagram,
        "h3_datagram_draft": settings.h3_datagram_draft,
        "webtransport": drafts.iter().map(|x| json!({"draft": x.0.number(), "value": x.1})).collect::<Value>(),
        "initial_max_data": settings.limits.data,
        "initial_max_streams_bidi": settings.limits.bidi,
        "initial_max_streams_uni": settings.limits.uni,
    })
}

fn rejection(reason: &Rejection) -> Value {
    match reason {
        Rejection::Status { status, headers } => json!({"status": status, "headers": fields(headers)}),
        Rejection::Reset(code) => json!({"reset": code}),
        Rejection::Malformed(reason) => json!({"malformed": reason}),
        Rejection::GoingAway => json!("going_away"),
        Rejection::ConnectionLost => json!("connection_lost"),
    }
}

fn end(end: &SessionEnd) -> Value {
    match end {
        SessionEnd::Closed { code, reason } => json!({"by": "peer", "code": code, "reason": reason}),
        SessionEnd::ClosedLocally => json!({"by": "application"}),
        SessionEnd::Reset(code) => json!({"by": "peer", "reset": code}),
        SessionEnd::Violation { code, reason } => json!({"violation": reason, "error_code": code}),
        SessionEnd::ConnectionLost => json!("connection_lost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use wt_core::StreamId;

    #[test]
    fn bytes_are_cut_short_and_text_is_escaped() {
        let data = Bytes::from(vec![0xab; 100]);
        let (name, value) = input(&Input::StreamData { stream: StreamId(4), data, fin: true });
        assert_eq!(name, "webtransport:stream_data_received");
        assert_eq!(value["raw"]["length"], 100);
        assert_eq!(value["raw"]["data"].as_str().map(str::len), Some(2 * SHOWN));

        let reason = "\u{1e}\n\"\\".to_owned();
        let session = SessionId(StreamId(0));
        let closed = Event::SessionClosed { session, end: SessionEnd::Closed { code: 7, reason } };
        let text = event(&closed, (&Settings::default(), None)).1.to_string();
        assert!(!text.contains(['\u{1e}', '\n']), "{text}");
        assert!(text.contains(r#""code":7"#));
    }
}
