package wire_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/wire"
)

type point struct {
	X    int     `json:"x"`
	Name string  `json:"name,omitempty"`
	In   *point  `json:"in,omitempty"`
	Of   float64 `json:"of,omitzero"`
}

// The JSON of arguments.
var goodArguments = []struct {
	v    any
	want string
}{
	{map[string]any{}, `{}`},
	{map[string]any(nil), `{}`},
	{[]int{}, `[]`},
	{[]int(nil), `[]`},
	{(*point)(nil), `null`},
	{point{X: 1, Name: "é", In: &point{}}, `{"x":1,"name":"é","in":{"x":0}}`},
	{map[string]int{"b": 1, "a": 2, "é": 3}, `{"a":2,"b":1,"é":3}`},
	{map[string]int{"\"\\\n\x01": 1}, `{"\"\\\n\u0001":1}`},
	{map[string]int{"k\xff": 1}, `{"k` + "\ufffd" + `":1}`},
	{map[int]string{-7: "x"}, `{"-7":"x"}`},

	{"\u2028\u2029\ufffd\ufeff\u0085\u00e9€😀<>&\x7f", `"` + "\u2028\u2029\ufffd\ufeff\u0085\u00e9€😀<>&\x7f" + `"`},
	{"\xff\xe2\x82", "\"\ufffd\ufffd\ufffd\""},
	{"\x00\x1f\b\f\n\r\t\"\\/", `"\u0000\u001f\b\f\n\r\t\"\\/"`},

	{0.1, `0.1`},
	{math.Copysign(0, -1), `-0`},
	{1.0, `1`},
	{math.MaxFloat64, `1.7976931348623157e+308`},
	{math.SmallestNonzeroFloat64, `5e-324`},
	{0.30000000000000004, `0.30000000000000004`},
	{1234567.891, `1234567.891`},
	{float32(0.1), `0.1`},
	{1e21, `1e+21`},
	{9.2e18, `9200000000000000000`},
	{int64(math.MinInt64), `-9223372036854775808`},
	{int64(math.MaxInt64), `9223372036854775807`},
	{uint64(math.MaxInt64), `9223372036854775807`},
	{big.NewInt(math.MinInt64), `-9223372036854775808`},

	{marshaler(`{ "a\u20ac" :` + "\r\n\t" + `[ "\ud83d\ude00\uD83D\uDE00\u2028\ufffd\u0100" , 1.50E+1 ] }`), `{"a€":["😀😀` + "\u2028\ufffd\u0100" + `",1.50E+1]}`},
	{marshaler(`"\u00e9\u0000\u00ff\u0041\/"`), `"é\u0000ÿA/"`}, // jsontext writes strings anew
	{marshaler("\"\xff\\ud800\""), "\"\ufffd\ufffd\""},
	{jsontext.Value(` { "a" : "\u20ac" } `), `{"a":"€"}`},
	{jsontext.Value(nil), `null`},
	{json.RawMessage(` [ "\u20ac" ] `), `["€"]`},
	{json.Number("12345678901234567890"), `"12345678901234567890"`}, // a string, to version 2

	{wire.Value("{ \"a\" :\n\"\\u20ac\\u0100\\u00ff\\u00e9\\/\\\\u20ac\" , \"b\":[ ] }"), `{"a":"€Āÿé\/\\u20ac","b":[]}`},
	{wire.Value(`null`), `null`},
	{struct{ A, B wire.Value }{wire.Value(` [ 1 ] `), nil}, `{"A":[1],"B":null}`},
	{map[string]wire.Value{"a": wire.Value(`"\u20ac"`)}, `{"a":"€"}`},
	{wire.Raw{}, `null`},
	{[]wire.Raw{{}}, `[null]`},
	{[]wire.ID{{}, wire.IntID(7), wire.StringID("7")}, `[null,7,"7"]`},
	{wire.Value(nest("[", 97, "", "]")), nest("[", 97, "", "]")},
	{wire.Value(nest("[", 97, "1", "]")), nest("[", 97, "1", "]")},
	{jsontext.Value(nest(`{"a":`, 97, "1", "}")), nest(`{"a":`, 97, "1", "}")},
}

