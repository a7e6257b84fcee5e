package wire_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/wire"
)

// DecodeRequest accepts what jsontext accepts as JSON within Kea's depth, and the rules of a request
// accept as a request; and it reads the same from it.
func FuzzRequest(f *testing.F) {
	for _, test := range goodRequests {
		f.Add([]byte(test.frame))
	}
	for _, test := range badRequests {
		f.Add([]byte(test.frame))
	}
	for _, test := range badJSON {
		f.Add([]byte(test.frame))
	}
	f.Add(append(largeMap(20, 10), '}'))
	for _, id := range brokenIDs {
		f.Add([]byte(`{"command":"a","id":` + id + `}`))
		f.Add([]byte(`{"id":` + id + `,"command":"a","id":7}`))
	}
	for _, depth := range []int{98, 99, 100} {
		f.Add([]byte(`{"command":"a","arguments":` + nest("[", depth, "", "]") + `}`))
		f.Add([]byte(`{"command":"a","arguments":` + nest(`{"a":`, depth-1, "{}", "}") + `}`))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		before := slices.Clone(frame)
		got, bad := wire.DecodeRequest(frame)
		require.Equal(t, before, frame)

		good := isJSON(frame)
		require.Equal(t, good, bad == nil || bad.Word == "bad-request", "%v", bad)
		if bad != nil {
			require.Equal(t, wire.CodeError, bad.Code)
			require.NotEmpty(t, bad.Text)
			require.Equal(t, good, !strings.Contains(bad.Text, " in <wire>:"))
			require.Zero(t, got.Timeout)
			id, certain := idOracle(frame)
			require.True(t, got.ID.String() == id || !certain && got.ID.IsZero(), "%q, not %q: %v", got.ID, id, bad)
			if !good {
				require.Nil(t, got.Arguments)
			}
			reply := wire.Failure(bad)
			reply.ID = got.ID
			answer, err := wire.AppendReply(nil, reply)
			require.NoError(t, err)
			requireReadable(t, answer)
		}
		if !good {
			return
		}
		want, ok := oracle(t, frame)
		require.Equal(t, ok, bad == nil, "%v", bad)
		if !ok {
			return
		}
		require.Equal(t, want.command, got.Command)
		require.Equal(t, want.id, got.ID.String())
		require.Equal(t, string(want.arguments), string(got.Arguments))
		require.Equal(t, want.arguments == nil, got.Arguments == nil)
		require.InDelta(t, want.timeout, got.Timeout.Seconds(), 1e-9+want.timeout*1e-12)
		require.Equal(t, want.timeout > 0, got.Timeout > 0)

		again, err := wire.AppendRequest(nil, got)
		require.NoError(t, err)
		require.NotContains(t, string(again), "\n")
		back, bad := wire.DecodeRequest(again)
		require.Nil(t, bad)
		require.Equal(t, got.Command, back.Command)
		require.Equal(t, got.ID, back.ID)
		require.True(t, slices.Equal(got.Service, back.Service))
		require.Equal(t, canonical(t, got.Arguments), canonical(t, back.Arguments))
	})
}

// The members of a request, decoded with jsontext.
type plainRequest struct {
	command   string
	id        string // as AppendRequest writes it
	arguments jsontext.Value
	timeout   float64
}

// oracle decodes well-formed JSON as a request; ok is false if it is none.
func oracle(t *testing.T, frame []byte) (r plainRequest, ok bool) {
	members := membersOf(t, frame)
	command, ok := members["command"]
	if !ok || command.Kind() != '"' {
		return r, false
	}
	require.NoError(t, json.Unmarshal(command, &r.command))
	for name, v := range members {
		switch name {
		case "command", "service", "remote-address":
		case "arguments":
			r.arguments = v
		case "timeout":
			x, err := strconv.ParseFloat(string(v), 64)
			if r.timeout = x; err != nil || v.Kind() != '0' || x <= 0 || x > 366*86400 {
				return r, false
			}
		case "id":
			if r.id = idOf(v); r.id == "" {
				return r, false
			}
		default:
			return r, false
		}
	}
	return r, true
}

