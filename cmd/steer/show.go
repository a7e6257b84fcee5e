package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A shownReply is a reply as show prints it: with the members that came. Arguments and the error's data are as the
// daemon wrote them, since Kea's daemons may send numbers that wire.AppendReply refuses.
type shownReply struct {
	ID        wire.ID     `json:"id,omitzero"`
	Result    wire.Code   `json:"result"`
	Text      string      `json:"text,omitempty"`
	Arguments any         `json:"arguments,omitzero"`
	Error     *wire.Error `json:"error,omitzero"`
	More      bool        `json:"more,omitzero"`
}

// show prints a reply: as JSON with indentation, or raw, on one line.
func show(stdout io.Writer, reply wire.Reply, raw bool) error {
	text, err := json.Marshal(shownReply{reply.ID, reply.Code, reply.Text, reply.Arguments, reply.Error, reply.More})
	if err != nil {
		return err
	}
	return printJSON(stdout, text, raw)
}

// showArguments prints the arguments of a reply, if it has any, and nothing else: they can be given to the
// next command. The reply of a failed command has none; showArguments prints it whole to stderr.
func showArguments(stdout, stderr io.Writer, reply wire.Reply, raw bool) error {
	if reply.Code.Failed() {
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
	_, err := io.WriteString(stdout, string(value)+"\n")
	return err
}

// A terminalWriter writes what it is given with printable. Everything that steer prints goes through one: a
// daemon, a file or a command line may have chosen the text. Each Write has whole characters.
type terminalWriter struct{ w io.Writer }

func (t terminalWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(t.w, printable(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// oneLine is printable for a text that stands on one line: a daemon cannot begin another with it.
func oneLine(text string) string {
	return printable(strings.NewReplacer("\n", `\n`, "\t", " ").Replace(text))
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