func TestAppendReplyArguments(t *testing.T) {
	for _, test := range goodArguments {
		got, err := wire.AppendReply([]byte("dst"), wire.Reply{Arguments: test.v})
		require.NoError(t, err, test.want)
		require.Equal(t, `dst{"result":0,"arguments":`+test.want+`}`, string(got))
		requireReadable(t, got[3:])

		raw, err := wire.Encode(test.v)
		require.NoError(t, err, test.want)
		require.Equal(t, test.want, raw.String())
		again, err := wire.AppendReply(nil, wire.Reply{Arguments: raw})
		require.NoError(t, err)
		require.Equal(t, string(got[3:]), string(again))
		again, err = wire.AppendReply(nil, wire.Reply{Arguments: struct{ R wire.Raw }{raw}})
		if strings.Count(test.want, "[") < 97 && strings.Count(test.want, "{") < 97 {
			require.NoError(t, err)
			requireReadable(t, again)
		} else {
			require.Error(t, err)
		}
	}
}

func TestAppendReply(t *testing.T) {
	for _, test := range []struct {
		want string
		r    wire.Reply
	}{
		{`{"result":0}`, wire.Reply{}},
		{`{"result":0}`, wire.Reply{Arguments: wire.Value(nil)}}, // that was not there
		{`{"result":-7,"text":"a","error":{"code":"result--7"}}`, wire.Reply{Code: -7, Text: "a"}},
		{`{"id":7,"result":1000,"text":"a","error":{"code":"result-1000","data":null},"more":true}`, wire.Reply{ID: wire.IntID(7), Code: 1000, Text: "a", Arguments: wire.Raw{}, More: true}},
		{`{"id":7,"result":0,"text":"a","arguments":null,"more":true}`, wire.Reply{ID: wire.IntID(7), Text: "a", Arguments: wire.Raw{}, More: true}},
		{`{"id":0,"result":0}`, wire.Reply{ID: wire.IntID(0)}},
		{`{"id":"","result":0}`, wire.Reply{ID: wire.StringID("")}},
		{`{"id":"\"\u0001é","result":0}`, wire.Reply{ID: wire.StringID("\"\x01é")}},
		{`{"result":0,"text":"` + "\u2028\ufffd\ufffd" + `\n\u0000\"\\<"}`, wire.Reply{Text: "\u2028\ufffd\xff\n\x00\"\\<"}},
	} {
		got, err := wire.AppendReply(nil, test.r)
		require.NoError(t, err)
		require.Equal(t, test.want, string(got))
		requireReadable(t, got)
	}
}

// Replies that no client of Kea can read are refused.
var badArguments = []struct {
	name string
	v    any
	text string // a part of the error
}{
	{"NaN", math.NaN(), "NaN"},
	{"Inf", []float64{math.Inf(1)}, "Inf"},
	{"-Inf", math.Inf(-1), "-Inf"},
	{"uint64", map[string]uint64{"a": math.MaxInt64 + 1}, "the integer 9223372036854775808 has more than 64 bits, which Kea's clients cannot read"},
	{"uint64, the largest", uint64(math.MaxUint64), "the integer 18446744073709551615 has"},
	{"big.Int", new(big.Int).Sub(big.NewInt(math.MinInt64), big.NewInt(1)), "the integer -9223372036854775809 has"},
	{"integer of a marshaler", marshaler(`{"a":[9223372036854775808]}`), "the integer 9223372036854775808 has"},
	{"integer of a Value", wire.Value(`9223372036854775808`), "the integer 9223372036854775808 has"},
	{"a long integer is cut", wire.Value(strings.Repeat("9", 1000)), "the integer " + strings.Repeat("9", 128) + "… has"},
	{"real of a Value", wire.Value(`[1e999]`), "the number 1e999 is too large for Kea's clients"},
	{"real without an exponent", wire.Value(`-1` + strings.Repeat("0", 400) + `.5`), "is too large for Kea's clients"},
	{"depth 98 of a Value", wire.Value(nest("[", 98, "", "]")), "nested more than 97 levels deep, which Kea's clients cannot read"},
	{"depth 98 of Go values", deep(98), "nested more than 97 levels deep"},
	{"depth 98 of maps", jsontext.Value(nest(`{"a":`, 98, "1", "}")), "nested more than 97 levels deep"},
	{"depth 101 of a Value", wire.Value(nest("[", 101, "", "]")), "fromJSON elements nested too deeply"},
	{"a bad Value", wire.Value(`{"a":1,"a":2}`), "duplicate key 'a' in <wire>:0:8"},
	{"an empty Value", wire.Value{}, "unexpected end of the message in <wire>:0:0"},
	{"a bad Value inside", []wire.Value{wire.Value(`{`)}, "json"},
	{"a bad marshaler", marshaler(`{"a":1,"a":2}`), "duplicate object member name"},
	{"a marshaler of nothing", marshaler(``), "json"},
	{"two keys that become one", map[string]int{"\xfe": 1, "\xff": 2}, "duplicate object member name"},
	{"a func", func() {}, "func()"},
	{"a channel", make(chan int), "chan int"},
	{"a failing marshaler", failing{}, "no heart"},
	{"late", []any{strings.Repeat("x", 100_000), failing{}}, "no heart"},
}

