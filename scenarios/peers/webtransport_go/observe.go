package main

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/quic-go/webtransport-go"
)

func observeEndpoint(application *application, request *http.Request, query *parameters) plan {
	name, wanted := query.observation("id"), query.observation("read")
	withEcho := query.flag("echo", 0)
	if query.err != nil {
		return plan{}
	}
	if wanted != "" {
		return plan{run: answering(func() []byte { return application.observations.lines(wanted) }).run}
	}
	if name == "" {
		query.fail("id")
		return plan{}
	}
	return plan{
		protocols: query.values["select"],
		run: func(session *webtransport.Session) error {
			observer := &observer{session: application.observations.session(name), echo: withEcho}
			observer.session.record("session", sessionMembers(request, session))
			end := observer.conversation().run(session)
			observer.session.record("closed", closedMembers(end))
			return end
		},
	}
}

func sessionMembers(request *http.Request, session *webtransport.Session) map[string]any {
	headers := [][2]string{}
	for name, values := range request.Header {
		for _, value := range values {
			headers = append(headers, [2]string{strings.ToLower(name), text(value)})
		}
	}
	// The library hands out a map: the order of the wire is lost, this one is at least always the same.
	slices.SortFunc(headers, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return map[string]any{
		"protocol":          request.Proto,
		"authority":         request.Host,
		"path":              request.RequestURI,
		"origin":            nullable(request.Header.Get("Origin")),
		"headers":           headers,
		"offered_protocols": offeredProtocols(request),
		"selected_protocol": nullable(session.SessionState().ApplicationProtocol),
	}
}

func closedMembers(end error) map[string]any {
	var closed *webtransport.SessionError
	if errors.As(end, &closed) {
		return map[string]any{"code": closed.ErrorCode, "reason": text(closed.Message), "clean": true}
	}
	return map[string]any{"code": nil, "reason": nil, "clean": false}
}

func text(value string) string { return strings.ToValidUTF8(value, "\uFFFD") }

// observer records one session.
type observer struct {
	session *observedSession
	echo    bool
	streams atomic.Int64
}

func (o *observer) conversation() conversation {
	return conversation{
		bidirectional: func(_ *webtransport.Session, stream *webtransport.Stream) {
			recorded := o.stream(stream, "bidi")
			unwatch := context.AfterFunc(stream.Context(), func() {
				if code, stopped := stopCode(stream); stopped {
					recorded.record("stop", map[string]any{"code": code})
				}
			})
			defer unwatch()
			if o.echo {
				copyStream(stream, recorded, nil)
				return
			}
			_, _ = io.Copy(io.Discard, recorded)
			_ = stream.Close()
		},
		unidirectional: func(session *webtransport.Session, stream *webtransport.ReceiveStream) {
			recorded := o.stream(stream, "uni")
			if !o.echo {
				_, _ = io.Copy(io.Discard, recorded)
				return
			}
			if outgoing, err := session.OpenUniStreamSync(session.Context()); err == nil {
				copyStream(outgoing, recorded, nil)
			}
		},
		datagram: func(session *webtransport.Session, payload []byte) {
			o.session.record("datagram", map[string]any{"data": hex.EncodeToString(payload), "length": len(payload)})
			if o.echo {
				echo.datagram(session, payload)
			}
		},
	}
}

func (o *observer) stream(inner receiver, kind string) *recordedStream {
	result := &recordedStream{receiver: inner, session: o.session, number: o.streams.Add(1) - 1}
	result.record("stream", map[string]any{"kind": kind, "initiator": "client"})
	return result
}

// recordedStream records what is read from a stream of the client.
type recordedStream struct {
	receiver
	session *observedSession
	number  int64
}

func (s *recordedStream) record(event string, members map[string]any) {
	members["stream"] = s.number
	s.session.record(event, members)
}

func (s *recordedStream) Read(buffer []byte) (int, error) {
	length, err := s.receiver.Read(buffer)
	if length > 0 {
		members := map[string]any{"length": length}
		if s.session.mayRecord(length) {
			members["data"] = hex.EncodeToString(buffer[:length])
		}
		s.record("data", members)
	}
	var reset *webtransport.StreamError
	switch {
	case errors.Is(err, io.EOF):
		s.record("fin", map[string]any{})
	case errors.As(err, &reset) && reset.Remote:
		s.record("reset", map[string]any{"code": reset.ErrorCode})
	}
	return length, err
}
