package audit_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// With this variable in its environment, a path of a log, the test program records until it is killed.
const beRecorder = "RUDDERPOST_TEST_RECORD"

// recordUntilKilled prints each outcome that is recorded, as a daemon would send the reply.
func recordUntilKilled(path string) {
	log, err := audit.Open(audit.Options{Path: path, Sync: audit.SyncNone})
	if err != nil {
		panic(err)
	}
	for worker := range 8 {
		go func() {
			for n := 0; ; n++ {
				call := newCall(commands[(worker+n)%2], fmt.Sprintf(`{"n":%d}`, n))
				if call.Command.Level != mgr.Read {
					if err := log.Begin([]*mgr.Call{call}); err != nil {
						panic(err)
					}
				}
				call.Name = fmt.Sprintf("w%d-%d", worker, n)
				log.End([]mgr.CallResult{{Call: call}})
				_, _ = os.Stdout.WriteString(call.Name + "\n")
			}
		}()
	}
	select {}
}

// A daemon that is killed has recorded every call that has a reply, and the next daemon continues the chain.
func TestKilledDaemonHasRecordedEveryReply(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	rounds := 10
	if testing.Short() {
		rounds = 3
	}
	var files []string
	for round := range rounds {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), beRecorder+"="+path)
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		answered := map[string]bool{}
		until := 1 + rand.IntN(500)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			answered[lines.Text()] = true
			if len(answered) == until {
				require.NoError(t, child.Process.Kill())
			}
		}
		_ = child.Wait()
		require.GreaterOrEqual(t, len(answered), until)

		log, err := audit.Open(audit.Options{Path: path})
		require.NoError(t, err)
		require.NoError(t, log.Close())
		summary, err := record.VerifyFiles(path)
		require.NoError(t, err, "round %d", round)
		require.True(t, summary.Compared)
		f, err := os.Open(path)
		require.NoError(t, err)
		for e := range record.Read(f) { // but for what was being written
			if e.Event == record.Outcome {
				delete(answered, e.Command)
			}
		}
		require.NoError(t, f.Close())
		require.Empty(t, answered, "round %d", round)
		if round%3 == 1 {
			files = append(files, path+"."+strconv.Itoa(round))
			require.NoError(t, os.Rename(path, files[len(files)-1]))
		}
	}
	_, err := record.VerifyFiles(append(files, path)...)
	require.NoError(t, err)
}