type failing struct{}

func (failing) MarshalJSON() ([]byte, error) { return nil, errors.New("no heart") }

func deep(n int) any {
	if n == 0 {
		return 1
	}
	return []any{deep(n - 1)}
}

func TestAppendReplyRefuses(t *testing.T) {
	for _, test := range badArguments {
		t.Run(test.name, func(t *testing.T) {
			dst, err := wire.AppendReply([]byte("dst"), wire.Reply{Code: 1, Text: "a", Arguments: test.v})
			require.ErrorContains(t, err, test.text)
			require.Equal(t, "dst", string(dst))
			raw, err := wire.Encode(test.v)
			require.ErrorContains(t, err, test.text)
			require.Equal(t, wire.Raw{}, raw)
			if v, ok := test.v.(wire.Value); ok {
				raw, err := wire.ParseRaw(v)
				require.ErrorContains(t, err, test.text)
				require.Equal(t, wire.Raw{}, raw)
			}
		})
	}
}

// A float between 2^63 and 10^21 is written without a point and is then an integer to Kea. AppendReply
// refuses it, so that the value is not lost.
func TestLargeFloatIsRefused(t *testing.T) {
	for _, x := range []float64{1 << 63, 1e20, -1e19} {
		_, err := wire.AppendReply(nil, wire.Reply{Arguments: x})
		require.ErrorContains(t, err, "has more than 64 bits")
	}
}

func TestParseRaw(t *testing.T) {
	raw, err := wire.ParseRaw([]byte(" { \"a\\u20ac\" : [ 1 , \"\\u00e9\" ] }\n"))
	require.NoError(t, err)
	require.Equal(t, `{"a€":[1,"é"]}`, raw.String())
	raw, err = wire.Encode(nil)
	require.NoError(t, err)
	require.Equal(t, "null", raw.String())

	text := []byte(`[1]`)
	raw, err = wire.ParseRaw(text)
	require.NoError(t, err)
	text[1] = '2'
	require.Equal(t, `[1]`, raw.String(), "a Raw is a copy")
}

func TestDecodeReply(t *testing.T) {
	for frame, want := range map[string]wire.Reply{
		`{"result":0}`: {},
		` { "arguments": {  }, "result": 3, "text": "\u00c3\u00a9" } `: {Code: 3, Text: "Ã©", Arguments: value("{  }")},
		`{"result":-7,"id":"x","more":true}`:                           {Code: -7, ID: wire.StringID("x"), More: true},
		`{"result":0,"more":false,"arguments":null}`:                   {Arguments: value("null")},
		`{"result":0,"more":1,"text":null,"id":{},"new":[1]}`:          {},
		`{"r\u0065sult":2}`: {Code: 2},
	} {
		got, err := wire.DecodeReply([]byte(frame))
		require.NoError(t, err, frame)
		require.Equal(t, want, got, frame)
	}
	for frame, text := range map[string]string{
		``:                                "the reply is no JSON: unexpected end of the message in <wire>:0:0",
		`{"result":0,"result":0}`:         "the reply is no JSON: duplicate key 'result' in <wire>:0:13",
		`{"text":"a"}`:                    "the reply has no integer 'result'",
		`{"result":"0"}`:                  "the reply has no integer 'result'",
		`{"result":0.0}`:                  "the reply has no integer 'result'",
		`{"result":null}`:                 "the reply has no integer 'result'",
		`{"result":18446744073709551616}`: "the reply has no integer 'result'",
		`[{"result":0}]`:                  "the reply has no integer 'result'",
		`null`:                            "the reply has no integer 'result'",
	} {
		_, err := wire.DecodeReply([]byte(frame))
		require.EqualError(t, err, text, frame)
	}
}

