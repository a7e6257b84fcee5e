package record_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rudderpost/rudderpost/audit/record"

	"github.com/stretchr/testify/require"
)

// Names with the text of another record, an escape sequence or a change of direction are escaped.
func TestHostileNamesAreEscaped(t *testing.T) {
	for name, want := range map[string]string{
		"ann\n{\"seq\":1}":            `ann\u000a{\"seq\":1}`,
		"\x1b]0;owned\a":              `\u001b]0;owned\u0007`,
		"\u202egnp.exe":               `\u202egnp.exe`,
		"a\u2028b\u2029c\u0085d\x7fe": `a\u2028b\u2029c\u0085d\u007fe`,
		"\xff\xc0\xaf":                "\ufffd\ufffd\ufffd",
		`c:\ann "the man"`:            `c:\\ann \"the man\"`,
		"\U000e0041Ä😀":                `\udb40\udc41Ä😀`,
		strings.Repeat("a", 256):      strings.Repeat("a", 256),
		strings.Repeat("a", 257):      strings.Repeat("a", 253) + "…",
		strings.Repeat("ä", 129):      strings.Repeat("ä", 126) + "…",
		strings.Repeat("\xff", 200):   strings.Repeat("\ufffd", 84) + "…",
	} {
		e := record.Entry{Seq: 1, Event: record.Outcome, Principal: name, Command: name, Text: name}
		text := string(e.Append(nil))
		require.Equal(t, 3, strings.Count(text, `":"`+want+`"`), text)
		again, err := record.Parse([]byte(text))
		require.NoError(t, err)
		require.LessOrEqual(t, len(again.Command), record.MaxText)
	}
}

