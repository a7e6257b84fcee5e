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

// A printedReply is a reply as printReply prints it: with the members that the daemon sent. Arguments and the error's
// data are unchanged, because the daemons of Kea may send numbers that wire.AppendReply refuses.
type printedReply struct {
	ID        wire.ID     `json:"id,omitzero"`
	Result    wire.Code   `json:"result"`
	Text      string      `json:"text,omitempty"`
	Arguments any         `json:"arguments,omitzero"`
	Error     *wire.Error `json:"error,omitzero"`
	More      bool        `json:"more,omitzero"`
}

// printReply prints a reply: as JSON with indentation, or raw, on one line.
func printReply(stdout io.Writer, reply wire.Reply, raw bool) error {
	text, err := json.Marshal(printedReply{reply.ID, reply.Code, reply.Text, reply.Arguments, reply.Error, reply.More})
	if err != nil {
		return err
	}
	return printJSON(stdout, text, raw)
}

// printReplyArguments prints only the arguments of a reply, if it has any, so that another command can take them. It
// prints the whole reply of a failed command to stderr.
func printReplyArguments(stdout, stderr io.Writer, reply wire.Reply, raw bool) error {
	if reply.Code.Failed() {
		return printReply(stderr, reply, raw)
	}
	arguments, _ := reply.Arguments.(wire.Value)
	if arguments == nil {
		return nil
	}
	return printJSON(stdout, slices.Clone(arguments), raw)
}

// printJSON prints JSON with indentation, or on one line if raw is set. It may overwrite text.
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

// A terminalWriter passes text through escapeControl. All output of steer goes through one, because the text may come
// from a daemon, a file or a command line. A character must not be split between two calls of Write.
type terminalWriter struct{ w io.Writer }

// Write implements io.Writer.
// Write implements io.Writer.
func (t terminalWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(t.w, escapeControl(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// escapeLine is escapeControl for a text on one line. It replaces newlines too, so a daemon cannot start a new line.
func escapeLine(text string) string {
	return escapeControl(strings.NewReplacer("\n", `\n`, "\t", " ").Replace(text))
}

// escapeControl returns text with JSON escapes in place of control and formatting characters, because a terminal could
// interpret them. In JSON such characters occur only in strings, where an escape has the same meaning.
func escapeControl(text string) string {
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
