package main

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/wire"
)

// at is when a record was made.
func at(e *record.Entry) string { return e.Time.UTC().Format("2006-01-02T15:04:05.000000Z") }

// readable writes a record for people, on one line.
func readable(e *record.Entry) string {
	words := []string{strconv.FormatUint(e.Seq, 10), at(e), string(e.Event)}
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if e.Principal != "" {
		add("%s", e.Principal)
	}
	if e.Claim != "" {
		add("who claimed to be %q", e.Claim)
	}
	if e.Transport != "" {
		add("%s", strings.TrimSpace("by "+e.Transport+" "+cmp.Or(e.Address, e.Listener)))
	}
	if e.Command != "" {
		add("%s", e.Command)
	}
	if e.Arguments != nil {
		add("%s", e.Arguments)
	}
	if e.Intent > 0 {
		add("(intent %d)", e.Intent)
	}
	if e.Event == record.Outcome || e.Event == record.Denied {
		add("result %d (%s) in %s", e.Result, e.Result, e.Duration.Round(time.Microsecond))
	}
	if e.Count > 0 {
		add("%d without a record", e.Count)
	}
	if e.Torn > 0 {
		add("behind %d bytes that a crash has left", e.Torn)
	}
	if e.MissingSince > 0 {
		add("the records from %d on are missing", e.MissingSince)
	}
	if e.Text != "" {
		add("%s", e.Text)
	}
	text := strings.Join(words, "  ")
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(text) // a name may have them in it
}

// repeated returns the command line that gives the command of a record again, or why there is none. A command whose
// name is not valid did not exist.
func repeated(e *record.Entry) string {
	switch {
	case e.Command == "":
		return "It is about no command."
	case !wire.ValidName(e.Command):
		return "There is no such command, so there is nothing to repeat."
	case e.Arguments == nil && !e.Digest.IsZero():
		return fmt.Sprintf("The arguments of %s were not recorded, only their SHA-256: %s", e.Command, e.Digest)
	}
	words := []string{"steer"}
	if url := urlOf(e); url != "" {
		words = append(words, "-s", quoted(url))
	}
	words = append(words, e.Command)
	switch {
	case e.Arguments == nil:
		return strings.Join(words, " ")
	case e.Arguments[0] == '{' || e.Arguments[0] == '[':
		return strings.Join(append(words, quoted(string(e.Arguments))), " ")
	}
	return "echo " + quoted(string(e.Arguments)) + " | " + strings.Join(append(words, "-"), " ")
}

// urlOf returns the way that a command came in, or nothing where the listener has a name and not an
// address.
func urlOf(e *record.Entry) string {
	switch {
	case e.Transport == "unix" && strings.HasPrefix(e.Listener, "/"):
		return targets.UnixURL(e.Listener)
	case e.Transport == "unix" || !hostPort.MatchString(e.Listener):
		return ""
	}
	return e.Transport + "://" + e.Listener
}

var hostPort = regexp.MustCompile(`^(\[[0-9a-fA-F:.%a-z]+\]|[0-9A-Za-z.-]+):[0-9]+$`)

// quoted writes a text as one word of a shell's command line.
func quoted(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)
