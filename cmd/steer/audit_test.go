package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/audit/record"

	"github.com/stretchr/testify/require"
)

// auditFile writes an audit file as a daemon does, and returns its path.
func auditFile(t *testing.T, entries ...record.Entry) string {
	t.Helper()
	var text []byte
	var last record.Head
	for i, e := range entries {
		e.Seq, e.Prev = last.Seq+1, last.Hash
		e.Time = time.Date(2026, 11, 22, 12, 0, i, 0, time.UTC)
		line := e.Append(nil)
		last = record.Head{Seq: e.Seq, Hash: sha256.Sum256(line)}
		text = append(append(text, line...), '\n')
	}
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	require.NoError(t, os.WriteFile(record.HeadFile(path), last.Append(nil), 0o600))
	return path
}

var auditEntries = []record.Entry{
	{Event: record.Opened},
	{Event: record.Intent, Principal: "uid:1000", Transport: "unix", Listener: "/run/it's/control.sock", Session: "unix-7",
		Command: "lease-add", Access: "write", Digest: record.Hash{1}, Arguments: []byte(`{"who":"ann's \u202e$HOME"}`)},
	{Event: record.Outcome, Principal: "uid:1000", Transport: "unix", Listener: "/run/it's/control.sock", Session: "unix-7", Intent: 2,
		Command: "lease-add", Access: "write", Digest: record.Hash{1}, Result: 4, Duration: 1500 * time.Microsecond},
	{Event: record.Outcome, Principal: "cert:ann", Transport: "tls", Address: "192.0.2.1:4711", Listener: "[::1]:7443", Session: "tls-8", Command: "list-commands", Access: "read"},
	{Event: record.Denied, Principal: "user:eve\x1b[2J", Transport: "https", Listener: "ops", Session: "https-9", Command: "x\n1  2026", Result: 403},
	{Event: record.LoginRefused, Claim: "ann", Transport: "wss", Address: "192.0.2.1:4711", Text: "unknown or wrong credentials"},
	{Event: record.Outcome, Principal: "self", Command: "log-level-set", Access: "write", Arguments: []byte(`7`)},
	{Event: record.Suppressed, Count: 12},
}

// runAudit runs "steer audit".
func runAudit(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out bytes.Buffer
	stderr, err = executeCommand(t, auditCommand(&out), args...)
	return out.String(), stderr, err
}

