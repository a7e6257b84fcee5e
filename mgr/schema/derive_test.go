package schema_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/mgr/schema"

	"github.com/stretchr/testify/require"
)

// A described type has a schema of its own.
type described string

var itself = &schema.Schema{Type: "string", Enum: []string{"a", "b"}}

func (described) JSONSchema() *schema.Schema { return itself }

type tree struct {
	Name  string  `json:"name"`
	Nodes []*tree `json:"nodes,omitzero"`
}

type base struct {
	ID int `json:"id"`
}

func TestOf(t *testing.T) {
	for _, test := range []struct {
		of   any
		want string
	}{
		{true, `{"type":"boolean"}`},
		{int8(0), `{"type":"integer"}`},
		{uint16(0), `{"type":"integer","minimum":0}`},
		{float32(0), `{"type":"number"}`},
		{"", `{"type":"string"}`},
		{new(string), `{"type":["string","null"]}`},
		{[]byte{}, `{"type":"string","format":"base64"}`},
		{[3]byte{}, `{"type":"string","format":"base64"}`},
		{[]int{}, `{"type":"array","items":{"type":"integer"}}`},
		{[2]bool{}, `{"type":"array","items":{"type":"boolean"},"minItems":2,"maxItems":2}`},
		{map[string]int{}, `{"type":"object","additionalProperties":{"type":"integer"}}`},
		{[]any{}, `{"type":"array"}`},
		{time.Time{}, `{"type":"string","format":"date-time"}`},
		{netip.Addr{}, `{"type":"string"}`},
		{json.RawMessage{}, `{}`},
		{described(""), `{"type":"string","enum":["a","b"]}`},
		{new(described), `{"type":["string","null"],"enum":["a","b"]}`},
		{struct{}{}, `{"type":"object","additionalProperties":false}`},
		{struct {
			A int  `json:"a" doc:"Both."`
			B *int `json:"b"`
			C int  `json:"c,omitempty"`
			D int  `json:"d,omitzero"`
			E int
			F int `json:"-"`
			g int
		}{}, `{"type":"object","additionalProperties":false,"required":["a","E"],"properties":{
			"a":{"type":"integer","description":"Both."},"b":{"type":["integer","null"]},
			"c":{"type":"integer"},"d":{"type":"integer"},"E":{"type":"integer"}}}`},
		{struct {
			base
			Name string `json:"name"`
		}{}, `{"type":"object","additionalProperties":false,"required":["id","name"],"properties":{"id":{"type":"integer"},"name":{"type":"string"}}}`},
		{struct {
			N int       `json:"n" schema:"min=-1,max=1.5e3,enum=1|2,example=1"`
			S string    `json:"s" schema:"minlen=1,maxlen=2,format=x,pattern=a,b"`
			L []string  `json:"l" schema:"minlen=1,maxlen=2"`
			D described `json:"d" schema:"maxlen=1" doc:"Its own."`
		}{}, `{"type":"object","additionalProperties":false,"required":["n","s","l","d"],"properties":{
			"n":{"type":"integer","minimum":-1,"maximum":1500,"enum":[1,2],"examples":["1"]},
			"s":{"type":"string","minLength":1,"maxLength":2,"format":"x","pattern":"a,b"},
			"l":{"type":"array","items":{"type":"string"},"minItems":1,"maxItems":2},
			"d":{"type":"string","enum":["a","b"],"maxLength":1,"description":"Its own."}}}`},
		{tree{}, `{"type":"object","additionalProperties":false,"required":["name"],"properties":{"name":{"type":"string"},
			"nodes":{"type":"array","items":{"description":"A tree again."}}}}`},
	} {
		s, err := schema.Of(reflect.TypeOf(test.of))
		require.NoError(t, err, "%T", test.of)
		got, err := json.Marshal(s)
		require.NoError(t, err)
		require.JSONEq(t, test.want, string(got), "%T", test.of)
	}
	require.Equal(t, &schema.Schema{Type: "string", Enum: []string{"a", "b"}}, itself, "it belongs to its type")
}

func TestOfRefuses(t *testing.T) {
	for text, of := range map[string]any{
		"the type func() has no JSON form":                     func() {},
		"the type complex64 has no JSON form":                  complex64(0),
		"field C: the type chan int has no JSON form":          struct{ C chan int }{},
		"field D: a time.Duration has no JSON form of its own": struct{ D []time.Duration }{},
		"field F: the type func() has no JSON form":            map[string][]struct{ F func() }{},
		`field N: tag schema, entry "min=x": strconv.ParseFloat: parsing "x": invalid syntax`: struct {
			N int `schema:"min=x"`
		}{},
		`field N: tag schema, entry "enum=1|x": strconv.ParseFloat: parsing "x"`: struct {
			N int `schema:"enum=1|x"`
		}{},
		`field S: tag schema, entry "pattern=(": error parsing regexp`: struct {
			S string `schema:"minlen=1,pattern=("`
		}{},
		`field S: tag schema, entry "min=1": it is not for values of type string`: struct {
			S string `schema:"min=1"`
		}{},
		`field B: tag schema, entry "enum=true": it is not for values of type boolean`: struct {
			B bool `schema:"enum=true"`
		}{},
		`field N: tag schema, entry "minlen=1": it is not for values of type integer`: struct {
			N int `schema:"minlen=1"`
		}{},
		`field N: tag schema, entry "minimum=1": there is no such entry; there are min, max, minlen, maxlen, enum, pattern, format, example and secret`: struct {
			N int `schema:"minimum=1"`
		}{},
		`field Q: the option string of its tag json is not supported`: struct {
			Q int `json:",string"`
		}{},
	} {
		_, err := schema.Of(reflect.TypeOf(of))
		require.ErrorContains(t, err, text)
	}
}
