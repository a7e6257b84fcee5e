package wire_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/wire"
)

// Requests that DecodeRequest accepts.
var goodRequests = []struct {
	name  string
	frame string
	want  wire.Request
}{
	{"least", `{"command":"a"}`, wire.Request{Command: "a"}},
	{"empty command", `{"command":""}`, wire.Request{}},
	{"white space", "\t\r\n { \"command\"\n:\r\"a\"\t, \"arguments\" : {  } } \n\n", wire.Request{Command: "a", Arguments: value(`{  }`)}},
	{"any text is a command", `{"command":"a/b c\n\u0000€😀"}`, wire.Request{Command: "a/b c\n\x00€😀"}},
	{"escaped command", `{"command":"\u0061\"\\\/\b\f\n\r\t\u20AC\ud83d\uDE00"}`, wire.Request{Command: "a\"\\/\b\f\n\r\t€😀"}},
	{"noncharacter", `{"command":"\uffff￾"}`, wire.Request{Command: "\uffff\ufffe"}},
	{"replacement character", `{"command":"\ufffd�"}`, wire.Request{Command: "\ufffd\ufffd"}},
	{"DEL", "{\"command\":\"\x7f\"}", wire.Request{Command: "\x7f"}},
	{"escaped key", `{"comm\u0061nd":"a","\u0069\u0064":7}`, wire.Request{Command: "a", ID: wire.IntID(7)}},
	{"any order", `{"id":7,"timeout":1,"arguments":[],"command":"a"}`, wire.Request{Command: "a", Arguments: value(`[]`), ID: wire.IntID(7), Timeout: time.Second}},

	{"arguments null", `{"command":"a","arguments":null}`, wire.Request{Command: "a", Arguments: value(`null`)}},
	{"arguments a number", `{"command":"a","arguments": -1.50e+3 }`, wire.Request{Command: "a", Arguments: value(`-1.50e+3`)}},
	{"arguments a string", `{"command":"a","arguments":"\u20ac"}`, wire.Request{Command: "a", Arguments: value(`"\u20ac"`)}},
	{"arguments false", `{"command":"a","arguments":false}`, wire.Request{Command: "a", Arguments: value(`false`)}},
	{"arguments true", `{"command":"a","arguments":true}`, wire.Request{Command: "a", Arguments: value(`true`)}},
	{"our keys deeper", `{"command":"a","arguments":{"command":1,"id":2,"arguments":{"id":3}}}`, wire.Request{Command: "a", Arguments: value(`{"command":1,"id":2,"arguments":{"id":3}}`)}},
	{"number beyond 64 bits", `{"command":"a","arguments":123456789012345678901234567890}`, wire.Request{Command: "a", Arguments: value(`123456789012345678901234567890`)}},
	{"number beyond a double", `{"command":"a","arguments":1e999}`, wire.Request{Command: "a", Arguments: value(`1e999`)}},

	{"id 0", `{"command":"a","id":0}`, wire.Request{Command: "a", ID: wire.IntID(0)}},
	{"id -0", `{"command":"a","id":-0}`, wire.Request{Command: "a", ID: wire.IntID(0)}},
	{"id 2^53", `{"command":"a","id":9007199254740992}`, wire.Request{Command: "a", ID: wire.IntID(1 << 53)}},
	{"id -2^53", `{"command":"a","id":-9007199254740992}`, wire.Request{Command: "a", ID: wire.IntID(-1 << 53)}},
	{"id empty", `{"command":"a","id":""}`, wire.Request{Command: "a", ID: wire.StringID("")}},
	{"id text", `{"command":"a","id":"7"}`, wire.Request{Command: "a", ID: wire.StringID("7")}},
	{"id escaped", `{"command":"a","id":"\u0037\n"}`, wire.Request{Command: "a", ID: wire.StringID("7\n")}},
	{"id of 128 bytes", `{"command":"a","id":"` + strings.Repeat("é", 64) + `"}`, wire.Request{Command: "a", ID: wire.StringID(strings.Repeat("é", 64))}},
	{"id of 128 bytes, escaped", `{"command":"a","id":"` + strings.Repeat(`\u0061`, 128) + `"}`, wire.Request{Command: "a", ID: wire.StringID(strings.Repeat("a", 128))}},

	{"timeout", `{"command":"a","timeout":2}`, wire.Request{Command: "a", Timeout: 2 * time.Second}},
	{"timeout a fraction", `{"command":"a","timeout":0.25}`, wire.Request{Command: "a", Timeout: time.Second / 4}},
	{"timeout with an exponent", `{"command":"a","timeout":1.5E+1}`, wire.Request{Command: "a", Timeout: 15 * time.Second}},
	{"timeout of a leap year", `{"command":"a","timeout":31622400}`, wire.Request{Command: "a", Timeout: 366 * 24 * time.Hour}},
	{"timeout below a nanosecond", `{"command":"a","timeout":1e-10}`, wire.Request{Command: "a", Timeout: 1}},
	{"timeout just above nothing", `{"command":"a","timeout":5e-324}`, wire.Request{Command: "a", Timeout: 1}},

	{"service", `{"command":"a","service":["dhcp4","d\u00322"]}`, wire.Request{Command: "a", Service: []string{"dhcp4", "d22"}}},
	{"service empty", `{"command":"a","service":[]}`, wire.Request{Command: "a", Service: []string{}}},
	{"service null", `{"command":"a","service":null}`, wire.Request{Command: "a"}},
	{"service a number", `{"command":"a","service":7}`, wire.Request{Command: "a"}},
	{"service a map", `{"command":"a","service":{"x":1}}`, wire.Request{Command: "a"}},
	{"service a string", `{"command":"a","service":"dhcp4"}`, wire.Request{Command: "a"}},
	{"remote-address is dropped", `{"command":"a","remote-address":"127.0.0.1"}`, wire.Request{Command: "a"}},
	{"remote-address a number", `{"command":"a","remote-address":7}`, wire.Request{Command: "a"}},
}

