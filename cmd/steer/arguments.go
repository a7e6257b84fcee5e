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

// A commandLine is what stands behind the name of a command: one JSON text, or pairs.
type commandLine struct {
	whole wire.Value
	pairs []pair
}

// A pair is NAME=VALUE as it was typed.
type pair struct{ name, text string }

// parseArguments reads what stands behind the name of a command.
func parseArguments(args []string, stdin io.Reader) (line commandLine, err error) {
	if len(args) == 1 {
		switch first := args[0]; {
		case first == "-" || first == "@-":
			line.whole, err = readJSON("standard input", stdin)
			return line, err
		case strings.HasPrefix(first, "@"):
			f, err := os.Open(first[1:])
			if err != nil {
				return line, err
			}
			defer f.Close()
			line.whole, err = readJSON(first[1:], f)
			return line, err
		case isText(first):
			line.whole, err = checkJSON("the arguments", []byte(first))
			return line, err
		}
	}
	seen := map[string]bool{}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return line, fmt.Errorf("%q is no NAME=VALUE; whole JSON texts, @FILE and - stand alone", arg)
		}
		if seen[name] {
			return line, fmt.Errorf("%q is given twice", name)
		}
		seen[name] = true
		line.pairs = append(line.pairs, pair{name, value})
	}
	return line, nil
}

// isText reports whether an argument that stands alone is a JSON text: a map or a list, with comments before it
// or without.
func isText(arg string) bool {
	for _, begin := range []string{"{", "[", "#", "//", "/*"} {
		if strings.HasPrefix(arg, begin) {
			return true
		}
	}
	return false
}

// needsTypes reports whether a VALUE can be a string or something else, so that the command's schema decides.
func (l *commandLine) needsTypes() bool {
	for _, p := range l.pairs {
		if value, ok := parseValue(p.text); ok && value.Kind() != '"' {
			return true
		}
	}
	return false
}

// arguments returns the arguments of the request; nil if there are none. A VALUE that is JSON is taken as
// JSON, unless types says that the argument is a string. Any other VALUE is a string.
func (l *commandLine) arguments(types map[string]argumentType) (wire.Value, error) {
	if len(l.pairs) == 0 {
		return l.whole, nil
	}
	named := make(map[string]jsontext.Value, len(l.pairs))
	for _, p := range l.pairs {
		value, ok := parseValue(p.text)
		is := types[p.name]
		kind := value.Kind()
		if !ok || is.text && kind != '"' && (kind != 'n' || !is.null) {
			value, _ = jsontext.AppendQuote(nil, strings.ToValidUTF8(p.text, "\ufffd"))
		}
		named[p.name] = value
	}
	return client.Arguments(named)
}

// parseValue returns a VALUE that is JSON. Comments are allowed inside of maps and lists.
func parseValue(text string) (value jsontext.Value, ok bool) {
	value = jsontext.Value(text)
	if !wire.Value(value).Valid() && strings.IndexAny(text, "{[") == 0 {
		value = withoutComments([]byte(text))
	}
	return value, wire.Value(value).Valid()
}

// withoutComments returns a map or a list with spaces in place of its comments, as the daemon reads them
// from the wire. A text that cannot be read so is returned as it is. Places in the text stay the same.
func withoutComments(text []byte) []byte {
	blanked := slices.Clone(text)
	if _, err := transport.Frame(blanked); err != nil {
		return text
	}
	return blanked
}

// An argumentType says which JSON an argument may be, as far as steer must know.
type argumentType struct{ text, null bool }

// argumentTypes asks the daemon for the schema of a command. It returns nil if there is none, as of a daemon of
// Kea's: steer then goes by the look of the values alone.
func argumentTypes(ctx context.Context, dialer transport.Dialer, command string) map[string]argumentType {
	var about struct {
		Arguments struct {
			Properties map[string]jsontext.Value `json:"properties"`
		} `json:"arguments"`
	}
	if ask(ctx, dialer, &about, "describe-command", map[string]string{"command": command}) != nil {
		return nil
	}
	types := map[string]argumentType{}
	for name, schema := range about.Arguments.Properties {
		var property struct {
			Type jsontext.Value `json:"type"`
		}
		_ = json.Unmarshal(schema, &property)
		var kinds []string
		if json.Unmarshal(property.Type, &kinds) != nil {
			kinds = make([]string, 1)
			_ = json.Unmarshal(property.Type, &kinds[0])
		}
		types[name] = argumentType{text: slices.Contains(kinds, "string"), null: slices.Contains(kinds, "null")}
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
	text = withoutComments(text)
	if _, err := wire.ParseRaw(text); err != nil {
		why := err.Error()
		if bad, ok := errors.AsType[*wire.Error](err); ok {
			why = strings.ReplaceAll(bad.Text, "<wire>", "<"+name+">")
		}
		return nil, fmt.Errorf("%s: no JSON: %s", name, why)
	}
	return text, nil
}