// idOracle returns, with jsontext, the ID of a frame that need not be JSON: one that is read whole, with a comma or
// a bracket behind it, and is valid and the only one up to where the frame ceases to be JSON. It is certain unless the
// frame may be nested too deeply for us.
func idOracle(frame []byte) (id string, certain bool) {
	certain = bytes.Count(frame, []byte("["))+bytes.Count(frame, []byte("{")) < 99
	d := jsontext.NewDecoder(bytes.NewReader(frame))
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return "", certain
	}
	for d.PeekKind() == '"' {
		token, err := d.ReadToken()
		if bad, ok := errors.AsType[*jsontext.SyntacticError](err); ok && errors.Is(err, jsontext.ErrDuplicateName) && bad.JSONPointer == "/id" {
			return "", certain
		}
		if err != nil {
			return id, certain
		}
		isID := token.String() == "id"
		v, err := d.ReadValue()
		if err != nil {
			return id, certain
		}
		behind := bytes.TrimLeft(frame[d.InputOffset():], " \t\r\n")
		if isID && len(behind) > 0 && (behind[0] == ',' || behind[0] == '}') {
			id = idOf(v)
		}
	}
	return id, certain
}

// idOf returns the ID of a value as AppendRequest writes it, or "".
func idOf(v jsontext.Value) string {
	switch v.Kind() {
	case '"':
		var s string
		if json.Unmarshal(v, &s) != nil || len(s) > 128 {
			return ""
		}
		b, _ := jsontext.AppendQuote(nil, s)
		return string(b)
	case '0':
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil && n >= -1<<53 && n <= 1<<53 {
			return strconv.FormatInt(n, 10)
		}
	}
	return ""
}

// membersOf returns the members of a map, and nil for another value.
func membersOf(t *testing.T, text []byte) map[string]jsontext.Value {
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil
	}
	var members map[string]jsontext.Value
	require.NoError(t, json.Unmarshal(text, &members))
	return members
}

// isJSON asks jsontext, which is strict, apart from the depth.
func isJSON(text []byte) bool {
	if !jsontext.Value(text).IsValid() {
		return false
	}
	d := jsontext.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			return false
		}
		around := d.StackDepth()
		switch token.Kind() {
		case '{', '[':
			around--
		case '}', ']':
			continue
		}
		if around > 99 {
			return false
		}
	}
}

// canonical returns a value without white space and escapes; numbers keep their spelling.
func canonical(t *testing.T, v wire.Value) string {
	if v == nil {
		return ""
	}
	text := jsontext.Value(slices.Clone(v))
	require.NoError(t, text.Compact(jsontext.PreserveRawStrings(false)))
	return string(text)
}

// Valid and Has agree with jsontext, and encoding returns the value that was decoded.
func FuzzValue(f *testing.F) {
	f.Add([]byte(`{"a":1,"\u0062":2}`), "a", "b")
	f.Add([]byte(`{"a":{"b":1}}`), "a", "b")
	f.Add([]byte(`{"a":1,"\u0061":2}`), "a", "a")
	f.Add([]byte(` [ "\ud83d\ude00\u00e9" , -0.5e-7 ] `), "", "")
	f.Add([]byte(nest("[", 99, "[]", "]")), "a", "")
	for _, test := range badJSON {
		f.Add([]byte(test.frame), "a", "\xff")
	}
	f.Fuzz(func(t *testing.T, text []byte, one, other string) {
		v := wire.Value(text)
		good := isJSON(text)
		require.Equal(t, good, v.Valid())

		raw, err := wire.ParseRaw(text)
		if err == nil {
			require.True(t, good)
			require.Equal(t, canonical(t, v), canonical(t, wire.Value(raw.String())))
			again, err := wire.ParseRaw([]byte(raw.String()))
			require.NoError(t, err)
			require.Equal(t, raw, again)
		} else {
			require.Equal(t, wire.Raw{}, raw)
		}

		var members map[string]jsontext.Value
		if good {
			members = membersOf(t, text)
		}
		_, hasOne := members[one]
		_, hasOther := members[other]
		require.Equal(t, hasOne, v.Has(one))
		require.Equal(t, hasOne && hasOther, v.Has(one, other))
		require.Equal(t, hasOne, v.Has(slices.Repeat([]string{one}, 9)...))
		require.Equal(t, members != nil, v.Has())

		if reply, err := wire.DecodeReply(text); err == nil {
			require.True(t, good)
			result, err := strconv.Atoi(string(members["result"]))
			require.NoError(t, err)
			require.Equal(t, wire.Code(result), reply.Code)
			require.NotPanics(t, func() { _ = reply.Err() })
		}
	})
}
