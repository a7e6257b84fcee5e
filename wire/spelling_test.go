package wire_test

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/wire"
)

func TestAppendKeaSpellsAsKea(t *testing.T) {
	for text, want := range map[string]string{
		`{"result":0}`:                         `{ "result": 0 }`,
		`{"result":0,"arguments":{"a":[1,2]}}`: `{ "arguments": { "a": [ 1, 2 ] }, "result": 0 }`,
		`{"result":1,"text":"a","error":{"code":"b","fields":[{"pointer":"/c","text":"d"}],"data":null},"more":true}`: `{ "error": { "code": "b", "data": null, "fields": [ { "pointer": "/c", "text": "d" } ] }, "more": true, "result": 1, "text": "a" }`,
		`{}`:                            `{  }`,
		`[]`:                            `[  ]`,
		`[[]]`:                          `[ [  ] ]`,
		" { \"a\" :\t[ 1\r,\n{ } ] }\n": `{ "a": [ 1, {  } ] }`,
		`{"b":{"z":1,"y":{"x":1,"w":2}},"a":[{"d":1,"c":2},"b",{}]}`: `{ "a": [ { "c": 2, "d": 1 }, "b", {  } ], "b": { "y": { "w": 2, "x": 1 }, "z": 1 } }`,
		`"a"`: `"a"`, `true`: `true`, `-1.5e+3`: `-1.5e+3`, ` null `: `null`,
		// Strings and numbers stay as they are, whatever stands in them.
		`{"a":"{\"b\":1,\"a\":2}","A":1e30,"":"é\u00e9\/ , : [ ]"}`: `{ "": "é\u00e9\/ , : [ ]", "A": 1e30, "a": "{\"b\":1,\"a\":2}" }`,
		// Names are compared by the bytes that they stand for.
		`{"b":1,"\u0061":2}`:              `{ "\u0061": 2, "b": 1 }`,
		`{"\u00e9":1,"z":2,"\n":3,"~":4}`: `{ "\n": 3, "z": 2, "~": 4, "\u00e9": 1 }`,
		`{"\ud83d\ude00":1,"\uffff":2}`:   `{ "\uffff": 2, "\ud83d\ude00": 1 }`, // UTF-16 would have it the other way round
		`{"a\\":1,"a\"":2,"a":3,"a/":4}`:  `{ "a": 3, "a\"": 2, "a/": 4, "a\\": 1 }`,
		`{"ab":1,"a":2,"":3}`:             `{ "": 3, "a": 2, "ab": 1 }`,
		`{"a10":1,"a9":2,"A":3,"a-":4}`:   `{ "A": 3, "a-": 4, "a10": 1, "a9": 2 }`,
	} {
		require.Equal(t, "dst"+want, string(wire.AppendKea([]byte("dst"), []byte(text))))
		require.Equal(t, want, string(wire.AppendKea(nil, []byte(want))), "again")
	}
}

// TestAppendKeaOrdersManyMembersAndLevels: many members in any order, and many levels that are out of order.
func TestAppendKeaOrdersManyMembersAndLevels(t *testing.T) {
	names := make([]string, 5000)
	for i := range names {
		names[i] = fmt.Sprintf(`"%04d":{"b":%d,"a":[]}`, i, i)
	}
	shuffled := slices.Clone(names)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	want := string(wire.AppendKea(nil, []byte("{"+strings.Join(names, ",")+"}")))
	require.Equal(t, want, string(wire.AppendKea(nil, []byte("{"+strings.Join(shuffled, ",")+"}"))))
	require.Contains(t, want, `"0000": { "a": [  ], "b": 0 }, "0001"`)

	deep := strings.Repeat(`{"b":`, 97) + "1" + strings.Repeat(`,"a":[2]}`, 97)
	require.Equal(t, strings.Repeat(`{ "a": [ 2 ], "b": `, 97)+"1"+strings.Repeat(" }", 97), string(wire.AppendKea(nil, []byte(deep))))
}

// TestAppendKeaRespellsKeasReplies: each reply of Kea 2.2.0 that was recorded comes out byte by byte when it is compact
// and its members are in any order.
func TestAppendKeaRespellsKeasReplies(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "test", "interop", "testdata", "kea", "[ab]*.txt"))
	require.NoError(t, err)
	seen := 0
	for _, name := range files {
		file, err := os.Open(name)
		require.NoError(t, err)
		defer file.Close()
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			reply, ok := strings.CutPrefix(lines.Text(), "< ")
			if _, body, http := strings.Cut(reply, " | "); http {
				reply = body
			}
			if !ok || !jsontext.Value(reply).IsValid() {
				continue
			}
			require.Equal(t, reply, string(wire.AppendKea(nil, shuffle(t, []byte(reply)))), name)
			seen++
		}
		require.NoError(t, lines.Err())
	}
	require.Greater(t, seen, 200)
}

// shuffle returns JSON without white space and with its members in any order. Strings and numbers stay as they are.
func shuffle(t testing.TB, text []byte) []byte {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	return shuffleNext(t, d, nil)
}

