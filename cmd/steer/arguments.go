package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxInput is the longest JSON text that is read from a file or standard input, in bytes.
const maxInput = 64 << 20

// An argumentInput has the arguments as they were typed after the name of a command: one JSON text, or pairs.
type argumentInput struct {
	json  wire.Value
	pairs []pair
}

// A pair is one NAME=VALUE.
type pair struct{ name, text string }

// parseArguments parses the words after the name of a command. It reads the file or stdin that they name.
func parseArguments(args []string, stdin io.Reader) (input argumentInput, err error) {
	if len(args) == 1 {
		switch first := args[0]; {
		case first == "-" || first == "@-":
			input.json, err = readJSON("standard input", stdin)
			return input, err
		case strings.HasPrefix(first, "@"):
			f, err := os.Open(first[1:])
			if err != nil {
				return input, err
			}
			defer f.Close()
			input.json, err = readJSON(first[1:], f)
			return input, err
		case isJSONText(first):
			input.json, err = checkJSON("the arguments", []byte(first))
			return input, err
		}
	}
	seen := map[string]bool{}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return input, fmt.Errorf("%q is not NAME=VALUE; a JSON text, @FILE or - must be the only argument", arg)
		}
		if seen[name] {
			return input, fmt.Errorf("%q is given twice", name)
		}
		seen[name] = true
		input.pairs = append(input.pairs, pair{name, value})
	}
	return input, nil
}

// isJSONText reports whether the only argument is a JSON text: an object or an array, perhaps with comments before it.
func isJSONText(arg string) bool {
	for _, begin := range []string{"{", "[", "#", "//", "/*"} {
		if strings.HasPrefix(arg, begin) {
			return true
		}
	}
	return false
}

// needsSchema reports whether a VALUE can be a string or another JSON value, so that the command's schema decides.
func (l *argumentInput) needsSchema() bool {
	for _, p := range l.pairs {
		if value, ok := parseValue(p.text); ok && value.Kind() != '"' {
			return true
		}
	}
	return false
}

// encode returns the arguments of the request, or nil if there are none. A VALUE that is JSON is sent as JSON, unless
// types says that the argument is a string. Any other VALUE is sent as a string.
func (l *argumentInput) encode(types map[string]propertyType) (wire.Value, error) {
	if len(l.pairs) == 0 {
		return l.json, nil
	}
	named := make(map[string]jsontext.Value, len(l.pairs))
	for _, p := range l.pairs {
		value, ok := parseValue(p.text)
		want := types[p.name]
		kind := value.Kind()
		if !ok || want.text && kind != '"' && (kind != 'n' || !want.null) {
			value, _ = jsontext.AppendQuote(nil, strings.ToValidUTF8(p.text, "\ufffd"))
		}
		named[p.name] = value
	}
	return client.Arguments(named)
}

// parseValue returns a VALUE as JSON. ok is false if it is not JSON. Comments are allowed in objects and arrays.
func parseValue(text string) (value jsontext.Value, ok bool) {
	value = jsontext.Value(text)
	if !wire.Value(value).Valid() && strings.IndexAny(text, "{[") == 0 {
		value = blankComments([]byte(text))
	}
	return value, wire.Value(value).Valid()
}

// blankComments returns a copy of an object or an array with spaces in place of its comments. The daemon accepts the
// same comments on the wire. Line and column numbers stay the same. A text that is not one frame is returned unchanged.
func blankComments(text []byte) []byte {
	blanked := slices.Clone(text)
	if _, err := transport.Frame(blanked); err != nil {
		return text
	}
	return blanked
}

// A propertyType says whether an argument may be a string, and whether it may be null.
type propertyType struct{ text, null bool }

// propertyTypes asks the daemon for the schema of a command. It returns nil if there is no schema, as with the daemons
// of Kea. steer then decides by the syntax of the values alone.
func propertyTypes(ctx context.Context, dialer transport.Dialer, command string) map[string]propertyType {
	var description struct {
		Arguments struct {
			Properties map[string]jsontext.Value `json:"properties"`
		} `json:"arguments"`
	}
	if ask(ctx, dialer, &description, "describe-command", map[string]string{"command": command}) != nil {
		return nil
	}
	types := map[string]propertyType{}
	for name, schema := range description.Arguments.Properties {
		var property struct {
			Type jsontext.Value `json:"type"`
		}
		_ = json.Unmarshal(schema, &property)
		var kinds []string
		if json.Unmarshal(property.Type, &kinds) != nil {
			kinds = make([]string, 1)
			_ = json.Unmarshal(property.Type, &kinds[0])
		}
		types[name] = propertyType{text: slices.Contains(kinds, "string"), null: slices.Contains(kinds, "null")}
	}
	return types
}

func readJSON(name string, r io.Reader) (wire.Value, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxInput:
		return nil, fmt.Errorf("%s is longer than %d bytes", name, maxInput)
	case strings.TrimSpace(string(text)) == "":
		return nil, fmt.Errorf("%s is empty", name)
	}
	return checkJSON(name, text)
}

func checkJSON(name string, text []byte) (wire.Value, error) {
	text = blankComments(text)
	if _, err := wire.ParseRaw(text); err != nil {
		why := err.Error()
		if rerr, ok := errors.AsType[*wire.Error](err); ok {
			why = strings.ReplaceAll(rerr.Text, "<wire>", "<"+name+">")
		}
		return nil, fmt.Errorf("%s: not JSON: %s", name, why)
	}
	return text, nil
}
