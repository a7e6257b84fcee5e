package wire_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	json2 "github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/wire"
)

func TestValueKind(t *testing.T) {
	for text, kind := range map[string]string{
		"": "nothing", "{}": "map", "[]": "list", `""`: "string", "true": "boolean", "false": "boolean",
		"null": "null", "0": "integer", "-7": "integer", "1.5": "real", "1e5": "real", "1E5": "real",
	} {
		require.Equal(t, kind, wire.Value(text).Kind(), text)
	}
}

func TestValueHas(t *testing.T) {
	v := wire.Value(` {"a":1,"\u0062":null,"c":{"d":1},"":2,"1":1,"2":2,"3":3,"4":4,"5":5,"6":6}`)
	for names, want := range map[string]bool{
		"a": true, "b": true, "": true, "a b": true, "a a": true, "d": false, "A": false, "a d": false,
		"a b c 1 2 3 4 5 6": true, "a b c 1 2 3 4 5 7": false,
	} {
		require.Equal(t, want, v.Has(strings.Split(names, " ")...), names)
	}
	require.True(t, v.Has())
	require.True(t, v.Has([]string{}...))
	require.True(t, wire.Value(`{}`).Has())
	for _, text := range []string{"", "[]", `"a"`, `["a"]`, "null", "1", `[{"a":1}]`, `{"a":1`, `{"a":1,"a":2}`, `{"a":1} ` + "\x00"} {
		require.False(t, wire.Value(text).Has("a"), text)
		require.False(t, wire.Value(text).Has(), text)
	}
}

func TestValueDecode(t *testing.T) {
	var p point
	require.NoError(t, wire.Value(` {"x":7} `).Decode(&p))
	require.Equal(t, 7, p.X)
	for _, text := range []string{``, `{"x":7`, `{"X":7}`, `{"x":7,"y":8}`, `{"x":7,"x":7}`, `{"x":"7"}`, `{"name":"` + "\xff" + `"}`, `{} {}`} {
		require.Error(t, wire.Value(text).Decode(&p), text)
	}
	require.Error(t, wire.Value(nil).Decode(&p))
}

// A Value inside a Go value is JSON, to either JSON package, not base64 of it.
func TestValueInsideGoValueIsJSON(t *testing.T) {
	type outer struct {
		V wire.Value
		W wire.Value `json:",omitempty"`
	}
	want := outer{V: value(`{"a":[1,"é"]}`)}
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, func(v any) ([]byte, error) { return json2.Marshal(v) }} {
		text, err := marshal(want)
		require.NoError(t, err)
		require.Equal(t, `{"V":{"a":[1,"é"]}}`, strings.Replace(string(text), `,"W":null`, "", 1))
		var got outer
		require.NoError(t, json.Unmarshal(text, &got))
		got.W = nil
		require.Equal(t, want, got)
		got = outer{}
		require.NoError(t, wire.Value(text).Decode(&got))
		got.W = nil
		require.Equal(t, want, got)
		clear(text)
		require.Equal(t, want, got, "a Value is a copy")
	}
	text, err := json.Marshal(outer{})
	require.NoError(t, err)
	require.Equal(t, `{"V":null}`, string(text))
}

func TestID(t *testing.T) {
	require.True(t, wire.ID{}.IsZero())
	require.Empty(t, wire.ID{}.String())
	for _, bad := range []wire.ID{
		wire.IntID(1<<53 + 1), wire.IntID(-1<<53 - 1), wire.StringID(strings.Repeat("a", 129)), wire.StringID("\xff"), wire.StringID("\xed\xa0\x80"),
	} {
		require.Equal(t, wire.ID{}, bad)
	}
	for _, test := range []struct {
		id   wire.ID
		text string
	}{
		{wire.IntID(0), "0"},
		{wire.IntID(1 << 53), "9007199254740992"},
		{wire.IntID(-1 << 53), "-9007199254740992"},
		{wire.StringID(""), `""`},
		{wire.StringID("0"), `"0"`},
		{wire.StringID("\"\n€"), `"\"\n€"`},
		{wire.ID{}, "null"},
	} {
		if test.text != "null" {
			require.Equal(t, test.text, test.id.String())
			require.False(t, test.id.IsZero())
		}
		got, err := json.Marshal(test.id)
		require.NoError(t, err)
		require.Equal(t, test.text, string(got))
		id := wire.IntID(99)
		require.NoError(t, json.Unmarshal(got, &id))
		require.Equal(t, test.id, id)
		require.NoError(t, json2.Unmarshal(got, &id))
		require.Equal(t, test.id, id)
	}
	for _, text := range []string{`true`, `1.0`, `1e3`, `[]`, `{}`, `9007199254740993`, `99999999999999999999`, `"` + strings.Repeat("a", 129) + `"`} {
		id := wire.IntID(99)
		require.ErrorContains(t, json.Unmarshal([]byte(text), &id), "an id is a string of at most 128 bytes or an integer within ±2^53", text)
		require.Equal(t, wire.ID{}, id)
	}
	require.NotEqual(t, wire.IntID(7), wire.StringID("7"))
}

func TestError(t *testing.T) {
	e := wire.Errorf(wire.CodeConflict, "in-use", "%s is in use", "/run/x")
	require.EqualError(t, e, "/run/x is in use")
	wrapped := fmt.Errorf("listen: %w", e)
	require.ErrorIs(t, wrapped, &wire.Error{Code: wire.CodeConflict})
	require.ErrorIs(t, wrapped, &wire.Error{Code: wire.CodeConflict, Word: "in-use"})
	require.NotErrorIs(t, wrapped, &wire.Error{Code: wire.CodeConflict, Word: "other"})
	require.NotErrorIs(t, wrapped, &wire.Error{Code: wire.CodeError})
	require.NotErrorIs(t, wrapped, errors.ErrUnsupported)
	require.ErrorIs(t, wire.Errorf(wire.CodeTimeout, "", "late"), &wire.Error{Code: wire.CodeTimeout, Word: "timeout"}, "the code's own word")
}

func TestCode(t *testing.T) {
	for code, word := range map[wire.Code]string{
		0: "success", 1: "failed", 2: "unsupported", 3: "empty", 4: "conflict", 5: "fatal", 401: "unauthenticated", 403: "forbidden",
		408: "timeout", 429: "too-many", 499: "cancelled", 500: "internal", 503: "shutting-down", 1000: "result-1000", -1: "result--1",
	} {
		require.Equal(t, word, code.String())
	}
}

func TestShorten(t *testing.T) {
	for s, want := range map[string]string{
		"":                              "",
		strings.Repeat("a", 128):        strings.Repeat("a", 128),
		strings.Repeat("a", 129):        strings.Repeat("a", 128) + "…",
		strings.Repeat("é", 64):         strings.Repeat("é", 64),
		strings.Repeat("é", 65):         strings.Repeat("é", 64) + "…",
		"a" + strings.Repeat("é", 64):   "a" + strings.Repeat("é", 63) + "…",
		"a" + strings.Repeat("😀", 32):   "a" + strings.Repeat("😀", 31) + "…",
		"abc" + strings.Repeat("😀", 32): "abc" + strings.Repeat("😀", 31) + "…",
	} {
		require.Equal(t, want, wire.Shorten(s))
	}
	require.Equal(t, "…", wire.Shorten(strings.Repeat("\x80", 200)))
}
