package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// TestKilledDaemonLosesNothingAcknowledged kills a daemon with SIGKILL many times, under a mixed load: commands that
// write, commands that read, transactions, config-write, short conns, a hook. The rounds have in turn no other fault, a
// rotation of the audit, a full disk, or a limit of 64 descriptors. After each kill the next daemon must start, must
// have everything that was acknowledged, and must not find anything else left. RUDDERPOST_KILLS is the number of kills,
// by default 10. The audit has the outcome of each acknowledged command, or on a full disk at least its intent.
func TestKilledDaemonLosesNothingAcknowledged(t *testing.T) {
	kills := 10
	if n, err := strconv.Atoi(os.Getenv("RUDDERPOST_KILLS")); err == nil {
		kills = n
	} else if testing.Short() {
		kills = 4
	}
	k := newKillTest(t)
	for round := range kills {
		k.killRound(round)
	}
	k.next(nil).stop()
	k.check("the end")
	t.Logf("%d kills, %d commands acknowledged, %d records in %d files", kills, len(k.acknowledged), k.records, len(k.files)+1)
	require.Greater(t, len(k.acknowledged), kills)
}

// A killTest has a daemon's directory, on a disk of its own where that is possible.
type killTest struct {
	t     *testing.T
	dir   string
	small bool     // the disk is small enough to be filled
	files []string // the rotated files of the audit

	mu           sync.Mutex
	acknowledged map[string]bool
	records      int
}

func newKillTest(t *testing.T) *killTest {
	k := &killTest{t: t, dir: testkit.ShortDir(t), acknowledged: map[string]bool{}}
	if err := syscall.Mount("tmpfs", k.dir, "tmpfs", 0, "size=256m,mode=0755"); err == nil {
		k.small = true
		t.Cleanup(func() { require.NoError(t, syscall.Unmount(k.dir, syscall.MNT_DETACH)) })
	} else if os.Getenv(testkit.Require) != "" {
		t.Fatalf("a small disk cannot be mounted, which needs root: %v", err)
	}
	hook := "#!/bin/sh\nread hello\necho '{\"introduce\":{\"commands\":[]}}'\nwhile read line; do :; done\n"
	require.NoError(t, os.WriteFile(filepath.Join(k.dir, "hook"), []byte(hook), 0o700))
	writeConfig(t, k.dir, "state-dir = \"run\"\nlog-level = \"error\"\n"+oneSocket+
		"[audit]\nfile = \"audit.jsonl\"\narguments = \"clear\"\n[[hook]]\nname = \"hook\"\nexec = [\"./hook\"]\n")
	return k
}

func (k *killTest) path() string { return filepath.Join(k.dir, "audit.jsonl") }

// next starts the next daemon.
func (k *killTest) next(change func(*exec.Cmd)) *process {
	k.t.Helper()
	p := start(k.t, k.dir, change, "-c", "config.toml")
	p.listening()
	return p
}

