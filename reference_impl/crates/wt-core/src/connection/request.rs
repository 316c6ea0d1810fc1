//! Request streams: the frames of a request or response, and of the tunnel that a CONNECT becomes (RFC 9114
//! §4.1, §4.4).

use bytes::{Bytes, BytesMut};

use super::{Connection, Fault, Stream, compression::Waiting, incoming::Head};
use crate::{
    Feed, Rejection, Role, SessionEnd, SessionId, StreamId,
    capsule::{Capsule, CapsuleReader},
    code,
    frame::{self, Place, Verdict},
    tlv::{Piece, Reader},
};

/// What a request stream is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Server: nothing but skipped frames came.
    Start,
    /// Server: a request for a session is not answered yet.
    Asked,
    /// Client: there is no final response yet.
    Asking,
    /// Capsules of an established session
    Tunnel,
    /// The peer closed the session, and our side was finished; it has to finish its side.
    ClosedByPeer,
    /// We closed the session; what still comes is dropped.
    ClosedHere,
    /// The message has no effect (any more): frames are checked and dropped.
    Plain,
}

/// The frame that is being read.
#[derive(Debug)]
enum Frame {
    Skipped,
    Headers(BytesMut),
    /// HEADERS beyond what is accepted
    Oversized,
    Data,
}

/// A request stream.
#[derive(Debug)]
pub(super) struct RequestStream {
    reader: Reader,
    pub(super) phase: Phase,
    frame: Frame,
    /// Bytes read before the current input
    consumed: u64,
    /// Field sections read: of a plain request the second is trailers
    pub(super) sections: u8,
    /// A frame came before the first HEADERS
    frames_before: bool,
    pub(super) capsules: Option<CapsuleReader>,
    /// Server: tunnel bytes that came before the answer (-16 §3.2)
    pub(super) early: BytesMut,
    /// The peer finished the stream before the answer.
    pub(super) early_fin: bool,
    /// Our side is neither finished nor reset.
    pub(super) send_open: bool,
    /// The request was one for a session.
    pub(super) wants_session: bool,
    /// A field section that refers to entries that have not come
    pub(super) waiting: Option<Box<Waiting>>,
    /// The sections of this stream are not read any more.
    pub(super) skips_sections: bool,
}

/// Whether the stream is still read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Go,
    Done,
    /// This field section has to wait for the peer's encoder stream.
    Wait(BytesMut),
}

impl RequestStream {
    /// A stream that a client opened here.
    pub(super) fn request() -> Self {
        Self {
            reader: Reader::new(Some(frame::WT_STREAM)),
            phase: Phase::Start,
            frame: Frame::Skipped,
            consumed: 0,
            sections: 0,
            frames_before: false,
            capsules: None,
            early: BytesMut::new(),
            early_fin: false,
            send_open: true,
            wants_session: false,
            waiting: None,
            skips_sections: false,
        }
    }

    /// A stream on which we sent a request.
    pub(super) fn response() -> Self {
        Self { phase: Phase::Asking, ..Self::request() }
    }

    /// Whether the request has nothing to do with sessions
    pub(super) fn is_plain(&self) -> bool {
        self.phase == Phase::Plain && !self.wants_session
    }

    /// Our side of the tunnel was finished with a close capsule.
    pub(super) fn closed_locally(&mut self) {
        self.phase = Phase::ClosedHere;
        self.send_open = false;
    }

    fn place(&self) -> Place {
        match self.phase {
            Phase::Start | Phase::Asking | Phase::Plain => Place::Request,
            Phase::Asked | Phase::Tunnel | Phase::ClosedByPeer | Phase::ClosedHere => Place::Tunnel,
        }
    }
}

impl Connection {
    pub(super) fn request_data(
        &mut self,
        id: StreamId,
        mut request: RequestStream,
        mut data: Bytes,
        fin: bool,
    ) -> Result<Feed, Fault> {
        if request.waiting.is_some() {
            return Ok(self.keep_behind(id, request, &data, fin));
        }
        let length = data.len();
        while let Some(piece) = request.reader.next(&mut data) {
            let step = match piece {
                Piece::Signal => {
                    self.check_signal(&request)?;
                    let header = request.consumed + (length - data.len()) as u64;
                    return self.incoming(id, Head::session(header), data, fin);
                }
                Piece::Start { kind, length } => {
                    request.frame = self.request_frame(&mut request, kind, length)?;
                    Step::Go
                }
                Piece::Value(bytes) => match &mut request.frame {
                    Frame::Headers(section) => {
                        section.extend_from_slice(&bytes);
                        Step::Go
                    }
                    Frame::Data => self.tunnel_data(SessionId(id), &mut request, bytes)?,
                    Frame::Skipped | Frame::Oversized => Step::Go,
                },
                Piece::End => match std::mem::replace(&mut request.frame, Frame::Skipped) {
                    Frame::Headers(section) => self.field_section(id, &mut request, section)?,
                    Frame::Oversized => self.oversized_section(id, &mut request),
                    Frame::Data | Frame::Skipped => Step::Go,
                },
            };
            match step {
                Step::Go => {}
                Step::Done => return Ok(Feed::Discard),
                Step::Wait(section) => return Ok(self.wait(id, request, section, &data, fin)),
            }
        }
        if fin {
            if !request.reader.at_boundary() {
                return Err(Fault(code::H3_FRAME_ERROR, "the stream ends within a frame"));
            }
            self.request_fin(id, request);
            return Ok(Feed::Discard);
        }
        request.consumed += length as u64;
        self.streams.insert(id, Stream::Request(request));
        Ok(Feed::Core)
    }

