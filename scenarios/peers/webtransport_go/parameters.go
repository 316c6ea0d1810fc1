package main

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

// Bounds of docs/endpoints.md, "Rules for all endpoints".
const (
	maxMilliseconds = 60_000
	maxCount        = 1000
	maxBytes        = 1 << 20
	maxCode         = 1<<32 - 1
)

var observationName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// parameters reads the query of a URL and remembers the first impossible value.
type parameters struct {
	values url.Values
	err    error
}

func parseParameters(rawQuery string) *parameters {
	values, err := url.ParseQuery(rawQuery)
	return &parameters{values: values, err: err}
}

func (p *parameters) fail(name string) {
	if p.err == nil {
		p.err = fmt.Errorf("impossible value of parameter %s", name)
	}
}

func (p *parameters) number(name string, otherwise, least, most int64) int64 {
	if !p.values.Has(name) {
		return otherwise
	}
	value, err := strconv.ParseUint(p.values.Get(name), 10, 63)
	if err != nil || int64(value) < least || int64(value) > most {
		p.fail(name)
		return otherwise
	}
	return int64(value)
}

func (p *parameters) count(name string) int { return int(p.number(name, 0, 0, maxCount)) }

func (p *parameters) bytes(name string, otherwise int64) int {
	return int(p.number(name, otherwise, 0, maxBytes))
}

func (p *parameters) code() uint32 { return uint32(p.number("code", 0, 0, maxCode)) }

func (p *parameters) flag(name string, otherwise int64) bool {
	return p.number(name, otherwise, 0, 1) == 1
}

func (p *parameters) milliseconds(name string) time.Duration {
	return time.Duration(p.number(name, 0, 0, maxMilliseconds)) * time.Millisecond
}

func (p *parameters) observation(name string) string {
	value := p.values.Get(name)
	if p.values.Has(name) && !observationName.MatchString(value) {
		p.fail(name)
	}
	return value
}

// absent refuses a parameter for which the library has no means.
func (p *parameters) absent(name string) {
	if p.values.Has(name) && p.values.Get(name) != "0" {
		p.fail(name)
	}
}
