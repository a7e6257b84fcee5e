package mgr_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// everything has a field of every kind.
type everything struct {
	Bool    bool                      `json:"bool"`
	Int8    int8                      `json:"int8,omitzero" doc:"A small number."`
	Int     int                       `json:"int,omitzero"`
	Uint16  uint16                    `json:"uint16,omitzero"`
	Float   float64                   `json:"float,omitzero" schema:"min=-1.5,max=1e3"`
	Text    string                    `json:"text,omitzero" schema:"minlen=2,maxlen=4"`
	Pattern string                    `json:"pattern,omitzero" schema:"example=ab,pattern=^[a-z]{1,3}$"`
	Enum    string                    `json:"enum,omitzero" schema:"enum=on|off"`
	Level   int                       `json:"level,omitzero" schema:"enum=1|2|4"`
	Pointer *int                      `json:"pointer"`
	List    []string                  `json:"list,omitzero" schema:"maxlen=2"`
	Nested  []inner                   `json:"nested,omitzero"`
	Map     map[string]uint8          `json:"map,omitzero"`
	Deep    map[string]map[int]*inner `json:"deep,omitzero"`
	Bytes   []byte                    `json:"bytes,omitzero"`
	Pair    [2]int                    `json:"pair,omitzero"`
	Any     any                       `json:"any,omitzero"`
	Value   wire.Value                `json:"value,omitzero"`
	Time    time.Time                 `json:"time,omitzero"`
	Addr    netip.Addr                `json:"addr,omitzero" schema:"format=ipv4"`
	Embedded
	Hidden  string `json:"-"`
	private string //nolint:unused // not a member
}

type inner struct {
	Name string `json:"name"`
	Odd  int    `json:"a/b~c,omitzero"`
}

// Embedded adds its members to the type that embeds it.
type Embedded struct {
	From int `json:"from,omitzero" schema:"min=1"`
}

// An argumentsCase has arguments, and all problems that the reply must name.
type argumentsCase struct {
	arguments string
	wrong     []string // pointer and text
}

