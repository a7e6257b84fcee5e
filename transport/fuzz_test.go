package transport

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// FuzzScanner compares the scanner with a slow reference that sees everything at once, and that with
// a JSON decoder, however the bytes are cut into pieces.
func FuzzScanner(f *testing.F) {
	for i, c := range keaCases {
		f.Add([]byte(c.in), uint64(i))
	}
	f.Add([]byte("{}[]{\"\\\"\":/*/*/1}#\n//\r[[[]]]"), uint64(1))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		want, wantErr := reference(in)
		frames, err := receiveAll(bytes.Clone(in))
		require.Equal(t, want, frames)
		require.Equal(t, wantErr, err)
		frames, err = receiveAll(cut(bytes.Clone(in), seed)...)
		require.Equal(t, want, frames)
		require.Equal(t, wantErr, err)
	})
}

// cut cuts b into pieces at random.
func cut(b []byte, seed uint64) [][]byte {
	random := rand.New(rand.NewPCG(seed, 0))
	longest := 1 + random.IntN(len(b)+1)
	var pieces [][]byte
	for len(b) > 0 {
		n := min(len(b), 1+random.IntN(longest))
		pieces = append(pieces, b[:n:n])
		b = b[n:]
	}
	return pieces
}

// reference finds frames by Kea's rules, step by step over the whole text: without comments first.
func reference(in []byte) (frames []string, end error) {
	text, comment, slashAt := stripped(in)
	for pos := 0; ; {
		start := pos
		for start < len(text) && bytes.IndexByte([]byte(" \t\r\n"), text[start]) >= 0 {
			start++
		}
		if start == slashAt && start+1 < len(in) {
			return frames, &FrameError{Reason: BadComment, Byte: in[start+1], Offset: start - pos}
		}
		if start == len(text) || start == slashAt {
			return frames, io.EOF
		}
		if text[start] != '{' && text[start] != '[' {
			return frames, &FrameError{Reason: BadFirstByte, Byte: text[start], Offset: start - pos}
		}
		stop := closed(text, start)
		if slashAt >= 0 && (stop < 0 || slashAt < stop) && slashAt+1 < len(in) {
			return frames, &FrameError{Reason: BadComment, Byte: in[slashAt+1], Offset: slashAt - pos}
		}
		if stop < 0 {
			lost := 0
			for i := start; i < len(in); i++ {
				if !comment[i] || in[i] == '\n' {
					lost++
				}
			}
			return frames, &FrameError{Reason: CutOff, Discarded: lost}
		}
		agrees(text[start:], stop-start)
		frames = append(frames, string(text[start:stop]))
		pos = stop
	}
}

// stripped blanks comments, and tells where they were. It ends at a slash that starts none.
func stripped(in []byte) (text []byte, comment []bool, slashAt int) {
	text, comment = bytes.Clone(in), make([]bool, len(in))
	for i := 0; i < len(in); i++ {
		rest := in[i:]
		var length int
		switch {
		case rest[0] == '"':
			i += quoted(rest) - 1
			continue
		case rest[0] == '#' || bytes.HasPrefix(rest, []byte("//")):
			length = bytes.IndexByte(rest, '\n') + 1
			if length == 0 {
				length = len(rest)
			}
		case bytes.HasPrefix(rest, []byte("/*")):
			length = len(rest)
			if n := bytes.Index(rest[2:], []byte("*/")); n >= 0 {
				length = 2 + n + 2
			}
		case rest[0] == '/':
			return text, comment, i
		default:
			continue
		}
		for j := i; j < i+length; j++ {
			comment[j] = true
			if text[j] != '\n' {
				text[j] = ' '
			}
		}
		i += length - 1
	}
	return text, comment, -1
}

// quoted is the length of the string literal at the start of b.
func quoted(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// closed returns the position behind the bracket that closes the one at start, or -1.
func closed(text []byte, start int) int {
	depth := 0
	for i := start; i < len(text); i++ {
		switch text[i] {
		case '"':
			i += quoted(text[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// agrees panics when text starts with a JSON value that has another length.
func agrees(text []byte, length int) {
	d := jsontext.NewDecoder(bytes.NewReader(text),
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	value, err := d.ReadValue()
	if err == nil && len(value) != length {
		panic("the decoder and the rules of Kea disagree: " + string(text))
	}
}

// What the decoder reads in generated JSON is what the scanner cuts, with nothing between values.
func TestScannerCutsValidJSON(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var want []string
		var all []byte
		for range 1 + random.IntN(4) {
			value := generated(random, 4)
			if value[0] != '{' && value[0] != '[' {
				value = "[" + value + "]"
			}
			want = append(want, value)
			all = append(all, value...)
		}
		frames, err := receiveAll(cut(all, random.Uint64())...)
		require.Equal(t, io.EOF, err)
		require.Equal(t, want, frames)
		for _, frame := range frames {
			require.True(t, jsontext.Value(frame).IsValid(), frame)
		}
	}
}

func generated(random *rand.Rand, depth int) string {
	if depth == 0 || random.IntN(4) == 0 {
		leaves := []string{"1", "-0.5e+3", "true", "null", `""`, `"}]"`, `"\\"`, `"\""`, `"#"`, `"//"`, `"/*"`, `"\u007b["`}
		return leaves[random.IntN(len(leaves))]
	}
	var members []string
	for range random.IntN(4) {
		members = append(members, generated(random, depth-1))
	}
	if random.IntN(2) == 0 {
		return "[" + strings.Join(members, " ,\n") + "]"
	}
	for i := range members {
		members[i] = `"` + string(rune('a'+i)) + `": ` + members[i]
	}
	return "{" + strings.Join(members, ",") + "}"
}
