package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json/jsontext"
)

// show prints a reply: as JSON with indentation, or raw, on one line. Its arguments are shown as they
// came, since Kea may send numbers that we may not.
func show(stdout io.Writer, reply wire.Reply, raw bool) error {
	arguments, _ := reply.Arguments.(wire.Value)
	reply.Arguments = nil
	text, err := wire.AppendReply(nil, reply)
	if err != nil {
		return err
	}
	if arguments != nil {
		text = fmt.Appendf(text[:len(text)-1], `,"arguments":%s}`, arguments)
	}
	return printJSON(stdout, text, raw)
}

// showArguments prints the arguments of a reply, if it has any, and nothing else: they can be given to the
// next command. What they are if the command has failed is nothing to go on with.
func showArguments(stdout, stderr io.Writer, reply wire.Reply, raw bool) error {
	if code := reply.Code; code != wire.CodeSuccess && code != wire.CodeEmpty {
		return show(stderr, reply, raw)
	}
	arguments, _ := reply.Arguments.(wire.Value)
	if arguments == nil {
		return nil
	}
	return printJSON(stdout, slices.Clone(arguments), raw)
}

// printJSON prints JSON that may be changed.
func printJSON(stdout io.Writer, text []byte, raw bool) error {
	value := jsontext.Value(text)
	layout := []jsontext.Options{jsontext.PreserveRawStrings(false)}
	if !raw {
		layout = append(layout, jsontext.WithIndent("  "))
	}
	if err := value.Format(layout...); err != nil {
		return err
	}
	_, err := io.WriteString(stdout, printable(string(value))+"\n")
	return err
}

// printable writes control and formatting characters, which could drive the terminal of whoever
// reads them, as JSON escapes. In JSON they stand in strings only, where that changes nothing.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || r == '\t' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
