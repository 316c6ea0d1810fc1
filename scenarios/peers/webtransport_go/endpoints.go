package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/quic-go/webtransport-go"
)

// plan is what an endpoint does with one request, once its parameters have been read.
type plan struct {
	// protocols that may be selected; none for most endpoints.
	protocols []string
	// status and location of a refusal; 0 accepts.
	status   int
	location string
	// delay before the response.
	delay time.Duration
	// run serves the session until it ends and returns what the library says about the end.
	run func(*webtransport.Session) error
}

type endpoint func(application *application, request *http.Request, query *parameters) plan

var endpoints = map[string]endpoint{
	"/":          echoEndpoint,
	"/echo":      echoEndpoint,
	"/observe":   observeEndpoint,
	"/close":     closeEndpoint,
	"/reject":    rejectEndpoint,
	"/origin":    originEndpoint,
	"/push":      pushEndpoint,
	"/reset":     resetEndpoint,
	"/protocols": protocolsEndpoint,
}

type application struct {
	server       *webtransport.Server
	observations *observations
	// The library has one list of application protocols per server, the contract one per request: the
	// list is set under this lock for the moment in which the library selects from it.
	selecting sync.Mutex
}

func newApplication(server *webtransport.Server) *application {
	return &application{server: server, observations: newObservations()}
}

func (a *application) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	if !strings.HasPrefix(request.Proto, "webtransport") {
		servePlainHTTP(writer, request)
		return
	}
	prepare, found := endpoints[request.URL.Path]
	if !found {
		writer.Header().Set("Allow", "")
		writer.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	query := parseParameters(request.URL.RawQuery)
	delay := query.milliseconds("accept_after_ms")
	plan := prepare(a, request, query)
	if query.err != nil {
		http.Error(writer, query.err.Error(), http.StatusBadRequest)
		return
	}
	time.Sleep(max(delay, plan.delay))
	if plan.status != 0 {
		if plan.location != "" {
			writer.Header().Set("Location", plan.location)
		}
		writer.WriteHeader(plan.status)
		return
	}
	session, err := a.upgrade(writer, request, plan.protocols)
	if err != nil {
		http.Error(writer, err.Error(), http.StatusBadRequest)
		return
	}
	_ = plan.run(session)
}

func (a *application) upgrade(
	writer http.ResponseWriter, request *http.Request, protocols []string,
) (*webtransport.Session, error) {
	a.selecting.Lock()
	defer a.selecting.Unlock()
	a.server.ApplicationProtocols = protocols
	return a.server.Upgrade(writer, request)
}

func servePlainHTTP(writer http.ResponseWriter, request *http.Request) {
	if request.URL.Path != "/http" || (request.Method != http.MethodGet && request.Method != http.MethodHead) {
		http.NotFound(writer, request)
		return
	}
	query := parseParameters(request.URL.RawQuery)
	length, delay := query.bytes("bytes", 16), query.milliseconds("after_ms")
	if query.err != nil {
		http.Error(writer, query.err.Error(), http.StatusBadRequest)
		return
	}
	time.Sleep(delay)
	writer.Header().Set("Content-Length", fmt.Sprint(length))
	_, _ = writer.Write(pattern(length))
}

func echoEndpoint(*application, *http.Request, *parameters) plan { return plan{run: echo.run} }

func rejectEndpoint(_ *application, _ *http.Request, query *parameters) plan {
	return plan{
		status:   int(query.number("status", http.StatusForbidden, 300, 599)),
		location: query.values.Get("location"),
		delay:    query.milliseconds("after_ms"),
	}
}

func originEndpoint(_ *application, request *http.Request, query *parameters) plan {
	result := plan{run: echo.run, status: http.StatusForbidden}
	origins := request.Header.Values("Origin")
	if len(origins) == 0 {
		result.status = 0
	}
	for _, allowed := range query.values["allow"] {
		if len(origins) == 1 && origins[0] == allowed {
			result.status = 0
		}
	}
	return result
}