func TestDecodeRequest(t *testing.T) {
	for _, test := range goodRequests {
		t.Run(test.name, func(t *testing.T) {
			got, bad := wire.DecodeRequest([]byte(test.frame))
			require.Nil(t, bad)
			require.Equal(t, test.want, got)
		})
	}
}

// Well-formed messages that are no request, in Kea's order of checks: map, command present, the first
// bad key in byte order, the type of command; then the checks that Kea does not have.
var badRequests = []struct {
	name    string
	frame   string
	text    string // behind "Error during command processing: invalid command: "
	id      wire.ID
	pointer string
}{
	{name: "list", frame: `[{"command":"a","id":7}]`, text: "expected toplevel entry to be a map, got list instead"},
	{name: "empty list", frame: ` [ ] `, text: "expected toplevel entry to be a map, got list instead"},
	{name: "string", frame: `"command"`, text: "expected toplevel entry to be a map, got string instead"},
	{name: "integer", frame: `7 `, text: "expected toplevel entry to be a map, got integer instead"},
	{name: "real", frame: ` 7e1`, text: "expected toplevel entry to be a map, got real instead"},
	{name: "boolean", frame: `false`, text: "expected toplevel entry to be a map, got boolean instead"},
	{name: "null", frame: `null`, text: "expected toplevel entry to be a map, got null instead"},

	{name: "empty map", frame: `{}`, text: "does not contain mandatory 'command'"},
	{name: "no command", frame: `{"arguments":{},"id":7}`, text: "does not contain mandatory 'command'", id: wire.IntID(7)},
	{name: "no command before a bad key", frame: `{"zid":7}`, text: "does not contain mandatory 'command'"},
	{name: "no command before a bad id", frame: `{"id":null}`, text: "does not contain mandatory 'command'"},
	{name: "a key in capitals is another", frame: `{"COMMAND":"a"}`, text: "does not contain mandatory 'command'"},
	{name: "a key with a blank is another", frame: `{"command ":"a"}`, text: "does not contain mandatory 'command'"},

	{name: "bad key", frame: `{"command":"a","zid":7,"id":"x"}`, text: "unsupported parameter 'zid'", id: wire.StringID("x"), pointer: "/zid"},
	{name: "first bad key in byte order", frame: `{"zz":1,"command":"a","é":1,"z":1,"zzz":1}`, text: "unsupported parameter 'z'", pointer: "/z"},
	{name: "capitals come first", frame: `{"a":1,"command":"a","Z":1}`, text: "unsupported parameter 'Z'", pointer: "/Z"},
	{name: "escaped keys are in order too", frame: `{"b":1,"\u0061":1,"command":"a"}`, text: "unsupported parameter 'a'", pointer: "/a"},
	{name: "empty key", frame: `{"":1,"command":"a"}`, text: "unsupported parameter ''", pointer: "/"},
	{name: "pointer is escaped", frame: `{"~/":1,"command":"a"}`, text: "unsupported parameter '~/'", pointer: "/~0~1"},
	{name: "bad key before a bad command", frame: `{"command":7,"zid":7}`, text: "unsupported parameter 'zid'", pointer: "/zid"},
	{name: "bad key before a bad id", frame: `{"command":"a","id":{},"zid":7}`, text: "unsupported parameter 'zid'", pointer: "/zid"},
	{name: "a long key is cut", frame: `{"command":"a","` + strings.Repeat("k", 129) + `":7}`, text: "unsupported parameter '" + strings.Repeat("k", 128) + "…'", pointer: "/" + strings.Repeat("k", 129)},
	{name: "a long key is cut between characters", frame: `{"command":"a","k` + strings.Repeat("é", 64) + `":7}`, text: "unsupported parameter 'k" + strings.Repeat("é", 63) + "…'", pointer: "/k" + strings.Repeat("é", 64)},

	{name: "command an integer", frame: `{"command":7,"id":8}`, text: "expected 'command' to be a string, got integer instead", id: wire.IntID(8), pointer: "/command"},
	{name: "command a real", frame: `{"command":7.0}`, text: "expected 'command' to be a string, got real instead", pointer: "/command"},
	{name: "command a list", frame: `{"command":["a"]}`, text: "expected 'command' to be a string, got list instead", pointer: "/command"},
	{name: "command a map", frame: `{"command":{}}`, text: "expected 'command' to be a string, got map instead", pointer: "/command"},
	{name: "command null", frame: `{"command":null}`, text: "expected 'command' to be a string, got null instead", pointer: "/command"},
	{name: "command true", frame: `{"command":true}`, text: "expected 'command' to be a string, got boolean instead", pointer: "/command"},
	{name: "bad command before a bad id", frame: `{"command":true,"id":true}`, text: "expected 'command' to be a string, got boolean instead", pointer: "/command"},

	{name: "id null", frame: `{"command":"a","id":null}`, text: badID + "null", pointer: "/id"},
	{name: "id true", frame: `{"command":"a","id":true}`, text: badID + "true", pointer: "/id"},
	{name: "id a list", frame: `{"command":"a","id":[1]}`, text: badID + "[1]", pointer: "/id"},
	{name: "id a map", frame: `{"command":"a","id":{}}`, text: badID + "{}", pointer: "/id"},
	{name: "id a real", frame: `{"command":"a","id":7.0}`, text: badID + "7.0", pointer: "/id"},
	{name: "id with an exponent", frame: `{"command":"a","id":7e0}`, text: badID + "7e0", pointer: "/id"},
	{name: "id 2^53+1", frame: `{"command":"a","id":9007199254740993}`, text: badID + "9007199254740993", pointer: "/id"},
	{name: "id -2^53-1", frame: `{"command":"a","id":-9007199254740993}`, text: badID + "-9007199254740993", pointer: "/id"},
	{name: "id beyond 64 bits", frame: `{"command":"a","id":18446744073709551617}`, text: badID + "18446744073709551617", pointer: "/id"},
	{name: "id of 129 bytes", frame: `{"command":"a","id":"` + strings.Repeat("i", 129) + `"}`, text: badID + `"` + strings.Repeat("i", 127) + "…", pointer: "/id"},
	{name: "bad id before a bad timeout", frame: `{"command":"a","timeout":0,"id":null}`, text: badID + "null", pointer: "/id"},

	{name: "timeout 0", frame: `{"command":"a","timeout":0,"id":7}`, text: badTimeout + "0", id: wire.IntID(7), pointer: "/timeout"},
	{name: "timeout -0.0", frame: `{"command":"a","timeout":-0.0}`, text: badTimeout + "-0.0", pointer: "/timeout"},
	{name: "timeout negative", frame: `{"command":"a","timeout":-1}`, text: badTimeout + "-1", pointer: "/timeout"},
	{name: "timeout that is no number at all", frame: `{"command":"a","timeout":1e-999}`, text: badTimeout + "1e-999", pointer: "/timeout"},
	{name: "timeout too long", frame: `{"command":"a","timeout":31622401}`, text: badTimeout + "31622401", pointer: "/timeout"},
	{name: "timeout huge", frame: `{"command":"a","timeout":1e999}`, text: badTimeout + "1e999", pointer: "/timeout"},
	{name: "timeout a string", frame: `{"command":"a","timeout":"5"}`, text: badTimeout + `"5"`, pointer: "/timeout"},
	{name: "timeout infinite", frame: `{"command":"a","timeout":"Inf"}`, text: badTimeout + `"Inf"`, pointer: "/timeout"},
	{name: "timeout null", frame: `{"command":"a","timeout":null}`, text: badTimeout + "null", pointer: "/timeout"},
	{name: "timeout a list", frame: `{"command":"a","timeout":[5]}`, text: badTimeout + "[5]", pointer: "/timeout"},
}