func TestAuditVerifyReportsStateAndHead(t *testing.T) {
	path := auditFile(t, auditEntries...)
	out, _, err := runAudit(t, "verify", path)
	require.NoError(t, err)
	require.Regexp(t, `^8 records, 1 to 8, from 2026-11-22T12:00:00.000000Z to 2026-11-22T12:00:07.000000Z: whole and in order
12 refusals have no record of their own \(event suppressed\)
head 8 [0-9a-f]{64}
$`, out)

	noted := strings.TrimSpace(out[strings.LastIndex(out, "head "):])
	_, _, err = runAudit(t, "verify", path, "--head", noted)
	require.NoError(t, err)
	other := auditFile(t, append([]record.Entry{{Event: record.Opened}}, auditEntries...)...)
	_, _, err = runAudit(t, "verify", other, "--head", noted)
	require.ErrorContains(t, err, "at its end (record 8): it is not the record that was written; it was changed, or the head is of another log")
	_, _, err = runAudit(t, "verify", path, "--head", "8")
	require.ErrorContains(t, err, `"8" is no head, which is a number and a SHA-256`)

	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, bytes.Replace(text, []byte("cert:ann"), []byte("cert:bob"), 1), 0o600))
	got := steer(t, "", "audit", "verify", path)
	require.Equal(t, result{"", "steer: audit.jsonl: line 4 (record 4): record 5 does not belong behind it; one of the two was changed\n", 1}, got)

	require.NoError(t, os.WriteFile(path, text[bytes.IndexByte(text, '\n')+1:], 0o600))
	require.NoError(t, os.Remove(record.HeadFile(path)))
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"seq":9`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	out, _, err = runAudit(t, "verify", path)
	require.EqualError(t, err, "the chain is valid, but in doubt from record 2 on")
	for _, line := range []string{
		"7 records, 2 to 8,", "in order, with places in doubt\n", "the records before 2 are in other files, or missing\n", "8 bytes at the end of a file are not a whole record",
		"audit.jsonl: line 1: in doubt from record 2 on: a file begins with an opened record, and this one does not",
		"audit.jsonl: at its end: in doubt from record 9 on: no head file says where it should end, so records may have been cut off there\n",
	} {
		require.Contains(t, out, line)
	}
}

// Scripts read the exit status.
func TestAuditVerifyExitStatusFollowsVerdict(t *testing.T) {
	path := auditFile(t, auditEntries...)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	rotated := path + ".1.gz"
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	cut := bytes.Index(text, []byte(`{"seq":4`))
	_, err = w.Write(text[:cut])
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(rotated, b.Bytes(), 0o600))
	config := filepath.Join(t.TempDir(), "config.toml")
	require.NoError(t, os.WriteFile(config, []byte("[audit]\nfile = \"x\"\n"), 0o600))

	got := steer(t, "", "audit", "verify", path)
	require.Equal(t, 0, got.status, got.stderr)

	require.NoError(t, os.WriteFile(path, text[cut:], 0o600))
	got = steer(t, "", "audit", "verify", rotated, path)
	require.Equal(t, 0, got.status, got.stderr)
	require.Contains(t, got.stdout, "8 records, 1 to 8,")

	got = steer(t, "", "audit", "verify", rotated)
	require.Equal(t, 4, got.status)
	require.Equal(t, "steer: the chain is valid, but in doubt from record 4 on\n", got.stderr)
	require.Contains(t, got.stdout, "no head file says where it should end")

	for _, file := range []string{config, "/bin/true", os.DevNull} {
		got = steer(t, "", "audit", "verify", file)
		require.Equal(t, 3, got.status, file)
		require.Contains(t, got.stderr, filepath.Base(file)+": no records: it is ")
		require.Empty(t, got.stdout)
	}

	require.NoError(t, os.WriteFile(path, bytes.Replace(text, []byte("cert:ann"), []byte("cert:bob"), 1), 0o600))
	got = steer(t, "", "audit", "verify", path)
	require.Equal(t, 1, got.status)
	got = steer(t, "", "audit", "verify", path+"-not-there")
	require.Equal(t, 1, got.status)

	out, _, err := runAudit(t, "show", rotated, "3")
	require.NoError(t, err)
	require.Contains(t, out, "3  2026-11-22T12:00:02.000000Z  outcome")
}

func TestAuditShowFiltersRecords(t *testing.T) {
	path := auditFile(t, auditEntries...)
	out, stderr, err := runAudit(t, "show", path)
	require.NoError(t, err)
	require.Empty(t, stderr)
	require.Equal(t, `1  2026-11-22T12:00:00.000000Z  opened
2  2026-11-22T12:00:01.000000Z  intent  uid:1000  by unix /run/it's/control.sock  lease-add  {"who":"ann's \u202e$HOME"}
3  2026-11-22T12:00:02.000000Z  outcome  uid:1000  by unix /run/it's/control.sock  lease-add  (intent 2)  result 4 (conflict) in 1.5ms
4  2026-11-22T12:00:03.000000Z  outcome  cert:ann  by tls 192.0.2.1:4711  list-commands  result 0 (success) in 0s
5  2026-11-22T12:00:04.000000Z  denied  user:eve\u001b[2J  by https ops  x\n1  2026  result 403 (forbidden) in 0s
6  2026-11-22T12:00:05.000000Z  login-refused  claimed to be "ann"  by wss 192.0.2.1:4711  unknown or wrong credentials
7  2026-11-22T12:00:06.000000Z  outcome  self  log-level-set  7  result 0 (success) in 0s
8  2026-11-22T12:00:07.000000Z  suppressed  12 without a record
`, out)

	for args, want := range map[string]string{
		"--principal uid:1000":           "2 3",
		"--command lease-add":            "2 3",
		"--principal self --command x":   "",
		"--since 2026-11-22T12:00:05Z":   "6 7 8",
		"--since 2026-11-22":             "1 2 3 4 5 6 7 8",
		"--command log-level-set --json": `{"seq":7,"time":"2026-11-22T12:00:06.000000Z","event":"outcome","principal":"self","command":"log-level-set","access":"write","arguments":7,"result":0,"duration":0.000000,"prev"`,
	} {
		out, _, err := runAudit(t, append([]string{"show", path}, strings.Fields(args)...)...)
		require.NoError(t, err)
		if strings.Contains(args, "--json") {
			require.Contains(t, out, want)
			continue
		}
		var numbers []string
		for line := range strings.Lines(out) {
			numbers = append(numbers, strings.Fields(line)[0])
		}
		require.Equal(t, want, strings.Join(numbers, " "), args)
	}
}

// The printed command line is run through a shell, and has the same arguments.
func TestAuditShowPrintsRepeatCommand(t *testing.T) {
	path := auditFile(t, auditEntries...)
	for number, want := range map[string]string{
		"1": "The record has no command.",
		"2": `steer -s unix:///run/it%27s/control.sock lease-add '{"who":"ann'\''s \u202e$HOME"}'`,
		"3": "The arguments of lease-add were not recorded, only their SHA-256: 01" + strings.Repeat("0", 62),
		"4": `steer -s 'tls://[::1]:7443' list-commands`,
		"5": "No command has this name, so it cannot be repeated.",
		"7": "echo 7 | steer log-level-set -",
	} {
		out, _, err := runAudit(t, "show", path, number)
		require.NoError(t, err)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		require.Len(t, lines, 2)
		require.Equal(t, want, lines[1])
		if rest, ok := strings.CutPrefix(want, "steer "); ok {
			words, err := exec.Command("sh", "-c", "printf '%s\\n' "+rest).Output()
			require.NoError(t, err)
			if number == "2" {
				require.Equal(t, "-s\nunix:///run/it%27s/control.sock\nlease-add\n{\"who\":\"ann's \\u202e$HOME\"}\n", string(words))
			}
		}
	}
}

func TestAuditWrongArguments(t *testing.T) {
	path := auditFile(t, auditEntries...)
	for args, want := range map[string]string{
		"":                               "a subcommand is missing; see steer audit --help",
		"verify":                         "requires at least 1 arg",
		"verify " + path + "x":           "no such file",
		"show " + path + " 9":            "the file has no record 9",
		"show " + path + " x":            `"x" is not the number of a record; write one such as 42`,
		"show " + path + " 0":            `"0" is not the number of a record`,
		"show " + path + " --since soon": `--since "soon" is not a time in the past`,
		"show " + path + " --since -1h":  `--since "-1h" is not a time in the past`,
	} {
		_, _, err := runAudit(t, strings.Fields(args)...)
		require.ErrorContains(t, err, want, args)
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append([]byte("a \x1b[2Jnote\n"), text...), 0o600))
	out, stderr, err := runAudit(t, "show", path)
	require.NoError(t, err)
	require.Equal(t, "steer: line 1: it is no record: it does not begin with {\"seq\":\n", stderr)
	require.Equal(t, 8, strings.Count(out, "\n"))
}
