package record_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/audit/record"

	"github.com/stretchr/testify/require"
)

// A chain makes valid logs.
type chain struct {
	text []byte
	last record.Head
}

func (c *chain) add(e record.Entry) {
	e.Seq, e.Prev = c.last.Seq+1, c.last.Hash
	e.Time = time.Date(2026, 11, 22, 12, 0, int(e.Seq), 0, time.UTC)
	start := len(c.text)
	c.text = e.Append(c.text)
	c.last = record.Head{Seq: e.Seq, Hash: sha256.Sum256(c.text[start:])}
	c.text = append(c.text, '\n')
}

// newLog returns a log with n records.
func newLog(n int) *chain {
	var c chain
	c.add(record.Entry{Event: record.Opened})
	for i := range n - 1 {
		c.add(record.Entry{Event: record.Outcome, Principal: "uid:1000", Command: "lease-add", Access: "write",
			Arguments: fmt.Appendf(nil, `{"n":%d}`, i), Result: 1, Duration: time.Millisecond})
	}
	return &c
}

func TestValidLogsAreWhole(t *testing.T) {
	log := newLog(5)
	s, err := record.Verify(bytes.NewReader(log.text), &log.last)
	require.NoError(t, err)
	require.Equal(t, 5, s.Records)
	require.EqualValues(t, 1, s.First.Seq)
	require.EqualValues(t, 5, s.Last.Seq)
	require.Equal(t, log.last, s.Head)
	require.True(t, s.Compared)

	_, err = record.Verify(strings.NewReader(""), nil)
	require.EqualError(t, err, "no records: it is empty")

	lines := bytes.SplitAfter(log.text, []byte("\n"))
	middle := slices.Concat(lines[2:]...)
	s, err = record.Verify(bytes.NewReader(middle), &log.last)
	require.NoError(t, err)
	require.EqualValues(t, 3, s.First.Seq)
}

// Verify finds each kind of edit, and names its place.
func TestVerifyFindsEdits(t *testing.T) {
	log := newLog(6)
	line := bytes.SplitAfter(log.text, []byte("\n"))
	edited := bytes.Replace(line[2], []byte("uid:1000"), []byte("uid:1001"), 1)
	forged := bytes.Replace(line[2], []byte(`"seq":3`), []byte(`"seq":4`), 1)
	junk := []byte("a note\n")
	for name, c := range map[string]struct {
		lines [][]byte
		says  string
	}{
		"edited":            {[][]byte{line[0], line[1], edited, line[3], line[4], line[5]}, "line 3 (record 3): record 4 does not belong behind it; one of the two was changed"},
		"the last edited":   {[][]byte{line[0], line[1], edited}, "at its end (record 3): it is not the record that was written"},
		"missing":           {[][]byte{line[0], line[3], line[4], line[5]}, "line 2 (record 4): the records 2 to 3 are missing before it"},
		"another order":     {[][]byte{line[0], line[2], line[1], line[3], line[4], line[5]}, "line 2 (record 3): the records 2 to 2 are missing before it"},
		"twice":             {[][]byte{line[0], line[1], line[1], line[2]}, "line 3 (record 2): it stands behind record 2, where 3 belongs"},
		"put in":            {[][]byte{line[0], line[1], line[2], forged, line[3], line[4]}, "line 3 (record 3): record 4 does not belong behind it"},
		"a note":            {[][]byte{line[0], line[1], junk, line[2], line[3]}, "line 3: it is no record: "},
		"a note first":      {[][]byte{junk, line[0], line[1]}, "line 1: it is no record: "},
		"cut at the end":    {[][]byte{line[0], line[1], line[2]}, "at its end (record 3): there were records up to 6, and those after 3 were cut off"},
		"cut in a line":     {[][]byte{line[0], line[1], line[2][:90]}, "at its end (record 2): there were records up to 6"},
		"an empty line":     {[][]byte{line[0], []byte("\n"), line[1]}, "line 2: it is no record: "},
		"white space":       {[][]byte{line[0], append([]byte(" "), line[1]...)}, "at its end (record 1): there were"},
		"a very long line":  {[][]byte{line[0], bytes.Repeat([]byte("x"), 3<<20), []byte("\n"), line[1]}, "line 2: it is longer than 65536 bytes"},
		"many wrong lines":  {[][]byte{line[0], bytes.Repeat([]byte("x\n"), 1<<20), line[1]}, "line 2: it is no record"},
		"a first of others": {[][]byte{bytes.Replace(line[2], []byte(`"seq":3`), []byte(`"seq":1`), 1)}, "line 1 (record 1): it is the first record, and has the hash of a record before"},
	} {
		t.Run(name, func(t *testing.T) {
			head := log.last
			if strings.HasPrefix(name, "the last") {
				head = record.Head{Seq: 3, Hash: sha256.Sum256(bytes.TrimSpace(line[2]))}
			}
			_, err := record.Verify(bytes.NewReader(slices.Concat(c.lines...)), &head)
			require.ErrorContains(t, err, c.says)
			var problem *record.ChainError
			require.ErrorAs(t, err, &problem)
		})
	}
}

