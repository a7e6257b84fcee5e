package access_test

import (
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// slowMatch matches a pattern by its definition, in exponential time.
func slowMatch(pattern, name string) bool {
	switch {
	case pattern == "":
		return name == ""
	case pattern[0] == '*':
		return slowMatch(pattern[1:], name) || name != "" && slowMatch(pattern, name[1:])
	}
	return name != "" && pattern[0] == name[0] && slowMatch(pattern[1:], name[1:])
}

func FuzzPatterns(f *testing.F) {
	for _, seed := range [][2]string{
		{"", ""}, {"*", ""}, {"*", "zone-add"}, {"zone-*", "zone-"}, {"zone-*", "zone-add"}, {"*-get", "config-get"},
		{"*-*", "a-b"}, {"a*b*c", "aXbXbc"}, {"*a*b", "abab"}, {"zone-add", "zone-add2"}, {"zone-add", "azone-add"},
		{"*aab", "aaaab"}, {"a*", "A"}, {"\xff*", "\xff\xfe"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 12 || len(name) > 16 {
			return // the oracle would take too long
		}
		require.Equal(t, slowMatch(pattern, name), access.MatchesPattern(pattern, name), "%q %q", pattern, name)
	})
}

// These patterns take exponential time in a matcher that backtracks to every *.
func TestPatternsMatchInPolynomialTime(t *testing.T) {
	require.False(t, access.MatchesPattern(strings.Repeat("a*", 31)+"b", strings.Repeat("a", 1<<16)))
	require.True(t, access.MatchesPattern(strings.Repeat("*a", 32), strings.Repeat("a", 1<<16)))
}

// slowFind decodes every value on the path.
func slowFind(v jsontext.Value, path []string) jsontext.Value {
	for _, step := range path {
		var object map[string]jsontext.Value
		var list []jsontext.Value
		switch v.Kind() {
		case '{':
			if err := json.Unmarshal(v, &object); err != nil {
				panic(err)
			}
			v = object[step]
		case '[':
			if err := json.Unmarshal(v, &list); err != nil {
				panic(err)
			}
			i, err := strconv.Atoi(step)
			if err != nil || strconv.Itoa(i) != step || i < 0 || i >= len(list) {
				return nil
			}
			v = list[i]
		default:
			return nil
		}
		if v == nil {
			return nil
		}
	}
	return v
}

// slowlySame compares decoded values, numbers as fractions.
func slowlySame(value any, v jsontext.Value) bool {
	if v == nil {
		return false
	}
	switch value := value.(type) {
	case string:
		var text string
		return v.Kind() == '"' && json.Unmarshal(v, &text) == nil && text == value
	case bool:
		var is bool
		return (v.Kind() == 't' || v.Kind() == 'f') && json.Unmarshal(v, &is) == nil && is == value
	case int64:
		n := fraction(v)
		return n != nil && n.Cmp(new(big.Rat).SetInt64(value)) == 0
	case float64:
		n, is := fraction(v), new(big.Rat).SetFloat64(value)
		return n != nil && is != nil && n.Cmp(is) == 0
	}
	return false
}

func fraction(v jsontext.Value) *big.Rat {
	if v.Kind() != '0' {
		return nil
	}
	if !strings.ContainsAny(string(v), ".eE") {
		n, _ := new(big.Rat).SetString(string(v))
		return n
	}
	var f float64
	if json.Unmarshal(v, &f) != nil {
		return nil
	}
	return new(big.Rat).SetFloat64(f)
}

func FuzzArgumentRules(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"name":"a"}`, "/name"}, {`{"n\u0061me":"\u0061"}`, "/name"}, {` { "a" : [ 1 , { "b" : true } ] } `, "/a/1/b"},
		{`[0,1,2,3,4,5,6,7,8,9,10]`, "/10"}, {`[0,1]`, "/01"}, {`[0,1]`, "/-"}, {`[0,1]`, "/+1"}, {`{"0":1}`, "/0"}, {`{"":1}`, "/"}, {`1`, ""},
		{`{"a/b":1,"m~n":2}`, "/a~1b"}, {`{"a/b":1,"m~n":2}`, "/m~0n"}, {`{"a":{"b":"x"},"b":"y"}`, "/b"}, {`{"a":"}","b":"x"}`, "/b"},
		{`{"a":9007199254740993}`, "/a"}, {`{"a":9007199254740992.0}`, "/a"}, {`{"a":1e0}`, "/a"}, {`{"a":-0}`, "/a"}, {`{"a":1e400}`, "/a"},
		{`{"a":100000000000000000000}`, "/a"}, {`{"a":18446744073709551616}`, "/a"}, {`{"a":0.1}`, "/a"}, {`{"a":"\ud83d\ude00\\\""}`, "/a"}, {`{"a":null}`, "/a"},
		{`{"a":[[],{},[{"x":[1,2]}]],"z":"1"}`, "/z"}, {`{"a\\":1,"a":2}`, "/a"}, {`{"a":"\/"}`, "/a"}, {`{"a":"\b\f\n\r\t\u00e9"}`, "/a"}, {`{"a":"x`, "/a"}, {`{"a":"\ud800"}`, "/a"}, {`{"a":[1`, "/a/1"}, {`{"a":"\u0000"}`, "/a"},
	} {
		f.Add(seed[0], seed[1], "a", int64(1), 1e20)
		f.Add(seed[0], seed[1], "😀\\\"", int64(9007199254740993), 9007199254740992.0)
		f.Add(seed[0], seed[1], "/", int64(0), 0.1)
		f.Add(seed[0], seed[1], "\x00", int64(-1<<63), 18446744073709551616.0)
	}
	f.Fuzz(func(t *testing.T, text, pointer, s string, i int64, x float64) {
		path, err := access.ParsePointer(pointer)
		if err != nil {
			return
		}
		found := access.Find([]byte(text), path) // must not panic, also for invalid JSON
		for _, value := range []any{s, true, false, i, x} {
			access.Equals(value, found)
		}
		if !wire.Value(text).Valid() || len(text) > 1<<12 {
			return
		}
		slow := slowFind(jsontext.Value(strings.Trim(text, " \t\r\n")), path)
		require.Equal(t, strings.Trim(string(slow), " \t\r\n"), string(found))
		for _, value := range []any{s, true, false, i, x} {
			require.Equal(t, slowlySame(value, slow), access.Equals(value, found), "%v and %s", value, slow)
		}
	})
}
