package wire_test

import (
	"bufio"

	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/wire"
)

// A keaReader is Element::fromJSON of the contract (§2.4), with the rules of the strictest
// version. The agent, the HA peers and the shell read our replies with it. A
// string is its bytes.
type keaReader struct {
	b []byte
	i int
}

// readAsKea reads a whole HTTP body, or all bytes of a UNIX stream.
func readAsKea(b []byte) (any, error) {
	r := &keaReader{b: b}
	v, err := r.value(100)
	if err != nil {
		return nil, fmt.Errorf("%w at byte %d", err, r.i)
	}
	if r.space(); r.i < len(r.b) {
		return nil, fmt.Errorf("trailing data at byte %d", r.i)
	}
	return v, nil
}

func (r *keaReader) space() {
	for r.i < len(r.b) && strings.IndexByte(" \b\f\n\r\t", r.b[r.i]) >= 0 {
		r.i++
	}
}

func (r *keaReader) next() byte {
	if r.i == len(r.b) {
		return 0
	}
	r.i++
	return r.b[r.i-1]
}

func (r *keaReader) value(budget int) (any, error) {
	if budget < 1 {
		return nil, errors.New("fromJSON elements nested too deeply")
	}
	r.space()
	switch c := r.next(); {
	case c == '{':
		return r.object(budget - 1)
	case c == '[':
		return r.list(budget - 1)
	case c == '"':
		return r.text()
	case c == 't' || c == 'f' || c == 'n':
		r.i--
		return r.word()
	case c == '-' || c >= '0' && c <= '9':
		r.i--
		return r.number()
	default:
		return nil, fmt.Errorf("error: unexpected character %c", c)
	}
}

func (r *keaReader) object(budget int) (any, error) {
	m := map[string]any{}
	if r.space(); r.i < len(r.b) && r.b[r.i] == '}' {
		r.i++
		return m, nil
	}
	for {
		if r.space(); r.next() != '"' {
			return nil, errors.New("String expected")
		}
		key, err := r.text()
		if err != nil {
			return nil, err
		}
		if r.space(); r.next() != ':' {
			return nil, errors.New("':' expected")
		}
		if m[key], err = r.value(budget); err != nil { // the last one wins
			return nil, err
		}
		r.space()
		switch r.next() {
		case ',':
		case '}':
			return m, nil
		default:
			return nil, errors.New("one of \",}\" expected")
		}
	}
}

func (r *keaReader) list(budget int) (any, error) {
	l := []any{}
	for {
		if r.space(); r.i < len(r.b) && r.b[r.i] == ']' { // also behind a comma
			r.i++
			return l, nil
		}
		v, err := r.value(budget)
		if err != nil {
			return nil, err
		}
		l = append(l, v)
		r.space()
		switch r.next() {
		case ',':
		case ']':
			return l, nil
		default:
			return nil, errors.New("one of \",]\" expected")
		}
	}
}

func (r *keaReader) text() (string, error) {
	var text []byte
	for r.i < len(r.b) {
		switch c := r.next(); c {
		case '"':
			return string(text), nil
		case '\\':
			c, err := r.escape()
			if err != nil {
				return "", err
			}
			text = append(text, c)
		default:
			text = append(text, c)
		}
	}
	return "", errors.New("Unterminated string")
}

func (r *keaReader) escape() (byte, error) {
	switch c := r.next(); c {
	case '"', '\\', '/':
		return c, nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		if high := string([]byte{r.next(), r.next()}); high != "00" {
			return 0, errors.New("Unsupported unicode escape")
		}
		n, err := strconv.ParseUint(string([]byte{r.next(), r.next()}), 16, 8)
		if err != nil {
			return 0, errors.New("Not hexadecimal in unicode escape")
		}
		return byte(n), nil
	}
	return 0, errors.New("Bad escape")
}

func (r *keaReader) word() (any, error) {
	for word, v := range map[string]any{"true": true, "false": false, "null": nil} {
		if rest := r.b[r.i:]; strings.HasPrefix(string(rest[:min(len(rest), 5)]), word) {
			r.i += len(word)
			return v, nil
		}
	}
	return nil, errors.New("Bad value")
}