    /// 0x41 has to be the first thing on a stream, except in drafts that take it for a frame (-16 §4.3, -02
    /// §4.2).
    fn check_signal(&self, request: &RequestStream) -> Result<(), Fault> {
        let after_frames = match (self.draft, &self.peer) {
            (Some(draft), _) => draft.facts().signal_after_frames,
            (None, Some(_)) => false,
            (None, None) => self.config.drafts.iter().any(|draft| draft.facts().signal_after_frames),
        };
        match request.phase == Phase::Start && (after_frames || !request.frames_before) {
            true => Ok(()),
            false => Err(self.misplaced_signal()),
        }
    }

    fn request_frame(&mut self, request: &mut RequestStream, kind: u64, length: u64) -> Result<Frame, Fault> {
        let place = request.place();
        request.frames_before = true;
        match frame::judge(kind, place, self.peer_role()) {
            Verdict::Error(code) => return Err(Fault(code, "a frame that this stream does not have")),
            Verdict::Skip => {
                self.ignore_element()?;
                return Ok(Frame::Skipped);
            }
            Verdict::Process => {}
        }
        if length == 0 || kind == frame::HEADERS {
            self.ignore_element()?;
        }
        // RFC 9114 §4.1: HEADERS, DATA, and at most one more HEADERS; responses may be preceded by interim ones
        let asking = request.phase == Phase::Asking;
        match kind {
            frame::DATA if place == Place::Request && (asking || !(1..2).contains(&request.sections)) => {
                Err(Fault(code::H3_FRAME_UNEXPECTED, "DATA before HEADERS or after trailers"))
            }
            frame::DATA => Ok(Frame::Data),
            _ if !asking && request.sections > 1 => {
                Err(Fault(code::H3_FRAME_UNEXPECTED, "HEADERS after trailers"))
            }
            _ if request.skips_sections || length > self.config.max_field_section_size => {
                Ok(Frame::Oversized)
            }
            _ => Ok(Frame::Headers(BytesMut::new())),
        }
    }

    /// Payload of DATA frames.
    pub(super) fn tunnel_data(
        &mut self,
        session: SessionId,
        request: &mut RequestStream,
        mut bytes: Bytes,
    ) -> Result<Step, Fault> {
        match request.phase {
            Phase::Asked => {
                if request.early.len() + bytes.len() > self.config.max_early_capsule_bytes {
                    self.awaiting.retain(|(waiting, _)| *waiting != session.0);
                    self.fail_session(session, code::H3_EXCESSIVE_LOAD, "too much before the answer");
                    return Ok(Step::Done);
                }
                request.early.extend_from_slice(&bytes);
            }
            Phase::Tunnel => {
                let Some(mut capsules) = request.capsules.take() else { return Ok(Step::Go) };
                let step = self.capsules(session, request, &mut capsules, &mut bytes);
                request.capsules = Some(capsules);
                return step;
            }
            Phase::ClosedByPeer => return Ok(self.data_after_close(session)),
            Phase::Start | Phase::Asking | Phase::ClosedHere | Phase::Plain => {}
        }
        Ok(Step::Go)
    }