func closeEndpoint(_ *application, _ *http.Request, query *parameters) plan {
	code := query.code()
	reason := strings.Repeat(query.values.Get("reason"), int(query.number("repeat", 1, 0, maxBytes)))
	after := query.milliseconds("after_ms")
	uni, bidi := query.count("uni"), query.count("bidi")
	on := query.values.Get("on")
	if on != "" && on != "time" && on != "stream" {
		query.fail("on")
	}
	if len(reason) > maxBytes {
		query.fail("repeat")
	}
	query.absent("fin")        // the library always sends a close message
	query.absent("connection") // and gives a session no way to its connection
	return plan{run: func(session *webtransport.Session) error {
		started := make(chan struct{}, 1)
		finish := func() {
			openStreams(session, uni, bidi, 16, func(opened) {})
			if wait(session, after) {
				_ = session.CloseWithError(webtransport.SessionErrorCode(code), reason)
			}
		}
		if on != "stream" {
			go finish()
			return echo.run(session)
		}
		go func() {
			select {
			case <-started:
				finish()
			case <-session.Context().Done():
			}
		}()
		return signalling(echo, started).run(session)
	}}
}

// signalling reports the first byte or end of any stream of the client.
func signalling(inner conversation, started chan<- struct{}) conversation {
	signal := func(from io.Reader) []byte {
		first, _ := readSome(from)
		select {
		case started <- struct{}{}:
		default:
		}
		return first
	}
	inner.bidirectional = func(_ *webtransport.Session, stream *webtransport.Stream) {
		copyStream(stream, stream, signal(stream))
	}
	inner.unidirectional = func(session *webtransport.Session, incoming *webtransport.ReceiveStream) {
		first := signal(incoming)
		if outgoing, err := session.OpenUniStreamSync(session.Context()); err == nil {
			copyStream(outgoing, incoming, first)
		}
	}
	return inner
}

// wait returns false when the session ended before.
func wait(session *webtransport.Session, delay time.Duration) bool {
	select {
	case <-time.After(delay):
		return true
	case <-session.Context().Done():
		return false
	}
}

func pushEndpoint(_ *application, _ *http.Request, query *parameters) plan {
	uni, bidi, bytes := query.count("uni"), query.count("bidi"), query.bytes("bytes", 16)
	fin := query.flag("fin", 1)
	datagrams, datagramBytes := query.count("datagrams"), query.bytes("datagram_bytes", 16)
	interval, after := query.milliseconds("interval_ms"), query.milliseconds("after_ms")
	return plan{run: func(session *webtransport.Session) error {
		go func() {
			if !wait(session, after) {
				return
			}
			go openStreams(session, uni, bidi, bytes, func(stream opened) {
				if fin {
					_ = stream.outgoing.Close()
				}
				if stream.incoming != nil {
					_, _ = io.Copy(io.Discard, stream.incoming)
				}
			})
			for range datagrams {
				_ = session.SendDatagram(pattern(datagramBytes))
				if interval > 0 && !wait(session, interval) {
					return
				}
			}
		}()
		return echo.run(session)
	}}
}

func resetEndpoint(_ *application, _ *http.Request, query *parameters) plan {
	code := webtransport.StreamErrorCode(query.code())
	uni, bidi, bytes := query.count("uni"), query.count("bidi"), query.bytes("bytes", 16)
	stop := query.flag("stop", 0)
	abort := func(stream opened) {
		stream.outgoing.CancelWrite(code)
		if stop && stream.incoming != nil {
			stream.incoming.CancelRead(code)
		}
	}
	resetting := conversation{
		bidirectional: func(_ *webtransport.Session, stream *webtransport.Stream) {
			_, _ = readSome(stream)
			abort(opened{outgoing: stream, incoming: stream})
			_, _ = io.Copy(io.Discard, stream)
		},
		unidirectional: func(_ *webtransport.Session, stream *webtransport.ReceiveStream) {
			_, _ = readSome(stream)
			stream.CancelRead(code)
		},
		datagram: echo.datagram,
	}
	return plan{run: func(session *webtransport.Session) error {
		go openStreams(session, uni, bidi, bytes, abort)
		return resetting.run(session)
	}}
}