func (r *keaReader) number() (any, error) {
	start := r.i
	for r.i < len(r.b) && strings.IndexByte("0123456789+-.eE", r.b[r.i]) >= 0 {
		r.i++
	}
	text := string(r.b[start:r.i])
	if strings.ContainsAny(text, ".eE") {
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("Number overflow: %s", text)
		}
		return x, nil
	}
	if digits := strings.TrimPrefix(text, "-"); len(digits) > 1 && digits[0] == '0' {
		return nil, fmt.Errorf("Illegal leading zeros in '%s'", text)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("Number overflow: %s", text)
	}
	return n, nil
}

// requireReadable checks that every client of Kea can read a reply, over HTTP too, where a list is
// around it, and returns what it reads.
func requireReadable(t testing.TB, reply []byte) map[string]any {
	t.Helper()
	require.True(t, utf8.Valid(reply), "%q", reply)
	require.NotContains(t, string(reply), "\n")
	require.NotContains(t, string(reply), "\r")
	require.True(t, jsontext.Value(reply).IsValid(), "%s", reply)
	squeezed := jsontext.Value(slices.Clone(reply))
	require.NoError(t, squeezed.Compact(jsontext.PreserveRawStrings(true), jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false)))
	require.Equal(t, string(squeezed), string(reply), "not compact")
	v, err := readAsKea(slices.Concat([]byte("["), reply, []byte("]")))
	require.NoError(t, err, "%s", reply)
	return v.([]any)[0].(map[string]any)
}