// DecodeReply reads the output of AppendReply.
func TestDecodeReplyReadsAppendReply(t *testing.T) {
	for _, test := range goodArguments {
		want := wire.Reply{ID: wire.StringID("x"), Code: wire.CodeEmpty, Text: "a\u2028", Arguments: test.v, More: true}
		frame, err := wire.AppendReply(nil, want)
		require.NoError(t, err)
		want.Arguments = value(test.want)
		got, err := wire.DecodeReply(frame)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// TestFailedReplyHasNoArguments: its arguments become the data of its error, and DecodeReply returns them there.
func TestFailedReplyHasNoArguments(t *testing.T) {
	for _, test := range goodArguments {
		failed := wire.Reply{Code: wire.CodeConflict, Text: "a", Arguments: test.v}
		got, err := wire.AppendReply([]byte("dst"), failed)
		if strings.HasPrefix(test.want, nest("[", 97, "", "")) || strings.HasPrefix(test.want, nest(`{"a":`, 97, "", "")) {
			require.ErrorContains(t, err, "the error's data is nested more than 96 levels deep")
			require.Equal(t, "dst", string(got))
			continue
		}
		require.NoError(t, err, test.want)
		require.Equal(t, `dst{"result":4,"text":"a","error":{"code":"conflict","data":`+test.want+`}}`, string(got))
		requireReadable(t, got[3:])
		again, err := wire.AppendReply(nil, wire.Failure(failed.Err()))
		require.NoError(t, err)
		require.Equal(t, string(got[3:]), string(again))

		reply, err := wire.DecodeReply(got[3:])
		require.NoError(t, err)
		require.Nil(t, reply.Arguments)
		require.Equal(t, &wire.Error{Code: 4, Word: "conflict", Text: "a", Data: value(test.want)}, reply.Err())
	}
	both := wire.Reply{Code: 5, Text: "a", Arguments: 1, Error: &wire.Error{Code: 7, Word: "b", Text: "c", Data: 2}}
	got, err := wire.AppendReply(nil, both)
	require.NoError(t, err)
	require.Equal(t, `{"result":5,"text":"a","error":{"code":"b","data":2}}`, string(got))
	require.Equal(t, &wire.Error{Code: 5, Word: "b", Text: "a", Data: 2}, both.Err())
}

// TestSuccessHasNoError: results 0 and 3 are no failures.
func TestSuccessHasNoError(t *testing.T) {
	for _, code := range []wire.Code{wire.CodeSuccess, wire.CodeEmpty} {
		reply := wire.Reply{Code: code, Arguments: 1, Error: &wire.Error{Word: "left-over"}}
		require.NoError(t, reply.Err())
		got, err := wire.AppendReply(nil, reply)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf(`{"result":%d,"arguments":1}`, code), string(got))
		reply, err = wire.DecodeReply(fmt.Appendf(nil, `{"result":%d,"error":{"code":"a"}}`, code))
		require.NoError(t, err)
		require.Equal(t, wire.Reply{Code: code}, reply)
	}
	require.Equal(t, wire.Reply{Code: 3, Text: "none"}, wire.Failure(wire.Errorf(wire.CodeEmpty, "", "none")))
	require.Equal(t, wire.Reply{Code: 3, Text: "none", Arguments: 1}, wire.Failure(&wire.Error{Code: 3, Text: "none", Data: 1}))
}

func TestErrorMarshalsAsTheMemberError(t *testing.T) {
	for want, e := range map[string]*wire.Error{
		`{"code":"conflict"}`: {Code: 4, Text: "a", Data: wire.Value(nil)},
		`{"code":"in-use","fields":[{"pointer":"/a","text":"b"}],"data":[1e999]}`: {
			Code: 4, Word: "in-use", Fields: []wire.Field{{Pointer: "/a", Text: "b"}}, Data: value(` [ 1e999 ] `)},
	} {
		got, err := e.MarshalJSON()
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	_, err := (&wire.Error{Data: make(chan int)}).MarshalJSON()
	require.Error(t, err)
}

func TestReplyDecode(t *testing.T) {
	reply, err := wire.DecodeReply([]byte(`{"result":0,"arguments":{"x":7,"newer":1}}`))
	require.NoError(t, err)
	var p point
	require.NoError(t, reply.Decode(&p))
	require.Equal(t, point{X: 7}, p)
	var s string
	require.Error(t, reply.Decode(&s))
	require.EqualError(t, wire.Reply{}.Decode(&p), "the reply has no arguments")
}

// A failure is the same after encoding and decoding.
func TestFailureIsDecodedWhole(t *testing.T) {
	full := &wire.Error{Code: 4, Word: "in-use", Text: "it is in use", Fields: []wire.Field{{Pointer: "/a", Text: "this one"}}}
	for _, test := range []struct {
		err   error
		frame string
		want  *wire.Error
	}{
		{full, `{"result":4,"text":"it is in use","error":{"code":"in-use","fields":[{"pointer":"/a","text":"this one"}]}}`, full},
		{fmt.Errorf("wrapped: %w", full), `{"result":4,"text":"it is in use","error":{"code":"in-use","fields":[{"pointer":"/a","text":"this one"}]}}`, full},
		{errors.New("boom"), `{"result":1,"text":"boom","error":{"code":"failed"}}`, &wire.Error{Code: 1, Word: "failed", Text: "boom"}},
		{errors.New(""), `{"result":1,"text":"failed","error":{"code":"failed"}}`, &wire.Error{Code: 1, Word: "failed", Text: "failed"}},
		{errors.New("a\xffb"), `{"result":1,"text":"a` + "\ufffd" + `b","error":{"code":"failed"}}`, &wire.Error{Code: 1, Word: "failed", Text: "a\ufffdb"}},
		{&wire.Error{Code: 1234}, `{"result":1234,"text":"result-1234","error":{"code":"result-1234"}}`, &wire.Error{Code: 1234, Word: "result-1234", Text: "result-1234"}},
		{&wire.Error{Code: 1, Fields: []wire.Field{{Text: "a\xff\"b"}, {Pointer: "/c"}}, Data: value(`{"a":["\u20ac"]}`)},
			`{"result":1,"text":"failed","error":{"code":"failed","fields":[{"pointer":"","text":"a` + "\ufffd" + `\"b"},{"pointer":"/c","text":""}],"data":{"a":["€"]}}}`,
			&wire.Error{Code: 1, Word: "failed", Text: "failed", Fields: []wire.Field{{Text: "a\ufffd\"b"}, {Pointer: "/c"}}, Data: value(`{"a":["€"]}`)}},
		{&wire.Error{Code: 1, Data: value("null")}, `{"result":1,"text":"failed","error":{"code":"failed","data":null}}`, &wire.Error{Code: 1, Word: "failed", Text: "failed", Data: value("null")}},
		{&wire.Error{Code: 1, Data: wire.Value(nil)}, `{"result":1,"text":"failed","error":{"code":"failed"}}`, &wire.Error{Code: 1, Word: "failed", Text: "failed"}},
		{&wire.Error{Text: "a code was forgotten"}, `{"result":1,"text":"a code was forgotten","error":{"code":"failed"}}`, &wire.Error{Code: 1, Word: "failed", Text: "a code was forgotten"}},
	} {
		frame, err := wire.AppendReply(nil, wire.Failure(test.err))
		require.NoError(t, err)
		require.Equal(t, test.frame, string(frame))
		requireReadable(t, frame)
		reply, err := wire.DecodeReply(frame)
		require.NoError(t, err)
		require.Equal(t, test.want, reply.Err())
	}
	require.Equal(t, wire.Code(4), full.Code)
}

func TestReplyErr(t *testing.T) {
	require.NoError(t, wire.Reply{Text: "done"}.Err())
	require.NoError(t, wire.Reply{Code: wire.CodeEmpty, Text: "nothing found"}.Err())
	require.Equal(t, &wire.Error{Code: 2, Text: "no"}, wire.Reply{Code: 2, Text: "no"}.Err())
	require.Equal(t, &wire.Error{Code: 2, Text: "no", Data: value(`[1]`)}, wire.Reply{Code: 2, Text: "no", Arguments: value(`[1]`)}.Err())
	for frame, want := range map[string]*wire.Error{
		`{"result":2,"text":"no","arguments":{"a":1}}`:                            {Code: 2, Text: "no", Data: value(`{"a":1}`)}, // Kea's
		`{"result":2,"text":"no","error":{"code":"a","newer":1}}`:                 {Code: 2, Text: "no", Word: "a"},
		`{"result":2,"text":"no","error":{"code":"a","data":null}}`:               {Code: 2, Text: "no", Word: "a", Data: value("null")},
		`{"result":2,"text":"no","error":{"code":"a","data":1},"arguments":[2]}`:  {Code: 2, Text: "no", Word: "a", Data: value("1")},
		`{"result":2,"text":"no","error":"a"}`:                                    {Code: 2, Text: "no"},
		`{"result":2,"text":"no","error":{"code":7}}`:                             {Code: 2, Text: "no"},
		`{"result":2,"error":null}`:                                               {Code: 2},
		`{"error":{"code":"in-use","fields":[{"pointer":"/a"}]}, "result": 1234}`: {Code: 1234, Word: "in-use", Fields: []wire.Field{{Pointer: "/a"}}},
	} {
		reply, err := wire.DecodeReply([]byte(frame))
		require.NoError(t, err, frame)
		require.Equal(t, want, reply.Err(), frame)
	}
}

func compact(t *testing.T, v wire.Value) wire.Value {
	t.Helper()
	b, err := wire.AppendRequest(nil, wire.Request{Arguments: v})
	require.NoError(t, err)
	r, bad := wire.DecodeRequest(b)
	require.Nil(t, bad)
	return r.Arguments
}