func shuffleNext(t testing.TB, d *jsontext.Decoder, dst []byte) []byte {
	switch d.PeekKind() {
	case '{':
		_, err := d.ReadToken()
		require.NoError(t, err)
		var members [][]byte
		for d.PeekKind() != '}' {
			name, err := d.ReadValue()
			require.NoError(t, err)
			members = append(members, shuffleNext(t, d, append(slices.Clone(name), ':')))
		}
		_, err = d.ReadToken()
		require.NoError(t, err)
		rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		return append(append(append(dst, '{'), bytes.Join(members, []byte(","))...), '}')
	case '[':
		_, err := d.ReadToken()
		require.NoError(t, err)
		var values [][]byte
		for d.PeekKind() != ']' {
			values = append(values, shuffleNext(t, d, nil))
		}
		_, err = d.ReadToken()
		require.NoError(t, err)
		return append(append(append(dst, '['), bytes.Join(values, []byte(","))...), ']')
	}
	v, err := d.ReadValue()
	require.NoError(t, err)
	return append(dst, v...)
}

// keaSpelling is AppendKea, written with the JSON library: a slow one.
func keaSpelling(t testing.TB, d *jsontext.Decoder) string {
	switch d.PeekKind() {
	case '{':
		_, err := d.ReadToken()
		require.NoError(t, err)
		members := map[string]string{} // as std::map<std::string, …>
		for d.PeekKind() != '}' {
			raw, err := d.ReadValue()
			require.NoError(t, err)
			raw = slices.Clone(raw)
			var name string
			require.NoError(t, json.Unmarshal(raw, &name))
			members[name] = string(raw) + ": " + keaSpelling(t, d)
		}
		_, err = d.ReadToken()
		require.NoError(t, err)
		var texts []string
		for _, name := range slices.Sorted(maps.Keys(members)) {
			texts = append(texts, members[name])
		}
		return "{ " + strings.Join(texts, ", ") + " }"
	case '[':
		_, err := d.ReadToken()
		require.NoError(t, err)
		var texts []string
		for d.PeekKind() != ']' {
			texts = append(texts, keaSpelling(t, d))
		}
		_, err = d.ReadToken()
		require.NoError(t, err)
		return "[ " + strings.Join(texts, ", ") + " ]"
	}
	v, err := d.ReadValue()
	require.NoError(t, err)
	return string(v)
}

// FuzzAppendKea: well-formed JSON keeps its value, is spelled as the JSON library and a map of names would have it, and
// does not change when it is spelled again.
func FuzzAppendKea(f *testing.F) {
	for _, text := range []string{
		`{"result":0,"arguments":{"a":[1,2]}}`, `{"b":1,"\u0061":{"":[{},[]]}}`, ` [ "\ud83d\ude00\u00e9" , -0.5e-7 ] `, `{"a\\":1,"a\"":2}`, `null`,
		`{"":{"":[1e999,-0,1E+2]},"\u0000":true}`, nest("[", 99, "{}", "]"), nest(`{"b":1,"a":`, 90, "1", "}"), string(largeMap(20, 3)) + "}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !isJSON(text) {
			return
		}
		before := slices.Clone(text)
		got := wire.AppendKea([]byte("dst"), text)
		require.Equal(t, before, text)
		require.Equal(t, "dst", string(got[:3]))
		got = got[3:]
		require.Equal(t, keaSpelling(t, jsontext.NewDecoder(bytes.NewReader(text))), string(got))
		require.Equal(t, string(got), string(wire.AppendKea(nil, got)))
		require.Equal(t, string(got), string(wire.AppendKea(nil, shuffle(t, text))))
		require.Equal(t, canonicalOrder(t, text), canonicalOrder(t, got))
	})
}

// canonicalOrder is a value with its members in one order, strings and numbers as they are written.
func canonicalOrder(t testing.TB, text []byte) string {
	v := jsontext.Value(slices.Clone(text))
	require.NoError(t, v.Format(jsontext.ReorderRawObjects(true), jsontext.PreserveRawStrings(true)))
	return string(v)
}

func TestAppendKeaParts(t *testing.T) {
	raw, err := wire.Encode(map[string]any{"b": 1, "a": 2})
	require.NoError(t, err)
	for want, r := range map[string]wire.Reply{
		`{ "arguments": {"a":2,"b":1}, "result": 0 }`:                              {Arguments: raw},
		`{ "arguments": {"a":2,"b":1}, "more": true, "result": 3, "text": "c" }`:   {Arguments: raw, Code: 3, Text: "c", More: true},
		`{ "arguments": {"a":2,"b":1}, "result": 0, "text": "null, \"d\": null" }`: {Arguments: raw, Text: `null, "d": null`},
	} {
		head, body, tail := wire.AppendParts(nil, r)
		before, behind := wire.AppendKeaParts([]byte("dst"), head, tail)
		require.Equal(t, "dst"+want, string(before)+string(body)+behind)
	}
}

func BenchmarkAppendKea(b *testing.B) {
	leases := make([]any, 0, 600)
	for i := range cap(leases) {
		leases = append(leases, map[string]any{"ip-address": "192.0.2.7", "hw-address": "08:08:08:08:08:08", "valid-lft": i, "fqdn-fwd": false})
	}
	for _, test := range []struct {
		name      string
		arguments any
	}{{"small", nil}, {"struct", usualReply}, {"64KiB", leases}, {"string", strings.Repeat("x", 64<<10)}} {
		b.Run(test.name, func(b *testing.B) {
			frame, err := wire.AppendReply(nil, wire.Reply{Arguments: test.arguments})
			require.NoError(b, err)
			var dst []byte
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				dst = wire.AppendKea(dst[:0], frame)
			}
		})
	}
}