// killRound starts a daemon, checks the files that the last one left, and kills it.
func (k *killTest) killRound(n int) {
	k.t.Helper()
	mode := n % 4
	what := fmt.Sprintf("round %d", n)
	p := k.next(func(cmd *exec.Cmd) {
		if mode == 3 {
			cmd.Args = append([]string{"sh", "-c", `ulimit -n 64; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
			cmd.Path = "/bin/sh"
		}
	})
	k.check(what, p.Process.Pid)
	stop := make(chan struct{})
	var all sync.WaitGroup
	conns := 4
	if mode == 3 {
		conns = 60
	}
	for worker := range conns {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				k.load(p, fmt.Sprintf("k%d-%d-%d", n, worker, i), worker)
			}
		})
	}
	time.Sleep(time.Duration(20+rand.IntN(150)) * time.Millisecond)
	ballast := filepath.Join(k.dir, "ballast")
	switch {
	case mode == 1:
		name := fmt.Sprintf("%s.%d", k.path(), n)
		require.NoError(k.t, os.Rename(k.path(), name))
		k.files = append(k.files, name)
		if rand.IntN(2) == 0 {
			require.NoError(k.t, p.Process.Signal(syscall.SIGHUP))
		}
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
	case mode == 2 && k.small:
		k.fill(ballast)
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
	}
	require.NoError(k.t, p.Process.Kill())
	p.wait()
	close(stop)
	all.Wait()
	require.NoError(k.t, os.RemoveAll(ballast))
	if _, err := os.Lstat(k.path()); err == nil && rand.IntN(3) == 0 { // a rotation while no daemon runs
		name := fmt.Sprintf("%s.%d.stopped", k.path(), n)
		require.NoError(k.t, os.Rename(k.path(), name))
		k.files = append(k.files, name)
	}
}

// fill writes until the disk is full.
func (k *killTest) fill(path string) {
	f, err := os.Create(path)
	if err != nil {
		return // it is already full
	}
	defer f.Close()
	for text := make([]byte, 1<<20); len(text) > 0; {
		if _, err := f.Write(text); err != nil {
			text = text[:len(text)/2]
		}
	}
}

// load sends commands on a conn, and records those that are acknowledged.
func (k *killTest) load(p *process, name string, worker int) {
	conn, err := net.Dial("unix", filepath.Join(k.dir, "control.sock"))
	if err != nil {
		time.Sleep(time.Millisecond)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testkit.Timeout))
	lines := bufio.NewReader(conn)
	give := func(id int, command, arguments string) (wire.Reply, error) {
		_, err := fmt.Fprintf(conn, `{"command":%q,"arguments":%s,"id":%d}`, command, arguments, id)
		if err != nil {
			return wire.Reply{}, err
		}
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return wire.Reply{}, err
		}
		return wire.DecodeReply(line)
	}
	for i := range 8 {
		key := fmt.Sprintf("%s-%d", name, i)
		reply, err := give(i, "statistic-reset", fmt.Sprintf(`{"name":%q}`, key))
		if err != nil {
			return
		}
		if reply.Code == wire.CodeEmpty || reply.Code == wire.CodeError || reply.Code == wire.CodeSuccess { // the command has run
			if strings.Contains(reply.Text, "cannot be recorded") {
				continue
			}
			k.mu.Lock()
			k.acknowledged[key] = true
			k.mu.Unlock()
		}
	}
	switch worker % 4 {
	case 0:
		_, _ = give(100, "config-write", "{}")
	case 1:
		_, _ = give(100, "list-commands", "{}")
	case 2:
		_, _ = give(100, "config-reload", "{}")
	}
}

// check checks the files of a killed daemon. others are processes that run now.
func (k *killTest) check(what string, others ...int) {
	k.t.Helper()
	paths := append(append([]string(nil), k.files...), k.path())
	s, err := record.VerifyFiles(paths...)
	var none *record.NoRecordsError
	if !errors.As(err, &none) || len(k.acknowledged) > 0 {
		require.NoError(k.t, err, what)
		require.Equal(k.t, record.Whole, s.Verdict(), "%s: %v", what, s.Doubts)
	}
	k.records = s.Records
	missing := map[string]bool{}
	for name := range k.acknowledged {
		missing[name] = true
	}
	for _, path := range paths {
		f, err := os.Open(path)
		require.NoError(k.t, err)
		for e := range record.Read(f) {
			if e.Event != record.Outcome && e.Event != record.Intent || e.Arguments == nil {
				continue
			}
			name := strings.TrimSuffix(strings.TrimPrefix(string(e.Arguments), `{"name":"`), `"}`)
			var round int
			_, _ = fmt.Sscanf(name, "k%d-", &round)
			// If the disk becomes full between intent and outcome, the outcome is missing: the command has run, its
			// client has the result, and the record waits in memory.
			if e.Event == record.Outcome || round%4 == 2 {
				delete(missing, name)
			}
		}
		require.NoError(k.t, f.Close())
	}
	require.Empty(k.t, missing, what)
	for _, dir := range []string{k.dir, filepath.Join(k.dir, "run")} {
		entries, err := os.ReadDir(dir)
		require.NoError(k.t, err)
		for _, e := range entries {
			if name := e.Name(); strings.HasPrefix(name, ".") && name != ".audit.jsonl.current" {
				require.Fail(k.t, "a temporary file is left", "%s: %s", what, name)
			}
		}
	}
	require.LessOrEqual(k.t, len(configFiles(k.t, k.dir)), 11, what)
	require.Empty(k.t, k.otherProcesses(others), "%s: processes are left", what)
}

// otherProcesses returns the processes that run in the directory, except some and their children.
func (k *killTest) otherProcesses(known []int) (left []string) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	ours := map[int]bool{}
	for _, pid := range known {
		ours[pid] = true
		for _, child := range children(pid) {
			ours[child] = true
		}
	}
	for _, link := range links {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if cwd, err := os.Readlink(link); err == nil && cwd == k.dir && !ours[pid] && !isZombie(pid) {
			name, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
			left = append(left, fmt.Sprintf("%d %q", pid, name))
		}
	}
	return left
}