const (
	badID      = "expected 'id' to be a string of at most 128 bytes or an integer within ±2^53, got "
	badTimeout = "expected 'timeout' to be a number of seconds above 0 and at most 31622400, got "
)

func TestDecodeRequestRefuses(t *testing.T) {
	for _, test := range badRequests {
		t.Run(test.name, func(t *testing.T) {
			r, bad := wire.DecodeRequest([]byte(test.frame))
			require.NotNil(t, bad)
			require.Equal(t, "Error during command processing: invalid command: "+test.text, bad.Text)
			require.Equal(t, wire.CodeError, bad.Code)
			require.Equal(t, "bad-request", bad.Word)
			require.Equal(t, test.id, r.ID)
			if test.pointer == "" {
				require.Empty(t, bad.Fields)
			} else {
				require.Equal(t, []wire.Field{{Pointer: test.pointer, Text: bad.Text}}, bad.Fields)
			}
		})
	}
}

// brokenIDs are no JSON values. Most begin with a value.
var brokenIDs = []string{
	`0x1`, ` 0x1`, `1x`, `7 8`, `7;`, `7:8`, `7]`, `7é`, `7"x"`, `"x"y`, `"x" 7`, `"x""y"`, `"a`, `01`, `1.`, `1_0`, `+1`, `-`, `--1`, `1e`, `{`, `{"id":1`,
	`[1}`, `{}1`, `tru`, `nulll`, `true1`, ``, `NaN`, `"\ud800"`, `"\x41"`, "\"\xff\"", "\"\n\"", "7\x00", "7\v", "７",
}