var argumentsCases = []argumentsCase{
	{`{"bool":true}`, nil},
	{`{"bool":false,"int8":-128,"int":9223372036854775807,"uint16":65535,"float":1e3,"text":"äöüß","pattern":"abc","enum":"off","level":4}`, nil},
	{`{"bool":true,"pointer":null,"list":[],"nested":[{"name":"x","a/b~c":1}],"map":{"":255},"deep":{"x":{"1":{"name":"y"},"2":null}}}`, nil},
	{`{"bool":true,"bytes":"AAEC","pair":[1,2],"any":{"x":[1]},"value":[1, 2],"time":"2026-01-02T03:04:05Z","addr":"192.0.2.1","from":1}`, nil},
	{`{"bool":true,"any":null,"value":null}`, nil},

	{`{}`, []string{"/bool: Missing mandatory 'bool' parameter."}},
	{`{"bool":1,"int8":"1","text":7,"list":{},"nested":[],"map":[],"any":0}`, []string{
		"/bool: 'bool' parameter expected to be a boolean.",
		"/int8: 'int8' parameter expected to be an integer.",
		"/list: 'list' parameter expected to be a list.",
		"/map: 'map' parameter expected to be a map.",
		"/text: 'text' parameter expected to be a string.",
	}},
	{`{"bool":true,"Bool":true,"hidden":"x","Hidden":"x","private":"y"}`, []string{
		"/Bool: Unsupported 'Bool' parameter.",
		"/Hidden: Unsupported 'Hidden' parameter.",
		"/hidden: Unsupported 'hidden' parameter.",
		"/private: Unsupported 'private' parameter.",
	}},
	{`{"bool":true,"nested":[{"name":"x"},{"name":1,"a/b~c":[]},{}]}`, []string{
		"/nested/1/a~1b~0c: 'nested/1/a~1b~0c' parameter expected to be an integer.",
		"/nested/1/name: 'nested/1/name' parameter expected to be a string.",
		"/nested/2/name: Missing mandatory 'nested/2/name' parameter.",
	}},
	{`{"bool":true,"deep":{"x":{"1":{"nome":"y"}}},"map":{"a":"b"}}`, []string{
		"/deep/x/1/name: Missing mandatory 'deep/x/1/name' parameter.",
		"/deep/x/1/nome: Unsupported 'deep/x/1/nome' parameter.",
		"/map/a: 'map/a' parameter expected to be an integer.",
	}},
	{`{"bool":true,"float":-2,"text":"x","pattern":"ABC","enum":"maybe","level":3,"list":["a","b","c"],"from":0}`, []string{
		"/enum: 'enum' parameter must be one of 'on', 'off'.",
		"/float: 'float' parameter must be at least -1.5.",
		"/from: 'from' parameter must be at least 1.",
		"/level: 'level' parameter must be one of '1', '2', '4'.",
		"/list: 'list' parameter must have at most 2 elements.",
		"/pattern: 'pattern' parameter must match ^[a-z]{1,3}$.",
		"/text: 'text' parameter must have at least 2 characters.",
	}},
	{`{"bool":true,"uint16":-1,"float":1000.5,"text":"äöüßx"}`, []string{
		"/float: 'float' parameter must be at most 1000.",
		"/text: 'text' parameter must have at most 4 characters.",
		"/uint16: 'uint16' parameter must be at least 0.",
	}},
	{`{"bool":null,"int":null,"list":null,"addr":null}`, []string{
		"/addr: 'addr' parameter expected to be a string.",
		"/bool: 'bool' parameter expected to be a boolean.",
		"/int: 'int' parameter expected to be an integer.",
		"/list: 'list' parameter expected to be a list.",
	}},

	// Problems that only the decoding finds are reported one at a time.
	{`{"bool":true,"int8":128}`, []string{"/int8: 'int8' parameter: 128 does not fit into 8 bits"}},
	{`{"bool":true,"uint16":65536}`, []string{"/uint16: 'uint16' parameter: 65536 does not fit into 16 bits without a sign"}},
	{`{"bool":true,"int":9223372036854775808}`, []string{"/int: 'int' parameter: 9223372036854775808 does not fit into 64 bits"}},
	{`{"bool":true,"map":{"a":256}}`, []string{"/map/a: 'map/a' parameter: 256 does not fit into 8 bits without a sign"}},
	{`{"bool":true,"int":1e400}`, []string{"/int: 'int' parameter expected to be an integer."}},
	{`{"bool":true,"text":1e400}`, []string{"/text: 'text' parameter expected to be a string."}},
	{`{"bool":true,"any":1e400}`, []string{"/any: 'any' parameter: 1e400 does not fit into 64 bits"}},
	{`{"bool":true,"int":1.0}`, []string{"/int: 'int' parameter expected to be an integer."}},
	{`{"bool":true,"int":1e2}`, []string{"/int: 'int' parameter expected to be an integer."}},
	{`{"bool":true,"pair":[1]}`, []string{"/pair: 'pair' parameter must have at least 2 elements."}},
	{`{"bool":true,"pair":[1,2,3]}`, []string{"/pair: 'pair' parameter must have at most 2 elements."}},
	{`{"bool":true,"bytes":"*"}`, []string{"/bytes: 'bytes' parameter: illegal base64 data at input byte 0"}},
	{`{"bool":true,"time":"noon"}`, []string{`/time: 'time' parameter: parsing time "noon" as "2006-01-02T15:04:05Z07:00": cannot parse "noon" as "2006"`}},
	{`{"bool":true,"addr":"nowhere"}`, []string{`/addr: 'addr' parameter: ParseAddr("nowhere"): unable to parse IP`}},
	{`{"bool":true,"deep":{"x":{"one":null}}}`, []string{"/deep/x/one: 'deep/x/one' parameter: \"one\" is no integer"}},
}

func TestArgumentsAreCheckedAndAllProblemsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got everything
		d := start(t, nil, mgr.Func("take", "", mgr.Read, func(_ context.Context, in everything) (mgr.None, error) {
			got = in
			return mgr.None{}, nil
		}))
		for _, test := range argumentsCases {
			r := d.call(`{"command":"take","arguments":` + test.arguments + `}`)
			if test.wrong == nil {
				require.Equal(t, reply{}, r, test.arguments)
				var want everything
				require.NoError(t, json.Unmarshal([]byte(test.arguments), &want))
				require.Equal(t, want, got)
				continue
			}
			require.Equal(t, 1, r.Result, test.arguments)
			require.Equal(t, test.wrong, problems(r), test.arguments)
			first := test.wrong[0][strings.Index(test.wrong[0], ": ")+2:]
			if n := len(test.wrong); n > 1 {
				first += fmt.Sprintf(" (and %d more)", n-1)
			}
			require.Equal(t, first, r.Text)
		}
	})
}

// problems returns the pointer and the text of each problem that a reply names.
func problems(r reply) (list []string) {
	details := r.Error.(map[string]any)
	fields, _ := details["fields"].([]any)
	for _, f := range fields {
		field := f.(map[string]any)
		list = append(list, field["pointer"].(string)+": "+field["text"].(string))
	}
	return list
}