func TestAppendCompactRemovesWhiteSpace(t *testing.T) {
	for text, want := range map[string]string{
		" { \"a b\" :\t[ 1 , null ] ,\r\n\"c\" : \"\\\"  \\\\\" } ": `{"a b":[1,null],"c":"\"  \\"}`,
		"\"\u202e\x7f\\u202e\"": `"\u202e\u007f\u202e"`,
		`"\\"  `:                `"\\"`,
		`{"é😀":1.50e+3}`:        `{"é😀":1.50e+3}`,
		"\"\\":                  `"\`, // not well-formed: no more is asked than no panic
		"\"\\\xff\n":            "\"\\\ufffd" + `\u000a`,
	} {
		require.Equal(t, want, string(record.AppendCompact(nil, []byte(text))), text)
	}
}

// Parse accepts only the exact form of Append.
func TestParseIsStrict(t *testing.T) {
	log := newLog(2)
	good := strings.Split(string(log.text), "\n")[1]
	e, err := record.Parse([]byte(good))
	require.NoError(t, err)
	require.Equal(t, "uid:1000", e.Principal)
	require.Equal(t, time.Millisecond, e.Duration)
	require.Equal(t, good, string(e.Append(nil)))
	for old, replaced := range map[string]string{
		`{"seq":2,`:        `{"seq":02,`,
		`,"event"`:         `, "event"`,
		`"seq":2`:          `"Seq":2`,
		`"uid:1000"`:       `"\u0075id:1000"`,
		`"access":"write"`: `"access":"write","more":1`,
		`"command":`:       `"principal":`,
		`0.001000`:         `0.001`,
		`"result":1,`:      ``,
		`00Z`:              `00+00:00`,
		`"prev":"`:         `"prev":"0`,
		`{"n":0}`:          `{"n": 0}`,
	} {
		bad := strings.Replace(good, old, replaced, 1)
		require.NotEqual(t, good, bad, old)
		_, err := record.Parse([]byte(bad))
		require.Error(t, err, bad)
	}
}

func TestReadContinuesAfterAnInvalidLine(t *testing.T) {
	log := newLog(3)
	line := bytes.SplitAfter(log.text, []byte("\n"))
	text := bytes.Join([][]byte{line[0], []byte("a note\n"), line[1], line[2], []byte("{")}, nil)
	var said []string
	for e, err := range record.Read(iotest.OneByteReader(bytes.NewReader(text))) {
		if err != nil {
			said = append(said, strings.SplitAfter(err.Error(), "it is n")[0])
			continue
		}
		said = append(said, string(e.Event))
	}
	require.Equal(t, []string{"opened", "line 2: it is n", "outcome", "outcome", "line 5: it is n"}, said)

	broken := errors.New("broken")
	for _, err := range record.Read(io.MultiReader(bytes.NewReader(line[0]), iotest.ErrReader(broken))) {
		if err != nil {
			require.ErrorIs(t, err, broken)
		}
	}
}

func TestBackwardReturnsLinesFromTheEnd(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	for _, text := range []string{"", "a", "a\n", "\n", "a\nb", "a\nb\n\n", long + "\n" + long, strings.Repeat("0123456\n", 30000)} {
		var got []string
		for line, err := range record.Backward(strings.NewReader(text), int64(len(text))) {
			require.NoError(t, err)
			got = append(got, string(line))
		}
		slices.Reverse(got)
		require.Equal(t, text, strings.Join(got, "\n"))
	}
	for _, err := range record.Backward(strings.NewReader(""), 1) {
		require.Error(t, err)
	}
}

// FuzzParse: Parse never panics, and Append writes a parsed line unchanged.
func FuzzParse(f *testing.F) {
	for line := range bytes.Lines(newLog(3).text) {
		f.Add(bytes.TrimSpace(line))
	}
	f.Add([]byte(`{"seq":1,"arguments":"\ud800"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, err := range record.Read(bytes.NewReader(text)) {
			_ = err
		}
		_, _ = record.Verify(bytes.NewReader(text), nil)
		e, err := record.Parse(text)
		if err == nil {
			require.Equal(t, string(text), string(e.Append(nil)))
			require.NotContains(t, string(text), "\n")
			for _, r := range string(text) {
				require.True(t, unicode.IsPrint(r))
			}
		}
	})
}

// FuzzAppend: every entry becomes one printable line, which Parse reads.
func FuzzAppend(f *testing.F) {
	f.Add("ann", "\n", int64(5), uint64(7), 403)
	f.Fuzz(func(t *testing.T, principal, name string, d int64, n uint64, result int) {
		e := record.Entry{
			Seq: n, Event: record.Denied, Principal: principal, Claim: name, Command: name, Text: principal + name, Intent: n,
			Duration: time.Duration(d), Time: time.UnixMicro(d), Count: n, Torn: result, MissingSince: n,
		}
		e.Result += e.Result
		text := e.Append(nil)
		require.True(t, utf8.Valid(text))
		require.Less(t, len(text), record.MaxLine)
		again, err := record.Parse(text)
		require.NoError(t, err, "%s", text)
		require.Equal(t, string(text), string(again.Append(nil)))
	})
}

func TestTimesAndDurationsAreWrittenAndParsed(t *testing.T) {
	for at, want := range map[time.Time]string{
		{}: "0001-01-01T00:00:00.000000Z",
		time.Date(2026, 1, 2, 3, 4, 5, 6999, time.FixedZone("", 3600)): "2026-01-02T02:04:05.000006Z",
		time.Date(2026, 12, 31, 23, 59, 59, 999_999_999, time.UTC):     "2026-12-31T23:59:59.999999Z",
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC):                   "0001-01-01T00:00:00.000000Z",
		time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC):                      "0001-01-01T00:00:00.000000Z",
		time.Date(2026, 6, 7, 8, 9, 10, 120_000_000, time.UTC).Local(): "2026-06-07T08:09:10.120000Z",
	} {
		e := record.Entry{Seq: 1, Time: at, Event: record.Outcome, Duration: at.Sub(at.Truncate(time.Minute))}
		text := e.Append(nil)
		require.Contains(t, string(text), `"time":"`+want+`"`)
		_, err := record.Parse(text)
		require.NoError(t, err)
	}
}
