package wire_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/wire"
)

// Messages that are refused as bad JSON: each class of defect, with its place. Lines count from 0;
// columns are the number of bytes of the line that were read, from 0 in line 0 and from 1 in later lines.
var badJSON = []struct {
	name  string
	frame string
	text  string
	word  string // "": bad-json
}{
	{name: "nothing", frame: "", text: "unexpected end of the message in <wire>:0:0"},
	{name: "white space only", frame: " \t\r\n ", text: "unexpected end of the message in <wire>:1:2"},
	{name: "map open", frame: "{", text: "unexpected end of the message in <wire>:0:1"},
	{name: "list open", frame: "[1", text: "unexpected end of the message in <wire>:0:2"},
	{name: "map without a value", frame: `{"a":`, text: "unexpected end of the message in <wire>:0:5"},
	{name: "map closed as a list", frame: `{"a":1]`, text: `']' read, one of ",}" expected in <wire>:0:7`},
	{name: "list closed as a map", frame: `[1}`, text: `'}' read, one of ",]" expected in <wire>:0:3`},
	{name: "only closed", frame: `}`, text: "error: unexpected character } in <wire>:0:1"},

	{name: "comma behind the last member", frame: `{"a":1,}`, text: "String expected in <wire>:0:8"},
	{name: "comma behind the last element", frame: `[1,]`, text: "error: unexpected character ] in <wire>:0:4"},
	{name: "comma first", frame: `[,1]`, text: "error: unexpected character , in <wire>:0:2"},
	{name: "two commas", frame: `[1,,2]`, text: "error: unexpected character , in <wire>:0:4"},
	{name: "no comma", frame: `[1 2]`, text: `'2' read, one of ",]" expected in <wire>:0:4`},
	{name: "no colon", frame: `{"a" 1}`, text: `'1' read, one of ":" expected in <wire>:0:6`},
	{name: "no value", frame: `{"a":}`, text: "error: unexpected character } in <wire>:0:6"},
	{name: "bare key", frame: `{a:1}`, text: "String expected in <wire>:0:2"},
	{name: "key in apostrophes", frame: `{'a':1}`, text: "String expected in <wire>:0:2"},
	{name: "key an integer", frame: `{1:1}`, text: "String expected in <wire>:0:2"},
	{name: "key null", frame: `{null:1}`, text: "String expected in <wire>:0:2"},

	{name: "trailing value", frame: `{} {}`, text: "'{' read, nothing expected behind the message in <wire>:0:4"},
	{name: "trailing brace", frame: `{}}`, text: "'}' read, nothing expected behind the message in <wire>:0:3"},
	{name: "trailing comma", frame: `{},`, text: "',' read, nothing expected behind the message in <wire>:0:3"},
	{name: "trailing comment", frame: `{} // end`, text: "'/' read, nothing expected behind the message in <wire>:0:4"},
	{name: "trailing NUL", frame: "{}\x00", text: "'\x00' read, nothing expected behind the message in <wire>:0:3"},
	{name: "comment", frame: `[/**/]`, text: "error: unexpected character / in <wire>:0:2"},
	{name: "hash comment", frame: "[# x\n]", text: "error: unexpected character # in <wire>:0:2"},

	{name: "BOM", frame: "\ufeff{}", text: "error: unexpected character ï in <wire>:0:1"},
	{name: "BOM of UTF-16", frame: "\xff\xfe{\x00}\x00", text: "error: unexpected character ÿ in <wire>:0:1"},
	{name: "NUL", frame: "\x00", text: "error: unexpected character \x00 in <wire>:0:1"},
	{name: "form feed", frame: "[\f]", text: "error: unexpected character \f in <wire>:0:2"},
	{name: "backspace", frame: "[1\b]", text: "'\b' read, one of \",]\" expected in <wire>:0:3"},
	{name: "vertical tab", frame: "{\v}", text: "String expected in <wire>:0:2"},
	{name: "no-break space", frame: "[\u00a0]", text: "error: unexpected character Â in <wire>:0:2"},
	{name: "line separator", frame: "[1\u2028]", text: "'â' read, one of \",]\" expected in <wire>:0:3"},

	{name: "string open", frame: `"abc`, text: "Unterminated string in <wire>:0:4"},
	{name: "string open behind a backslash", frame: `"abc\`, text: "Unterminated string in <wire>:0:5"},
	{name: "string in apostrophes", frame: `['a']`, text: "error: unexpected character ' in <wire>:0:2"},
	{name: "new line in a string", frame: "\"a\nb\"", text: "unescaped control character in string in <wire>:1:1"},
	{name: "tab in a string", frame: "\"a\tb\"", text: "unescaped control character in string in <wire>:0:3"},
	{name: "NUL in a string", frame: "\"a\x00b\"", text: "unescaped control character in string in <wire>:0:3"},
	{name: "U+001F in a key", frame: "{\"a\x1f\":1}", text: "unescaped control character in string in <wire>:0:4"},
	{name: "escape x", frame: `"\x41"`, text: "Bad escape in <wire>:0:2"},
	{name: "escape '", frame: `"\'"`, text: "Bad escape in <wire>:0:2"},
	{name: "escape U", frame: `"\U0041"`, text: "Bad escape in <wire>:0:2"},
	{name: "escape new line", frame: "\"\\\n\"", text: "Bad escape in <wire>:0:2"},
	{name: "escape NUL", frame: "\"\\\x00\"", text: "Bad escape in <wire>:0:2"},
	{name: "three digits", frame: `"\u004"`, text: "Not hexadecimal in unicode escape in <wire>:0:2"},
	{name: "no digits", frame: `"\u"`, text: "Not hexadecimal in unicode escape in <wire>:0:2"},
	{name: "no hex digit", frame: `"\u00g0"`, text: "Not hexadecimal in unicode escape in <wire>:0:2"},
	{name: "hex digits with a sign", frame: `"\u+041"`, text: "Not hexadecimal in unicode escape in <wire>:0:2"},

	{name: "first surrogate alone", frame: `"\ud83d"`, text: "half a surrogate pair in unicode escape in <wire>:0:2"},
	{name: "second surrogate alone", frame: `"\ude00"`, text: "half a surrogate pair in unicode escape in <wire>:0:2"},
	{name: "surrogates in the wrong order", frame: `"\ude00\ud83d"`, text: "half a surrogate pair in unicode escape in <wire>:0:2"},
	{name: "first surrogate twice", frame: `"\ud83d\ud83d\ude00"`, text: "half a surrogate pair in unicode escape in <wire>:0:2"},
	{name: "first surrogate and a letter", frame: `"\ud83d\u0061"`, text: "half a surrogate pair in unicode escape in <wire>:0:2"},
	{name: "surrogates apart", frame: `"\ud83d \ude00"`, text: "half a surrogate pair in unicode escape in <wire>:0:2"},
	{name: "second surrogate cut", frame: `"\ud83d\ude0"`, text: "half a surrogate pair in unicode escape in <wire>:0:2"},
	{name: "surrogate alone in a key", frame: `{"\udc00":1}`, text: "half a surrogate pair in unicode escape in <wire>:0:3"},

	{name: "UTF-8 continuation alone", frame: "\"a\x80\"", text: "invalid UTF-8 in <wire>:0:3"},
	{name: "UTF-8 cut", frame: "\"\xe2\x82\"", text: "invalid UTF-8 in <wire>:0:2"},
	{name: "UTF-8 overlong", frame: "\"\xc0\xaf\"", text: "invalid UTF-8 in <wire>:0:2"},
	{name: "UTF-8 overlong NUL", frame: "\"\xc0\x80\"", text: "invalid UTF-8 in <wire>:0:2"},
	{name: "UTF-8 surrogate", frame: "\"\xed\xa0\x80\"", text: "invalid UTF-8 in <wire>:0:2"},
	{name: "UTF-8 beyond U+10FFFF", frame: "\"\xf4\x90\x80\x80\"", text: "invalid UTF-8 in <wire>:0:2"},
	{name: "Latin-1", frame: "{\"\xe9\":1}", text: "invalid UTF-8 in <wire>:0:3"},
	{name: "UTF-8 outside a string", frame: "[é]", text: "error: unexpected character Ã in <wire>:0:2"},

	{name: "True", frame: `True`, text: "error: unexpected character T in <wire>:0:1"},
	{name: "tru", frame: `tru`, text: "Bad boolean value: tru in <wire>:0:0"},
	{name: "truex", frame: ` truex`, text: "Bad boolean value: truex in <wire>:0:1"},
	{name: "fALSE", frame: `fALSE`, text: "Bad boolean value: fALSE in <wire>:0:0"},
	{name: "nul", frame: `[nul]`, text: "Bad null value: nul in <wire>:0:1"},
	{name: "true1", frame: `true1`, text: "'1' read, nothing expected behind the message in <wire>:0:5"},
	{name: "a long word is cut", frame: strings.Repeat("n", 1000), text: "Bad null value: " + strings.Repeat("n", 128) + "… in <wire>:0:0"},
	{name: "NaN", frame: `NaN`, text: "error: unexpected character N in <wire>:0:1"},
	{name: "-Infinity", frame: `-Infinity`, text: "Bad number: - in <wire>:0:0"},

	{name: "007", frame: `[007]`, text: "Bad number: 007 in <wire>:0:1"},
	{name: "-01", frame: `[-01]`, text: "Bad number: -01 in <wire>:0:1"},
	{name: "+5", frame: `[+5]`, text: "Bad number: +5 in <wire>:0:1"},
	{name: ".5", frame: `[.5]`, text: "Bad number: .5 in <wire>:0:1"},
	{name: "5.", frame: `[5.]`, text: "Bad number: 5. in <wire>:0:1"},
	{name: "5.e1", frame: `[5.e1]`, text: "Bad number: 5.e1 in <wire>:0:1"},
	{name: "-", frame: `[-]`, text: "Bad number: - in <wire>:0:1"},
	{name: "-.5", frame: `[-.5]`, text: "Bad number: -.5 in <wire>:0:1"},
	{name: "1e", frame: `[1e]`, text: "Bad number: 1e in <wire>:0:1"},
	{name: "1e+", frame: `[1e+]`, text: "Bad number: 1e+ in <wire>:0:1"},
	{name: "1e+-1", frame: `[1e+-1]`, text: "Bad number: 1e+-1 in <wire>:0:1"},
	{name: "1e1.5", frame: `[1e1.5]`, text: "Bad number: 1e1.5 in <wire>:0:1"},
	{name: "1-2", frame: `[1-2]`, text: "Bad number: 1-2 in <wire>:0:1"},
	{name: "1.2.3", frame: `[1.2.3]`, text: "Bad number: 1.2.3 in <wire>:0:1"},
	{name: "--1", frame: `[--1]`, text: "Bad number: --1 in <wire>:0:1"},
	{name: "0x10", frame: `[0x10]`, text: `'x' read, one of ",]" expected in <wire>:0:3`},
	{name: "1_000", frame: `[1_000]`, text: `'_' read, one of ",]" expected in <wire>:0:3`},
	{name: "a long number is cut", frame: strings.Repeat("0", 1000), text: "Bad number: " + strings.Repeat("0", 128) + "… in <wire>:0:0"},
	{name: "full-width digit", frame: "[\uff11]", text: "error: unexpected character ï in <wire>:0:2"},

	{name: "second line", frame: "{\n]", text: "String expected in <wire>:1:2"},
	{name: "second line, second character", frame: "{\n ]", text: "String expected in <wire>:1:3"},
	{name: "fourth line", frame: "{\n\n\r\n \"a\":1 2}", text: `'2' read, one of ",}" expected in <wire>:3:9`},
	{name: "a carriage return is no line", frame: "{\r]", text: "String expected in <wire>:0:3"},
	{name: "an escaped new line is no line", frame: `["\n" 1]`, text: `'1' read, one of ",]" expected in <wire>:0:7`},
	{name: "columns are bytes", frame: `["é" 1]`, text: `'1' read, one of ",]" expected in <wire>:0:7`},
	{name: "number in the second line", frame: "[\n007]", text: "Bad number: 007 in <wire>:1:1"},
	{name: "end in the second line", frame: "[\n1,", text: "unexpected end of the message in <wire>:1:3"},

	{name: "key twice", frame: `{"a":1,"a":1}`, text: "duplicate key 'a' in <wire>:0:8", word: "duplicate-key"},
	{name: "key twice in a second line", frame: "{\"a\":1,\n\"a\":1}", text: "duplicate key 'a' in <wire>:1:2", word: "duplicate-key"},
	{name: "empty key twice", frame: `{"":1,"":1}`, text: "duplicate key '' in <wire>:0:7", word: "duplicate-key"},
	{name: "key twice, the second escaped", frame: `{"a":1,"\u0061":1}`, text: "duplicate key 'a' in <wire>:0:8", word: "duplicate-key"},
	{name: "key twice, the first escaped", frame: `{"\u0061":1,"a":1}`, text: "duplicate key 'a' in <wire>:0:13", word: "duplicate-key"},
	{name: "key twice, both escaped", frame: `{"\u20ac":1,"\u20AC":1}`, text: "duplicate key '€' in <wire>:0:13", word: "duplicate-key"},
	{name: "key twice, a pair and raw", frame: `{"\ud83d\ude00":1,"😀":1}`, text: "duplicate key '😀' in <wire>:0:19", word: "duplicate-key"},
	{name: "slash escaped", frame: `{"/":1,"\/":1}`, text: "duplicate key '/' in <wire>:0:8", word: "duplicate-key"},
	{name: "key twice deeper", frame: `[{"b":{"a":1,"c":[{"a":1}],"a":2}}]`, text: "duplicate key 'a' in <wire>:0:28", word: "duplicate-key"},
	{name: "command twice", frame: `{"command":"a","command":"b"}`, text: "duplicate key 'command' in <wire>:0:16", word: "duplicate-key"},
	{name: "unknown key twice", frame: `{"zid":"a","zid":"b"}`, text: "duplicate key 'zid' in <wire>:0:12", word: "duplicate-key"},
	{name: "a long key twice is cut", frame: `{"` + strings.Repeat("k", 200) + `":1,"` + strings.Repeat("k", 200) + `":2}`, text: "duplicate key '" + strings.Repeat("k", 128) + "…' in <wire>:0:207", word: "duplicate-key"},
}

func TestBadJSONIsRefusedWithItsPlace(t *testing.T) {
	for _, test := range badJSON {
		t.Run(test.name, func(t *testing.T) {
			_, bad := wire.DecodeRequest([]byte(test.frame))
			require.NotNil(t, bad)
			require.Equal(t, test.text, bad.Text)
			require.Equal(t, wire.CodeError, bad.Code)
			if test.word == "" {
				test.word = "bad-json"
			}
			require.Equal(t, test.word, bad.Word)
			require.Empty(t, bad.Fields)

			require.False(t, wire.Value(test.frame).Valid())
			_, err := wire.ParseRaw([]byte(test.frame))
			require.EqualError(t, err, test.text)
			_, err = wire.DecodeReply([]byte(test.frame))
			require.EqualError(t, err, "the reply is no JSON: "+test.text)

			// the answer to it is readable
			reply, err := wire.AppendReply(nil, wire.Failure(bad))
			require.NoError(t, err)
			requireReadable(t, reply)
		})
	}
}

// Each of these is valid in arguments.
func TestValidJSONIsAcceptedInArguments(t *testing.T) {
	for _, text := range []string{
		`{}`, `[]`, `""`, `0`, `-0`, `-0.0e-0`, `10`, `1E5`, `1e+05`, `0.1e1`, `true`, `false`, `null`,
		`[[],{},[{}],""]`, "[\t1\r,\n2 ]", `"\"\\\/\b\f\n\r\tA\u0000"`, "\"\u0080\uffff\U0010ffff\x7f\"",
		`{"a":{"a":{"a":1}},"b":{"a":1}}`, `[{"a":1},{"a":1}]`, `{"a":1,"A":2,"a ":3,"":4}`,
		`{"\\u0061":1,"a":2}`, `"\ud83d\ude00\u20ac"`, `{"é":1}`, // composed and decomposed are two
	} {
		r, bad := wire.DecodeRequest([]byte(`{"command":"a","arguments":` + text + `}`))
		require.Nil(t, bad, text)
		require.Equal(t, strings.TrimSpace(text), string(r.Arguments))
		require.True(t, wire.Value(text).Valid(), text)
	}
}

// A key twice is found in maps of any size, at any two places, with and without escapes.
func TestDuplicateKeyIsFoundInMapOfAnySize(t *testing.T) {
	for _, n := range []int{2, 15, 16, 17, 18, 33, 100, 100_000} {
		large := largeMap(n, 0)
		with := func(rest ...[]byte) []byte { return bytes.Join(append([][]byte{large}, rest...), nil) }
		positions := []int{0, 1, n / 2, n - 2}
		if n > 100 {
			positions = positions[3:]
		}
		for _, at := range positions {
			for _, again := range []string{`,"key-%d":0}`, `,"k\u0065y-%d":0}`} {
				_, bad := wire.DecodeRequest(with(fmt.Appendf(nil, again, at)))
				require.NotNil(t, bad)
				require.Equal(t, fmt.Sprintf("duplicate key 'key-%d' in <wire>:0:%d", at, len(large)+2), bad.Text)
			}
		}
		require.True(t, wire.Value(with([]byte("}"))).Valid())
		// the first spelling escaped, the second not
		require.False(t, wire.Value(append(largeMap(n, 1), `,"key-0":0}`...)).Valid())
		// and in a map inside a map of as many keys
		inner := with([]byte(`,"inner":`), large)
		require.False(t, wire.Value(append(slices.Clone(inner), `,"key-0":1}}`...)).Valid())
		require.False(t, wire.Value(append(slices.Clone(inner), `},"key-0":1}`...)).Valid())
		require.True(t, wire.Value(append(slices.Clone(inner), `}}`...)).Valid())
	}
}

// largeMap is a map of n keys without its closing brace; the names of the first escaped ones have escapes.
func largeMap(n, escaped int) []byte {
	var b bytes.Buffer
	for i := range n {
		key := "key"
		if i < escaped {
			key = `k\u0065y`
		}
		fmt.Fprintf(&b, `,"%s-%d":%d`, key, i, i)
	}
	b.Bytes()[0] = '{'
	return b.Bytes()
}

// Ten times as many keys take some ten times as long, not a hundred times.
func TestLargeMapIsDecodedInLinearTime(t *testing.T) {
	took := func(n int) time.Duration {
		frame := append(largeMap(n, n/2), '}')
		best := time.Hour
		for range 5 {
			start := time.Now()
			require.True(t, wire.Value(frame).Valid())
			best = min(best, time.Since(start))
		}
		return best
	}
	for range 5 { // a machine that is busy with something else distorts it
		if small, large := took(10_000), took(100_000); large < 40*small {
			return
		}
	}
	t.Fatal("ten times as many members take forty times as long")
}

// 99 levels may have members, a 100th may not: Kea's rule.
func TestNestingHasKeasLimit(t *testing.T) {
	for _, brackets := range []struct{ open, empty, shut string }{
		{"[", "[]", "]"},
		{`{"a":`, "{}", "}"},
		{`[{"a":`, "[]", "}]"}, // two levels at once
	} {
		levels := strings.Count(brackets.open, "[") + strings.Count(brackets.open, "{")
		for _, test := range []struct {
			depth  int // of what has members
			inside string
			ok     bool
		}{
			{98, `1`, true},
			{98, brackets.empty, true},
			{98, brackets.empty[:1] + " " + brackets.empty[1:], true},
			{100, `1`, false},
			{100, brackets.empty, false},
			{1_000_000, `1`, false},
			{1_000_000, brackets.empty, false},
		} {
			frame := nest(brackets.open, test.depth/levels, test.inside, brackets.shut)
			require.Equal(t, test.ok, wire.Value(frame).Valid(), "%d %s", test.depth, test.inside)
		}
	}
	for text, ok := range map[string]bool{
		nest("[", 99, "", "]"):                       true, // one more without members
		nest("[", 99, "1", "]"):                      true,
		nest("[", 99, "[]", "]"):                     true,
		nest("[", 99, "{ }", "]"):                    true,
		nest("[", 99, "[[]]", "]"):                   false,
		nest("[", 99, "[1]", "]"):                    false,
		nest("[", 100, "", "]"):                      true,
		nest("[", 101, "", "]"):                      false,
		nest(`{"a":`, 99, `"x"`, "}"):                true,
		nest(`{"a":`, 99, `{}`, "}"):                 true,
		nest(`{"a":`, 99, `{"a":1}`, "}"):            false,
		nest(`{"a":`, 100, `{}`, "}"):                false,
		"[" + nest("[", 98, "[],1", "]") + ",[[1]]]": true, // the depth goes down again
	} {
		require.Equal(t, ok, wire.Value(text).Valid(), text)
	}
}

// The message is the first level, so that arguments may have one less.
func TestArgumentsMayHaveOneLevelLessThanTheMessage(t *testing.T) {
	const before = `{"command":"a","arguments":`
	for depth, ok := range map[int]bool{97: true, 98: true, 99: true, 100: false, 101: false, 1_000_000: false} {
		_, bad := wire.DecodeRequest([]byte(before + nest("[", depth, "", "]") + `}`))
		if ok {
			require.Nil(t, bad, depth)
			continue
		}
		require.Equal(t, wire.Errorf(wire.CodeError, "too-deep", "fromJSON elements nested too deeply in <wire>:0:%d", len(before)+100), bad)
		_, bad = wire.DecodeRequest([]byte(before + strings.Repeat("[", depth)))
		require.Equal(t, "too-deep", bad.Word)
	}
}

func nest(open string, depth int, inside, shut string) string {
	return strings.Repeat(open, depth) + inside + strings.Repeat(shut, depth)
}
