package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json/jsontext"
)

// maxInput is the longest JSON text that is read from a file or standard input, in bytes.
const maxInput = 64 << 20

// parseArguments makes a command's arguments of what stands behind its name.
func parseArguments(args []string, stdin io.Reader) (wire.Value, error) {
	if len(args) == 0 {
		return nil, nil
	}
	if first := args[0]; len(args) == 1 {
		switch {
		case first == "-" || first == "@-":
			return readJSON("standard input", stdin)
		case strings.HasPrefix(first, "@"):
			f, err := os.Open(first[1:])
			if err != nil {
				return nil, err
			}
			defer f.Close()
			return readJSON(first[1:], f)
		case strings.HasPrefix(first, "{") || strings.HasPrefix(first, "["):
			return checkJSON("the arguments", []byte(first))
		}
	}
	named := make(map[string]jsontext.Value, len(args))
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is no NAME=VALUE; whole JSON texts, @FILE and - stand alone", arg)
		}
		if _, twice := named[name]; twice {
			return nil, fmt.Errorf("%q is given twice", name)
		}
		named[name] = parseValue(value)
	}
	return client.Arguments(named)
}

// parseValue takes JSON as JSON, and anything else as a string.
func parseValue(text string) jsontext.Value {
	if wire.Value(text).Valid() {
		return jsontext.Value(text)
	}
	quoted, _ := jsontext.AppendQuote(nil, strings.ToValidUTF8(text, "\ufffd"))
	return quoted
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
	if _, err := wire.ParseRaw(text); err != nil {
		why := err.Error()
		if bad, ok := errors.AsType[*wire.Error](err); ok {
			why = strings.ReplaceAll(bad.Text, "<wire>", "<"+name+">")
		}
		return nil, fmt.Errorf("%s: no JSON: %s", name, why)
	}
	return text, nil
}
