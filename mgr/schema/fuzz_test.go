package schema_test

import (
	"errors"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/mgr/schema"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
)

var fuzzed = []reflect.Type{
	reflect.TypeFor[checked](), reflect.TypeFor[tree](), reflect.TypeFor[[]int](), reflect.TypeFor[map[string]*base](),
	reflect.TypeFor[struct {
		I8 int8            `json:"i8,omitzero"`
		U  uint            `json:"u,omitzero"`
		F  float32         `json:"f,omitzero"`
		B  []byte          `json:"b,omitzero"`
		T  time.Time       `json:"t,omitzero"`
		V  wire.Value      `json:"v,omitzero"`
		K  map[int]string  `json:"k,omitzero"`
		PP **[]map[int]any `json:"pp"`
	}](),
}

// FuzzCheck compares the check with strict decoding: a value without problems must decode. Exceptions are rules that
// a schema does not have: the size of a number, the form of a text (base64, times, the
// names in a map of integers), the members of a recursive type, and that 1.0 is no integer.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"n":1}`, `{"n":1.0}`, `{"n":null}`, `{"n":1,"t":{"name":"x","nodes":[{"name":"y","nodes":null}]},"a":[1,2]}`,
		`{"name":"x","nodes":[null,{}]}`, `[1,2]`, `[1,null]`, `{"x":{"id":1},"y":null}`, `{"i8":1,"u":2,"f":1e3,"b":"AA==","v":[null]}`,
		`{"t":"2026-01-02T03:04:05Z","k":{"1":"x"},"pp":[{"1":null}]}`, `{"i8":128}`, `{"k":{"x":""}}`, `{"n":1,"n":2}`, `"\ud800"`, `1e400`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if !wire.Value(value).Valid() {
			return
		}
		for _, of := range fuzzed {
			s, err := schema.Of(of)
			if err != nil {
				t.Fatal(err)
			}
			problems := s.Check(value)
			into := reflect.New(of)
			err = wire.Value(value).Decode(into.Interface())
			if len(problems) == 0 && err != nil && !unsaid(of, err) {
				t.Errorf("%s: %s passes the check, but: %v", of, value, err)
			}
			if len(problems) > 0 && problems[0].Text == "" {
				t.Errorf("%s: %s: a problem without words", of, value)
			}
		}
	})
}

// unsaid reports whether err is about a rule that a schema does not have.
func unsaid(of reflect.Type, err error) bool {
	e, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return false
	}
	switch {
	case errors.Is(e.Err, strconv.ErrRange), errors.Is(e.Err, strconv.ErrSyntax):
		return true
	case e.GoType == reflect.TypeFor[[]byte]() || e.GoType == reflect.TypeFor[time.Time]():
		return e.Err != nil
	}
	depth := 0
	for range e.JSONPointer.Tokens() {
		depth++
	}
	return of == reflect.TypeFor[tree]() && depth >= 2 || of == reflect.TypeFor[checked]() && depth >= 3
}