// A type without constraints is checked by the decoding only; it must not accept null.
func TestNullIsRefusedForNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, mgr.Func("take", "", mgr.Read, func(_ context.Context, in struct {
			N int    `json:"n"`
			P *int   `json:"p"`
			S string `json:"s,omitzero"`
		}) (int, error) {
			return in.N, nil
		}))
		require.Equal(t, 7.0, d.call(`{"command":"take","arguments":{"n":7,"p":null,"s":"null"}}`).Arguments)
		require.Equal(t, []string{"/n: 'n' parameter expected to be an integer."}, problems(d.call(`{"command":"take","arguments":{"n":null}}`)))
	})
}

func TestArgumentsThatAreNoStruct(t *testing.T) {
	echo := func(name string, opts ...mgr.Option) mgr.Command {
		return mgr.Func(name, "", mgr.Read, func(ctx context.Context, _ mgr.None) (string, error) {
			call, _ := mgr.CallOf(ctx)
			return string(call.Arguments), nil
		}, opts...)
	}
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil,
			echo("none"), echo("any", mgr.AnyArguments()),
			mgr.Func("list", "", mgr.Read, func(_ context.Context, in []int) (int, error) { return len(in), nil }),
			mgr.Func("map", "", mgr.Read, func(_ context.Context, in map[string]int) (int, error) { return len(in), nil }),
			mgr.Func("number", "", mgr.Read, func(_ context.Context, in int) (int, error) { return in, nil }),
			mgr.Func("value", "", mgr.Read, func(_ context.Context, in wire.Value) (string, error) { return string(in), nil }),
			mgr.Func("pointer", "", mgr.Read, func(_ context.Context, in *greetIn) (bool, error) { return in != nil, nil }),
			mgr.Command{Name: "bytes", Level: mgr.Read, Handler: func(_ context.Context, call *mgr.Call) (wire.Reply, error) {
				return wire.Reply{Arguments: fmt.Sprint(call.Arguments == nil, string(call.Arguments))}, nil
			}},
		)
		for _, test := range []struct{ command, arguments, want string }{
			{"none", ``, `""`}, {"none", `{}`, `"{}"`}, {"none", `null`, `"null"`},
			{"none", `{"a":1}`, "Unsupported 'a' parameter."},
			{"none", `[]`, "invalid command 'none': expected 'arguments' to be a map, got list instead"},
			{"any", ``, `""`}, {"any", `[1, 2]`, `"[1, 2]"`}, {"any", `"x"`, `"\"x\""`},
			{"list", `[1,2]`, `2`},
			{"list", `[1,"2"]`, "'1' parameter expected to be an integer."},
			{"list", `{}`, "'arguments' parameter expected to be a list."},
			{"list", ``, "invalid command 'list': no arguments specified"},
			{"map", `{"a":1}`, `1`}, {"map", ``, `0`},
			{"map", `{"a":null}`, "'a' parameter expected to be an integer."},
			{"number", `7`, `7`},
			{"number", `"7"`, "'arguments' parameter expected to be an integer."},
			{"number", `7.5`, "'arguments' parameter expected to be an integer."},
			{"number", ``, "invalid command 'number': no arguments specified"},
			{"value", `[ 1 ]`, `"[ 1 ]"`}, {"value", ``, `""`}, {"value", `null`, `"null"`},
			{"pointer", `{"name":"x"}`, `true`}, {"pointer", ``, "Missing mandatory 'name' parameter."},
			{"bytes", ``, `"true"`}, {"bytes", `{ }`, `"false{ }"`},
		} {
			request := `{"command":"` + test.command + `"`
			if test.arguments != "" {
				request += `,"arguments":` + test.arguments
			}
			r := d.call(request + `}`)
			got := r.Text
			if r.Result == 0 {
				text, _ := json.Marshal(r.Arguments)
				got = string(text)
			}
			require.Equal(t, test.want, got, request)
		}
	})
}

// The description of a command has the schemas of a type with a field of every kind.
func TestDescribeCommandReturnsSchemas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, nil, mgr.Func("take", "Take everything.", mgr.Admin, func(_ context.Context, in everything) (mgr.Result[everything], error) {
			return mgr.Result[everything]{Arguments: in}, nil
		}, mgr.Example(`{"bool":true}`)))
		r := d.call(`{"command":"describe-command","arguments":{"command":"take"}}`)
		require.Zero(t, r.Result)
		got, err := json.MarshalIndent(r.Arguments, "", "\t")
		require.NoError(t, err)
		const golden = "testdata/describe.json"
		if *update {
			require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(got))
	})
}
