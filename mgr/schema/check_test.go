package schema_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/mgr/schema"

	"github.com/stretchr/testify/require"
)

type checked struct {
	N  int               `json:"n" schema:"min=1,max=9"`
	F  float64           `json:"f,omitzero" schema:"enum=0.5|1"`
	S  string            `json:"s,omitzero" schema:"minlen=1,maxlen=3,pattern=^[a-z]*$"`
	P  *bool             `json:"p"`
	L  []string          `json:"l,omitzero" schema:"minlen=1,maxlen=2"`
	M  map[string]uint   `json:"m,omitzero"`
	T  *tree             `json:"t"`
	A  [2]int            `json:"a,omitzero"`
	O  any               `json:"o,omitzero"`
	In map[string][]base `json:"a/b~c,omitzero"`
}

func TestCheck(t *testing.T) {
	s, err := schema.Of(reflect.TypeFor[checked]())
	require.NoError(t, err)
	require.True(t, s.Exacting())
	for value, want := range map[string][]schema.Problem{
		`{"n":1}`: nil,
		`{"n":9,"f":0.5,"s":"abc","p":null,"l":["x"],"m":{"":0},"t":{"name":"x","nodes":[{"name":1}]},"a":[1,2],"o":[{}],"a/b~c":{"x":[{"id":1}]}}`: nil,
		`[]`:   {{"", "'arguments' parameter expected to be a map."}},
		`null`: {{"", "'arguments' parameter expected to be a map."}},
		`{`:    {{"", "jsontext: unexpected EOF after offset 1"}},
		`{}`:   {{"/n", "Missing mandatory 'n' parameter."}},
		`{"n":1e400,"f":-1e400,"s":1e400,"m":{"x":1e400},"o":[1e400]}`: {
			{"/f", "'f' parameter must be one of '0.5', '1'."},
			{"/n", "'n' parameter must be at most 9."},
			{"/s", "'s' parameter expected to be a string."},
		},
		`{"x":1,"n":10,"":2,"N":1}`: {
			{"/", "Unsupported '' parameter."},
			{"/N", "Unsupported 'N' parameter."},
			{"/n", "'n' parameter must be at most 9."},
			{"/x", "Unsupported 'x' parameter."},
		},
		`{"n":1.5,"f":2,"s":"ABCD","p":0,"l":[],"m":{"a":-1,"b":null},"t":{"nodes":1},"a":[1,2,3]}`: {
			{"/a", "'a' parameter must have at most 2 elements."},
			{"/f", "'f' parameter must be one of '0.5', '1'."},
			{"/l", "'l' parameter must have at least 1 elements."},
			{"/m/a", "'m/a' parameter must be at least 0."},
			{"/m/b", "'m/b' parameter expected to be an integer."},
			{"/n", "'n' parameter expected to be an integer."},
			{"/p", "'p' parameter expected to be a boolean."},
			{"/s", "'s' parameter must have at most 3 characters."},
			{"/s", "'s' parameter must match ^[a-z]*$."},
			{"/t/name", "Missing mandatory 't/name' parameter."},
			{"/t/nodes", "'t/nodes' parameter expected to be a list."},
		},
		`{"n":1,"l":["a",1,null],"a/b~c":{"x/y":[{"id":""}]}}`: {
			{"/a~1b~0c/x~1y/0/id", "'a~1b~0c/x~1y/0/id' parameter expected to be an integer."},
			{"/l", "'l' parameter must have at most 2 elements."},
			{"/l/1", "'l/1' parameter expected to be a string."},
			{"/l/2", "'l/2' parameter expected to be a string."},
		},
	} {
		require.Equal(t, want, s.Check([]byte(value)), value)
	}
}

func TestExacting(t *testing.T) {
	type plain struct {
		N uint              `json:"n"`
		S []string          `json:"s,omitzero"`
		M map[string]string `json:"m,omitzero"`
	}
	for of, want := range map[reflect.Type]bool{
		reflect.TypeFor[struct{}]():                       false,
		reflect.TypeFor[plain]():                          false,
		reflect.TypeFor[struct{ P plain }]():              true, // a required member inside
		reflect.TypeFor[[]plain]():                        true,
		reflect.TypeFor[map[string]plain]():               true,
		reflect.TypeFor[struct{ D described }]():          true,
		reflect.TypeFor[[]map[string]struct{ A []int }](): true,
		reflect.TypeFor[[]map[string][]int]():             false,
		reflect.TypeFor[struct{ A [1]int }]():             true,
		reflect.TypeFor[struct{ B []byte }]():             false,
		reflect.TypeFor[struct {
			N int `schema:"max=1"`
		}](): true,
		reflect.TypeFor[struct {
			N int `schema:"min=0"`
		}](): true,
		reflect.TypeFor[struct {
			N uint `schema:"min=1"`
		}](): true,
	} {
		s, err := schema.Of(of)
		require.NoError(t, err)
		require.Equal(t, want, s.Exacting(), of.String())
	}
}

// TestCheckReturnsAtMost100Problems: the result does not grow with the value.
func TestCheckReturnsAtMost100Problems(t *testing.T) {
	s, err := schema.Of(reflect.TypeFor[[]int]())
	require.NoError(t, err)
	require.Len(t, s.Check([]byte(`["x"`+strings.Repeat(`,"x"`, 10000)+`]`)), 100)
}
