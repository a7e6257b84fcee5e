package audit_test

import (
	"bytes"
	"crypto/sha256"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// quiet opens a log without a logger.
func quiet(t *testing.T, path string) *audit.Log {
	t.Helper()
	return open(t, audit.Options{Path: path, Logger: slog.New(slog.DiscardHandler)})
}

// written returns the path of a log with some records.
func written(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	log := quiet(t, path)
	for range 3 {
		log.End([]mgr.CallResult{{Call: newCall(commands[0], "")}})
	}
	require.NoError(t, log.Close())
	return path
}

// The next daemon continues the chain, also if a crash or an edit has damaged the end of the file.
func TestLogContinuesAfterDamage(t *testing.T) {
	for name, c := range map[string]struct {
		change func(text []byte) []byte // the file
		torn   int
		seq    uint64 // of the record that says opened
		doubt  string // what verify has in doubt
	}{
		"as it was":            {func(b []byte) []byte { return b }, 0, 6, ""},
		"half a record":        {func(b []byte) []byte { return append(b, `{"seq":6,"time":"2`...) }, 18, 6, ""},
		"two halves":           {func(b []byte) []byte { return append(b, "{\"seq\":6\n{"...) }, 10, 6, ""},
		"a half and a newline": {func(b []byte) []byte { return append(b, "{\"seq\":6\n"...) }, 8, 6, ""},
		"zeros":                {func(b []byte) []byte { return append(b, make([]byte, 5000)...) }, 5000, 6, ""},
		"without a newline":    {func(b []byte) []byte { return b[:len(b)-1] }, 0, 6, ""},
		"emptied":              {func([]byte) []byte { return nil }, 0, 6, "line 1: in doubt from record 1 on: the records 1 to 5 were missing when the daemon started"},
		"cut":                  {func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] }, 0, 6, "line 5: in doubt from record 5 on: the records 5 to 5 were missing"},
		"cut in a record":      {func(b []byte) []byte { return b[:len(b)-9] }, 129, 6, "line 6: in doubt from record 5 on: the records 5 to 5 were missing"},
	} {
		t.Run(name, func(t *testing.T) {
			path := written(t)
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, c.change(text), 0o600))
			var logged bytes.Buffer
			log := open(t, audit.Options{Path: path, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
			log.End([]mgr.CallResult{{Call: newCall(commands[0], "")}})
			require.NoError(t, log.Close())
			s, err := record.VerifyFiles(path)
			require.NoError(t, err)
			switch {
			case c.doubt != "":
				require.Len(t, s.Doubts, 1)
				require.Contains(t, s.Doubts[0].String(), c.doubt)
				require.Contains(t, logged.String(), "records were cut off, or a power failure has lost them")
			default:
				require.Equal(t, record.Whole, s.Verdict())
				require.Empty(t, logged.String())
			}
			f, err := os.Open(path)
			require.NoError(t, err)
			defer f.Close()
			var opened record.Entry
			for e, err := range record.Read(f) {
				if err == nil && e.Event == record.Opened {
					opened = e
				}
			}
			require.Equal(t, c.torn, opened.Torn)
			require.Equal(t, c.seq, opened.Seq)
		})
	}
}

// A change between two starts is written to the audit and to the daemon's log.
func TestChangesBetweenStartsAreReported(t *testing.T) {
	for name, c := range map[string]struct {
		head func(path string, text []byte) // changes the files
		says string
	}{
		"no head":         {func(path string, _ []byte) { _ = os.Remove(path + ".head") }, "the head is missing"},
		"an invalid head": {func(path string, _ []byte) { _ = os.WriteFile(path+".head", []byte("x"), 0o600) }, "the head cannot be read"},
		"another end": {func(path string, text []byte) {
			_ = os.WriteFile(path, bytes.Replace(text, []byte(`"closed"`), []byte(`"opened"`), 1), 0o600)
		}, "record 5 is not the one that was written"},
	} {
		t.Run(name, func(t *testing.T) {
			path := written(t)
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			c.head(path, text)
			var logged bytes.Buffer
			log := open(t, audit.Options{Path: path, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
			require.NoError(t, log.Close())
			require.Contains(t, logged.String(), c.says)
			all := entries(t, path)
			require.Contains(t, all[5].Text, c.says)
		})
	}
}

// A crash in the first record leaves nothing to continue from.
func TestIncompleteFirstRecordIsTruncated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(`{"seq":1,"ti`), 0o600))
	require.NoError(t, quiet(t, path).Close())
	require.Equal(t, "opened closed", events(t, path))
	verify(t, path)
}

