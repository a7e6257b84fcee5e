package access_test

import (
	"math"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

func TestArgumentRuleComparesValues(t *testing.T) {
	for _, test := range []struct {
		pointer   string
		values    []any
		arguments string // empty: there are none
		allowed   bool
	}{
		{"/zone", []any{"example"}, `{"zone":"example"}`, true},
		{"/zone", []any{"a", "example"}, `{"zone":"example"}`, true},
		{"/zone", []any{"example"}, ` { "x" : {"zone":"no"} , "z\u006fne" : "ex\u0061mple" } `, true},
		{"/zone", []any{"example"}, `{"zone":"Example"}`, false},
		{"/zone", []any{"example"}, `{"Zone":"example"}`, false},
		{"/zone", []any{"example"}, `{"zone":"example "}`, false},
		{"/zone", []any{"example"}, `{"zone":"example\u0000"}`, false},
		{"/zone", []any{"example"}, `{"zone":"exаmple"}`, false}, // Cyrillic а
		{"/zone", []any{"example"}, `{"zone":["example"]}`, false},
		{"/zone", []any{"example"}, `{"zone":{"example":"example"}}`, false},
		{"/zone", []any{"example"}, `{"x":{"zone":"example"}}`, false},
		{"/zone", []any{"example"}, `{"zone":null}`, false},
		{"/zone", []any{"example"}, `{"x":"example"}`, false},
		{"/zone", []any{"example"}, `{}`, false},
		{"/zone", []any{"example"}, `null`, false},
		{"/zone", []any{"example"}, `"example"`, false},
		{"/zone", []any{"example"}, ``, false},
		{"/zone", []any{""}, `{"zone":""}`, true},
		{"/zone", []any{""}, `{}`, false},
		{"/zone", []any{"é"}, `{"zone":"e\u0301"}`, false}, // the same letter, composed differently
		{"/zone", []any{"😀"}, `{"zone":"\uD83D\uDE00"}`, true},

		{"/zone", []any{"\b\f\n\r\t/\\\"Aÿ"}, `{"zone":"\b\f\n\r\t\/\\\"\u0041\u00Ff"}`, true},
		{"/zone", []any{"\n"}, `{"zone":"\\n"}`, false},
		{"/zone", []any{"x"}, `{"a\"b":"\\","zone":"x"}`, true},

		{"", []any{"example"}, `"example"`, true},
		{"/", []any{1}, `{"":1}`, true},
		{"/a~1b/m~0n", []any{1}, `{"a/b":{"m~n":1}}`, true},
		{"/0", []any{1}, `[1]`, true},
		{"/0", []any{1}, `{"0":1}`, true},
		{"/1/x", []any{1}, `[0,{"x":1}]`, true},
		{"/2", []any{1}, `[0,1]`, false},
		{"/-", []any{1}, `[0,1]`, false},
		{"/01", []any{1}, `[0,1]`, false},
		{"/00", []any{1}, `[1]`, false},
		{"/+0", []any{1}, `[1]`, false},
		{"/-0", []any{1}, `[1]`, false},
		{"/99999999999999999999", []any{1}, `[1]`, false},
		{"/length", []any{1}, `[1]`, false},

		{"/n", []any{true}, `{"n":true}`, true},
		{"/n", []any{true}, `{"n":"true"}`, false},
		{"/n", []any{true}, `{"n":1}`, false},
		{"/n", []any{true}, `{"n":false}`, false},
		{"/n", []any{false}, `{"n":false}`, true},
		{"/n", []any{false}, `{"n":null}`, false},
		{"/n", []any{1}, `{"n":"1"}`, false},
		{"/n", []any{"1"}, `{"n":1}`, false},
		{"/n", []any{1}, `{"n":1.0}`, true},
		{"/n", []any{1}, `{"n":10e-1}`, true},
		{"/n", []any{1.0}, `{"n":1}`, true},
		{"/n", []any{1}, `{"n":1.5}`, false},
		{"/n", []any{0}, `{"n":-0}`, true},
		{"/n", []any{0.1}, `{"n":0.1}`, true},
		{"/n", []any{0.1}, `{"n":1e-1}`, true},
		{"/n", []any{0.1}, `{"n":0.2}`, false},
		{"/n", []any{int64(9007199254740993)}, `{"n":9007199254740993}`, true},
		{"/n", []any{int64(9007199254740993)}, `{"n":9007199254740992}`, false},
		{"/n", []any{int64(9007199254740993)}, `{"n":9007199254740992.0}`, false},
		{"/n", []any{9007199254740992.0}, `{"n":9007199254740992}`, true},
		{"/n", []any{9007199254740992.0}, `{"n":9007199254740993}`, false},
		{"/n", []any{int64(math.MaxInt64)}, `{"n":9223372036854775807}`, true},
		{"/n", []any{int64(math.MaxInt64)}, `{"n":9223372036854775808}`, false},
		{"/n", []any{int64(math.MaxInt64)}, `{"n":9223372036854775807.0}`, false}, // that is 2^63
		{"/n", []any{int64(math.MinInt64)}, `{"n":-9223372036854775808}`, true},
		{"/n", []any{math.MaxFloat64}, `{"n":1.7976931348623157e308}`, true},
		{"/n", []any{math.MaxFloat64}, `{"n":1e309}`, false},
		{"/n", []any{math.Pow(2, 100)}, `{"n":1267650600228229401496703205376}`, true},
		{"/n", []any{math.Pow(2, 100)}, `{"n":1267650600228229401496703205377}`, false},
		{"/n", []any{math.MaxFloat64}, `{"n":` + strings.Repeat("9", 1<<20) + `}`, false}, // and fast
	} {
		p := policy(t, access.Options{
			Roles:      []access.Role{{Name: "dns", Allow: []string{"zone-*"}, Arguments: []access.ArgumentRule{{Commands: []string{"zone-add"}, Pointer: test.pointer, Values: test.values}}}},
			Principals: []access.Principal{{Subject: "uid:7", Role: "dns"}},
		})
		call := mgr.Call{Name: "zone-add", Command: &mgr.Command{Name: "zone-add", Level: mgr.Write}, Peer: transport.Peer{Creds: subjects("uid:7")}}
		if test.arguments != "" {
			call.Arguments = wire.Value(test.arguments)
			require.True(t, call.Arguments.Valid())
		}
		require.Equal(t, test.allowed, p.Authorize(&call) == nil, "%v at %q of %.60s", test.values, test.pointer, test.arguments)
		call.Listing = true
		require.NoError(t, p.Authorize(&call), "a listing asks whether some arguments are allowed")
		call.Listing = false
		call.Name, call.Command = "zone-del", &mgr.Command{Name: "zone-del", Level: mgr.Write}
		require.NoError(t, p.Authorize(&call), "the rule restricts another command")
	}
}

// All argument rules of a role must hold. They do not restrict other roles.
func TestArgumentRulesRestrictOnlyTheirRole(t *testing.T) {
	p := policy(t, access.Options{
		Roles: []access.Role{
			{Name: "both", Allow: []string{"zone-add"}, Arguments: []access.ArgumentRule{
				{Commands: []string{"zone-*"}, Pointer: "/zone", Values: []any{"a"}},
				{Commands: []string{"*-add"}, Pointer: "/ttl", Values: []any{60, 3600}},
				{Commands: []string{"lease-*"}, Pointer: "/never", Values: []any{1}},
			}},
			{Name: "other", Allow: []string{"zone-add"}, Arguments: []access.ArgumentRule{{Commands: []string{"*"}, Pointer: "/zone", Values: []any{"b"}}}},
		},
		Principals: []access.Principal{{Subject: "uid:7", Role: "both"}, {Subject: "uid:8", Role: "other"}, {Subject: "uid:9", Role: "operator"}},
	})
	for _, test := range []struct {
		arguments string
		subjects  []string
		allowed   bool
	}{
		{`{"zone":"a","ttl":60}`, []string{"uid:7"}, true},
		{`{"zone":"a"}`, []string{"uid:7"}, false},
		{`{"ttl":60}`, []string{"uid:7"}, false},
		{`{"zone":"b","ttl":60}`, []string{"uid:7"}, false},
		{`{"zone":"b"}`, []string{"uid:7", "uid:8"}, true},
		{`{"zone":"b"}`, []string{"uid:8", "uid:7"}, true},
		{`{"zone":"c"}`, []string{"uid:7", "uid:8"}, false},
		{`{"zone":"c"}`, []string{"uid:7", "uid:8", "uid:9"}, true},
	} {
		call := &mgr.Call{
			Name: "zone-add", Command: &mgr.Command{Name: "zone-add", Level: mgr.Write},
			Arguments: wire.Value(test.arguments), Peer: transport.Peer{Creds: subjects(test.subjects...)},
		}
		require.Equal(t, test.allowed, p.Authorize(call) == nil, "%s for %s", test.arguments, test.subjects)
	}
	refusal := new(wire.Error)
	require.ErrorAs(t, p.Authorize(&mgr.Call{
		Name: "zone-add", Command: &mgr.Command{Name: "zone-add", Level: mgr.Write},
		Arguments: wire.Value(`{"zone":"a","ttl":1}`), Peer: transport.Peer{Creds: subjects("uid:7")},
	}), &refusal)
	require.Equal(t, "'zone-add' is not allowed for uid:7: your role both allows it only with other arguments", refusal.Text)
	require.Equal(t, []wire.Field{{Pointer: "/ttl", Text: "is none of the values that the role allows"}}, refusal.Fields)
}