// Verify finds every change, removal and insertion of a single byte.
func TestVerifyFindsEveryChangedByte(t *testing.T) {
	log := newLog(4)
	holds := func(text []byte) bool {
		_, err := record.Verify(bytes.NewReader(text), &log.last)
		return err == nil
	}
	require.True(t, holds(log.text))
	for i := range log.text {
		for _, b := range []byte{log.text[i] ^ 1, log.text[i] ^ 0x20, '\n', ' ', '"', 0xff} {
			if b == log.text[i] {
				continue
			}
			changed := bytes.Clone(log.text)
			changed[i] = b
			require.False(t, holds(changed), "byte %d is %q", i, b)
		}
		require.False(t, holds(slices.Delete(bytes.Clone(log.text), i, i+1)), "without byte %d", i)
		require.False(t, holds(slices.Insert(bytes.Clone(log.text), i, 'x')), "with a byte before %d", i)
	}
}

// Bytes that a crash has left are no error if the next opened record has their number.
func TestIncompleteRecordIsCoveredByTheNextOpenedRecord(t *testing.T) {
	for name, torn := range map[string]string{"one": `{"seq":4,"ti`, "two": "{\"seq\":4\n{\"se", "empty": "\n"} {
		t.Run(name, func(t *testing.T) {
			log := newLog(3)
			start := bytes.LastIndexByte(bytes.TrimSpace(log.text), '\n') + 1
			log.text = append(log.text, torn...)

			s, err := record.Verify(bytes.NewReader(log.text), &log.last)
			require.NoError(t, err)
			require.Equal(t, len(strings.TrimSuffix(torn, "\n")), s.Torn)

			log.last.Hash = sha256.Sum256(log.text[start:])
			log.text = append(log.text, '\n')
			log.add(record.Entry{Event: record.Opened, Torn: len(torn)})
			log.add(record.Entry{Event: record.Closed})
			_, err = record.Verify(bytes.NewReader(log.text), &log.last)
			require.NoError(t, err)

			for i := start; i < len(log.text); i++ {
				changed := bytes.Clone(log.text)
				changed[i] ^= 1
				_, err = record.Verify(bytes.NewReader(changed), &log.last)
				require.Error(t, err, "byte %d", i)
			}
		})
	}
}

// A log that was cut between two starts is in doubt, since its opened record has the missing number.
func TestMissingRecordsOfAnOpenedRecordAreADoubt(t *testing.T) {
	log := newLog(3)
	log.last.Seq = 7
	log.add(record.Entry{Event: record.Opened, MissingSince: 4})
	s, err := record.Verify(bytes.NewReader(log.text), &log.last)
	require.NoError(t, err)
	require.Len(t, s.Doubts, 1)
	require.Contains(t, s.Doubts[0].String(), "line 4: in doubt from record 4 on: the records 4 to 7 were missing when the daemon started")
}

func TestVerifyFilesChecksTheFilesAsOneChain(t *testing.T) {
	dir := t.TempDir()
	log := newLog(9)
	line := bytes.SplitAfter(log.text, []byte("\n"))
	write := func(name string, lines ...[]byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, slices.Concat(lines...), 0o600))
		return path
	}
	first, second := write("log.1", append(line[:4:4], []byte(`{"seq":5,`))...), write("log", line[4:]...)
	write("log.head", log.last.Append(nil))
	s, err := record.VerifyFiles(first, second)
	require.NoError(t, err)
	require.Equal(t, 9, s.Records)
	require.Equal(t, 9, s.Torn)

	s, err = record.VerifyFiles(first)
	require.NoError(t, err)
	require.False(t, s.Compared)

	_, err = record.VerifyFiles(second, first)
	require.ErrorContains(t, err, "log.1: line 1 (record 1): it stands behind record 9, where 10 belongs")
	write("log.1", line[:3]...)
	_, err = record.VerifyFiles(first, second)
	require.ErrorContains(t, err, "log: line 1 (record 5): the records 4 to 4 are missing before it")
	write("log.1", line[0], line[1], line[2], bytes.Replace(line[3], []byte("uid"), []byte("gid"), 1))
	_, err = record.VerifyFiles(first, second)
	require.ErrorContains(t, err, "record 5 does not belong behind it")
	write("log.head", []byte("nonsense"))
	_, err = record.VerifyFiles(first, second)
	require.ErrorContains(t, err, `"nonsense" is no head`)
	_, err = record.VerifyFiles(filepath.Join(dir, "nowhere"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestHeadIsParsedAndWritten(t *testing.T) {
	for _, h := range []record.Head{{}, {Seq: 1, Hash: record.Hash{1, 2, 3}}, {Seq: 1<<64 - 1, Hash: sha256.Sum256(nil)}} {
		text := h.Append(nil)
		require.Len(t, text, record.HeadSize)
		require.Equal(t, fmt.Sprintf("%020d %s\n", h.Seq, h.Hash), string(text))
		for _, text := range []string{string(text), h.String()} {
			again, err := record.ParseHead(text)
			require.NoError(t, err)
			require.Equal(t, h, again)
		}
	}
	for _, text := range []string{"", "1", "1 ", "x " + strings.Repeat("0", 64), "1 " + strings.Repeat("0", 63), "1 " + strings.Repeat("g", 64)} {
		_, err := record.ParseHead(text)
		require.Error(t, err, text)
	}
}
