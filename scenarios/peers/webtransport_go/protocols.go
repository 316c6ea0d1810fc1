package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/dunglas/httpsfv"
	"github.com/quic-go/webtransport-go"
)

// offeredProtocols reads the wt-available-protocols field; nil where it is absent or has to be ignored.
func offeredProtocols(request *http.Request) []string {
	values := request.Header.Values("WT-Available-Protocols")
	if len(values) == 0 {
		return nil
	}
	list, err := httpsfv.UnmarshalList(values)
	if err != nil {
		return nil
	}
	offered := make([]string, 0, len(list))
	for _, member := range list {
		item, isItem := member.(httpsfv.Item)
		if !isItem {
			return nil
		}
		protocol, isString := item.Value.(string)
		if !isString {
			return nil
		}
		offered = append(offered, protocol)
	}
	return offered
}

func protocolsEndpoint(_ *application, request *http.Request, query *parameters) plan {
	offered := offeredProtocols(request)
	supported := offered
	if query.values.Has("supports") {
		supported = query.values["supports"]
	}
	result := plan{protocols: supported}
	usable := slices.ContainsFunc(offered, func(name string) bool { return slices.Contains(supported, name) })
	if query.flag("required", 0) && !usable {
		result.status = http.StatusBadRequest
	}
	result.run = func(session *webtransport.Session) error {
		answer, _ := json.Marshal(map[string]any{
			"offered":  offered,
			"selected": nullable(session.SessionState().ApplicationProtocol),
		})
		return answering(func() []byte { return answer }).run(session)
	}
	return result
}

func nullable(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// answering echoes, but answers streams that the client finished empty: query streams.
func answering(answer func() []byte) conversation {
	result := echo
	result.bidirectional = func(_ *webtransport.Session, stream *webtransport.Stream) {
		first, err := readSome(stream)
		if errors.Is(err, io.EOF) {
			first = answer()
		}
		copyStream(stream, stream, first)
	}
	return result
}
