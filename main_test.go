package rudderpost_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// patience is how long a test waits for what must happen. What happens in time does not depend on it.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		if programs.dir != "" {
			_ = os.RemoveAll(programs.dir)
		}
		os.Exit(status)
	}))
}

// programs are the repository's own, built once, and where everybody can run them.
var programs struct {
	once sync.Once
	dir  string
	err  error
}

// program returns the path of a program: rudderpostd, steer, or an example's name. It has the race
// detector in it if this test has.
func program(t testing.TB, name string) string {
	t.Helper()
	programs.once.Do(func() { programs.dir, programs.err = build() })
	require.NoError(t, programs.err)
	return filepath.Join(programs.dir, name)
}

// plainSteer returns the folder of a steer without the race detector: a shell starts it at each TAB, and the detector
// makes each start many times slower.
func plainSteer(t testing.TB) string {
	t.Helper()
	if !raced() {
		return filepath.Dir(program(t, "steer"))
	}
	dir := filepath.Join(filepath.Dir(program(t, "steer")), "plain")
	plainSteers.Do(func() {
		out, err := exec.Command("go", "build", "-o", dir+"/", "./cmd/steer").CombinedOutput()
		require.NoError(t, err, string(out))
	})
	return dir
}

var plainSteers sync.Once

func build() (string, error) {
	dir, err := os.MkdirTemp("", "rudderpost")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return dir, err
	}
	flags := []string{"build", "-o", dir + "/"}
	if raced() {
		flags = append(flags, "-race")
	}
	out, err := exec.Command("go", append(flags, "./cmd/...", "./examples/...")...).CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, os.Rename(filepath.Join(dir, "daemon"), filepath.Join(dir, "rudderpostd"))
}

func raced() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, setting := range info.Settings {
		if setting.Key == "-race" {
			return setting.Value == "true"
		}
	}
	return false
}

// needs returns the path of a program that is not ours. Without it the test is skipped, or fails
// where nothing may be skipped.
func needs(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path = "/usr/sbin/" + name; exists(path) {
			return path
		}
		const text = "%s is not installed (Debian: %s)"
		if os.Getenv("RUDDERPOST_REQUIRE") != "" {
			t.Fatalf(text, name, debian)
		}
		t.Skipf(text, name, debian)
	}
	return path
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// eventually waits for a condition.
func eventually(t testing.TB, condition func() bool, what string, args ...any) {
	t.Helper()
	require.Eventuallyf(t, condition, patience, 2*time.Millisecond, what, args...)
}

// shortDir returns a directory whose name leaves room for a socket's, and which everybody may enter.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rp")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// serve runs a manager until the test ends, or stop is called: that returns what Run returned.
func serve(t testing.TB, m *mgr.CommandMgr, places ...transport.Transport) (stop func() error) {
	t.Helper()
	for _, place := range places {
		_, err := m.Open(t.Context(), place)
		require.NoError(t, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { require.NoError(t, stop()) })
	return stop
}

// open opens a place and returns its address.
func open(t *testing.T, m *mgr.CommandMgr, place transport.Transport) net.Addr {
	t.Helper()
	socket, err := m.Open(t.Context(), place)
	require.NoError(t, err)
	return socket.Addr()
}

var quiet = slog.New(slog.DiscardHandler)

// dialRaw returns a client that writes and reads the bytes itself.
func dialRaw(t testing.TB, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.Dial("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn.(*net.UnixConn)
}

// ask gives one command on a conn of its own, and reads until the end.
func ask(t testing.TB, path, request string) wire.Reply {
	t.Helper()
	conn := dialRaw(t, path)
	defer conn.Close()
	_, _ = io.WriteString(conn, request) // it may be refused before it is read to its end
	return readReply(t, conn)
}

// readReply reads one reply and the end of the stream.
func readReply(t testing.TB, r io.Reader) wire.Reply {
	t.Helper()
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	require.True(t, bytes.HasSuffix(text, []byte("\n")), "%q", text)
	reply, err := wire.DecodeReply(bytes.TrimSuffix(text, []byte("\n")))
	require.NoError(t, err, "%.300q", text)
	return reply
}

// An output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// A process is a program that runs until the test ends.
type process struct {
	*exec.Cmd
	out, err output
	ended    chan struct{} // closed when it has
}

// start starts a program. change may change the command before that.
func start(t testing.TB, dir string, change func(*exec.Cmd), name string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(name, args...), ended: make(chan struct{})}
	p.Dir, p.Stdout, p.Stderr = dir, &p.out, &p.err
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.WaitDelay = patience
	p.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=1")
	if change != nil {
		change(p.Cmd)
	}
	require.NoError(t, p.Start())
	go func() {
		defer close(p.ended)
		_ = p.Wait()
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-p.Process.Pid, syscall.SIGKILL)
		<-p.ended
		if t.Failed() {
			said := p.out.String() + p.err.String()
			t.Logf("%s said, in the end:\n%s", strings.Join(p.Args, " "), said[max(0, len(said)-4000):])
		}
	})
	return p
}

// wait waits for the end of a process, and returns its status.
func (p *process) wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		require.Fail(t, "it does not end", "%s\n%s%s", p.Args, p.out.String(), p.err.String())
	}
	return p.ProcessState.ExitCode()
}

// listening waits until a daemon says that it listens, and returns where.
func (p *process) listening(t testing.TB) string {
	t.Helper()
	var where string
	eventually(t, func() bool {
		select {
		case <-p.ended:
			require.Fail(t, "it has ended", "%s\n%s%s", p.Args, p.out.String(), p.err.String())
		default:
		}
		_, rest, ok := strings.Cut(p.out.String(), "listening on unix://")
		if ok {
			where, _, ok = strings.Cut(rest, ",")
		}
		return ok
	}, "%s does not listen", p.Args)
	return where
}

// listeningOn waits until a daemon says that it listens on scheme://ADDRESS, and returns ADDRESS: with port 0 in the
// configuration, the port that the kernel chose.
func (p *process) listeningOn(t testing.TB, scheme string) (address string) {
	t.Helper()
	said := regexp.MustCompile(`listening on ` + scheme + `://(127\.0\.0\.1:\d+)\b`)
	eventually(t, func() bool {
		select {
		case <-p.ended:
			require.Fail(t, "it has ended", "%s\n%s%s", p.Args, p.out.String(), p.err.String())
		default:
		}
		found := said.FindStringSubmatch(p.out.String())
		if found != nil {
			address = found[1]
		}
		return found != nil
	}, "%s does not listen on %s", p.Args, scheme)
	return address
}