// Open refuses a file that is no log, and a path where other users could read or replace the log.
func TestOpenRefusesOtherFilesAndUntrustedPaths(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(in("users"), []byte("ann operator $argon2id$…\n"), 0o600))
	require.NoError(t, os.WriteFile(in("wide"), nil, 0o644))
	require.NoError(t, os.Mkdir(in("open"), 0o700))
	require.NoError(t, os.Chmod(in("open"), 0o777))
	require.NoError(t, os.Symlink(in("elsewhere"), in("link")))
	require.NoError(t, os.Symlink(in("elsewhere"), in("log.head")))
	require.NoError(t, os.Mkdir(in("dir"), 0o700))
	l, err := net.Listen("unix", in("sock"))
	require.NoError(t, err)
	defer l.Close()
	for path, says := range map[string]string{
		"":                "the audit has no file; name one",
		in("users"):       "it is no audit file, or damaged at its end; move it away",
		in("wide"):        "other users may read it (mode 0644); do: chmod 640 " + in("wide"),
		in("open/log"):    "the folder " + in("open") + " can be written by any user (mode 0777); do: chmod go-w " + in("open"),
		in("link"):        "it is a symbolic link; name the file itself",
		in("log"):         "it is a symbolic link; name the file itself",
		in("dir"):         "it is a folder and no regular file",
		in("nowhere/log"): "make the folder " + in("nowhere") + " first, with mode 0700",
		in("sock"):        "it is a socket and no regular file",
	} {
		_, err := audit.Open(audit.Options{Path: path})
		require.ErrorContains(t, err, says, path)
	}
	text, err := os.ReadFile(in("users"))
	require.NoError(t, err)
	require.Equal(t, "ann operator $argon2id$…\n", string(text))
	require.NoFileExists(t, in("elsewhere"))
	for _, o := range []audit.Options{{Arguments: 2}, {OnFailure: 2}, {Sync: 3}} {
		o.Path = in("fine")
		_, err := audit.Open(o)
		require.ErrorContains(t, err, "an option that does not exist")
	}
	require.NoError(t, os.WriteFile(in("group"), nil, 0o600))
	require.NoError(t, os.Chmod(in("group"), 0o640))
	quiet(t, in("group")) // its group reads it
	quiet(t, in("fine"))
	info, err := os.Stat(in("fine"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

// After a rename the log creates a new file within a second, and at once after Reopen.
func TestRenamedLogContinuesInANewFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		log := quiet(t, path)
		look := func() { log.End([]mgr.CallResult{{Call: newCall(commands[0], "")}}) }
		look()
		require.NoError(t, os.Rename(path, path+".1"))
		require.NoError(t, log.Reopen())
		look()
		require.Equal(t, "opened outcome", events(t, path+".1"))
		require.Equal(t, "opened outcome", events(t, path))

		require.NoError(t, os.Rename(path, path+".2"))
		require.NoError(t, os.WriteFile(path, nil, 0o600)) // as logrotate does
		sleep(500)
		look()
		require.Equal(t, "", events(t, path), "it has not been noticed")
		sleep(600)
		look()
		require.Equal(t, "opened", events(t, path))
		look()
		require.Equal(t, "opened outcome", events(t, path))
		verify(t, path+".1", path+".2", path)

		require.NoError(t, os.Rename(path, path+".3"))
		require.NoError(t, os.WriteFile(path, []byte("mine\n"), 0o600))
		require.ErrorContains(t, log.Reopen(), "it was replaced by a file that is not empty; move that file away")
		require.ErrorContains(t, log.Begin([]*mgr.Call{newCall(commands[1], "")}), "move that file away")
		require.NoError(t, os.Remove(path))
		require.NoError(t, log.Begin([]*mgr.Call{newCall(commands[1], "")}))
		require.NoError(t, log.Close())
		verify(t, path+".1", path+".2", path+".3", path)
	})
}

// prev can be computed with sha256sum from the line before.
func TestPrevIsTheSHA256OfTheLineBefore(t *testing.T) {
	path := written(t)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i, e := range entries(t, path)[1:] {
		require.Equal(t, record.Hash(sha256.Sum256([]byte(lines[i]))), e.Prev)
	}
}

func sleep(ms int) { time.Sleep(time.Duration(ms) * time.Millisecond) }
