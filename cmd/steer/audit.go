package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/spf13/cobra"
)

// auditCommand returns "steer audit", which reads the audit file of a daemon.
func auditCommand(stdout io.Writer) *cobra.Command {
	cmd := parentCommand("audit", "Read and verify the audit file of a daemon.", `Read the audit file of a daemon, which [audit] in its configuration names. It has one
record for each command: the principal, the command, the time and the result. The daemon
may write to it at the same time.`)
	cmd.AddCommand(auditVerify(stdout), auditShow(stdout))
	return cmd
}

func auditVerify(stdout io.Writer) *cobra.Command {
	var head string
	cmd := &cobra.Command{
		Use:   "verify FILE…",
		Short: "Check that no record was changed, removed or inserted.",
		Long: `Check that no record was changed, removed or inserted. Give the rotated files too, the
oldest first. Files can be compressed with gzip; - is standard input. The command prints
the head of the log. Store the head on another machine, and give it later with --head:
this proves that the records up to the head are the same. Without a stored head, verify
does not find a change by a program that can write the log and its head file.

Exit status: 0 the log is whole; 1 it was changed, or a file cannot be read; 3 a file
has no records; 4 the chain is valid, but some places are in doubt: a crash, a power cut
and a deletion by hand leave the same files there. Each place is printed.`,
		Example: `  steer audit verify run/audit.jsonl.2.gz run/audit.jsonl.1 run/audit.jsonl
  steer audit verify run/audit.jsonl --head "$(cat noted)"
  xz -dc audit.jsonl.3.xz | steer audit verify -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			for i, file := range args {
				if file == "-" {
					args[i] = "/dev/stdin"
				}
			}
			summary, err := verifyAudit(head, args)
			verdict, ok := record.VerdictOf(&summary, err)
			switch {
			case !ok || verdict == record.Changed:
				return err
			case verdict == record.NoRecords:
				return &statusError{int(wire.CodeEmpty), err}
			}
			if err := printSummary(stdout, &summary); err != nil || verdict == record.Whole {
				return err
			}
			return &statusError{int(wire.CodeConflict), fmt.Errorf("the chain is valid, but in doubt from record %d on", summary.Doubts[0].Seq)}
		},
	}
	cmd.Flags().StringVar(&head, "head", "", "a head that verify printed before: `NUMBER HASH`")
	return cmd
}

// A statusError is an error with the exit status of the program.
type statusError struct {
	status int
	error
}

// Unwrap returns the error.
func (e *statusError) Unwrap() error { return e.error }

// verifyAudit verifies the files of a log, and compares them with the stored head unless head is empty.
func verifyAudit(head string, files []string) (record.Summary, error) {
	if head == "" {
		return record.VerifyFiles(files...)
	}
	noted, err := record.ParseHead(strings.TrimPrefix(head, "head ")) // printSummary writes this prefix
	if err != nil {
		return record.Summary{}, err
	}
	return record.VerifyNoted(noted, files...)
}

// printSummary prints the number of records in a log, its doubts, its gaps and its head.
func printSummary(w io.Writer, s *record.Summary) error {
	var b strings.Builder
	state := "whole and in order"
	if s.Verdict() == record.InDoubt {
		state = "in order, with places in doubt"
	}
	fmt.Fprintf(&b, "%d records, %d to %d, from %s to %s: %s\n", s.Records, s.First.Seq, s.Last.Seq, formatTime(&s.First), formatTime(&s.Last), state)
	for _, doubt := range s.Doubts {
		fmt.Fprintln(&b, doubt)
	}
	if s.MoreDoubts > 0 {
		fmt.Fprintf(&b, "and %d more places in doubt\n", s.MoreDoubts)
	}
	if s.First.Seq > 1 {
		fmt.Fprintf(&b, "the records before %d are in other files, or missing\n", s.First.Seq)
	}
	if s.Lost > 0 {
		fmt.Fprintf(&b, "%d records could not be written (event gap)\n", s.Lost)
	}
	if s.Suppressed > 0 {
		fmt.Fprintf(&b, "%d refusals have no record of their own (event suppressed)\n", s.Suppressed)
	}
	if s.Torn > 0 {
		fmt.Fprintf(&b, "%d bytes at the end of a file are not a whole record: a crash left them, or the daemon is writing one\n", s.Torn)
	}
	fmt.Fprintf(&b, "head %s\n", s.Head)
	_, err := io.WriteString(w, escapeControl(b.String()))
	return err
}

func auditShow(stdout io.Writer) *cobra.Command {
	var filter auditFilter
	cmd := &cobra.Command{
		Use:   "show FILE [NUMBER]",
		Short: "Print records, or one record and the command line that repeats its command.",
		Example: `  steer audit show run/audit.jsonl --principal user:ann --since 24h
  steer audit show run/audit.jsonl 42`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if filter.notBefore, err = parseSince(filter.since, time.Now()); err != nil {
				return err
			}
			if len(args) == 2 {
				if filter.seq, err = strconv.ParseUint(args[1], 10, 64); err != nil || filter.seq == 0 {
					return fmt.Errorf("%q is not the number of a record; write one such as 42", args[1])
				}
			}
			f, err := record.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			return filter.print(stdout, cmd.ErrOrStderr(), f)
		},
	}
	cmd.Flags().StringVar(&filter.principal, "principal", "", "only records of this principal, such as uid:1000")
	cmd.Flags().StringVar(&filter.command, "command", "", "only records of this command")
	cmd.Flags().StringVar(&filter.since, "since", "", "only records since a time: 90m or 30d ago, 2027-01-01 (UTC) or 2027-01-01T12:00:00Z")
	cmd.Flags().BoolVar(&filter.json, "json", false, "print records in the format of the file")
	return cmd
}

// An auditFilter selects the records that "steer audit show" prints, and their format.
type auditFilter struct {
	principal, command, since string

	notBefore time.Time
	seq       uint64 // the number of the only record; 0: all records
	json      bool
}

// matches reports whether a record is selected.
func (q *auditFilter) matches(e *record.Entry) bool {
	return (q.seq == 0 || e.Seq == q.seq) &&
		(q.principal == "" || e.Principal == q.principal) && (q.command == "" || e.Command == q.command) && !e.Time.Before(q.notBefore)
}

// print prints the selected records. It reports lines that are not records to stderr and continues.
func (q *auditFilter) print(stdout, stderr io.Writer, r io.Reader) error {
	found := false
	for e, err := range record.Read(r) {
		if lineErr, ok := errors.AsType[*record.LineError](err); ok {
			fmt.Fprintln(stderr, "steer:", escapeControl(lineErr.Error()))
			continue
		}
		if err != nil {
			return err
		}
		if !q.matches(&e) {
			continue
		}
		found = true
		text := formatEntry(&e)
		if q.json {
			text = string(e.Append(nil))
		}
		if q.seq > 0 && !q.json {
			text += "\n" + repeatCommand(&e)
		}
		if _, err := io.WriteString(stdout, escapeControl(text)+"\n"); err != nil {
			return err
		}
	}
	if q.seq > 0 && !found {
		return fmt.Errorf("the file has no record %d", q.seq)
	}
	return nil
}

// parseSince parses --since. An empty text yields the zero time.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if since, ok := parseTimeOrOffset(text, now, -1); ok && !since.After(now) {
		return since, nil
	}
	return time.Time{}, fmt.Errorf("--since %q is not a time in the past; write one such as 90m, 30d, 2027-01-01 or 2027-01-01T12:00:00Z", text)
}

// formatTime returns the time of a record, in UTC.
func formatTime(e *record.Entry) string { return e.Time.UTC().Format("2006-01-02T15:04:05.000000Z") }

// formatEntry returns a record as one line of text for people.
func formatEntry(e *record.Entry) string {
	words := []string{strconv.FormatUint(e.Seq, 10), formatTime(e), string(e.Event)}
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if e.Principal != "" {
		add("%s", e.Principal)
	}
	if e.Claim != "" {
		add("claimed to be %q", e.Claim)
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
		add("after %d bytes that a crash left", e.Torn)
	}
	if e.MissingSince > 0 {
		add("the records from %d on are missing", e.MissingSince)
	}
	if e.Text != "" {
		add("%s", e.Text)
	}
	text := strings.Join(words, "  ")
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(text) // a name may contain them
}

// repeatCommand returns the command line that sends the command of a record again, or the reason why there is none. A
// command with a name that is not valid did not exist.
func repeatCommand(e *record.Entry) string {
	switch {
	case e.Command == "":
		return "The record has no command."
	case !wire.ValidName(e.Command):
		return "No command has this name, so it cannot be repeated."
	case e.Arguments == nil && !e.Digest.IsZero():
		return fmt.Sprintf("The arguments of %s were not recorded, only their SHA-256: %s", e.Command, e.Digest)
	}
	words := []string{"steer"}
	if url := listenerURL(e); url != "" {
		words = append(words, "-s", shellQuote(url))
	}
	words = append(words, e.Command)
	switch {
	case e.Arguments == nil:
		return strings.Join(words, " ")
	case e.Arguments[0] == '{' || e.Arguments[0] == '[':
		return strings.Join(append(words, shellQuote(string(e.Arguments))), " ")
	}
	return "echo " + shellQuote(string(e.Arguments)) + " | " + strings.Join(append(words, "-"), " ")
}

// listenerURL returns the URL of the listener that received a command. It returns "" if the listener's name in the
// record is not an address.
func listenerURL(e *record.Entry) string {
	switch {
	case e.Transport == "unix" && strings.HasPrefix(e.Listener, "/"):
		return targets.UnixURL(e.Listener)
	case e.Transport == "unix" || !hostPortPattern.MatchString(e.Listener):
		return ""
	}
	return e.Transport + "://" + e.Listener
}

var hostPortPattern = regexp.MustCompile(`^(\[[0-9a-fA-F:.%a-z]+\]|[0-9A-Za-z.-]+):[0-9]+$`)

// shellQuote returns a text quoted as one word of a shell command line.
func shellQuote(text string) string {
	if shellPlainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

var shellPlainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)