// TestBrokenIDCountsAsNone, at each place in the request, on the fast and on the slow path.
func TestBrokenIDCountsAsNone(t *testing.T) {
	for _, id := range brokenIDs {
		for _, frame := range []string{
			`{"command":"a","id":` + id + `}`, `{"command": "a", "id": ` + id + `}`, `{"id":` + id + `,"command":"a"}`, `{"command":"a","id":` + id + ` }`,
			`{"c\u006fmmand":"a","id":` + id + `}`, `{"command":"a","arguments":{"a":1},"id":` + id + `,"timeout":1}`,
		} {
			r, bad := wire.DecodeRequest([]byte(frame))
			require.NotNil(t, bad, frame)
			require.Equal(t, wire.Request{}, r, frame)
		}
	}
}

// An id before the defect of the message is the id of the error.
func TestBadMessageKeepsItsID(t *testing.T) {
	for frame, id := range map[string]wire.ID{
		`{"id":7,"command":"a"`:       wire.IntID(7),
		`{"id":"x"}}`:                 wire.StringID("x"),
		`{"\u0069d":7,}`:              wire.IntID(7),
		`{"id":7,"id":8}`:             {}, // two are as bad as none
		`{"id":7,"\u0069d":7}`:        {},
		`{"id":7,"a":1,"a":2}`:        wire.IntID(7),
		`{"id":7.5,"command":}`:       {},
		`{"id":null,"command":}`:      {},
		`{"command":,"id":7}`:         {},
		`{"id":7`:                     {}, // there may have been more digits
		`{"id":7 `:                    {},
		`{"id":"x"`:                   {},
		`{"id":7,`:                    wire.IntID(7),
		`{"id":7 , @`:                 wire.IntID(7),
		`{"id":7}}`:                   wire.IntID(7),
		`{"command":"a","id":1e999,}`: {},
		`{"command":"a","id":1,}`:     wire.IntID(1),
		`{"command":"a","id"}`:        {},
		`{"arguments":{"id":7},"a`:    {},
		`[{"id":7},`:                  {},
		`{"id":"x`:                    {},
		"{\"id\":\"\xff\",\"a\":1}":   {},
	} {
		r, bad := wire.DecodeRequest([]byte(frame))
		require.NotNil(t, bad, frame)
		require.NotEqual(t, "bad-request", bad.Word, frame)
		require.Equal(t, wire.Request{ID: id}, r, frame)
	}
}

