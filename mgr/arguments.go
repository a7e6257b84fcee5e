package mgr

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/rudderpost/rudderpost/mgr/schema"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
)

var (
	emptyMap = wire.Value("{}")
	null     = []byte("null") // json decodes it to the zero value of any type
)

// decoder returns a function that decodes arguments strictly into an In. A decoding without an error is a successful check.
// The schema is consulted in two cases only: where a Go type cannot express what is required, and after an error, to list
// all problems.
func decoder[In any](name string, s *schema.Schema) func(*Call) (any, error) {
	if s == nil {
		return nil
	}
	exacting := s.Exacting()
	isMap := s.Type == "object"
	return func(call *Call) (any, error) {
		arguments := call.Arguments
		if isMap && (arguments == nil || arguments.Kind() == "null") {
			arguments = emptyMap
		}
		var in In
		if arguments == nil && s.Type == "" { // the schema accepts anything, also missing arguments
			return in, nil
		}
		err := arguments.Decode(&in)
		if err == nil && !exacting && !bytes.Contains(arguments, null) && (len(s.Required) == 0 || arguments.Has(s.Required...)) {
			return in, nil
		}
		if bad := argumentsError(name, s, arguments, isMap, err); bad != nil {
			return nil, bad
		}
		return in, nil
	}
}

// argumentsError returns an error that lists all problems of arguments, or nil. err is the error of the decoding, or nil.
func argumentsError(name string, s *schema.Schema, arguments wire.Value, isMap bool, err error) error {
	bad := &wire.Error{Code: wire.CodeError, Word: "bad-arguments"}
	switch {
	case arguments == nil:
		bad.Text = fmt.Sprintf("invalid command '%s': no arguments specified", name)
	case isMap && arguments.Kind() != "map":
		bad.Text = fmt.Sprintf("invalid command '%s': expected 'arguments' to be a map, got %s instead", name, arguments.Kind())
	}
	if bad.Text != "" {
		bad.Fields = []wire.Field{{Pointer: "", Text: bad.Text}}
		return bad
	}
	for _, problem := range s.Check(arguments) {
		bad.Fields = append(bad.Fields, wire.Field{Pointer: problem.Pointer, Text: problem.Text})
	}
	switch n := len(bad.Fields); {
	case n == 1:
		bad.Text = bad.Fields[0].Text
	case n > 1:
		bad.Text = fmt.Sprintf("%s (and %d more)", bad.Fields[0].Text, n-1)
	case err == nil:
		return nil
	default:
		bad.Text = err.Error()
		if s.HasSecret() {
			bad.Text = fmt.Sprintf("invalid command '%s': its arguments have the wrong type", name)
		}
		if e, ok := errors.AsType[*json.SemanticError](err); ok {
			bad.Text = decodeErrorText(e, s.HasSecret())
			bad.Fields = []wire.Field{{Pointer: string(e.JSONPointer), Text: bad.Text}}
		}
	}
	return bad
}

// decodeErrorText returns a text for an error of the JSON package. The text has no part of the value if the schema has a secret.
func decodeErrorText(e *json.SemanticError, secret bool) string {
	name := "'" + strings.TrimPrefix(string(e.JSONPointer), "/") + "' parameter"
	switch {
	case secret:
	case errors.Is(e.Err, strconv.ErrRange):
		return fmt.Sprintf("%s: %s does not fit into %s", name, wire.Shorten(string(e.JSONValue)), kindWords[e.GoType.Kind()])
	case errors.Is(e.Err, strconv.ErrSyntax) && e.JSONKind == '0':
		return name + " expected to be an integer."
	case errors.Is(e.Err, strconv.ErrSyntax):
		return fmt.Sprintf("%s: %s is no integer", name, wire.Shorten(string(e.JSONValue)))
	case e.Err != nil:
		return name + ": " + wire.Shorten(e.Err.Error())
	}
	return name + " has the wrong type"
}

var kindWords = map[reflect.Kind]string{
	reflect.Int8: "8 bits", reflect.Int16: "16 bits", reflect.Int32: "32 bits", reflect.Int64: "64 bits", reflect.Int: "64 bits",
	reflect.Uint8: "8 bits without a sign", reflect.Uint16: "16 bits without a sign",
	reflect.Uint32: "32 bits without a sign", reflect.Uint64: "64 bits without a sign", reflect.Uint: "64 bits without a sign",
	reflect.Float32: "32 bits", reflect.Float64: "64 bits",
}
