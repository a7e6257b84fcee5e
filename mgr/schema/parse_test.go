package schema_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/mgr/schema"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

// TestParseReadsTheOutputOfMarshalJSON: the schema is the same after encoding and parsing, and finds
// the same problems.
func TestParseReadsTheOutputOfMarshalJSON(t *testing.T) {
	type secretive struct {
		Key   string   `json:"key" schema:"secret,minlen=8" doc:"The key."`
		Ports []uint16 `json:"ports,omitempty" schema:"minlen=1,maxlen=4"`
		Size  *int     `json:"size" schema:"enum=1|2|10"`
		When  string   `json:"when,omitzero" schema:"format=date-time,example=now"`
	}
	for _, of := range []reflect.Type{
		reflect.TypeFor[checked](), reflect.TypeFor[secretive](), reflect.TypeFor[any](), reflect.TypeFor[[]map[string]*bool](),
	} {
		derived, err := schema.Of(of)
		require.NoError(t, err)
		text, err := json.Marshal(derived)
		require.NoError(t, err)
		parsed, err := schema.Parse(text)
		require.NoError(t, err, string(text))
		again, err := json.Marshal(parsed)
		require.NoError(t, err)
		require.Equal(t, string(text), string(again))
		require.Equal(t, derived.HasSecret(), parsed.HasSecret())
		for _, value := range []string{
			`null`, `[]`, `{}`, `{"n":10,"x":1,"f":2,"s":"ABCD"}`, `[{"a":1}]`, `{"key":"short","ports":[-1],"size":3}`,
		} {
			require.Equal(t, derived.Check([]byte(value)), parsed.Check([]byte(value)), "%s against %s", value, text)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                                 "schema, at '': a schema is a map",
		`true`:                             "schema, at '': a schema is a map",
		`null`:                             "schema, at '': a schema is a map",
		`{"type":"object","type":"array"}`: "schema, at '': a schema is a map",
		`{"oneOf":[]}`:                     "schema, at '': the keyword 'oneOf' is not supported",
		`{"Type":"object"}`:                "the keyword 'Type' is not",
		`{"$ref":"#"}`:                     "the keyword '$ref' is not",
		`{"properties":{"a/b":{"items":{"const":1}}}}`: "schema, at '/properties/a~1b/items': the keyword 'const'",
		`{"properties":{"a":true}}`:                    "schema, at '/properties/a': a schema is a map",
		`{"properties":[]}`:                            "schema, at '/properties'",
		`{"additionalProperties":{"not":{}}}`:          "schema, at '/additionalProperties': the keyword 'not'",
		`{"additionalProperties":1}`:                   "schema, at '/additionalProperties': a schema is a map",
		`{"type":"null"}`:                              "schema, at '/type': it is one of object, array",
		`{"type":["string","integer"]}`:                "schema, at '/type': it is one of",
		`{"type":7}`:                                   "schema, at '/type': a type is a name",
		`{"properties":{"a\u001b[2J":{}}}`:             `schema, at '/properties': the name "a\x1b[2J" has a character that cannot be printed`,
		`{"properties":{"a\u202eb":{}}}`:               `the name "a\u202eb" has`,
		`{"type":"string","enum":["a","b\nc"]}`:        `schema, at '/enum': "b\nc" has a character that cannot be printed`,
		`{"enum":["a"]}`:                               "schema, at '/enum': it is a list of strings or numbers, as the type",
		`{"enum":[],"type":"string"}`:                  "schema, at '/enum'",
		`{"enum":["a",1],"type":"string"}`:             "schema, at '/enum': 1 is not of the type string",
		`{"enum":["a"],"type":"integer"}`:              `schema, at '/enum': "a" is not of the type integer`,
		`{"enum":[null],"type":"number"}`:              "schema, at '/enum': null is not of the type number",
		`{"minimum":"1"}`:                              "schema, at '/minimum': it is a number",
		`{"maximum":1e999}`:                            "schema, at '/maximum'",
		`{"minLength":-1}`:                             "schema, at '/minLength': it is an integer of at least 0",
		`{"maxLength":0}`:                              "schema, at '/maxLength': it is an integer of at least 1",
		`{"maxItems":1.5}`:                             "schema, at '/maxItems': it is an integer",
		`{"pattern":"("}`:                              "schema, at '/pattern': error parsing regexp",
		`{"pattern":"(?=a)"}`:                          "schema, at '/pattern': error parsing regexp",
		`{"required":"a"}`:                             "schema, at '/required'",
	} {
		_, err := schema.Parse([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
	deep := strings.Repeat(`{"items":`, 9000) + `{}` + strings.Repeat(`}`, 9000)
	_, err := schema.Parse([]byte(deep))
	require.ErrorContains(t, err, "nested")
}

func TestEnumOfNumbersIsParsed(t *testing.T) {
	s, err := schema.Parse([]byte(`{"enum":[1e2,0.50],"type":"number"}`))
	require.NoError(t, err)
	require.Empty(t, s.Check([]byte(`100`)))
	require.Empty(t, s.Check([]byte(`5e-1`)))
	require.Len(t, s.Check([]byte(`1`)), 1)
}
