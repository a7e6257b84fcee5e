package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/spf13/cobra"
)

// auditCommand returns "steer audit", which reads the record that a daemon keeps.
func auditCommand(stdout io.Writer) *cobra.Command {
	cmd := group("audit", "Read and verify the record of who did what.", `Read the audit file of a daemon, which its [audit] names: who did what through the
channel, when, and with which result. A daemon may write to it meanwhile.`)
	cmd.AddCommand(auditVerify(stdout), auditShow(stdout))
	return cmd
}

func auditVerify(stdout io.Writer) *cobra.Command {
	var head string
	cmd := &cobra.Command{
		Use:   "verify FILE…",
		Short: "Check that no record was changed, removed or inserted.",
		Long: `Check that no record was changed, removed or inserted. Give the files that rotation
made too, the oldest first. Files can be compressed with gzip; - is standard input.
What is printed as the head, noted on another machine and given with --head, proves
later that the records up to there are the same. Without a noted head, a change by a
program that can write the log and its head file is not found.

Exit status: 0 the log is whole; 1 it was changed, or a file cannot be read; 3 a file
has no records; 4 the chain holds, and places are in doubt: there a crash, a power cut
and a cut by hand leave the same files. Each place is printed.`,
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
			if err := showSummary(stdout, &summary); err != nil || verdict == record.Whole {
				return err
			}
			return &statusError{int(wire.CodeConflict), fmt.Errorf("the chain holds, and is in doubt from record %d on", summary.Doubts[0].Seq)}
		},
	}
	cmd.Flags().StringVar(&head, "head", "", "a head that was printed earlier: `NUMBER HASH`")
	return cmd
}

// A statusError is an error with the exit status that it asks for.
type statusError struct {
	status int
	error
}

// Unwrap returns the error.
func (e *statusError) Unwrap() error { return e.error }

// verifyAudit checks a log, and the head that was noted, if one was.
func verifyAudit(head string, files []string) (record.Summary, error) {
	if head == "" {
		return record.VerifyFiles(files...)
	}
	noted, err := record.ParseHead(strings.TrimPrefix(head, "head ")) // as it was printed
	if err != nil {
		return record.Summary{}, err
	}
	return record.VerifyNoted(noted, files...)
}

// showSummary prints what a log has, and what is in doubt.
func showSummary(w io.Writer, s *record.Summary) error {
	var b strings.Builder
	state := "whole and in order"
	if s.Verdict() == record.InDoubt {
		state = "in order, with places in doubt"
	}
	fmt.Fprintf(&b, "%d records, %d to %d, from %s to %s: %s\n", s.Records, s.First.Seq, s.Last.Seq, at(&s.First), at(&s.Last), state)
	for _, doubt := range s.Doubts {
		fmt.Fprintln(&b, doubt)
	}
	if s.MoreDoubts > 0 {
		fmt.Fprintf(&b, "and %d more places in doubt\n", s.MoreDoubts)
	}
	if s.First.Seq > 1 {
		fmt.Fprintf(&b, "the records before %d are in other files, or gone\n", s.First.Seq)
	}
	if s.Lost > 0 {
		fmt.Fprintf(&b, "%d records could not be written at their time (event gap)\n", s.Lost)
	}
	if s.Suppressed > 0 {
		fmt.Fprintf(&b, "%d refusals have no record of their own (event suppressed)\n", s.Suppressed)
	}
	if s.Torn > 0 {
		fmt.Fprintf(&b, "%d bytes at an end are no whole record: a crash has left them, or it is being written\n", s.Torn)
	}
	fmt.Fprintf(&b, "head %s\n", s.Head)
	_, err := io.WriteString(w, printable(b.String()))
	return err
}

func auditShow(stdout io.Writer) *cobra.Command {
	var q auditQuery
	cmd := &cobra.Command{
		Use:   "show FILE [NUMBER]",
		Short: "Print records, or one and the command line that repeats it.",
		Example: `  steer audit show run/audit.jsonl --principal user:ann --since 24h
  steer audit show run/audit.jsonl 42`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if q.from, err = parseSince(q.since, time.Now()); err != nil {
				return err
			}
			if len(args) == 2 {
				if q.number, err = strconv.ParseUint(args[1], 10, 64); err != nil || q.number == 0 {
					return fmt.Errorf("%q is no number of a record; write one like 42", args[1])
				}
			}
			f, err := record.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			return q.show(stdout, cmd.ErrOrStderr(), f)
		},
	}
	cmd.Flags().StringVar(&q.principal, "principal", "", "only records of this principal, such as uid:1000")
	cmd.Flags().StringVar(&q.command, "command", "", "only records of this command")
	cmd.Flags().StringVar(&q.since, "since", "", "only records since then: 90m or 30d ago, or 2027-01-01 (UTC) or 2027-01-01T12:00:00Z")
	cmd.Flags().BoolVar(&q.json, "json", false, "print records as they stand in the file")
	return cmd
}

// An auditQuery says which records are wanted, and how.
type auditQuery struct {
	principal, command, since string

	from   time.Time
	number uint64 // the only one; 0: all
	json   bool
}

func (q *auditQuery) wants(e *record.Entry) bool {
	return (q.number == 0 || e.Seq == q.number) &&
		(q.principal == "" || e.Principal == q.principal) && (q.command == "" || e.Command == q.command) && !e.Time.Before(q.from)
}

// show prints the records that are wanted. Lines that are none are for verify to judge.
func (q *auditQuery) show(stdout, stderr io.Writer, r io.Reader) error {
	found := false
	for e, err := range record.Read(r) {
		if bad, ok := errors.AsType[*record.LineError](err); ok {
			fmt.Fprintln(stderr, "steer:", printable(bad.Error()))
			continue
		}
		if err != nil {
			return err
		}
		if !q.wants(&e) {
			continue
		}
		found = true
		text := readable(&e)
		if q.json {
			text = string(e.Append(nil))
		}
		if q.number > 0 && !q.json {
			text += "\n" + repeated(&e)
		}
		if _, err := io.WriteString(stdout, printable(text)+"\n"); err != nil {
			return err
		}
	}
	if q.number > 0 && !found {
		return fmt.Errorf("there is no such record %d in the file", q.number)
	}
	return nil
}

// parseSince reads --since. The zero time is the beginning.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, ok := parseMoment(text, now, -1); ok && !at.After(now) {
		return at, nil
	}
	return time.Time{}, fmt.Errorf("--since %q is no time that has been; write one like 90m, 30d, 2027-01-01 or 2027-01-01T12:00:00Z", text)
}
