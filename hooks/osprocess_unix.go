//go:build unix

package hooks

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A running is a process of the system, the leader of a group of its own.
type unixProcess struct {
	cmd         *exec.Cmd
	in, out     *os.File // the daemon's ends of its stdin and stdout
	stderr      *os.File
	exited      chan struct{}
	stderrRead  chan struct{} // closed when its stderr was read to the end
	lastLine    string        // the last line of stderr; set before stderrRead is closed
	exitErr     error         // set before exited is closed
	mu          sync.Mutex
	reaped      bool // the process id may belong to another process
	inputClosed sync.Once
}

// defaultPath is the PATH of a process whose Config.Env has none.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func startProcess(cfg *Config, stderr func(line string)) (osProcess, error) {
	if err := trusted(cfg); err != nil {
		return nil, err
	}
	if _, err := os.Stat(cfg.Dir); err != nil { // the error of exec would blame the program
		return nil, fmt.Errorf("dir: %w", err)
	}
	p := &unixProcess{exited: make(chan struct{}), stderrRead: make(chan struct{})}
	p.cmd = &exec.Cmd{Path: cfg.Exec[0], Args: cfg.Exec, Dir: cfg.Dir, Env: append([]string{defaultPath}, cfg.Env...)}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	killWithDaemon(p.cmd.SysProcAttr)
	childEnds, err := p.pipes()
	if err != nil {
		return nil, err
	}
	started := make(chan error, 1)
	go p.run(started)
	err = <-started
	for _, f := range childEnds {
		_ = f.Close()
	}
	if err != nil {
		_ = p.Close()
		_ = p.stderr.Close()
		return nil, startError(cfg.Exec[0], err)
	}
	go p.readStderr(stderr)
	return p, nil
}

// pipes makes the three pipes. They are files, so that Wait does not wait for other processes that have them open.
func (p *unixProcess) pipes() (childEnds []*os.File, err error) {
	var made []*os.File
	pipe := func() (r, w *os.File) {
		if err == nil {
			if r, w, err = os.Pipe(); err == nil {
				made = append(made, r, w)
			}
		}
		return r, w
	}
	var stdin, stdout, stderr *os.File
	stdin, p.in = pipe()
	p.out, stdout = pipe()
	p.stderr, stderr = pipe()
	if err != nil {
		for _, f := range made {
			_ = f.Close()
		}
		return nil, err
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, stdout, stderr
	return []*os.File{stdin, stdout, stderr}, nil
}

// run starts the process and waits for its end, on one thread. With Pdeathsig the kernel kills a child at the end of
// the thread that has started it, so this thread must live as long as the child.
func (p *unixProcess) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.exitErr = p.reap()
	_ = p.stderr.SetReadDeadline(time.Now().Add(exitDelay)) // a process that has left the group may have it open
	close(p.exited)
}

// readStderr reads stderr line by line. It reads at a limited rate, so a process that writes more blocks.
func (p *unixProcess) readStderr(line func(string)) {
	defer close(p.stderrRead)
	defer p.stderr.Close()
	r := bufio.NewReaderSize(p.stderr, maxLine)
	limit := limiter{rate: 50, burst: 200}
	for {
		text, err := r.ReadSlice('\n')
		if s := strings.ToValidUTF8(strings.TrimRight(string(text), "\r\n"), "\ufffd"); s != "" {
			p.lastLine = s
			line(s)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
		if wait := limit.take(); wait > 0 {
			select {
			case <-time.After(wait):
				limit.take()
			case <-p.exited:
				limit.rate = 1e6 // the pipe has little left
			}
		}
	}
}

func (p *unixProcess) Pid() int                { return p.cmd.Process.Pid }
func (p *unixProcess) Exited() <-chan struct{} { return p.exited }

func (p *unixProcess) Terminate() { p.kill(syscall.SIGTERM) }
func (p *unixProcess) Kill()      { p.kill(syscall.SIGKILL) }

func (p *unixProcess) kill(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		p.signalLocked(sig)
	}
}

// signalLocked sends a signal to the group. The caller holds mu.
func (p *unixProcess) signalLocked(sig syscall.Signal) { _ = syscall.Kill(-p.Pid(), sig) }

func (p *unixProcess) HowItEnded() string {
	<-p.exited
	<-p.stderrRead
	how := "it ended with exit status 0"
	if p.exitErr != nil {
		how = "it ended with " + p.exitErr.Error()
	}
	if p.lastLine != "" {
		how += "; the last line of its stderr: " + p.lastLine
	}
	return how
}

func (p *unixProcess) AwaitEnd() {
	<-p.exited
	<-p.stderrRead
}

func (p *unixProcess) Read(b []byte) (int, error)            { return p.out.Read(b) }
func (p *unixProcess) Write(b []byte) (int, error)           { return p.in.Write(b) }
func (p *unixProcess) SetReadDeadline(t time.Time) error     { return p.out.SetReadDeadline(t) }
func (p *unixProcess) SetWriteDeadline(t time.Time) error    { return p.in.SetWriteDeadline(t) }
func (p *unixProcess) SyscallConn() (syscall.RawConn, error) { return p.out.SyscallConn() }
func (p *unixProcess) CloseInput()                           { p.inputClosed.Do(func() { _ = p.in.Close() }) }

// Close implements transport.ByteStream.
func (p *unixProcess) Close() error {
	p.CloseInput()
	return p.out.Close()
}

// startError adds advice to the error of a program that does not start. The system's own text names the program also
// if its interpreter is missing.
func startError(path string, err error) error {
	info, missing := os.Stat(path)
	switch {
	case missing != nil || !info.Mode().IsRegular():
	case errors.Is(err, syscall.EACCES) && info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%w; it is not executable (chmod +x)", err)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%w; the interpreter in its first line does not exist, or that line ends with a carriage return", err)
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w; a script's first line names its interpreter, as in #!/usr/bin/env python3", err)
	}
	return err
}