// The model accepts and refuses the same texts as Kea.
func TestKeaReader(t *testing.T) {
	for text, want := range map[string]any{
		`"\u00e9\u000a€"`: "\xe9\n€",
		"[1,\b\f2.50,]":   []any{int64(1), 2.5},
		`{"a":1,"a":2}`:   map[string]any{"a": int64(2)},
		"\"\n\xff\"":      "\n\xff",
		"-0":              int64(0),
		"1e-400":          0.0,
		"[true,null]":     []any{true, nil},
		"[  ]":            []any{},
		"{  }":            map[string]any{},
	} {
		got, err := readAsKea([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{
		`"\u20ac"`, `"\u2028"`, `"\ufffd"`, `"\ud83d\ude00"`, `"\x41"`, `"\u00g0"`, `"a`, `{"a":1,}`, "[,]", "1e400",
		"9223372036854775808", "-9223372036854775809", "007", "1-2", "NaN", "[1] 2", "tru", "", "[1}", nest("[", 99, "[[]]", "]"),
	} {
		_, err := readAsKea([]byte(text))
		require.Error(t, err, text)
	}
	for _, text := range []string{nest("[", 99, "1", "]"), nest("[", 99, "[]", "]")} {
		_, err := readAsKea([]byte(text))
		require.NoError(t, err)
	}
}

// Each client of Kea can read each reply that AppendReply writes, and reads the same value.
func FuzzReply(f *testing.F) {
	f.Add(0, "", "", []byte(`{}`), 0.0, int64(0), "")
	f.Add(1, "no such lease", "e\u2028\ufffd", []byte(` [ "\u20ac\ud83d\ude00\u00e9\u0000" , 1.0 ] `), 0.1, int64(-1), "7")
	f.Add(-1, "\xff\x00\"\\\b\f\n\r\t\x7f", "k\xfe\n", []byte(`{"a":18446744073709551615}`), 1e300, int64(1<<53), "\u00e9")
	f.Add(500, "\u0085\u00ad\ufeff", "😀", []byte(nest("[", 97, "1", "]")), 5e-324, int64(9), "\"\n")
	f.Add(3, "x", "y", []byte(`"\ud800"`), 1e21, int64(3), "z")
	f.Add(3, "x", "y", []byte(`{"":{"":[1e999,-0,1E+2]}}`), -1e18, int64(3), "z")
	f.Fuzz(func(t *testing.T, code int, text, word string, arguments []byte, x float64, n int64, id string) {
		r := wire.Reply{Code: wire.Code(code), Text: text, More: n&1 == 1, ID: wire.IntID(n)}
		if n&2 == 2 {
			r.ID = wire.StringID(id)
		}
		values := []any{
			nil, wire.Value(arguments), jsontext.Value(arguments), marshaler(arguments), string(arguments), arguments, word, x, float32(x), n, uint64(n),
			map[string]any{word: text, "list": []any{x, n, word}, "deep": map[string]string{text: word}},
			[]map[string]any{{word: jsontext.Value(arguments)}},
		}
		if raw, err := wire.ParseRaw(arguments); err == nil {
			values = append(values, raw, []wire.Raw{raw}, struct{ R wire.Raw }{raw})
		}
		if raw, err := wire.Encode(map[string]string{text: word}); err == nil {
			values = append(values, raw)
		}
		for _, v := range values {
			r.Arguments = v
			requireSame(t, r)
		}
		failure := wire.Failure(fmt.Errorf("wrapped: %w", &wire.Error{Code: r.Code, Word: word, Text: text, Fields: []wire.Field{{Pointer: word, Text: text}}, Data: wire.Value(arguments)}))
		require.NotEqual(t, wire.CodeSuccess, failure.Code)
		requireSame(t, failure)
	})
}

// requireSame checks that Kea and DecodeReply read the value of a reply that AppendReply accepts.
func requireSame(t *testing.T, r wire.Reply) {
	t.Helper()
	frame, err := wire.AppendReply([]byte("dst"), r)
	if err != nil {
		require.Equal(t, "dst", string(frame))
		return
	}
	frame = frame[3:]
	kea := requireReadable(t, frame)
	require.Equal(t, int64(r.Code), kea["result"])
	text, _ := kea["text"].(string)
	require.Equal(t, readable(r.Text), text)

	got, err := wire.DecodeReply(frame)
	require.NoError(t, err)
	require.Equal(t, r.Code, got.Code)
	require.Equal(t, readable(r.Text), got.Text)
	require.Equal(t, r.ID, got.ID)
	require.Equal(t, r.More, got.More)
	value := kea["arguments"]
	if r.Code.Failed() {
		require.NotContains(t, kea, "arguments")
		require.Nil(t, got.Arguments)
		require.NotEmpty(t, got.Error.Word)
		failure := kea["error"].(map[string]any)
		value, got.Arguments = failure["data"], got.Error.Data
	} else {
		require.NotContains(t, kea, "error")
		require.NoError(t, got.Err())
	}
	if s, ok := r.Arguments.(string); ok {
		require.Equal(t, readable(s), value)
	}
	if x, ok := r.Arguments.(float64); ok {
		var back float64
		require.NoError(t, got.Decode(&back))
		require.Equal(t, x, back)
	}
}

// readable returns the string that a reader gets for a Go string.
func readable(s string) string { return string([]rune(s)) }

// A marshaler returns fixed JSON.
type marshaler string

func (m marshaler) MarshalJSON() ([]byte, error) { return []byte(m), nil }

// DecodeReply reads recorded replies of Kea daemons.
func TestDecodeKeaReplies(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "test", "interop", "testdata", "kea", "a*.txt"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	codes := map[wire.Code]int{}
	for _, name := range files {
		file, err := os.Open(name)
		require.NoError(t, err)
		defer file.Close()
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			reply, ok := strings.CutPrefix(lines.Text(), "< ")
			if !ok || reply == "(no bytes)" {
				continue
			}
			got, err := wire.DecodeReply([]byte(reply))
			require.NoError(t, err, "%s: %s", name, reply)
			codes[got.Code]++
			v, err := readAsKea([]byte(reply))
			require.NoError(t, err)
			kea := v.(map[string]any)
			require.Equal(t, kea["result"], int64(got.Code))
			if text, ok := kea["text"].(string); ok && !strings.Contains(reply, `\u00`) {
				require.Equal(t, text, got.Text, reply)
			}
			_, has := kea["arguments"]
			require.Equal(t, has, got.Arguments != nil, reply)
		}
		require.NoError(t, lines.Err())
	}
	require.Subset(t, slices.Collect(maps.Keys(codes)), []wire.Code{wire.CodeSuccess, wire.CodeError, wire.CodeUnsupported})
}
