package main

import (
	"bytes"
	"encoding/json"
	"sync"
)

// How much is kept (docs/endpoints.md, `observe`).
const (
	maxObservations  = 64
	maxRecords       = 4096
	maxRecordedBytes = 65536
)

// observations keeps the records of the last names, oldest name first.
type observations struct {
	mutex  sync.Mutex
	byName map[string]*observation
	names  []string
}

type observation struct {
	mutex    sync.Mutex
	sessions int
	sequence int
	lines    [][]byte
}

func newObservations() *observations {
	return &observations{byName: map[string]*observation{}}
}

// session begins to record one more session under a name.
func (o *observations) session(name string) *observedSession {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	found, known := o.byName[name]
	if !known {
		if len(o.names) == maxObservations {
			delete(o.byName, o.names[0])
			o.names = o.names[1:]
		}
		found = &observation{}
		o.byName[name] = found
		o.names = append(o.names, name)
	}
	found.mutex.Lock()
	defer found.mutex.Unlock()
	found.sessions++
	return &observedSession{observation: found, number: found.sessions - 1}
}

// lines returns the records of a name as JSON lines, oldest first.
func (o *observations) lines(name string) []byte {
	o.mutex.Lock()
	found, known := o.byName[name]
	o.mutex.Unlock()
	if !known {
		return nil
	}
	found.mutex.Lock()
	defer found.mutex.Unlock()
	return bytes.Join(found.lines, nil)
}

type observedSession struct {
	observation *observation
	number      int
	recorded    int
}

// mayRecord takes length bytes from what may still be recorded of this session.
func (s *observedSession) mayRecord(length int) bool {
	s.observation.mutex.Lock()
	defer s.observation.mutex.Unlock()
	if s.recorded+length > maxRecordedBytes {
		return false
	}
	s.recorded += length
	return true
}

func (s *observedSession) record(event string, members map[string]any) {
	s.observation.mutex.Lock()
	defer s.observation.mutex.Unlock()
	if len(s.observation.lines) == maxRecords {
		return
	}
	members["event"] = event
	members["seq"] = s.observation.sequence
	members["session"] = s.number
	s.observation.sequence++
	line, err := json.Marshal(members)
	if err != nil {
		return
	}
	s.observation.lines = append(s.observation.lines, append(line, '\n'))
}
