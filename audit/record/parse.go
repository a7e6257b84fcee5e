package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Parse parses a line without its newline. It accepts exactly the lines that Append writes, byte by byte.
func Parse(text []byte) (Entry, error) {
	if len(text) > MaxLine {
		return Entry{}, fmt.Errorf("it is longer than %d bytes", MaxLine)
	}
	if !bytes.HasPrefix(text, []byte(LinePrefix)) {
		return Entry{}, errors.New("it is no record: it does not begin with " + LinePrefix)
	}
	var l line
	if err := json.Unmarshal(text, &l, json.RejectUnknownMembers(true)); err != nil {
		return Entry{}, fmt.Errorf("it is no record: %w", err)
	}
	e, err := l.entry()
	if err != nil {
		return Entry{}, err
	}
	if again := e.Append(make([]byte, 0, len(text))); !bytes.Equal(again, text) {
		return Entry{}, errors.New("it does not have the exact form of a record")
	}
	return e, nil
}

// layout is RFC 3339 in UTC, with six digits of microseconds.
const layout = "2006-01-02T15:04:05.000000Z"

// A line has the JSON members of an Entry.
type line struct {
	Seq          uint64         `json:"seq"`
	Time         string         `json:"time"`
	Event        Event          `json:"event"`
	Principal    string         `json:"principal"`
	Claim        string         `json:"claim"`
	Transport    string         `json:"transport"`
	Address      string         `json:"address"`
	Listener     string         `json:"listener"`
	Session      string         `json:"session"`
	Command      string         `json:"command"`
	Access       string         `json:"access"`
	Intent       uint64         `json:"intent"`
	Digest       string         `json:"arguments-sha256"`
	Arguments    jsontext.Value `json:"arguments"`
	Result       wire.Code      `json:"result"`
	Duration     jsontext.Value `json:"duration"`
	Text         string         `json:"text"`
	Count        uint64         `json:"count"`
	Torn         uint32         `json:"torn"`
	MissingSince uint64         `json:"missing-since"`
	Doubt        DoubtCode      `json:"doubt"`
	Prev         string         `json:"prev"`
}

func (l *line) entry() (Entry, error) {
	e := Entry{
		Seq: l.Seq, Event: l.Event,
		Principal: l.Principal, Claim: l.Claim, Transport: l.Transport, Address: l.Address,
		Listener: l.Listener, Session: l.Session, Command: l.Command, Access: l.Access,
		Intent: l.Intent, Arguments: l.Arguments, Result: l.Result, Text: l.Text,
		Count: l.Count, Torn: int(l.Torn), MissingSince: l.MissingSince, Doubt: l.Doubt,
	}
	var errs [4]error
	e.Time, errs[0] = time.Parse(layout, l.Time)
	e.Duration, errs[1] = parseSeconds(l.Duration)
	e.Digest, errs[2] = parseHash(l.Digest)
	e.Prev, errs[3] = parseHash(l.Prev)
	return e, errors.Join(errs[:]...)
}

func parseSeconds(text jsontext.Value) (time.Duration, error) {
	if text == nil {
		return 0, nil
	}
	d, err := time.ParseDuration(string(text) + "s")
	if err != nil {
		return 0, fmt.Errorf("%q is no duration in seconds", strings.ToValidUTF8(string(text), "?"))
	}
	return d, nil
}

func parseHash(text string) (h Hash, err error) {
	if text == "" {
		return h, nil
	}
	if len(text) != hex.EncodedLen(len(h)) {
		return h, fmt.Errorf("a SHA-256 has 64 digits, not %d", len(text))
	}
	_, err = hex.Decode(h[:], []byte(text))
	return h, err
}