    fn capsules(
        &mut self,
        session: SessionId,
        request: &mut RequestStream,
        capsules: &mut CapsuleReader,
        bytes: &mut Bytes,
    ) -> Result<Step, Fault> {
        loop {
            match capsules.next(bytes) {
                Ok(Some(Capsule::Close { code, reason })) => {
                    request.phase = Phase::ClosedByPeer;
                    // The answer does not wait for the peer's FIN (-16 §6)
                    self.finish_sending(session.0, request);
                    self.end_session(session, SessionEnd::Closed { code, reason });
                    return Ok(if bytes.is_empty() { Step::Go } else { self.data_after_close(session) });
                }
                Ok(Some(capsule)) => {
                    if !self.capsule(session, capsule)? {
                        return Ok(Step::Done);
                    }
                }
                Ok(None) if capsules.skipped() > self.config.max_ignored_elements => {
                    return Err(Fault(code::H3_EXCESSIVE_LOAD, "too many capsules without effect"));
                }
                Ok(None) => return Ok(Step::Go),
                Err(malformed) => {
                    self.fail_session(session, code::H3_MESSAGE_ERROR, malformed.0);
                    return Ok(Step::Done);
                }
            }
        }
    }

    /// -16 §6. Our side is finished by now; QUIC takes the reset as long as the end is not acknowledged
    /// (RFC 9000 §3.1), and the peer learns of the code from STOP_SENDING otherwise.
    fn data_after_close(&mut self, session: SessionId) -> Step {
        self.cut_connect_stream(session, code::H3_MESSAGE_ERROR);
        Step::Done
    }

    pub(super) fn request_fin(&mut self, id: StreamId, mut request: RequestStream) {
        let session = SessionId(id);
        match request.phase {
            // RFC 9114 §4.1
            Phase::Start => {
                self.reset(id, code::H3_REQUEST_INCOMPLETE);
                self.forget_request(session);
            }
            Phase::Asked => {
                request.early_fin = true;
                self.streams.insert(id, Stream::Request(request));
            }
            Phase::Asking => {
                self.finish_sending(id, &mut request);
                self.rejected(session, Rejection::Malformed("the stream ended without a response"));
            }
            Phase::Tunnel if request.capsules.as_ref().is_some_and(|capsules| !capsules.at_boundary()) => {
                self.reset(id, code::H3_MESSAGE_ERROR);
                let reason = "the stream ends within a capsule";
                self.end_session(session, SessionEnd::Violation { code: code::H3_MESSAGE_ERROR, reason });
            }
            Phase::Tunnel => {
                self.finish_sending(id, &mut request);
                self.end_session(session, SessionEnd::Closed { code: 0, reason: String::new() });
            }
            Phase::ClosedByPeer | Phase::ClosedHere | Phase::Plain => {}
        }
    }

    pub(super) fn request_reset(&mut self, id: StreamId, mut request: RequestStream, code: u64) {
        let session = SessionId(id);
        match request.phase {
            Phase::Start => {
                self.reset(id, code::H3_REQUEST_INCOMPLETE);
                self.forget_request(session);
            }
            Phase::Asked => {
                self.reset(id, code::H3_REQUEST_CANCELLED);
                self.awaiting.retain(|(waiting, _)| *waiting != id);
                self.forget_request(session);
                self.end_session(session, SessionEnd::Reset(code));
            }
            Phase::Asking => {
                if request.send_open {
                    self.reset(id, code::H3_REQUEST_CANCELLED);
                }
                self.rejected(session, Rejection::Reset(code));
            }
            Phase::Tunnel => {
                self.finish_sending(id, &mut request);
                self.end_session(session, SessionEnd::Reset(code));
            }
            Phase::ClosedByPeer | Phase::ClosedHere | Phase::Plain => {}
        }
    }

    /// The peer stopped our side, so that it is reset with the same code (RFC 9000 §3.5). For a session this is
    /// its end; a request may still get its response (RFC 9114 §4.1).
    pub(super) fn request_stopped(&mut self, id: StreamId, mut request: RequestStream, code: u64) {
        if std::mem::replace(&mut request.send_open, false) {
            self.reset(id, code);
        }
        match request.phase {
            Phase::Asked => {
                self.awaiting.retain(|(waiting, _)| *waiting != id);
                self.forget_request(SessionId(id));
                self.end_session(SessionId(id), SessionEnd::Reset(code));
                request.phase = Phase::ClosedHere;
            }
            Phase::Tunnel => {
                self.end_session(SessionId(id), SessionEnd::Reset(code));
                request.phase = Phase::ClosedHere;
            }
            _ => {}
        }
        if !request.early_fin {
            self.streams.insert(id, Stream::Request(request));
        }
    }

    pub(super) fn finish_sending(&mut self, id: StreamId, request: &mut RequestStream) {
        if std::mem::replace(&mut request.send_open, false) {
            self.write(id, Bytes::new(), true);
        }
    }

    /// A request that is over and was no session: streams that name it are late.
    pub(super) fn forget_request(&mut self, session: SessionId) {
        if self.role == Role::Server {
            self.reject_early(session, code::WT_BUFFERED_STREAM_REJECTED);
            self.gone.remember(session, self.config.max_remembered_sessions);
        }
    }
}