// Every truncation of a request is an error that says where the message ends, and never a panic.
func TestTruncatedRequestIsAnErrorWithItsEnd(t *testing.T) {
	const whole = ` {"command":"a\u20ac\ud83d\ude00é€😀","arguments":{"a":[true,false,null,-1.5e+3,"x",{}],"b":[]},"id":"7","timeout":1.5,"service":["x"]}`
	_, bad := wire.DecodeRequest([]byte(whole))
	require.Nil(t, bad)
	for n := range len(whole) {
		_, bad := wire.DecodeRequest([]byte(whole)[:n:n])
		require.NotNil(t, bad, whole[:n])
		require.NotEqual(t, "bad-request", bad.Word, whole[:n])
		require.False(t, wire.Value(whole[:n]).Valid(), whole[:n])
	}
}

// An append to the arguments does not overwrite the bytes of the frame behind them.
func TestArgumentsHaveNoRoomForAppend(t *testing.T) {
	frame := []byte(`{"command":"a","arguments":{},"id":7}`)
	r, bad := wire.DecodeRequest(frame)
	require.Nil(t, bad)
	_ = append(r.Arguments, "!!!"...)
	require.Equal(t, `{"command":"a","arguments":{},"id":7}`, string(frame))
}

func TestAppendRequest(t *testing.T) {
	for _, test := range []struct {
		want string
		r    wire.Request
	}{
		{`{"command":""}`, wire.Request{}},
		{`{"command":"a\"€\n"}`, wire.Request{Command: "a\"€\n"}},
		{`{"command":"a","arguments":null}`, wire.Request{Command: "a", Arguments: value(`null`)}},
		{`{"command":"a","service":["x","y"]}`, wire.Request{Command: "a", Service: []string{"x", "y"}}},
		{`{"command":"a","timeout":0.000000001}`, wire.Request{Command: "a", Timeout: 1}},
		{`{"command":"a","timeout":90}`, wire.Request{Command: "a", Timeout: 90 * time.Second}},
		{`{"command":"a","id":-7}`, wire.Request{Command: "a", ID: wire.IntID(-7)}},
		{`{"command":"a","id":"\"7\""}`, wire.Request{Command: "a", ID: wire.StringID(`"7"`)}},
		// compact, and nothing that Kea's parser cannot read where it can be said otherwise
		{`{"command":"a","arguments":{"€":["😀\u0001é",1]}}`, wire.Request{Command: "a", Arguments: value("\n{ \"\\u20ac\" :\t[ \"\\ud83d\\ude00\\u0001\\u00e9\", 1 ] }\r\n")}},
		// numbers are as they were
		{`{"command":"a","arguments":[123456789012345678901234567890,1E999]}`, wire.Request{Command: "a", Arguments: value(`[123456789012345678901234567890, 1E999]`)}},
		{`{"command":"a","arguments":` + nest("[", 99, "", "]") + `}`, wire.Request{Command: "a", Arguments: value(nest("[", 99, "", "]"))}},
	} {
		got, err := wire.AppendRequest([]byte("dst"), test.r)
		require.NoError(t, err)
		require.Equal(t, "dst"+test.want, string(got))
	}
}

func TestAppendRequestRefuses(t *testing.T) {
	for _, arguments := range []string{"", " ", "{", `{"a":1,"a":2}`, "1 2", "\xff", `"\ud800"`, nest("[", 100, "", "]"), nest("[", 99, "1", "]")} {
		dst, err := wire.AppendRequest([]byte("dst"), wire.Request{Command: "a", Arguments: wire.Value(arguments)})
		require.Error(t, err, arguments)
		require.Equal(t, "dst", string(dst), arguments)
	}
}

// DecodeRequest reads the output of AppendRequest.
func TestDecodeRequestReadsAppendRequest(t *testing.T) {
	for _, test := range goodRequests {
		if test.want.Arguments != nil {
			test.want.Arguments = compact(t, test.want.Arguments)
		}
		if len(test.want.Service) == 0 {
			test.want.Service = nil
		}
		frame, err := wire.AppendRequest(nil, test.want)
		require.NoError(t, err, test.name)
		got, bad := wire.DecodeRequest(frame)
		require.Nil(t, bad, test.name)
		require.Equal(t, test.want, got, test.name)
	}
}

// A timeout of up to some days keeps its nanoseconds.
func TestTimeoutKeepsItsNanoseconds(t *testing.T) {
	for _, step := range []time.Duration{1, time.Microsecond + 1, time.Millisecond + 3, time.Minute + 7} {
		for i := range time.Duration(3000) {
			want := (i + 1) * step
			frame, err := wire.AppendRequest(nil, wire.Request{Timeout: want})
			require.NoError(t, err)
			got, bad := wire.DecodeRequest(frame)
			require.Nil(t, bad)
			require.Equal(t, want, got.Timeout)
		}
	}
}

func value(text string) wire.Value { return wire.Value(text) }
